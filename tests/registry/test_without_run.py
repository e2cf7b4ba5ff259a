"""Versions without a run here: registered in the user interface, or exported from another server and imported."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from support.empty_store import empty_store
from support.promotion_trials import Stock, Trial
from weighin.canonical import write_json
from weighin.data.profile import Profile
from weighin.errors import NotEvaluated
from weighin.model.subject import ModelVersion
from weighin.record.history import check_history
from weighin.record.signature import KEY, signer, trusted_key
from weighin.registry.champion import ChampionRegistry
from weighin.registry.mlflow import Registry
from weighin.registry.profiles import stored_profile
from weighin.release.import_version import import_version
from weighin.release.promote import Promotion, promote
from weighin.release.rollback import rollback
from weighin.resolve.models import fetch

pytestmark = pytest.mark.exhaustive

PROFILE = Profile(7, None, "duckdb", True, {"a": "number"}, {})


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    return Stock.of(empty_store(tmp_path_factory.mktemp("registry")), tmp_path_factory.mktemp("stock"), 3)


@pytest.fixture(params=["none", "of another server"])
def trial(request: pytest.FixtureRequest, stock: Stock) -> Trial:
    """Three versions of a model, of which this server knows no run."""
    trial = Trial(stock, request.node.name)
    client = trial.champions().registry._client
    client.create_registered_model(trial.name)
    for _, source, _ in stock.runs:
        client.create_model_version(trial.name, source, None if request.param == "none" else "0" * 32)
    client.set_registered_model_alias(trial.name, "champion", "1")
    return replace(trial, stock=replace(stock, runs=tuple(("", *rest) for _, *rest in stock.runs)))


def promoted(trial: Trial, number: int, champion: int) -> Promotion:
    """Promote, signed, with the profile of the reference that was judged."""
    case = trial.case(number, champion)
    case.subject = replace(case.subject, data={**case.subject.data, "reference": {"profile": PROFILE.digest}})
    case.binding = replace(case.binding, subject=case.subject.digest)
    case.write()
    write_json(case.reports / "record.json", case.record())
    work = case.reports / "work"
    case.subject.write(work / "subject.json")
    PROFILE.write(work / "profiles/reference.json")
    registry, by = trial.champions().registry, signer({KEY: str(trial.stock.folder / "key")})
    return promote(case.file, case.subject, case.decision(), case.reports, registry, work=work, by=by)


def resolved(trial: Trial, folder: Path) -> ModelVersion:
    os.environ["MLFLOW_TRACKING_URI"] = trial.stock.uri  # conftest.py sets the environment back
    return fetch(f"models:/{trial.name}@champion", trial.name, folder)


def test_its_profile_is_kept_beside_the_entry(trial: Trial, tmp_path: Path) -> None:
    assert promoted(trial, 2, 1).after == "2"
    champions = trial.champions()
    champion = resolved(trial, tmp_path / "files")
    assert (champion.version, champion.run_id) == ("2", "")
    assert stored_profile(champions, champion, "champion").digest == PROFILE.digest
    assert [c.problems for c in check_history(champions)] == [(), ()]


def test_back_at_a_version_its_own_profile_is_read(trial: Trial, tmp_path: Path) -> None:
    promoted(trial, 2, 1)
    promoted(trial, 3, 2)
    rollback(trial.champions(), owner="team-a", reason="it answers wrongly")
    champion = resolved(trial, tmp_path / "files")
    assert champion.version == "2"
    assert stored_profile(trial.champions(), champion, "champion").digest == PROFILE.digest


def test_its_profile_travels_to_another_registry(trial: Trial, tmp_path: Path) -> None:
    promoted(trial, 2, 1)
    (tmp_path / "other").mkdir()
    here, there = trial.champions().registry, Registry(empty_store(tmp_path / "other"))
    here.digest(trial.name, "1", tmp_path / "champion")
    there.move_alias(trial.name, "champion", there.add_version(trial.name, "", tmp_path / "champion", here))
    champions = ChampionRegistry(there, trial.name, "champion", "previous")
    trusted = [trusted_key(trial.stock.folder / "key.pub")]
    done = import_version(trial.case().file, champions, here, f"models:/{trial.name}/2", trusted)
    assert (done.before, done.version) == ("1", "2")
    champion = there.resolve(f"models:/{trial.name}@champion", tmp_path / "files")
    assert champion.run_id
    assert stored_profile(champions, champion, "champion").digest == PROFILE.digest


def test_a_version_that_nobody_promoted_has_none(trial: Trial) -> None:
    with pytest.raises(NotEvaluated, match="it came from no run, and no entry of the ledger promoted it"):
        stored_profile(trial.champions(), trial.version(3), "candidate")


def test_a_deleted_run_is_none(stock: Stock, tmp_path: Path) -> None:
    trial = Trial(stock, "deleted-run")
    client = Registry(stock.uri)._client
    client.create_registered_model(trial.name)
    run = client.create_run("0").info.run_id
    client.create_model_version(trial.name, stock.runs[0][1], run)
    assert Registry(stock.uri).resolve(f"models:/{trial.name}/1", tmp_path / "a").run_id == run
    client.delete_run(run)
    assert Registry(stock.uri).resolve(f"models:/{trial.name}/1", tmp_path / "b").run_id == ""
