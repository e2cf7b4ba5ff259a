"""The page of a run says what a run found, as text, and the step fails where people have to look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.monitor_pages import event, item, measured, notified, run
from weighin.github import monitor_summary
from weighin.monitor.result import EXIT_CODES, SCHEMA, document
from weighin.outcome import Direction, Limit

HOSTILE = "![x](http://x/y) @team #1 <script> ::error::gone %0A\n::set-output name=a::b\n## Passed"


def left(folder: Path, value: Any, said: str = "") -> tuple[Path, Path, Path]:
    place, printed, page = folder / "monitor.json", folder / "look.txt", folder / "summary.md"
    if value is not None:
        place.write_text(value if isinstance(value, str) else json.dumps(value))
    printed.write_text(said)
    page.write_text("before\n")
    return place, printed, page


def ran(folder: Path, value: Any, code: int, said: str = "") -> tuple[int, str]:
    place, printed, page = left(folder, value, said)
    words = [str(place), "--code", str(code), "--said", str(printed), "--summary", str(page)]
    return monitor_summary.main(words), page.read_text()


def test_it_reads_what_the_monitor_writes() -> None:
    assert monitor_summary.SCHEMA == SCHEMA
    assert set(EXIT_CODES.values()) < set(monitor_summary.MEANING)


@pytest.mark.parametrize(
    ("code", "ends", "said"),
    [
        (0, 0, ""),
        (1, 1, "::error title=weigh-in monitor::People have to look"),
        (4, 4, "::error title=weigh-in monitor::The contract, or an argument, cannot be used"),
        (6, 0, "::notice title=weigh-in monitor::Not enough evidence: no alarm, and no all-clear."),
        (7, 7, "::error title=weigh-in monitor::The log or the registry could not be read"),
        (3, 3, "::error title=weigh-in monitor::Exit code 3."),
        (137, 137, "::error title=weigh-in monitor::Exit code 137."),
    ],
)
def test_the_exit_code_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: int, ends: int, said: str
) -> None:
    assert ran(tmp_path, notified()[0], code)[0] == ends
    commands = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::")]
    assert [c[: len(said)] for c in commands] == ([said] if said else [])


def test_the_summary_says_the_state_and_when_the_last_look_was(tmp_path: Path) -> None:
    code, page = ran(tmp_path, notified()[0], 1)
    assert page.startswith(
        "before\n## flight-delay version 3: alert\n\nLast run: **2026-11-27T12:00:00+00:00**, in 1.34 s."
    )
    assert "- alarm open: monitor/last-1-hours/drift/temp" in page
    assert "- not\\_evaluated: monitor/last-1000/f1: no label has come" in page
    assert "- 3 of 6 checks pass" in page
    assert code == 1


def test_what_strangers_wrote_is_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check = f"monitor/{HOSTILE}"
    events = [event(1, "alarm", 3, checks=(check,), message=HOSTILE)]
    evidence = [(item(check, Limit(Direction.AT_MOST, 0.01, 0.01)), measured(check, 0.05, 0.001))]
    value = document(run(evidence, events, model=HOSTILE, version=HOSTILE, problems=[HOSTILE], new=1))
    code, page = ran(tmp_path, value, 1, HOSTILE)
    printed = capsys.readouterr().out
    assert code == 1
    assert page.count("\n## ") == 1
    for words in ("<script>", "http://", "@team", "#1", "::error::"):
        assert words not in page
    assert [line for line in printed.splitlines() if line.startswith("::")] == [printed.splitlines()[-1]]
    assert printed.count("::set-output") == 0
    assert "%0A" not in printed.splitlines()[-1]


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "[]",
        "{",
        "null",
        {"schema": SCHEMA},
        {**notified()[0], "schema": "other"},
        {**notified()[0], "checks": [1]},
    ],
)
def test_without_a_document_the_last_line_is_what_is_known(tmp_path: Path, value: Any) -> None:
    code, page = ran(tmp_path, value, 1, "first\nthe last run was 44.0 minutes ago\n\n")
    assert code == 1
    assert page == f"before\n## Monitor\n\n{monitor_summary.MEANING[1]}\n\nthe last run was 44.0 minutes ago\n"


def test_a_document_that_is_a_link_or_too_large_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, printed, _ = left(tmp_path, notified()[0], "said")
    link = tmp_path / "link.json"
    link.symlink_to(place)
    assert monitor_summary.read(place) is not None
    assert monitor_summary.read(link) is None
    monkeypatch.setattr(monitor_summary, "LARGEST", 10)
    assert monitor_summary.read(place) is None
    assert monitor_summary.last_line(printed) == "said"


def test_a_long_list_is_cut_and_counted(tmp_path: Path) -> None:
    value = {**notified()[0], "problems": [f"problem {i}" for i in range(50)]}
    _, page = ran(tmp_path, value, 0)
    assert page.count("problem ") == 20
    assert "- and 30 more, in monitor.html" in page
