"""Spark where it runs for others: a cluster of two workers, and Spark Connect. Both count what DuckDB counts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from support.conformance import COUNTED, must_agree, rows
from support.spark_servers import LOOPBACK, cluster, connect
from weighin.contract.sources import Files
from weighin.data.engines.spark import session
from weighin.data.profile import Profile
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.errors import NotEvaluated

TESTS = Path(__file__).resolve().parent.parent
N, FILES = 20_000, 4
CHILD_SECONDS = 300
NAMES = tuple(COUNTED)
ALL = {"all, by day": (NAMES, "day")}
PROFILES = {**ALL, "eight": (NAMES[:8], None), "two": (NAMES[:2], None)}
COUNT = """
import json, sys
from pathlib import Path
from support.conformance import COUNTED
from weighin.contract.sources import Files
from weighin.data.engines.spark import session
from weighin.data.profiling import profile
from weighin.data.relation import Relation

tables, out, jobs = Path(sys.argv[1]), Path(sys.argv[2]), {}
for name, (columns, group) in json.loads(sys.argv[3]).items():
    def counted(table, like=None):
        relation = Relation.of(Files(path=table), tables, "spark")
        return profile(relation, {c: COUNTED[c] for c in columns}, group, like)

    def so_far():
        found = session()
        return len(found.sparkContext.statusTracker().getJobIdsForGroup()) if out.name == "cluster" else 0

    before = so_far()
    found = counted("reference")
    jobs[name] = so_far() - before
    found.write(out / f"{name}.json")
    if group:
        counted("current", found).write(out / f"{name}, later.json")
relation = Relation.of(Files(path="reference"), tables, "spark")
relation.save(list(COUNTED), relation.rows, out / "rows.parquet")
print(json.dumps(jobs))
"""
LOSE = """
import os, signal, sys, time
from pathlib import Path
from weighin.contract.sources import Files
from weighin.data.relation import Relation
from weighin.errors import NotEvaluated

relation = Relation.of(Files(path="reference"), Path(sys.argv[1]), "spark")
os.kill(int(Path(sys.argv[2]).read_text()), signal.SIGKILL)
started = time.monotonic()
try:
    relation.rows
except NotEvaluated as error:
    print(time.monotonic() - started)
    print(error)
"""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tables, each of several files, so that there is something to share out."""
    folder = tmp_path_factory.mktemp("tables")
    for seed, name in enumerate(("reference", "current")):
        (folder / name).mkdir()
        given = rows(seed, N)
        for i in range(FILES):
            pq.write_table(given.slice(i * N // FILES, N // FILES), folder / name / f"{i}.parquet")
    return folder


@pytest.fixture(scope="module")
def on_cluster(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The profiles of `PROFILES`, by a cluster of two workers; how many jobs each took."""
    with cluster(tmp_path_factory.mktemp("cluster")) as address:
        return counted(address, tables, tables / "cluster", PROFILES)


@pytest.fixture(scope="module")
def on_connect(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """The widest of them through Spark Connect, which does not say how many jobs."""
    with connect(tmp_path_factory.mktemp("connect")) as address:
        return counted(address, tables, tables / "connect", ALL)


def counted(address: str, tables: Path, out: Path, profiles: dict[str, Any]) -> dict[str, int]:
    """Let a process that has nothing but an address count, and leave its profiles in a folder."""
    out.mkdir()
    wanted = json.dumps(profiles)
    found: dict[str, int] = json.loads(child(address, COUNT, str(tables), str(out), wanted).splitlines()[-1])
    return found


def child(address: str, code: str, *arguments: str) -> str:
    """What a process printed. It is one of its own since a process has one session."""
    environment = {**os.environ, "WEIGHIN_SPARK": address, "SPARK_LOCAL_IP": LOOPBACK}
    environment["PYTHONPATH"] = os.pathsep.join([str(TESTS), str(TESTS.parent)])
    if address.startswith("sc://"):  # Connect's client needs no Java
        environment |= {"PATH": str(Path(sys.executable).parent), "JAVA_HOME": "/nowhere"}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=CHILD_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


@pytest.mark.parametrize("server", ["cluster", "connect"])
def test_spark_counts_what_duckdb_counts(server: str, tables: Path, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(f"on_{server}")
    ((name, (columns, group)),) = ALL.items()
    known: Profile | None = None
    for table, left in (("reference", name), ("current", f"{name}, later")):
        relation = Relation.of(Files(path=table), tables)
        wanted = profile(relation, {c: COUNTED[c] for c in columns}, group, known)
        found = Profile.read(tables / server / f"{left}.json")
        assert (found.engine, found.rows, found.exact) == ("Spark", N, True)
        must_agree(found, wanted)
        assert found.digest == wanted.digest
        known = wanted


@pytest.mark.parametrize("server", ["cluster", "connect"])
def test_spark_hands_out_every_row_as_it_is(server: str, tables: Path, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(f"on_{server}")
    wanted, found = rows(0, N), pq.read_table(tables / server / "rows.parquet")
    assert found.column_names == wanted.column_names
    texts = [sorted(map(str, t.cast(wanted.schema).to_pylist())) for t in (found, wanted)]  # files come in any order
    assert texts[0] == texts[1]


def test_the_number_of_jobs_is_that_of_the_table_and_not_of_its_columns(on_cluster: dict[str, int]) -> None:
    # Schema, rows, and the table itself, which is no larger than a sample; Spark splits what it shuffles in two.
    assert on_cluster["two"] == on_cluster["eight"]
    assert 3 <= on_cluster["eight"] <= 6
    assert on_cluster["all, by day"] <= 10


@pytest.mark.parametrize("scheme", ["spark", "sc"])
def test_a_server_that_is_away_is_said_at_once_and_without_its_token(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:  # bound, so nobody else takes the port, and not listening
        closed.bind((LOOPBACK, 0))
        address = f"{scheme}://{LOOPBACK}:{closed.getsockname()[1]}"
        monkeypatch.setenv("WEIGHIN_SPARK", f"{address}/;token=secret" if scheme == "sc" else address)
        session.cache_clear()
        started = time.monotonic()
        with pytest.raises(NotEvaluated, match=f"{address}: no Spark answers there.*WEIGHIN_SPARK") as caught:
            Relation.of(Files(path="rows.parquet"), Path(), "spark")
    assert time.monotonic() - started < 30
    assert "secret" not in str(caught.value)


def test_a_connect_server_that_goes_away_is_given_up(tables: Path, tmp_path: Path) -> None:
    with connect(tmp_path) as address:
        ran = child(address, LOSE, str(tables), str(tmp_path / "connect.pid"))
    seconds, said = ran.splitlines()[-2:]
    assert float(seconds) < 90
    assert "Spark cannot read it" in said
