"""Tests of release.rego: edit them with it. In each one thing is missing, and the answer must be no."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.evidence_files import Case
from weighin.errors import PromotionError
from weighin.release.policy import demand

POLICY = Path(__file__).with_name("release.rego")


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """What promotion shows a policy, for a real record that passed, with two approvals."""
    record = Case(tmp_path / "reports").write().record()
    approvals = [{"name": name, "how": "key", "said": "now", "comment": "fine"} for name in ("risk", "owner")]
    return {"record": record, "record_digest": "sha256:x", "approvals": approvals, "promoter": "release-bot"}


def test_a_record_that_lacks_nothing_is_allowed(given: dict[str, Any]) -> None:
    demand(POLICY, given)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda g: g["record"]["policy_inputs"]["suites"].remove("load"), "suite load is required"),
        (lambda g: g["record"]["policy_inputs"].update(fairness_checks=0), "0 fairness checks"),
        (lambda g: g["record"]["policy_inputs"].update(explainability_done=False), "explainability was not done"),
        (lambda g: g["record"]["data"].update(scraped={"sha256": "x"}), "dataset scraped is not approved"),
        (lambda g: g["approvals"].pop(), "1 approvals by others"),
        (lambda g: g.update(promoter="owner"), "1 approvals by others than owner"),
        (lambda g: g["record"].pop("policy_inputs"), "explainability was not done"),
        (lambda g: g.pop("approvals"), "`allow` is not true|denies"),
        (lambda g: g["record"]["verdict"].update(status="failed"), "`allow` is not true"),
    ],
)
def test_what_lacks_one_thing_is_denied(change: Any, says: str, given: dict[str, Any]) -> None:
    change(given)
    with pytest.raises(PromotionError, match=says):
        demand(POLICY, given)
