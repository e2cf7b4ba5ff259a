"""A champion of a registry, a contract that has it watched, and a log that a test fills."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from support.evidence_files import ROOT
from support.registry_versions import NAME
from weighin.contract import read_contract
from weighin.monitor.journal import Event, Journal
from weighin.monitor.result import Run
from weighin.monitor.run import Watcher
from weighin.prediction_log.sinks import sink_for
from weighin.prediction_log.tables import LogTables
from weighin.registry.champion import ChampionRegistry
from weighin.registry.mlflow import Registry

RECORD = {
    "suites": [
        {
            "suite": "performance",
            "outcomes": [{"check": "performance/roc_auc", "evidence": {"detail": {"candidate": 0.75}}}],
        }
    ]
}
"""So much of a decision record as a monitor reads."""


@dataclass
class Watched:
    """`contract` watches versions of the registry at `uri`."""

    uri: str
    contract: Path
    tracking: str = ""

    @staticmethod
    def make(uri: str, folder: Path, monitor: Mapping[str, Any], model: str = NAME, tracking: str = "") -> Watched:
        """Write the contract into a folder."""
        path = folder / "model_contract.yaml"
        own = (ROOT / "model_contract.yaml").read_text().partition("\nmonitor:")[0]
        own = own.replace(f"name: {NAME}", f"name: {json.dumps(model)}")
        # JSON is YAML.
        path.write_text(f"{own}\nmonitor: {json.dumps(monitor)}\n")
        return Watched(uri, path, tracking)

    @property
    def champions(self) -> ChampionRegistry:
        """Anew, as another process has them."""
        registry = Registry(self.uri, self.tracking or None)
        return ChampionRegistry.of(read_contract(self.contract).contract.model, registry)

    @property
    def tables(self) -> LogTables:
        """Of the log."""
        return LogTables.of(read_contract(self.contract))

    def watcher(self, environment: Mapping[str, str] = os.environ) -> Watcher:
        """A monitor that knows nothing of earlier ones."""
        return Watcher(read_contract(self.contract), self.champions, environment)

    def run(self, now: datetime, environment: Mapping[str, str] = os.environ) -> Run:
        """One look of such a monitor."""
        return self.watcher(environment).run(now)

    def journal(self) -> list[Event]:
        """What is noted."""
        return Journal(self.champions.registry, self.champions.model).entries()

    @property
    def since(self) -> datetime:
        """When the champion became it."""
        head = self.champions.ledger.head()
        assert head is not None
        return datetime.fromisoformat(head.created).astimezone(UTC)

    def answers(
        self,
        first: datetime,
        n: int,
        version: str,
        *,
        failing: float = 0.0,
        every: float = 1.0,
        prediction: float = 0.3,
    ) -> datetime:
        """Log n requests, one `every` seconds, of which a share has failed; returns the moment of the last.

        All of equal chance lie alike: each hundred has its share of failures.
        """
        tables = self.tables
        bad = np.floor(np.arange(1, n + 1) * failing) > np.floor(np.arange(n) * failing)
        moments = [first + timedelta(seconds=every * i) for i in range(n)]
        prefix = f"{version}-{first.timestamp():.0f}"
        rows: dict[str, Any] = {
            "at": moments,
            "request": [f"{prefix}-{i}" for i in range(n)],
            "row": [0] * n,
            "model": [tables.model] * n,
            "version": [version] * n,
            "digest": ["sha256:x"] * n,
            "role": ["champion"] * n,
            "status": np.where(bad, 500, 200),
            "latency_ms": [12.0] * n,
            "prediction": pa.array(np.full(n, prediction), mask=bad),
        }
        columns = [
            pa.array(rows[f.name], type=f.type) if f.name in rows else pa.nulls(n, f.type) for f in tables.schema
        ]
        with contextlib.closing(sink_for(tables)) as sink:
            sink.write(tables.predictions, pa.table(columns, schema=tables.schema))
        return moments[-1]

    def labels(self, moment: datetime, given: Sequence[tuple[str, int]]) -> None:
        """Labels of requests that came at a moment."""
        tables = self.tables
        rows = [{"at": moment, "request": request, "row": 0, "label": label} for request, label in given]
        with contextlib.closing(sink_for(tables)) as sink:
            sink.write(tables.labels, pa.Table.from_pylist(rows, schema=tables.label_schema))
