"""`weighin monitor` as people type it, and as a server that is asked whether it does its work."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.evidence_files import ROOT
from support.registry_versions import SAYS, restored, template
from support.watched_model import RECORD, Watched
from weighin.cli import main
from weighin.monitor.health import Health

N = 100
WATCH = {"window": {"rows": N, "rows_at_least": N}, "error_rate_at_most": 0.1}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return template(tmp_path_factory.mktemp("registry"), *(SAYS.format(value=v) for v in (0.1, 0.2)))


@pytest.fixture
def place(registry: Path, tmp_path: Path) -> Watched:
    uri = restored(registry, tmp_path, "2", record=RECORD)
    monitor = {"log": {"path": "log"}, "watch": [WATCH], "evidence": {"every_minutes": 0.02}}
    return Watched.make(uri, tmp_path, monitor)


def command(place: Watched, tmp_path: Path, *more: str) -> list[str]:
    return ["monitor", "--contract", str(place.contract), "--out", str(tmp_path / "reports"), *more]


@pytest.mark.parametrize(
    ("rows", "failing", "code", "says"),
    [
        (N, 0.0, 0, "ok: flight-delay version 2"),
        (3 * N, 0.4, 1, "alarm: monitor/last-100/errors: "),
        (10, 0.0, 6, "10 requests in the window, 100 are needed"),
    ],
)
def test_a_look_says_what_it_saw_and_ends_with_its_code(
    rows: int, failing: float, code: int, says: str, place: Watched, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.answers(datetime.now(UTC), rows, "2", failing=failing, every=0.01)
    assert main(command(place, tmp_path)) == code
    assert says in capsys.readouterr().out
    value = json.loads((tmp_path / "reports/monitor.json").read_text())
    assert value["schema"] == "weighin/monitor/v1"
    assert [c["check"] for c in value["checks"]] == ["monitor/last-100/errors"]
    assert value["alarms"] == (["monitor/last-100/errors"] if code == 1 else [])


def test_an_error_leaves_no_page_of_an_earlier_look(
    place: Watched, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.answers(datetime.now(UTC), N, "2", every=0.01)
    assert main(command(place, tmp_path)) == 0
    place.champions.registry.move_alias(place.champions.model, "champion", "1")
    assert main(command(place, tmp_path)) == 1
    assert "somebody moved it by hand" in capsys.readouterr().err
    assert list((tmp_path / "reports").iterdir()) == []


def test_a_contract_without_a_monitor_is_an_error(
    place: Watched, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = place.contract.read_text()
    place.contract.write_text(text[: text.index("monitor:")])
    assert main(command(place, tmp_path)) == 4
    assert "the contract has no `monitor`" in capsys.readouterr().err


def test_a_stopped_monitor_is_seen(place: Watched, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = command(place, tmp_path, "--max-heartbeat-age", "5")
    assert main(asked) == 1
    assert "nobody ever looked" in capsys.readouterr().err
    assert main(command(place, tmp_path)) == 7  # nothing was logged yet, and that is a run
    assert main(asked) == 0
    assert main(command(place, tmp_path, "--max-heartbeat-age", "0")) == 1
    assert "at most 0 are allowed" in capsys.readouterr().err
    script = [sys.executable, str(ROOT / "scripts/monitor.py"), *asked[1:]]
    ran = subprocess.run(script, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout[:16]) == (0, "the last run was"), ran.stderr


def test_a_dry_run_is_no_pulse(place: Watched, tmp_path: Path) -> None:
    place.answers(datetime.now(UTC), N, "2", every=0.01)
    assert main(command(place, tmp_path, "--dry-run")) == 0
    assert main(command(place, tmp_path, "--max-heartbeat-age", "10")) == 1


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def _until(url: str, status: int, seconds: float) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, text = _get(url)
        if found == status:
            return text
        time.sleep(0.1)
    raise AssertionError(f"{url} never answered {status}, at last {_get(url)}")


def test_a_loop_looks_again_and_again_and_says_whether_it_does(place: Watched, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = [sys.executable, "-m", "weighin", *command(place, tmp_path, "--every", "--health-port", str(port))]
    log = tmp_path / "monitor.log"
    with log.open("wb") as out:
        process = subprocess.Popen(given, stdout=out, stderr=subprocess.STDOUT, env=dict(os.environ))
    try:
        assert "the last run was at" in _until(f"http://127.0.0.1:{port}/ready", 200, 90)
        assert _get(f"http://127.0.0.1:{port}/alive")[0] == 200
        assert _get(f"http://127.0.0.1:{port}/")[0] == 404
        # What goes wrong at a run is said, and the monitor goes on.
        place.champions.registry.move_alias(place.champions.model, "champion", "1")
        assert "the last run was at" in _until(f"http://127.0.0.1:{port}/ready", 503, 60)
        assert process.poll() is None
        place.champions.registry.move_alias(place.champions.model, "champion", "2")
        _until(f"http://127.0.0.1:{port}/ready", 200, 60)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    text = log.read_text()
    assert text.count(": flight-delay version 2, ") >= 2
    assert "somebody moved it by hand" in text


def test_health_knows_late_from_dead() -> None:
    every = timedelta(minutes=5)
    health = Health(every)
    assert health.answer("/ready") == (503, "no run has succeeded yet")
    assert health.answer("/alive")[0] == 200
    health.succeeded()
    assert health.answer("/ready")[0] == 200
    health._succeeded = datetime.now(UTC) - 16 * timedelta(minutes=1)
    assert health.answer("/ready")[0] == 503
    assert health.answer("/alive")[0] == 200
    health._begun = datetime.now(UTC) - 16 * timedelta(minutes=1)
    assert health.answer("/alive")[0] == 503
