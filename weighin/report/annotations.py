"""Annotations on the lines of the contract whose limits blocked or warned: GitHub's workflow commands, with every text
in them made inert.

Source: GitHub's documentation of workflow commands; ten errors and ten warnings of a step are shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weighin.github.escape import visible
from weighin.report.causes import evidence_problems
from weighin.report.view import CheckView, all_views, causes, together
from weighin.untrusted import JsonObject

SHOWN = 10
LETTERS = 400


def commands(record: JsonObject, file: str, lines: Mapping[str, int]) -> list[str]:
    """Workflow commands, the last of each kind counting what is not shown.

    file   the contract, relative to the repository
    lines  check -> line of the contract
    """
    views = all_views(record)
    problems, remarks = evidence_problems(record)
    errors = [_command("error", file, 1, "evidence", p) for p in problems]
    errors += [_of(c, "error", file, lines) for c in causes([v for v in views if v.blocks])]
    errors = errors or [_command("error", file, 1, "evidence", r) for r in remarks]
    warnings = [_of(c, "warning", file, lines) for c in causes([v for v in views if v.warns])]
    return _capped("error", file, errors) + _capped("warning", file, warnings)


def _capped(kind: str, file: str, found: list[str]) -> list[str]:
    if len(found) <= SHOWN:
        return found
    more = len(found) - SHOWN + 1
    return [*found[: SHOWN - 1], _command(kind, file, 1, f"{more} more", "The job's summary and report.html have all.")]


def _of(cause: Sequence[CheckView], kind: str, file: str, lines: Mapping[str, int]) -> str:
    view, title = cause[0], together([v.check for v in cause])
    measured = f"{view.estimate} [{view.interval}], limit {view.limit}. " if view.estimate else ""
    return _command(kind, file, lines.get(view.check, 1), f"{title}: {view.word}", measured + view.reason)


def _command(kind: str, file: str, line: int, title: str, message: str) -> str:
    said = _data(message if len(message) <= LETTERS else message[: LETTERS - 1] + "…")
    return f"::{kind} file={_property(file)},line={line},title={_property(title[:200])}::{said}"


def _data(value: str) -> str:
    """Text in which a command can neither end nor begin."""
    return visible(value, "\r\n").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
