"""Forks of one warm process: isolated, each a process of its own, and a plain process where there is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from support import quick_python
from weighin.cli.warm import WarmProcess, warm_up
from weighin.contract import read_contract
from weighin.outcome import Status, gate
from weighin.record.decision import judge_evidence
from weighin.record.suite import Binding
from weighin.runner import forked, local
from weighin.runner.warm import Forked, Warm, error_of, warm
from weighin.verdict import validate
from weighin.verdict.judge import run_suite

ROOT = Path(__file__).resolve().parents[2]
PLANTED = ("pytest", "pandas", "numpy", "conftest", "weighin", "sitecustomize", "usercustomize", "great_expectations")


def plant(folder: Path) -> Path:
    """Modules of a repository that would leave a mark if they were imported."""
    for name in PLANTED:
        (folder / f"{name}.py").write_text(f"open({str(folder / 'imported')!r}, 'a').write({name!r})\n")
    return folder / "imported"


def run(held: Warm, folder: Path, *arguments: str) -> tuple[int, str]:
    log = folder / "log"
    fork = held.fork(arguments, "judge", folder, log)
    assert fork is not None
    return fork.wait(60), log.read_text()


def test_the_warm_process_and_its_forks_import_nothing_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = plant(tmp_path)
    monkeypatch.chdir(tmp_path)
    for variable in ("PYTHONPATH", "PYTHONSTARTUP", "PYTEST_PLUGINS"):
        monkeypatch.setenv(variable, str(tmp_path) if variable == "PYTHONPATH" else "conftest")
    with warm(("judge",), local.variables()) as held:
        assert held is not None
        held.rest()
        code, said = run(held, tmp_path, "contract", "check", "--contract", str(ROOT / "model_contract.yaml"))
        assert (code, "checks in 6 suites" in said) == (0, True), said
        # An error comes over as its parts, and as the line that it is on a terminal.
        code, said = run(held, tmp_path, "contract", "check", "--contract", "absent.yaml")
        assert (code, said.startswith("weighin: ")) == (4, True)
        error = error_of(tmp_path / "log")
        assert error is not None
        assert "absent.yaml" in error["place"] + error["fact"]
        # Each fork is a session of its own, which ends with the warm process.
        fork = held.fork(["monitor", "--help"], "judge", tmp_path, tmp_path / "other")
        assert fork is not None
        assert fork.wait(60) == 0
        pid = held._process.pid
        held._process.kill()
        held._gone.wait(10)
        assert held.fork(["contract", "check"], "judge", tmp_path, tmp_path / "log") is None
    assert not psutil.pid_exists(pid)
    assert not imported.exists(), imported.read_text()


def test_without_a_warm_process_a_step_is_a_process(tmp_path: Path) -> None:
    class Gone:
        def fork(self, *_: object) -> None:
            return None

    command = [*local.WEIGHIN, "contract", "schema"]
    forks: Any = Gone()
    with local._group(command, tmp_path / "run", forks, "judge") as process:
        assert isinstance(process, subprocess.Popen)
        assert process.wait(60) == 0
        assert '"title"' in (tmp_path / "run/log").read_text()


def test_a_library_that_starts_a_thread_ends_the_warm_process() -> None:
    stop = threading.Event()

    def bring_in(name: str) -> None:
        threading.Thread(target=stop.wait, args=(30,), daemon=True).start()

    process: Any = object.__new__(WarmProcess)
    try:
        assert not warm_up(process, ["sealed"], bring_in)
    finally:
        stop.set()


def test_a_fork_of_which_nothing_is_known_any_more_has_not_ended_well() -> None:
    fork = Forked()
    assert fork.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        fork.wait(0.01)


CRASH = """
import sys
from pathlib import Path
import pytest
from weighin.contract import read_contract
from weighin.verdict.judge import leave_pages, run_suite
from weighin.runner import forked
import os, signal
forked.MAY_FORK = True
contract, work, out, how = sys.argv[1:]
def crash(*_):
    if how == "signal":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "exit":
        os._exit(0)
    raise MemoryError
pytest.main = crash
file = read_contract(Path(contract))
code = run_suite("drift", file, Path(work), Path(out))
leave_pages(file, "drift", Path(work), Path(out) / "drift")
print(f"code {code}")
"""


@pytest.mark.parametrize(("how", "code"), [("signal", -signal.SIGSEGV), ("exit", 0), ("error", 3)])
def test_a_suite_that_crashes_in_its_fork_leaves_no_evidence_and_blocks(how: str, code: int, tmp_path: Path) -> None:
    out = tmp_path / "reports"
    (out / "drift").mkdir(parents=True)
    for name in ("outcomes.json", "junit.xml", "report.html"):
        (out / "drift" / name).write_text("of an earlier run")
    contract = ROOT / "model_contract.yaml"
    # It is isolated, as the warm process is.
    done = quick_python.run(["-c", CRASH, str(contract), str(tmp_path), str(out), how], tmp_path, timeout=120)
    assert f"code {int(code)}" in done.stdout, done.stderr
    assert "no report" in done.stderr
    assert list((out / "drift").iterdir()) == []
    file = read_contract(contract)
    decision = judge_evidence(file, Binding(file.digest, "sha256:x", "", "1"), out, ("drift",))
    assert gate(decision.outcomes) is not Status.PASSED
    assert decision.exit_code != 0


def test_a_suite_is_not_forked_from_a_process_that_is_not_isolated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forked, "MAY_FORK", True)
    assert not sys.flags.isolated
    assert not forked.may_fork()
    monkeypatch.setattr("weighin.verdict.judge.fork", lambda *_: pytest.fail("it was forked"))
    file = read_contract(ROOT / "model_contract.yaml")
    assert run_suite("drift", file, tmp_path, tmp_path / "reports") != 0


def test_a_fork_that_takes_too_long_is_ended() -> None:
    began = time.monotonic()
    with tempfile.TemporaryFile() as log:
        pid = forked.fork(lambda: time.sleep(60) or 0, log.fileno())
        with pytest.raises(TimeoutError):
            forked.wait(pid, 0.2)
    assert time.monotonic() - began < 20
    assert not psutil.pid_exists(pid)


def test_what_a_fork_prints_and_how_it_ends_is_known() -> None:
    def raises() -> int:
        raise ValueError("in the fork")

    for call, code, said in ((lambda: 7, 7, ""), (raises, 3, "in the fork"), (lambda: sys.exit(5), 5, "")):
        with tempfile.TemporaryFile() as log:
            assert forked.wait(forked.fork(call, log.fileno()), 30) == code
            log.seek(0)
            assert said in log.read().decode()
    assert os.getpid() == psutil.Process().pid


def test_an_error_of_one_step_ends_what_the_other_has_started(tmp_path: Path) -> None:
    command = [*local.WEIGHIN[:1], "-c", "import time; time.sleep(60)"]
    started = threading.Event()

    def long() -> None:
        with local._group(command, tmp_path / "run") as process:
            started.set()
            process.wait()

    def short() -> None:
        started.wait(30)
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        validate._two_at_a_time([short, long, lambda: pytest.fail("it was to be left out")])
    assert time.monotonic() - began < 30
