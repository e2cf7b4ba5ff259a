"""The summary: half a minute of reading, every blocking check in it, and nothing in it that acts."""

from __future__ import annotations

import io
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from support.evidence_files import Case, interval
from weighin.contract import checks
from weighin.outcome import Unmeasured, census
from weighin.release.promote import Promotion
from weighin.report import markdown, terminal
from weighin.report.answer import NoDecision

HOSTILE = (
    "<img src=x onerror=alert(1)> [link](https://evil.example) @team #12 `x` | y\n::error::boo ![p](//q) www.evil.org"
)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path / "reports")


def test_a_pass_says_so_in_the_first_line_and_names_versions_and_risk(case: Case) -> None:
    lines = markdown.summary(case.write().record()).splitlines()
    assert lines[0].startswith("## ✅ Passed: flight-delay version 2 may replace version 1, since no metric is worse")
    assert any("probability at most 0.05" in line and "one evaluation" in line for line in lines)


def test_what_blocks_stands_there_with_interval_and_limit(case: Case) -> None:
    check = case.check("performance/roc_auc/vs-champion")
    case.evidence[check.id] = interval(check, -0.05, 0.02)
    text = markdown.summary(case.write().record())
    assert text.startswith("## ❌ Failed: flight-delay version 2 may not replace version 1, since ROC AUC fell by more")
    line = next(line for line in text.splitlines() if f"`{check.id}`" in line)
    assert "failed" in line
    assert "0.050 lower than the champion's (0.030 to 0.070, 76 days); 0.010 lower is allowed" in line


def test_an_inconclusive_check_says_how_much_evidence_is_needed(case: Case) -> None:
    check = case.check("performance/roc_auc/vs-champion")
    case.evidence[check.id] = interval(check, -0.005, 0.02)
    text = markdown.summary(case.write().record())
    line = next(line for line in text.splitlines() if f"`{check.id}`" in line)
    assert re.search(r"about [\d,]+ days would settle it", line)
    assert re.search(r"Nothing is known to be wrong. Add about [\d,]+ days to the holdout", text)


def test_an_absent_suite_is_named_first(case: Case) -> None:
    text = markdown.summary(case.write("performance", "drift", "load").record())
    assert text.startswith(
        "## ⛔ Not evaluated: flight-delay version 2 cannot yet replace version 1, since suite data\\_quality"
    )
    assert "1. ⛔ not evaluated: suite data\\_quality: " in text


def test_hostile_text_is_shown_and_does_nothing(case: Case) -> None:
    case.evidence["drift/temp"] = Unmeasured("drift/temp", HOSTILE)
    case.evidence["drift/dewp"] = replace(interval(case.check("drift/dewp"), 0.9, 0.1), unit=HOSTILE)
    text = markdown.summary(case.write().record())
    assert "onerror" in text  # it is shown, as text
    assert "<img" not in text
    assert not re.search(r"(?<!\\)\]\(", text)
    assert not re.search(r"@\w", text)
    assert not re.search(r"#\d", text)
    assert not re.search(r"(?m)^::", text)
    assert "www.evil" not in text
    assert "https://evil" not in text
    assert all(line.count(" | ") in (2, 5) for line in text.splitlines() if line.startswith("| "))


def test_a_summary_never_grows_too_long_and_never_loses_a_blocking_check(case: Case) -> None:
    listed = [c for c in checks(case.file.contract) if c.suite != "model"]
    case.evidence |= {c.id: Unmeasured(c.id, f"{number}" + "x" * 5_000) for number, c in enumerate(listed)}
    text = markdown.summary(case.write().record())
    assert len(text.encode()) <= markdown.BYTES
    for check in listed:
        if check.limit.severity == "block":
            assert f"`{markdown.code(check.id)}`" in text


def test_warnings_are_counted_but_do_not_block(case: Case) -> None:
    check = case.check("performance/roc_auc/vs-champion/carrier=UA")
    case.evidence[check.id] = interval(check, -0.2, 0.05)
    text = markdown.summary(case.write().record())
    assert text.startswith("## ✅")
    assert "<details><summary>1 warning, which does not block</summary>" in text


def test_a_run_without_a_decision_says_why_where_and_who_can_mend_it() -> None:
    why = NoDecision("the registry is away <b>@all</b>", "sqlite:///x", "Start it.", "whoever runs the model registry")
    lines = markdown.no_decision(why).splitlines()
    assert lines[0].startswith("## ⛔ Not evaluated: the registry is away")
    assert lines[-3:] == [
        "- Where: sqlite:///x",
        "- What to do: Start it.",
        "- Who can do it: whoever runs the model registry",
    ]
    assert "<b>" not in "".join(lines)


def test_the_terminal_shows_the_verdict_and_what_blocks(case: Case) -> None:
    from rich.console import Console

    case.evidence["load/wrong-answers"] = census("load/wrong-answers", 3, n=10, unit="answers", method="m[red]")
    console = Console(record=True, width=160, file=io.StringIO())
    console.print(terminal.terminal(case.write().record()))
    message = console.export_text()
    assert "❌ FAILED: flight-delay version 2 may not replace version 1" in message
    assert "1. failed: `load/wrong-answers`: 3 answers; none is allowed" in message


def test_the_note_of_a_promotion_says_who_is_champion_on_what(case: Case, tmp_path: Path) -> None:
    record = case.write().record()
    done = Promotion("flight-delay", "champion", "1", "2", "sha256:" + "a" * 64, False, "sha256:key")
    note = markdown.promoted(record, asdict(done))
    assert note.splitlines()[:2] == [markdown.PROMOTED, "## 🏆 flight-delay: version 2 is `champion`"]
    assert "Before it was version 1." in note
    assert "signed by `sha256:key`" in note
    hostile = markdown.promoted(record, {**asdict(done), "model": HOSTILE, "before": HOSTILE})
    for harm in ("<img", "\n::", " @team", "[link]("):
        assert harm not in hostile
