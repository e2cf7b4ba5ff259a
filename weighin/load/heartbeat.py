"""Pauses of the machine, told from those of a server: a thread that only sleeps, and notes when it woke late.

A server that is slow lets this thread sleep undisturbed. A machine that stands still (another guest of its host, a
suspended container, a neighbour on all cores) wakes it late, and makes every latency of that moment longer as well.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BEAT = 0.01
"""Seconds between two beats."""
PAUSE = 0.02
"""A beat that comes so many seconds late is noted: Python hands over between its threads every 5 ms."""
MOST = 10_000
"""So many pauses are noted; more say nothing more."""


class Heartbeat:
    """Pauses since it was started: (seconds since then, seconds late) each, and time that the host took away."""

    def __init__(self) -> None:
        """Begin to count; `beating` starts the thread."""
        self._began = time.monotonic()
        self._stolen = _stolen()
        self._end = threading.Event()
        self.pauses: list[tuple[float, float]] = []

    @property
    def stolen_seconds(self) -> float | None:
        """Processor time that went to other guests of the host; None where the system does not say."""
        now = _stolen()
        return None if now is None or self._stolen is None else now - self._stolen

    def beat(self) -> None:
        """Sleep and look at the clock, until the end."""
        ended = False
        while not ended:
            due = time.monotonic() + BEAT
            # A machine may stand still until the end: what the last beat is late counts as well.
            ended = self._end.wait(BEAT)
            late = time.monotonic() - due
            if late > PAUSE and len(self.pauses) < MOST:
                self.pauses.append((due - self._began, late))

    def stop(self) -> None:
        """End the thread at its next beat."""
        self._end.set()


@contextmanager
def beating() -> Iterator[Heartbeat]:
    """Yield a heartbeat that counts until the end of the block."""
    heart = Heartbeat()
    thread = threading.Thread(target=heart.beat, daemon=True)
    thread.start()
    try:
        yield heart
    finally:
        heart.stop()
        thread.join()


def _stolen() -> float | None:
    """Return the stolen seconds of all processors. Source: proc(5), `/proc/stat`, the eighth number of `cpu`."""
    try:
        first = Path("/proc/stat").read_text().splitlines()[0].split()
        return int(first[8]) / 100
    except (OSError, ValueError, IndexError):
        return None
