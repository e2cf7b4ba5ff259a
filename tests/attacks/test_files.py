"""What a container, an artifact or a repository leaves as files: links, pipes, devices, bombs and twins."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from support.attack import Attack, Result, replaced, test_the_wall_holds, test_without_the_wall_it_succeeds  # noqa: F401
from weighin.runner import collect, docker, sandbox
from weighin.runner.collect import PREDICTIONS, TREE, Allowed, Refused

SECRET = "token-of-the-runner-5b1f"
MANY = 3_000
SMALL = Allowed(r"[a-z0-9./]+", files=1_000, size=2**20, depth=4)
IMAGE = os.environ.get("WEIGHIN_IMAGE_UNDER_TEST", "weighin:local")


def naive(raw: Path, fresh: Path, allowed: Allowed) -> None:
    """Copy as an upload does, which follows links; bounded here, so that a test comes to its end."""
    fresh.mkdir(parents=True, exist_ok=True)
    left = 4 * 2**20
    for parent, _, names in os.walk(raw, followlinks=True):
        for name in names:
            source = Path(parent) / name
            target = fresh / source.relative_to(raw)
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(OSError):
                descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK)
                with open(descriptor, "rb") as file:
                    data = file.read(left)
                left -= len(data)
                target.write_bytes(data)


def taken(place: Path, wall: bool, leave: Callable[[Path], None], allowed: Allowed = SMALL) -> list[Path]:
    """What reaches the folder that is uploaded, when a container left something in its raw folder."""
    raw, fresh = place / "raw", place / "fresh"
    raw.mkdir()
    leave(raw)
    with replaced(wall, "weighin.runner.collect.take", naive), contextlib.suppress(Refused):
        collect.take(raw, fresh, allowed)
    return [p for p in fresh.rglob("*") if not p.is_dir()]


def secret_taken(place: Path, wall: bool, leave: Callable[[Path], None], allowed: Allowed = SMALL) -> Result:
    found = taken(place, wall, leave, allowed)
    return Result.SECRET if any(SECRET.encode() in p.read_bytes() for p in found) else Result.BLOCKED


def unbounded(place: Path, wall: bool, leave: Callable[[Path], None], allowed: Allowed = SMALL) -> Result:
    return Result.UNBOUNDED if taken(place, wall, leave, allowed) else Result.BLOCKED


def host_file(place: Path) -> Path:
    (place / "home").mkdir(exist_ok=True)
    path = place / "home/key"
    path.write_text(SECRET)
    return path


def link_to_the_environment(place: Path, wall: bool) -> Result:
    environment = subprocess.Popen(["sleep", "30"], env={"ACTIONS_RUNTIME_TOKEN": SECRET, "PATH": os.environ["PATH"]})
    try:
        return secret_taken(
            place, wall, lambda raw: (raw / "holdout.arrow").symlink_to(f"/proc/{environment.pid}/environ"), PREDICTIONS
        )
    finally:
        environment.kill()
        environment.wait(timeout=10)


def link_to_a_file_of_the_host(place: Path, wall: bool) -> Result:
    key = host_file(place)
    return secret_taken(place, wall, lambda raw: (raw / "holdout.arrow").symlink_to(key), PREDICTIONS)


def link_to_a_folder_of_the_host(place: Path, wall: bool) -> Result:
    key = host_file(place)
    return secret_taken(place, wall, lambda raw: (raw / "models").symlink_to(key.parent), TREE)


def link_below_a_folder(place: Path, wall: bool) -> Result:
    key = host_file(place)

    def leave(raw: Path) -> None:
        (raw / "a/b").mkdir(parents=True)
        (raw / "a/b/c").symlink_to(os.path.relpath(key, raw / "a/b"))

    return secret_taken(place, wall, leave, TREE)


def hard_link(place: Path, wall: bool) -> Result:
    key = host_file(place)
    return secret_taken(place, wall, lambda raw: os.link(key, raw / "holdout.arrow"), PREDICTIONS)


def raw_folder_that_is_a_link(place: Path, wall: bool) -> Result:
    """The container's user owns the raw folder's content, not its place; a link there is followed by nobody."""
    key = host_file(place)
    (place / "raw").symlink_to(key.parent)
    with replaced(wall, "weighin.runner.collect.take", naive), contextlib.suppress(Refused):
        collect.take(place / "raw", place / "fresh", TREE)
    found = [p for p in (place / "fresh").rglob("*") if p.is_file()]
    return Result.SECRET if any(SECRET in p.read_text() for p in found) else Result.BLOCKED


def pipe(place: Path, wall: bool) -> Result:
    """A reader of a pipe waits for ever, or reads what its writer wants, whenever it is read."""
    held: list[int] = []

    def leave(raw: Path) -> None:
        os.mkfifo(raw / "pipe")
        held.append(os.open(raw / "pipe", os.O_RDWR | os.O_NONBLOCK))
        os.write(held[0], b"x")

    try:
        return unbounded(place, wall, leave)
    finally:
        os.close(held[0])


def endless_device(place: Path, wall: bool) -> Result:
    # Where this process may not make a device, a link to one does the same to whoever reads it.
    def leave(raw: Path) -> None:
        try:
            os.mknod(raw / "zero", 0o20644, os.makedev(1, 5))
        except PermissionError:
            (raw / "zero").symlink_to("/dev/zero")

    return unbounded(place, wall, leave)


def listening_socket(place: Path, wall: bool) -> Result:
    """A socket among the files: whoever copies the folder trips over it, or leaves it out without a word."""
    raw = place / "raw"
    raw.mkdir()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(raw / "s"))
        (raw / "a").write_text("x")
        with replaced(wall, "weighin.runner.collect.take", naive), contextlib.suppress(Refused):
            collect.take(raw, place / "fresh", SMALL)
    return Result.MISLED if list((place / "fresh").iterdir()) else Result.BLOCKED


def sparse_file(place: Path, wall: bool) -> Result:
    def leave(raw: Path) -> None:
        with (raw / "a").open("wb") as file:
            file.truncate(2**40)

    return unbounded(place, wall, leave)


def many_small_files_of_too_many_bytes(place: Path, wall: bool) -> Result:
    return unbounded(place, wall, lambda raw: [(raw / f"f{n}").write_bytes(b"x" * 2**14) for n in range(100)] and None)


def too_many_empty_files(place: Path, wall: bool) -> Result:
    return unbounded(place, wall, lambda raw: [(raw / f"f{n}").touch() for n in range(MANY)] and None)


def too_many_folders(place: Path, wall: bool) -> Result:
    def leave(raw: Path) -> None:
        for n in range(MANY):
            (raw / f"d{n}").mkdir()
        (raw / "d1/a").touch()

    return unbounded(place, wall, leave)


def deep_path(place: Path, wall: bool) -> Result:
    """Folders in folders, deeper than a path of the system can say; what lies there was counted by nobody."""

    def leave(raw: Path) -> None:
        here = os.getcwd()
        try:
            os.chdir(raw)
            for _ in range(600):
                os.mkdir("d" * 9)
                os.chdir("d" * 9)
            Path("hidden").touch()
        finally:
            os.chdir(here)
        (raw / "a").touch()

    return unbounded(place, wall, leave)


def twins_in_case(place: Path, wall: bool) -> Result:
    """Two names that are one on another file system: the second takes the place of the first when it is unpacked."""

    def leave(raw: Path) -> None:
        (raw / "outcomes.json").write_text("red")
        (raw / "OUTCOMES.json").write_text("green")

    found = taken(place, wall, leave, TREE)
    return Result.FORGED if len({p.name.casefold() for p in found}) < len(found) else Result.BLOCKED


def name_with_a_line_end(place: Path, wall: bool) -> Result:
    def leave(raw: Path) -> None:
        (raw / "a\n::error::x").touch()

    return Result.MISLED if taken(place, wall, leave, TREE) else Result.BLOCKED


def name_that_steers_a_terminal(place: Path, wall: bool) -> Result:
    return Result.MISLED if taken(place, wall, lambda raw: (raw / "a\x1b[2Jb\u202e").touch(), TREE) else Result.BLOCKED


def file_that_nobody_asked_for(place: Path, wall: bool) -> Result:
    """A model writes a file that a later step would read: its labels, or another suite's outcomes."""

    def leave(raw: Path) -> None:
        (raw / "holdout.arrow").touch()
        (raw / "outcomes.json").write_text("green")

    return Result.FORGED if taken(place, wall, leave, PREDICTIONS) else Result.BLOCKED


