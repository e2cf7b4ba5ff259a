"""Months of runs, counted: the alarm rule against the false alarms per month that a contract states."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from scipy import stats

from monitored import peers, streams
from monitored.screens import could_alarm
from monitored.streams import LOOKS, ROWS, Month, Truth
from weighin.contract import read_contract
from weighin.contract.models import Contract
from weighin.contract.monitor import Monitor
from weighin.data.profile import Profile
from weighin.monitor.evaluate import Champion, evaluate
from weighin.monitor.rules import columns_of, watched
from weighin.outcome import Status

PSI, SHARE, SLOW = 0.1, 0.05, 0.05
"""Where limits lie, of drift, of failed and of slow requests."""
LAST = {"rows": 1000}
HOUR = {"hours": 1}
ERRORS, LATENCY = {"error_rate_at_most": SHARE}, {"latency_ms_at_most": 300, "quantile": 1 - SLOW}
FEATURE = {"drift_at_most": PSI, "columns": ["temp"]}
PREDICTION = {"drift_at_most": PSI, "columns": ["prediction"]}
AUC, LOSS = {"metric": "roc_auc", "at_least": 0.0}, {"metric": "log_loss", "at_most": 0.0}
"""The limits of metrics are put where the truth lies."""
ALL = (ERRORS, LATENCY, AUC, FEATURE, PREDICTION)
EDGE = Truth(SHARE, SLOW, PSI, PSI)
INSIDE = Truth(0.02, 0.02, 0.02, 0.02)
SOURCE = Truth(SHARE, SLOW, PSI, PSI, source=True)
NOTHING = Truth(0.0, 0.02)


@dataclass(frozen=True)
class Setting:
    """Checks of one contract, and what is true.

    stated     false alarms per month of all checks together
    metric     how far the limit of a metric lies beyond the truth
    rows       of the reference that the profile is made from, drawn anew for each month
    rule       whether the plain rule looks at the feature as well
    """

    name: str
    watch: tuple[Mapping[str, Any], ...]
    window: Mapping[str, Any] = field(default_factory=lambda: LAST)
    truth: Truth = EDGE
    stated: float = 1.0
    consecutive_windows: int = 3
    metric: float = 0.0
    rows: int = 40_000
    rule: bool = False


def settings() -> list[Setting]:
    """Every truth at its limit, which is the most that a promise has to bear; and streams inside."""
    small = {"rows": 200}
    return [
        Setting("all five at their limits", ALL, stated=0.5),
        Setting("all five inside", ALL, truth=INSIDE, stated=0.5, metric=0.02),
        Setting("nothing has changed", ALL, truth=NOTHING, stated=0.5, metric=0.02, rule=True),
        Setting("errors, last 1,000", (ERRORS,)),
        Setting("errors, last hour", (ERRORS,), HOUR),
        Setting("latency, last 1,000", (LATENCY,)),
        Setting("ROC AUC, last 1,000 labels", (AUC,)),
        Setting("ROC AUC, last 200 labels", (AUC,), small),
        Setting("log loss, last 1,000 labels", (LOSS,)),
        Setting("log loss, labels of an hour", (LOSS,), HOUR),
        Setting("drift of a feature, last 1,000", (FEATURE,)),
        Setting("drift of a feature, last hour", (FEATURE,), HOUR),
        Setting("drift of a feature, reference of 2,000", (FEATURE,), rows=2_000),
        Setting("  the same against the profile's source", (FEATURE,), truth=SOURCE, rows=2_000),
        Setting("drift of predictions, last 1,000", (PREDICTION,)),
        Setting("drift of predictions, last 200", (PREDICTION,), small),
        Setting("one window: errors", (ERRORS,), consecutive_windows=1),
        Setting("one window: ROC AUC", (AUC,), consecutive_windows=1),
        Setting("one window: log loss", (LOSS,), consecutive_windows=1),
        Setting("one window: drift of a feature", (FEATURE,), consecutive_windows=1),
    ]


@cache
def base() -> Contract:
    """The example's contract, which has a column `temp` and a binary target; ten cells for all columns."""
    contract = read_contract(streams.CONTRACT).contract
    assert contract.gates.drift is not None
    gates = contract.gates.model_copy(update={"drift": contract.gates.drift.model_copy(update={"columns": {}})})
    return contract.model_copy(update={"gates": gates})


