"""Contracts in which nothing is wrong, for tests that break one thing of them."""

from __future__ import annotations

from typing import Any

GOOD = """\
version: 1
as_of: 2014-01-15T00:00:00Z
model:
  name: m
  task: binary
  target: late
data:
  reference: reference.parquet
  holdout: holdout.parquet
  current: current.parquet
  columns:
    late: {type: integer, role: target, allowed: [0, 1]}
    day: {type: date, role: group}
    distance: {type: integer, minimum: 0, maximum: 6000}
    carrier: {type: string, allowed: [AA, UA]}
group: day
gates:
  data_quality: {rows_at_least: 100}
  performance:
    threshold: 0.25
    checks:
      - {metric: roc_auc, at_least: 0.65}
      - {metric: roc_auc, against: champion, margin: 0.01}
      - {metric: log_loss, against: champion, margin: 0.02}
    slices:
      - {column: carrier, values: [AA, UA], metric: roc_auc, margin: 0.05}
  drift:
    at_most: 0.1
    columns:
      distance: {at_most: 0.5, reason: routes change with the season}
  load:
    rate: 10
    seconds: 15
    within: {latency_ms: 300, share_at_least: 0.9}
    error_rate_at_most: 0.05
    memory_mb_at_most: 1500
"""
PLANNED = """\
version: 1
model: {name: m, task: binary, target: late}
data:
  holdout: holdout.parquet
  columns:
    id: {type: integer, role: key}
    late: {type: integer, role: target, allowed: [0, 1]}
    distance: {type: float}
gates:
  performance:
    checks:
      - {metric: accuracy, against: champion, margin: 0.01}
    labels: {plan: labels/plan.json, given: given}
"""
"""The text of one with a label plan."""


def watched(log: str, model: str = "m", **monitor: Any) -> dict[str, Any]:
    """Return one with a monitor of the error rate, as YAML holds it. monitor: its other keys; log: where the log is."""
    columns = {"late": {"type": "integer", "role": "target"}, "a": {"type": "float"}}
    watch = [{"window": {"rows": 1000}, "error_rate_at_most": 0.1}]
    return {
        "version": 1,
        "model": {"name": model, "task": "binary", "target": "late"},
        "data": {"holdout": "holdout.parquet", "columns": columns},
        "gates": {"performance": {"checks": [{"metric": "roc_auc", "at_least": 0.5}]}},
        "monitor": {"log": {"path": log}, "watch": watch, **monitor},
    }
