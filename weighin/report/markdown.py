"""The summary of a check run, for half a minute of reading: the job summary, the comment, the text of a release.

Names, labels and error texts come from data, models and other people's contracts: nothing of them may become markup,
a mention, a link or a workflow command.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from weighin.contract.changes import Changes
from weighin.github.escape import in_html, text, visible
from weighin.report.answer import Answer, Group, NoDecision, answer
from weighin.report.causes import Cause, capital, ended
from weighin.report.headlines import Headline
from weighin.report.pull_request import Told, tell
from weighin.report.trend import Trend
from weighin.report.view import MARKS, WORDS, CheckView, in_order, shortened, spans
from weighin.untrusted import JsonObject

COMMENT_BYTES = 60_000
"""A comment holds 65,536 characters."""
BYTES = 900_000
"""A step summary holds 1 MiB, and over it is silently dropped."""
PICTURE = 12
MARKER = "<!-- weighin -->"
"""First line of the one comment that is kept up to date."""
PROMOTED = "<!-- weighin promoted -->"
"""The same, of the comment that tells of a promotion."""
NAMES = 6
"""Checks of a cause that stand in its line; more of them are folded."""


@dataclass(frozen=True)
class Room:
    """How much is shown: letters of a text, warnings, rows of each suite, sentences of a cause, files and limits."""

    cell: int
    warnings: int
    rows: int
    sentences: int
    files: int
    limits: int


ROOMS = (Room(400, 20, 60, 3, 5, 30), Room(160, 5, 12, 2, 5, 30), Room(60, 0, 0, 1, 1, 5), Room(0, 0, 0, 0, 1, 5))


def summary(record: JsonObject, changes: Changes | None = None, most: int = BYTES) -> str:
    """`summary.md`: one sentence, candidate beside champion, what blocks and why, what to do, what the pull request
    changes, and the rest folded.

    most  bytes of UTF-8
    Every blocking check is named: texts are shortened, and what does not block left out, before that.
    """
    shown = answer(record)
    for room in ROOMS:
        found = _summary(shown, tell(changes, room.files, room.limits), room)
        if len(found.encode()) <= most:
            return found
    blocking = [v for cause in shown.causes for v in cause.checks]
    found = f"{_title(shown)}\n\n{len(blocking):,} checks block; `report.html` says why:\n\n"
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


def no_decision(why: NoDecision) -> str:
    """`summary.md` of a run that came to no decision."""
    lines = [
        f"## {MARKS['not_evaluated']} {text(why.sentence, 500)}",
        "",
        *(f"- {text(line, 2_000)}" for line in why.lines),
    ]
    return "\n".join(lines) + "\n"


def _title(shown: Answer) -> str:
    return f"## {shown.mark} {inline(shown.sentence, 300)}"


def _summary(shown: Answer, told: Told | None, room: Room) -> str:
    long = max(room.cell, 120)
    lines = [_title(shown), ""]
    lines += [inline(note, 400) + "  " for note in shown.notes]
    if told and told.warning:
        lines += ["", f"⚠️ {inline(told.warning, 2_000)}"]
    lines += _headlines(shown) if shown.headlines else []
    lines += _causes(shown, room) if shown.causes else []
    if shown.steps:
        lines += ["", "**What you can do**", ""]
        lines += [f"- {_about(numbers, len(shown.causes))}{inline(step, long)}" for step, numbers in shown.steps[:10]]
    if told:
        lines += ["", "**This pull request changes**", "", *(f"- {inline(line, 1_000)}" for line in told.lines)]
    lines += [line for group in shown.groups for line in _group(group, room)]
    if shown.warnings:
        title = (
            f"{_count(len(shown.warnings), 'warning')}, which {'does' if len(shown.warnings) == 1 else 'do'} not block"
        )
        lines += _folded(title, _table(shown.warnings, room.warnings, room.cell))
    if shown.waived:
        lines += _folded("Waived", [f"- `{code(v.check)}`: {text(v.waiver, long)}" for v in shown.waived])
    decided = [f"- {name} `{code(value)}`" for name, value in shown.facts]
    decided += [f"- {text(remark, long)}: what blocks ended it" for remark in shown.remarks]
    lines += _folded("The last releases", _trend(shown.trend)) if shown.trend else []
    lines += _folded("What a pass promises", [text(shown.promise, 600)])
    return "\n".join([*lines, *_folded("What it was decided on", [*decided, "- the record is unsigned"])]) + "\n"


def _trend(found: Trend) -> list[str]:
    lines = [f"| release | when | {' | '.join(map(text, found.metrics))} |", f"|---|---{'|--:' * len(found.metrics)}|"]
    lines += [f"| {text(name)} | {text(day)} | {' | '.join(map(text, values))} |" for name, day, values in found.rows]
    return [*lines, "", text(found.note)] if found.note else lines


def _headlines(shown: Answer) -> list[str]:
    lines = [
        "",
        f"| metric | {text(shown.candidate)} | {text(shown.champion) or 'no champion'} | difference | allowed | |",
    ]
    lines += ["|---|--:|--:|--:|--:|---|"]
    return [*lines, *(_headline(row) for row in shown.headlines)]


def _headline(row: Headline) -> str:
    cells = [text(row.name), text(row.candidate), text(row.baseline), text(row.difference), text(row.allowed)]
    if not row.passed:
        # What does not pass is found without colour, and without its mark.
        cells = [f"**{cell}**" if cell and place in (0, 3) else cell for place, cell in enumerate(cells)]
    return f"| {' | '.join(cells)} | {row.mark} {text(row.word)} |"


def _causes(shown: Answer, room: Room) -> list[str]:
    lines = ["", f"**{shown.heading}**", ""]
    for number, cause in enumerate(shown.causes, 1):
        lines += _cause(number, cause, room)
    return lines


def _cause(number: int, cause: Cause, room: Room) -> list[str]:
    cell = max(room.cell, 120)
    said = [f"{MARKS[cause.status]} {WORDS[cause.status]}: {inline(ended(cause.found[0]), cell)}"]
    more = cause.found[1 : room.sentences]
    said += [inline(capital(ended(one)), cell) for one in more]
    left = len(cause.found) - 1 - len(more)
    said += [f"And {left} more."] if left else []
    said += [f"Likely: {inline(cause.likely, 400)}."] if cause.likely and room.cell else []
    names = [f"`{code(v.check)}`" for v in cause.checks]
    place = [text(cause.place)] if cause.place else []
    line = f"{number}. {' '.join(said)}"
    if len(names) <= NAMES:
        return [line + (f" ({', '.join([*names, *place])})" if names else "")]
    summary = f"   <details><summary>{len(names):,} checks</summary>"
    return [line, "", summary, "", "   " + " ".join(names), "", "   </details>", ""]


def _about(numbers: Sequence[int], causes: int) -> str:
    return f"({', '.join(map(str, numbers))}) " if causes > 1 else ""


def _group(group: Group, room: Room) -> list[str]:
    """Return a suite, folded: how many checks of each dataset passed, what did not, and what has an interval."""
    lines: list[str] = []
    if len(group.counts) > 1:
        lines += ["| dataset | checks | passed |", "|---|--:|--:|"]
        lines += [f"| {text(c.name)} | {len(c.views):,} | {c.passed:,} |" for c in group.counts]
    listed = [v for v in in_order(v.outcome for v in group.views) if v.status != "passed" or v.interval != "exact"]
    table = _table(listed, room.rows, room.cell)
    lines += ["", *table] if lines and table else table
    title = f"{MARKS[group.status]} {group.summary}"
    if not lines:
        return ["", in_html(title)]
    return _folded(title, lines)


def _folded(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return ["", in_html(title)]
    return ["", f"<details><summary>{in_html(title)}</summary>", "", *lines, "", "</details>"]


def _table(views: Sequence[CheckView], most: int, cell: int) -> list[str]:
    if not views or not most:
        return []
    lines = ["| check | outcome | measured | interval | limit | |", "|---|---|---|---|---|---|"]
    for v in views[:most]:
        said = v.reason if v.status == "not_evaluated" else v.found
        why = f": {text(said, cell)}" if cell and said else ""
        needed = v.reason.rpartition(": ")[2]
        more = f"<br>{text(needed, cell)}" if cell and v.status == "inconclusive" and needed else ""
        more += f"<br>{text(v.no_licence, cell)}" if cell and v.no_licence and v.blocks else ""
        row = (f"`{code(v.check)}`", f"{v.word}{why}", text(v.estimate), text(v.interval) + more, text(v.limit))
        lines.append("| " + " | ".join(row) + f" | {picture(v.numbers)} |")
    return [*lines, "", f"{len(views) - most} more are in `report.html`."] if len(views) > most else lines


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


def inline(sentence: str, most: int = 400) -> str:
    """Return a sentence of ours with names of others in it, which stand between backticks.

    >>> inline("file `a_b` of data_quality")
    'file `a_b` of data\\\\_quality'
    """
    shown = sentence if len(sentence) <= most else f"{sentence[: max(most - 1, 0)]}…"
    return "".join(f"`{code(part)}`" if is_code else _spaced(part) for part, is_code in spans(shown))


def _spaced(part: str) -> str:
    """Return a part of a sentence, with the spaces at its ends, which `text` takes away."""
    inner = text(part, len(part) + 1)
    before, after = " " * part[:1].isspace(), " " * part[-1:].isspace()
    return f"{before}{inner}{after}" if inner else " " * bool(part)


def code(value: str) -> str:
    """Return a name inside a code span, also one of a table."""
    plain = (
        visible(value).replace("`", "ˋ").replace("|", "¦").replace("::", ":\u200b:").replace("<", "‹").replace(">", "›")
    )
    return shortened(plain)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
