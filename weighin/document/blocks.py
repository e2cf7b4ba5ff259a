"""What a document consists of. Every text is plain: whoever renders it makes it inert. Backticks enclose names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from weighin.report.view import CheckView


@dataclass(frozen=True)
class Paragraph:
    """A sentence or several."""

    text: str


@dataclass(frozen=True)
class NotKnown:
    """Something that nobody has told, and what would make it known."""

    what: str
    remedy: str

    @property
    def text(self) -> str:
        """The two in a sentence each."""
        return f"Not known: {self.what}. It becomes known: {self.remedy}."


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of texts below the names of their columns; `note` says what they mean, or is empty."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Checks:
    """Checks of the record: each with estimate, interval, limit and outcome."""

    title: str
    views: tuple[CheckView, ...]


Block = Paragraph | NotKnown | Points | Table | Checks


@dataclass(frozen=True)
class Section:
    """A part of a document.

    key    its anchor
    names  what SR 11-7 and Annex IV call it
    """

    key: str
    title: str
    names: tuple[str, ...]
    blocks: tuple[Block, ...]


def not_known(sections: Sequence[Section]) -> list[tuple[str, NotKnown]]:
    """Return everything that is not known, each with the title of its section."""
    return [(s.title, block) for s in sections for block in s.blocks if isinstance(block, NotKnown)]
