"""What a reviewer reads in half a minute: the same in the job summary, the comment, the report and on the terminal."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from support.answers import (
    ANSWERS,
    GOLDEN,
    RAISED,
    Record,
    case,
    failed,
    first_part,
    inconclusive,
    interval,
    measured,
    unanswered,
)
from support.evidence_files import ROOT
from weighin.contract import checks
from weighin.contract.changes import Changes, FileChange
from weighin.contract.stricter import LimitChange
from weighin.outcome import Unmeasured, amount, census
from weighin.report import html, markdown, terminal
from weighin.report.answer import answer
from weighin.report.numbers import decimals

CHANGES = Changes(
    (FileChange("contract", "model_contract.yaml", "changed"), FileChange("code", "scripts/train.py", "changed")),
    (LimitChange("performance/roc_auc", "relaxed", "≥ 0.65", "≥ 0.5"),),
)
HOSTILE = "<img src=x onerror=alert(1)> [link](https://evil.example) @team #12 `x` | y\n::error::boo"


def places(record: Record, changes: Changes | None = None) -> dict[str, str]:
    """The four places, as plain text on one line."""
    printed = io.StringIO()
    Console(file=printed, width=10_000).print(terminal.terminal(record, changes))
    page = re.sub(r"(?s)<style>.*?</style>", "", html.report(record, changes))
    return {
        "terminal": plain(printed.getvalue()),
        "summary": plain(re.sub(r"\\(.)", r"\1", unescape(markdown.summary(record, changes)))),
        "comment": plain(re.sub(r"\\(.)", r"\1", unescape(markdown.comment(record, changes)))),
        "page": plain(unescape(re.sub(r"<[^>]+>", "", page))),
    }


def plain(text: str) -> str:
    return " ".join(text.replace("`", "").replace("**", "").replace("\u200b", "").split())


SENTENCES = {
    "passed": "Passed: flight-delay version 2 may replace version 1, since no metric is worse by more than allowed; "
    "log loss is better",
    "failed": "Failed: flight-delay version 2 may not replace version 1, since recall fell by more than allowed, and 1 "
    "more cause",
    "inconclusive": "Inconclusive: flight-delay version 2 cannot yet replace version 1, since the data do not settle "
    "recall",
    "unanswered": "Not evaluated: flight-delay version 2 cannot yet replace version 1, since 23 checks could not be "
    "evaluated: holdout.parquet: the model raised ValueError, code 1a2b3c",
    "first release": "Passed: flight-delay version 2 may be released as the first, since every limit of its own is "
    "kept",
    "own test": "Failed: flight-delay version 2 may not replace version 1, since `test_cancelled` failed: too many "
    "flights were cancelled",
}


@pytest.mark.parametrize("name", SENTENCES)
def test_one_sentence_says_the_verdict_and_what_decided_it(name: str, tmp_path: Path) -> None:
    record = ANSWERS[name](tmp_path)
    assert answer(record).sentence == SENTENCES[name]
    assert markdown.summary(record).splitlines()[0].startswith(f"## {answer(record).mark} ")


@pytest.mark.parametrize("name", ANSWERS)
def test_every_place_says_the_same(name: str, tmp_path: Path) -> None:
    record = ANSWERS[name](tmp_path)
    shown = answer(record)
    for place, text in places(record, CHANGES).items():
        said = [*shown.notes, *(step for step, _ in shown.steps), *(g.summary for g in shown.groups)]
        said += [cell for row in shown.headlines for cell in (row.name, row.candidate, row.difference, row.allowed)]
        said += [cause.likely for cause in shown.causes]
        if name != "long names":
            said += [shown.sentence.partition(": ")[2], *(cause.found[0] for cause in shown.causes)]
        assert [one for one in map(plain, said) if one not in text] == [], place
        assert "scripts/train.py changed" in text, place
        assert "performance/roc_auc relaxed: ≥ 0.65 → ≥ 0.5" in text, place
        assert "data: nothing" in text, place


def test_what_a_reviewer_asks_comes_in_its_order(tmp_path: Path) -> None:
    text = markdown.summary(failed(tmp_path), CHANGES)
    parts = [
        "## ❌",
        "| metric |",
        "**What blocks",
        "**What you can do**",
        "**This pull request changes**",
        "<details>",
    ]
    order = [text.index(part) for part in parts]
    assert order == sorted(order)
    page = html.report(failed(tmp_path), CHANGES)
    order = [page.index(part) for part in ("<h1>", 'id="headlines"', 'id="blocking"', 'id="steps"', 'id="changes"')]
    assert order == sorted(order)


@pytest.mark.parametrize("name", ["passed", "failed", "inconclusive", "unanswered", "first release"])
@pytest.mark.parametrize("ending", ["md", "txt"])
def test_the_first_part_is_as_it_was_agreed(name: str, ending: str, tmp_path: Path) -> None:
    """`PYTHONPATH=tests python -m support.answers` writes these files again."""
    assert first_part(ANSWERS[name](tmp_path), ending) == (GOLDEN / f"{name}.{ending}").read_text()


# --- what blocks


def test_a_cause_is_said_once_with_all_of_its_checks_in_every_suite(tmp_path: Path) -> None:
    record = unanswered(tmp_path)
    (cause,) = answer(record).causes
    assert {v.check.partition("/")[0] for v in cause.checks} == {"performance", "explainability"}
    assert len(cause.checks) == 23
    assert cause.likely.startswith("the model itself")
    text = markdown.summary(record).partition("**What blocks")[2].partition("**What you can do")[0]
    assert text.count("code 1a2b3c") == 1


def test_a_model_that_raises_comes_before_what_it_lets_fail(tmp_path: Path) -> None:
    made = case(tmp_path)
    for check in checks(made.file.contract, "performance"):
        made.evidence[check.id] = Unmeasured(check.id, RAISED)
    errors = made.check("load/errors")
    made.evidence[errors.id] = replace(interval(errors, 0.99, 0.009), unit="share of requests")
    first, second = answer(made.write().record()).causes
    assert (first.found[0], first.status) == (RAISED, "not_evaluated")
    assert second.found[0].startswith("failed requests: share of requests 0.990 (0.981 to 0.999)")
    assert second.likely == "the model itself, which raises"


def test_checks_of_one_column_are_one_cause_and_the_worst_comes_first(tmp_path: Path) -> None:
    made = case(tmp_path, recall=(0.412, 0.483))
    for name in ("data_quality/current/reference/dest", "data_quality/current/dest/pattern"):
        made.evidence[name] = census(name, 0.0231, n=12_345, unit="share", method="x", rows_breaking=285)
    made.evidence["drift/temp"] = Unmeasured("drift/temp", "no column temp")
    found = answer(made.write().record()).causes
    assert [(c.status, len(c.checks)) for c in found] == [("failed", 1), ("failed", 2), ("not_evaluated", 1)]
    assert found[0].short == "recall fell by more than allowed"
    assert found[1].found == (
        "`dest` in current: 285 of 12,345 rows (2.3 %) do not match the pattern; none is allowed",
        "`dest` in current: 285 of 12,345 rows (2.3 %) refer to nothing in the other table; 1 % is allowed",
    )


@pytest.mark.parametrize(
    ("changed", "likely"),
    [
        ({"recall": (0.412, 0.483)}, "so the threshold no longer fits it"),
        ({"log_loss": (0.6, 0.566)}, "so its probabilities are off: calibration"),
        ({"roc_auc": (0.66, 0.689)}, "ROC AUC changed most where carrier=UA (−0.200)"),
        (
            {"precision": (0.35, 0.398), "roc_auc": (0.66, 0.689)},
            "the ranking, which is worse than the champion's as well",
        ),
    ],
)
def test_the_likely_reason_follows_from_the_other_checks(
    changed: dict[str, tuple[float, float]], likely: str, tmp_path: Path
) -> None:
    made = case(tmp_path, **changed)
    part = made.check("performance/roc_auc/vs-champion/carrier=UA")
    made.evidence[part.id] = interval(part, -0.2, 0.02)
    found = [cause.likely for cause in answer(made.write().record()).causes]
    assert [one for one in found if one.endswith(likely)], found


def test_a_cause_leads_to_the_line_of_its_limit(tmp_path: Path) -> None:
    record = failed(tmp_path)
    place = answer(record).causes[0].place
    name, _, line = place.partition(":")
    assert name == "model_contract.yaml"
    assert "{metric: recall, against: champion" in (ROOT / name).read_text().splitlines()[int(line) - 1]
    for where, text in places(record).items():
        assert place in text, where
    assert "lines" not in ANSWERS["passed"](tmp_path / "passed")["contract"]


def test_nothing_is_offered_as_likely_where_the_record_does_not_say_so(tmp_path: Path) -> None:
    made = case(tmp_path, roc_auc=(0.60, 0.689))
    part = made.check("performance/roc_auc/vs-champion/carrier=UA")
    # As much as on all rows, and then in a small part that is judged with others.
    for found in (interval(part, -0.09, 0.02), replace(interval(part, -0.3, 0.02), detail={"pooled": "too small"})):
        made.evidence[part.id] = found
        assert [c.likely for c in answer(made.write().record()).causes] == [""]


def test_inconclusive_says_how_much_more_and_that_nothing_is_known_to_be_wrong(tmp_path: Path) -> None:
    shown = answer(inconclusive(tmp_path))
    assert "about 192 days would settle it, this has 76" in shown.causes[0].found[0]
    assert shown.steps == (("Nothing is known to be wrong. Add about 116 days to the holdout.", (1,)),)


def test_a_job_that_ended_red_because_of_what_blocks_does_not_open_the_summary(tmp_path: Path) -> None:
    record = failed(tmp_path)
    assert "job suites ended as failure" in record["verdict"]["messages"]
    text = markdown.summary(record)
    assert "ended as" not in text.partition("What it was decided on")[0]
    assert "job suites ended as failure: what blocks ended it" in text


@pytest.mark.parametrize(("result", "blocks"), [("failure", True), ("cancelled", True), ("success", False)])
def test_a_job_that_ended_red_without_another_cause_is_the_cause(result: str, blocks: bool, tmp_path: Path) -> None:
    record = case(tmp_path).write().record(needs={"predict": result})
    assert [c.short for c in answer(record).causes] == [f"job predict ended as {result}"] * blocks


def test_suites_that_were_left_out_are_one_cause(tmp_path: Path) -> None:
    made = case(tmp_path).write()
    (cause,) = answer(made.record(wanted=("performance", "load"))).causes
    assert cause.short == "suites data_quality, drift, explainability were left out: no verdict without them"
    assert cause.step == "Run `weighin validate` without `--suite`."


def test_a_suite_that_left_nothing_is_one_cause_with_its_checks(tmp_path: Path) -> None:
    record = case(tmp_path).write("performance", "data_quality", "explainability", "load").record()
    (cause,) = answer(record).causes
    assert cause.short == "suite drift left no evidence"
    assert len(cause.checks) == 17


def test_a_suite_that_only_warns_and_evaluated_nothing_is_a_cause(tmp_path: Path) -> None:
    record = case(tmp_path).write().record()
    (drift,) = [s for s in record["suites"] if s["suite"] == "drift"]
    drift["status"] = record["verdict"]["status"] = "not_evaluated"
    for outcome in drift["outcomes"]:
        outcome |= {"status": "not_evaluated", "evidence": {"unmeasured": "gone", "detail": {}}}
    assert [c.short for c in answer(record).causes] == ["suite drift: nothing in it was evaluated"]


def test_a_failure_that_chance_explains_says_so(tmp_path: Path) -> None:
    made = case(tmp_path)
    limit = made.check("performance/recall/vs-champion")
    weak = replace(interval(limit, -0.06, 0.009), p_value=0.04)
    made.evidence[limit.id] = weak
    (cause,) = answer(made.write().record()).causes
    assert cause.status == "inconclusive"
    assert "0.050 lower is allowed: failed alone, but not after Holm's correction over" in cause.found[0]
    assert "one fails by chance now and then" in cause.step


def test_a_record_of_the_first_form_is_shown(tmp_path: Path) -> None:
    record = json.loads((Path(__file__).parents[1] / "record/golden/decision-v1.json").read_text())
    for place, text in places(record).items():
        assert "m version 2 may not replace version 1" in text, place


def test_a_failing_test_of_the_team_shows_its_message_everywhere(tmp_path: Path) -> None:
    for place, text in places(ANSWERS["own test"](tmp_path)).items():
        assert "test_cancelled: too many flights were cancelled" in text, place
        assert "Run it where the data are: pytest validation_tests/test_data_quality.py::test_cancelled." in text, place


# --- numbers


def test_a_value_stands_beside_the_champions_with_difference_interval_and_margin(tmp_path: Path) -> None:
    rows = {row.name: row for row in answer(failed(tmp_path)).headlines}
    recall = rows["recall"]
    assert (recall.candidate, recall.baseline) == ("0.412", "0.483")
    assert (recall.difference, recall.allowed) == ("−0.071 [−0.084, −0.058]", "−0.050 or better; ≥ 0.3")
    assert (recall.word, recall.mark) == ("failed", "❌")
    assert rows["p50 latency"].candidate == "84 ms"
    assert [name for name, row in rows.items() if not row.passed] == ["recall"]


@pytest.mark.parametrize(
    ("check", "row"),
    [
        ("{metric: roc_auc, against: champion, relative_margin: 0.05}", "at most 5 % below the champion's"),
        ("{metric: roc_auc, against: champion, better_by: 0.01}", "+0.010 or better"),
    ],
)
def test_every_kind_of_margin_is_said_in_words(check: str, row: str, tmp_path: Path) -> None:
    from weighin.contract import read_contract

    made = case(tmp_path)
    text = made.file.path.read_text().replace("{metric: roc_auc, against: champion, margin: 0.01}", check)
    (tmp_path / "model_contract.yaml").write_text(text)
    again = type(made)(tmp_path / "reports", read_contract(tmp_path / "model_contract.yaml"))
    for one in checks(again.file.contract):
        found = measured(
            one, {"roc_auc": (0.70, 0.68), "log_loss": (0.5, 0.5), "precision": (0.4, 0.4), "recall": (0.4, 0.4)}
        )
        again.evidence |= {one.id: found} if found else {}
    assert row in [part for h in answer(again.write().record()).headlines for part in h.allowed.split("; ")]


def test_a_limit_and_what_broke_it_never_look_the_same() -> None:
    assert decimals(-0.0508, -0.0504, -0.0501, -0.05) == 4
    assert decimals(0.1, 0.2, 0.3, 0.0) == 2


def test_a_unit_is_in_words_and_is_never_counted(tmp_path: Path) -> None:
    assert amount("0.995 (0.991 to 0.999)", "share of requests") == "share of requests 0.995 (0.991 to 0.999)"
    record = failed(tmp_path)
    for place, text in places(record).items():
        assert not re.search(r"\d\]? share\b", text), place
    within = next(o for s in record["suites"] for o in s["outcomes"] if o["check"] == "load/within-300-ms")
    assert within["reason"].startswith("share of requests 0.9951 [0.9913, 0.9989], limit")


def test_the_table_fits_a_terminal_of_80_columns(tmp_path: Path) -> None:
    printed = io.StringIO()
    Console(file=printed, width=80).print(terminal.terminal(failed(tmp_path)))
    table = printed.getvalue().partition("metric ")[2].partition("\n\n")[0].splitlines()
    assert len(table) <= 1 + 2 * 7 + 2
    assert all(cell in printed.getvalue() for cell in ("−0.071 [−0.084, −0.058]", "❌ failed\n", "−0.050 or better;"))


# --- the rest


def test_the_rest_is_folded_by_dataset_with_counts_of_what_passed(tmp_path: Path) -> None:
    record = failed(tmp_path)
    text = markdown.summary(record)
    part = text[text.index("Data quality: ") :].partition("</details>")[0]
    (quality,) = [g for g in answer(record).groups if g.suite == "data_quality"]
    for count in quality.counts:
        assert f"| {count.name} | {len(count.views)} | {count.passed} |" in part
    assert [c.name for c in quality.counts] == ["reference", "holdout", "current"]
    # Counts that passed are no rows.
    assert part.count("`data_quality/") == 1
    page = html.report(record)
    folded = re.findall(r'<details class="counts"><summary>([^<]+)</summary>', page)
    assert f"{quality.counts[0].passed} counts on reference within the limits" in folded


def test_no_escape_of_markdown_stands_in_html(tmp_path: Path) -> None:
    text = markdown.summary(failed(tmp_path), CHANGES)
    summaries = re.findall(r"<summary>(.*?)</summary>", text)
    assert len(summaries) > 6
    assert [one for one in summaries if "\\" in one or "`" in one] == []
    assert "data\\_quality" not in text


@pytest.mark.parametrize("name", ANSWERS)
def test_every_row_of_a_table_has_its_cells_and_none_is_endless(name: str, tmp_path: Path) -> None:
    columns = 0
    for line in markdown.summary(ANSWERS[name](tmp_path), CHANGES).splitlines():
        if not line.startswith("|"):
            columns = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line)) - 1
        columns = columns or cells
        assert cells == columns, line
        assert all(len(cell) < 200 for cell in re.findall(r"`([^`]*)`", line)), line


def test_names_that_are_too_long_for_a_table_are_still_told_apart() -> None:
    long = "drift/" + "x" * 300
    assert len({markdown.code(f"{long}{end}") for end in ("/missing", "/mean")}) == 2
    assert len(markdown.code(long)) == 100


def test_a_first_release_is_compared_with_nothing_and_says_so(tmp_path: Path) -> None:
    for place, text in places(ANSWERS["first release"](tmp_path)).items():
        assert "First release: compared with nothing. 17 comparisons had no champion" in text, place
        assert "The contract says first_release: allow under gates.performance" in text, place
        assert "not compared" in text, place


def test_the_last_releases_stand_beside_the_candidate_where_the_record_knows_them(tmp_path: Path) -> None:
    found = answer(ANSWERS["passed"](tmp_path)).trend
    assert found is not None
    assert found.metrics[0] == "ROC AUC"
    assert [(name, day, values[0]) for name, day, values in found.rows] == [
        ("version 7, there before the ledger", "2013-06-02", "not known"),
        ("version 8", "2013-08-19", "0.681*"),
        ("version 1", "2013-10-04", "0.689"),
        ("version 2, the candidate", "2013-11-16", "0.694"),
    ]
    for place, text in places(ANSWERS["passed"](tmp_path / "again")).items():
        assert "0.681" in text, place
        assert "on another holdout than today's" in text, place
    assert answer(failed(tmp_path / "failed")).trend is None


def hostile(record: Any) -> Any:
    """A record in which every text that comes from outside is hostile."""
    for suite in record["suites"]:
        for outcome in suite["outcomes"]:
            if outcome["check"].startswith(("drift/", "performance/roc_auc")):
                outcome |= {"reason": HOSTILE, "check": outcome["check"] + HOSTILE}
                outcome["evidence"] |= {"unit": HOSTILE, "found": HOSTILE, "method": HOSTILE, "sampling_unit": HOSTILE}
                outcome |= {"status": "failed", "blocks": True}
    record["model"] = record["candidate"]["version"] = record["champion"]["version"] = HOSTILE
    record["verdict"]["problems"] = [HOSTILE, f"suite {HOSTILE}: gone"]
    return record


def test_hostile_texts_are_shown_and_do_nothing(tmp_path: Path) -> None:
    record = hostile(failed(tmp_path))
    told = Changes(
        (FileChange("engine", HOSTILE, "added"), FileChange("code", HOSTILE, "added")), (), (HOSTILE,), note=HOSTILE
    )
    text = markdown.summary(record, told)
    assert "onerror" in text
    assert "<img" not in text
    assert "::error" not in text
    # What stands in a span of code is no link and no mention; elsewhere there is none.
    outside = re.sub(r"(?<!\\)`[^`\n]*`", "", text)
    assert not re.search(r"(?<!\\)\]\(|https?://|@\w|#\d", outside)
    assert not re.search(r"(?m)^\s*::", text)
    page = html.report(record, told)
    assert "<img" not in page
    assert "&lt;img" in page
    printed = io.StringIO()
    Console(file=printed, width=200).print(terminal.terminal({**record, "model": "\x1b[2J"}, told))
    assert "\x1b" not in printed.getvalue()
