"""Limits of a draft, from what was measured: each leaves the room that its own interval says is noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from weighin.init.numbers import above, below, under
from weighin.outcome import Measurement, Outcome, Unmeasured
from weighin.stats.distributions import normal_cdf, normal_quantile
from weighin.stats.metrics import METRICS

Found = Mapping[str, Measurement | Unmeasured]
METRICS_OF = {
    "probability": ("roc_auc", "log_loss"),
    "score": ("roc_auc",),
    "value": ("mae", "rmse"),
    "probabilities": ("accuracy", "log_loss"),
}
"""What a model answers -> the metrics of its draft."""
OF_LABELS = {"binary": ("accuracy", "balanced_accuracy"), "multiclass": ("accuracy", "f1_macro")}
LOOSE = 1e9
ALPHA = 0.05
SHARE = 0.9
"""Share of the importance that one feature may have."""
IN_TIME = 0.85
"""Share of the answers that must come in time: fifty blocks prove 0.94 at best, and one may stall."""
SLOWER = 4
"""A served model may be so many times slower than in the trial: another machine, and other work on it."""
UNSURE = {"when_inconclusive": "warn"}
"""Ten seconds on one machine do not say what another one does: what is undecided there is said, and does not block."""
LARGER = 1.5
"""Times the memory of the trial."""
TRIAL_SECONDS = 5
STALL = 0.2
DRIFT = 0.1
"""The usual limit on PSI (Siddiqi 2006, Credit Risk Scorecards: below 0.1 the population is taken as stable)."""


def metrics_of(task: str, kind: str) -> tuple[str, ...]:
    """Return the metrics of a draft."""
    return OF_LABELS[task] if kind == "label" else METRICS_OF[kind]


def loose(task: str, kind: str) -> dict[str, object]:
    """Return a performance gate that measures and limits nothing."""
    at = {True: "at_most", False: "at_least"}
    checks = [
        {"metric": m, at[METRICS[m].lower_is_better]: LOOSE if METRICS[m].lower_is_better else -LOOSE}
        for m in metrics_of(task, kind)
    ]
    return {"first_release": "allow", "checks": checks}


def performance(found: Found, task: str, kind: str) -> tuple[dict[str, object], dict[str, str], list[str]]:
    """Return the gate, the comments beside its lines, and what could not be measured, as questions."""
    checks: list[dict[str, object]] = []
    notes: dict[str, str] = {}
    asked: list[str] = []
    for metric in metrics_of(task, kind):
        one = found.get(f"performance/{metric}")
        if not isinstance(one, Measurement) or not math.isfinite(one.low + one.high):
            why = one.reason if isinstance(one, Unmeasured) else "it has no bounds"
            asked.append(f"{metric} is not limited: {why}")
            continue
        half = max(one.estimate - one.low, one.high - one.estimate)
        # Once more the half of the interval: of a model that is as good as this one, most samples pass.
        worst = one.high + half if METRICS[metric].lower_is_better else one.low - half
        limit = _beyond(worst, half, up=METRICS[metric].lower_is_better)
        at = "at_most" if METRICS[metric].lower_is_better else "at_least"
        shown = _interval(one, lower_is_better=METRICS[metric].lower_is_better)
        notes[f"performance.checks.{len(checks)}"] = f"this model: {shown}"
        checks.append({"metric": metric, at: limit})
    for metric in [str(c["metric"]) for c in checks]:
        one = found[f"performance/{metric}"]
        assert isinstance(one, Measurement)
        margin = above(max(one.estimate - one.low, one.high - one.estimate)) or above(abs(one.estimate) * 0.01) or 0.01
        notes[f"performance.checks.{len(checks)}"] = _power(margin, one)
        checks.append({"metric": metric, "against": "champion", "margin": margin})
    return {"first_release": "allow", "checks": checks}, notes, asked


def _beyond(value: float, half: float, *, up: bool) -> float:
    """Round away to the second digit of half an interval: a hundredth of the interval at most is given away."""
    if half <= 0:
        return above(value, 3) if up else under(value, 3)
    power = math.floor(math.log10(half)) - 1
    return -below(-value, power) if up else below(value, power)


def _interval(one: Measurement, *, lower_is_better: bool) -> str:
    side = f"{one.high:.4g} or less" if lower_is_better else f"{one.low:.4g} or more"
    return f"{one.estimate:.4g}, at 95 % confidence {side} ({one.n:,} {one.sampling_unit})"


def _power(margin: float, one: Measurement) -> str:
    """Say how often a candidate that is as good as the champion passes, by how alike the two answer."""
    error = max(one.estimate - one.low, one.high - one.estimate) / normal_quantile(1 - ALPHA)
    if error <= 0:
        return "how much worse is too much?"

    def passes(correlation: float) -> int:
        of_difference = error * math.sqrt(2 * (1 - correlation))
        return math.floor(100 * normal_cdf(margin / of_difference - normal_quantile(1 - ALPHA)))

    return (
        f"an equal candidate passes with {passes(0.9)} %, or {passes(0.5)} % if its errors correlate little with the "
        "champion's (0.9, 0.5)"
    )


def drift(found: Found, arrays: list[str]) -> tuple[dict[str, object], dict[str, str]]:
    """Return the gate: a limit of its own for each column that differs by more between windows of these data."""
    columns: dict[str, object] = {
        name: {"ignore": True, "reason": "no distance is known for arrays"} for name in arrays
    }
    for name, one in found.items():
        column = name.removeprefix("drift/")
        if column == name or "/" in column or column == "table":
            continue
        if isinstance(one, Unmeasured):
            columns[column] = {"ignore": True, "reason": "nothing could be compared when this was drafted"}
        elif one.high > DRIFT:
            columns[column] = {"at_most": above(one.high * 1.25), "reason": "windows of the data differ by as much"}
    return {"at_most": DRIFT, **({"columns": columns} if columns else {})}, {
        "drift.at_most": "PSI; below 0.1 a distribution is usually called stable"
    }


def explainability(found: Found) -> dict[str, object] | None:
    """Return the gate; nothing where one feature is nearly everything, or nothing could be measured."""
    shares = [one for name, one in found.items() if name.startswith("explainability/share/")]
    if not shares or any(not isinstance(one, Measurement) or one.high > SHARE for one in shares):
        return None
    return {"rows": 1000, "repeats": 2, "share_at_most": SHARE}


def trial_load() -> dict[str, object]:
    """Return a load gate for a trial of ten seconds, at two starts."""
    return {
        **_asked(TRIAL_SECONDS, STALL),
        "within": {"latency_ms": 9000, "share_at_least": 0.01},
        "quantiles": [{"quantile": q, "latency_ms_at_most": 9000} for q in (0.5, 0.9)],
        "error_rate_at_most": 0.99,
        "lateness_ms_at_most": 500,
        "memory_mb_at_most": 1_000_000,
        "start_up_seconds_at_most": 600,
    }


def load(found: Found) -> dict[str, object] | None:
    """Return the gate; nothing where the server could not be measured."""
    keys = ("p50", "p90", "peak-memory", "start-up")
    known = {key: one for key in keys if isinstance(one := found.get(f"load/{key}"), Measurement)}
    if len(known) < len(keys) or not all(math.isfinite(one.high) for one in known.values()):
        return None
    fast, slow = above(SLOWER * known["p50"].high), above(SLOWER * known["p90"].high)
    return {
        **_asked(2 * TRIAL_SECONDS, 2 * STALL),
        "within": {"latency_ms": max(slow, 100.0), "share_at_least": IN_TIME, **UNSURE},
        "quantiles": [{"quantile": 0.5, "latency_ms_at_most": max(fast, 50.0), **UNSURE}],
        "error_rate_at_most": 0.06,
        "memory_mb_at_most": int(above(LARGER * known["peak-memory"].high)),
        "start_up_seconds_at_most": int(above(max(SLOWER * known["start-up"].high, 30.0))),
    }


def _asked(seconds: float, stall: float) -> dict[str, object]:
    return {"rate": 10, "seconds": seconds, "stall_seconds": stall, "warm_up_seconds": 2, "batch_rows": [1, 5]}


def alike(outcomes: list[Outcome], natural: float) -> float | None:
    """Return the share of the holdout's rows that may equal a training row; None where the check of it passes.

    natural  share of the training rows that equal another training row: as many rows of another sample of the same
             population equal one by nature, and more are a leak
    """
    found = next((o for o in outcomes if o.blocks and o.check.endswith("/training_rows")), None)
    if found is None or not isinstance(found.evidence, Measurement):
        return None
    one = found.evidence
    # Four standard errors of a share, so that equal populations differ by more only once in 30,000 drafts.
    room = 4 * math.sqrt(natural * (1 - natural) / one.n)
    return above(natural + room) if one.estimate <= natural + room else None


def copies(outcomes: list[Outcome]) -> float | None:
    """Return the share of rows that may repeat an earlier one; None where the check of it passes."""
    found = [o for o in outcomes if o.blocks and o.check.endswith("/copies") and isinstance(o.evidence, Measurement)]
    shares = [o.evidence.estimate for o in found if isinstance(o.evidence, Measurement)]
    return above(1.25 * max(shares)) if shares else None


def unmeasured(found: Found, suite: str) -> Iterator[str]:
    """Yield why checks of a suite could not be measured, each reason once."""
    seen = {one.reason for name, one in found.items() if name.startswith(f"{suite}/") and isinstance(one, Unmeasured)}
    yield from sorted(seen)
