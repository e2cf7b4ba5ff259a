"""One container: its walls, its start and end, and what is shown of it. Standard library and the Docker client only."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

from weighin.github.escape import visible
from weighin.runner.collect import LOAD, Allowed, surplus
from weighin.runner.problem import last_line, tool_line
from weighin.runner.reaper import reaped

LABEL = "weighin.runner"
USER = 65532
FILE_BYTES = 512 * 2**20
SHOWN_BYTES = 4 * 2**20
"""What is shown of a container's output; the rest is read and dropped."""
LOG_OPTIONS = ("--log-driver", "json-file", "--log-opt", "max-size=8m", "--log-opt", "max-file=1")


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
        found += [*LOG_OPTIONS, "--tmpfs", f"/tmp:rw,size={self.tmp_mb}m,nr_inodes=100k,mode=1777"]  # noqa: S108 - its own
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
    """Yield a container's name; whatever runs under it at the end is removed, also when this process is killed."""
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
    allowed: Allowed = LOAD,
    needs: str = "",
    columns: Collection[str] = (),
    tool: bool = False,
    waits: Callable[[], bool] = lambda: False,
    stopped: Callable[[], bool] = lambda: False,
) -> str:
    """Run a command to its end; what went wrong in a sentence, or nothing.

    out      a folder that the container may write to; more in it than is `allowed` ends the container
    needs    another container without which there is no use in going on
    columns  names that may be shown of what it says
    tool     whether it saw no data and ran no model, so that its last words may be shown
    waits    whether it waits for its turn, during which its time does not run
    stopped  whether it is to end now
    """
    with container(kind) as name:
        arguments = ["run", "--detach", *sandbox.arguments(name), *command]
        if (started := docker(*arguments)).returncode:
            return f"the container did not start: {tool_line(started.stderr)}"
        deadline = time.monotonic() + seconds
        while (state := state_of(name)) and state["Running"]:
            if waits():
                deadline = time.monotonic() + seconds
            if stopped():
                return f"the {kind} container was stopped: the step was interrupted"
            if time.monotonic() > deadline:
                return f"the {kind} container was stopped after {seconds:g} s without an end"
            if out is not None and (too_much := surplus(out, allowed)):
                return f"the {kind} container was stopped: {too_much}"
            if needs and not state_of(needs).get("Running"):
                return f"the {kind} container was stopped: {needs} is gone"
            time.sleep(0.5 if needs else 0.2)
        if not state:
            return f"the {kind} container disappeared"
        logs = docker("logs", "--tail", "400", name)
        sys.stderr.write(shown(logs.stdout + logs.stderr) if kind == "judge" else "")
        if state["OOMKilled"]:
            return f"the {kind} container needed more than its {sandbox.memory_mb} MB of memory"
        code, printed = state["ExitCode"], logs.stdout + logs.stderr
        said = tool_line(printed) if tool else last_line(printed, columns)
        return f"the {kind} container ended with code {code}: {said}" if code else ""


def machine() -> tuple[float, float]:
    """Processors and memory (in 2**20 bytes) of the machine on which containers run; of none where it does not say."""
    found = docker("info", "--format", "{{.NCPU}} {{.MemTotal}}")
    try:
        cores, memory = found.stdout.split()
        return float(cores), float(memory) / 2**20
    except ValueError:
        return 0.0, 0.0


def state_of(name: str) -> dict[str, object]:
    found = docker("inspect", "--format", "{{json .State}}", name)
    state: dict[str, object] = json.loads(found.stdout) if found.returncode == 0 else {}
    return state


def attached(command: list[str], seconds: float) -> tuple[int, str]:
    """Run a container in the foreground: its exit code, and what it printed to standard output, escaped.

    Everything that it prints is shown, escaped, up to `SHOWN_BYTES`.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    kept: list[str] = []

    def pump(source: IO[bytes], target: TextIO, keep: bool) -> None:
        left = SHOWN_BYTES
        with source:
            for line in iter(lambda: source.readline(2**16), b""):
                if left > 0:
                    left -= len(line)
                    text = shown(line) if left > 0 else "(there is more, which is not shown)\n"
                    target.write(text)
                    target.flush()
                    if keep:
                        kept.append(text)

    pumps = [
        threading.Thread(target=pump, args=(process.stdout, sys.stdout, True), daemon=True),
        threading.Thread(target=pump, args=(process.stderr, sys.stderr, False), daemon=True),
    ]
    for one in pumps:
        one.start()
    try:
        code = process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        print(f"weighin: the container was stopped after {seconds:g} s without an end", file=sys.stderr)
        code = process.wait(timeout=60)
    for one in pumps:
        one.join(timeout=60)
    return code, "".join(kept)


def shown(data: bytes) -> str:
    """Return what a container printed, as it may be shown: what steers a terminal becomes visible.

    >>> shown(b"a\\x1b[31mb\\xff\\n")
    'a\\\\x1b[31mb\\\\xff\\n'
    """
    return visible(data.decode("utf-8", "backslashreplace").replace("\r\n", "\n").replace("\r", "\n"), keep="\n\t")


def identity(image: str) -> str:
    """Return the image's id, `sha256:<hex>`. Errors: `NoEngineError` when there is no engine, or it has no such
    image.
    """
    try:
        found = docker("image", "inspect", "--format", "{{.Id}}", image)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoEngineError(f"no Docker engine answers ({error}). Start it, or use --runner local.") from error
    if found.returncode:
        raise NoEngineError(f"no image {image}: {tool_line(found.stderr)}. Build it: docker build -t {image} .")
    return found.stdout.decode().strip()


def digests(image: str) -> list[str]:
    """Return the digests, `sha256:<hex>`, under which registries have the image; none for one that was built here."""
    found = docker("image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", image)
    return [line.rpartition("@")[2] for line in found.stdout.decode().split()]


def readable(folder: Path) -> Path:
    """Return the folder, if the container's user can read it. Errors: `NoEngineError` with the remedy."""
    if os.getuid() == 0 and folder.stat().st_mode & 0o005 != 0o005:
        raise NoEngineError(
            f"{folder.resolve()} is open to its owner only, and containers run as user {USER}. "
            f"Run `chmod go+rx {folder.resolve()}`, or do not work as root."
        )
    return folder
