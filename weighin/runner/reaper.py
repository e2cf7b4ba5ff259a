"""Cleans up when whoever started it is gone, however it went: by an error, Ctrl-C, or a kill. Standard library only.

    python3 reaper.py container NAME
    python3 reaper.py group FOLDER

It waits for the end of its standard input, which its parent holds and the kernel closes when the parent ends. The
parent writes the numbers of the process groups that it starts there, a line for each. Unless its last word is that it
has cleaned up itself, the container is removed, or the groups are ended and the folder is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

PATIENCE_SECONDS = 5.0
"""Between asking a process group to end and ending it."""
CLEANED = b"cleaned"


@contextlib.contextmanager
def reaped(kind: str, name: str) -> Iterator[Callable[[int], None]]:
    """At the end of the block `clean` what it is about; if this process does not live to see it, another does.

    kind, name  `container` and its name, or `group` and a folder
    Yields a function that is told the number of each process group that is started: the reaper is there before them, so
    that what is killed in between leaves neither a process nor a file.
    """
    # A session of its own: Ctrl-C on a terminal reaches every process of ours, and this one must outlive them.
    command = [sys.executable, "-I", "-S", os.path.abspath(__file__), kind, name]
    reaper = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    groups: list[int] = []

    def tell(group: int) -> None:
        groups.append(group)
        with contextlib.suppress(OSError):
            assert reaper.stdin is not None
            reaper.stdin.write(b"%d\n" % group)
            reaper.stdin.flush()

    try:
        yield tell
    finally:
        clean(kind, name, groups)
        with contextlib.suppress(subprocess.TimeoutExpired, OSError):
            reaper.communicate(CLEANED, timeout=10)
        # Of one that was killed nobody reads, and it ends here.
        reaper.poll()


def clean(kind: str, name: str, groups: Sequence[int] = ()) -> None:
    """Remove a container, or end process groups and remove their folder. What is gone already is no error."""
    if kind == "container":
        remove = ["docker", "rm", "--force", "--volumes", name]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(remove, capture_output=True, timeout=60, check=False)
        return
    for group in groups:
        _end_group(group)
    shutil.rmtree(name, ignore_errors=True)


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
    said = sys.stdin.buffer.read().split(b"\n")
    if said[-1] == CLEANED:
        return 0
    # A container may still be about to start when its parent dies, and a process to write in its folder.
    for number in range(3 if arguments[0] == "container" else 2):
        if number:
            time.sleep(1)
        clean(arguments[0], arguments[1], [int(line) for line in said[:-1] if line.isdigit()])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
