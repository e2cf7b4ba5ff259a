"""What is judged: candidate and champion, resolved once to version, run, digest and a local folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from weighin.canonical import canonical, digest, read_json, write_json
from weighin.errors import ContractError, EvidenceError
from weighin.model.examined import Examined
from weighin.runner.artifact import manifest_digest
from weighin.untrusted import JsonDict

SCHEMA = "weighin/subject/v1"
ROLES = ("candidate", "champion", "anchor")


@dataclass(frozen=True)
class ModelVersion:
    """One model, as it stood when it was resolved.

    name, version, run_id  of the registry; version and run_id are empty for a model that came from a path
    digest                 `artifact_digest` of its files
    source                 what was asked for: a `models:/` address or a path
    predictions            digest of the predictions that were judged in place of the model; empty where it was asked
    """

    name: str
    version: str
    run_id: str
    digest: str
    source: str
    predictions: str = ""

    def __str__(self) -> str:
        return f"{self.name} version {self.version}" if self.version else f"{self.name} from {self.source}"


@dataclass(frozen=True)
class ReservedUse:
    """The use of the sealed holdout that was reserved for this candidate: number `use` of `holdout_uses` in `epoch`."""

    epoch: str
    use: int
    holdout_uses: int
    ledger_version: str


@dataclass(frozen=True)
class Recorded:
    """What the record of the champion's own promotion says of its metrics on the holdout of then.

    problem   why nothing is known; empty where it is
    entry     of the ledger, in words; `record` is its record's digest
    contract, holdout  digests of the contract and of the holdout of then
    metrics   metric -> `estimate`, `low`, `high`, `level` and `n`
    """

    problem: str = ""
    entry: str = ""
    record: str = ""
    contract: str = ""
    holdout: str = ""
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Release:
    """A change of champion before this validation, by the ledger, for readers: no outcome rests on it.

    entry, action  number of the ledger's entry, and `promote`, `rollback` or `adopt`
    version, day   that became champion, and when
    record         digest of the decision record; empty for none
    holdout        digest of the holdout that its metrics are of; empty where they are not known
    metrics        metric -> value on that holdout
    """

    entry: int
    action: str
    version: str
    day: str
    record: str = ""
    holdout: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainedOn:
    """The training datasets that the candidate's run has logged, compared with the holdout (and the sealed one).

    problem    why nothing could be compared; empty where something was
    compared   a sentence for each dataset: how it was compared
    identical  a sentence for each dataset that is the holdout itself
    rows, known  of the holdout, and how many of them stand in the datasets
    timed, late  rows of the datasets that have a time, and how many of them are not before the holdout's first moment
    untimed    why no time was compared; empty where one was
    """

    problem: str = ""
    compared: tuple[str, ...] = ()
    identical: tuple[str, ...] = ()
    rows: int = 0
    known: int = 0
    timed: int = 0
    late: int = 0
    untimed: str = ""

    @staticmethod
    def from_json(value: JsonDict) -> TrainedOn:
        """Return what `asdict` made of one. Errors: `TypeError`."""
        return TrainedOn(**{**value, "compared": tuple(value["compared"]), "identical": tuple(value["identical"])})


@dataclass(frozen=True)
class Subject:
    """Candidate against champion; without a champion it is a first release.

    data          dataset -> {"sha256": ..., "rows": ..., "features": ...} of the files that the suites read, and of
                  the features that the models were given
    ephemeral_registry whether the registry is a file of this machine, so that a moved alias moves nothing anywhere else
    anchor        the pinned second baseline, where the contract has one
    sealed        the reserved look, where this is a release
    models        role -> what was found out about its model before it was asked
    recorded      the champion by its own record, where the contract asks for it
    trained_on    what the candidate was fitted on, by its run, where the contract asks for it
    releases      the last changes of champion, the oldest first
    """

    candidate: ModelVersion
    champion: ModelVersion | None
    contract: str
    data: Mapping[str, Mapping[str, Any]]
    ephemeral_registry: bool
    anchor: ModelVersion | None = None
    sealed: ReservedUse | None = None
    models: Mapping[str, Examined] = field(default_factory=dict)
    recorded: Recorded | None = None
    trained_on: TrainedOn | None = None
    releases: tuple[Release, ...] = ()

    def role(self, name: str) -> ModelVersion | None:
        """Return the model in a role, one of `ROLES`."""
        found: ModelVersion | None = {"candidate": self.candidate, "champion": self.champion, "anchor": self.anchor}[
            name
        ]
        return found

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that are filled."""
        return tuple(role for role in ROLES if self.role(role) is not None)

    @property
    def digest(self) -> str:
        """`sha256:<hex>` over the canonical bytes of the subject."""
        return digest(canonical(self._value()))

    def _value(self) -> JsonDict:
        return {"schema": SCHEMA, **asdict(self)}

    def write(self, path: Path) -> None:
        """Write `subject.json`."""
        write_json(path, self._value())

    @staticmethod
    def read(path: Path) -> Subject:
        """Read `subject.json`. Errors: `EvidenceError`."""
        value = read_json(path, SCHEMA)
        try:
            champion, anchor, sealed = value["champion"], value["anchor"], value["sealed"]
            recorded, trained_on = value["recorded"], value["trained_on"]
            return Subject(
                ModelVersion(**value["candidate"]),
                None if champion is None else ModelVersion(**champion),
                value["contract"],
                value["data"],
                value["ephemeral_registry"],
                None if anchor is None else ModelVersion(**anchor),
                None if sealed is None else ReservedUse(**sealed),
                {role: Examined.from_json(known) for role, known in value["models"].items()},
                None if recorded is None else Recorded(**recorded),
                None if trained_on is None else TrainedOn.from_json(trained_on),
                tuple(Release(**one) for one in value["releases"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise EvidenceError(f"damaged ({type(error).__name__})", str(path), "Resolve again.") from error


def artifact_digest(folder: Path) -> str:
    """`manifest_digest` of a model's folder.

    Errors: `ContractError` when the folder holds no model, or a link that points elsewhere.
    """
    if not (folder / "MLmodel").is_file():
        raise ContractError("no MLmodel file", str(folder), "Name the folder of a model that MLflow logged.")
    try:
        return manifest_digest(folder)
    except ValueError as error:
        raise ContractError(str(error), str(folder), "Log the model's files themselves.") from error
