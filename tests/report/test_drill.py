"""The reports of a drill: the answer first, what gets through with its remedy, and no cell that only a colour tells."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema_rs import validator_for

from support import drilled
from weighin.report import drill

ROOT = Path(__file__).resolve().parents[2]


def test_the_value_has_the_published_form() -> None:
    validator_for(json.loads((ROOT / "docs/schema/drill-v1.schema.json").read_text())).validate(drilled.value())


def test_the_summary_says_what_gets_through_and_from_which_size_on_it_would_not() -> None:
    text = drill.markdown(drilled.value())
    assert "**1 of 3 faults are blocked at the sizes that are stated, 1 inconclusive, 1 missed.**" in text
    assert "- **data-missing**: Do what data-missing does. At 0.2 (share of the rows) no check notices it." in text
    assert "performance/log_loss is inconclusive; no size up to 0.05 is blocked with 80 %" in text
    assert "gates.performance.checks" in text
    assert "| labels-flipped | 0.2 share of the rows | \u2713 |" in text
    assert "3 of 200 draws blocked; 95% passed, `weighin contract check` predicts 93%" in text
    assert "## ML Test Score: 0" in text


def test_every_cell_of_the_heat_map_has_a_sign_or_a_word() -> None:
    page = drill.html(drilled.value())
    for said in ("\u2713 blocked", "? inconclusive", "\u2717 missed", "\u00b7 not applicable", "! error"):
        assert said in page, said
    assert page.count('<svg class="dose"') == 2
    assert "no bound" in page


def test_texts_of_a_stranger_are_shown_and_not_obeyed() -> None:
    value = drilled.value()
    value["faults"][0]["what"] = "<script>alert(1)</script>"
    value["faults"][3]["reason"] = "a|b <b>c</b>"
    assert "<script>" not in drill.html(value)
    assert "| a|b" not in drill.markdown(value)
