"""Cleans up when whoever started it is gone, however it went: by an error, Ctrl-C, or a kill. Standard library only.

    python3 reaper.py container NAME
    python3 reaper.py group PID FOLDER

It waits for the end of its standard input, which its parent holds and the kernel closes when the parent ends. Unless
the parent said before that it has cleaned up itself, the container is removed, or the process group is ended and its
folder removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

PATIENCE_SECONDS = 5.0
"""Between asking a process group to end and ending it."""
CLEANED = b"cleaned"


@contextlib.contextmanager
def reaped(kind: str, *what: str) -> Iterator[None]:
    """At the end of the block `clean` what it is about; if this process does not live to see it, another does."""
    # A session of its own: Ctrl-C on a terminal reaches every process of ours, and this one must outlive them.
    command = [sys.executable, "-I", "-S", os.path.abspath(__file__), kind, *what]
    reaper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        clean(kind, *what)
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            reaper.communicate(CLEANED, timeout=10)


def clean(kind: str, *what: str) -> None:
    """Remove a container, or end a process group and remove its folder. What is gone already is no error."""
    if kind == "container":
        remove = ["docker", "rm", "--force", "--volumes", what[0]]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(remove, capture_output=True, timeout=60, check=False)
        return
    _end_group(int(what[0]))
    shutil.rmtree(what[1], ignore_errors=True)


def _end_group(group: int) -> None:
    """End all processes of a group: first asked, then killed."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        while time.monotonic() < deadline:
            time.sleep(0.05)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    """Wait for the end of standard input, then clean up."""
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)
    if sys.stdin.buffer.read() == CLEANED:
        return 0
    # A container may still be about to start when its parent dies.
    for _ in range(3 if arguments[0] == "container" else 1):
        clean(*arguments)
        time.sleep(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
