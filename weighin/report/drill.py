"""`drill.md` and `drill.html`, from the value of `drill.json`. Nothing is computed here but places in a plot."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from markupsafe import Markup

from weighin.github.escape import text, visible
from weighin.report.html import template
from weighin.report.svg import drawn
from weighin.stats.distributions import normal_cdf, normal_quantile
from weighin.untrusted import JsonDict, JsonObject

SIGNS = {"blocked": "✓", "inconclusive": "?", "missed": "✗", "not_applicable": "·", "error": "!"}
WORDS = {**{name: name for name in SIGNS}, "not_applicable": "not applicable"}
FAMILIES = {
    "labels": "Labels",
    "model": "Model",
    "data": "Data",
    "serving": "Serving",
    "process": "Evidence and process",
    "own": "The team's own",
}
WIDTH, HEIGHT = 240, 90
POINTS = 40


def markdown(value: JsonObject) -> str:
    """Return `drill.md`: the answer, what survives, the matrix, the controls."""
    return visible("\n".join(_lines(value)) + "\n", "\n")


def html(value: JsonObject) -> str:
    """Return `drill.html`: the same, with the matrix as a heat map and the curves."""
    return template("drill.html.j2").render(
        title=f"{value['about']['model']}: {headline(value)}",
        drill=value,
        sentence=headline(value),
        baseline=_baseline(value),
        families=[
            (FAMILIES.get(family, family), [f for f in value["faults"] if f["family"] == family])
            for family in dict.fromkeys(f["family"] for f in value["faults"])
        ],
        survivors=_survivors(value),
        controls=[{**c, "said": _control(c)} for c in value["controls"]],
        score=value.get("ml_test_score"),
        signs=SIGNS,
        answers=WORDS,
        size=size_text,
        curve=curve,
        cell=cell,
    )


def badge(score: JsonObject) -> str:
    """Return `ml_test_score.svg`: the total of the ML Test Score, for a README."""
    total = float(score["total"])
    colour = "#1a7f4b" if total >= 3 else "#9a6700" if total >= 1 else "#c0271d"
    return str(drawn("badge", text=f"{total:g}", colour=colour, title=f"ML Test Score: {total:g} ({score['meaning']})"))


def _scored(score: JsonObject) -> Iterator[str]:
    """Yield the ML Test Score as Markdown."""
    yield ""
    yield f"## ML Test Score: {score['total']:g}"
    yield ""
    parts = ", ".join(f"{name} {points:g}" for name, points in score["sections"].items())
    yield f"{score['meaning'].capitalize()}. The lowest of the sections: {parts}, of 7 each."
    yield ""
    yield "| test | points | by |"
    yield "|---|--:|---|"
    for one in score["tests"]:
        yield f"| {one['text']} (`{one['name']}`) | {one['points']:g} | {text(one['evidence'], 300)} |"


def headline(value: JsonObject) -> str:
    """Return the answer in a sentence."""
    found = value["summary"]
    said = f"{found['killed']} of {found['faults']} faults are blocked at the sizes that are stated"
    rest = [f"{found[k]} {k}" for k in ("inconclusive", "missed") if found[k]]
    return f"{said}, {', '.join(rest)}" if rest else said


def _baseline(value: JsonObject) -> str:
    """Return what stands in the way of a credit: checks that block without a fault."""
    red = list(value["baseline"]["blocking"])
    if not red:
        return ""
    listed = ", ".join(red[:3]) + (f", and {len(red) - 3} more" if len(red) > 3 else "")
    status = value["baseline"]["status"]
    return f"Without a fault the verdict is {status}: {listed}. No fault gets credit for these checks."


def _survivors(value: JsonObject) -> list[JsonDict]:
    """Return the faults that are not blocked at their stated size, each with what is known of larger ones."""
    return [{**f, "why": _why(f)} for f in value["faults"] if f["answer"] in ("missed", "inconclusive")]


def _why(fault: JsonObject) -> str:
    at = f"At {size_text(fault['size'])} ({fault['unit']}) "
    said = {
        "missed": "no check notices it",
        "inconclusive": f"{_names(fault['by'])} {'is' if len(fault['by']) == 1 else 'are'} inconclusive",
    }[fault["answer"]]
    if fault["curve"]:
        return f"{at}{said}. It is blocked with 80 % from {size_text(fault['curve']['size'])} on"
    tried = [d["size"] for d in fault["draws"]]
    more = f"; no size up to {size_text(max(tried))} is blocked with 80 %" if tried else ""
    return f"{at}{said}{more}"


def _names(checks: Sequence[str] | JsonObject) -> str:
    names = list(checks)
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def _lines(value: JsonObject) -> Iterator[str]:
    yield f"# Drill of {text(str(value['about']['model']))}"
    yield ""
    yield f"**{headline(value)}.** {value['promise']}"
    yield ""
    about = value["about"]
    versions = [text(str(about[role] or "none")) for role in ("candidate", "champion")]
    yield f"Candidate {versions[0]}, champion {versions[1]}, seed {about['seed']}."
    if _baseline(value):
        yield ""
        yield text(_baseline(value), 600)
    survivors = _survivors(value)
    if survivors:
        yield ""
        yield "## What gets through"
        yield ""
        for fault in survivors:
            yield f"- **{fault['name']}**: {fault['what']} {fault['why']}."
            for line in fault["suggestion"]:
                yield f"  - {text(line, 300)}"
    yield ""
    yield "## Faults and suites"
    yield ""
    yield "✓ blocked, ? inconclusive, ✗ missed, · not applicable, ! error"
    yield ""
    suites = list(value["suites"])
    yield f"| fault | size | verdict | {' | '.join(suites)} | blocked by | 80 % from |"
    yield f"|---|--:|:-:|{':-:|' * len(suites)}---|--:|"
    for fault in value["faults"]:
        cells = [SIGNS.get(str(fault["suites"].get(s, "")), "") for s in suites]
        by = _names(fault["by"]) or fault["reason"]
        found = size_text(fault["curve"]["size"]) if fault["curve"] else ""
        row = [
            fault["name"],
            f"{size_text(fault['size'])} {fault['unit']}",
            SIGNS[fault["answer"]],
            *cells,
            text(by, 300),
            found,
        ]
        yield f"| {' | '.join(row)} |"
    if value["controls"]:
        yield ""
        yield "## Without a fault"
        yield ""
        for control in value["controls"]:
            yield f"- {_control(control)}"
    if value.get("ml_test_score"):
        yield from _scored(value["ml_test_score"])


def _control(control: JsonObject) -> str:
    """Return what became of a control in a sentence."""
    said = f"{control['what'].capitalize()}: {control['blocked']} of {control['draws']} draws blocked"
    share = control["passed"] / max(1, control["draws"])
    passes = f"{share:.0%} passed"
    if control["predicted"] is not None:
        passes += f", `weighin contract check` predicts {control['predicted']:.0%}"
    return f"{said}; {passes}. p = {control['p_value']:.3g} that this is within alpha."


def size_text(value: float) -> str:
    """Return a size in three digits.

    >>> size_text(0.18564), size_text(4.0)
    ('0.186', '4')
    """
    return f"{value:.3g}"


def cell(fault: JsonObject, suite: str) -> JsonDict:
    """Return one cell of the heat map: its kind, its sign, and what is said of it."""
    if fault["answer"] in ("not_applicable", "error"):
        return {"kind": fault["answer"], "sign": SIGNS[fault["answer"]], "said": fault["reason"]}
    kind = fault["suites"].get(suite, "")
    names = [c for c in fault["by"] if c.partition("/")[0] == suite]
    return {"kind": kind or "silent", "sign": SIGNS.get(kind, ""), "said": ", ".join(names[:5])}


def curve(fault: JsonObject) -> Markup:
    """Return the share of draws that are blocked by size, with the fitted curve and the interval of its 80 % point."""
    found, draws = fault["curve"], [d for d in fault["draws"] if d["size"] > 0 and d["draws"] > 0]
    if not draws:
        return Markup("")
    sizes = [d["size"] for d in draws] + ([found["size"]] if found else [])
    left, right = math.log(min(sizes)) - 0.2, math.log(max(sizes)) + 0.2

    def x(size: float) -> float:
        return min(max((math.log(size) - left) / (right - left), 0.0), 1.0) * WIDTH

    most = max(d["draws"] for d in draws)
    dots: list[dict[str, Any]] = [
        {
            "x": x(d["size"]),
            "y": (1 - d["blocked"] / d["draws"]) * HEIGHT,
            "r": 2 + 2.5 * math.sqrt(d["draws"] / most),
            "title": f"{size_text(d['size'])}: {d['blocked']} of {d['draws']} draws blocked",
        }
        for d in draws
    ]
    line, low, high, at = "", 0.0, 0.0, None
    if found:
        z = normal_quantile(0.8)
        steps = [left + (right - left) * i / POINTS for i in range(POINTS + 1)]
        shares = [normal_cdf(found["slope"] * (s - math.log(found["size"])) + z) for s in steps]
        line = " ".join(f"{WIDTH * i / POINTS:.1f},{(1 - p) * HEIGHT:.1f}" for i, p in enumerate(shares))
        low = x(found["low"]) if found["low"] > 0 else 0.0
        high = x(found["high"]) if found["high"] else float(WIDTH)
        at = x(found["size"])
    title = f"{fault['name']}: share of draws that are blocked, by {fault['unit']}"
    ends = {"first": size_text(math.exp(left + 0.2)), "last": size_text(math.exp(right - 0.2)), "unit": fault["unit"]}
    stated = x(fault["size"])
    return drawn(
        "dose_response",
        w=WIDTH,
        h=HEIGHT,
        title=title,
        dots=dots,
        line=line,
        low=low,
        high=high,
        at=at,
        stated=stated,
        **ends,
    )
