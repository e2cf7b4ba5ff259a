"""`plan.json`: what a runner must know of the contract. Standard library only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from weighin.untrusted import JsonDict

SCHEMA = "weighin/plan/v7"
RECOVERED_SECONDS = 5.0
"""How long a server is watched after the time in which it must have recovered."""
CLEAN_SECONDS = 5.0
LOCUSTFILE = "locustfile.py"
"""Where in the work folder the team's own lies."""
REQUESTS = "requests/logged.parquet"
"""Where in the work folder the requests lie that are asked again."""
MARGIN_SECONDS = 5.0
"""What a generator may need besides the time that its plan gives: encoding, sending late, writing."""


OfContract: TypeAlias = Any
"""A contract, or a gate of it. This package runs where there is nothing but Python, and knows no contract."""


Label: TypeAlias = "str | int | float | bool | None"
"""A label of a classification, as the contract writes it."""


@dataclass(frozen=True)
class Answers:
    """What of a model's answer is its prediction.

    columns   numbers, counted from 0, or names of the columns that count: one, or one for each class
    kind      probability, probabilities, label, value, score, interval or text
    classes   labels of a multiclass task, in order
    positive  the positive label of a binary task; None where the contract names none
    repeats   how often each row is asked; its answers follow each other
    """

    columns: tuple[int | str, ...] = (1,)
    kind: str = "probability"
    classes: tuple[Label, ...] = ()
    positive: Label = None
    repeats: int = 1

    @property
    def width(self) -> int:
        """How many numbers a prediction has: labels are one, by their code."""
        return len(self.columns)

    def to_json(self) -> str:
        """For a command line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Answers:
        """Return what `to_json` wrote; what is absent has its default. Errors: `ValueError`, `TypeError`."""
        return Answers.of({**asdict(Answers()), **json.loads(text)})

    @staticmethod
    def of(value: JsonDict) -> Answers:
        """Return what `asdict` made. Errors: `TypeError`, `KeyError`."""
        return Answers(**{**value, "columns": tuple(value["columns"]), "classes": tuple(value["classes"])})


@dataclass(frozen=True)
class Phase:
    """A stretch of load: requests per second for so many seconds."""

    name: str
    """warm_up, load, peak, stress-1, stress-2, ... or recovery; replay has no rate, and `seconds` are the most."""
    rate: float
    seconds: float

    @property
    def stress(self) -> bool:
        """Whether this is a step of a ramp; neighbouring ones are one ramp."""
        return self.name.startswith("stress")


@dataclass(frozen=True)
class Interface:
    """How the server is spoken to.

    health       path of a GET that answers 200 when the server is ready
    path         path of the POST that asks for predictions
    form         body of a request: "dataframe_split", "instances", "v2", "template", "chat" or "responses"
    template     JSON text; {{rows}} in it is replaced by the list of row objects
    predictions  JSON pointer (RFC 6901) to the list of predictions in an answer; "" is the whole answer
    stream       whether an answer is asked for as server-sent events
    may_be_empty whether a text may hold nothing but white space
    """

    health: str = "/ping"
    path: str = "/invocations"
    form: str = "dataframe_split"
    template: str = ""
    predictions: str = "/predictions"
    stream: bool = False
    may_be_empty: bool = False


@dataclass(frozen=True)
class Session:
    """One start of a server, and what it is asked.

    role    whose model: "candidate", "champion"; "clean" is the candidate in an environment of its own requirements
    start   counted from 0 in each role
    probes  whether the input example and malformed requests are sent as well, when the load is over
    """

    role: str
    start: int
    phases: tuple[Phase, ...]
    probes: bool = False

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.role}-{self.start}"


def sessions(gate: OfContract, champion: bool) -> tuple[Session, ...]:
    """Return what a load gate (a `weighin.contract.load.Load`) asks for; candidate and champion take turns."""
    calm = [Phase("warm_up", gate.rate, gate.warm_up_seconds), Phase("load", gate.rate, gate.seconds)]
    found = []
    for start in range(gate.starts):
        phases = list(calm)
        last = start == gate.starts - 1
        if last and gate.peak:
            phases.append(Phase("peak", gate.peak.rate, gate.peak.seconds))
        if last and gate.stress:
            phases += _ramp(gate)
            if gate.recovery_seconds_at_most:
                phases.append(Phase("recovery", gate.rate, gate.recovery_seconds_at_most + RECOVERED_SECONDS))
        found.append(Session("candidate", start, tuple(phases), probes=start == 0 and gate.locustfile is None))
        if champion and gate.against_champion:
            found.append(Session("champion", start, tuple(calm)))
    if gate.clean_environment:
        found.append(Session("clean", 0, (Phase("load", gate.rate, CLEAN_SECONDS),)))
    return tuple(found)


def replays(gate: OfContract) -> tuple[Session, ...]:
    """Return what a shadow gate asks for: at each start both models, and the one that came second comes first at the
    next.
    """
    phases = (Phase("replay", 0.0, gate.seconds_at_most),)
    order = ("candidate", "champion")
    return tuple(Session(r, s, phases) for s in range(gate.starts) for r in (order if s % 2 == 0 else order[::-1]))


def _ramp(gate: Any) -> list[Phase]:
    """Rates that grow by a factor from the expected one to the last."""
    rates, last = [], gate.stress.rate_at_most
    rate = gate.rate * gate.stress.factor
    while rate < last * (1 - 1e-9):
        rates.append(rate)
        rate *= gate.stress.factor
    return [Phase(f"stress-{n}", r, gate.stress.seconds) for n, r in enumerate((*rates, last), 1)]


@dataclass(frozen=True)
class LoadPlan:
    """The shape of the load, how the server is asked, and what it may use.

    phases       what the server is asked at one of its starts
    arrivals     "poisson" (independent users) or "constant"
    batch_rows   rows of a request; each request draws one of these
    break_ms, break_share
                 the ramp of stress ends with the step in which a smaller share was answered rightly within this time
    lateness_ms  lateness of the generator itself at p99 beyond which it is not trusted
    image, command
                 the team's own server; "" and none for MLflow's
    url          of a server that runs already; "" for none
    locustfile   tasks of this file are run instead of asking for predictions; "" for none
    requests     file of the work folder whose requests are asked one by one, in place of a schedule; "" for none
    sessions     the starts of the server; `at` gives the plan of one
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
    image: str = ""
    command: tuple[str, ...] = ()
    url: str = ""
    locustfile: str = ""
    requests: str = ""
    sessions: tuple[Session, ...] = ()

    def at(self, session: Session) -> LoadPlan:
        """Return the plan of one start."""
        return replace(self, phases=session.phases)

    @property
    def step(self) -> str:
        """The step that does this, and the folder that it leaves."""
        return "shadow" if self.requests else "load"

    @property
    def most_seconds(self) -> float:
        """The longest that the generator takes: start, phases, the wait after each step of stress and at the end."""
        waits = 1 + sum(phase.stress for phase in self.phases)
        phases = sum(phase.seconds for phase in self.phases)
        return self.start_seconds + phases + waits * (self.timeout_seconds + MARGIN_SECONDS)

    @property
    def hopeless_seconds(self) -> float:
        """Lateness of the generator from which there is no use in going on."""
        return max(20 * self.lateness_ms / 1000, 1.0)

    @staticmethod
    def of(value: JsonDict) -> LoadPlan:
        """From the JSON that `Plan.write` made."""

        def phases(given: list[JsonDict]) -> tuple[Phase, ...]:
            return tuple(Phase(**phase) for phase in given)

        nested = {
            "phases": phases(value["phases"]),
            "sessions": tuple(Session(**{**s, "phases": phases(s["phases"])}) for s in value["sessions"]),
            "batch_rows": tuple(value["batch_rows"]),
            "command": tuple(value["command"]),
        }
        return LoadPlan(**{**value, **nested, "interface": Interface(**value["interface"])})


