"""Each kind of registry: validate, promote, history, rollback and monitor, as docs/reference/registries.md promises.

MLflow 3.17 on PostgreSQL is in test_server.py, with users and passwords in test_access.py, and on SQLite in most tests.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from support import azure_ml, mlflow_2, unity_catalog
from support.empty_store import empty_store
from support.forked import in_child
from support.promotion_trials import Stock, Trial, warmed_up
from support.registry_proxy import Proxy
from support.registry_server import served
from support.watched_model import Watched
from weighin.cli import main
from weighin.errors import RegistryError
from weighin.model.subject import ModelVersion
from weighin.monitor.history import last_heartbeat
from weighin.registry.holdout_uses import HoldoutUses
from weighin.resolve.models import fetch
from weighin.resolve.releases import recent_releases

pytestmark = pytest.mark.exhaustive

ROOT = Path(__file__).resolve().parents[2]
LONG = ("it answers wrongly on Tuesdays, " * 50).strip()
"""Longer than a tag may be in Unity Catalog."""
WATCH = [{"window": {"rows": 100, "rows_at_least": 100}, "error_rate_at_most": 0.1, "action": "rollback"}]


@pytest.fixture(scope="module", autouse=True)
def patience(environment: None) -> None:
    """MLflow's client tries once; conftest.py sets the environment back."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"


def like_unity_catalog(folder: Path, _: ExitStack) -> tuple[str, str]:
    unity_catalog.register()
    (folder / "versions").mkdir()
    empty_store(folder / "versions")
    return f"{unity_catalog.SCHEME}:{folder}/versions/mlflow.db", empty_store(folder)


def like_azure_ml(folder: Path, running: ExitStack) -> tuple[str, str]:
    azure_ml.register()
    server = running.enter_context(served(folder / "server"))
    proxy = running.enter_context(Proxy(server, azure_ml.like_azure).running())
    return proxy.uri.replace("http://", "azureml://"), proxy.uri


def real_mlflow_2(folder: Path, running: ExitStack) -> tuple[str, str]:
    return running.enter_context(mlflow_2.mlflow_2(folder / "server")), ""


KINDS: dict[str, tuple[Callable[[Path, ExitStack], tuple[str, str]], str]] = {
    "Unity Catalog": (like_unity_catalog, "prod.risk.{}"),
    "Azure Machine Learning": (like_azure_ml, "{}"),
    "MLflow 2.22": (real_mlflow_2, 'it\'s a "{}" & 100 % {{ä}}'),
}
"""Kind -> what starts it, and names as strange as it allows."""
PARAMETERS = [pytest.param(k, marks=pytest.mark.mlflow2 if k == "MLflow 2.22" else ()) for k in KINDS]


