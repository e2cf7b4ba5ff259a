"""Steps in containers. Standard library and the Docker client only, so that a workflow host installs nothing.

    python3 -m weighin.runner.docker predict --image IMAGE --work DIR
    python3 -m weighin.runner.docker load    --image IMAGE --work DIR
    python3 -m weighin.runner.docker shadow  --image IMAGE --work DIR
    python3 -m weighin.runner.docker judge SUITE --image IMAGE --repo DIR --contract FILE --work DIR --out DIR
    python3 -m weighin.runner.docker run --image IMAGE [--registry DIR] [--write DIR ...] -- PROGRAM ...

A *model's* container gets features only: no label, no network, no secret, a read-only root. The *judge's* gets labels
and never loads a model. The engine's socket is mounted into neither.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from weighin.runner.artifact import changed
from weighin.runner.measure import Record, engine_sample, peak, sampled
from weighin.runner.plan import LoadPlan, Plan, Session
from weighin.runner.problem import last_line, note_problem
from weighin.runner.reaper import reaped
from weighin.runner.sessions import PREPARE_SECONDS, PROBE_SECONDS, every_start, model_of, server_command

LABEL = "weighin.runner"
USER = 65532
REGISTRY = "/weighin/registry"
"""The one path of the embedded registry in every container: MLflow keeps absolute artifact paths."""
JUDGE_SECONDS = 2400
DATA_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
    *("AWS_ENDPOINT_URL", "WEIGHIN_SPARK", "WEIGHIN_MEMORY"),
)
"""What reading data may need, where it is set. Only `run` passes it on: neither a model's nor the judge's container."""
PASSED_ON = "WEIGHIN_PASS"
"""Environment variable: names of further ones that `run` passes on, such as those of a contract's connections."""
PORT = 8080
"""Of the server, in a network that holds it and the generator alone."""
GENERATOR_MB = 1500
ENVIRONMENT = "/environment"
ENVIRONMENT_BYTES = 4 * 2**30
PREPARE_MB = 2000
PREPARE = (
    f"python3 -m venv {ENVIRONMENT} && {ENVIRONMENT}/bin/python -m pip install --quiet --no-cache-dir "
    "--disable-pip-version-check --only-binary :all: --requirement /requirements/requirements.txt"
)
OUT_BYTES = 600 * 2**20
"""What a model's container may leave in all."""
FILE_BYTES = 512 * 2**20


class NoEngineError(Exception):
    """Nothing can run in containers here: no Docker engine, no such image in it, or a folder closed to them."""


@dataclass(frozen=True)
class Sandbox:
    """The walls of one container. Memory in 2**20 bytes; `mounts` as (host folder, path inside, writable)."""

    image: str
    mounts: tuple[tuple[Path, str, bool], ...]
    memory_mb: int
    cpus: float | None = None
    network: str = "none"
    environment: tuple[str, ...] = ()
    workdir: str = "/tmp"  # noqa: S108 - the container's own, a tmpfs
    tmp_mb: int = 256

    def arguments(self, name: str) -> list[str]:
        """Arguments of `docker run` up to the image."""
        user = f"{os.getuid() or USER}:{os.getgid() or USER}"
        found = ["--name", name, "--label", LABEL, "--network", self.network, "--user", user, "--read-only"]
        found += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "256", "--init"]
        found += ["--memory", f"{self.memory_mb}m", "--memory-swap", f"{self.memory_mb}m"]
        found += ["--ulimit", f"fsize={FILE_BYTES}", "--ulimit", "core=0"]
        found += ["--tmpfs", f"/tmp:rw,size={self.tmp_mb}m,mode=1777"]  # noqa: S108 - the container's own
        found += ["--cpus", f"{self.cpus:g}"] if self.cpus else []
        for variable in ("HOME=/tmp", *self.environment):
            found += ["--env", variable]
        for host, inside, writable in self.mounts:
            found += ["--volume", f"{host.resolve()}:{inside}:{'rw' if writable else 'ro'}"]
        return [*found, "--workdir", self.workdir, self.image]


