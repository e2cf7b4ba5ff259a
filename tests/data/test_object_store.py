"""Data in an object store: a real S3 server on loopback, read as the same file here is read."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from support.suite_work import CONTRACT, ROWS, Work
from weighin.contract import read_contract
from weighin.contract.reading import ContractFile
from weighin.contract.sources import Files
from weighin.data.profile import Profile
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.errors import ContractError, NotEvaluated
from weighin.resolve.datasets import resolve_profiles, resolve_rows

KEY, SECRET = "AKIAWEIGHINTEST", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
MOMENT = datetime(2013, 7, 1, tzinfo=UTC)
COUNTED = {"distance": 10, "carrier": 10, "temp": 10}
SECONDS = 60
"""In which an answer has to be there, whatever the store does."""


SERVER = """
import sys, threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
sys.stdin.read()  # until whoever started it is gone
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an S3 server in a process of its own; the port is the system's choice."""
    command = [sys.executable, "-W", "ignore", "-c", SERVER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as running:
        try:
            assert running.stdout is not None
            ready, _, _ = select.select([running.stdout], [], [], SECONDS)
            assert ready, f"no S3 server after {SECONDS} s"
            host, port = running.stdout.readline().split()
            yield f"http://{host}:{port}"
        finally:
            running.kill()


@pytest.fixture
def store(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> fs.FileSystem:
    """The bucket `lake`, and an environment that leads to it as a user's would."""
    environment(monkeypatch, server, tmp_path)
    system = fs.S3FileSystem(endpoint_override=server, region="us-east-1", allow_bucket_creation=True)
    system.create_dir("lake")
    return system


def environment(monkeypatch: pytest.MonkeyPatch, address: str, folder: Path) -> None:
    """What AWS's tools look at, and nothing else that this machine may hold."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": address,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Work(tmp_path).write()
    return tmp_path


def contract(folder: Path, place: str) -> ContractFile:
    """The contract with the holdout and the current data at a place."""
    text = CONTRACT.replace("holdout: holdout.parquet", f"holdout: {{path: '{place}'}}")
    text = text.replace("current: current.parquet", f"current: {{path: '{place}'}}")
    (folder / "model_contract.yaml").write_text(text)
    return read_contract(folder / "model_contract.yaml")


def none_stored(role: str) -> Profile:
    raise NotEvaluated(f"no profile of {role}")


def put(store: fs.FileSystem, folder: Path, kind: str) -> tuple[str, Path]:
    """The holdout in the store and here, in the same form: address and local path."""
    table = pq.read_table(folder / "holdout.parquet")
    local = folder / "lake"
    match kind:
        case "file":
            local.mkdir()
            pq.write_table(table, local / "rows.parquet")
            local, name = local / "rows.parquet", "rows.parquet"
        case "csv":
            local.mkdir()
            table.to_pandas().to_csv(local / "rows.csv", index=False)
            local, name = local / "rows.csv", "rows.csv"
        case "partitioned":
            for i in range(4):
                (local / f"quarter={i}").mkdir(parents=True)
                pq.write_table(table.slice(i * 500, 500), local / f"quarter={i}" / "rows.parquet")
            name = "parts"
    fs.copy_files(str(local), f"lake/{kind}/{name}", destination_filesystem=store)
    return f"s3://lake/{kind}/{name}", local


@pytest.mark.parametrize("kind", ["file", "csv", "partitioned"])
def test_rows_and_profile_are_those_of_the_same_data_here(kind: str, store: fs.FileSystem, folder: Path) -> None:
    address, local = put(store, folder, kind)
    there, here = contract(folder, address), folder / "here"
    found = resolve_rows(there, folder / "there", False, MOMENT)["holdout"]
    known = resolve_rows(contract(folder, str(local)), here, False, MOMENT)["holdout"]
    assert (found["problem"], found["rows"], found["total"]) == ("", ROWS, ROWS)
    assert found["place"] == "data/holdout.parquet"
    left = pq.read_table(folder / "there/data/holdout.parquet")
    wanted = pq.read_table(here / known["place"] if known["place"] else local).select(left.column_names)
    assert left.cast(wanted.schema).equals(wanted)  # nanoseconds became microseconds on the way
    features = [pq.read_table(f / "features/holdout.parquet") for f in (folder / "there", here)]
    assert features[0].equals(features[1])

    types = {name: column.type for name, column in there.contract.data.columns.items()}
    profiles = [
        profile(Relation.of(Files.model_validate({"path": p}), folder, types=types), COUNTED, "day")
        for p in (address, str(local))
    ]
    assert profiles[0].exact
    assert profiles[0].rows == ROWS
    assert profiles[0].digest == profiles[1].digest


def test_a_window_cuts_what_lies_in_a_store(store: fs.FileSystem, folder: Path) -> None:
    address, _ = put(store, folder, "partitioned")
    text = CONTRACT.replace("current: current.parquet", f"current: {{path: '{address}', window: last 20 days}}")
    (folder / "model_contract.yaml").write_text(text)
    file = read_contract(folder / "model_contract.yaml")
    found = resolve_rows(file, folder / "out", False, MOMENT)["current"]
    resolve_profiles(file, folder / "out", MOMENT, none_stored)
    days = pq.read_table(folder / "out/data/current.parquet")["day"].to_pylist()
    assert {str(min(days)), str(max(days))} == {"2013-06-11", "2013-06-30"}
    assert Profile.read(folder / "out/profiles/current.json").rows == len(days) == found["rows"]


def test_csv_in_a_store_has_the_types_of_the_contract(store: fs.FileSystem, folder: Path) -> None:
    lines = "zip,value,at,beside\n" + "007,1.5,2024-01-01 00:00:00,1\n" * 30 + "8,,2024-01-01T01:00:00+01:00,2\n" * 10
    with store.open_output_stream("lake/zip/rows.csv") as sink:
        sink.write(lines.encode())
    (folder / "rows.csv").write_text(lines)
    types = {"zip": "string", "value": "float", "at": "timestamp", "absent": "date"}
    there, here = (
        profile(
            Relation.of(Files.model_validate({"path": p}), folder, types=types),
            dict.fromkeys(("zip", "value", "at"), 4),
            None,
        )
        for p in ("s3://lake/zip/rows.csv", "rows.csv")
    )
    assert there.columns["zip"].cells.categories == ("007", "8")
    assert there.columns["value"].missing[0].tolist() == [40, 10]
    assert there.digest == here.digest


def refused(folder: Path, place: str) -> str:
    """Why neither rows nor counts could be had; the same reason for both, within bounds, and without credentials."""
    file, started = contract(folder, place), time.monotonic()
    rows = resolve_rows(file, folder / "out", False, MOMENT)["holdout"]
    counts = resolve_profiles(file, folder / "out", MOMENT, none_stored)["current"]
    with pytest.raises(NotEvaluated) as caught:
        profile(Relation.of(Files.model_validate({"path": place}), folder), COUNTED, None)
    assert time.monotonic() - started < 4 * SECONDS
    assert rows["rows"] == 0
    for said in (rows["problem"], counts["uncounted"], str(caught.value)):
        assert place in said
        assert KEY not in said
        assert SECRET not in said
    return str(caught.value)


@pytest.mark.parametrize("place", ["s3://lake/absent.parquet", "s3://lake/absent", "s3://no-such-bucket/rows.parquet"])
def test_what_is_not_in_the_store_is_said(place: str, store: fs.FileSystem, folder: Path) -> None:
    assert "there is no such file" in refused(folder, place)


def test_an_empty_object_is_said(store: fs.FileSystem, folder: Path) -> None:
    store.open_output_stream("lake/empty.parquet").close()
    assert "cannot read it" in refused(folder, "s3://lake/empty.parquet")


def test_a_store_that_is_away_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:  # bound, so nobody else takes the port, and not listening
        closed.bind(("127.0.0.1", 0))
        environment(monkeypatch, f"http://127.0.0.1:{closed.getsockname()[1]}", folder)
        assert "Could not connect" in refused(folder, "s3://lake/rows.parquet")


def test_a_store_that_never_answers_is_given_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(64)
        environment(monkeypatch, f"http://127.0.0.1:{mute.getsockname()[1]}", folder)
        # Arrow's own file system waits three seconds, three times.
        monkeypatch.setattr(fs, "S3FileSystem", partial(fs.S3FileSystem, request_timeout=1))
        started = time.monotonic()
        with pytest.raises(NotEvaluated, match="Timeout was reached"):
            Relation.of(Files(path="s3://lake/rows.parquet"), folder)
        assert time.monotonic() - started < SECONDS


def test_credentials_that_a_store_refuses_stand_in_no_message(store: fs.FileSystem, server: str, folder: Path) -> None:
    from urllib.request import Request, urlopen

    def must_know(requests: bytes) -> None:
        """After so many requests the server lets only known keys in."""
        text = {"Content-Type": "text/plain"}
        urlopen(Request(f"{server}/moto-api/reset-auth", requests, text), timeout=10).close()  # noqa: S310 - loopback

    address, _ = put(store, folder, "file")
    must_know(b"0")
    try:
        assert "ACCESS_DENIED" in refused(folder, address)
    finally:
        must_know(b"inf")


def test_an_address_with_a_password_is_no_part_of_a_contract(folder: Path) -> None:
    with pytest.raises(ContractError, match="credentials come from the environment") as caught:
        contract(folder, f"s3://{KEY}:{SECRET}@lake/rows.parquet")
    assert SECRET not in str(caught.value)
