"""What a contract may say of a text task, of scores of its own, and of predictions in place of a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.text_work import CONTRACT
from weighin.contract import Contract, checks, read_contract
from weighin.contract.changes import named_files
from weighin.contract.checks import EmptyRule
from weighin.contract.stricter import compare
from weighin.errors import ContractError
from weighin.outcome import Direction
from weighin.runner.plan import Answers

SHORT = 'short: {pattern: "^.{1,200}$"}'
TASK = "task: text, target: reference"


def read(folder: Path, *changes: tuple[str, str]) -> Contract:
    text = CONTRACT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (folder / "model_contract.yaml").write_text(text)
    return read_contract(folder / "model_contract.yaml").contract


def test_a_text_is_what_the_first_column_holds(tmp_path: Path) -> None:
    assert read(tmp_path).model.answers == Answers((0,), "text")
    named = read(tmp_path, (TASK, f"{TASK}, prediction: {{column: answer}}"))
    assert named.model.answers == Answers(("answer",), "text")


def test_every_text_task_is_checked_for_empty_answers(tmp_path: Path) -> None:
    (found,) = [c for c in checks(read(tmp_path), "performance") if isinstance(c.rule, EmptyRule)]
    assert (found.limit.direction, found.limit.value, found.limit.severity) == (Direction.AT_MOST, 0.0, "block")
    relaxed = read(tmp_path, (TASK, f"{TASK}, empty_answers_at_most: 0.2"))
    assert [c.limit.value for c in checks(relaxed, "performance") if isinstance(c.rule, EmptyRule)] == [0.2]
    changed = compare(relaxed, read(tmp_path))
    assert [(c.check, c.how) for c in changed.limits] == [("performance/empty-answers", "relaxed")]
    assert changed.checks["performance/empty-answers"].limit.value == 0


def test_a_score_that_improves_downwards_is_compared_downwards(tmp_path: Path) -> None:
    lower = SHORT.replace('}$"}', '}$", lower_is_better: true}')
    line = "      - {metric: score.short, at_least: 0.9}"
    against = "      - {metric: score.short, against: champion, margin: 0.1}"
    found = {c.id: c.limit for c in checks(read(tmp_path, (SHORT, lower), (line, against)), "performance")}
    assert found["performance/score.short/vs-champion"].direction is Direction.AT_MOST
    found = {c.id: c.limit for c in checks(read(tmp_path, (line, against)), "performance")}
    assert found["performance/score.short/vs-champion"].direction is Direction.AT_LEAST


def test_another_score_under_the_same_name_is_for_a_person_to_look_at(tmp_path: Path) -> None:
    base, head = read(tmp_path), read(tmp_path, (SHORT, 'short: {pattern: "."}'))
    found = compare(head, base)
    assert found.lenient
    assert any("scores" in place for place in found.measured)


GATES = "gates:\n"
FAIR, SIDES = "    fairness:\n      - {", "column: talk, values: [1, 2], at_most: 0.1}\n"
MONITOR = "monitor: {log: {path: log}, watch: [{window: {rows: 1000}, drift_at_most: 0.1}]}\n"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (TASK, "task: binary", "`target` names the column that holds the truth"),
        (TASK, f"{TASK}, prediction: {{kind: value}}", "a text task needs `prediction: {kind: text}`"),
        ("reference: {type: string,", "reference: {type: integer,", "the reference of a text is a string"),
        ("exact_match, at_least", "accuracy, at_least", "`accuracy` is no metric of a text task"),
        ("score.short, at_least", "score.long, at_least", "names `score.long`, but gates.performance.scores has none"),
        (SHORT, "short: {}", "give exactly one of `contains_any`"),
        (SHORT, "short: {pattern: a, contains_any: [b]}", "give exactly one of"),
        (SHORT, 'short: {pattern: "(?=a)"}', "no regular expression that RE2 reads"),
        (SHORT, "short: {json_schema: {type: thing}}", "no JSON Schema by itself"),
        (SHORT, "short: {json_schema: {$ref: 'file:///etc/passwd'}}", "no JSON Schema by itself"),
        (SHORT, "short: {retrieval: recall}", "`retrieval` needs `at`"),
        (SHORT, "short: {pattern: a, at: 3}", "nothing else takes it"),
        (SHORT, "short: {given: s.parquet}", "`given` needs `column`"),
        (SHORT, "short: {pattern: a, human: h}", "`human` is about a `given` score"),
        (SHORT, "short: {given: s.parquet, column: c, least: 2, largest: 1}", "`least` lies below `largest`"),
        (SHORT, "short: {contains_all: [a, '']}", "every answer holds an empty text"),
        (GATES, f"{GATES}  explainability: {{forbidden: [question]}}\n", "gates.explainability is about numbers"),
        ("data:\n", f"{MONITOR}data:\n", "monitor watches numbers and labels"),
        ("    scores:\n", f"{FAIR}measure: score, {SIDES}    scores:\n", "`measure: score` needs a `metric`"),
        ("    scores:\n", f"{FAIR}measure: mae, {SIDES}    scores:\n", "`mae` is no measure of a text task"),
        ("    scores:\n", f"{FAIR}measure: score, metric: custom.x, {SIDES}    scores:\n", "`custom.x` is none"),
        (TASK, f"{TASK}, champion: {{predictions: old.parquet}}", "model.champion names no `version`"),
        (TASK, f"{TASK}, candidate: {{version: '1'}}", "name a file of `predictions`, or the `endpoint` that answers"),
        (TASK, f"{TASK}, repeats: 0", "greater than or equal to 1"),
        ("task: text", "task: ranking, repeats: 2", "only a text task answers texts"),
    ],
)
def test_what_cannot_be_meant_is_refused(old: str, new: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError) as refused:
        read(tmp_path, (old, new))
    assert says in str(refused.value)


def test_a_model_that_samples_is_not_held_to_its_answers_under_load(tmp_path: Path) -> None:
    sampled = (TASK, f"{TASK}, repeats: 2")
    load = "  load: {rate: 10, seconds: 20, within: {latency_ms: 100, share_at_least: 0.5}, error_rate_at_most: 0.2, "
    load += "memory_mb_at_most: 900}\n"
    with pytest.raises(ContractError, match=r"gates\.load needs `answers_may_differ: true`"):
        read(tmp_path, sampled, (GATES, GATES + load))
    read(tmp_path, sampled, (GATES, GATES + load.replace("rate: 10", "answers_may_differ: true, rate: 10")))


def test_given_scores_need_a_key_and_are_data_that_decide(tmp_path: Path) -> None:
    given = (SHORT, "short: {given: judged/*.parquet, column: c, least: 1, largest: 5, unit: points}")
    with pytest.raises(ContractError, match="a `given` score is found by key"):
        read(tmp_path, ("role: key", "role: other"), given)
    contract = read(tmp_path, given)
    assert contract.gates.performance is not None
    metric = contract.gates.performance.catalogued("score.short")
    assert metric is not None
    assert (metric.unit, metric.range, metric.kind) == ("points", 4, "sum")
    assert "judged/*.parquet" in named_files("model_contract.yaml", contract)["data"]


def test_predictions_need_a_key(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"found by key, so a column of data\.columns needs `role: key`"):
        read(tmp_path, ("role: key", "role: other"), (TASK, f"{TASK}, candidate: {{predictions: new.parquet}}"))


@pytest.mark.parametrize("metric", ["token_f1", "exact_match", "bleu", "rougeL", "score.found"])
def test_a_score_of_both_needs_a_reference(metric: str, tmp_path: Path) -> None:
    lines = [line for line in CONTRACT.splitlines(keepends=True) if "- {metric" not in line or "refusal" in line]
    text = "".join(lines).replace(", target: reference", "").replace("role: target, ", "role: other, ")
    check = f"    checks:\n      - {{metric: {metric}, at_least: 0.1}}\n"
    text = text.replace("    checks:\n", check).replace(SHORT, "found: {retrieval: recall, at: 3}")
    (tmp_path / "model_contract.yaml").write_text(text)
    with pytest.raises(ContractError, match="needs a reference: name its column"):
        read_contract(tmp_path / "model_contract.yaml")


def test_predictions_are_of_a_registered_version_or_of_none(tmp_path: Path) -> None:
    found = read(tmp_path, (TASK, f"{TASK}, candidate: {{predictions: new.parquet, version: '3'}}")).model.candidate
    assert found is not None
    assert (found.predictions, found.version) == ("new.parquet", "3")
    with pytest.raises(ContractError):
        read(tmp_path, (TASK, f"{TASK}, candidate: {{predictions: new.parquet, version: latest}}"))


def test_drift_of_a_text_task_is_that_of_its_features(tmp_path: Path) -> None:
    data = (
        "  holdout: holdout.parquet\n",
        "  holdout: holdout.parquet\n  reference: r.parquet\n  current: c.parquet\n",
    )
    with pytest.raises(ContractError, match="write `predictions: false` and `target: false`"):
        read(tmp_path, data, (GATES, f"{GATES}  drift: {{at_most: 0.2}}\n"))
    assert read(tmp_path, data, (GATES, f"{GATES}  drift: {{predictions: false, target: false}}\n")).gates.drift
