"""What a drill of both sides of a pull request says: values, as a file, and in sentences for its summary."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from weighin.canonical import read_json, write_json
from weighin.contract.changes import FileChange
from weighin.errors import EvidenceError

SCHEMA = "weighin/drill-change/v1"
FILE = "drill_change.json"
KINDS = ("contract", "data", "suites")
"""Kinds of files after a change of which both sides are drilled."""
NAME = re.compile(r"[a-z]+(-[a-z]+)*")


@dataclass(frozen=True)
class Passed:
    """A fault that the gate of the base blocks, and that of the head does not. `by` are the checks that block it."""

    fault: str
    size: float
    unit: str
    by: tuple[str, ...]

    def __str__(self) -> str:
        """In words, with names between backticks."""
        more = f" and {len(self.by) - 1} more" if len(self.by) > 1 else ""
        by = f", which `{self.by[0].replace('`', 'ˋ')}`{more} blocked" if self.by else ""
        return f"`{self.fault}` ({self.size:g} {self.unit}){by}"


@dataclass(frozen=True)
class DrillChange:
    """Both drills side by side.

    faults         that were compared
    killed         of them, by the base and by the head
    lets_through   see `Passed`
    catches        faults that only the head blocks
    notes          what was not compared, and why
    """

    faults: int
    killed: tuple[int, int]
    lets_through: tuple[Passed, ...]
    catches: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    def sentences(self, most: int = 8) -> tuple[str, ...]:
        """In words, with names between backticks."""
        base, head = self.killed
        found = [f"drill: of {self.faults} faults of data and evidence the base blocks {base}, this change {head}"]
        if self.lets_through:
            more = f", and {len(self.lets_through) - most} more" if len(self.lets_through) > most else ""
            found = [f"⚠ this change lets through: {'; '.join(map(str, self.lets_through[:most]))}{more}", *found]
        if self.catches:
            found.append(f"this change blocks what got through: {listed([f'`{n}`' for n in self.catches])}")
        return (*found, *(f"not drilled: {note}" for note in self.notes))

    def write(self, folder: Path) -> None:
        """Leave it in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FILE, {"schema": SCHEMA, **asdict(self)})

    @staticmethod
    def told(folder: Path, files: Sequence[FileChange]) -> tuple[str, ...]:
        """Return what was left in words; nothing where nothing had to be drilled. Errors: `EvidenceError`."""
        if (folder / FILE).is_file():
            return DrillChange.read(folder).sentences()
        if not any(f.kind in KINDS for f in files):
            return ()
        return ("what this change lets through is not known: the drill of both sides came to no end",)

    @staticmethod
    def read(folder: Path) -> DrillChange:
        """Return what was left. Errors: `EvidenceError`."""
        value = read_json(folder / FILE, SCHEMA, 2**20)
        try:
            passed = tuple(_passed(p) for p in value["lets_through"])
            base, head = (int(n) for n in value["killed"])
            names = tuple(_known(str(n)) for n in value["catches"])
            notes = tuple(str(n) for n in value["notes"])
            return DrillChange(int(value["faults"]), (base, head), passed, names, notes, float(value["seconds"]))
        except (KeyError, TypeError, ValueError) as error:
            raise EvidenceError(f"damaged ({type(error).__name__})", str(folder / FILE), "Drill again.") from error


def _passed(value: Mapping[str, object]) -> Passed:
    by = value["by"]
    if not isinstance(by, list):
        raise TypeError("checks are a list")
    return Passed(_known(str(value["fault"])), float(str(value["size"])), str(value["unit"]), tuple(map(str, by)))


def _known(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError("no name of a fault")
    return name


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return names as a list that ends."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
