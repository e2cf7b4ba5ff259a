"""What a chain asks of a registry, in memory: numbers that are given once, and tags. The real one: test_ledger.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from weighin.registry.listing import Version
from weighin.registry.stores import MLFLOW


class NumberedRegistry:
    """The registered models of one registry, of which each version has a number that no other has.

    before_append  called, once, when a writer has looked and is about to write: another may come first there
    """

    store = MLFLOW
    uri = "https://user:hunter2@registry.example"
    artifact_location = "s3://kept"

    def __init__(self) -> None:
        self.versions: dict[str, list[Version]] = {}
        self.runs: list[tuple[str, str, Path, dict[str, str]]] = []
        self.before_append: list[Callable[[], Any]] = []

    def entries(self, name: str) -> list[Version]:
        """All versions, the newest first, as no chain may expect."""
        return self.versions.get(name, [])[::-1]

    def log_run(self, experiment: str, location: str, files: Path, tags: dict[str, str]) -> str:
        self.runs.append((experiment, location, files, tags))
        return f"run-{len(self.runs)}"

    def append(self, name: str, run_id: str, tags: dict[str, str], there: Callable[[], bool], description: str) -> None:
        if self.before_append:
            self.before_append.pop()()
        assert there() is False
        self.put(name, tags, run_id, description)
        assert there() is True

    def put(self, name: str, tags: dict[str, str], run_id: str = "", description: str = "") -> None:
        """Write a version, whatever it says."""
        made = self.versions.setdefault(name, [])
        made.append(Version(str(len(made) + 1), dict(tags), run_id, "", description))

    def tag(self, name: str, version: str, tags: dict[str, str]) -> None:
        (found,) = [v for v in self.versions[name] if v.version == version]
        dict.update(found.tags, tags)  # type: ignore[arg-type]

    def fetch(self, run_id: str, name: str, folder: Path) -> Path:
        return folder / run_id / name
