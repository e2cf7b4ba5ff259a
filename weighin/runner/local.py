"""Steps as processes of the local environment: for models that you trust. Same commands as in the containers."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from weighin.runner import environments, kept
from weighin.runner.artifact import changed
from weighin.runner.isolated import isolated
from weighin.runner.measure import Record, Sample, peak, sampled
from weighin.runner.plan import LoadPlan, Plan, Session
from weighin.runner.problem import known_columns, last_line, note_problem, tool_line
from weighin.runner.reaper import reaped
from weighin.runner.sessions import (
    GO,
    INTERRUPTED,
    PREPARE_SECONDS,
    PROBE_SECONDS,
    READY,
    Turn,
    every_start,
    model_of,
    server_command,
    side_by_side,
)
from weighin.runner.warm import Process, Warm, error_of
from weighin.untrusted.redact import cause, keep

PATIENT = {"OMP_WAIT_POLICY": "passive"}
"""For steps that share the machine: a thread that waits for one which another step keeps from running does not spin.

Source: OpenMP 5.2, section 21.2.10. Servers that are measured do not get it."""
_HELD: set[int] = set()
"""Process groups that a step of this process waits for."""
GATES = ("data_quality", "performance", "drift", "explainability", "load", "shadow", "sealed")
WEIGHIN = (sys.executable, "-P", "-m", "weighin")


def predict(work: Path, forks: Warm | None = None, *, survey: bool = False) -> tuple[str, ...]:
    """Let every role's model predict; returns the roles whose predictions of an earlier run are used (`kept`).

    forks   a warm process; without one each prediction is a new process
    survey  ask only the holdout, and leave what the answers look like in place of them (`weighin.model.survey`)
    What goes wrong is noted for the suites, which then say `not_evaluated`.
    """
    plan, columns = Plan.read(work / "plan.json"), known_columns(work)
    used: list[str] = []

    def predict_role(role: str) -> None:
        out = _emptied(work / "predictions" / role)
        arguments = ["step", "predict", "--model", str((work / "models" / role).resolve()), "--out", str(out.resolve())]
        arguments += ["--features", str((work / "features").resolve())]
        arguments += ["--survey"] if survey else plan.predict_arguments()
        problem, own = plan.refused.get(role) or changed(work, role), role in plan.own_environments
        if own and not problem:
            python, problem = _environment(work / "models" / role)
            arguments += ["--python", str(python)]
            environments.note(out, python)
        # A cluster's answers are kept by nobody, and its driver is no fork: it starts threads and Java.
        cluster = plan.on_spark and not survey
        anew = own or survey or cluster
        if not problem and not anew and kept.use(work, role, plan, out):
            used.append(role)
        elif not problem:
            with _scratch() as folder:
                problem = _run(arguments, folder, plan.predict_seconds, columns, forks=None if cluster else forks)
            if not problem and not anew:
                kept.keep(work, role, plan, out)
        note_problem(out, problem)

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(predict_role, plan.roles))
    return tuple(used)


def train(command: list[str]) -> str:
    """Run a Python file with its arguments; what went wrong in a sentence, or nothing.

    It is the repository's own code, and gets the variables and the folder that it would have from a terminal. What it
    prints may hold data, and is kept on this machine.
    """
    with _scratch() as folder, (folder / "log").open("wb") as log, _held(folder) as hold:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**PATIENT, **os.environ},
        )
        hold(process)
        code = process.wait()
        place = keep((folder / "log").read_bytes()) if code else None
    return f"`{shlex.join(command)}` ended with code {code}: {place or 'it printed nothing'}" if code else ""


def resolve(arguments: list[str], forks: Warm) -> tuple[int, dict[str, str]] | None:
    """Run `weighin step resolve` in a fork: its exit code and its error; nothing where it cannot be forked."""
    with _scratch() as folder:
        log = folder / "log"
        with _held(folder) as hold:
            process = forks.fork(["step", "resolve", *arguments], "models", Path.cwd(), log)
            if process is None:
                return None
            hold(process)
            code = process.wait()
            error = error_of(log) or {"fact": last_line(log.read_bytes()) if code else ""}
        return code, error


def load(work: Path, step: str = "load") -> None:
    """At each planned start: serve a model, send the load, or the logged requests, note what the server took."""
    plan = Plan.read(work / "plan.json")
    asked = plan.of_step(step)
    ports = _free_ports(len(asked.sessions)) if asked else []

    def start(planned: LoadPlan, session: Session, out: Path, record: Record, turn: Turn) -> str:
        assert asked is not None
        own, port = plan.has_own_environment(session.role), ports[asked.sessions.index(session)]
        return _start(work, planned, session, out, record, turn, port, own=own)

    every_start(plan, step, work, _emptied, start, _together(asked) if asked else 1)


def _together(plan: LoadPlan) -> int:
    """How many servers start side by side: those of the team only where each can have a port of its own."""
    if plan.command and not any("{port}" in part for part in plan.command):
        return 1
    return side_by_side(
        plan,
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        psutil.virtual_memory().available / 2**20,
    )


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _start(
    work: Path, plan: LoadPlan, session: Session, out: Path, record: Record, turn: Turn, port: int, *, own: bool
) -> str:
    """One start of a server and its load; what went wrong in a sentence, or nothing.

    own  whether the model is served with the packages that it declares
    """
    if plan.image:
        return f"the server is the image {plan.image}: it needs --runner docker"
    arguments = ["step", "load", "--work", str(work.resolve()), "--role", session.role, "--start", str(session.start)]
    arguments += ["--step", plan.step]
    seconds, columns = plan.most_seconds + PROBE_SECONDS, known_columns(work)
    with _scratch() as folder:
        if plan.url:
            return _run([*arguments, "--url", plan.url], folder, seconds, columns)
        home, python = work.resolve(), ""
        if own:
            interpreter, problem = _environment(model_of(session, work), complete=session.role != "clean")
            python = str(interpreter)
            if session.role == "clean":
                record["unbuilt"] = problem
            if problem:
                return problem
        command = server_command(plan, session, str(model_of(session, home)), port, [*WEIGHIN], python)
        arguments += ["--url", f"http://127.0.0.1:{port}", "--turn", str(folder / GO)]

        def waits() -> bool:
            return turn.waits(out / READY, folder / GO)

        record["started_at"] = time.time()
        try:
            serving = _group(command, folder / "server")
            with serving as server:
                family = Family(server.pid)
                with sampled(lambda: None if turn.rests else family.sample(), every=0.1) as samples:
                    problem = _run(arguments, folder, seconds, columns, server, waits, turn)
                    if (code := server.poll()) is not None:
                        log = (folder / "server" / "log").read_bytes()
                        problem = f"the server ended by itself (code {code}): {last_line(log, columns)}"
        except OSError as error:
            return f"the server did not start ({cause(error)})"
        record |= {"samples": samples, "peak_memory_mb": peak(samples)}
    return problem


def _environment(model: Path, *, complete: bool = True) -> tuple[Path, str]:
    """Return the interpreter of an environment of a model's own, and why there is none, or nothing."""

    def build(listed: Path, folder: Path, completed: bool) -> str:
        command = [sys.executable, "-I", str(Path(__file__).with_name("prepare.py")), str(listed), str(folder)]
        with _scratch() as scratch:
            more = ["--complete"] if completed else []
            return _finished([*command, *more], scratch, PREPARE_SECONDS, tool_line)

    of = f"{sys.version} {sys.executable} {sys.platform}"
    folder, problem = environments.environment(model, of, build, complete=complete)
    return environments.interpreter(folder), problem


