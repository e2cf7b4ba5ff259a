"""The summary for a terminal: the same sentences in the same order, without markup."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from weighin.contract.changes import Changes
from weighin.github.escape import visible
from weighin.report.answer import Answer, answer
from weighin.report.causes import Cause, capital, ended
from weighin.report.pull_request import tell
from weighin.report.trend import Trend
from weighin.report.view import WORDS, shortened, spans, together
from weighin.untrusted import JsonObject

if TYPE_CHECKING:
    from rich.console import RenderableType

COLOURS = {"passed": "green", "failed": "red", "inconclusive": "yellow", "not_evaluated": "magenta"}
LETTERS = 600
CAUSES = 10


def terminal(record: JsonObject, changes: Changes | None = None) -> RenderableType:
    """Return the summary, as something that rich prints."""
    from rich.console import Group
    from rich.text import Text

    shown, told = answer(record), tell(changes)
    word, _, rest = shown.sentence.partition(": ")
    parts: list[Any] = [
        Text.assemble((f"{shown.mark} {word.upper()}", f"bold {COLOURS[shown.status]}"), ": ", _safe(rest)),
        *map(_safe, shown.notes),
    ]
    parts += [_safe(f"! {told.warning}")] if told and told.warning else []
    parts += ["", _headlines(shown)] if shown.headlines else []
    if shown.causes:
        parts += ["", Text(shown.heading, "bold")]
        parts += [_cause(number, cause) for number, cause in enumerate(shown.causes[:CAUSES], 1)]
        parts += [f"and {len(shown.causes) - CAUSES} more causes"] if len(shown.causes) > CAUSES else []
    if shown.steps:
        about = [f"({', '.join(map(str, n))}) " if len(shown.causes) > 1 else "" for _, n in shown.steps]
        parts += ["", Text("What you can do", "bold")]
        parts += [_safe(f"- {a}{step}") for a, (step, _) in zip(about, shown.steps[:CAUSES], strict=False)]
    if told:
        parts += ["", Text("This pull request changes", "bold"), *(_safe(f"- {line}") for line in told.lines)]
    parts += ["", _trend(shown.trend), *([_safe(shown.trend.note)] if shown.trend.note else [])] if shown.trend else []
    parts += ["", *(_safe(f"{WORDS[g.status]:13} {g.summary}") for g in shown.groups)]
    if shown.warnings:
        names = together([shortened(v.check) for v in shown.warnings])
        parts += [_safe(f"{len(shown.warnings)} warnings: {names}" if len(shown.warnings) > 1 else f"warning: {names}")]
    return Group(*parts)


def _headlines(shown: Answer) -> Any:
    from rich.table import Table
    from rich.text import Text

    # A row has two lines on 80 columns.
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("metric", min_width=11)
    for name in (shown.candidate, shown.champion or "none"):
        table.add_column(_safe(re.sub(r"^version (?=\S{1,8}$)", "v", name)), justify="right")
    table.add_column("difference", justify="right", no_wrap=True)
    table.add_column("allowed", justify="right", min_width=17)
    table.add_column("outcome", no_wrap=True, min_width=9)
    for row in shown.headlines:
        word = Text(f"{row.mark} {row.word}", COLOURS[row.status])
        table.add_row(*map(_safe, (row.name, row.candidate, row.baseline, row.difference, row.allowed)), word)
    return table


def _trend(found: Trend) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("the last releases")
    table.add_column("when")
    for metric in found.metrics:
        table.add_column(_safe(metric), justify="right")
    for name, day, values in found.rows:
        table.add_row(*map(_safe, (name, day, *values)))
    return table


def _cause(number: int, cause: Cause) -> Any:
    from rich.text import Text

    said = " ".join(
        [
            ended(cause.found[0]),
            *(capital(ended(one)) for one in cause.found[1:2]),
            *([f"Likely: {cause.likely}."] if cause.likely else []),
        ]
    )
    place = f", {cause.place}" if cause.place else ""
    names = f" [{together([shortened(v.check) for v in cause.checks])}{place}]" if cause.checks else ""
    return Text.assemble(f"{number}. ", (WORDS[cause.status], COLOURS[cause.status]), ": ", _safe(said), _safe(names))


def _safe(value: str) -> Any:
    from rich.text import Text

    named = "".join(f"`{shortened(part)}`" if is_code else part for part, is_code in spans(value))
    return Text(visible(named)[:LETTERS])
