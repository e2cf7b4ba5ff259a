"""A faulty champion behind a real server, its log in PostgreSQL, and a monitor beside them, as in production."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.following_server import FollowingServer
from support.postgres_server import postgres
from support.registry_versions import FAILS, SAYS, restored, template
from support.watched_model import RECORD, Watched

pytestmark = pytest.mark.exhaustive
N = 60
WATCH = {"window": {"rows": N, "rows_at_least": N}, "error_rate_at_most": 0.1, "action": "rollback"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return template(tmp_path_factory.mktemp("registry"), SAYS.format(value=0.1), SAYS.format(value=0.2), FAILS)


@pytest.fixture
def place(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """Version 3, which fails, is champion; version 2 was before."""
    uri = restored(registry, tmp_path, "2", "3", record=RECORD)
    monitor = {
        "log": {"connection": "PREDICTION_LOG"},
        "watch": [WATCH],
        "evidence": {"every_minutes": 0.05, "false_alarms_per_month": 0.5},
    }
    with postgres() as address:
        monkeypatch.setenv("PREDICTION_LOG", address)
        yield Watched.make(uri, tmp_path, monitor)


@contextlib.contextmanager
def monitoring(place: Watched, folder: Path) -> Iterator[Path]:
    """`weighin monitor --every`; gives the file that it writes to."""
    log = folder / "monitor.log"
    command = [sys.executable, "-m", "weighin", "monitor", "--every", "--contract", str(place.contract)]
    with log.open("wb") as out:
        process = subprocess.Popen([*command, "--out", str(folder / "reports")], stdout=out, stderr=subprocess.STDOUT)
    try:
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_faulty_champion_is_left_within_half_a_minute(place: Watched, tmp_path: Path) -> None:
    server = FollowingServer(tmp_path, place.contract)
    try:
        reload, identity = server.spec.reload, server.spec.identity
        deploy = {"reload": list(reload), "identity": {"url": identity.url}}
        place.contract.write_text(place.contract.read_text() + f"deploy: {json.dumps(deploy)}\n")
        with monitoring(place, tmp_path) as log:
            first, version = None, ""
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                with contextlib.suppress(urllib.error.HTTPError):
                    (first,), version, _ = server.ask()
                    break
                time.sleep(0.02)
            answered = datetime.now(UTC)
            assert (first, version) == (0.2, "2"), log.read_text()
            while "rollback: " not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.1)
            # Fresh traffic, until it is enough to say that it was right.
            while "verified: fresh traffic passes" not in log.read_text() and time.monotonic() < deadline:
                assert server.ask()[:2] == ([0.2], "2")
            text = log.read_text()
    finally:
        server.end()
    assert "verified: fresh traffic passes" in text
    alarm, rollback, *_ = place.journal()
    assert (alarm.kind, rollback.kind) == ("alarm", "rollback")
    # The alarm has the moment of the run that completed the evidence.
    assert (answered - alarm.moment).total_seconds() <= 30
    assert rollback.message.endswith("The servers proved that they serve it")
    assert [e.kind for e in place.journal()] == ["alarm", "rollback", "verified"]
    head = place.champions.ledger.head()
    assert head is not None
    assert (head.action, head.before, head.after, head.owner) == ("rollback", "3", "2", "weighin monitor")


def test_a_database_that_goes_away_and_comes_back_loses_nothing(
    place: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = place.answers(place.since, 3 * N, "3", failing=0.5)
    there = os.environ["PREDICTION_LOG"]
    monkeypatch.setenv("PREDICTION_LOG", "postgresql://nobody:a-secret@127.0.0.1:1/nothing")
    run = place.run(last)
    assert (run.state, run.new) == ("no_data", ())
    assert "a-secret" not in str(run)
    monkeypatch.setenv("PREDICTION_LOG", there)
    assert [e.kind for e in place.run(last).new] == ["alarm", "rollback"]
