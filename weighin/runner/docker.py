"""Steps in containers. Standard library and the Docker client only, so that a workflow host installs nothing.

    python3 -I HOST/weighin/runner docker predict --image IMAGE --work DIR
    python3 -I HOST/weighin/runner docker load    --image IMAGE --work DIR
    python3 -I HOST/weighin/runner docker shadow  --image IMAGE --work DIR
    python3 -I HOST/weighin/runner docker judge SUITE ... --image IMAGE --contract FILE --work DIR --out DIR
    python3 -I HOST/weighin/runner docker run --image IMAGE [--registry DIR] [--write DIR ...] -- PROGRAM ...

A *model's* container gets features only: no label, no network, no secret, a read-only root. The *judge's* gets labels
and never loads a model. The engine's socket is mounted into neither. What any of them leaves is taken over by
`weighin.runner.collect`, and bounded in bytes, files and log while it runs.

On a pull request that nobody has reviewed, `--repo` is a checkout of the base, whose files decide, and `--head` one of
the pull request: only its contract is laid over that of the base, since the stricter of both decides.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from weighin.runner import environments, variables
from weighin.runner.artifact import changed
from weighin.runner.collect import (
    ANY_NAME,
    FAILING_KEYS,
    LOAD,
    OWN_TESTS,
    PREDICTIONS,
    SUITE,
    TREE,
    Allowed,
    Refused,
    raw_folder,
    remove,
    take,
)
from weighin.runner.environments import interpreter
from weighin.runner.measure import Record, engine_sample, peak, sampled
from weighin.runner.plan import LoadPlan, Plan, Session
from weighin.runner.prepare import CACHE
from weighin.runner.problem import known_columns, last_line, note_problem, tool_line
from weighin.runner.sandbox import (
    USER,
    NoEngineError,
    Sandbox,
    attached,
    container,
    digests,
    docker,
    identity,
    machine,
    readable,
    run,
    state_of,
)
from weighin.runner.sessions import (
    GENERATOR_MB,
    GO,
    PREPARE_SECONDS,
    PROBE_SECONDS,
    READY,
    Turn,
    every_start,
    model_of,
    server_command,
    side_by_side,
)

REGISTRY = "/weighin/registry"
"""The one path of the embedded registry in every container: MLflow keeps absolute artifact paths."""
ON_SPARK = (
    "the contract asks the model on Spark, and a model's container reaches no cluster: use --runner local, or "
    "`predict_on: process`"
)
JUDGE_SECONDS = 2400
JUDGE_MB = 4000
PORT = 8080
"""Of the server, in a network that holds it and the generator alone."""
TURN = "/turn"
"""Where a generator finds the file that lets it send."""
ENVIRONMENT = "/environment"
ENVIRONMENTS = Allowed(ANY_NAME, files=400_000, size=4 * 2**30, depth=40)
PREPARE_MB = 2000
PREPARE = (
    "python3",
    "-I",
    "/opt/weighin/host/weighin/runner/prepare.py",
    "/requirements/requirements.txt",
    ENVIRONMENT,
)
PYTHON = str(interpreter(Path(ENVIRONMENT)))
HEAD, BASE = "/weighin/head", "/weighin/base"
BASE_CONTRACT = "/weighin/base-contract.yaml"
"""Where a container finds the checkouts of a pull request and of its base, to compare them."""


def _lent(raw: Path) -> Path:
    """Return a raw folder, open to the container's user."""
    if os.getuid() == 0:
        os.chown(raw, USER, USER)
    return raw


def _taken(problem: str, raw: Path, fresh: Path, allowed: Allowed) -> str:
    """Take over what a container left; what went wrong in it, or with what it left, in a sentence."""
    try:
        take(raw, fresh, allowed)
    except Refused as refused:
        return problem or f"what the container left was refused: {refused}"
    return problem


