"""Load: whether the served model answers rightly, fast enough, and within its memory."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from weighin.contract import Check
from weighin.contract.checks import LoadRule
from weighin.contract.gates import Load
from weighin.errors import NotEvaluated
from weighin.load import LoadLog
from weighin.outcome import Measurement, Unmeasured, census
from weighin.stats.intervals import Interval, share_by_blocks
from weighin.suites.evidence import Evidence
from weighin.suites.sample import sample


def measure(check: Check, evidence: Evidence) -> Measurement | Unmeasured:
    """Measure one property of the served candidate. Errors: `NotEvaluated`, `Undefined`."""
    gate = evidence.contract.gates.load
    if not isinstance(check.rule, LoadRule) or gate is None:
        raise TypeError(f"{check.id} is no load check")
    log = evidence.load_log()
    match check.rule.kind:
        case "within":
            _trust(log, gate)
            in_time = log.ok & (log.latency <= gate.within.milliseconds / 1000)
            return _share(check, share_by_blocks(in_time, log.block, 1 - check.limit.alpha), _curve(log, gate))
        case "errors":
            failed = ~log.ok
            reasons = sorted({e for e in log.errors if e})[:5]
            detail = {"requests": len(failed), "failed": int(failed.sum()), "reasons": reasons}
            return _share(check, share_by_blocks(failed, log.block, 1 - check.limit.alpha), detail)
        case "wrong_answers":
            return _wrong(check, log, evidence, gate)
        case "memory":
            return _memory(check, evidence)


def _trust(log: LoadLog, gate: Load) -> None:
    late = float(np.quantile(log.lateness, 0.99)) * 1000
    if late > gate.lateness_ms_at_most:
        raise NotEvaluated(
            f"the generator itself was {late:.0f} ms late at p99, trusted up to {gate.lateness_ms_at_most:g} ms",
            "load",
            "Give it a core of its own, or lower `rate`.",
        )


def _share(check: Check, found: Interval, detail: dict[str, Any]) -> Measurement:
    return sample(check, found, "share of requests", "seconds", detail)


def _wrong(check: Check, log: LoadLog, evidence: Evidence, gate: Load) -> Measurement:
    """Answers that differ from the offline predictions of the same rows. One is too many."""
    offline = evidence.predictions("candidate", "holdout")
    answered = [(rows, answers) for rows, answers in zip(log.rows, log.answers, strict=True) if answers is not None]
    if not answered:
        raise NotEvaluated("no request was answered, so no answer could be compared", "load")
    rows = np.concatenate([r for r, _ in answered])
    served = np.concatenate([np.asarray(a) for _, a in answered])
    difference = np.abs(served - offline[rows].ravel())
    wrong = int((~(difference <= gate.tolerance)).sum())
    detail = {"largest_difference": float(np.nanmax(difference)) if len(difference) else 0.0, "answers": len(rows)}
    return census(
        check.id,
        wrong,
        n=len(rows),
        unit="answers",
        n_unit="answers",
        method=f"served against offline, tolerance {gate.tolerance:g}",
        **detail,
    )


def _memory(check: Check, evidence: Evidence) -> Measurement:
    path = evidence.work / "load" / "server.json"
    try:
        peak = float(json.loads(path.read_text())["peak_memory_mb"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotEvaluated(f"the server's memory was not recorded ({error!r})", "load/server.json") from error
    return census(check.id, peak, n=1, unit="MB", n_unit="servers", method="peak of the server's process or container")


def _curve(log: LoadLog, gate: Load) -> dict[str, Any]:
    """Points for the report; failures count as slower than any limit."""
    latency = np.where(log.ok, log.latency, np.inf) * 1000
    shares = [0.01, *np.linspace(0.05, 0.95, 19).tolist(), 0.98, 0.99, 0.995, 0.999]
    seconds = np.unique(np.floor(log.intended))
    per_second = [latency[np.floor(log.intended) == s] for s in seconds]
    return {
        "latency_ms": [float(v) for v in np.quantile(latency, shares, method="higher")],
        "share": shares,
        "limit_ms": gate.within.milliseconds,
        "requests": len(latency),
        "lateness_p99_ms": float(np.quantile(log.lateness, 0.99) * 1000),
        "over_time": {
            "second": seconds.tolist(),
            "p50_ms": [float(np.quantile(v, 0.5, method="higher")) for v in per_second],
            "p99_ms": [float(np.quantile(v, 0.99, method="higher")) for v in per_second],
        },
    }
