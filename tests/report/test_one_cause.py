"""What a failure found, and one cause of many checks, stand once on terminal, summary, page and annotation alike."""

from __future__ import annotations

import io
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from support.evidence_files import Case
from weighin.contract import checks
from weighin.outcome import Unmeasured, census
from weighin.record.verify import verify
from weighin.report import annotations, html, markdown, terminal

FOUND = "distance: float in the reference, integer now"
CAUSE = "the model raised ValueError, code 1a2b3c"


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path / "reports")


def shown(record: dict[str, Any]) -> dict[str, str]:
    """What blocks in the four places, as plain text."""
    printed = io.StringIO()
    Console(file=printed, width=10_000).print(terminal.terminal(record))
    page = html.report(record)
    blocking = page[page.index('<section id="blocking"') :].partition("</section>")[0]
    return {
        "terminal": printed.getvalue().partition("What blocks")[2].partition("What you can do")[0],
        "summary": re.sub(r"\\(.)", r"\1", markdown.summary(record).partition("**What blocks")[2]).partition(
            "**What you"
        )[0],
        "page": unescape(re.sub(r"<[^>]+>", " ", blocking)),
        "annotations": "\n".join(annotations.commands(record, "model_contract.yaml", {})),
    }


def test_what_was_found_stands_everywhere(case: Case) -> None:
    name = "drift/table"
    case.evidence[name] = census(name, 1, n=9, unit="columns", method="types", found=FOUND)
    record = case.write().record()
    for place, text in shown(record).items():
        assert text.count(FOUND) == 1, place
        assert "1 columns" not in text, place
    assert f"{name}: failed: {FOUND} (1 column, limit ≤ 0)" in record["verdict"]["messages"]


def test_one_cause_of_many_checks_is_said_once_with_their_number(case: Case) -> None:
    listed = checks(case.file.contract, "performance")
    case.evidence |= {c.id: Unmeasured(c.id, CAUSE) for c in listed}
    blocking = [c.id for c in listed if c.limit.severity == "block"]
    record = case.write().record()
    for place, text in shown(record).items():
        assert text.count(CAUSE) == (2 if place == "annotations" else 1), place
        assert f"{len(blocking)} checks" in text, place
        assert place in ("terminal", "annotations") or not [name for name in blocking if name not in text], place
    # The record has each check with its reason; the page has it in its first line, in what blocks, and in the suite.
    assert len([m for m in record["verdict"]["messages"] if CAUSE in m]) == len(blocking)
    page = html.report(record)
    assert page.count(CAUSE) == 3
    assert page.count("as above") == len(listed) - 1


def test_two_causes_are_two_sentences(case: Case) -> None:
    one, other = checks(case.file.contract, "performance")[1:3]
    case.evidence |= {one.id: Unmeasured(one.id, CAUSE), other.id: Unmeasured(other.id, "there are no labels")}
    for place, text in shown(case.write().record()).items():
        assert (text.count(CAUSE), text.count("there are no labels"), "2 checks (" in text) == (1, 1, False), place


@pytest.mark.parametrize("key", ["found", "fault"])
def test_a_sentence_that_was_changed_in_the_record_is_refused(key: str, case: Case, tmp_path: Path) -> None:
    from weighin.canonical import write_json
    from weighin.errors import RecordRefused

    case.evidence["drift/table"] = census("drift/table", 1, n=9, unit="columns", method="types", found=FOUND)
    record = case.write().record()
    write_json(tmp_path / "record.json", record)
    verify(tmp_path / "record.json")
    (outcome,) = [o for s in record["suites"] for o in s["outcomes"] if o["check"] == "drift/table"]
    outcome["evidence"][key] = "nothing to see"
    write_json(tmp_path / "record.json", record)
    with pytest.raises(RecordRefused, match="drift/table: its numbers do not say"):
        verify(tmp_path / "record.json")
