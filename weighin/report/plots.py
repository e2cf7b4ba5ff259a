"""Plots as inline SVG: nothing to load, nothing to run. The markup is in templates/plots.svg.j2."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from weighin.report.svg import drawn
from weighin.report.view import CheckView
from weighin.untrusted import JsonObject

WIDTH, HEIGHT = 240, 26
BARS, FLOOR = 220, 70


def interval(view: CheckView) -> Markup:
    """Return the interval against its limit; the forbidden side is shaded. Empty where there are no numbers to draw."""
    if view.numbers is None:
        return Markup("")
    low, estimate, high, limit = (max(min(v, 1e300), -1e300) for v in view.numbers)
    left, right = min(low, limit), max(high, limit)
    pad = (right - left) * 0.15 or abs(limit) * 0.1 or 1.0
    left, right = left - pad, right + pad

    def x(value: float) -> float:
        return (value - left) / (right - left) * WIDTH

    start, width = (0.0, x(limit)) if view.at_least else (x(limit), WIDTH - x(limit))
    title = f"{view.check}: {view.estimate}, interval {view.interval}, limit {view.limit}"
    ends = {"limit": x(limit), "low": x(low), "high": x(high), "estimate": x(estimate)}
    return drawn("interval", w=WIDTH, h=HEIGHT, title=title, start=start, width=width, **ends)


def histogram(detail: JsonObject) -> Markup:
    """Shares of the reference beside those of the current data, bin by bin. Empty where the record has none."""
    labels, before, after = (list(detail.get(k) or []) for k in ("labels", "reference", "current"))
    if not labels or not len(labels) == len(before) == len(after) or not _numbers([*before, *after]):
        return Markup("")
    top = max([*before, *after]) or 1.0
    step = BARS / len(labels)
    bars = []
    for i, (label, a, b) in enumerate(zip(labels, before, after, strict=True)):
        for kind, share, shift in (("reference", a, 0.0), ("current", b, 0.42)):
            height = share / top * FLOOR
            bar = {"kind": kind, "x": i * step + shift * step, "y": FLOOR - height, "height": height}
            bars.append(bar | {"width": max(step * 0.4, 0.5), "title": f"{label}: {kind} {share:.1%}"})
    return drawn("histogram", w=BARS, floor=FLOOR, bars=bars)


def latency(detail: JsonObject) -> Markup:
    """Share of requests answered within a time (logarithmic), with the contract's limit."""
    pairs = list(zip(detail.get("latency_ms") or [], detail.get("share") or [], strict=False))
    points = [(t, s) for t, s in pairs if _numbers([t, s]) and t > 0]
    limit = detail.get("limit_ms")
    if not points or not isinstance(limit, (int, float)) or limit <= 0:
        return Markup("")
    width, height = 460, 180
    left = math.log10(min([t for t, _ in points] + [limit])) - 0.1
    right = math.log10(max([t for t, _ in points] + [limit])) + 0.1

    def x(value: float) -> float:
        return (math.log10(value) - left) / (right - left) * width

    curve = " ".join(f"{x(t):.1f},{(1 - s) * height:.1f}" for t, s in points)
    times = [
        {"x": x(value), "text": f"{value:g} ms"}
        for power in range(math.floor(left), math.ceil(right) + 1)
        for value in (10**power, 2 * 10**power, 5 * 10**power)
        if left < math.log10(value) < right
    ]
    shares = [{"y": (1 - share) * height, "text": f"{share:.0%}"} for share in (0.5, 0.9)]
    return drawn("latency", w=width, h=height, times=times, shares=shares, limit=x(limit), curve=curve)


PLOT_WIDTH, PLOT_HEIGHT = 460, 120


def over_time(detail: JsonObject) -> Markup:
    """Median and 99th percentile of each second of a start with its phases, failures at the top edge."""
    known = detail.get("over_time") or {}
    moments, medians, tails = (list(known.get(k) or []) for k in ("second", "p50_ms", "p99_ms"))
    series = {"curve": medians, "curve tail": tails}
    return _by_second(detail, moments, series, "ms", "Latency by second: median and 99th percentile")


def throughput(detail: JsonObject) -> Markup:
    """Return the requests that were due and those that were answered rightly in each second of a start."""
    known = detail.get("over_time") or {}
    moments, offered, answered = (list(known.get(k) or []) for k in ("second", "offered", "answered"))
    series = {"offered": offered, "curve": answered}
    return _by_second(detail, moments, series, "per second", "Requests due and answered by second")