def predict(image: str, work: Path, *, endpoint: bool = False) -> None:
    """Let every role's model predict in a container of its own.

    endpoint  the roles whose answers come from an endpoint, and no others: their step alone has a network and a key
    """
    plan, columns = Plan.read(work / "plan.json"), known_columns(work)

    def predict_role(role: str) -> None:
        out = work / "predictions" / role
        command = ["weighin", "step", "predict", "--model", "/model", "--features", "/features", "--out", "/out"]
        command += plan.predict_arguments()
        problem, folder = plan.refused.get(role) or changed(work, role), Path()
        if plan.on_spark and not endpoint:
            problem = problem or ON_SPARK
        if role in plan.own_environments and not problem:
            folder, problem = _environment(image, work / "models" / role)
            command += ["--python", PYTHON]
        with raw_folder(f"predictions-{role}") as raw:
            mounts: tuple[tuple[Path, str, bool], ...] = (
                (work / "models" / role, "/model", False),
                (work / "features", "/features", False),
                (_lent(raw), "/out", True),
            )
            if folder != Path():
                mounts = (*mounts, (folder, ENVIRONMENT, False))
            sandbox = Sandbox(image, mounts, plan.memory_mb)
            if endpoint:
                # No model's code runs here: ours puts the features to the address that the environment names.
                network = os.environ.get(variables.NETWORK, "bridge")
                sandbox = replace(sandbox, network=network, environment=variables.of_endpoint(os.environ))
            problem = problem or run(
                sandbox, "model", command, plan.predict_seconds, raw, allowed=PREDICTIONS, columns=columns
            )
            problem = _taken(problem, raw, out, PREDICTIONS)
        if folder != Path():
            environments.note(out, environments.interpreter(folder))
        note_problem(out, problem)

    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(predict_role, [role for role in plan.roles if (role in plan.behind_endpoint) == endpoint]))


def load(image: str, work: Path, step: str = "load") -> None:
    """At each planned start: serve a model in one container, ask it from another that shares its loopback."""

    plan = Plan.read(work / "plan.json")
    asked = plan.of_step(step)

    def start(planned: LoadPlan, session: Session, out: Path, record: Record, turn: Turn) -> str:
        with raw_folder(session.name) as raw:
            own = plan.has_own_environment(session.role)
            return _taken(_start(image, work, planned, session, _lent(raw), record, turn, own=own), raw, out, LOAD)

    every_start(plan, step, work, _emptied, start, side_by_side(asked, *machine()) if asked else 1)


def _start(
    image: str, work: Path, plan: LoadPlan, session: Session, out: Path, record: Record, turn: Turn, *, own: bool
) -> str:
    """One start of a server and its load; what went wrong in a sentence, or nothing.

    own  whether the model is served with the packages that it declares
    """
    mounts: tuple[tuple[Path, str, bool], ...] = (
        (work / "features", "/work/features", False),
        (work / "plan.json", "/work/plan.json", False),
        (out, f"/work/{plan.step}/{session.name}", True),
    )
    if plan.requests:
        mounts = (*mounts, ((work / plan.requests).parent, f"/work/{Path(plan.requests).parent}", False))
    if plan.locustfile:
        mounts = (*mounts, (work / plan.locustfile, f"/work/{plan.locustfile}", False))
    command = ["weighin", "step", "load", "--work", "/work", "--role", session.role, "--start", str(session.start)]
    command += ["--step", plan.step]
    seconds = plan.most_seconds + PROBE_SECONDS
    if plan.url:
        outside = Sandbox(image, mounts, GENERATOR_MB, network="bridge", environment=variables.of_server(os.environ))
        return run(outside, "generator", [*command, "--url", plan.url], seconds, out, columns=known_columns(work))
    held: tuple[tuple[Path, str, bool], ...] = ((model_of(session, work), "/model", False),)
    with contextlib.ExitStack() as stack:
        if own:
            folder, problem = _environment(image, model_of(session, work), complete=session.role != "clean")
            if session.role == "clean":
                record["unbuilt"] = problem
            if problem:
                return problem
            held = (*held, (folder, ENVIRONMENT, False))
        told = stack.enter_context(raw_folder("turn"))
        told.chmod(0o755)
        mounts = (*mounts, (told, TURN, False))
        command += ["--turn", f"{TURN}/{GO}"]
        python = PYTHON if own else ""
        return _served(
            image, mounts, held, plan, session, out, command, record, known_columns(work), turn, told / GO, python
        )


