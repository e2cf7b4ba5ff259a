"""`plan.json`: what a runner must know of the contract. Standard library only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEMA = "weighin/plan/v1"


@dataclass(frozen=True)
class LoadPlan:
    """The shape of the load and what the server may use: requests per second, seconds, rows per request, MB."""

    rate: float
    seconds: float
    warm_up_seconds: float
    batch_rows: int
    timeout_seconds: float
    server_cpus: float
    server_memory_mb: int
    start_seconds: float


@dataclass(frozen=True)
class Plan:
    """Limits of the containers. `column` is the number of an answer that is the prediction; memory in 2**20 bytes."""

    suites: tuple[str, ...]
    roles: tuple[str, ...]
    column: int
    predict_seconds: float
    memory_mb: int
    load: LoadPlan | None

    @staticmethod
    def of(contract: Any, roles: tuple[str, ...]) -> Plan:
        """The plan of a contract (a `weighin.contract.Contract`, which this module does not import)."""
        model, gate = contract.model, contract.gates.load
        load = gate and LoadPlan(
            gate.rate,
            gate.seconds,
            gate.warm_up_seconds,
            gate.batch_rows,
            gate.timeout_seconds,
            gate.server.cpus,
            gate.server.memory_mb,
            gate.server.start_seconds,
        )
        return Plan(contract.gates.names, roles, model.prediction.column, model.predict_seconds, model.memory_mb, load)

    def write(self, path: Path) -> None:
        """Write `plan.json`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1))

    @staticmethod
    def read(path: Path) -> Plan:
        """Read `plan.json`. Errors: `ValueError` with a sentence."""
        try:
            value = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: no readable plan ({error}). Run `weighin resolve` first.") from error
        if value.pop("schema", None) != SCHEMA:
            raise ValueError(f"{path}: not a plan of schema {SCHEMA}. Run `weighin resolve` again.")
        load = value["load"] and LoadPlan(**value["load"])
        return Plan(
            tuple(value["suites"]),
            tuple(value["roles"]),
            value["column"],
            value["predict_seconds"],
            value["memory_mb"],
            load,
        )
