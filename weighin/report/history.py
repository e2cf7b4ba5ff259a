"""Who was champion, in lines that fit 80 columns or as Markdown; the last line says who is champion now."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence

from weighin.github.escape import plain_line, text
from weighin.record.history import Checked

WIDTH = 80
INDENT = "    "


def lines(model: str, alias: str, checked: Sequence[Checked]) -> Iterator[str]:
    """Yield the history for a terminal or a log, the oldest entry first; every text of a stranger is made inert."""
    yield from textwrap.wrap(f"{plain_line(model)}: who was `{plain_line(alias)}`", WIDTH)
    for one in checked:
        yield ""
        head = f"{one.entry.number:>3} {_what(one)}: version {_versions(one)}, {plain_line(one.entry.created)}"
        yield from textwrap.wrap(head, WIDTH, subsequent_indent=INDENT)
        for label, value in _facts(one):
            said = f"{label}: {plain_line(value, 2_000)}"
            yield from textwrap.wrap(said, WIDTH, initial_indent=INDENT, subsequent_indent=f"{INDENT}  ")
    yield ""


def markdown(model: str, alias: str, checked: Sequence[Checked]) -> Iterator[str]:
    """Yield the same as a table of Markdown, the newest entry first."""
    yield f"**{text(model)}**: who was `{text(alias)}`"
    yield ""
    if checked:
        yield "| entry | what | version | when | |"
        yield "|--:|---|---|---|---|"
    for one in reversed(checked):
        facts = "<br>".join(f"{label}: {text(value, 600)}" for label, value in _facts(one))
        cells = (str(one.entry.number), _what(one), _versions(one), text(one.entry.created), facts)
        yield f"| {' | '.join(cells)} |"
    if checked:
        yield ""


def champion_now(alias: str, checked: Sequence[Checked], named: str, *, as_markdown: bool) -> Iterator[str]:
    """Yield who is champion now: by the ledger's last entry, and what the alias says where it says something else.

    named  the version that the alias names; empty for none
    """
    said = _now(alias, checked, named, text if as_markdown else plain_line)
    yield from [said] if as_markdown else textwrap.wrap(said, WIDTH)


def _now(alias: str, checked: Sequence[Checked], named: str, inert: Callable[[object], str]) -> str:
    """Return the sentence."""
    if not checked:
        if not named:
            return "Nothing was promoted yet, so no version is champion."
        return (
            f"Champion now: version {inert(named)}, by the alias `{inert(alias)}` alone. The ledger has no entry yet."
        )
    last = checked[-1].entry
    said = f"Champion now: version {inert(last.after)}, since {inert(last.created)} (entry {last.number})."
    if named == last.after:
        return said
    return f"{said} The alias `{inert(alias)}` names {f'version {inert(named)}' if named else 'no version'}."


def _what(one: Checked) -> str:
    return f"{one.entry.action}{' (EMERGENCY)' if one.entry.emergency else ''}"


def _versions(one: Checked) -> str:
    return f"{plain_line(one.entry.before) or 'none'} → {plain_line(one.entry.after)}"


def _facts(one: Checked) -> Iterator[tuple[str, str]]:
    """Yield what is known of an entry beside its versions, what does not hold first."""
    entry = one.entry
    for problem in one.problems:
        yield "DOES NOT HOLD", problem
    why = f"{entry.reason} ({entry.owner})" if entry.owner else entry.reason
    held = f"{entry.record[:19]}, {f'signed by {one.signed_by[:19]}' if one.signed_by else 'unsigned'}"
    known = {
        "by": entry.actor,
        "why": why,
        "record": held if entry.record else "",
        "since the anchor": entry.change.replace("performance/", ""),
        "documents": entry.documents,
        "served": entry.served,
    }
    yield from ((label, value) for label, value in known.items() if value)
