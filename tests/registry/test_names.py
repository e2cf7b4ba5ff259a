"""Names with every character that MLflow allows: from the promotion to the monitor, on MLflow 3.17 itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from support.empty_store import empty_store
from support.promotion_trials import Stock, Trial
from support.watched_model import Watched
from weighin.contract.models import LedgerName
from weighin.errors import ContractError, RegistryError
from weighin.monitor.history import last_heartbeat
from weighin.record.history import check_history
from weighin.registry.holdout_uses import HoldoutUses
from weighin.registry.mlflow import Address, Registry
from weighin.release.promote import promote

NAME = 'it\'s a "model" #1? @100 % & back\\slash `{ä}` a.b.c;*|~^<>+=$!,[]()'
WATCH = [{"window": {"rows": 100, "rows_at_least": 100}, "error_rate_at_most": 0.1, "action": "rollback"}]


def test_a_strange_name_goes_all_the_way(tmp_path: Path) -> None:
    trial = Trial(Stock.of(empty_store(tmp_path), tmp_path, 3), NAME)
    trial.set_up()
    trial.promote()
    trial.promote(3, 2)
    place = Watched.make(trial.stock.uri, tmp_path, {"log": {"path": "log"}, "watch": WATCH}, NAME)
    place.answers(place.since, 300, "3", failing=0.5)
    assert [e.kind for e in place.run(place.since + timedelta(minutes=10)).new] == ["alarm", "rollback"]
    registry = Registry(trial.stock.uri)
    assert last_heartbeat(registry, NAME) is not None
    checked = check_history(trial.champions())
    assert [(c.entry.action, c.entry.after, c.problems) for c in checked] == [
        ("adopt", "1", ()),
        ("promote", "2", ()),
        ("promote", "3", ()),
        ("rollback", "2", ()),
    ]
    assert registry.resolve(f"models:/{NAME}@champion", tmp_path / "files").version == "2"
    assert registry.copy_version(Address(NAME, "1"), "copy") == "1"
    uses = HoldoutUses(registry, NAME)
    assert uses.reserve("spring", 3, trial.version(2), np.arange(9, dtype=np.uint64)).number == 1


def test_a_ledger_that_the_contract_names_is_the_one_that_is_written(tmp_path: Path) -> None:
    trial = Trial(Stock.of(empty_store(tmp_path), tmp_path, 2), "named-ledger")
    trial.set_up()
    case, registry = trial.case(), Registry(trial.stock.uri)
    model = case.file.contract.model.model_copy(update={"ledger": LedgerName(name="who-was-champion")})
    file = replace(case.file, contract=case.file.contract.model_copy(update={"model": model}))
    assert promote(file, case.subject, case.decision(), case.reports, registry).after == "2"
    assert len(registry.entries("who-was-champion")) == 2
    assert registry.entries("named-ledger.ledger") == []
    # Whoever goes on without the name would begin another.
    renamed = "became champion by the ledger `who-was-champion`, and this is `named-ledger.ledger`"
    for demand in (trial.champions().reconcile, trial.champions().demand_no_ledger_before):
        with pytest.raises(RegistryError, match=renamed):
            demand()


@pytest.mark.parametrize("name", ["it's late", 'say "hi"', 'it\'s "late"', "a\\", "a`b"])
def test_versions_are_found_whatever_quotation_marks_a_name_has(name: str, tmp_path: Path) -> None:
    registry = Registry(empty_store(tmp_path))
    for each in (name, name.replace("'", "x").replace('"', "y") + "z"):
        registry._client.create_registered_model(each)
        registry._client.create_model_version(each, f"file://{tmp_path}", tags={"of": each})
    assert [v.tags["of"] for v in registry.entries(name)] == [name]


def test_runs_are_found_by_texts_that_no_query_can_hold(tmp_path: Path) -> None:
    registry = Registry(empty_store(tmp_path))
    for name in ('it\'s "late"', "it_s _late_", "itxs ylatey"):
        run_id = registry.run_named("experiment", name)
        assert registry.run_named("experiment", name) == run_id
    assert len(registry.runs_of("experiment", {})) == 3


@pytest.mark.parametrize(
    "uri", ["models:/a", "models:/a@", "models:/@x", "models:/a/b/3", "models:/a/b@x", "a/3", "models:/"]
)
def test_what_names_no_version_is_said(uri: str) -> None:
    with pytest.raises(ContractError, match="names no model version"):
        Address.parse(uri)
