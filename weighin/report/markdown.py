"""The summary of a check run, for half a minute of reading, and the same for a terminal.

Names, labels and error texts come from data, models and other people's contracts: nothing of them may become markup,
a mention, a link or a workflow command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weighin.report.view import MARKS, WORDS, CheckView, all_views, in_order, seconds, versions
from weighin.runner.inert import text

BYTES = 60_000
"""A comment holds 65,536 characters, a step summary 1 MiB; the smaller one counts."""
WARNINGS = 20
CELL = 400


def summary(record: Mapping[str, Any]) -> str:
    """`summary.md`: the verdict, what blocks, what warns, the suites, and what a pass means.

    Every blocking check is named, whatever the length: texts are shortened before rows are left out.
    """
    for cell, warnings in ((CELL, WARNINGS), (160, 5), (60, 0), (0, 0)):
        text = _summary(record, cell, warnings)
        if len(text.encode()) <= BYTES:
            return text
    blocking = [v for v in all_views(record) if v.blocks]
    head = "\n".join(_head(record))
    return f"{head}\n\n{len(blocking):,} checks block, too many to list here: `report.html` has them all.\n"


def no_decision(reason: str) -> str:
    """`summary.md` of a run that came to no decision."""
    return f"## {MARKS['not_evaluated']} {WORDS['not_evaluated']}\n\nThere is no decision: {text(reason, 2_000)}\n"


def _head(record: Mapping[str, Any]) -> list[str]:
    status = record["verdict"]["status"]
    candidate, champion = versions(record)
    lines = [f"## {MARKS[status]} {text(record['model'])}: {WORDS[status]}", ""]
    lines.append(f"Candidate **{text(candidate)}** against champion **{text(champion)}**. Unsigned record.")
    if record["demonstration"]:
        lines += ["", "The registry is a file of this machine or run: its aliases exist there and nowhere else."]
    return lines


def _summary(record: Mapping[str, Any], cell: int, warnings: int) -> str:
    lines = _head(record)
    problems = [*record["verdict"]["problems"], *(p for s in record["suites"] for p in s["problems"])]
    if problems:
        lines += ["", "**Evidence that is missing or does not hold**", ""]
        lines += [f"- {text(p, max(cell, 120))}" for p in problems[:50]]
        lines += [f"- and {len(problems) - 50} more"] if len(problems) > 50 else []
    views = all_views(record)
    blocking = [v for v in views if v.blocks]
    warned = [v for v in views if v.warns]
    if blocking:
        lines += ["", f"**{_count(len(blocking), 'check')} block{'s' if len(blocking) == 1 else ''}**", ""]
        lines += _table(blocking, cell)
    lines += ["", "| suite | verdict | checks | blocking | warnings | time |", "|---|---|--:|--:|--:|--:|"]
    for suite in record["suites"]:
        own = in_order(suite["outcomes"])
        counts = f"{len(own)} | {sum(v.blocks for v in own)} | {sum(v.warns for v in own)}"
        status = suite["status"]
        lines.append(
            f"| {text(suite['suite'])} | {MARKS[status]} {WORDS[status]} | {counts} | {seconds(suite['seconds'])} |"
        )
    if warned:
        lines += ["", f"<details><summary>{_count(len(warned), 'warning')}</summary>", ""]
        lines += _table(warned[:warnings], cell)
        if len(warned) > warnings:
            lines += ["", f"{len(warned) - warnings} more are in `report.html`."]
        lines += ["", "</details>"]
    waived = [v for v in views if v.waiver]
    if waived:
        lines += ["", "**Waived**", "", *(f"- {text(v.check)}: {text(v.waiver, max(cell, 120))}" for v in waived)]
    lines += ["", f"_{text(record['risk'], 600)}_", ""]
    where = record["run"]
    facts = [f"contract `{record['contract']['digest'][7:19]}`", f"subject `{record['subject'][7:19]}`"]
    facts += [f"commit `{text(where['commit'][:12])}`"] if where["commit"] else []
    facts += [f"image `{text(record['image'][7:19])}`"] if record["image"] else ["local environment"]
    lines.append(" · ".join(facts))
    return "\n".join(lines) + "\n"


def _table(views: list[CheckView], cell: int) -> list[str]:
    if not views:
        return []
    lines = ["| check | outcome | measured | interval | limit |", "|---|---|---|---|---|"]
    for v in views:
        why = f" {text(v.reason, cell)}" if cell and v.status == "not_evaluated" else ""
        needed = v.reason.rpartition(": ")[2]
        more = f"<br>{text(needed, cell)}" if cell and v.status == "inconclusive" and needed else ""
        more += f"<br>{text(v.no_licence, cell)}" if cell and v.no_licence else ""
        row = (f"`{code(v.check)}`", f"{v.word}{why}", text(v.estimate), text(v.interval) + more, text(v.limit))
        lines.append("| " + " | ".join(row) + " |")
    return lines


def code(value: str) -> str:
    """A name inside a code span of a table."""
    plain = "".join(c if c.isprintable() else "�" for c in value)
    plain = plain.replace("`", "ˋ").replace("|", "¦").replace("::", ":\u200b:").replace("<", "‹").replace(">", "›")
    return plain if len(plain) <= 200 else plain[:199] + "…"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def terminal(record: Mapping[str, Any]) -> Any:
    """The verdict for a terminal, as something that rich prints."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    colours = {"passed": "green", "failed": "red", "inconclusive": "yellow", "not_evaluated": "magenta"}
    candidate, champion = versions(record)
    status = record["verdict"]["status"]
    suites = Table("suite", "verdict", "checks", "blocking", "warnings", "time", box=None, pad_edge=False)
    for suite in record["suites"]:
        own = in_order(suite["outcomes"])
        counts = (str(len(own)), str(sum(v.blocks for v in own)), str(sum(v.warns for v in own)))
        word = Text(WORDS[suite["status"]], colours[suite["status"]])
        suites.add_row(_safe(suite["suite"]), word, *counts, seconds(suite["seconds"]))
    parts: list[Any] = [suites]
    problems = [*record["verdict"]["problems"], *(p for s in record["suites"] for p in s["problems"])]
    parts += [_safe(f"! {p}") for p in problems[:10]]
    blocking = [v for v in all_views(record) if v.blocks]
    for v in blocking[:15]:
        parts.append(Text.assemble((v.word, colours[v.status]), " ", _safe(v.check), ": ", _safe(v.reason)))
    if len(blocking) > 15:
        parts.append(Text(f"and {len(blocking) - 15} more that block"))
    verdict = Text.assemble((WORDS[status].upper(), f"bold {colours[status]}"), f"  {candidate} against {champion}")
    return Group(*parts, verdict)


def _safe(value: str) -> Any:
    from rich.text import Text

    return Text("".join(c if c.isprintable() else "�" for c in value)[:600])