def _served(
    image: str,
    mounts: tuple[tuple[Path, str, bool], ...],
    held: tuple[tuple[Path, str, bool], ...],
    plan: LoadPlan,
    session: Session,
    out: Path,
    command: list[str],
    record: Record,
    columns: Collection[str],
    turn: Turn,
    go: Path,
    python: str,
) -> str:
    """Start a server that holds the folders of `held`, and a generator beside it; what went wrong, or nothing."""
    seconds = plan.most_seconds + PROBE_SECONDS
    server = Sandbox(plan.image or image, held, plan.server_memory_mb, plan.server_cpus)
    with container("server") as name:
        record["started_at"] = time.time()
        serve = server_command(plan, session, "/model", PORT, ["weighin"], python)
        started = docker("run", "--detach", *server.arguments(name), *serve)
        if started.returncode:
            return f"the server did not start: {tool_line(started.stderr)}"
        generator = Sandbox(image, mounts, GENERATOR_MB, network=f"container:{name}")

        def waits() -> bool:
            return turn.waits(out / READY, go)

        with sampled(lambda: None if turn.rests else engine_sample(name)) as samples:
            command = [*command, "--url", f"http://127.0.0.1:{PORT}"]
            problem = run(
                *(generator, "generator", command, seconds, out),
                needs=name,
                columns=columns,
                waits=waits,
                stopped=lambda: turn.stopped,
            )
        record["samples"] = samples
        state = state_of(name)
        if not state.get("Running"):
            why = "it needed more memory than it may use" if state.get("OOMKilled") else f"code {state.get('ExitCode')}"
            logs = docker("logs", "--tail", "50", name)
            problem = f"the server ended by itself ({why}): {last_line(logs.stdout + logs.stderr, columns)}"
        record["peak_memory_mb"] = _peak_memory(name) or peak(samples)
    return problem


def _environment(image: str, model: Path, *, complete: bool = True) -> tuple[Path, str]:
    """Return the folder of an environment of what a model declares, and why it could not be built, or nothing.

    The container that builds it has a network and neither the model, nor data, nor a secret; of a package it takes
    wheels only, so that no code of a package runs. The folder is mounted into containers and read by nothing on the
    host but for the list of packages. The model is loaded elsewhere, later, without a network.
    """

    def build(listed: Path, folder: Path, completed: bool) -> str:
        with raw_folder("requirements") as needs:
            needs.chmod(0o755)
            shutil.copyfile(listed, needs / "requirements.txt")
            (needs / "requirements.txt").chmod(0o644)
            mounts: list[tuple[Path, str, bool]] = [(needs, "/requirements", False), (_lent(folder), ENVIRONMENT, True)]
            variables = [f"UV_CACHE_DIR={ENVIRONMENT}/{CACHE}"]
            # A mirror's address and certificates, where the machine needs them. Neither may hold a password.
            for variable, inside in (("WEIGHIN_PIP_CONF", "/etc/pip.conf"), ("WEIGHIN_PIP_CERT", "/run/pip-cert.pem")):
                if os.environ.get(variable):
                    mounts.append((Path(os.environ[variable]), inside, False))
                    variables += [f"PIP_CERT={inside}"] if variable == "WEIGHIN_PIP_CERT" else []
            network = os.environ.get("WEIGHIN_PREPARE_NETWORK", "bridge")
            sandbox = Sandbox(
                image, tuple(mounts), PREPARE_MB, network=network, environment=tuple(variables), tmp_mb=1024
            )
            command = [*PREPARE, *(["--complete"] if completed else [])]
            return run(sandbox, "prepare", command, PREPARE_SECONDS, allowed=ENVIRONMENTS, out=folder, tool=True)

    return environments.environment(model, f"image {identity(image)}", build, complete=complete)


def _peak_memory(name: str) -> float | None:
    """Return the kernel's count for the container, in MB; read through the engine, from a root that nobody can write
    to.
    """
    for path in ("/sys/fs/cgroup/memory.peak", "/sys/fs/cgroup/memory/memory.max_usage_in_bytes"):
        found = docker("exec", name, "cat", path)
        if found.returncode == 0 and found.stdout.strip().isdigit():
            return round(int(found.stdout) / 2**20, 1)
    return None


@dataclass(frozen=True)
class Checkout:
    """The files that a judging container sees.

    repo      the repository whose files decide
    contract  the contract, relative to it
    head      a checkout of the pull request, where `repo` is that of its base
    base      a checkout of the base, where both are to be compared
    """

    repo: Path
    contract: Path | None = None
    head: Path | None = None
    base: Path | None = None

    def mounts(self) -> list[tuple[Path, str, bool]]:
        """Errors: `NoEngineError` for a closed folder; `Refused` where head's contract is no regular file of it."""
        found = [(readable(self.repo), "/repo", False)]
        if self.head is not None and self.contract is not None:
            found.append((_regular(self.head, self.contract), f"/repo/{self.contract}", False))
            found.append((_regular(self.repo, self.contract), BASE_CONTRACT, False))
        for folder, inside in ((self.head, HEAD), (self.base, BASE)):
            if folder is not None:
                found.append((readable(folder), inside, False))
        return found