def docker(*arguments: str, seconds: float = 60) -> subprocess.CompletedProcess[bytes]:
    """Call the Docker client."""
    return subprocess.run(["docker", *arguments], capture_output=True, timeout=seconds, check=False)


@contextlib.contextmanager
def container(kind: str) -> Iterator[str]:
    """A container's name; whatever runs under it at the end is removed, also when this process is killed."""
    name = f"weighin-{kind}-{uuid.uuid4().hex[:12]}"
    with reaped("container", name):
        yield name


def run(
    sandbox: Sandbox,
    kind: str,
    command: Sequence[str],
    seconds: float,
    out: Path | None = None,
    *,
    largest: int = OUT_BYTES,
    needs: str = "",
) -> str:
    """Run a command to its end; what went wrong in a sentence, or nothing.

    out      a folder that the container may write to; more than `largest` bytes in it end the container
    needs    another container without which there is no use in going on
    """
    with container(kind) as name:
        arguments = ["run", "--detach", *sandbox.arguments(name), *command]
        started = docker(*arguments)
        if started.returncode:
            return f"the container did not start: {last_line(started.stderr)}"
        deadline = time.monotonic() + seconds
        while (state := _state(name)) and state["Running"]:
            if time.monotonic() > deadline:
                return f"the {kind} container was stopped after {seconds:g} s without an end"
            if out is not None and _size(out) > largest:
                return f"the {kind} container was stopped: it wrote more than {largest} bytes"
            if needs and not _state(needs).get("Running"):
                return f"the {kind} container was stopped: {needs} is gone"
            time.sleep(0.5 if needs else 0.2)
        if not state:
            return f"the {kind} container disappeared"
        logs = docker("logs", "--tail", "400", name)
        sys.stderr.write((logs.stdout + logs.stderr).decode("utf-8", "replace") if kind == "judge" else "")
        if state["OOMKilled"]:
            return f"the {kind} container needed more than its {sandbox.memory_mb} MB of memory"
        code = state["ExitCode"]
        return f"the {kind} container ended with code {code}: {last_line(logs.stdout + logs.stderr)}" if code else ""


def _state(name: str) -> dict[str, object]:
    found = docker("inspect", "--format", "{{json .State}}", name)
    state: dict[str, object] = json.loads(found.stdout) if found.returncode == 0 else {}
    return state


def _size(folder: Path) -> int:
    """Bytes in a folder that a container works in: what is gone by the time it is looked at counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_size
    return total


def predict(image: str, work: Path) -> None:
    """Let every role's model predict in a container of its own."""
    plan = Plan.read(work / "plan.json")

    def predict_role(role: str) -> None:
        out = _writable(work / "predictions" / role)
        mounts = (
            (work / "models" / role, "/model", False),
            (work / "features", "/features", False),
            (out, "/out", True),
        )
        command = ["weighin", "predict", "--model", "/model", "--features", "/features", "--out", "/out"]
        command += plan.predict_arguments()
        sandbox = Sandbox(image, mounts, plan.memory_mb)
        problem = changed(work, role) or run(sandbox, "model", command, plan.predict_seconds, out)
        note_problem(out, problem or _unexpected(out))

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(predict_role, plan.roles))


def _unexpected(out: Path) -> str:
    """What a model left besides its predictions: only regular files of the expected names are read."""
    strange = [p.name for p in out.iterdir() if p.is_symlink() or not p.is_file() or p.suffix != ".arrow"]
    return f"the model left files that nobody asked for: {sorted(strange)[:5]}" if strange else ""


