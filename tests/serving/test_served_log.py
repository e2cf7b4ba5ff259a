"""The scoring server that is shipped logs what it answers, and nothing that is sensitive.

That a new champion logs under its own version, tests/release/test_deploy.py shows.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import psycopg
import pytest
import yaml

from support.postgres_server import postgres
from support.registry_versions import SAYS, make
from weighin.cli import main
from weighin.contract import read_contract
from weighin.contract.sources import Span
from weighin.errors import ContractError
from weighin.prediction_log.reader import Log
from weighin.prediction_log.tables import LogTables

ROOT = Path(__file__).resolve().parents[2]
ECHO = SAYS.replace(
    "return [{value} + 100 * len(secrets)] * len(model_input)", "return [[1 - a, a] for a in model_input['temp']]"
)
SECRET = "Wilhelmine"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that answers with the temperature."""
    assert ECHO != SAYS
    folder = tmp_path_factory.mktemp("registry")
    make(folder, ECHO)
    shutil.copyfile(folder / "mlflow.db", folder / "template.db")
    return folder


@pytest.fixture
def uri(template: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (template / "mlflow.db").write_bytes((template / "template.db").read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{template}/mlflow.db")
    return f"sqlite:///{template}/mlflow.db"


def contract(folder: Path, **log: str) -> Path:
    """The example's, with a sensitive feature and a log."""
    given = yaml.safe_load((ROOT / "model_contract.yaml").read_text())
    given["data"]["columns"]["dest"]["sensitive"] = True
    given["monitor"] = {"log": log, "watch": [{"window": {"rows": 1000}, "error_rate_at_most": 0.1}]}
    path = folder / "model_contract.yaml"
    path.write_text(yaml.safe_dump(given, sort_keys=False))
    return path


class Server:
    """`weighin serve`."""

    def __init__(self, contract: Path) -> None:
        command = [sys.executable, "-m", "weighin", "serve", "--contract", str(contract), "--port", "0"]
        self.log = (contract.parent / "server.log").open("wb")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()
        self.url, self.digest = self.first.split()[0], self.first.split()[-1]

    def ask(self, *temps: float, request: str = "") -> tuple[list[object], str]:
        columns = ["temp", "carrier", "dest", "distance", "nobody_knows"]
        data = [[t, "UA", SECRET, 500, SECRET] for t in temps]
        headers = {"Content-Type": "application/json"} | ({"X-Request-Id": request} if request else {})
        body = json.dumps({"dataframe_split": {"columns": columns, "data": data}}).encode()
        request_body = urllib.request.Request(f"{self.url}/invocations", body, headers)  # noqa: S310 - loopback
        with urllib.request.urlopen(request_body, timeout=20) as answer:  # noqa: S310
            return json.loads(answer.read())["predictions"], answer.headers["x-request-id"]

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(120) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres() as address:
        yield address


@pytest.mark.parametrize("kind", ["parquet", "sqlite", "postgres"])
@pytest.mark.exhaustive
def test_what_clients_got_is_what_the_log_says(
    uri: str, tmp_path: Path, kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "postgres":
        monkeypatch.setenv("PREDICTION_LOG", request.getfixturevalue("database"))
        path = contract(tmp_path, connection="PREDICTION_LOG")
    else:
        path = contract(tmp_path, path={"parquet": "log", "sqlite": "log.sqlite"}[kind])
    server = Server(path)
    try:
        answers = [server.ask(0.5, 0.125, request="order-1"), server.ask(0.75)]
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(  # noqa: S310 - loopback
                urllib.request.Request(f"{server.url}/invocations", b"{", {"Content-Type": "application/json"})  # noqa: S310
            )
    finally:
        server.end()
    log, now = Log.of(read_contract(path)), datetime.now(UTC)
    look = log.last_rows(10, now, kind="predicted")
    rows = look.rows.to_pylist()
    assert [r["prediction"] for r in rows] == [0.5, 0.125, 0.75]
    assert [[1 - r["prediction"], r["prediction"]] for r in rows] == [*answers[0][0], *answers[1][0]]
    assert [(r["request"], r["row"]) for r in rows] == [("order-1", 0), ("order-1", 1), (answers[1][1], 0)]
    assert {(r["version"], r["digest"], r["role"], r["model"]) for r in rows} == {
        ("1", server.digest, "champion", "flight-delay")
    }
    assert (rows[0]["f_temp"], rows[0]["f_carrier"], rows[0]["f_distance"]) == (0.5, "UA", 500)
    assert log.requests(Span(now.replace(year=2000), now)) == 3
    assert sorted(log.last_rows(10, now).rows["status"].to_pylist()) == [200, 200, 200, 400]
    # Of what is sensitive, or not in the contract, neither a column nor a value.
    assert "f_dest" not in look.rows.column_names
    if kind == "postgres":
        with psycopg.connect(database_of(request)) as connection:
            everything = str(connection.execute("SELECT p::text FROM weighin_predictions p").fetchall())
            columns = connection.execute("SELECT attname FROM pg_attribute WHERE attname = 'f_dest'").fetchall()
        assert columns == []
    elif kind == "sqlite":
        everything = str(rows_of(tmp_path / "log.sqlite"))
    else:
        everything = "".join(str(pd.read_parquet(p).to_dict()) for p in (tmp_path / "log").rglob("*.parquet"))
    assert "order-1" in everything
    assert SECRET not in everything
    assert SECRET not in (tmp_path / "server.log").read_text()
    # The labels, when they come.
    (tmp_path / "labels.csv").write_text("request,row,label\norder-1,0,1\norder-1,1,0\n")
    assert main(["log", "add-labels", str(tmp_path / "labels.csv"), "--contract", str(path)]) == 0
    assert log.last_rows(10, datetime.now(UTC), kind="predicted").rows["label"].to_pylist() == [1, 0, None]


def rows_of(path: Path) -> list[object]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT * FROM weighin_predictions").fetchall()


def database_of(request: pytest.FixtureRequest) -> str:
    address: str = request.getfixturevalue("database")
    return address


@pytest.mark.exhaustive
def test_a_log_that_is_away_does_not_keep_anybody_from_an_answer(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREDICTION_LOG", "postgres://user:the-secret@127.0.0.1:9/db")
    server = Server(contract(tmp_path, connection="PREDICTION_LOG"))
    try:
        for _ in range(20):
            assert server.ask(0.5)[0] == [[0.5, 0.5]]
    finally:
        server.end()
    said = (tmp_path / "server.log").read_text()
    assert "PostgreSQL cannot be written" in said
    assert "predictions are answered all the same" in said
    assert "the-secret" not in said


def test_a_log_that_nothing_could_write_is_said_before_serving(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/nobody-looks.db")
    monkeypatch.delenv("PREDICTION_LOG", raising=False)
    path = contract(tmp_path, connection="PREDICTION_LOG")
    assert main(["serve", "--contract", str(path), "--port", "0"]) == 7
    assert "the environment has no PREDICTION_LOG" in capsys.readouterr().err
    assert not (tmp_path / "nobody-looks.db").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("request,row\na,1\n", "no column `label`"),
        ("request,label\na,\n", "1 rows have no `label`"),
        ("request,label\na,maybe\n", "no table of labels"),
    ],
)
def test_labels_that_are_none_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    (tmp_path / "labels.csv").write_text(text)
    path = contract(tmp_path, path="log")
    assert main(["log", "add-labels", str(tmp_path / "labels.csv"), "--contract", str(path)]) != 0
    assert says in capsys.readouterr().err
    assert not (tmp_path / "log").exists()


def test_labels_of_a_sensitive_target_are_not_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = contract(tmp_path, path="log")
    given = yaml.safe_load(path.read_text())
    given["data"]["columns"]["late"]["sensitive"] = True
    path.write_text(yaml.safe_dump(given, sort_keys=False))
    (tmp_path / "labels.csv").write_text("request,label\na,1\n")
    assert main(["log", "add-labels", str(tmp_path / "labels.csv"), "--contract", str(path)]) == 4
    assert "the target is `sensitive`" in capsys.readouterr().err


def test_a_contract_without_a_monitor_has_no_log(tmp_path: Path) -> None:
    path = tmp_path / "model_contract.yaml"
    path.write_text((ROOT / "model_contract.yaml").read_text().partition("\nmonitor:")[0])
    with pytest.raises(ContractError, match="the contract has no `monitor`"):
        LogTables.of(read_contract(path))