def judge(suite: str, contract: Path, work: Path, out: Path, forks: Warm | None = None) -> int:
    """Run one suite in a process of its own; returns pytest's exit code.

    forks  a warm process; without one it is a new process
    """
    arguments = ["step", "judge", suite, "--contract", str(contract), "--work", str(work), "--out", str(out)]
    with _scratch() as folder, _group([*WEIGHIN, *arguments], folder, forks, needs_of(suite), Path.cwd()) as process:
        code = process.wait()
        said = (folder / "log").read_bytes().decode("utf-8", "replace").splitlines(keepends=True)
        if code in (0, 1):
            # Every check was decided, and the verdict says what blocks: pytest's account of it is not repeated.
            said = [line for line in said if line.startswith(f"suite {suite}")]
        # In one piece: suites run side by side.
        sys.stderr.write("".join(said))
        sys.stderr.flush()
    return code


class Family:
    """A process and its children: memory and processor time, that of children which ended included."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._known: dict[int, psutil.Process] = {}
        self._seconds: dict[int, float] = {}

    def sample(self) -> Sample | None:
        """Return what they hold and have used by now; nothing when they are gone."""
        try:
            found = {p.pid: p for p in (self._process, *descendants(self._process))}
        except psutil.Error:
            return None
        # The kernel's list may leave out a process while another one beside it ends.
        self._known = {pid: p for pid, p in (self._known | found).items() if pid in found or p.is_running()}
        memory = 0
        for process in self._known.values():
            with contextlib.suppress(psutil.Error):
                memory += process.memory_info().rss
                times = process.cpu_times()
                self._seconds[process.pid] = times.user + times.system
        at = time.time()
        return {"at": at, "memory_mb": memory / 2**20, "cpu_seconds": sum(self._seconds.values())} if memory else None


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """Return the children of a process, theirs, and so on. Errors: `psutil.Error` where it is gone.

    Where the kernel lists the children of a thread, only these are looked at: psutil looks at every process of the
    machine, many times a second while a server is measured. Source: proc(5), `/proc/pid/task/tid/children`.
    """
    if not os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children"):
        return list(process.children(recursive=True))
    if not process.is_running():
        raise psutil.NoSuchProcess(process.pid)
    found: dict[int, psutil.Process] = {}
    pids = _children(process.pid)
    while pids:
        # A thread that ends hands its children to another one, which may be read later.
        if (pid := pids.pop()) not in found:
            with contextlib.suppress(psutil.Error):
                found[pid] = psutil.Process(pid)
                pids += _children(pid)
    return list(found.values())


def _children(pid: int) -> list[int]:
    """Return the children of a process by the lists of its threads. What is gone meanwhile has none."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split())
    return found


