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


DRILL = {"faults": 66, "killed": 62, "score": 0.9394, "age_days": 3.0, "same_contract": True}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, ""),
        ({"faults": 12}, "the drill tried 12 faults, 45 are required"),
        ({"score": 0.5}, "the drill blocked a share of 0.5, 0.8 is required"),
        ({"age_days": 31.1}, "the drill is 31.1 days old, at most 31 are allowed"),
        ({"same_contract": False}, "the drill is of another contract"),
        (None, "no drill of this gate is known"),
    ],
)
def test_a_policy_that_demands_a_drill_is_met_by_a_fresh_one_of_this_contract_alone(
    change: dict[str, Any] | None, says: str, given: dict[str, Any], tmp_path: Path
) -> None:
    demanding = tmp_path / "release.rego"
    demanding.write_text(POLICY.read_text().replace("drill_faults_at_least := 0", "drill_faults_at_least := 45"))
    if change is not None:
        given["record"]["drill"] = {**DRILL, **change}
    if not says:
        demand(demanding, given)
        return
    with pytest.raises(PromotionError, match=says):
        demand(demanding, given)