def load(image: str, work: Path, step: str = "load") -> None:
    """At each planned start: serve a model in one container, ask it from another that shares its loopback."""

    def start(plan: LoadPlan, session: Session, out: Path, record: Record) -> str:
        return _start(image, work, plan, session, out, record)

    every_start(Plan.read(work / "plan.json"), step, work, _writable, start)


def _start(image: str, work: Path, plan: LoadPlan, session: Session, out: Path, record: Record) -> str:
    """One start of a server and its load; what went wrong in a sentence, or nothing."""
    mounts: tuple[tuple[Path, str, bool], ...] = (
        (work / "features", "/work/features", False),
        (work / "plan.json", "/work/plan.json", False),
        (out, f"/work/{plan.step}/{session.name}", True),
    )
    if plan.requests:
        mounts = (*mounts, ((work / plan.requests).parent, f"/work/{Path(plan.requests).parent}", False))
    if plan.locustfile:
        mounts = (*mounts, (work / plan.locustfile, f"/work/{plan.locustfile}", False))
    command = ["weighin", "load", "--work", "/work", "--role", session.role, "--start", str(session.start)]
    command += ["--step", plan.step]
    seconds = plan.most_seconds + PROBE_SECONDS
    if plan.url:
        outside = Sandbox(image, mounts, GENERATOR_MB, network="bridge")
        return run(outside, "generator", [*command, "--url", plan.url], seconds, out)
    held: tuple[tuple[Path, str, bool], ...] = ((model_of(session, work), "/model", False),)
    if session.role == "clean":
        record["unbuilt"] = _environment(image, work)
        if record["unbuilt"]:
            return str(record["unbuilt"])
        held = (*held, (work / "environment", ENVIRONMENT, False))
    server = Sandbox(plan.image or image, held, plan.server_memory_mb, plan.server_cpus)
    with container("server") as name:
        record["started_at"] = time.time()
        serve = server_command(plan, session, "/model", PORT, ["weighin"], f"{ENVIRONMENT}/bin/python")
        started = docker("run", "--detach", *server.arguments(name), *serve)
        if started.returncode:
            return f"the server did not start: {last_line(started.stderr)}"
        generator = Sandbox(image, mounts, GENERATOR_MB, network=f"container:{name}")
        with sampled(lambda: engine_sample(name)) as samples:
            url = f"http://127.0.0.1:{PORT}"
            problem = run(generator, "generator", [*command, "--url", url], seconds, out, needs=name)
        record["samples"] = samples
        state = _state(name)
        if not state.get("Running"):
            why = "it needed more memory than it may use" if state.get("OOMKilled") else f"code {state.get('ExitCode')}"
            logs = docker("logs", "--tail", "50", name)
            problem = f"the server ended by itself ({why}): {last_line(logs.stdout + logs.stderr)}"
        record["peak_memory_mb"] = _peak_memory(name) or peak(samples)
    return problem


def _environment(image: str, work: Path) -> str:
    """Build an environment of what the candidate declares that it needs; why it could not be built, or nothing.

    This container has a network and neither the model, nor data, nor a secret; of a package it takes wheels only, so
    that no code of a package runs. The model is loaded elsewhere, later, without a network.
    """
    folder = _writable(work / "environment")
    needs = _writable(work / "requirements")
    listed = work / "models/candidate/requirements.txt"
    if listed.is_symlink() or not listed.is_file():
        return "the model declares no requirements.txt"
    shutil.copyfile(listed, needs / "requirements.txt")
    (needs / "requirements.txt").chmod(0o644)
    mounts: list[tuple[Path, str, bool]] = [(needs, "/requirements", False), (folder, ENVIRONMENT, True)]
    environment = []
    # A mirror's address and certificates, where the machine needs them. Neither may hold a password.
    for variable, inside in (("WEIGHIN_PIP_CONF", "/etc/pip.conf"), ("WEIGHIN_PIP_CERT", "/run/pip-cert.pem")):
        if os.environ.get(variable):
            mounts.append((Path(os.environ[variable]), inside, False))
            environment += [f"PIP_CERT={inside}"] if variable == "WEIGHIN_PIP_CERT" else []
    network = os.environ.get("WEIGHIN_PREPARE_NETWORK", "bridge")
    sandbox = Sandbox(image, tuple(mounts), PREPARE_MB, network=network, environment=tuple(environment), tmp_mb=1024)
    return run(sandbox, "prepare", ["sh", "-c", PREPARE], PREPARE_SECONDS, largest=ENVIRONMENT_BYTES, out=folder)


