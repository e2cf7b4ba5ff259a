"""A text task: green as it is, and red where one thing is wrong with what was answered."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from support.text_work import ROWS, TextWork
from weighin.model.answers import COLUMN, FEATURES
from weighin.model.texts import LARGEST
from weighin.scores.catalogue import OF_BOTH

ALL = {
    "performance/changed",
    "performance/empty-answers",
    "performance/exact_match",
    "performance/token_f1",
    "performance/token_f1/vs-champion",
    "performance/refusal",
    "performance/score.short",
}


@pytest.fixture
def work(tmp_path: Path) -> TextWork:
    return TextWork(tmp_path)


def left(work: TextWork, column: pa.Array, name: str = COLUMN, features: str = "sha256:f") -> None:
    """Leave another file in place of the candidate's answers."""
    schema = pa.schema([(name, column.type)], {FEATURES: features.encode()})
    with pa.OSFile(str(work.answered), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch([column], schema=schema))


def test_a_better_candidate_passes(work: TextWork) -> None:
    assert work.red() == {}
    assert set(work.outcomes(write=False)) == ALL


def test_a_worse_candidate_fails_against_the_champion(work: TextWork) -> None:
    work.answers["candidate"], work.answers["champion"] = work.answers["champion"], work.answers["candidate"]
    assert work.red()["performance/token_f1/vs-champion"] in ("failed", "inconclusive")


def test_the_same_answers_again_are_nothing_changed(work: TextWork) -> None:
    work.answers["candidate"] = list(work.answers["champion"])
    assert work.red()["performance/changed"] == "failed"


def test_answers_to_one_row_are_no_independent_rows(work: TextWork) -> None:
    once = work.outcomes()
    work.contract = work.contract.replace("target: reference}", "target: reference, repeats: 4}")
    work.answers = {role: [a for a in answers for _ in range(4)] for role, answers in work.answers.items()}
    again = work.outcomes()
    for name in ("token_f1", "token_f1/vs-champion"):
        one, four = (found[f"performance/{name}"].evidence for found in (once, again))
        assert (four.low, four.high) == pytest.approx((one.low, one.high), abs=1e-9)
    # A conversation is several rows, so that of groups nothing changes either.
    work.contract += "group: talk\n"
    grouped = work.outcomes()["performance/token_f1"].evidence
    work.contract = work.contract.replace(", repeats: 4}", "}")
    work.answers = {role: answers[::4] for role, answers in work.answers.items()}
    alone = work.outcomes()["performance/token_f1"].evidence
    assert (grouped.low, grouped.high) == pytest.approx((alone.low, alone.high), abs=1e-9)


def test_a_row_that_was_asked_too_seldom_is_no_pass(work: TextWork) -> None:
    work.contract = work.contract.replace("target: reference}", "target: reference, repeats: 2}")
    assert set(work.red().values()) == {"not_evaluated"}


def test_every_answer_of_a_row_without_a_label_is_left_out(work: TextWork) -> None:
    work.contract = work.contract.replace("target: reference}", "target: reference, repeats: 2}")
    work.answers = {role: [a for a in answers for _ in range(2)] for role, answers in work.answers.items()}
    work.frame.loc[7, "reference"] = None
    found = work.outcomes()
    assert found["performance/token_f1"].evidence.n == ROWS - 1
    assert found["performance/empty-answers"].status.value == "passed"


def test_one_empty_answer_fails_unless_the_contract_allows_it(work: TextWork) -> None:
    work.answers["candidate"][7] = " \n"
    found = work.outcomes()["performance/empty-answers"]
    assert (found.status.value, found.reason.split(" (")[0]) == ("failed", "1 of 300 answers are empty")
    work.contract = work.contract.replace("target: reference}", "target: reference, empty_answers_at_most: 0.01}")
    assert work.red() == {}


def test_only_empty_answers_pass_nothing(work: TextWork) -> None:
    work.answers["candidate"] = [""] * ROWS
    assert set(work.red()) == ALL - {"performance/changed", "performance/refusal"}


def test_refusals_fail(work: TextWork) -> None:
    work.answers["candidate"][:60] = ["I'm sorry, but I can't help with that."] * 60
    assert work.red()["performance/refusal"] == "failed"


def test_answers_that_the_pattern_does_not_match_fail(work: TextWork) -> None:
    work.answers["candidate"][:60] = ["a line\nand another " * 20] * 60
    assert work.red()["performance/score.short"] == "failed"


def test_shuffled_answers_fail(work: TextWork) -> None:
    work.answers["candidate"] = work.answers["candidate"][1:] + work.answers["candidate"][:1]
    red = work.red()
    assert red["performance/exact_match"] == red["performance/token_f1"] == "failed"


