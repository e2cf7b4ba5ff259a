"""What `weighin labels status` finds, for tests of its page."""

from __future__ import annotations

from typing import Any

from weighin.outcome import Direction, Limit, Measurement, Unmeasured, decide
from weighin.record.outcomes import encode_outcome

HOSTILE = '"></title></svg></td><script>document.title="run"</script><img src="http://127.0.0.1:9/x">'
CHECK = "performance/accuracy/vs-champion"


def status(labels: int = 300, **changed: Any) -> dict[str, Any]:
    """A plan of which some rows are labelled, with one comparison that is inconclusive."""
    limit = Limit(Direction.AT_LEAST, -0.01, 0.05, evaluations="unlimited")
    half, evidence = 0.02, Unmeasured(CHECK, "the first row of the label plan has no label yet")
    series = [[float(n), 0.002, 0.002 - half * 300 / n, 0.002 + half * 300 / n] for n in range(50, labels + 1, 50)]
    if labels:
        ends = (0.002, 0.002 - half, 0.002 + half, 0.95)
        measured = Measurement(
            CHECK, *ends, labels, "share", "bets, anytime-valid", sampling_unit="labels", evaluations="unlimited"
        )
        found = encode_outcome(decide(measured, limit))
    else:
        found = encode_outcome(decide(evidence, limit))
    found |= {"series": series, "expected": 1_000 if labels else None}
    return {
        "schema": "weighin/label-status/v1",
        "model": "flight-delay",
        "candidate": "flight-delay version 7",
        "champion": "flight-delay version 6",
        "contract": "sha256:c",
        "design": "disagreement",
        "rows": 20_000,
        "rows_decided_differently": 2_000,
        "listed": 1_000,
        "batch": 50,
        "labels": labels,
        "waiting": 12 if labels else 0,
        "alpha": 0.05,
        "checks": [found],
        "left": f"about 700 more labels, from draw {labels + 1} of the plan on",
        **changed,
    }
