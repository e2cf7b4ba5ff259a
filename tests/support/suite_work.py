"""A small contract with data, predictions and a load log, all green, for tests that break one thing of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from support.evidence_files import SOUND
from weighin.canonical import file_digest
from weighin.contract import checks, read_contract
from weighin.contract.reading import ContractFile
from weighin.contract.sources import Files
from weighin.data.profile import Profile
from weighin.load import SCHEMA
from weighin.model.answers import COLUMN
from weighin.model.subject import ModelVersion, Subject
from weighin.outcome import Outcome, decide
from weighin.resolve.datasets import merged, resolve_profiles
from weighin.suites import measured
from weighin.suites.evidence import Evidence
from weighin.suites.expectations import write_suite

DATASETS = ("reference", "holdout", "current")
DAYS = 40
MOMENT = datetime(2013, 8, 1, tzinfo=UTC)
ROWS = 2_000
CONTRACT = """\
version: 1
model: {name: m, task: binary, target: late}
group: day
data:
  reference: reference.parquet
  holdout: holdout.parquet
  current: current.parquet
  columns:
    id: {type: integer, role: key, unique: true}
    at: {type: timestamp, role: time, time_zone: UTC}
    day: {type: date, role: group}
    late: {type: integer, role: target, allowed: [0, 1]}
    distance: {type: integer, minimum: 50, maximum: 6000}
    carrier: {type: string, allowed: [AA, UA, B6]}
    temp: {type: float, minimum: -20, maximum: 115, missing_at_most: 0.1}
gates:
  data_quality: {rows_at_least: 1000, datasets: [holdout]}
  performance:
    threshold: 0.5
    checks:
      - {metric: roc_auc, at_least: 0.7}
      - {metric: log_loss, at_most: 0.65}
      - {metric: roc_auc, against: champion, margin: 0.02}
    slices:
      - {column: carrier, values: [AA], metric: roc_auc, margin: 0.1}
  drift:
    at_most: 0.2
    columns: {temp: {at_most: 0.3, bins: 4, reason: the weather of forty days}}
  load:
    rate: 10
    seconds: 20
    within: {latency_ms: 100, share_at_least: 0.9}
    error_rate_at_most: 0.05
    memory_mb_at_most: 1000
