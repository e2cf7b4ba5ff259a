"""What is watched, as checks with limits: the contract's list, with the champion's own record as the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from weighin.contract.checks import DriftRule, cut
from weighin.contract.gates import Drift
from weighin.contract.models import Contract
from weighin.contract.monitor import Action, Monitor, Watch, Window
from weighin.errors import ContractError
from weighin.model.answers import COLUMN
from weighin.monitor.alarm import window_alpha
from weighin.outcome import Direction, Limit
from weighin.stats.metrics import METRICS
from weighin.untrusted import JsonObject

Kind = Literal["drift", "metric", "errors", "latency", "disagreement", "no-traffic", "age"]


@dataclass(frozen=True)
class Watched:
    """One check of one window.

    window    of all but the kinds silence and age
    metric    of `kind` metric; `quantile` of kind latency; `column` and `rule` of kind drift
    baseline  what the limit was made from, in words; empty where the contract says it itself
    """

    id: str
    kind: Kind
    window: Window | None
    limit: Limit
    action: Action
    metric: str = ""
    quantile: float = 0.0
    latency_ms: float = 0.0
    column: str = ""
    rule: DriftRule | None = None
    baseline: str = ""


def watched(contract: Contract, baseline: Mapping[str, float], columns: tuple[str, ...]) -> list[Watched]:
    """All checks of a monitor.

    baseline  metric -> what the champion's record says of it
    columns   those of the champion's profile
    Errors: `ContractError` for a metric without a baseline, or a column without a profile.
    """
    monitor = contract.monitor
    if monitor is None:
        raise ContractError("the contract has no `monitor`", "", "Say what is to be watched.")
    drawn = [item for watch in monitor.watch for item in _of(watch, contract, baseline, columns, 0.05)]
    alpha = window_alpha(monitor.evidence, len(drawn))
    found = [item for watch in monitor.watch for item in _of(watch, contract, baseline, columns, alpha)]
    names = [item.id for item in found]
    if len(set(names)) < len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise ContractError(f"watched twice: {', '.join(twice[:3])}", "monitor.watch", "Keep one of each.")
    return found


def _of(
    watch: Watch, contract: Contract, baseline: Mapping[str, float], columns: tuple[str, ...], alpha: float
) -> Iterator[Watched]:
    place = f"monitor/{watch.window.name}" if watch.window else "monitor"

    def limit(value: float, *, at_least: bool = False) -> Limit:
        return Limit(Direction.AT_LEAST if at_least else Direction.AT_MOST, float(value), alpha)

    if watch.drift_at_most is not None:
        gate = contract.gates.drift or Drift.model_validate({})
        for name in watch.columns or columns:
            if name not in columns:
                known = ", ".join(columns)
                raise ContractError(f"no profile of `{name}`", "monitor.watch.columns", f"The champion has: {known}.")
            rule = DriftRule("distance", name, *cut(gate, name))
            yield Watched(
                f"{place}/drift/{name}", "drift", watch.window, limit(watch.drift_at_most), watch.action, column=name,
                rule=rule,
            )  # fmt: skip
    elif watch.metric is not None:
        value, at_least, message = _metric_limit(watch, watch.metric, baseline)
        yield Watched(
            f"{place}/{watch.metric}", "metric", watch.window, limit(value, at_least=at_least), watch.action,
            metric=watch.metric, baseline=message,
        )  # fmt: skip
    elif watch.error_rate_at_most is not None:
        yield Watched(f"{place}/errors", "errors", watch.window, limit(watch.error_rate_at_most), watch.action)
    elif watch.latency_ms_at_most is not None:
        # A quantile is beyond a time where more than the rest of the requests take longer.
        name = f"{place}/p{100 * watch.quantile:g}-within-{watch.latency_ms_at_most:g}-ms"
        yield Watched(
            name, "latency", watch.window, limit(watch.quantile, at_least=True), watch.action, quantile=watch.quantile,
            latency_ms=watch.latency_ms_at_most,
        )  # fmt: skip
    elif watch.disagreement_at_most is not None:
        yield Watched(
            f"{place}/disagreement", "disagreement", watch.window, limit(watch.disagreement_at_most), watch.action
        )
    elif watch.no_traffic_minutes_at_most is not None:
        yield Watched(f"{place}/no-traffic", "no-traffic", None, limit(watch.no_traffic_minutes_at_most), watch.action)
    elif watch.age_days_at_most is not None:
        yield Watched(f"{place}/age", "age", None, limit(watch.age_days_at_most), watch.action)


def _metric_limit(watch: Watch, metric: str, baseline: Mapping[str, float]) -> tuple[float, bool, str]:
    """Return the limit of a metric, whether it is one from below, and what it was made from."""
    if watch.at_least is not None:
        return watch.at_least, True, ""
    if watch.at_most is not None:
        return watch.at_most, False, ""
    if metric not in baseline:
        raise ContractError(
            f"the champion's record says nothing of `{metric}`",
            "monitor.watch",
            "Let the performance gate measure it, or give `at_least` or `at_most`.",
        )
    was = baseline[metric]
    message = f"baseline {was:.4g} of the champion's record"
    lower = METRICS[metric].lower_is_better
    if watch.times_baseline_at_most is not None:
        if not lower:
            raise ContractError(f"`{metric}` improves upwards", "monitor.watch", "Use `relative_decline_at_most`.")
        return watch.times_baseline_at_most * was, False, message
    assert watch.relative_decline_at_most is not None
    share = watch.relative_decline_at_most
    return (was * (1 + share), False, message) if lower else (was * (1 - share), True, message)


def baseline_of(record: JsonObject) -> dict[str, float]:
    """Metric -> what a decision record says of the candidate, on all rows of the holdout."""
    found: dict[str, float] = {}
    for outcome in (o for s in record["suites"] if s["suite"] == "performance" for o in s["outcomes"]):
        parts = outcome["check"].split("/")
        value = outcome["evidence"].get("detail", {}).get("candidate")
        if parts[1] in METRICS and len(parts) <= 3 and isinstance(value, int | float):
            found.setdefault(parts[1], float(value))
    return found


def columns_of(contract: Contract, profiled: JsonObject) -> tuple[str, ...]:
    """Return the columns that can be watched: features that may be logged, and the predictions, where they are
    profiled.
    """
    monitor: Monitor | None = contract.monitor
    assert monitor is not None
    known = contract.data.columns
    names = [n for n in contract.features if not known[n].sensitive]
    return tuple(n for n in (*names, COLUMN) if n in profiled)


def threshold(contract: Contract) -> float:
    """Return the score at or above which a binary prediction counts as positive."""
    gate = contract.gates.performance
    return gate.threshold if gate else 0.5
