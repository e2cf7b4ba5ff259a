"""What a heartbeat notes: a machine that stands still, and nothing of a server that is slow."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from weighin.load import heartbeat

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


@pytest.mark.parametrize(("pause", "noted"), [(-1.0, True), (60.0, False)], ids=["every beat", "none"])
def test_a_beat_is_noted_when_it_is_later_than_a_pause(
    pause: float, noted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat, "PAUSE", pause)
    with heartbeat.beating() as heart:
        time.sleep(0.3)  # as a generator waits for a slow server
    assert bool(heart.pauses) == noted
    assert all(0 <= at <= 60 for at, _ in heart.pauses)