def needs_of(suite: str) -> str:
    """Return the group of imports that a suite is forked after: its own, or those that every suite needs."""
    return suite if suite in GATES else "judge"


def end_all() -> None:
    """End every process that a step has started and still waits for; the steps then come to their end."""
    for pid in list(_HELD):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def variables() -> dict[str, str]:
    # Bytecode of a model's own modules would be written among its files, which then are not those that were resolved.
    own = {"PYTHONDONTWRITEBYTECODE": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return {**isolated(os.environ), **own, "GX_ANALYTICS_ENABLED": "false"}


@contextlib.contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextlib.contextmanager
def _group(
    command: list[str], folder: Path, forks: Warm | None = None, needs: str = "", cwd: Path | None = None
) -> Iterator[Process]:
    """Yield a process in a session of its own, which is ended with all its children, also when this process is killed.

    folder  where it logs; removed with it
    forks   a warm process that may run it in a fork, once it has imported what `needs` names
    cwd     where it works, by default `folder`
    """
    folder.mkdir(exist_ok=True)
    with _held(folder) as hold:
        process: Process | None = None
        if forks is not None:
            process = forks.fork(command[len(WEIGHIN) :], needs, cwd or folder, folder / "log")
        if process is None:
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(
                    command,
                    cwd=cwd or folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env=variables(),
                )
        hold(process)
        yield process


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[Callable[[Process], None]]:
    """End the process groups that are held at the end of the block, also when this process is killed.

    folder  where they log, which is removed with them
    """
    held: list[Process] = []
    with reaped("group", str(folder)) as tell:

        def hold(process: Process) -> None:
            tell(process.pid)
            _HELD.add(process.pid)
            held.append(process)

        try:
            yield hold
        finally:
            for process in held:
                _HELD.discard(process.pid)
                for sign in (signal.SIGTERM, signal.SIGKILL):
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, sign)
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=5)


def _run(
    arguments: list[str],
    folder: Path,
    seconds: float,
    columns: Collection[str],
    needs: Process | None = None,
    waits: Callable[[], bool] = lambda: False,
    turn: Turn | None = None,
    forks: Warm | None = None,
) -> str:
    """Run `weighin ...`; what went wrong in a sentence, or nothing.

    columns  names that may be shown of what it says
    needs    another process without which there is no use in going on
    waits    whether it waits for its turn, during which its time does not run
    turn     which may be stopped
    forks    a warm process that may run it in a fork
    """
    command = [*WEIGHIN, *arguments]
    return _finished(command, folder, seconds, lambda log: last_line(log, columns), needs, waits, turn, forks)


def _finished(
    command: list[str],
    folder: Path,
    seconds: float,
    said_last: Callable[[bytes], str],
    needs: Process | None = None,
    waits: Callable[[], bool] = lambda: False,
    turn: Turn | None = None,
    forks: Warm | None = None,
) -> str:
    """Run a command to its end; what went wrong in a sentence, or nothing."""
    said = " ".join(("weighin", command[len(WEIGHIN)]) if tuple(command[: len(WEIGHIN)]) == WEIGHIN else command[:4])
    deadline = time.monotonic() + seconds
    with _group(command, folder / "run", forks, "models") as process:
        while (code := process.poll()) is None:
            if waits():
                deadline = time.monotonic() + seconds
            if time.monotonic() > deadline:
                return f"`{said}` was stopped after {seconds:.0f} s without an end"
            if needs is not None and needs.poll() is not None:
                return f"`{said}` was stopped: what it needs ended"
            if turn is not None and turn.stopped:
                return INTERRUPTED
            time.sleep(0.05)
        log = (folder / "run" / "log").read_bytes()
    return "" if code == 0 else f"`{said}` ended with code {code}: {said_last(log)}"


def _free_port() -> int:
    return _free_ports(1)[0]


def _free_ports(number: int) -> list[int]:
    """So many different ports: all are held until the last one is found."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(number)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
