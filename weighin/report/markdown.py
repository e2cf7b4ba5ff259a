"""The summary of a check run, for half a minute of reading, and the same for a terminal.

Names, labels and error texts come from data, models and other people's contracts: nothing of them may become markup,
a mention, a link or a workflow command.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from weighin.contract.changes import Changes, FileChange
from weighin.github.escape import text, visible
from weighin.report.view import MARKS, WORDS, CheckView, all_views, causes, in_order, seconds, together, versions
from weighin.untrusted import JsonObject

if TYPE_CHECKING:
    from rich.console import RenderableType

COMMENT_BYTES = 60_000
"""A comment holds 65,536 characters."""
BYTES = 900_000
"""A step summary holds 1 MiB, and over it is silently dropped."""
PICTURE = 12
MARKER = "<!-- weighin -->"
"""First line of the one comment that is kept up to date."""
PROMOTED = "<!-- weighin promoted -->"
"""The same, of the comment that tells of a promotion."""


@dataclass(frozen=True)
class Room:
    """How much is shown: letters of a text, warnings, and rows of each suite."""

    cell: int
    warnings: int
    rows: int


ROOMS = (Room(400, 20, 60), Room(160, 5, 12), Room(60, 0, 0), Room(0, 0, 0))


def summary(record: JsonObject, changes: Changes | None = None, most: int = BYTES) -> str:
    """`summary.md`: the verdict, what blocks and why, what the pull request changes, the suites, what a pass means.

    most  bytes of UTF-8
    Every blocking check is named: texts are shortened, and rows that do not block left out, before that.
    """
    for room in ROOMS:
        text = _summary(record, changes, room)
        if len(text.encode()) <= most:
            return text
    blocking = [v for v in all_views(record) if v.blocks]
    found = "\n".join(_head(record)) + f"\n\n{len(blocking):,} checks block; `report.html` says why:\n\n"
    for number, view in enumerate(blocking):
        line = f"`{code(view.check)}` "
        if len((found + line).encode()) > most - 100:
            return f"{found}and {len(blocking) - number:,} more\n"
        found += line
    return found + "\n"


def comment(record: JsonObject, changes: Changes | None = None) -> str:
    """Return the comment on a pull request: the summary, found again by its first line, with a way to the whole
    report.
    """
    url = str(record["run"]["url"])
    link = f"\n[The run, with the reports]({url})\n" if re.fullmatch(r"https://[A-Za-z0-9.:/_-]+", url) else ""
    said = summary(record, changes, COMMENT_BYTES - len(link) - len(MARKER))
    return f"{MARKER}\n{said}{link}"


def promoted(record: JsonObject, promotion: JsonObject) -> str:
    """Return the note of a promotion, as a comment and as the text of a release: who is champion, since when, on
    what.
    """
    before, after = text(promotion["before"]) or "none", text(promotion["after"])
    signed = f"signed by `{code(promotion['signed_by'])}`" if promotion["signed_by"] else "unsigned"
    signed += f", attested by `{code(promotion['attested_by'])}`" if promotion.get("attested_by") else ""
    lines = [PROMOTED, f"## 🏆 {text(promotion['model'])}: version {after} is `{code(promotion['alias'])}`", ""]
    lines += [f"Before it was version {before}. Record `{code(promotion['record'])}`, {signed}.", ""]
    if record["ephemeral_registry"]:
        lines += ["The registry is a file of this run: the alias moved there and nowhere else.", ""]
    lines += ["| suite | verdict | checks | warnings |", "|---|---|--:|--:|"]
    for suite in record["suites"]:
        own, status = in_order(suite["outcomes"]), suite["status"]
        word = f"{MARKS[status]} {WORDS[status]}"
        lines.append(f"| {text(suite['suite'])} | {word} | {len(own)} | {sum(v.warns for v in own)} |")
    where = record["run"]
    facts = [f"contract `{record['contract']['digest'][7:19]}`", f"files `{record['candidate']['digest'][7:19]}`"]
    facts += [f"commit `{text(where['commit'][:12])}`"] if where["commit"] else []
    return "\n".join([*lines, "", f"_{text(record['risk'], 600)}_", "", " · ".join(facts)]) + "\n"


def no_decision(reason: str) -> str:
    """`summary.md` of a run that came to no decision."""
    return f"## {MARKS['not_evaluated']} {WORDS['not_evaluated']}\n\nThere is no decision: {text(reason, 2_000)}\n"


def _head(record: JsonObject) -> list[str]:
    status = record["verdict"]["status"]
    candidate, champion = versions(record)
    lines = [f"## {MARKS[status]} {text(record['model'])}: {WORDS[status]}", ""]
    lines.append(f"Candidate **{text(candidate)}** against champion **{text(champion)}**. Unsigned record.")
    if record["ephemeral_registry"]:
        lines += ["", "The registry is a file of this machine or run: its aliases exist there and nowhere else."]
    return lines


def _summary(record: JsonObject, changes: Changes | None, room: Room) -> str:
    lines = _head(record)
    lines += _changed_files(changes, room) if changes else []
    long = max(room.cell, 120)
    problems = [*record["verdict"]["problems"], *(p for s in record["suites"] for p in s["problems"])]
    if problems:
        lines += ["", "**Evidence that is missing or does not hold**", ""]
        lines += [f"- {text(p, long)}" for p in problems[:50]]
        lines += [f"- and {len(problems) - 50} more"] if len(problems) > 50 else []
    views = all_views(record)
    blocking = [v for v in views if v.blocks]
    if blocking:
        lines += ["", f"**{_count(len(blocking), 'check')} block{'s' if len(blocking) == 1 else ''}**", ""]
        lines += _table(blocking, room.cell)
    lines += _changed_limits(changes, room) if changes else []
    lines += ["", "| suite | verdict | checks | blocking | warnings | time |", "|---|---|--:|--:|--:|--:|"]
    for suite in record["suites"]:
        own = in_order(suite["outcomes"])
        counts = f"{len(own)} | {sum(v.blocks for v in own)} | {sum(v.warns for v in own)}"
        status = suite["status"]
        lines.append(
            f"| {text(suite['suite'])} | {MARKS[status]} {WORDS[status]} | {counts} | {seconds(suite['seconds'])} |"
        )
    warned = [v for v in views if v.warns]
    lines += _folded(_count(len(warned), "warning"), warned, room.warnings, room.cell) if warned else []
    for suite in record["suites"] if room.rows else ():
        # What blocks stands above; here it comes first as well, so that the table is whole.
        name = f"{text(suite['suite'])}: {_count(len(suite['outcomes']), 'check')}"
        lines += _folded(name, in_order(suite["outcomes"]), room.rows, room.cell)
    waived = [v for v in views if v.waiver]
    if waived:
        lines += ["", "**Waived**", "", *(f"- {text(v.check)}: {text(v.waiver, long)}" for v in waived)]
    lines += ["", f"_{text(record['risk'], 600)}_", ""]
    where = record["run"]
    facts = [f"contract `{record['contract']['digest'][7:19]}`", f"subject `{record['subject'][7:19]}`"]
    facts += [f"commit `{text(where['commit'][:12])}`"] if where["commit"] else []
    facts += [f"image `{text(record['image'][7:19])}`"] if record["image"] else ["local environment"]
    lines.append(" · ".join(facts))
    return "\n".join(lines) + "\n"


def _changed_files(changes: Changes, room: Room) -> list[str]:
    """Return what a pull request changes, told first: what decides, and by whose files it was then decided."""
    lines = []
    deciding = changes.deciding
    if deciding:
        lines += ["", f"⚠️ **This pull request changes what decides**: {_files(deciding, room)}.", ""]
        if changes.review:
            actor = f"**{text(changes.review.by) or 'a maintainer'}** at commit `{code(changes.review.commit[:12])}`"
            lines.append(f"Reviewed by {actor}, so the files of the pull request decided.")
        elif changes.note:
            lines.append(f"The files of the pull request decided: {text(changes.note)}.")
        else:
            lines.append(
                "The files of the base decided, and of each limit the stricter one, until a maintainer has reviewed "
                "this commit."
            )
    rest = tuple(f for f in changes.files if f not in deciding)
    if rest:
        lines += ["", f"This pull request changes{' as well' if deciding else ''}: {_files(rest, room)}."]
    return lines


def _files(files: tuple[FileChange, ...], room: Room) -> str:
    most, parts = 5 if room.cell else 1, []
    for kind in dict.fromkeys(f.kind for f in files):
        own = [f for f in files if f.kind == kind]
        named = ", ".join(f"`{code(f.path)}` {f.how}" for f in own[:most])
        parts.append(f"{kind} {named}" + (f" and {len(own) - most} more" if len(own) > most else ""))
    return "; ".join(parts)


def _changed_limits(changes: Changes, room: Room) -> list[str]:
    """Return what the pull request changes in the limits, the lenient ones first."""
    limits = sorted(changes.limits, key=lambda c: not c.lenient)
    if not (limits or changes.measured or changes.note):
        return []
    lines = ["", "**What this pull request changes in the limits**", ""]
    if any(c.lenient for c in limits) or changes.measured:
        actor = "a maintainer has reviewed them, and they decide" if changes.review else "the stricter of both decides"
        lines.append(f"- ⚠️ limits that are more lenient, or cannot be compared: {actor}")
    most = 30 if room.cell else 5
    for change in limits[:most]:
        between = " → ".join(text(v) for v in (change.before, change.after) if v)
        lines.append(
            f"- `{code(change.check)}` {'**' + change.how + '**' if change.lenient else change.how}: {between}"
        )
    lines += [f"- and {len(limits) - most} more limits"] if len(limits) > most else []
    if changes.measured:
        lines.append(f"- what is measured: {', '.join(f'`{code(m)}`' for m in changes.measured[:most])}")
    return [*lines, f"- {text(changes.note)}"] if changes.note else lines


def _folded(title: str, views: list[CheckView], most: int, cell: int) -> list[str]:
    lines = ["", f"<details><summary>{title}</summary>", "", *_table(views[:most], cell)]
    lines += ["", f"{len(views) - most} more are in `report.html`."] if len(views) > most else []
    return [*lines, "", "</details>"]


def _table(views: list[CheckView], cell: int) -> list[str]:
    if not views:
        return []
    lines = ["| check | outcome | measured | interval | limit | |", "|---|---|---|---|---|---|"]
    for v, *others in causes(views):
        said = v.reason if v.status == "not_evaluated" else v.found
        why = f": {text(said, cell)}" if cell and said else ""
        needed = v.reason.rpartition(": ")[2]
        more = f"<br>{text(needed, cell)}" if cell and v.status == "inconclusive" and needed else ""
        more += f"<br>{text(v.no_licence, cell)}" if cell and v.no_licence else ""
        names = ", ".join(f"`{code(one.check)}`" for one in (v, *others))
        word = f"{len(others) + 1} checks {v.word}" if others else v.word
        row = (names, f"{word}{why}", text(v.estimate), text(v.interval) + more, text(v.limit))
        lines.append("| " + " | ".join(row) + f" | {picture(v.numbers)} |")
    return lines


def picture(numbers: tuple[float, float, float, float] | None) -> str:
    """Return an interval against its limit, as text.

    numbers  low, estimate, high, limit

    >>> picture((0.70, 0.72, 0.74, 0.65))
    '`┃·····━━━●━━`'
    """
    if numbers is None or not all(math.isfinite(n) for n in numbers):
        return ""
    first, last = min(numbers), max(numbers)
    if first == last:
        return "`◆`"
    low, estimate, high, limit = (round((PICTURE - 1) * (n - first) / (last - first)) for n in numbers)
    cells = ["━" if low <= at <= high else "·" for at in range(PICTURE)]
    cells[estimate] = "●"
    cells[limit] = "◆" if limit == estimate else "┃"
    return f"`{''.join(cells)}`"


def code(value: str) -> str:
    """Return a name inside a code span of a table."""
    plain = (
        visible(value).replace("`", "ˋ").replace("|", "¦").replace("::", ":\u200b:").replace("<", "‹").replace(">", "›")
    )
    return plain if len(plain) <= 200 else plain[:199] + "…"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def terminal(record: JsonObject) -> RenderableType:
    """Return the verdict for a terminal, as something that rich prints."""
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
    listed = causes(blocking)
    for cause in listed[:15]:
        v, names = cause[0], together([one.check for one in cause])
        parts.append(Text.assemble((v.word, colours[v.status]), " ", _safe(names), ": ", _safe(v.reason)))
    if len(listed) > 15:
        parts.append(Text(f"and {sum(len(cause) for cause in listed[15:])} more that block"))
    verdict = Text.assemble(
        (WORDS[status].upper(), f"bold {colours[status]}"), _safe(f"  {candidate} against {champion}")
    )
    return Group(*parts, verdict)


def _safe(value: str) -> Any:
    from rich.text import Text

    return Text(visible(value)[:600])
