"""The load step in containers: a team's own server within its walls, and nothing left behind, however it ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from support import load_work
from weighin.load import read_log
from weighin.runner import docker, sandbox, variables
from weighin.runner.collect import Allowed, surplus
from weighin.runner.plan import Phase, Session
from weighin.runner.problem import NOTHING

pytestmark = pytest.mark.docker
IMAGE = "weighin:local"
ONE = load_work.PLAN.sessions[:1]


def own(mode: str) -> tuple[str, ...]:
    """The team's server as a command of the image."""
    return ("python3", "-c", load_work.SERVER.read_text(), "{port}", mode)


def written(folder: Path, mode: str = "right", **changes: object) -> Path:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)  # pytest closes its folders to others, and containers run as another user
    folder.parent.chmod(0o755)
    return load_work.write(folder, **{"command": own(mode), "sessions": ONE, **changes})


def ours() -> list[str]:
    """Names of the containers of load steps that there are."""
    listed = sandbox.docker("ps", "--all", "--filter", f"label={sandbox.LABEL}", "--format", "{{.Names}}")
    return [n for n in listed.stdout.decode().split() if n.startswith(("weighin-server", "weighin-generator"))]


def until(holds, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.2)


@pytest.mark.parametrize("image", ["", IMAGE])
def test_a_server_of_the_team_is_asked_over_its_own_loopback_and_measured(image: str, tmp_path: Path) -> None:
    work = written(tmp_path, image=image)
    docker.load(IMAGE, work)
    assert load_work.problems(work) == {}
    log = read_log([work / "load/candidate-0/responses-candidate-0.arrow"])
    assert set(log.errors) == {""}
    assert all(answers == tuple(map(float, rows)) for rows, answers in zip(log.rows, log.answers, strict=True))
    server, session = (load_work.facts(work, f"candidate-0{part}") for part in (".server.json", "/session.json"))
    assert 0 < session["healthy_at"] - server["started_at"] < 60
    assert 5 < server["peak_memory_mb"] < 300
    assert len(server["samples"]) > 2
    assert all(0 < s["memory_mb"] < 300 and s["cpu_seconds"] > 0 for s in server["samples"])
    assert all(p["kept"] for kind in session["probes"].values() for p in kind)
    assert ours() == []


def test_a_server_that_takes_more_memory_than_it_may_is_said(tmp_path: Path) -> None:
    sessions = (Session("candidate", 0, (Phase("load", 60, 5),)),)
    work = written(tmp_path, "leaks", server_memory_mb=64, sessions=sessions)
    docker.load(IMAGE, work)
    assert "it needed more memory than it may use" in load_work.problems(work)["candidate-0"]
    assert ours() == []


def test_a_server_that_dies_is_said_with_its_last_words(tmp_path: Path) -> None:
    work = written(tmp_path, "dies")
    docker.load(IMAGE, work)
    assert load_work.problems(work)["candidate-0"] == f"the server ended by itself (code 3): {NOTHING}"
    assert ours() == []


def test_an_image_that_is_not_there_is_said(tmp_path: Path) -> None:
    work = written(tmp_path, image="weighin:no-such-image")
    docker.load(IMAGE, work)
    assert "the server did not start" in load_work.problems(work)["candidate-0"]


def test_an_address_outside_is_refused_before_anything_starts(tmp_path: Path) -> None:
    work = written(tmp_path, url="http://198.51.100.7", command=())
    docker.load(IMAGE, work)
    assert "no load is sent to 198.51.100.7" in load_work.problems(work)["candidate-0"]


def test_what_reading_data_needs_reaches_the_step_that_reads_them_and_no_other_variable_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o755)
    for name in ("AWS_ACCESS_KEY_ID", "WAREHOUSE", "OTHER"):
        monkeypatch.setenv(name, f"value-of-{name}")
    monkeypatch.setenv(variables.FORWARD, "WAREHOUSE, NOT_SET")
    program = ["python3", "-c", "import os; print(sorted(v for v in os.environ.values() if v.startswith('value-of-')))"]
    assert docker.run_program(program, IMAGE, docker.Checkout(tmp_path), None, (), False) == 0
    assert "['value-of-AWS_ACCESS_KEY_ID', 'value-of-WAREHOUSE']" in capfd.readouterr().out


def test_a_folder_that_changes_while_it_is_measured_is_measured(tmp_path: Path) -> None:
    (tmp_path / "kept").write_bytes(b"x" * 1000)
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            (tmp_path / "a/b").mkdir(parents=True, exist_ok=True)
            (tmp_path / "a/b/c").write_bytes(b"y")
            shutil.rmtree(tmp_path / "a", ignore_errors=True)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        found = {size: {surplus(tmp_path, Allowed("x", 10, size, 4)) for _ in range(1000)} for size in (500, 1500)}
    finally:
        stop.set()
        thread.join(timeout=10)
    assert found == {500: {"it holds more bytes than it may"}, 1500: {""}}


@pytest.mark.parametrize("sign", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.exhaustive)])
def test_whoever_ends_the_step_ends_its_containers(sign: signal.Signals, tmp_path: Path) -> None:
    work = written(tmp_path, sessions=(Session("candidate", 0, (Phase("load", 5, 120),)),))
    # What a script starts in the background ignores Ctrl-C, and so would all that it starts.
    command = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command += f"import sys; sys.path[:0] = {sys.path!r}; from pathlib import Path; from weighin.runner import docker; "
    command += f"docker.load({IMAGE!r}, Path({str(work)!r}))"
    process = subprocess.Popen([sys.executable, "-c", command], start_new_session=True)
    until(lambda: len(ours()) == 2, 60)
    os.killpg(process.pid, sign)  # as a terminal does
    process.wait(timeout=60)
    until(lambda: ours() == [], 30)
    docker.load(IMAGE, written(tmp_path / "next"))
    assert load_work.problems(tmp_path / "next/work") == {}
