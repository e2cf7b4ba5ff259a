"""Who may do what on a server with users and permissions, and where passwords, tokens and keys do not turn up."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow.exceptions import MlflowException

from support import quick_python
from support.evidence_files import SOUND, Case
from support.forked import in_child
from support.mlflow_server import ADMIN, Server, mlflow_server
from support.promotion_trials import CALM, Stock, Trial, warmed_up
from support.watched_model import Watched
from weighin.canonical import write_json
from weighin.contract import read_contract
from weighin.errors import RegistryError
from weighin.model.subject import Subject
from weighin.monitor.history import last_heartbeat
from weighin.record.signature import KEY
from weighin.record.suite import Binding
from weighin.registry.ledger import EXPERIMENT, Entry
from weighin.registry.mlflow import Registry

pytestmark = pytest.mark.exhaustive
ROOT = Path(__file__).resolve().parents[2]
PASSWORDS = {name: f"{name}-has-a-long-secret-7" for name in ("reader", "promoter")}
TOKEN = "made-up-token-4f1c9d"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    warmed_up()
    with mlflow_server(users=True) as running:
        os.environ["MLFLOW_TRACKING_USERNAME"] = ADMIN
        os.environ["MLFLOW_TRACKING_PASSWORD"] = running.password
        for name, password in PASSWORDS.items():
            grants(running).create_user(name, password)
        yield running


@pytest.fixture(scope="module")
def stock(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Stock:
    return Stock.of(server.uri, tmp_path_factory.mktemp("stock"))


def grants(server: Server) -> Any:
    from mlflow.server.auth.client import AuthServiceClient

    return AuthServiceClient(server.uri)


def experiment(server: Server, name: str) -> str:
    found = Registry(server.uri)._client.get_experiment_by_name(name)
    return str(found.experiment_id)


def grant(server: Server, kind: str, *names: str) -> None:
    """Let the promoter edit them, whatever was granted before."""
    for name in names:
        with contextlib.suppress(MlflowException):
            grants(server).revoke_user_permission("promoter", kind, name)
        grants(server).grant_user_permission("promoter", kind, name, "EDIT")


def as_user(name: str, do: Callable[..., Any], *arguments: Any, password: str = "") -> Any:
    """What a user gets, in a process of its own."""

    def with_password() -> Any:
        os.environ["MLFLOW_TRACKING_USERNAME"] = name
        os.environ["MLFLOW_TRACKING_PASSWORD"] = password or PASSWORDS[name]
        return do(*arguments)

    return in_child(with_password)


def refused(name: str, do: Callable[..., Any], *arguments: Any, password: str = "") -> str:
    with pytest.raises(RegistryError) as caught:
        as_user(name, do, *arguments, password=password)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert not any(secret in sentence for secret in (*PASSWORDS.values(), password or "none"))
    return sentence


def resolved(trial: Trial, folder: Path) -> str:
    return Registry(trial.stock.uri).resolve(f"models:/{trial.name}@champion", folder).version


def test_who_may_read_resolves_and_sees_the_history_and_moves_nothing(stock: Stock, tmp_path: Path) -> None:
    old, new = Trial(stock, "read-old"), Trial(stock, "read-new")
    in_child(old.set_up, 2, 3)
    in_child(new.set_up)
    assert as_user("reader", resolved, old, tmp_path / "files") == "3"
    before, untouched = as_user("reader", old.state), as_user("reader", new.state)
    assert [e[0] for e in before["entries"]] == ["adopt", "promote", "promote"]
    for do in (old.roll_back, lambda: old.promote(4, 3), new.promote):
        sentence = refused("reader", do)
        assert "Permission denied" in sentence
        assert "This user needs another permission: docs/how-to/access.md says which." in sentence
    assert as_user("reader", old.state) == before
    # Not even a ledger, which any user may create where there is none, and whose word counts.
    assert as_user("reader", new.state) == untouched
    assert untouched["written"] == 0


def test_who_may_edit_promotes_and_goes_back(server: Server, stock: Stock) -> None:
    trial = Trial(stock, "edit")
    in_child(trial.set_up, 2, 3)
    in_child(Trial(stock, "edit-other").set_up)
    in_child(Trial(stock, "edit-other").promote)  # so that the experiment of ledgers exists, and is the administrator's
    before = in_child(trial.state)
    needed = [
        ("registered_model", trial.name),
        ("registered_model", f"{trial.name}.ledger"),
        ("experiment", experiment(server, EXPERIMENT)),
        ("experiment", experiment(server, "trials")),
    ]
    for kind, name in needed:
        assert "needs another permission" in refused("promoter", trial.promote, 4, 3)
        assert in_child(trial.state)["entries"] == before["entries"]
        grant(server, kind, name)
    assert as_user("promoter", trial.promote, 4, 3).after == "4"
    assert as_user("promoter", trial.roll_back).after == "3"
    state = in_child(trial.state)
    assert (state["champion"], state["previous"], state["written"]) == ("3", "4", 5)


def test_who_may_edit_watches_and_who_may_read_learns_when_somebody_did(
    server: Server, stock: Stock, tmp_path: Path
) -> None:
    trial = Trial(stock, "watched")
    in_child(trial.set_up, 2)
    in_child(trial.promote, 3, 2)
    watch = [{"window": {"rows": 100, "rows_at_least": 100}, "error_rate_at_most": 0.1, "action": "rollback"}]
    place = Watched.make(server.uri, tmp_path, {"log": {"path": "log"}, "watch": watch}, trial.name)

    def evaluated() -> list[str]:
        last = place.since + timedelta(minutes=10)
        return [e.kind for e in place.run(last).new]

    def heartbeat() -> bool:
        return last_heartbeat(Registry(server.uri), trial.name) is not None

    in_child(lambda: place.answers(place.since, 300, "3", failing=0.5))
    before = in_child(trial.state)
    assert "needs another permission" in refused("reader", evaluated)
    assert in_child(trial.state) == before
    grant(server, "registered_model", trial.name, f"{trial.name}.ledger")
    grant(server, "experiment", experiment(server, EXPERIMENT), experiment(server, "trials"))
    # The journal, and the experiments, are not there yet: who looks first creates them, and owns them.
    assert as_user("promoter", evaluated) == ["alarm", "rollback"]
    assert in_child(trial.state)["champion"] == "2"
    assert as_user("reader", heartbeat)


def test_who_promotes_first_owns_the_ledger(server: Server, stock: Stock) -> None:
    trial = Trial(stock, "first")
    in_child(trial.set_up)
    grant(server, "registered_model", trial.name)
    grant(server, "experiment", experiment(server, EXPERIMENT), experiment(server, "trials"))
    assert as_user("promoter", trial.promote).after == "2"
    before = in_child(trial.state)
    assert "needs another permission" in refused("reader", trial.promote, 3, 2)
    assert in_child(trial.state) == before


def test_a_ledger_that_somebody_else_wrote_makes_nobody_champion(stock: Stock) -> None:
    trial = Trial(stock, "forged")
    in_child(trial.set_up)

    def forge() -> None:
        champions, candidate_entry = trial.champions(), trial.version(4)
        said = ("promote", "", "4", candidate_entry.digest, "sha256:none", "", "", "", False, "mallory", "", "now")
        champions.registry.add_entry(champions.ledger.name, candidate_entry.run_id, Entry(*said).tags())

    as_user("reader", forge)
    for do in (trial.settled, trial.promote, trial.roll_back):
        with pytest.raises(RegistryError, match="mallory, who wrote the entry, may not change the model"):
            in_child(do)
    assert in_child(trial.state)["champion"] == "1"


def test_a_wrong_password_is_a_sentence_without_it(stock: Stock) -> None:
    trial = Trial(stock, "wrong")
    sentence = refused("promoter", trial.settled, password="not-the-right-one-9")
    assert "You are not authenticated" in sentence
    assert "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN." in sentence


# --- secrets


def everything_in(server: Server) -> str:
    """All tags, parameters and metrics of the registry and its runs."""
    client = Registry(server.uri)._client
    found: list[Any] = []
    for model in client.search_registered_models():
        found += [model.name, model.tags, model.description, model.aliases]
        for version in client.search_model_versions(f"name = '{model.name}'"):
            found += [version.tags, version.description, version.source, version.run_link]
    for known in client.search_experiments():
        found += [known.name, known.tags, known.artifact_location]
        for run in client.search_runs([known.experiment_id]):
            found += [run.data.tags, run.data.params, run.data.metrics, run.info.artifact_uri]
    return repr(found)


def case_of(trial: Trial, contract: Path, folder: Path) -> Case:
    """Green evidence under the contract of a file: version 3 against the first."""
    file = read_contract(contract)
    case = Case(folder / "reports", file)
    case.subject = Subject(trial.version(3), trial.version(1), file.digest, {}, True, models=SOUND)
    case.binding = Binding(file.digest, case.subject.digest, "", "1")
    case.write()
    write_json(case.reports / "record.json", case.record())
    case.subject.write(folder / "work/subject.json")
    return case


def test_passwords_tokens_and_keys_turn_up_nowhere(server: Server, stock: Stock, tmp_path: Path) -> None:
    trial = Trial(stock, "secrets")
    in_child(trial.set_up, 2)
    contract = tmp_path / "model_contract.yaml"
    text = yaml.safe_load((ROOT / "model_contract.yaml").read_text())
    text["model"]["name"] = trial.name
    del text["gates"]["drift"]  # it would need a profile of the data
    contract.write_text(yaml.safe_dump(text))
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    case = case_of(trial, contract, tmp_path)
    pem = (stock.folder / "key").read_text()
    host = server.uri.removeprefix("http://")
    by_name = {
        "MLFLOW_TRACKING_URI": server.uri,
        "MLFLOW_TRACKING_USERNAME": ADMIN,
        "MLFLOW_TRACKING_PASSWORD": server.password,
    }
    in_address = {"MLFLOW_TRACKING_URI": f"http://{ADMIN}:{server.password}@{host}"}
    refused = [
        {"MLFLOW_TRACKING_URI": server.uri, "MLFLOW_TRACKING_TOKEN": TOKEN},
        {**by_name, "MLFLOW_TRACKING_PASSWORD": PASSWORDS["reader"]},
        {"MLFLOW_TRACKING_URI": f"http://{ADMIN}:{server.password}@127.0.0.1:1"},
        {"MLFLOW_TRACKING_URI": f"http://{ADMIN}:{TOKEN}/x#@{host}"},
    ]
    own = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_TRACKING_")}
    own |= {KEY: pem, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    said = []

    def run(given: dict[str, str], *command: str) -> int:
        ran = quick_python.run(["-m", "weighin", *command, "--contract", str(contract)], tmp_path, env=own | given)
        said.append(f"{command} {ran.returncode} {ran.stdout}{ran.stderr}")
        return ran.returncode

    back = ("rollback", "--owner", CALM["owner"], "--reason", CALM["reason"], "--to")
    promote = ("promote", str(case.reports), "--work", str(tmp_path / "work"))
    resolve = ("step", "resolve", "--candidate", f"models:/{trial.name}/99", "--work", str(tmp_path / "resolved"))
    for given in refused:
        for command in (("history",), promote):
            assert run(given, "--debug", *command) != 0, said[-1]
            assert "RegistryError" in said[-1]
    for command in ((*back, "1"), resolve):
        assert run(refused[1], "--debug", *command) != 0, said[-1]
    assert run(by_name, *back, "1", "--emergency") == 0, said[-1]
    assert run(in_address, *promote) == 0, said[-1]
    assert "version 1 -> version 3 (signed by sha256:" in said[-1]
    assert run(in_address, *back, "4") != 0, said[-1]
    # The entries that were set up have no record of their own, which it says.
    assert run(in_address, "history") == 1, said[-1]
    assert "entry 2: the files that are kept for it are" in said[-1]
    secrets = {server.password, PASSWORDS["reader"], TOKEN, pem.splitlines()[1]}
    secrets |= {base64.b64encode(f"{ADMIN}:{server.password}".encode()).decode()}
    output = "\n".join(said)
    assert [s for s in secrets if s in output] == []
    files = [f for home in (tmp_path, server.artifacts) for f in home.rglob("*") if f.is_file()]
    assert {"record.dsse.json", "promotion.json"} <= {f.name for f in files}
    assert [(f, s) for f in files for s in secrets if s.encode() in f.read_bytes()] == []
    stored = everything_in(server)
    assert "weighin.record" in stored
    assert [s for s in secrets if s in stored] == []
    assert [s for s in secrets if s in server.log] == []
