"""The candidate's own metrics on all rows of the holdout, as a record holds them."""

from __future__ import annotations

import math
import re

from weighin.untrusted import JsonObject

ALONE = re.compile(r"performance/([\w.]+)")
COMPARED = re.compile(
    r"performance/([\w.]+)/vs-(champion|anchor|naive|seasonal_naive)(/relative|/better)?(?:/(.+))?", re.DOTALL
)
"""Metric, baseline, kind of margin, and slice of a comparison's id."""
NO_METRIC = "changed"


def candidate_metrics(record: JsonObject) -> dict[str, float]:
    """Return metric -> the candidate's value, from its own check or from a comparison on all rows."""
    found: dict[str, float] = {}
    for outcome in (o for suite in record["suites"] for o in suite["outcomes"]):
        evidence, check = outcome["evidence"], outcome["check"]
        if "unmeasured" in evidence:
            continue
        alone, compared = ALONE.fullmatch(check), COMPARED.fullmatch(check)
        value = None
        if alone and alone[1] != NO_METRIC:
            metric, value = alone[1], evidence["estimate"]
        elif compared and compared[4] is None:
            metric, value = compared[1], evidence["detail"].get("candidate")
        if isinstance(value, int | float) and math.isfinite(value):
            found.setdefault(metric, float(value))
    return found
