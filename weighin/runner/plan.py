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
    """Limits of the containers; memory in 2**20 bytes.

    columns    the numbers of an answer that are the prediction
    shap_rows  rows for which the model's container computes SHAP values
    """

    suites: tuple[str, ...]
    roles: tuple[str, ...]
    columns: tuple[int, ...]
    predict_seconds: float
    memory_mb: int
    load: LoadPlan | None
    shap_rows: int = 0

    @staticmethod
    def of(contract: Any, roles: tuple[str, ...], sealed: bool = False) -> Plan:
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
        explain = contract.gates.explainability
        suites = (*contract.gates.names, "sealed") if sealed else contract.gates.names
        shap_rows = explain.shap if explain else 0
        return Plan(suites, roles, model.columns, model.predict_seconds, model.memory_mb, load, shap_rows)

    def predict_arguments(self) -> list[str]:
        """What `weighin predict` is told of the model's answers."""
        columns = [a for c in self.columns for a in ("--column", str(c))]
        return [*columns, "--shap", str(self.shap_rows)] if self.shap_rows else columns

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
            tuple(value["columns"]),
            value["predict_seconds"],
            value["memory_mb"],
            load,
            value["shap_rows"],
        )