def contract_of(setting: Setting, before: Profile, **evidence: Any) -> Contract:
    """With limits of metrics at the truth, or `metric` beyond it."""
    share = setting.truth.levels(before)
    limits = {
        "at_least": streams.true_auc(share) - setting.metric,
        "at_most": streams.true_log_loss(share) + setting.metric,
    }
    listed = [{"window": setting.window, **{k: limits.get(k, v) for k, v in watch.items()}} for watch in setting.watch]
    notified = {"false_alarms_per_month": setting.stated, "consecutive_windows": setting.consecutive_windows} | evidence
    monitor = Monitor.model_validate({"log": {"path": "log"}, "watch": listed, "evidence": notified})
    return base().model_copy(update={"monitor": monitor})


def drawn(setting: Setting, seed: list[int]) -> tuple[Contract, Champion, Month, np.ndarray]:
    """A month, what is watched in it, and the reference's values of the feature."""
    rng = np.random.default_rng(seed)
    before, values = streams.reference(setting.rows, rng)
    month = Month(setting.truth, before, rng, ROWS)
    return contract_of(setting, before), Champion("1", "sha256:x", before, {}), month, values


@dataclass(frozen=True)
class Counted:
    """Of one month, by check.

    begun   alarms: from a run without to one with
    looks   looks with an alarm
    asked   looks that were handed to `look`
    rule    the same two of the plain rule, where it looks at the month as well
    """

    begun: int
    looks: int
    asked: int
    seconds: float
    rule_begun: int = 0
    rule_looks: int = 0


def run(setting: Setting, seed: list[int]) -> Counted:
    """Every run of a month."""
    started = time.perf_counter()
    contract, champion, month, values = drawn(setting, seed)
    could: set[int] = set()
    for item in watched(contract, {}, columns_of(contract, champion.profile.columns)):
        found = could_alarm(item, month, champion.profile, np.arange(LOOKS), setting.consecutive_windows)
        could.update(map(int, found))
    alarming: dict[str, list[int]] = {}
    for at in sorted(could):
        for one in evaluate(contract, month, champion, month.moment(at)).alarms:
            alarming.setdefault(one.check, []).append(at)
    begun = sum(onsets(np.isin(np.arange(LOOKS), at)) for at in alarming.values())
    rule = peers.ks_alarms(month, values) if setting.rule else np.zeros(0, dtype=bool)
    seconds = time.perf_counter() - started
    return Counted(begun, sum(map(len, alarming.values())), len(could), seconds, onsets(rule), int(rule.sum()))


def onsets(alarming: np.ndarray) -> int:
    """How often an alarm begins: from a run without to one with."""
    return int((alarming & ~np.concatenate([[False], alarming[:-1]])).sum())


@dataclass(frozen=True)
class Compared:
    """Windows that were given to `look` at random, those of them that failed, and those that the screen had missed."""

    windows: int
    failed: int
    missed: int


def compare(setting: Setting, seed: list[int], number: int) -> Compared:
    """Whether any window fails that the screen leaves out: random looks, each check's newest window alone."""
    contract, champion, month, _ = drawn(setting, seed)
    listed = watched(contract, {}, columns_of(contract, champion.profile.columns))
    # One window, at the same level.
    stated = listed[0].limit.alpha * LOOKS * len(listed)
    alone = contract_of(setting, champion.profile, consecutive_windows=1, false_alarms_per_month=stated)
    looks = np.sort(np.random.default_rng([*seed, 1]).choice(LOOKS, number, replace=False))
    could = {i.id: set(map(int, could_alarm(i, month, champion.profile, looks, 1))) for i in listed}
    failed = missed = 0
    for at in map(int, looks):
        found = evaluate(alone, month, champion, month.moment(at))
        assert all(abs(i.limit.alpha - listed[0].limit.alpha) < 1e-12 for i in found.watched)
        for outcome in found.outcomes:
            assert outcome.status is not Status.NOT_EVALUATED, outcome.reason
            if outcome.status is Status.FAILED:
                failed += 1
                missed += at not in could[outcome.check]
    return Compared(number * len(listed), failed, missed)


@dataclass(frozen=True)
class Rate:
    """Counts of some months as a rate per month, with the exact 95 % interval of a Poisson variable (Garwood 1936)."""

    count: int
    months: int

    @property
    def per_month(self) -> float:
        """Estimate."""
        return self.count / self.months

    @property
    def interval(self) -> tuple[float, float]:
        """Both bounds."""
        low = stats.chi2.ppf(0.025, 2 * self.count) / 2 if self.count else 0.0
        return float(low / self.months), float(stats.chi2.ppf(0.975, 2 * self.count + 2) / 2 / self.months)

    def exceeds(self, stated: float) -> bool:
        """Whether an exact test at one-sided 5 % says that the rate lies above the stated one."""
        return bool(stats.poisson.sf(self.count - 1, stated * self.months) < 0.05)
