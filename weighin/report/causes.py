"""What blocks, each cause once: the checks that one thing stopped, what it is, its likely reason, and what to do.

A cause gathers outcomes that the record holds; it judges none of them again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from weighin.record.metrics import COMPARED
from weighin.report import likely
from weighin.report.sentences import NAMED_RULES, TABLES, label, metric_name, sentence
from weighin.report.view import RANK, CheckView
from weighin.untrusted import JsonObject

ABOUT_COLUMN = ("reference", "fresh", "future")
LATENCY = re.compile(r"load/(peak/)?(within-|p\d|throughput|max-sustainable-rate)")
CODE = re.compile(r"\bcode ([0-9a-f]{6})\b")
SUITES = ("performance", "sealed", "load", "shadow")
"""Whose causes come first among those of one status."""
JOB = re.compile(r"job (\S+) ended as failure")
LEFT_OUT = re.compile(r"suite (\S+) was left out: no verdict without it")
NO_EVIDENCE = "the suite left no evidence"


@dataclass(frozen=True)
class Cause:
    """One thing that blocks.

    short   it in a few words, which end a sentence
    status  the worst of its checks
    checks  that it stops, the worst first; empty for a problem with the evidence as a whole
    found   a sentence for each thing that was found
    likely  why, where the record lets one say so; empty otherwise
    step    what to do about it
    place   file and line of the limit of the first check; empty where it has none
    """

    short: str
    status: str
    checks: tuple[CheckView, ...]
    found: tuple[str, ...]
    likely: str = ""
    step: str = ""
    place: str = ""


def find_causes(record: JsonObject, views: Sequence[CheckView]) -> tuple[list[Cause], list[str]]:
    """Return what blocks, the worst first, and remarks: results of jobs that follow from what blocks.

    views  every check of the record
    """
    problems, remarks = evidence_problems(record)
    groups: dict[tuple[str, ...], list[CheckView]] = {}
    for view in views:
        if view.blocks:
            groups.setdefault(_key(view), []).append(view)
    by_id = {v.check: v for v in views}
    absent = {key[1]: groups.pop(key) for key in list(groups) if key[0] == "absent"}
    found = []
    for text in problems:
        suite = re.match(r"suite (\S+): ", text)
        found.append(_problem(text, absent.pop(suite[1], []) if suite else []))
    found += [_problem(f"suite {suite}: {own[0].reason}", own) for suite, own in absent.items()]
    found += [_cause(key, own, by_id, record["contract"]) for key, own in groups.items()]
    if not found:
        # Nothing else explains them.
        return [_problem(text, []) for text in remarks], []
    return sorted(found, key=_rank), remarks


def _rank(cause: Cause) -> tuple[bool, int, int, int]:
    # A model that raises lets much else fail.
    symptom = likely.RAISED not in cause.found[0]
    suite = cause.checks[0].check.partition("/")[0] if cause.checks else ""
    place = SUITES.index(suite) if suite in SUITES else len(SUITES)
    return symptom, RANK[cause.status], place, -len(cause.checks)


def _key(view: CheckView) -> tuple[str, ...]:
    """Return what a check has in common with others that one thing stops."""
    suite, *rest = view.check.split("/")
    if view.status == "not_evaluated":
        if view.reason.startswith(NO_EVIDENCE):
            return "absent", suite
        code = CODE.search(view.reason)
        return ("code", code[1]) if code else ("reason", view.reason)
    match suite, rest:
        case "data_quality", [_, kind, column, *_] if kind in ABOUT_COLUMN:
            return "column", column
        case "data_quality", [_, column, _, *_] if column not in NAMED_RULES:
            return "column", column
        case "drift", [column, *_] if column not in (*TABLES, "prediction"):
            return "column", column
        case "performance", ["fairness", measure, *_]:
            return "fairness", measure
        case "performance", _ if compared := COMPARED.fullmatch(view.check):
            return "metric", compared[1]
        case "performance", [metric] if metric != "changed":
            return "metric", metric
    return ("latency",) if LATENCY.match(view.check) else ("check", view.check)


def _cause(key: tuple[str, ...], views: list[CheckView], by_id: Mapping[str, CheckView], contract: JsonObject) -> Cause:
    own = tuple(sorted(views, key=lambda v: RANK[v.status]))
    found = tuple(dict.fromkeys(sentence(v) for v in own))
    if own[0].status == "not_evaluated":
        found = found[:1]
    why, step = likely.reason(key, own, by_id)
    line = contract.get("lines", {}).get(own[0].check)
    place = f"{contract['file']}:{line}" if line else ""
    return Cause(_short(key, own), own[0].status, own, found, why, step, place)


def _short(key: tuple[str, ...], views: Sequence[CheckView]) -> str:
    first = views[0]
    if first.status == "not_evaluated":
        many = f"{len(views)} checks could" if len(views) > 1 else f"{label(first.check)} could"
        return f"{many} not be evaluated: {first_clause(first.reason)}"
    about = {"metric": metric_name(key[-1]), "column": f"column `{key[-1]}`", "latency": "latency"}.get(key[0])
    if first.status == "inconclusive":
        return f"the data do not settle {about or label(first.check)}"
    if key[0] == "metric":
        return _metric_short(key[1], first)
    if key[0] == "column":
        drifted = all(v.check.startswith("drift/") for v in views)
        return f"{about} {'drifted by more than allowed' if drifted else 'breaks rules of the data'}"
    if key[0] == "latency":
        return "the server answers more slowly than allowed"
    return f"{label(first.check)} failed" + (f": {first_clause(first.found)}" if first.found else "")


def _metric_short(metric: str, view: CheckView) -> str:
    if view.found:
        return f"{metric_name(metric)}: {first_clause(view.found)}"
    compared = COMPARED.fullmatch(view.check)
    if not compared:
        return f"{metric_name(metric)} is {'below' if view.at_least else 'above'} its limit"
    if compared[3] == "/better":
        return f"{metric_name(metric)} is not better by as much as demanded"
    return f"{metric_name(metric)} {'fell' if view.at_least else 'rose'} by more than allowed"


def first_clause(reason: str, most: int = 120) -> str:
    """Return the beginning of a reason, up to its remedy."""
    clause = re.split(r"\.\s+(?=[A-Z`])", " ".join(reason.split()))[0].rstrip(".")
    return clause if len(clause) <= most else clause[: most - 1] + "…"


def capital(sentence: str) -> str:
    """Return a sentence with a capital letter."""
    return sentence[:1].upper() + sentence[1:]


def ended(sentence: str) -> str:
    """Return a sentence with its full stop."""
    return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."


def evidence_problems(record: JsonObject) -> tuple[list[str], list[str]]:
    """Return problems with the evidence, and the results of jobs that may only follow from what blocks."""
    texts = [*record["verdict"]["problems"], *(p for s in record["suites"] for p in s["problems"])]
    left_out = [m[1] for text in texts if (m := LEFT_OUT.fullmatch(text))]
    found = [text for text in texts if not (LEFT_OUT.fullmatch(text) or JOB.fullmatch(text))]
    if left_out:
        was, them = (
            ("suite", "was left out: no verdict without it"),
            ("suites", "were left out: no verdict without them"),
        )
        noun, rest = was if len(left_out) == 1 else them
        found.append(f"{noun} {', '.join(left_out)} {rest}")
    found += [f"suite {s['suite']}: nothing in it was evaluated" for s in record["suites"] if _empty(s)]
    return found, [text for text in texts if JOB.fullmatch(text)]


def _empty(suite: JsonObject) -> bool:
    """Whether a suite came to nothing without anything that says why: all of its checks only warn."""
    return (
        suite["status"] == "not_evaluated" and not suite["problems"] and not any(o["blocks"] for o in suite["outcomes"])
    )


def _problem(text: str, own: Sequence[CheckView]) -> Cause:
    """Return a problem with the evidence as a cause, with the checks that it kept from being evaluated."""
    suite = re.match(r"suite (\S+): ", text)
    short = f"suite {suite[1]} left no evidence" if suite and own else first_clause(text)
    return Cause(short, "not_evaluated", tuple(own), (text,), step=likely.step_of_problem(text))