def _peak_memory(name: str) -> float | None:
    """The kernel's count for the container, in MB; read through the engine, from a root that nobody can write to."""
    for path in ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes"):
        found = docker("exec", name, "cat", path)
        if found.returncode == 0 and found.stdout.strip().isdigit():
            return round(int(found.stdout) / 2**20, 1)
    return None


def judge(suite: str, image: str, repo: Path, contract: Path, work: Path, out: Path) -> int:
    """Run one suite in the judge's container; 0 when it ended with every check going on."""
    folder = _writable(out / suite)
    mounts = ((readable(repo), "/repo", False), (work, "/work", False), (folder, f"/out/{suite}", True))
    environment = (f"WEIGHIN_IMAGE={identity(image)}", f"WEIGHIN_ATTEMPT={os.environ.get('WEIGHIN_ATTEMPT', '1')}")
    sandbox = Sandbox(image, mounts, 4000, environment=environment, workdir="/repo")
    inside = f"/repo/{contract.resolve().relative_to(repo.resolve())}"
    command = ["weighin", "judge", suite, "--contract", inside, "--work", "/work", "--out", "/out"]
    problem = run(sandbox, "judge", command, JUDGE_SECONDS, folder)
    if problem:
        print(f"suite {suite}: {problem}", file=sys.stderr)
    return 1 if problem else 0


def run_program(
    arguments: Sequence[str],
    image: str,
    repo: Path,
    registry: Path | None,
    write: Sequence[str],
    network: bool,
    tell: Sequence[Path] = (),
) -> int:
    """Run `weighin`, or another program of the image, over the repository; its output is ours.

    write  folders of the repository that it may write to; all else is read-only
    tell   files at whose end its output is written as well, such as a summary: nothing else that we print is
    """
    mounts = [(readable(repo), "/repo", False)]
    for folder in write:
        mounts.append((_made(repo / folder), f"/repo/{folder}", True))
    environment = [f"WEIGHIN_IMAGE={identity(image)}", f"WEIGHIN_IMAGE_DIGESTS={','.join(digests(image))}"]
    # The values of these are passed on from our own environment and never stand on a command line.
    passed = (
        "WEIGHIN_ATTEMPT",
        "WEIGHIN_RUN_URL",
        "WEIGHIN_COMMIT",
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_PASSWORD",
        "WEIGHIN_SIGNING_KEY",
    )
    named = os.environ.get(PASSED_ON, "").replace(",", " ").split()
    environment += [key for key in (*passed, "MLFLOW_TRACKING_TOKEN", *DATA_VARIABLES, *named) if key in os.environ]
    if registry is not None:
        mounts.append((_made(registry), REGISTRY, True))
        environment.append(f"MLFLOW_TRACKING_URI=sqlite:///{REGISTRY}/mlflow.db")
    elif "MLFLOW_TRACKING_URI" in os.environ:
        environment.append("MLFLOW_TRACKING_URI")
    sandbox = Sandbox(
        image,
        tuple(mounts),
        4000,
        network="bridge" if network else "none",
        environment=tuple(environment),
        workdir="/repo",
    )
    with container("run") as name:
        command = ["docker", "run", *sandbox.arguments(name), *arguments]
        done = subprocess.run(command, timeout=JUDGE_SECONDS, check=False, stdout=subprocess.PIPE if tell else None)
    if tell:
        sys.stdout.flush()
        sys.stdout.buffer.write(done.stdout)
        for path in tell:
            with path.open("ab") as file:
                file.write(done.stdout)
    return done.returncode


