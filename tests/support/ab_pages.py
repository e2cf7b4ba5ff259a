"""Records of A/B tests for tests of the page, made by the real code from units that are drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from support.contract_texts import watched
from weighin.ab_test.evaluate import Counted
from weighin.ab_test.run import record_of
from weighin.ab_test.units import Faults, Seen
from weighin.canonical import canonical, digest
from weighin.contract.ab_test import AbTest
from weighin.contract.reading import ContractFile, read_contract

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
SINCE = NOW - timedelta(days=30)
"""22 days of units, and the eight until they count."""
HOSTILE = (
    '"></title></svg></td><script>document.title="run"</script><img src="http://127.0.0.1:9/x" onerror="alert(1)">'
)
PLAN: dict[str, Any] = {
    "name": "ranker-2",
    "outcome_days": 7,
    "success": {"outcome": "bought", "better_by": 0.0},
    "guards": [
        {"outcome": "revenue", "kind": "mean", "margin": 0.3, "cap": 50},
        {"outcome": "clicks", "kind": "ratio", "denominator": "views", "margin": 0.02},
        {"outcome": "complaint", "lower_is_better": True, "margin": 0.02},
    ],
}
"""What is planned. `story` fills it."""


def story(file: ContractFile, days: int = 22, effect: float = 0.05, seed: int = 0, **seen: Any) -> dict[str, Any]:
    """Return the record after so many daily evaluations of 400 units a day; `seen`: what the last one saw otherwise."""
    random, n = np.random.default_rng(seed), 400 * days
    ours = random.random(n) < 0.5
    views = 1.0 + random.poisson(4, n)
    values = {
        "bought": (random.random(n) < 0.2 + effect * ours).astype(float),
        "revenue": random.gamma(2, 1.5, n),
        "views": views,
        "clicks": random.binomial(views.astype(int), 0.3).astype(float),
        "complaint": (random.random(n) < 0.03).astype(float),
    }
    first = SINCE.timestamp() + (np.arange(n) + 0.5) / 400 * 86_400
    previous: tuple[dict[str, Any], str] | None = None
    for day in range(1, days + 1):
        now, some = NOW - timedelta(days=days - day), 400 * day
        part = {name: v[:some] for name, v in values.items()}
        made = {name: (v != 0).astype(float) for name, v in part.items()}
        given: dict[str, Any] = {
            "champion": ("7", "sha256:" + "7" * 64),
            "challenger": ("8", "sha256:" + "8" * 64),
            "units": some + 3200,
            "challengers": int(ours[:some].sum()) + 1600,
            "requests": some,
            "cutoff": SINCE + timedelta(days=day),
            "counted": Counted(ours[:some], part, part),
            "rows": {name: int(v.sum()) for name, v in made.items()},
            "sound": dict.fromkeys(part, (0, some)),
            "newest": {name: now - timedelta(hours=24) for name in part},
            "faults": Faults(both_arms=12 if day > 5 else 0),
            "first": first[:some],
            "made": made,
        }
        record = record_of(file, Seen(**given | (seen if day == days else {})), SINCE, now, previous)
        previous = (record, digest(canonical(record)))
    return record


def contract(folder: Path, **plan: Any) -> ContractFile:
    """Return a contract with the plan."""
    import yaml

    test = {**PLAN, **plan}
    AbTest.model_validate(test)
    given = watched("log", "ranker", ab_test=test)
    path = folder / "model_contract.yaml"
    path.write_text(yaml.safe_dump(given))
    return read_contract(path)
