"""Promotions that should not be: a spent record, a champion made by hand, a first release that is none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from support.attack import Attack, Result, replaced, test_the_wall_holds, test_without_the_wall_it_succeeds  # noqa: F401
from support.promotion_trials import CALM, Trial
from support.rewritten_ledger import delete_ledger, promoted_twice, trial, trusted
from weighin.canonical import write_json
from weighin.errors import WeighinError
from weighin.record.suite import Binding
from weighin.registry.champion import ChampionRegistry
from weighin.registry.ledger import Entry
from weighin.release.import_version import import_version
from weighin.release.promote import promote
from weighin.release.rollback import rollback
from weighin.resolve.models import _champion


def forged(wall: bool, target: str, other: Any, deed: Callable[[], object]) -> Result:
    """What comes of a deed: blocked where it is refused, else a pass that was not earned."""
    with replaced(wall, target, other):
        try:
            deed()
        except WeighinError:
            return Result.BLOCKED
    return Result.FORGED


def nothing(*_: object, **__: object) -> None:
    """In place of a wall."""


def with_record(of: Trial, number: int, champion: int, **changes: Any) -> Callable[[], object]:
    """The promotion of a version with its record changed."""
    case = of.case(number, champion)
    path = case.reports / "record.json"
    write_json(path, json.loads(path.read_bytes()) | changes)
    return lambda: of.promote(number, champion)


def first_release(of: Trial, number: int) -> Callable[[], object]:
    """The promotion of a version that was judged without a champion."""
    case = of.case(number)
    case.subject = replace(case.subject, champion=None)
    case.binding = Binding(case.file.digest, case.subject.digest, "", "1")
    write_json(case.write().reports / "record.json", case.record())
    return lambda: promote(case.file, case.subject, case.decision(), case.reports, of.champions().registry)


# --- a record moves the alias once


def run_again(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    of.roll_back("2")
    got = forged(wall, "weighin.release.promote.demand_unspent", nothing, lambda: of.promote(3, 2))
    assert (of.settled()[0] == "3") is (got is Result.FORGED)
    return got


def another_run(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    of.roll_back("2")
    run = {"commit": "f" * 40, "url": "https://example.org/runs/2", "created": "2026-11-29T00:00:00+00:00"}
    # Without the wall a record is the same only if all of it is.
    return forged(wall, "weighin.registry.spent._evidence", dict, with_record(of, 3, 2, run=run))


def rolled_back_again(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    rollback(of.champions(), **CALM)

    def as_before(to: str, head: Entry, place: str) -> str:
        return to or head.before

    return forged(wall, "weighin.release.rollback._target", as_before, lambda: rollback(of.champions(), **CALM))


# --- success without an entry that carries the record


def by_hand_before_the_ledger(place: Path, wall: bool) -> Result:
    of = trial()
    of.champions().registry.move_alias(of.name, "champion", "2")

    def as_it_stands(champions: ChampionRegistry, *_: object) -> Entry:
        return champions.adoption("2", of.version(2).digest)

    got = forged(wall, "weighin.release.promote._carries", as_it_stands, of.promote)
    assert of.champions().ledger.entries() == []
    return got


def with_the_record_of_another(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    case = of.case(3, 2)
    # Judged a second time: nothing of that is in the ledger.
    case.reports, case.binding = place / "reports", replace(case.binding, attempt="2")
    write_json(case.write().reports / "record.json", case.record())

    def deed() -> object:
        return promote(case.file, case.subject, case.decision(), case.reports, of.champions().registry)

    return forged(wall, "weighin.release.promote._carries", lambda champions, head, *_: head, deed)


# --- a first release that is none


def after_the_ledger_was_deleted(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    delete_ledger(of.champions(), claims=False)
    deed = first_release(of, 4)
    return forged(wall, "weighin.registry.champion.ChampionRegistry.demand_no_ledger_before", nothing, deed)


def over_an_alias_in_capitals(place: Path, wall: bool) -> Result:
    of = trial()
    of.champions().registry._client.delete_registered_model_alias(of.name, "champion")
    of.champions().registry.move_alias(of.name, "Champion", "1")
    deed = first_release(of, 2)
    return forged(wall, "weighin.registry.champion.ChampionRegistry._demand_nothing_released", nothing, deed)


def without_a_champion_to_compare_with(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    of.champions().registry._client.delete_registered_model_alias(of.name, "champion")
    file = of.case(4, 3).file
    gate = file.contract.gates.performance
    assert gate is not None
    allow = gate.model_copy(update={"first_release": "allow"})
    gates = file.contract.gates.model_copy(update={"performance": allow})
    file = replace(file, contract=file.contract.model_copy(update={"gates": gates}))
    with mock.patch.dict(os.environ, {"MLFLOW_TRACKING_URI": of.stock.uri}):
        target = "weighin.registry.champion.ChampionRegistry.demand_first_release"
        return forged(wall, target, nothing, lambda: _champion(file, None, place / "champion"))


# --- from one registered model to the next


def receiving(of: Trial) -> tuple[Trial, Callable[[], object]]:
    """Another model, whose champion has the files of version 2, and the acceptance of version 3 into it."""
    here = Trial(of.stock, f"{of.name}-next-{os.urandom(3).hex()}")
    here.set_up()
    here.champions().registry.move_alias(here.name, "champion", "2")
    case = of.case(3, 2)
    model = case.file.contract.model.model_copy(update={"name": here.name})
    file = replace(case.file, contract=case.file.contract.model_copy(update={"model": model}))
    source = of.champions().registry

    def deed() -> object:
        return import_version(file, here.champions(), source, f"models:/{of.name}/3", trusted())

    return here, deed


def accepted_again(place: Path, wall: bool) -> Result:
    here, deed = receiving(promoted_twice())
    deed()
    rollback(here.champions(), "2", emergency=True, **CALM)
    return forged(wall, "weighin.release.import_version.demand_unspent", nothing, deed)


def accepted_though_rolled_back_there(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    of.roll_back("2")
    _, deed = receiving(of)

    def any_that_was_promoted(entries: list[Entry], version: str, place: str) -> Entry:
        return [e for e in entries if e.after == version and e.action == "promote"][-1]

    return forged(wall, "weighin.release.import_version._promoted_there", any_that_was_promoted, deed)


ATTACKS = [
    Attack("the promoting job is run again after a rollback", run_again, Result.FORGED),
    Attack("a spent record says that it is of another run", another_run, Result.FORGED),
    Attack("the button of a rollback is pressed twice", rolled_back_again, Result.FORGED),
    Attack("the alias was moved by hand before there is a ledger", by_hand_before_the_ledger, Result.FORGED),
    Attack("a record hides behind another that stands", with_the_record_of_another, Result.FORGED),
    Attack("a first release after the ledger was deleted", after_the_ledger_was_deleted, Result.FORGED),
    Attack("a first release past an alias in capitals", over_an_alias_in_capitals, Result.FORGED),
    Attack("a deleted alias leaves no champion to compare with", without_a_champion_to_compare_with, Result.FORGED),
    Attack("a version is accepted again after a rollback", accepted_again, Result.FORGED),
    Attack("a version is accepted that was rolled back there", accepted_though_rolled_back_there, Result.FORGED),
]
