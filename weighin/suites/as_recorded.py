"""The champion as recorded: its metric on the holdout of today against the one that its own promotion recorded."""

from __future__ import annotations

from dataclasses import replace

from weighin.contract import Check
from weighin.errors import NotEvaluated
from weighin.model.subject import Recorded
from weighin.outcome import Direction, Limit, Measurement, Status, census, decide
from weighin.stats.contrast import contrast
from weighin.stats.intervals import Interval, difference_of_samples, magnitude
from weighin.stats.metrics import METRICS
from weighin.suites.anytime import demanded
from weighin.suites.evidence import Evidence
from weighin.suites.sample import sample

TOLERANCE = 1e-6
"""The same model, holdout and contract give the same metric, but for the last bits of the answers."""


def measure_recorded(check: Check, metric: str, evidence: Evidence) -> Measurement:
    """Return how far the champion's metric lies from its record.

    On another holdout than then, the two are independent samples. The same file is no second sample: the difference is
    exact, and under the same contract there must be none.
    Errors: `NotEvaluated` where nothing is recorded, `Undefined`.
    """
    known = _demanded(check, metric, evidence.subject.recorded)
    before, rows = known.metrics[metric], evidence.rows("holdout")
    champion, unit = rows.scored["champion"], METRICS[metric].unit
    estimate, then = METRICS[metric].of(champion).estimate, before["estimate"]
    said = f"the champion's {metric} is {estimate:.4g} on the holdout, and was {then:.4g} by {known.entry}"
    if known.contract != evidence.subject.contract:
        said += ", under another contract"
    detail = {"champion": estimate, "recorded": dict(before), "record": known.record}
    if known.holdout != evidence.subject.data["holdout"].get("sha256"):
        now = demanded(check, rows, lambda level: contrast(metric, champion, None, rows.group, level).interval)
        recorded = Interval(then, before["low"], before["high"], before["level"], int(before["n"]), 0.0, "recorded")
        found = magnitude(difference_of_samples(now, recorded))
        return sample(check, found, unit, rows.sampling_unit, detail, said, check.limit.evaluations)
    exact = census(check.id, abs(estimate - then), n=len(rows), unit=unit, method="on the holdout of then", found=said)
    exact = replace(exact, detail=detail)
    equal = decide(exact, Limit(Direction.AT_MOST, TOLERANCE)).status is Status.PASSED
    if equal or known.contract != evidence.subject.contract:
        return exact
    return replace(exact, fault=f"{said}, which was the same file: the model answers otherwise than then")


def _demanded(check: Check, metric: str, known: Recorded | None) -> Recorded:
    """Errors: `NotEvaluated` where nothing is known of the metric."""
    warn = "Write `severity: warn` there until the next promotion has recorded it."
    if known is None:
        raise NotEvaluated("the champion's record was not looked up", check.id, "Validate again.")
    if known.problem:
        raise NotEvaluated(f"nothing is recorded of the champion: {known.problem}", check.id, warn)
    if metric not in known.metrics:
        raise NotEvaluated(f"the record of {known.entry} holds no interval of {metric}", check.id, warn)
    return known
