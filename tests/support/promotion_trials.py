"""Promotions and rollbacks to be interrupted: real ones, over real evidence, each on a model of its own.

Nothing here keeps a connection: a registry is opened in the process that asks it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from support.evidence_files import SOUND, Case
from support.forked import in_child
from weighin.canonical import write_json
from weighin.model.subject import ModelVersion, Subject, artifact_digest
from weighin.record.signature import KEY, make_key, signer
from weighin.record.suite import Binding
from weighin.registry.champion import ENTRY, ChampionRegistry
from weighin.registry.ledger import Entry
from weighin.registry.mlflow import Registry
from weighin.release.promote import Promotion, promote
from weighin.release.rollback import Rollback, rollback

SIGNATURE = """\
flavors: {}
signature:
  inputs: '[{"type": "double", "name": "a"}]'
  outputs: '[{"type": "double"}]'
"""
CALM = {"owner": "team-a", "reason": "it answers wrongly"}


@dataclass(frozen=True)
class Stock:
    """Files of models in a registry, from which versions of any model are made.

    uri    of the registry
    runs   (run id, address of the files, digest) of each
    folder for evidence
    tracking  address of the runs, where it is another one
    """

    uri: str
    runs: tuple[tuple[str, str, str], ...]
    folder: Path
    tracking: str = ""

    @staticmethod
    def of(uri: str, folder: Path, versions: int = 4, tracking: str = "") -> Stock:
        """Log so many models. `folder` gets a signing key."""
        make_key(folder / "key")
        return Stock(uri, in_child(_stocked, uri, folder, versions, tracking), folder, tracking)

    def at(self, uri: str) -> Stock:
        """The same registry, reached by another address."""
        return replace(self, uri=uri)

    @property
    def registry(self) -> Registry:
        return Registry(self.uri, self.tracking or None)


def _stocked(uri: str, folder: Path, versions: int, tracking: str = "") -> tuple[tuple[str, str, str], ...]:
    registry, found = Registry(uri, tracking or None), []
    for number in range(1, versions + 1):
        model = folder / f"stock-{number}" / "model"
        model.mkdir(parents=True)
        (model / "MLmodel").write_text(f"version: {number}\n{SIGNATURE}")
        run_id = registry.log_run("trials", registry.artifact_location, model.parent, {})
        source = f"{registry._client.get_run(run_id).info.artifact_uri}/model"
        found.append((run_id, source, artifact_digest(model)))
    return tuple(found)


@dataclass(frozen=True)
class Trial:
    """One model of its own: version 1 is champion, by its alias; with `promoted` by a ledger, after 2 and before."""

    stock: Stock
    name: str

    def champions(self) -> ChampionRegistry:
        return ChampionRegistry(self.stock.registry, self.name, "champion", "previous")

    def through(self, uri: str) -> Trial:
        """The same by another address."""
        return replace(self, stock=self.stock.at(uri))

    def version(self, number: int) -> ModelVersion:
        run_id, _, digest = self.stock.runs[number - 1]
        return ModelVersion(self.name, str(number), run_id, digest, f"models:/{self.name}/{number}")

    def set_up(self, *promoted: int) -> None:
        """Register the versions; the first is champion, and then those that were promoted, as the ledger says."""
        champions = self.champions()
        client = champions.registry._client
        client.create_registered_model(self.name)
        for run_id, source, _ in self.stock.runs:
            client.create_model_version(self.name, source, run_id)
        client.set_registered_model_alias(self.name, "champion", "1")
        entry, chain = None, (1, *promoted) if promoted else ()
        for before, after in zip((0, *chain), chain, strict=False):
            made = self.version(after)
            entry = Entry(
                "promote" if before else "adopt",
                str(before or ""),
                made.version,
                made.digest,
                f"sha256:record-{after}" if before else "",
                entry.sum if entry else "",
                "",
                "",
                False,
                "set up",
                "",
                "2026-11-27T00:00:00+00:00",
            )
            number = champions.registry.add_entry(champions.ledger.name, made.run_id, entry.tags())
            champions.sync_aliases(replace(entry, number=number))

    def case(self, number: int = 2, champion: int = 1) -> Case:
        """Green evidence about a version against the champion, and its record."""
        case = Case(self.stock.folder / f"{self.name}-{number}-{champion}")
        model = case.file.contract.model.model_copy(update={"name": self.name})
        case.file = replace(case.file, contract=case.file.contract.model_copy(update={"model": model}))
        case.subject = Subject(self.version(number), self.version(champion), case.file.digest, {}, True, models=SOUND)
        case.binding = Binding(case.file.digest, case.subject.digest, "", "1")
        if not (case.reports / "record.json").exists():
            case.write()
            write_json(case.reports / "record.json", case.record())
        return case

    def promote(self, number: int = 2, champion: int = 1) -> Promotion:
        """The real promotion over the evidence, which the first call makes."""
        case = self.case(number, champion)
        by = signer({KEY: str(self.stock.folder / "key")})
        return promote(case.file, case.subject, case.decision(), case.reports, self.stock.registry, by=by)

    def roll_back(self, to: str = "") -> Rollback:
        return rollback(self.champions(), to, **CALM)

    def state(self) -> dict[str, Any]:
        """What the registry says, with nothing repaired."""
        champions = self.champions()
        registry = champions.registry
        entries = champions.ledger.entries()
        return {
            "entries": [(e.action, e.before, e.after) for e in entries],
            "written": len(registry.entries(champions.ledger.name)),
            "champion": registry.aliased(self.name, "champion"),
            "previous": registry.aliased(self.name, "previous"),
            "published": registry.tags(self.name, "2").get("weighin.record", ""),
            "tagged": {str(v.version): dict(v.tags).get(ENTRY) for v in registry.entries(self.name)},
        }

    def settled(self) -> tuple[str, str | None]:
        """The champion by the ledger and by its alias, after a command that settles."""
        champions = self.champions()
        _, champion = champions.reconcile()
        return champion, champions.registry.aliased(self.name, "champion")


DEEDS: dict[str, tuple[tuple[int, ...], Callable[[Trial], Any], list[tuple[str, str, str]], str]] = {
    "promote": ((), Trial.promote, [("adopt", "", "1"), ("promote", "1", "2")], "1"),
    "rollback": (
        (2, 3),
        lambda trial: trial.roll_back("2"),
        [("adopt", "", "1"), ("promote", "1", "2"), ("promote", "2", "3"), ("rollback", "3", "2")],
        "3",
    ),
}
"""What is interrupted: promotions of the set up, the deed, the ledger after it, and the champion before it."""


def recovered(trial: Trial, deed: str, *, settle_first: bool) -> str:
    """Run again after an interruption, and say how that ended; `AssertionError` where anything is not as it must be."""
    _, do, entries, before = DEEDS[deed]
    ended = ""
    if settle_first:
        champion, alias = trial.settled()
        assert champion == alias, (champion, alias)
        assert champion in ("2", before), champion
        ended = "finished" if champion == "2" else "backed out"
    do(trial)
    state = trial.state()
    assert state["entries"] == entries, state
    assert state["written"] == len(entries), state
    assert (state["champion"], state["previous"]) == ("2", before), state
    assert state["tagged"]["2"] == str(len(entries)), state
    if deed == "promote":
        assert state["published"] == trial.champions().ledger.entries()[-1].record, state
        trial.champions().registry.fetch(
            trial.version(2).run_id, "weighin/record.dsse.json", trial.stock.folder / "kept"
        )
    return ended or "run again"


@cache
def warmed_up() -> None:
    """Load what a promotion needs, so that children need not; nothing is opened."""
    import mlflow.artifacts
    import mlflow.store.artifact.mlflow_artifacts_repo
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.tracing.export.utils
    import mlflow.tracing.processor  # noqa: F401

    nowhere = Stock("http://127.0.0.1:1", tuple((f"r{n}", "", f"sha256:{n:064}") for n in (1, 2)), Path())
    with tempfile.TemporaryDirectory() as scratch:
        Trial(replace(nowhere, folder=Path(scratch)), "m").case().decision()
    # Plugins are looked for at the first call.
    assert Registry(nowhere.uri)._client._get_registry_client().store
