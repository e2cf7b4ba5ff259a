"""Forks of a process that has imported what they need. Standard library only.

Only the warm process (weighin/cli/warm.py) and what it forked fork themselves: an isolated interpreter with one thread.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable

MAY_FORK = False
"""Whether this process is the warm one, or a fork of it."""


def may_fork() -> bool:
    """Whether this process may be forked: it is isolated, and was made to be forked."""
    return MAY_FORK and bool(sys.flags.isolated)


def fork(call: Callable[[], int], log: int, *, session: bool = False) -> int:
    """Call something in a fork of this process; returns the number of the process.

    log      descriptor that takes what it prints
    session  whether it gets a session of its own, so that it can be ended with all its children
    What is registered to run at this process's exit does not run at that of the fork.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 3
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        if session:
            os.setsid()
        with open(os.devnull, "rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", errors="backslashreplace", closefd=False) for n in (1, 2))
        gc.enable()
        code = int(call())
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - nothing of the parent's code may run on in the fork
        traceback.print_exc()
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code & 0xFF)


def wait(pid: int, seconds: float) -> int:
    """Return the exit code of a fork, negative for a signal. Errors: `TimeoutError` when it had to be ended."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise TimeoutError
        time.sleep(0.02)
