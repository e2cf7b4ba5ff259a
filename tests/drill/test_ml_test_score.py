"""The ML Test Score: nothing counts without evidence, and the total is the lowest section."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import yaml

from weighin.contract import Contract
from weighin.contract.ml_test_score import NAMES
from weighin.drill.ml_test_score import SECTIONS, TESTS, score
from weighin.report.drill import badge

ROOT = Path(__file__).resolve().parents[2]
TODAY = date(2026, 11, 30)
NOTHING: dict[str, Any] = {"faults": []}


def contract(**more: Any) -> Contract:
    text = (ROOT / "docs/reference/contracts/minimal.yaml").read_text()
    return Contract.model_validate({**yaml.safe_load(text), **more})


def points(found: dict[str, Any], name: str) -> float:
    return float(next(t["points"] for t in found["tests"] if t["name"] == name))


def test_there_are_seven_tests_in_each_of_four_sections_and_the_contract_knows_them_all() -> None:
    assert tuple(t.name for t in TESTS) == NAMES
    assert [sum(t.section == s for t in TESTS) for s in SECTIONS] == [7, 7, 7, 7]


def test_without_a_record_a_drill_and_a_word_of_anybody_every_test_counts_nothing() -> None:
    found = score(contract(), None, NOTHING, TODAY)
    assert found["total"] == 0
    assert {t["points"] for t in found["tests"]} == {0.0}


def test_what_somebody_vouches_for_counts_a_half_for_a_year() -> None:
    entry = {"owner": "team", "done": "2026-01-15", "where": "docs/tuning.md"}
    known = contract(ml_test_score={"model-tuned": entry, "data-cost": {**entry, "done": "2025-01-15"}})
    found = score(known, None, NOTHING, TODAY)
    assert points(found, "model-tuned") == 0.5
    assert points(found, "data-cost") == 0.0
    assert found["sections"]["model"] == 0.5
    assert found["total"] == 0


def test_a_check_of_the_record_counts_with_the_kill_of_the_drill_and_not_without() -> None:
    record = {"suites": [{"outcomes": [{"check": "data_quality/holdout/a/type", "status": "passed"}]}]}
    killed = {"faults": [{"name": n, "answer": "blocked"} for n in ("data-as-text", "data-column-absent")]}
    assert points(score(contract(), record, killed, TODAY), "data-schema") == 1
    assert points(score(contract(), record, NOTHING, TODAY), "data-schema") == 0
    failed = {"suites": [{"outcomes": [{"check": "data_quality/holdout/a/type", "status": "failed"}]}]}
    assert points(score(contract(), failed, killed, TODAY), "data-schema") == 0


def test_the_badge_shows_the_total() -> None:
    found = score(contract(), None, NOTHING, TODAY)
    assert ">0</text>" in badge(found)
    assert "serious holes" in badge(found)