def test_rows_of_one_talk_count_together(work: TextWork) -> None:
    alone = work.outcomes()["performance/token_f1"].evidence
    work.contract = work.contract.replace("data:\n", "group: talk\ndata:\n", 1)
    grouped = work.outcomes()["performance/token_f1"].evidence
    assert (alone.n, grouped.n) == (ROWS, ROWS // 5)  # type: ignore[union-attr]


def test_a_score_that_all_rows_share_has_the_exact_bound_of_none(work: TextWork) -> None:
    work.contract = work.contract.replace("data:\n", "group: talk\ndata:\n", 1)
    found = work.outcomes()["performance/score.short"].evidence
    # 60 talks without one exception: a share of 1 - 0.05 ** (1 / 60) may have one.
    assert found.low == pytest.approx(0.05 ** (1 / 60))  # type: ignore[union-attr]


def test_few_talks_are_not_evaluated(work: TextWork) -> None:
    work.contract = work.contract.replace("data:\n", "group: talk\ndata:\n", 1)
    work.frame["talk"] = work.frame["id"] % 5
    assert set(work.red().values()) == {"not_evaluated"}


def test_rows_without_a_reference_are_left_out_up_to_a_share(work: TextWork) -> None:
    work.frame.loc[:9, "reference"] = None
    assert work.red() == {}
    assert work.outcomes()["performance/token_f1"].evidence.n == ROWS - 10  # type: ignore[union-attr]
    work.frame.loc[:99, "reference"] = None
    assert work.red()["performance/token_f1"] == "not_evaluated"


def test_a_task_without_references_has_scores_of_answers_alone(work: TextWork) -> None:
    work.contract = work.contract.replace(", target: reference}", "}").replace("role: target, ", "role: other, ")
    lines = [line for line in work.contract.splitlines() if "exact_match" not in line and "token_f1" not in line]
    work.contract = "\n".join(lines) + "\n"
    assert work.red() == {}
    assert "performance/refusal" in work.outcomes()


def test_slices_are_parts_of_the_rows(work: TextWork) -> None:
    slices = '    slices:\n      - {metric: token_f1, query: "id < 150", name: first, margin: 0.05}\n'
    work.contract = work.contract.replace("    scores:\n", f"{slices}    scores:\n")
    assert work.red() == {}
    work.answers["candidate"][:60] = ["wrong"] * 60
    assert work.red()["performance/token_f1/vs-champion/first"] == "failed"


FAIR = """\
    fairness:
      - {measure: score, metric: refusal, column: side, values: [a, b], at_most: 0.1}
      - {measure: score, metric: token_f1, column: side, values: [a, b], at_most: 0.15}
"""


def test_a_group_that_is_refused_more_often_fails(work: TextWork) -> None:
    work.frame["side"] = ["a", "b"] * (ROWS // 2)
    work.contract = work.contract.replace("    scores:\n", f"{FAIR}    scores:\n")
    work.contract = work.contract.replace("    question:", "    side: {type: string, role: other}\n    question:")
    assert work.red() == {}
    for row in range(0, 90, 2):
        work.answers["candidate"][row] = "I'm sorry, but I can't help with that."
    red = work.red()
    assert red["performance/fairness/refusal/side=a-minus-b"] == "failed"
    assert red["performance/fairness/token_f1/side=b-minus-a"] == "failed"
    assert "performance/fairness/refusal/side=b-minus-a" not in red


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array(["a"] * (ROWS - 1)), "299 predictions for 300 rows"),
        (pa.array([None, *["a"] * (ROWS - 1)], pa.string()), "1 of 300 answers are no text"),
        (pa.array(["a" * (LARGEST + 1), *["a"] * (ROWS - 1)]), "1 of 300 answers have more than 200,000 bytes"),
        (pa.array([1.0] * ROWS), "the columns are not prediction as text"),
        (pa.array([b"a"] * ROWS, pa.binary()), "not a sound Arrow file: it holds a type that nothing here writes"),
    ],
    ids=["fewer", "missing", "long", "numbers", "bytes"],
)
def test_a_file_that_holds_no_answers_is_not_evaluated(column: pa.Array, said: str, work: TextWork) -> None:
    work.write()
    left(work, column)
    found = work.outcomes(write=False)
    assert {o.status.value for o in found.values()} == {"not_evaluated"}
    assert said in found["performance/token_f1"].reason


def test_bytes_that_are_no_utf8_are_not_evaluated(work: TextWork) -> None:
    work.write()
    texts = pa.array(["abcd"] * ROWS)
    damaged = texts.buffers()[2].to_pybytes().replace(b"abcd", b"\xff\xfe\xfd\xfc")
    left(work, pa.Array.from_buffers(pa.string(), ROWS, [None, texts.buffers()[1], pa.py_buffer(damaged)]))
    found = work.outcomes(write=False)
    assert {o.status.value for o in found.values()} == {"not_evaluated"}


def test_answers_to_other_rows_are_not_evaluated(work: TextWork) -> None:
    work.write()
    left(work, pa.array(work.answers["candidate"]), features="sha256:other")
    assert "answer other rows" in work.outcomes(write=False)["performance/token_f1"].reason


def test_a_reference_that_is_no_list_is_not_evaluated_and_not_shown(work: TextWork) -> None:
    work.contract = work.contract.replace("short: {pattern", "found: {retrieval: recall, at: 3}\n      short: {pattern")
    work.contract = work.contract.replace(
        "{metric: refusal", "{metric: score.found, at_least: 0.1}\n      - {metric: refusal"
    )
    found = work.outcomes()["performance/score.found"]
    assert found.status.value == "not_evaluated"
    assert "a reference is no JSON list of names" in found.reason
    assert not any(word in found.reason for word in work.frame["reference"][0].split())


def test_no_answer_and_no_reference_stands_in_an_outcome(work: TextWork) -> None:
    work.answers["candidate"][:100] = ["SECRET-7f3a \x1b[31m <img src=x>"] * 100
    work.frame["reference"] = "SECRET-9b2c " + work.frame["reference"]
    said = repr(work.outcomes())
    assert "SECRET" not in said
    assert "\x1b" not in said


def test_what_a_library_raises_about_a_text_is_not_shown(work: TextWork, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(answers: object, references: object) -> object:
        raise ValueError(f"cannot score {answers}")

    monkeypatch.setitem(OF_BOTH, "token_f1", raises)
    work.answers["candidate"][0] = "SECRET"
    found = work.outcomes()
    assert found["performance/token_f1"].status.value == "not_evaluated"
    assert "SECRET" not in repr(found)


def test_texts_may_come_as_categories(work: TextWork) -> None:
    work.frame["reference"] = pd.Categorical(work.frame["reference"])
    assert work.red() == {}
