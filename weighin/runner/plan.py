"""`plan.json`: what a runner must know of the contract. Standard library only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SCHEMA = "weighin/plan/v2"
MARGIN_SECONDS = 5.0
"""What a generator may need besides the time that its plan gives: encoding, sending late, writing."""


@dataclass(frozen=True)
class Phase:
    """A stretch of load: requests per second for so many seconds."""

    name: str
    """"warm_up", "load", "peak", "stress" or "recovery"; neighbours of the name "stress" are a ramp."""
    rate: float
    seconds: float


@dataclass(frozen=True)
class Interface:
    """How the server is spoken to.

    health       path of a GET that answers 200 when the server is ready
    path         path of the POST that asks for predictions
    form         body of a request: "dataframe_split", "instances" or "template"
    template     JSON text; {{rows}} in it is replaced by the list of row objects
    predictions  JSON pointer (RFC 6901) to the list of predictions in an answer; "" is the whole answer
    """

    health: str = "/ping"
    path: str = "/invocations"
    form: str = "dataframe_split"
    template: str = ""
    predictions: str = "/predictions"


@dataclass(frozen=True)
class LoadPlan:
    """The shape of the load, how the server is asked, and what it may use.

    arrivals     "poisson" (independent users) or "constant"
    batch_rows   rows of a request; each request draws one of these
    break_ms, break_share
                 the ramp of stress ends with the step in which a smaller share was answered rightly within this time
    lateness_ms  lateness of the generator itself at p99 beyond which it is not trusted
    locustfile   tasks of this file are run instead of asking for predictions; "" for none
    """

    phases: tuple[Phase, ...]
    arrivals: str
    batch_rows: tuple[int, ...]
    timeout_seconds: float
    server_cpus: float
    server_memory_mb: int
    start_seconds: float
    interface: Interface
    break_ms: float
    break_share: float
    lateness_ms: float
    locustfile: str = ""

    @property
    def most_seconds(self) -> float:
        """The longest that the generator takes: start, phases, the wait after each step of stress and at the end."""
        waits = 1 + sum(phase.name == "stress" for phase in self.phases)
        phases = sum(phase.seconds for phase in self.phases)
        return self.start_seconds + phases + waits * (self.timeout_seconds + MARGIN_SECONDS)

    @property
    def hopeless_seconds(self) -> float:
        """Lateness of the generator from which there is no use in going on."""
        return max(20 * self.lateness_ms / 1000, 1.0)

    @staticmethod
    def of(value: dict[str, Any]) -> LoadPlan:
        """From the JSON that `Plan.write` made."""
        phases = tuple(Phase(**phase) for phase in value["phases"])
        nested = {"phases": phases, "batch_rows": tuple(value["batch_rows"])}
        return LoadPlan(**{**value, **nested, "interface": Interface(**value["interface"])})


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
            phases=(Phase("warm_up", gate.rate, gate.warm_up_seconds), Phase("load", gate.rate, gate.seconds)),
            arrivals="poisson",
            batch_rows=(gate.batch_rows,),
            timeout_seconds=gate.timeout_seconds,
            server_cpus=gate.server.cpus,
            server_memory_mb=gate.server.memory_mb,
            start_seconds=gate.server.start_seconds,
            interface=Interface(),
            break_ms=gate.within.milliseconds,
            break_share=0.5,
            lateness_ms=gate.lateness_ms_at_most,
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
        load = value["load"] and LoadPlan.of(value["load"])
        return Plan(
            tuple(value["suites"]),
            tuple(value["roles"]),
            tuple(value["columns"]),
            value["predict_seconds"],
            value["memory_mb"],
            load,
            value["shap_rows"],
        )