@pytest.fixture(scope="module", params=PARAMETERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def stock(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stock]:
    warmed_up()
    folder = tmp_path_factory.mktemp("registry")
    with ExitStack() as running:
        uri, tracking = KINDS[kind][0](folder, running)
        yield Stock.of(uri, tmp_path_factory.mktemp("stock"), tracking=tracking)


@pytest.fixture
def trial(kind: str, stock: Stock, request: pytest.FixtureRequest) -> Trial:
    """One model of its own for each test."""
    return Trial(stock, KINDS[kind][1].format(re.sub(r"\W", "_", request.node.name).lower()))


def in_one(*calls: Callable[[], Any]) -> Any:
    """What the last of some calls returns, in one process of their own: opening a registry takes most of the time."""
    return in_child(lambda: [call() for call in calls][-1])


def at(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment name the registry, beside the address of the runs."""
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", trial.stock.uri)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trial.stock.tracking or trial.stock.uri)


def test_a_version_is_promoted_and_both_aliases_say_so(trial: Trial) -> None:
    state = in_one(trial.set_up, trial.promote, trial.state)
    assert state["entries"] == [("adopt", "", "1"), ("promote", "1", "2")]
    assert (state["champion"], state["previous"], state["tagged"]["2"]) == ("2", "1", "2")


def test_what_a_validation_reads_is_there(trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at(trial, monkeypatch)

    def resolved() -> tuple[list[ModelVersion], list[str]]:
        named = [f"models:/{trial.name}@champion", f"models:/{trial.name}/3"]
        found = [fetch(uri, trial.name, tmp_path / str(n)) for n, uri in enumerate(named)]
        return found, [r.version for r in recent_releases(trial.case().file.contract)]

    (champion, candidate), before = in_one(trial.set_up, trial.promote, resolved)
    assert (champion, candidate.version) == (
        ModelVersion(trial.name, "2", *_of(trial, 2), f"models:/{trial.name}@champion"),
        "3",
    )
    assert candidate.digest == trial.version(3).digest
    assert before == ["1", "2"]


def _of(trial: Trial, number: int) -> tuple[str, str]:
    return trial.version(number).run_id, trial.version(number).digest


def test_the_command_line_goes_back_and_shows_a_history_that_holds(
    trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_one(trial.set_up, trial.promote, lambda: trial.promote(3, 2))
    at(trial, monkeypatch)
    contract = Watched.make(trial.stock.uri, tmp_path, {"log": {"path": "log"}, "watch": WATCH}, trial.name).contract

    def command(*words: str) -> tuple[int, str]:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            code = main([*words, "--contract", str(contract)])
        return code, printed.getvalue()

    def commands() -> list[tuple[int, str]]:
        return [
            command("rollback", "--owner", "team-a", "--reason", LONG),
            command("history", "--json"),
            command("history"),
        ]

    back, listed, shown = in_child(commands)
    assert (back[0], "moved: version 3 -> version 2" in back[1]) == (0, True)
    entries = json.loads(listed[1])
    assert [(e["action"], e["after"]) for e in entries] == [
        ("adopt", "1"),
        ("promote", "2"),
        ("promote", "3"),
        ("rollback", "2"),
    ]
    assert [e["problems"] for e in entries] == [[]] * 4
    assert [bool(e["signed_by"]) for e in entries] == [False, True, True, False]
    assert entries[-1]["reason"] == LONG
    assert (shown[0], shown[1].splitlines()[-1].startswith("Champion now: version 2, since ")) == (0, True)


def test_the_monitor_notes_what_it_saw_and_rolls_back(trial: Trial, tmp_path: Path) -> None:
    monitor: dict[str, Any] = {"log": {"path": "log"}, "watch": WATCH}
    place = Watched.make(trial.stock.uri, tmp_path, monitor, trial.name, trial.stock.tracking)

    def evaluated() -> list[str]:
        place.answers(place.since, 300, "3", failing=0.5)
        return [e.kind for e in place.run(place.since + timedelta(minutes=10)).new]

    def known() -> tuple[list[str], bool]:
        return [e.kind for e in place.journal()], last_heartbeat(trial.stock.registry, trial.name) is not None

    assert in_one(lambda: trial.set_up(2), lambda: trial.promote(3, 2), evaluated) == ["alarm", "rollback"]
    assert in_child(lambda: (*known(), trial.state()["champion"])) == (["alarm", "rollback"], True, "2")


def test_uses_of_a_sealed_holdout_are_counted(trial: Trial) -> None:
    import numpy as np

    rows = np.arange(100, dtype=np.uint64)

    def used() -> list[tuple[int, str]]:
        uses = HoldoutUses(trial.stock.registry, trial.name)
        for number in (2, 3):
            uses.record(uses.reserve("spring", 3, trial.version(number), rows), passed=False)
        return [(u.number, u.result) for u in HoldoutUses(trial.stock.registry, trial.name).all("spring")]

    assert in_child(used) == [(1, "not passed"), (2, "not passed")]


def test_an_entry_that_somebody_deleted_is_missed(trial: Trial) -> None:
    def deleted() -> str:
        champions = trial.champions()
        champions.registry._client.delete_model_version(champions.ledger.name, "2")
        with pytest.raises(RegistryError) as caught:
            trial.champions().reconcile()
        return str(caught.value)

    assert "entry 2 is missing" in in_one(lambda: trial.set_up(2, 3), deleted)