def identity(image: str) -> str:
    """The image's id, `sha256:<hex>`. Errors: `NoEngineError` when there is no engine, or it has no such image."""
    try:
        found = docker("image", "inspect", "--format", "{{.Id}}", image)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoEngineError(f"no Docker engine answers ({error}). Start it, or use --runner local.") from error
    if found.returncode:
        raise NoEngineError(f"no image {image}: {last_line(found.stderr)}. Build it: docker build -t {image} .")
    return found.stdout.decode().strip()


def digests(image: str) -> list[str]:
    """The digests, `sha256:<hex>`, under which registries have the image; none for one that was built here."""
    found = docker("image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", image)
    return [line.rpartition("@")[2] for line in found.stdout.decode().split()]


def readable(folder: Path) -> Path:
    """The folder, if the container's user can read it. Errors: `NoEngineError` with the remedy."""
    if os.getuid() == 0 and folder.stat().st_mode & 0o005 != 0o005:
        raise NoEngineError(
            f"{folder.resolve()} is open to its owner only, and containers run as user {USER}. "
            f"Run `chmod go+rx {folder.resolve()}`, or do not work as root."
        )
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)
    return folder


def _writable(folder: Path) -> Path:
    """An empty folder that the container's user may write to."""
    shutil.rmtree(folder, ignore_errors=True)
    return _made(folder)


def main() -> int:
    """Parse the command line of this module; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m weighin.runner.docker", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for name in ("predict", "load", "shadow", "judge", "run"):
        step = steps.add_parser(name)
        step.add_argument("--image", required=True, help="image id, digest or tag")
        if name != "run":
            step.add_argument("--work", type=Path, required=True, help="what `weighin resolve` left")
        if name in ("judge", "run"):
            step.add_argument("--repo", type=Path, default=Path(), help="the repository of the contract")
        if name == "judge":
            step.add_argument("suite")
            step.add_argument("--contract", type=Path, required=True)
            step.add_argument("--out", type=Path, required=True, help="folder of the reports")
        if name == "run":
            step.add_argument("--registry", type=Path, help="folder of the embedded registry")
            step.add_argument("--write", action="append", default=[], help="folder that may be written to")
            step.add_argument("--network", action="store_true", help="for a registry on another machine")
            step.add_argument("--tell", action="append", default=[], type=Path, help="file that its output ends up in")
            step.add_argument("--commands", action="store_true", help="let its output be commands to the workflow")
            step.add_argument("arguments", nargs="+", help="program and arguments, after `--`")
    given = parser.parse_args()
    with nothing_commands(os.environ, unless=given.step == "run" and given.commands):
        match given.step:
            case "predict":
                predict(given.image, given.work)
            case "load" | "shadow":
                load(given.image, given.work, given.step)
            case "judge":
                return judge(given.suite, given.image, given.repo, given.contract, given.work, given.out)
            case "run":
                where = (given.image, given.repo, given.registry, given.write, given.network, given.tell)
                return run_program(given.arguments, *where)
    return 0


@contextlib.contextmanager
def nothing_commands(environment: Mapping[str, str], *, unless: bool) -> Iterator[None]:
    """Let nothing that is printed meanwhile be a command to the workflow: trainings, models and suites print too.

    Source: GitHub's documentation of workflow commands, `stop-commands`.
    """
    if unless or environment.get("GITHUB_ACTIONS") != "true":
        yield
        return
    token = uuid.uuid4().hex
    print(f"::stop-commands::{token}", flush=True)
    try:
        yield
    finally:
        # On a line of its own, whatever a container printed last.
        print(f"\n::{token}::", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (NoEngineError, ValueError) as error:
        print(f"weighin: {error}", file=sys.stderr)
        sys.exit(7)