"""

COUNTED: dict[str, tuple[dict[str, dict[str, str]], dict[str, bytes]]] = {}
"""What resolving came to, and the profiles that it left, by contract and digests of the data."""


@dataclass
class Work:
    """Everything that suites read. Change frames, scores or log, then `write`."""

    folder: Path

    @property
    def stored(self) -> Path:
        """The profile that is stored with the champion, where a test puts one."""
        return self.folder / "stored.json"

    def __post_init__(self) -> None:
        self.contract = CONTRACT
        rng = np.random.default_rng(7)
        self.frames = {name: frame(rng) for name in DATASETS}
        self.scores = {}
        for role, noise in (("candidate", 0.35), ("champion", 0.45)):
            for name, table in self.frames.items():
                score = 0.25 + 0.5 * table["late"].to_numpy() + rng.normal(0, noise, ROWS)
                self.scores[role, name] = np.clip(score, 0.02, 0.98)
        self.digests = {"candidate": "sha256:c", "champion": "sha256:b"}
        self.log = load_log(self.scores["candidate", "holdout"], rng)
        self.load_facts = {start: {"session": session_facts(), "server": server_facts()} for start in (0, 1)}

    def write(self) -> Work:
        """Write all of it."""
        path = self.folder / "model_contract.yaml"
        path.write_text(self.contract)
        file = read_contract(path)
        write_suite(file.contract, self.folder, check=False)
        example = Path(__file__).resolve().parents[2] / "great_expectations/great_expectations.yml"
        (self.folder / "great_expectations/great_expectations.yml").write_text(example.read_text())
        data = {}
        for name, table in self.frames.items():
            table.to_parquet(self.folder / f"{name}.parquet", index=False)
            data[name] = {"sha256": file_digest(self.folder / f"{name}.parquet"), "rows": len(table), "problem": ""}
        data = merged(data, self.profiles(file, {name: known["sha256"] for name, known in data.items()}))
        for (role, name), values in self.scores.items():
            out = self.folder / "work/predictions" / role
            out.mkdir(parents=True, exist_ok=True)
            answers = np.asarray(values, dtype=np.float64)
            parts = {COLUMN: answers} if answers.ndim == 1 else {f"{COLUMN}_{i}": c for i, c in enumerate(answers.T)}
            table = pa.table({name: pa.array(np.ascontiguousarray(part)) for name, part in parts.items()})
            with pa.OSFile(str(out / f"{name}.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
        models = {role: ModelVersion("m", role, "r", self.digests[role], "x") for role in self.digests}
        Subject(models["candidate"], models.get("champion"), file.digest, data, True, models=SOUND).write(
            self.folder / "work/subject.json"
        )
        self.write_load("candidate", self.log)
        return self

    def profiles(self, file: ContractFile, digests: dict[str, Any]) -> dict[str, dict[str, str]]:
        """Count the data as `weighin step resolve` does, or take what was counted of the same data for an earlier test.

        Counting takes twenty times as long as all else that a suite needs. Only this object's own files are known by
        their digests: whatever else a contract names is counted anew.
        """
        contract, work = file.contract, self.folder / "work"
        sources = [contract.data.source(name) for name in ("reference", "current") if contract.gates.drift]
        names = [s.path.removesuffix(".parquet") if isinstance(s, Files) else "" for s in sources]
        known = repr((contract.data, contract.gates.drift, contract.group, [digests.get(name) for name in names]))
        counted = COUNTED.get(known)
        if counted is None:
            found = resolve_profiles(file, work, MOMENT, stored=lambda role: Profile.read(self.stored))
            files = {name: work / f"profiles/{name}.json" for name in found}
            counted = found, {name: path.read_bytes() for name, path in files.items() if path.is_file()}
            if all(name in digests for name in names):
                COUNTED[known] = counted
            return found
        (work / "profiles").mkdir(parents=True, exist_ok=True)
        for name, content in counted[1].items():
            (work / f"profiles/{name}.json").write_bytes(content)
        return {name: dict(value) for name, value in counted[0].items()}

    def write_load(self, role: str, log: list[dict[str, object]]) -> None:
        """What generator and runner leave of a role's server."""
        for start in sorted(self.load_facts if role != "clean" else (0,)):
            folder = self.folder / f"work/load/{role}-{start}"
            folder.mkdir(parents=True, exist_ok=True)
            responses = str(folder / f"responses-{role}-{start}.arrow")
            mine = [r for r in log if r["start"] == start]
            with pa.OSFile(responses, "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
                writer.write_table(pa.Table.from_pylist(mine, schema=SCHEMA))
            (folder / "session.json").write_text(json.dumps(self.load_facts[start]["session"]))
            folder.with_name(f"{role}-{start}.server.json").write_text(json.dumps(self.load_facts[start]["server"]))

    def forget_fingerprints(self) -> None:
        """As if the data had been like this when they were resolved."""
        path = self.folder / "work/subject.json"
        subject = Subject.read(path)
        kept = {name: {k: v for k, v in known.items() if k != "sha256"} for name, known in subject.data.items()}
        replace(subject, data=kept).write(path)

    def outcomes(self, suite: str) -> dict[str, Outcome]:
        """What a suite finds, as it was written."""
        file = read_contract(self.folder / "model_contract.yaml")
        evidence = Evidence(file, self.folder / "work")
        return {c.id: decide(measured(c, evidence), c.limit) for c in checks(file.contract, suite)}

    def red(self, suite: str) -> dict[str, str]:
        """Check -> status, of all that did not pass."""
        return {name: o.status.value for name, o in self.outcomes(suite).items() if o.status.value != "passed"}


def frame(rng: np.random.Generator) -> pd.DataFrame:
    """Rows of forty days, the same distribution at every call."""
    day = np.sort(np.arange(ROWS) % DAYS)
    moments = pd.Timestamp("2013-06-01", tz="UTC") + pd.to_timedelta(day, unit="D")
    return pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "at": moments,
            "day": moments.date,
            "late": (rng.random(ROWS) < 0.3).astype(np.int64),
            "distance": rng.integers(100, 3000, ROWS),
            "carrier": rng.choice(["AA", "UA", "B6"], ROWS),
            "temp": rng.normal(60, 10, ROWS).clip(0, 110),
        }
    )


def load_log(offline: np.ndarray, rng: np.random.Generator) -> list[dict[str, object]]:
    """At each of two starts 200 requests in 20 seconds, two rows each, answered after 10 ms as offline."""
    log = []
    for i in range(400):
        rows = np.sort(rng.choice(len(offline), 2, replace=False))
        moment = 3 + i % 200 / 10
        log.append(
            {
                "intended": moment,
                "sent": moment + 0.001,
                "done": moment + 0.010,
                "start": i // 200,
                "phase": "load",
                "error": "",
                "rows": rows.tolist(),
                "answers": offline[rows].tolist(),
            }
        )
    return log


def session_facts() -> dict[str, Any]:
    """What the generator notes of one start: healthy after 4 s, 460 predictions with those of the warm-up."""
    kept = [{"name": "broken JSON", "said": "status 400", "kept": True}]
    example = [{"name": "input example", "said": "answered", "kept": True}]
    return {
        "healthy_at": 1004.0,
        "began_at": 1005.0,
        "phases": [3.0, 20.0],
        "predictions": 460,
        "probes": {"malformed": kept, "input_example": example},
    }


def server_facts() -> dict[str, Any]:
    """What the runner notes: half a second of processor time a second, 400 MB."""
    samples = [{"at": 1000.0 + s, "memory_mb": 400.0, "cpu_seconds": 0.5 * s} for s in range(29)]
    return {"started_at": 1000.0, "peak_memory_mb": 500.0, "samples": samples}