@dataclass(frozen=True)
class Plan:
    """Limits of the containers; memory in 2**20 bytes.

    answers    what of a model's answer is its prediction
    refused    role -> why its model does not fit the contract, and is not asked
    own_environments  roles whose model is asked with the packages that it declares
    behind_endpoint  roles whose answers come from an endpoint, so that their step has a network and its key
    shap_rows  rows for which the model's container computes SHAP values
    own_code   suites that run code of the repository, in a judge of its own before ours
    predict_on  "process", or "spark" for the executors of a cluster
    """

    suites: tuple[str, ...]
    roles: tuple[str, ...]
    answers: Answers
    predict_seconds: float
    memory_mb: int
    load: LoadPlan | None
    shap_rows: int = 0
    shadow: LoadPlan | None = None
    own_code: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    own_environments: tuple[str, ...] = ()
    behind_endpoint: tuple[str, ...] = ()
    predict_on: str = "process"

    @staticmethod
    def of(
        contract: OfContract,
        roles: tuple[str, ...],
        sealed: bool = False,
        own: tuple[str, ...] = (),
        own_code: tuple[str, ...] = (),
        refused: dict[str, str] | None = None,
        own_environments: tuple[str, ...] = (),
        behind_endpoint: tuple[str, ...] = (),
    ) -> Plan:
        """Return the plan of a contract (a `weighin.contract.Contract`, which this module does not import).

        own       the team's own suites, which run like those of the contract's gates
        own_code  suites that run code of the repository
        refused   role -> why its model is not asked
        own_environments, behind_endpoint  as above
        """
        model, gate = contract.model, contract.gates.load
        load = gate and _load_plan(contract, "champion" in roles)
        explain = contract.gates.explainability
        suites = (*contract.gates.names, *(["sealed"] if sealed else []), *own)
        shap_rows = explain.shap if explain else 0
        shadow = _shadow_plan(contract) if contract.gates.shadow else None
        limits = (model.predict_seconds, model.memory_mb)
        plan = Plan(suites, roles, model.answers, *limits, load, shap_rows, shadow, own_code, refused or {})
        plan = replace(plan, own_environments=own_environments, behind_endpoint=behind_endpoint)
        return replace(plan, predict_on=model.predict_on)

    @property
    def on_spark(self) -> bool:
        """Whether models are asked by the executors of a cluster."""
        return self.predict_on == "spark"

    def has_own_environment(self, role: str) -> bool:
        """Whether the model of a role (`clean` is the candidate's) is asked with the packages that it declares."""
        return role == "clean" or role in self.own_environments

    def predict_arguments(self) -> list[str]:
        """Return what `weighin step predict` is told of the model's answers."""
        told = ["--answers", self.answers.to_json(), *(["--spark"] if self.on_spark else [])]
        return [*told, "--shap", str(self.shap_rows)] if self.shap_rows else told

    def write(self, path: Path) -> None:
        """Write `plan.json`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1))

    @staticmethod
    def read(path: Path) -> Plan:
        """Read `plan.json`. Errors: `ValueError` with a sentence."""
        try:
            value = json.loads(path.read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(
                f"{path}: no readable plan ({type(error).__name__}). Run `weighin step resolve` first."
            ) from error
        if value.pop("schema", None) != SCHEMA:
            raise ValueError(f"{path}: not a plan of schema {SCHEMA}. Run `weighin step resolve` again.")
        load, shadow = (value[k] and LoadPlan.of(value[k]) for k in ("load", "shadow"))
        return Plan(
            tuple(value["suites"]),
            tuple(value["roles"]),
            Answers.of(value["answers"]),
            value["predict_seconds"],
            value["memory_mb"],
            load,
            value["shap_rows"],
            shadow,
            tuple(value["own_code"]),
            value["refused"],
            tuple(value["own_environments"]),
            tuple(value["behind_endpoint"]),
            value["predict_on"],
        )

    def of_step(self, step: str) -> LoadPlan | None:
        """Return what the step `load` or `shadow` asks of servers, if anything."""
        return self.shadow if step == "shadow" else self.load


def _load_plan(contract: Any, champion: bool) -> LoadPlan:
    gate = contract.gates.load
    return replace(
        _served(contract, gate.timeout_seconds),
        arrivals=gate.arrivals,
        batch_rows=gate.sizes,
        break_ms=gate.within.latency_ms,
        lateness_ms=gate.lateness_ms_at_most,
        locustfile=LOCUSTFILE if gate.locustfile else "",
        sessions=sessions(gate, champion),
    )


def _shadow_plan(contract: Any) -> LoadPlan:
    """Return how a start is served: as the load gate serves, or by MLflow's scoring server."""
    served = _served(contract, contract.gates.shadow.timeout_seconds)
    return replace(served, requests=REQUESTS, sessions=replays(contract.gates.shadow))


def _served(contract: Any, timeout_seconds: float) -> LoadPlan:
    server, empty = contract.server, contract.model.empty_answers_at_most > 0
    asked = (server.health, server.path, server.request, server.template, server.predictions, server.stream)
    return LoadPlan(
        phases=(),
        arrivals="constant",
        batch_rows=(1,),
        timeout_seconds=timeout_seconds,
        server_cpus=server.cpus,
        server_memory_mb=server.memory_mb,
        start_seconds=server.start_seconds,
        interface=Interface(*asked, empty),
        break_ms=0.0,
        break_share=0.5,
        lateness_ms=0.0,
        image=server.image or "",
        command=server.command,
        url=server.url or "",
    )