def artifact_of_another_job(place: Path, wall: bool) -> Result:
    """A job of the caller uploads an artifact whose name looks like that of a suite, with another suite's reports."""
    for name, text in (("weighin-reports-drift-1", "red"), ("weighin-reports-zzz-1", "green")):
        (place / f"from/{name}/drift").mkdir(parents=True)
        (place / f"from/{name}/drift/outcomes.json").write_text(text)
    if wall:
        collect.take_suites(place / "from", place / "to", {"drift": ["drift"]}, "weighin-reports-", "-1")
    else:
        for folder in sorted((place / "from").iterdir()):
            shutil.copytree(folder, place / "to", dirs_exist_ok=True)
    return Result.BLOCKED if (place / "to/drift/outcomes.json").read_text() == "red" else Result.FORGED


def artifact_with_a_second_suite(place: Path, wall: bool) -> Result:
    """The artifact of one suite brings the reports of another."""
    for suite in ("drift", "load"):
        (place / f"from/weighin-reports-drift-1/{suite}").mkdir(parents=True)
        (place / f"from/weighin-reports-drift-1/{suite}/outcomes.json").write_text("green")
    if wall:
        jobs = {"drift": ["drift"], "load": ["load"]}
        collect.take_suites(place / "from", place / "to", jobs, "weighin-reports-", "-1")
    else:
        shutil.copytree(place / "from/weighin-reports-drift-1", place / "to")
    return Result.FORGED if (place / "to/load/outcomes.json").exists() else Result.BLOCKED


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    here = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)


