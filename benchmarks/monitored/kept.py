"""Results that a benchmark of hours keeps as it goes, so that it can be stopped and continued."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import asdict
from pathlib import Path
from typing import Any


class Kept:
    """One JSON line for each result, written when it is there; without a file nothing is kept.

    The key holds everything that a result depends on but the code: after a change of that, begin another file.
    """

    def __init__(self, path: Path | None, made: Callable[..., Any]) -> None:
        """Read what an earlier run left. `made` makes a result of its fields."""
        self._path, self._made = path, made
        self._known: dict[str, Any] = {}
        if path is not None and path.is_file():
            for line in path.read_text().splitlines():
                # A run that was killed may have left half a line.
                if line.endswith("}"):
                    value = json.loads(line)
                    self._known[value["key"]] = made(**value["result"])

    def submit(self, pool: Executor, run: Callable[..., Any], name: str, *given: Any, seed: list[int]) -> Future[Any]:
        """Return the result that is known, or let the pool find it."""
        key = json.dumps([name, seed])
        if key in self._known:
            done: Future[Any] = Future()
            done.set_result(self._known[key])
            return done
        found = pool.submit(run, *given, seed)
        if self._path is not None:
            found.add_done_callback(lambda task: self._write(key, task))
        return found

    def result(self, name: str, find: Callable[[], dict[str, Any]]) -> Any:
        """Return the result that is known, or find its fields here."""
        key = json.dumps([name])
        if key not in self._known:
            fields = find()
            self._append(key, fields)
            self._known[key] = self._made(**fields)
        return self._known[key]

    def _write(self, key: str, task: Future[Any]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._append(key, asdict(task.result()))

    def _append(self, key: str, fields: dict[str, Any]) -> None:
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps({"key": key, "result": fields}) + "\n")