def _regular(folder: Path, name: Path) -> Path:
    """Return a file below a folder, no part of whose path is a link. Errors: `Refused`."""
    path = folder.resolve() / name
    if name.is_absolute() or ".." in name.parts or path.resolve() != path or not path.is_file():
        raise Refused(f"{name} of the pull request is no regular file of its repository")
    return path


def judge(suite: str, image: str, files: Checkout, work: Path, out: Path) -> int:
    """Run one suite in the judge's container; 0 when it ended with every check going on.

    Where the suite runs code of the repository, that runs first, in a container of its own.
    """
    assert files.contract is not None
    environment = (f"WEIGHIN_IMAGE={identity(image)}", f"WEIGHIN_ATTEMPT={os.environ.get('WEIGHIN_ATTEMPT', '1')}")
    seen = (*files.mounts(), (work, "/work", False))
    places = ["--contract", f"/repo/{files.contract}", "--work", "/work", "--out", "/out"]
    if files.head is not None:
        places += ["--base", BASE_CONTRACT]
    command = ["weighin", "step", "judge", suite, *places]

    def judged(kind: str, fresh: Path, allowed: Allowed, *more: str, own: Path | None = None) -> str:
        with raw_folder(f"{kind}-{suite}") as raw:
            mounts = (*seen, (_lent(raw), f"/out/{suite}", True), *([(own, "/own", False)] if own else []))
            sandbox = Sandbox(image, mounts, JUDGE_MB, environment=environment, workdir="/repo")
            problem = run(sandbox, kind, [*command, *more], JUDGE_SECONDS, raw, allowed=allowed)
            return _taken(problem, raw, fresh, allowed)

    with raw_folder("own") as own:
        if suite in Plan.read(work / "plan.json").own_code:
            # What went wrong in it is in the outcomes that it left, or blocks as their absence; what it printed may
            # hold data, and is shown to nobody.
            judged("own", own / suite, OWN_TESTS, "--own-only")
            problem = judged("judge", out / suite, SUITE, "--own", "/own", own=own)
        else:
            problem = judged("judge", out / suite, SUITE)
    if files.head is not None:
        # Nobody has reviewed the contract that asks for them.
        remove(out / suite / FAILING_KEYS)
    if problem:
        print(f"suite {suite}: {problem}", file=sys.stderr)
    return 1 if problem else 0


