"""The load gate of a contract: what belongs together, and limits that no server could be shown to keep."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from weighin.contract.load import Load
from weighin.runner.plan import sessions

GOOD: dict[str, Any] = {
    "rate": 10,
    "seconds": 20,
    "within": {"latency_ms": 100, "share_at_least": 0.9},
    "error_rate_at_most": 0.05,
    "memory_mb_at_most": 1000,
}
FULL = {"profile": "full", "stress": {"rate_at_most": 80, "factor": 2, "max_sustainable_rate_at_least": 30}}


def load(**changes: Any) -> Load:
    return Load.model_validate({**GOOD, **changes})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"stress": FULL["stress"]}, "`stress` needs `profile: full`"),
        ({"clean_environment": True}, "`clean_environment` needs `profile: full`"),
        ({"memory_growth_mb_at_most": 5}, "needs `profile: full`"),
        ({"profile": "full", "recovery_seconds_at_most": 5}, "needs `stress`"),
        ({"batch_rows": []}, "lists no size"),
        ({"timeout_seconds": 0.1}, "`timeout_seconds` must be longer"),
        ({"quantiles": [{"quantile": 0.5, "latency_ms_at_most": 20000}]}, "`timeout_seconds` must be longer"),
        ({"peak": {"rate": 10, "latency_ms": 100, "share_at_least": 0.5}}, "not above the expected one"),
        ({**FULL, "stress": {"rate_at_most": 9, "max_sustainable_rate_at_least": 5}}, "not above the expected rate"),
        ({"seconds": 4}, "ten times `stall_seconds`"),
        ({"peak": {"rate": 20, "seconds": 4, "latency_ms": 100, "share_at_least": 0.5}}, "the peak's `seconds`"),
        ({"memory_mb_at_most": None}, "`memory_mb_at_most` is missing"),
        ({"server": {"url": "http://staging:8080"}}, "`memory_mb_at_most` cannot be measured"),
        ({"server": {"url": "http://me:secret@staging"}, "memory_mb_at_most": None}, "without a user or a password"),
        ({"server": {"url": "http://staging", "command": ["x"]}, "memory_mb_at_most": None}, "runs already"),
        ({"server": {"request": "template"}}, "needs one"),
        ({"server": {"template": "{}"}}, "belongs to `request: template`"),
        ({"server": {"request": "template", "template": "{}"}}, "every request would be the same"),
        ({"server": {"predictions": "data.outputs"}}, "is a JSON pointer"),
        ({**FULL, "clean_environment": True, "server": {"image": "ours"}}, "about MLflow's scoring server"),
    ],
)
def test_what_does_not_belong_together_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        load(**changes)
    assert says in str(refused.value)


def test_a_limit_that_the_planned_time_cannot_prove_is_said() -> None:
    assert load().unprovable(0.05) == []
    (said,) = load(within={"latency_ms": 100, "share_at_least": 0.99}).unprovable(0.05)
    assert "`within.share_at_least` can never pass: 80 blocks of 0.5 s prove a share of 0.9632 at best" in said
    assert "299 blocks are needed" in said
    (said,) = load(error_rate_at_most=0).unprovable(0.05)
    assert "no time is long enough" in said
    tail = {"quantile": 0.999, "latency_ms_at_most": 500}
    (said,) = load(quantiles=[tail]).unprovable(0.05)
    assert "2,995 blocks are needed" in said
    assert load(quantiles=[{**tail, "severity": "warn"}]).unprovable(0.05) == []


def test_enough_blocks_are_enough() -> None:
    strict = {"latency_ms": 100, "share_at_least": 0.99}
    assert load(within=strict, seconds=74.5).unprovable(0.05) != []
    assert load(within=strict, seconds=75).unprovable(0.05) == []
    assert load(within=strict, seconds=75).unprovable(0.01) != []


def test_the_quick_profile_has_two_starts_the_probes_at_the_first_and_the_peak_at_the_last() -> None:
    peak = {"rate": 20, "latency_ms": 200, "share_at_least": 0.5}
    found = sessions(load(peak=peak, against_champion={}), champion=True)
    assert [s.name for s in found] == ["candidate-0", "champion-0", "candidate-1", "champion-1"]
    assert [p.name for p in found[0].phases] == ["warm_up", "load"]
    assert [p.name for p in found[2].phases] == ["warm_up", "load", "peak"]
    assert [s.probes for s in found] == [True, False, False, False]
    assert len(sessions(load(against_champion={}), champion=False)) == 2


def test_the_full_profile_ends_with_a_ramp_a_recovery_and_a_clean_environment() -> None:
    gate = load(**FULL, recovery_seconds_at_most=10, clean_environment=True, starts=3)
    found = sessions(gate, champion=False)
    assert [s.name for s in found] == ["candidate-0", "candidate-1", "candidate-2", "clean-0"]
    last = found[2].phases
    assert [(p.name, p.rate) for p in last[2:5]] == [("stress-1", 20), ("stress-2", 40), ("stress-3", 80)]
    assert (last[5].name, last[5].rate, last[5].seconds) == ("recovery", 10, 15)
    assert all(not p.stress for p in found[0].phases)


def test_a_ramp_ends_at_its_last_rate_exactly() -> None:
    gate = load(profile="full", stress={"rate_at_most": 50, "factor": 1.5, "max_sustainable_rate_at_least": 20})
    assert [p.rate for p in sessions(gate, champion=False)[-1].phases if p.stress] == [15, 22.5, 33.75, 50]
