"""What a heartbeat notes: a machine that stands still, and nothing of a server that is slow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

from weighin.load.heartbeat import PAUSE, beating

STOPPED = 0.4
PROGRAM = """
import json, sys, time
from weighin.load.heartbeat import beating
with beating() as heart:
    print("beating", flush=True)
    sys.stdin.readline()
print(json.dumps(heart.pauses))
"""


def test_a_process_that_stood_still_notes_for_how_long() -> None:
    child = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "beating\n"
        os.kill(child.pid, signal.SIGSTOP)
        time.sleep(STOPPED)
        os.kill(child.pid, signal.SIGCONT)
        pauses = json.loads(child.communicate("\n", timeout=60)[0])
    finally:
        child.kill()
        child.wait(timeout=60)
    assert max(late for _, late in pauses) > STOPPED - 0.05


def test_only_a_beat_that_comes_late_is_noted() -> None:
    with beating() as heart:
        time.sleep(0.3)  # as a generator waits for a slow server
    assert all(late > PAUSE for _, late in heart.pauses)
    assert heart.stolen_seconds is None or heart.stolen_seconds >= 0
