"""The writer of a prediction log: it takes what was asked and answered, and stores it later, in a thread of its own.

A prediction is never slowed and never fails because of it. What waits is bounded, in requests and in bytes; beyond that
requests are not logged, and counted. A log that is away is tried again, later and later, up to every half minute.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import random
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from weighin.errors import WeighinError, without_password
from weighin.prediction_log.exchange import Exchange, read
from weighin.prediction_log.sinks import Sink, SinkError, Unstorable

LOGGER = logging.getLogger("weighin.log")
SAY_SECONDS = 60.0
LONGEST_WAIT = 30.0
RETAIN_SECONDS = 3600.0
CLOSE_SECONDS = 4.0


@dataclass(frozen=True)
class State:
    """What became of what was offered.

    stored    rows in the log
    dropped   requests that found no room
    refused   rows that the log does not take
    unread    answered requests whose features or predictions could not be read; they have a row all the same
    unfit     values that are not of their column's type, stored as missing
    failures  attempts to write that failed
    waiting   requests that wait
    error     the last thing that went wrong, in one sentence
    """

    stored: int = 0
    dropped: int = 0
    refused: int = 0
    unread: int = 0
    problems_with: int = 0
    failures: int = 0
    waiting: int = 0
    error: str = ""

    def __str__(self) -> str:
        counted = {
            "requests not logged, as too many waited": self.dropped,
            "rows that the log refused": self.refused,
            "requests that could not be read": self.unread,
            "values of another type": self.problems_with,
        }
        said = [f"{number} {what}" for what, number in counted.items() if number]
        return "; ".join([*([self.error] if self.error else []), *said]) or f"{self.stored} rows stored"


class LogWriter:
    """Takes exchanges from any thread, and stores their rows in batches."""

    def __init__(
        self,
        sink: Sink,
        *,
        requests_at_most: int = 20_000,
        bytes_at_most: int = 32 * 2**20,
        batch_rows: int = 5_000,
        batch_seconds: float | None = None,
        retain: bool = True,
    ) -> None:
        """
        requests_at_most, bytes_at_most  what may wait; both hold
        batch_rows, batch_seconds        a batch is stored when it has so many rows, or its first one is so old;
                                         default as the sink says: 5 s, or 30 s where each batch is a file
        retain                           whether older rows than the contract's `retain_days` are removed, once an hour
        """
        self._sink, self._retain = sink, retain
        self._most = (requests_at_most, bytes_at_most)
        self._batch = (batch_rows, sink.batch_seconds if batch_seconds is None else batch_seconds)
        self._queue: queue.SimpleQueue[Exchange | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = self._bytes = 0
        self._thread: threading.Thread | None = None
        self._process = 0
        self._until: float | None = None
        self._closing = threading.Event()
        self._state = State()
        self._said_at, self._said = -SAY_SECONDS, State()
        self._retain_at = time.monotonic() + random.uniform(60, RETAIN_SECONDS)  # noqa: S311 - many servers, not at once

    @property
    def state(self) -> State:
        """Until now."""
        with self._lock:
            return replace(self._state, waiting=self._waiting)

    def enqueue(self, exchange: Exchange) -> bool:
        """Leave it to the thread; False where there is no room. Neither waits nor raises."""
        size = exchange.size
        with self._lock:
            full = self._waiting >= self._most[0] or self._bytes + size > self._most[1]
            if full or self._closing.is_set() or not self._running():
                self._state = replace(self._state, dropped=self._state.dropped + 1)
                return False
            self._waiting += 1
            self._bytes += size
        self._queue.put(exchange)
        return True

    def close(self, seconds: float = CLOSE_SECONDS) -> State:
        """Store what waits, for so long at most; what is then left counts as dropped."""
        atexit.unregister(self.close)
        thread, self._until = self._thread, time.monotonic() + seconds
        self._closing.set()
        if thread is not None and thread.is_alive() and self._process == os.getpid():
            self._queue.put(None)
            thread.join(seconds + 0.5)
            with self._lock:
                left, self._waiting = self._waiting, 0
                self._state = replace(self._state, dropped=self._state.dropped + left)
            self._say(always=self._said.dropped < self._state.dropped)
        return self.state

    def _running(self) -> bool:
        """Return a thread of this process: a fork has none."""
        if self._process == os.getpid():
            return True
        self._queue = queue.SimpleQueue()
        self._waiting = self._bytes = 0
        self._thread = threading.Thread(target=self._run, name="weighin-log", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            return False
        self._process = os.getpid()
        atexit.register(self.close)
        return True

    def _count(self, **more: int) -> None:
        with self._lock:
            self._state = replace(self._state, **{k: getattr(self._state, k) + n for k, n in more.items()})

    # The thread

    def _run(self) -> None:
        batch: dict[str, list[Any]] = {}
        rows, due = 0, 0.0
        while True:
            wait = max(0.0, due - time.monotonic()) if rows else LONGEST_WAIT
            try:
                taken = self._queue.get(timeout=wait)
            except queue.Empty:
                taken = None
            if taken is not None:
                with self._lock:
                    self._waiting -= 1
                    self._bytes -= taken.size
                added = self._read(taken, batch)
                due = due if rows else time.monotonic() + self._batch[1]
                rows += added
            ended = self._closing.is_set() and (self._queue.empty() or self._out_of_time())
            if rows and (rows >= self._batch[0] or time.monotonic() >= due or ended):
                self._store(batch, rows)
                batch, rows = {}, 0
            if ended:
                self._sink.close()
                return
            self._tidy()
            self._say()

    def _read(self, exchange: Exchange, batch: dict[str, list[Any]]) -> int:
        try:
            found = read(exchange, self._sink.tables)
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever one request is made of
            self._count(unread=1)
            self._wrong(type(error).__name__)
            return 0
        for name, values in found.columns.items():
            batch.setdefault(name, []).extend(values)
        if found.unread:
            self._count(unread=1)
            self._wrong(found.unread)
        if found.problems_with:
            self._count(problems_with=found.problems_with)
        return found.rows

    def _store(self, batch: dict[str, list[Any]], rows: int) -> None:
        """Try until it is done, or there is no more time."""
        table, pause = self._sink.tables.predictions, 0.5
        try:
            found = pa.table(batch, schema=self._sink.tables.schema)
        except pa.ArrowException as error:
            self._count(refused=rows)
            self._wrong(type(error).__name__)
            return
        while True:
            try:
                self._write(table, found)
            except SinkError as error:
                self._count(failures=1)
                self._wrong(str(error))
                self._say()
                if self._out_of_time():
                    self._count(dropped=len(set(found["request"].to_pylist())))
                    return
                self._closing.wait(pause * random.uniform(0.8, 1.2))  # noqa: S311 - many servers, not at once
                pause = min(LONGEST_WAIT, 2 * pause) if not self._closing.is_set() else 0.5
                if self._closing.is_set():
                    time.sleep(0.2)
            else:
                return

    def _write(self, table: str, rows: pa.Table) -> None:
        """Write the rows, or, where the log refuses some of them, the others."""
        try:
            self._sink.write(table, rows)
            self._count(stored=rows.num_rows)
            left_out = getattr(self._sink, "left_out", ())
            self._wrong(f"not logged, as the table has them otherwise: {', '.join(left_out)}" if left_out else "")
        except SinkError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, the next batch may be stored
            if rows.num_rows > 1 and isinstance(error, Unstorable):
                half = rows.num_rows // 2
                self._write(table, rows.slice(0, half))
                self._write(table, rows.slice(half))
                return
            self._count(refused=rows.num_rows)
            self._wrong(str(error) if isinstance(error, WeighinError) else type(error).__name__)

    def _tidy(self) -> None:
        if not self._retain or time.monotonic() < self._retain_at:
            return
        self._retain_at = time.monotonic() + RETAIN_SECONDS
        try:
            self._sink.retain(datetime.now(UTC) - timedelta(days=self._sink.tables.retain_days))
        except Exception as error:  # noqa: BLE001 - the next hour may be better
            self._wrong(f"older rows are not removed: {error if isinstance(error, WeighinError) else type(error)}")

    def _out_of_time(self) -> bool:
        return self._closing.is_set() and self._until is not None and time.monotonic() >= self._until

    def _wrong(self, error: str) -> None:
        with self._lock:
            self._state = replace(self._state, error=without_password(error))

    def _say(self, *, always: bool = False) -> None:
        """Print what went wrong since it was last said, once a minute."""
        state, now = self.state, time.monotonic()
        counted = ("dropped", "refused", "unread", "failures")
        news = any(getattr(state, k) > getattr(self._said, k) for k in counted)
        if always or (news and now - self._said_at >= SAY_SECONDS):
            self._said_at, self._said = now, state
            LOGGER.warning("the prediction log: %s; predictions are answered all the same", state)