def judge_beside(suites: Sequence[str], image: str, files: Checkout, work: Path, out: Path) -> int:
    """Run suites beside each other, as many at once as the machine has processors and memory for; 1 where one of them
    did not end as `judge` demands.
    """
    cores, memory = machine()
    most = max(1, min(len(suites), int(cores), int(memory // JUDGE_MB)))
    with ThreadPoolExecutor(max_workers=most) as pool:
        return max(pool.map(lambda suite: judge(suite, image, files, work, out), suites))


def run_program(
    arguments: Sequence[str],
    image: str,
    files: Checkout,
    registry: Path | None,
    write: Sequence[str],
    network: bool,
    tell: Sequence[Path] = (),
    read: Sequence[str] = (),
    seconds: int = JUDGE_SECONDS,
) -> int:
    """Run `weighin`, or another program of the image, over the repository; its output is ours, escaped and bounded.

    write  folders of the current folder that it may write to, at the same place in the repository
    read   such folders that it may read; all else is read-only as well
    tell   files at whose end its output is written as well, such as a summary: nothing else that we print is
    seconds  after which it is stopped
    Errors: `Refused` where it leaves anything but plain regular files; its folders are then empty.
    """
    mounts = files.mounts()
    for folder in read:
        _inside(files.repo, folder)
        Path(folder).mkdir(parents=True, exist_ok=True)
        mounts.append((Path(folder), f"/repo/{folder}", False))
    environment = [f"WEIGHIN_IMAGE={identity(image)}", f"WEIGHIN_IMAGE_DIGESTS={','.join(digests(image))}"]
    # Their values come from our own environment and never stand on a command line. Neither a model's nor the judge's
    # container gets one of them.
    environment += variables.passed_on(os.environ, embedded=registry is not None)
    if registry is not None:
        environment.append(f"MLFLOW_TRACKING_URI=sqlite:///{REGISTRY}/mlflow.db")
    with contextlib.ExitStack() as stack:
        for folder in write:
            raw = stack.enter_context(_written(Path(folder)))
            _inside(files.repo, folder)
            mounts.append((raw, f"/repo/{folder}", True))
        if registry is not None:
            mounts.append((stack.enter_context(_written(registry)), REGISTRY, True))
        wall = "bridge" if network else "none"
        sandbox = Sandbox(image, tuple(mounts), 4000, network=wall, environment=tuple(environment), workdir="/repo")
        name = stack.enter_context(container("run"))
        code, output = attached(["docker", "run", *sandbox.arguments(name), *arguments], seconds)
    for path in tell:
        with path.open("a", encoding="utf-8") as file:
            file.write(output)
    return code


@contextlib.contextmanager
def _written(folder: Path) -> Iterator[Path]:
    """Yield a raw folder with what is in `folder`, which holds at the end what was left, and is empty until then.

    An upload that runs whatever happened finds nothing where this process was ended.
    """
    with raw_folder(folder.name) as scratch:
        raw = scratch / "raw"
        if folder.is_dir() and not folder.is_symlink():
            folder.rename(raw)
        remove(folder)
        folder.mkdir(parents=True)
        yield _made(raw)
        take(raw, folder, TREE)


def _inside(repo: Path, folder: str) -> None:
    """Make sure that a folder of the repository is there, so that something can be mounted at it. Errors: `Refused`."""
    place = repo / folder
    place.mkdir(parents=True, exist_ok=True)
    if place.resolve() != repo.resolve() / folder:
        raise Refused(f"{folder} is a symbolic link of the repository")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)
    return folder


def _emptied(folder: Path) -> Path:
    remove(folder)
    folder.mkdir(parents=True)
    return folder


def main() -> int:
    """Parse the command line of this module; returns the exit code."""
    try:
        return _main()
    except (NoEngineError, Refused, ValueError) as error:
        print(f"weighin: {error}", file=sys.stderr)
        return 7


def _main() -> int:
    parser = argparse.ArgumentParser(prog="weighin-runner docker", description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    for name in ("predict", "ask", "load", "shadow", "judge", "run"):
        step = steps.add_parser(name)
        step.add_argument("--image", required=True, help="image id, digest or tag")
        if name != "run":
            step.add_argument("--work", type=Path, required=True, help="what `weighin step resolve` left")
        if name in ("judge", "run"):
            step.add_argument("--repo", type=Path, default=Path(), help="the repository whose files decide")
            step.add_argument("--head", type=Path, help="a checkout of the pull request, where --repo is its base")
            step.add_argument("--contract", type=Path, required=name == "judge", help="relative to the repository")
        if name == "judge":
            step.add_argument("suites", nargs="+", metavar="SUITE")
            step.add_argument("--out", type=Path, required=True, help="folder of the reports")
        if name == "run":
            step.add_argument("--base", type=Path, help="a checkout of the base, to be compared")
            step.add_argument("--read", action="append", default=[], help="folder that may be read")
            step.add_argument("--registry", type=Path, help="folder of the embedded registry")
            step.add_argument("--write", action="append", default=[], help="folder that may be written to")
            step.add_argument("--network", action="store_true", help="for a registry on another machine")
            step.add_argument("--tell", action="append", default=[], type=Path, help="file that its output ends up in")
            step.add_argument("--seconds", type=int, default=JUDGE_SECONDS, help="after which it is stopped")
            step.add_argument("--commands", action="store_true", help="let its output be commands to the workflow")
            step.add_argument("arguments", nargs="+", help="program and arguments, after `--`")
    given = parser.parse_args()
    if given.step == "run":
        os.environ.update(variables.masked(os.environ))
    with nothing_commands(os.environ, unless=given.step == "run" and given.commands):
        match given.step:
            case "predict" | "ask":
                predict(given.image, given.work, endpoint=given.step == "ask")
            case "load" | "shadow":
                load(given.image, given.work, given.step)
            case "judge":
                files = Checkout(given.repo, given.contract, given.head)
                return judge_beside(given.suites, given.image, files, given.work, given.out)
            case "run":
                files = Checkout(given.repo, given.contract, given.head, given.base)
                where = (
                    given.image,
                    files,
                    given.registry,
                    given.write,
                    given.network,
                    given.tell,
                    given.read,
                    given.seconds,
                )
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
    sys.exit(main())
