"""What of a drill is done: a drill that was stopped goes on from there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from weighin.canonical import canonical, digest
from weighin.drill.controls import Control
from weighin.drill.result import FaultResult
from weighin.untrusted import JsonDict


@dataclass
class Journal:
    """Finished parts of a drill, one a line, in a file that is named by everything that they depend on."""

    path: Path | None
    faults: dict[str, FaultResult]
    controls: dict[str, Control | None]

    @staticmethod
    def of(folder: Path | None, about: JsonDict) -> Journal:
        """Open the journal of a drill; what another drill left is no part of it, and neither is half a line."""
        path = None if folder is None else folder / f"drill-{digest(canonical(about))[7:23]}.jsonl"
        found = Journal(path, {}, {})
        for line in path.read_text(encoding="utf-8").splitlines() if path is not None and path.is_file() else ():
            try:
                name, value = json.loads(line)
                found._take(name, value)
            except (ValueError, TypeError, KeyError):
                continue
        return found

    def _take(self, name: str, value: JsonDict) -> None:
        if name.startswith("control-"):
            self.controls[name] = None if "not_applicable" in value else Control(**value)
        else:
            self.faults[name] = FaultResult.from_json(value)

    def add(self, name: str, value: JsonDict) -> None:
        """Keep a part."""
        self._take(name, value)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([name, value]) + "\n")

    def remove(self) -> None:
        """Forget all of it: the next drill begins anew."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
