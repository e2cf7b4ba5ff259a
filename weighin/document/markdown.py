"""Sections as Markdown. Texts come from records and contracts: nothing of them becomes markup, a mention or a link."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from weighin.document.blocks import Block, Checks, NotKnown, Paragraph, Points, Section, Table, not_known
from weighin.document.material import Material
from weighin.github.escape import text, visible
from weighin.report.markdown import code, inline, picture
from weighin.report.view import MARKS, CheckView

LETTERS = 4_000
"""Of a paragraph; of a cell a fourth."""
CHECKS = ("check", "outcome", "measured", "interval", "limit", "", "evidence")


def report(of: Material, sections: Sequence[Section]) -> str:
    """`validation-report.md`: the verdict, what is not known, and every section."""
    lines = [f"# Validation report: {text(of.name)}", "", f"{of.answer.mark} {inline(of.answer.sentence, LETTERS)}."]
    lines += [f"\n{inline(note, LETTERS)}" for note in of.answer.notes]
    missing = not_known(sections)
    lines += ["", f"Record `{code(of.digest)}`.", "", "## What is not known", ""]
    lines += [f"- **{text(title)}**: {inline(block.what, LETTERS)}" for title, block in missing]
    return joined([*lines, *rendered(sections)])


def rendered(sections: Sequence[Section], depth: int = 2) -> Iterator[str]:
    """Yield the lines of sections whose headings have so many signs."""
    for section in sections:
        yield from ("", f"{'#' * depth} {text(section.title)}", "")
        if section.names:
            yield f"_{text(' · '.join(section.names), LETTERS)}_"
        for block in section.blocks:
            yield ""
            yield from _block(block)


def joined(lines: Sequence[str]) -> str:
    """Return lines as a file: no two empty lines in a row, and none of the characters that are not seen."""
    found: list[str] = []
    for line in "\n".join(lines).split("\n"):
        if line.strip() or (found and found[-1]):
            found.append(line.rstrip())
    return "\n".join(found).rstrip("\n") + "\n"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph():
            yield inline(block.text, LETTERS)
        case NotKnown():
            yield f"> **Not known**: {inline(block.what, LETTERS)}. It becomes known: {inline(block.remedy, LETTERS)}."
        case Points():
            yield from (f"- {inline(one, LETTERS)}" for one in block.texts)
        case Table():
            yield from _table(block.title, block.columns, block.rows)
            if block.note:
                yield from ("", inline(block.note, LETTERS))
        case Checks():
            yield from _table(block.title, CHECKS, tuple(map(_check, block.views)), pictures=True)
        case _:
            assert_never(block)


def _table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, pictures: bool = False
) -> Iterator[str]:
    """Yield a table. Of checks the first cell is a code span and the sixth a picture, made here of numbers alone."""
    if title:
        yield from (f"**{text(title)}**", "")
    yield f"| {' | '.join(map(text, columns))} |"
    yield "|---" * len(columns) + "|"
    for row in rows:
        cells = [one if pictures and at in (0, 5) else _cell(one) for at, one in enumerate(row)]
        yield f"| {' | '.join(cells)} |"


def _cell(value: str) -> str:
    # A digest or a name is in code as a whole, and a long one is not shortened: it is there to be compared.
    if value.startswith("`sha256:") and value.count("`") == 2:
        return f"`{visible(value.strip('`')).replace('|', '¦')}`"
    return inline(value, LETTERS // 4)


def _check(v: CheckView) -> tuple[str, ...]:
    said = (
        v.reason if v.status in ("not_evaluated", "inconclusive") else ", ".join(filter(None, (v.found, v.n, v.method)))
    )
    word = f"{MARKS[v.status]} {v.word}{', blocks' if v.blocks else ', warns' if v.warns else ''}"
    waived = f"; {v.waiver}" if v.waiver else ""
    return f"`{code(v.check)}`", word, v.estimate, v.interval, v.limit, picture(v.numbers), said + waived
