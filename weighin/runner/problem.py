"""What went wrong in a step, noted where the suites look for it. Standard library only."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from pathlib import Path

from weighin.github.escape import plain_line
from weighin.untrusted.redact import keep, listed

MARK = "weighin: "
"""How a line of our own begins."""
NOTHING = "no reason that may be shown; its log is kept where it ran"
COLUMNS = "features/columns.json"
"""Where in the work folder the names of the features stand."""
TAIL = 20_000
_TYPES = (
    "(?:integer|long|float|double|string|boolean|datetime|binary|category|timestamp|date|array|object|another type)"
    "(?: with missing values)?"
)
_CODE = r"[A-Za-z_]\w{0,59}(?: \((?P<why>[\w ,/'-]+)\))?, code [0-9a-f]{6}"
_NAMES = r"(?P<names>\[[^\n]{0,2000}?\])(?P<more> and \d{1,5} more)?"
_ABOUT = rf"(?:, about the columns {_NAMES})?"
_ANSWER = (
    r"not asked|status \d{3}|connection (?:refused|reset|closed (?:within the|without an) answer)|no answer in time|"
    r"connection failed: \w{1,60}|no HTTP in the answer|more than \d+ bytes|"
    "no socket left for the request: too many are unanswered"
)
FACTS = tuple(
    re.compile(fact)
    for fact in (
        rf"the model (?:does not load,|raised) {_CODE}{_ABOUT}",
        r"the model does not load, no module [A-Za-z_][\w.]{0,59} is installed",
        r"the model does not load, it holds types that skops does not trust: [A-Za-z_][\w., ]{0,200}",
        rf"the model's signature wants the tensors {_NAMES}, which the features lack",
        rf"the columns {_NAMES} hold {_TYPES}, and the model's signature wants {_TYPES}",
        rf"the columns {_NAMES} (?:hold no numbers|hold numbers beyond 32 bits|have missing values), and the model's "
        "signature wants (?:a tensor|integer)",
        rf"the columns {_NAMES} cannot be handed over as the model's signature wants them, {_CODE}",
        rf"the answers are (?:not numbers(?:, text among them)?|no table) \({_CODE}\)",
        r"answers of shape \([\d, ]{0,60}\) have no column \d{1,6}",
        rf"the answers have no column {_NAMES}",
        r"the answers have \d{1,6} columns, and none of number \d{1,6}",
        r"column \d{1,6} of the answers holds no single value for a row",
        "(?:the answers are no single label|a column of the answers holds no single value) for a row",
        "the rows of the answers have not the same columns",
        r"one number per row, and not one for each of \d{1,6} classes",
        r"the answers hold \d{1,9} different labels(?: that are none of `model\.classes`|, and a binary task has two)",
        r"\d{1,12} answers for \d{1,12} rows",
        r"the model has \d{1,6} classes, and the contract \d{1,6}",
        r"not all classes of the model are in `model\.classes`",
        rf"the model answers the classes in the order {_NAMES}, which is not that of `model\.classes`",
        rf"the probability of {_NAMES} is number \d{{1,6}} of an answer, and the contract reads number \d{{1,6}}",
        rf"internal error, {_CODE}{_ABOUT}",
        rf"the server did not get healthy in [\d.e+]+ s \((?:{_ANSWER})\)",
        r"the generator fell [\d.]+ s behind [\d.e+]+ requests per second and gave up",
        rf"the locustfile does not load, {_CODE}",
        r"[A-Za-z_]\w{0,59} has no tasks, or a TaskSet",
        r"no user class|Locust is not installed|a worker was lost|no master answers",
        r"no turn came in \d{1,6} s",
        r"no request is left for start \d{1,6}",
        r"\d{1,9} of \d{1,9} requests were answered in [\d.e+]+ s, and then it was stopped",
        r"the features have no rows|a column of bytes has no form in JSON|not an address of a server",
        r"the template of requests (?:is not JSON|has \{\{rows\}\} \d{1,6} times)",
        "WEIGHIN_SPARK_FOLDER is an address, and Spark Connect takes a folder",
        rf"no Spark answers there \({_CODE}\)",
        r"a model whose signature wants tensors is not asked on Spark",
        rf"the columns {_NAMES} cannot be handed over on Spark",
        r"the executors have no module [A-Za-z_][\w.]{0,59}",
        "the executors (?:run another version of Python|do not see the features)",
        "the model's own environment does not run on the executors",
        r"the cluster had no executor for \d{1,6} s",
        rf"the cluster did not answer, {_CODE}",
        "answers to rows that were not asked",
        "the answers hold labels that are no numbers",
        r"\d{1,12} of \d{1,12} rows have another answer on Spark than in one process",
        r"there are no rows or no features to explain|a prediction that is not finite",
    )
)
"""What a step may say of itself. A line that holds nothing of it is not shown: a model writes into the same log."""


def note_problem(out: Path, problem: str) -> None:
    """Write, or remove, `<out>.problem` beside the folder that a model could write to."""
    note = out.with_suffix(".problem")
    if problem:
        note.write_text(problem, encoding="utf-8", errors="backslashreplace")
    else:
        note.unlink(missing_ok=True)


def last_line(log: bytes, columns: Collection[str] = ()) -> str:
    """Return what a step of ours said last, of the things that it can say; of everything else only that it is kept
    here.

    columns  names that may be shown: what a model takes for one may be a value
    """
    keep(log)
    for line in reversed(log[-TAIL:].decode("utf-8", "replace").splitlines()):
        _, marked, said = line.partition(MARK)
        if marked and line.lstrip().startswith(MARK):
            for fact in FACTS:
                found = fact.search(said)
                if found and (shown := _shown(found, columns)):
                    return shown
    return NOTHING


def _shown(found: re.Match[str], columns: Collection[str]) -> str:
    """Return a fact with those names in it that may be shown; empty where it holds something that it cannot hold."""
    parts = found.groupdict()
    if parts.get("why") and parts["why"] not in {os.strerror(n) for n in range(1, 140)}:
        return ""
    names = parts.get("names")
    if not names:
        return found.group(0)
    before, after = found.string[found.start() : found.start("names")], found.string[found.end("names") : found.end()]
    try:
        said = json.loads(names)
    except (ValueError, RecursionError):
        return ""
    known = [n for n in said if isinstance(n, str) and n in columns]
    if known:
        return before + listed(known) + after
    # Nobody said which names there are: how many are meant is no name.
    return before.removesuffix("the columns ") + f"{len(said)} {'column' if len(said) == 1 else 'columns'}" + after


def tool_line(log: bytes) -> str:
    """Return the last line of what a tool printed that saw no data and ran no model: the container engine, pip."""
    lines = [line for line in log[-TAIL:].decode("utf-8", "replace").splitlines() if line.strip()]
    return plain_line(lines[-1], 300) if lines else "it said nothing"


def known_columns(work: Path) -> tuple[str, ...]:
    """Return the names of the features, as `weighin step resolve` left them; none where they are not there."""
    try:
        with (work / COLUMNS).open("rb") as file:
            names = json.loads(file.read(2**20))
    except (OSError, ValueError, RecursionError):
        return ()
    return tuple(n for n in names if isinstance(n, str)) if isinstance(names, list) else ()