def _by_second(
    detail: JsonObject, moments: list[Any], series: Mapping[str, list[Any]], unit: str, title: str
) -> Markup:
    """Series over the seconds of a start, whose phases are marked. What is no number is drawn at the top."""
    finite = [v for part in series.values() for v in part if _numbers([v])]
    if len(moments) < 2 or not finite or any(len(p) != len(moments) for p in series.values()) or not _numbers(moments):
        return Markup("")
    top = max(finite) * 1.1 or 1.0
    span = moments[-1] - moments[0] or 1

    def x(moment: float) -> float:
        return float((moment - moments[0]) / span * PLOT_WIDTH)

    def line(values: Sequence[object]) -> str:
        heights = [min(v, top) if isinstance(v, (int, float)) else top for v in values]
        return " ".join(
            f"{x(m):.1f},{PLOT_HEIGHT - v / top * PLOT_HEIGHT:.1f}" for m, v in zip(moments, heights, strict=True)
        )

    # Names of neighbouring phases stand on two lines, so that short ones do not run into each other.
    phases = [
        {"x": x(phase["from"]), "y": 26 + 12 * (number % 2), "name": str(phase.get("name"))}
        for number, phase in enumerate(detail.get("phases") or [])
        if _numbers([phase.get("from")])
    ]
    lines = [{"kind": kind, "points": line(values)} for kind, values in series.items()]
    ends = {"first": moments[0], "last": moments[-1], "top": top, "unit": unit}
    return drawn("by_second", w=PLOT_WIDTH, h=PLOT_HEIGHT, title=title, phases=phases, lines=lines, **ends)


def ramp(detail: JsonObject) -> Markup:
    """Answers per second against requests per second, a point a step; the line is what is asked for."""
    steps = list(detail.get("steps") or [])
    rates, answered, shares = ([s.get(k) for s in steps] for k in ("rate", "answered_per_second", "share"))
    if not steps or not _numbers([*rates, *answered, *shares]) or max(rates) <= 0:
        return Markup("")
    size = PLOT_HEIGHT + 40
    top = max([*rates, *answered]) * 1.1

    def place(value: float) -> float:
        return float(value / top * size)

    points = [
        {
            "kind": "kept" if step.get("kept") else "broken",
            "x": place(rate),
            "y": size - place(got),
            "title": f"{rate:g} requests per second: {got:.1f} answered, {part:.1%} in time",
        }
        for step, rate, got, part in zip(steps, rates, answered, shares, strict=True)
    ]
    return drawn("ramp", size=size, top=top, steps=points)


def _numbers(values: Sequence[object]) -> bool:
    return all(isinstance(v, (int, float)) and math.isfinite(v) for v in values)


def information(plot: JsonObject) -> Markup:
    """Return the plot of a table that is shown for information. Empty where there is nothing that can be drawn."""
    match plot.get("kind"):
        case "calibration":
            return _calibration(plot.get("series") or {})
        case "bars":
            return _bars(plot)
    return Markup("")


def _calibration(series: JsonObject) -> Markup:
    """Share of positives against mean probability; the dashed line is a model that keeps its word."""
    size = 180
    lines = []
    for role, points in series.items():
        if not all(len(p) == 2 and _numbers(p) for p in points):
            return Markup("")
        path = " ".join(f"{x * size:.1f},{(1 - y) * size:.1f}" for x, y in points)
        lines.append({"kind": _role(role), "points": path, "title": role})
    return drawn("calibration", size=size, lines=lines)


def _bars(plot: JsonObject) -> Markup:
    """Horizontal bars with whiskers, one row a label and one bar a series."""
    labels, series = list(plot.get("labels") or []), dict(plot.get("series") or {})
    lows, highs = plot.get("low") or {}, plot.get("high") or {}
    every = [v for part in (*series.values(), *lows.values(), *highs.values()) for v in part]
    if not labels or not every or not _numbers(every) or any(len(p) != len(labels) for p in series.values()):
        return Markup("")
    left, width, bar = 110, 300, 8
    low, high = min(0.0, *every), max(0.0, *every)
    step = bar * len(series) + 8

    def x(value: float) -> float:
        return float(left + (value - low) / ((high - low) or 1.0) * width)

    rows = [{"y": i * step + bar + 2, "text": str(label)[:18]} for i, label in enumerate(labels)]
    bars, whiskers = [], []
    for (i, label), (j, (role, values)) in itertools.product(enumerate(labels), enumerate(series.items())):
        y, start, end = i * step + j * bar, min(x(0), x(values[i])), max(x(0), x(values[i]))
        one = {"kind": _role(role), "x": start, "y": y, "width": max(end - start, 0.5), "height": bar - 2}
        bars.append(one | {"title": f"{label}, {role}: {values[i]:.4g}"})
        if len(lows.get(role) or []) == len(highs.get(role) or []) == len(labels):
            whiskers.append({"first": x(lows[role][i]), "last": x(highs[role][i]), "y": y + (bar - 2) / 2})
    height = len(labels) * step
    return drawn("bars", w=left + width + 10, h=height, zero=x(0), labels=rows, bars=bars, whiskers=whiskers)


def _role(name: str) -> str:
    return name if name in ("candidate", "champion", "anchor") else "axis"