def scratch_that_the_repository_holds_as_a_link(place: Path, wall: bool) -> Result:
    """The repository has `.weighin` as a link, so that what containers write ends elsewhere on the host."""
    (place / "repo").mkdir()
    (place / "elsewhere").mkdir()
    (place / "repo/.weighin").symlink_to(place / "elsewhere")
    with inside(place / "repo"), replaced(wall, "pathlib.Path.is_symlink", lambda self: False):
        try:
            with collect.raw_folder("x") as raw:
                (raw / "file").write_text("x")
                return Result.MISLED if list((place / "elsewhere").rglob("file")) else Result.BLOCKED
        except Refused:
            return Result.BLOCKED


def contract_of_the_pull_request_as_a_link(place: Path, wall: bool) -> Result:
    """The contract of the pull request is a link to a file of the host, which would be mounted and shown."""
    key = host_file(place)
    place.chmod(0o755)
    (place / "head").mkdir()
    (place / "head/model_contract.yaml").symlink_to(key)
    with replaced(wall, "weighin.runner.docker._regular", lambda folder, name: (folder / name).resolve()):
        try:
            mounts = docker.Checkout(place, Path("model_contract.yaml"), place / "head").mounts()
        except Refused:
            return Result.BLOCKED
    return Result.SECRET if mounts[1][0] == key.resolve() else Result.BLOCKED


def folder_to_write_to_as_a_link(place: Path, wall: bool) -> Result:
    """The base holds `reports` as a link to a folder of the host, at which a container's folder would be mounted."""
    (place / "base").mkdir()
    (place / "home").mkdir()
    (place / "base/reports").symlink_to(place / "home")
    with replaced(wall, "weighin.runner.docker._inside", lambda repo, folder: None):
        try:
            docker._inside(place / "base", "reports")
        except Refused:
            return Result.BLOCKED
    return Result.MISLED


def ran(place: Path, script: str, *, naively: bool) -> subprocess.CompletedProcess[bytes]:
    """Run a script in a container as a workflow's step does, with the folder `out` to write to."""
    host = [sys.executable, "-I", str(Path(docker.__file__).parent), "docker", "run", "--image", IMAGE]
    if naively:
        (place / "out").mkdir()
        (place / "out").chmod(0o777)
        host = ["docker", "run", "--rm", "--volume", f"{place}/out:/repo/out", "--entrypoint", "", IMAGE]
        return subprocess.run([*host, "sh", "-c", script], cwd=place, capture_output=True, timeout=120, check=False)
    command = [*host, "--write", "out", "--", "sh", "-c", script]
    place.chmod(0o755)
    return subprocess.run(command, cwd=place, capture_output=True, timeout=120, check=False)


def link_through_a_container_and_an_upload(place: Path, wall: bool) -> Result:
    """The real step: a container leaves a link, the host takes over, an upload reads what is there."""
    key = host_file(place)
    ran(place, f"ln -s {key} /repo/out/holdout.arrow", naively=not wall)
    naive(place / "out", place / "uploaded", TREE)
    found = [p for p in (place / "uploaded").rglob("*") if p.is_file()]
    return Result.SECRET if any(SECRET in p.read_text() for p in found) else Result.BLOCKED


def upload_while_a_container_writes(place: Path, wall: bool) -> Result:
    """The host's process is killed while the container runs; the upload, which runs always, finds the folder."""
    key = host_file(place)
    place.chmod(0o755)
    script = f"ln -s {key} /repo/out/holdout.arrow; sleep 20"
    shared = replaced(wall, "weighin.runner.docker._written", lambda folder: contextlib.nullcontext(_shared(folder)))
    # As a thread of this process: what stands in `out` while the container runs is what a kill would leave.
    with shared, inside(place):

        def one() -> None:
            with contextlib.suppress(Refused):
                program = ["timeout", "3", "sh", "-c", script]
                docker.run_program(program, IMAGE, docker.Checkout(Path()), None, ["out"], False)

        step = threading.Thread(target=one)
        step.start()
        step.join(timeout=2.0)
        naive(place / "out", place / "uploaded", TREE)
        step.join(timeout=60)
    found = [p for p in (place / "uploaded").rglob("*") if p.is_file()]
    return Result.SECRET if any(SECRET in p.read_text() for p in found) else Result.BLOCKED


def _shared(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    return folder


def endless_log(place: Path, wall: bool) -> Result:
    """A container prints without end; the engine keeps it all on the host's disk."""
    box = sandbox.Sandbox(IMAGE, (), 200)
    options = ("--log-driver", "json-file")
    with replaced(wall, "weighin.runner.sandbox.LOG_OPTIONS", options), sandbox.container("attack") as name:
        sandbox.docker("run", "--detach", *box.arguments(name), "sh", "-c", "timeout 4 yes $(seq 100)")
        sandbox.docker("wait", name, seconds=60)
        logged = sandbox.docker("logs", name, seconds=60)
    return Result.UNBOUNDED if len(logged.stdout) > 16 * 2**20 else Result.BLOCKED


def endless_files(place: Path, wall: bool) -> Result:
    """A container makes empty files without end: no byte is counted, and the disk has no inode left."""
    place.chmod(0o755)
    script = "import itertools; [open(f'/out/f{n}', 'w').close() for n in itertools.count()]"
    unwatched = replaced(wall, "weighin.runner.sandbox.surplus", lambda folder, allowed: "")
    with inside(place), unwatched, collect.raw_folder("attack") as raw:
        os.chown(raw, sandbox.USER, sandbox.USER)
        box = sandbox.Sandbox(IMAGE, ((raw, "/out", True),), 200)
        said = sandbox.run(box, "model", ["python3", "-c", script], 5, raw, allowed=PREDICTIONS)
    return Result.BLOCKED if "holds more than" in said else Result.UNBOUNDED


ATTACKS = [
    Attack("a model leaves a link to the environment of a process", link_to_the_environment, Result.SECRET),
    Attack("a model leaves a link to a file of the host", link_to_a_file_of_the_host, Result.SECRET),
    Attack("training code leaves a link to a folder of the host", link_to_a_folder_of_the_host, Result.SECRET),
    Attack("training code leaves a relative link deep below", link_below_a_folder, Result.SECRET),
    Attack("a model leaves a second name of a file", hard_link, Result.SECRET),
    Attack("the folder itself is a link", raw_folder_that_is_a_link, Result.SECRET),
    Attack("a pipe", pipe, Result.UNBOUNDED),
    Attack("a device that never ends", endless_device, Result.UNBOUNDED),
    Attack("a socket", listening_socket, Result.MISLED),
    Attack("a sparse file of a terabyte", sparse_file, Result.UNBOUNDED),
    Attack("many files that are too large together", many_small_files_of_too_many_bytes, Result.UNBOUNDED),
    Attack("empty files without end", too_many_empty_files, Result.UNBOUNDED),
    Attack("folders without end", too_many_folders, Result.UNBOUNDED),
    Attack("folders deeper than a path can say", deep_path, Result.UNBOUNDED),
    Attack("two names that differ in case", twins_in_case, Result.FORGED),
    Attack("a name with a line end and a workflow command", name_with_a_line_end, Result.MISLED),
    Attack("a name that steers a terminal", name_that_steers_a_terminal, Result.MISLED),
    Attack("a file that a later step would read", file_that_nobody_asked_for, Result.FORGED),
    Attack("an artifact of another job with the reports of a suite", artifact_of_another_job, Result.FORGED),
    Attack("an artifact of a suite with the reports of another", artifact_with_a_second_suite, Result.FORGED),
    Attack(
        "the repository holds the scratch folder as a link", scratch_that_the_repository_holds_as_a_link, Result.MISLED
    ),
    Attack(
        "the contract of a pull request is a link to a file of the host",
        contract_of_the_pull_request_as_a_link,
        Result.SECRET,
    ),
    Attack("the repository holds a folder of the step as a link", folder_to_write_to_as_a_link, Result.MISLED),
    Attack("a link through a container and an upload", link_through_a_container_and_an_upload, Result.SECRET, True),
    Attack("an upload while the container still writes", upload_while_a_container_writes, Result.SECRET, True),
    Attack("a log without end", endless_log, Result.UNBOUNDED, True),
    Attack("files without end in a container", endless_files, Result.UNBOUNDED, True),
]
