"""Plots as inline SVG: nothing to load, nothing to run. Text from a record is escaped by `Markup.format`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from weighin.report.view import CheckView

WIDTH, HEIGHT = 240, 26
BARS, FLOOR = 220, 70


def interval(view: CheckView) -> Markup:
    """The interval against its limit; the forbidden side is shaded. Empty where there are no numbers to draw."""
    if view.numbers is None:
        return Markup("")
    low, estimate, high, limit = (max(min(v, 1e300), -1e300) for v in view.numbers)
    left, right = min(low, limit), max(high, limit)
    pad = (right - left) * 0.15 or abs(limit) * 0.1 or 1.0
    left, right = left - pad, right + pad

    def x(value: float) -> str:
        return f"{(value - left) / (right - left) * WIDTH:.1f}"

    start, width = (0.0, float(x(limit))) if view.at_least else (float(x(limit)), WIDTH - float(x(limit)))
    return Markup(
        '<svg class="interval" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}">'
        "<title>{title}</title>"
        '<rect class="forbidden" x="{start:.1f}" y="0" width="{width:.1f}" height="{h}"/>'
        '<line class="limit" x1="{limit}" x2="{limit}" y1="0" y2="{h}"/>'
        '<line class="range" x1="{low}" x2="{high}" y1="13" y2="13"/>'
        '<circle class="estimate" cx="{estimate}" cy="13" r="4"/></svg>'
    ).format(
        w=WIDTH,
        h=HEIGHT,
        title=f"{view.check}: {view.estimate}, interval {view.interval}, limit {view.limit}",
        start=start,
        width=width,
        limit=x(limit),
        low=x(low),
        high=x(high),
        estimate=x(estimate),
    )


def histogram(detail: Mapping[str, Any]) -> Markup:
    """Shares of the reference beside those of the current data, bin by bin. Empty where the record has none."""
    labels, before, after = (list(detail.get(k) or []) for k in ("labels", "reference", "current"))
    if not labels or not len(labels) == len(before) == len(after) or not _numbers([*before, *after]):
        return Markup("")
    top = max([*before, *after]) or 1.0
    step = BARS / len(labels)
    bars = Markup("")
    for i, (label, a, b) in enumerate(zip(labels, before, after, strict=True)):
        for kind, share, shift in (("reference", a, 0.0), ("current", b, 0.42)):
            height = share / top * FLOOR
            bars += Markup(
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
            ).format(
                kind,
                i * step + shift * step,
                FLOOR - height,
                max(step * 0.4, 0.5),
                height,
                f"{label}: {kind} {share:.1%}",
            )
    return Markup(
        '<svg class="histogram" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}">{bars}'
        '<line class="axis" x1="0" x2="{w}" y1="{floor}" y2="{floor}"/></svg>'
    ).format(w=BARS, h=FLOOR + 2, floor=FLOOR, bars=bars)


def latency(detail: Mapping[str, Any]) -> Markup:
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
    ticks = Markup("")
    for power in range(math.floor(left), math.ceil(right) + 1):
        for value in (10**power, 2 * 10**power, 5 * 10**power):
            if left < math.log10(value) < right:
                ticks += Markup('<text x="{:.1f}" y="{}">{} ms</text>').format(x(value), height + 16, f"{value:g}")
    for share in (0.5, 0.9):
        y = (1 - share) * height
        ticks += Markup('<line class="grid" x1="0" x2="{}" y1="{:.1f}" y2="{:.1f}"/>').format(width, y, y)
        ticks += Markup('<text x="4" y="{:.1f}">{}</text>').format(y - 3, f"{share:.0%}")
    return Markup(
        '<svg class="latency" role="img" viewBox="0 0 {w} {full}" width="{w}" height="{full}">'
        "<title>Share of requests answered within a time</title>{ticks}"
        '<line class="axis" x1="0" x2="{w}" y1="{h}" y2="{h}"/>'
        '<line class="limit" x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{h}"/>'
        '<polyline class="curve" points="{curve}"/></svg>'
    ).format(w=width, h=height, full=height + 22, ticks=ticks, at=x(limit), curve=curve)


PLOT_WIDTH, PLOT_HEIGHT = 460, 120


def over_time(detail: Mapping[str, Any]) -> Markup:
    """Median and 99th percentile of each second of a start with its phases, failures at the top edge."""
    series = detail.get("over_time") or {}
    moments, medians, tails = (list(series.get(k) or []) for k in ("second", "p50_ms", "p99_ms"))
    lines = Markup('<polyline class="curve" points="{}"/><polyline class="curve tail" points="{}"/>')
    return _by_second(detail, moments, (medians, tails), lines, "ms", "Latency by second: median and 99th percentile")


def throughput(detail: Mapping[str, Any]) -> Markup:
    """Requests that were due and that were answered rightly in each second of a start."""
    series = detail.get("over_time") or {}
    moments, offered, answered = (list(series.get(k) or []) for k in ("second", "offered", "answered"))
    lines = Markup('<polyline class="offered" points="{}"/><polyline class="curve" points="{}"/>')
    return _by_second(detail, moments, (offered, answered), lines, "per second", "Requests due and answered by second")


def _by_second(
    detail: Mapping[str, Any],
    moments: list[Any],
    series: tuple[list[Any], list[Any]],
    lines: Markup,
    unit: str,
    title: str,
) -> Markup:
    """Two series over the seconds of a start, whose phases are marked. What is no number is drawn at the top."""
    finite = [v for part in series for v in part if _numbers([v])]
    if len(moments) < 2 or not finite or any(len(p) != len(moments) for p in series) or not _numbers(moments):
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

    marks = Markup("")
    for number, phase in enumerate(detail.get("phases") or []):
        first = phase.get("from")
        if not _numbers([first]):
            continue
        # Names of neighbouring phases stand on two lines, so that short ones do not run into each other.
        marks += Markup(
            '<line class="phase" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{h}"/><text x="{t:.1f}" y="{y}">{name}</text>'
        ).format(x=x(first), t=x(first) + 3, h=PLOT_HEIGHT, y=26 + 12 * (number % 2), name=str(phase.get("name")))
    return Markup(
        '<svg class="latency" role="img" viewBox="0 0 {w} {full}" width="{w}" height="{full}"><title>{title}</title>'
        '<line class="axis" x1="0" x2="{w}" y1="{h}" y2="{h}"/>{marks}<text x="4" y="12">{top:.0f} {unit}</text>'
        '<text x="0" y="{label}">second {first:.0f}</text><text x="{end}" y="{label}">second {last:.0f}</text>'
        "{lines}</svg>"
    ).format(
        w=PLOT_WIDTH,
        h=PLOT_HEIGHT,
        full=PLOT_HEIGHT + 22,
        title=title,
        marks=marks,
        label=PLOT_HEIGHT + 16,
        end=PLOT_WIDTH - 60,
        top=top,
        unit=unit,
        first=moments[0],
        last=moments[-1],
        lines=lines.format(*(line(s) for s in series)),
    )


def ramp(detail: Mapping[str, Any]) -> Markup:
    """Answers per second against requests per second, a point a step; the line is what is asked for."""
    steps = list(detail.get("steps") or [])
    rates, answered, shares = ([s.get(k) for s in steps] for k in ("rate", "answered_per_second", "share"))
    if not steps or not _numbers([*rates, *answered, *shares]) or max(rates) <= 0:
        return Markup("")
    size = PLOT_HEIGHT + 40
    top = max([*rates, *answered]) * 1.1

    def place(value: float) -> float:
        return float(value / top * size)

    points = Markup("")
    for step, rate, got, part in zip(steps, rates, answered, shares, strict=True):
        points += Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4"><title>{}</title></circle>').format(
            "kept" if step.get("kept") else "broken",
            place(rate),
            size - place(got),
            f"{rate:g} requests per second: {got:.1f} answered, {part:.1%} in time",
        )
    return Markup(
        '<svg class="ramp" role="img" viewBox="0 0 {s} {full}" width="{s}" height="{full}">'
        "<title>Answered against asked for</title>"
        '<line class="ideal" x1="0" y1="{s}" x2="{s}" y2="0"/><line class="axis" x1="0" y1="{s}" x2="{s}" y2="{s}"/>'
        '<line class="axis" x1="0" y1="0" x2="0" y2="{s}"/>{points}'
        '<text x="4" y="12">{top:.0f} answers per second</text>'
        '<text x="0" y="{below}">0 to {top:.0f} requests per second</text></svg>'
    ).format(s=size, full=size + 20, below=size + 15, top=top, points=points)


def _numbers(values: Sequence[object]) -> bool:
    return all(isinstance(v, (int, float)) and math.isfinite(v) for v in values)


def information(plot: Mapping[str, Any]) -> Markup:
    """The plot of a table that is shown for information. Empty where there is nothing that can be drawn."""
    match plot.get("kind"):
        case "calibration":
            return _calibration(plot.get("series") or {})
        case "bars":
            return _bars(plot)
    return Markup("")


def _calibration(series: Mapping[str, Any]) -> Markup:
    """Share of positives against mean probability; the dashed line is a model that keeps its word."""
    size = 180
    lines = Markup('<line class="ideal" x1="0" y1="{s}" x2="{s}" y2="0"/>').format(s=size)
    for role, points in series.items():
        if not all(len(p) == 2 and _numbers(p) for p in points):
            return Markup("")
        path = " ".join(f"{x * size:.1f},{(1 - y) * size:.1f}" for x, y in points)
        lines += Markup('<polyline class="{}" points="{}"><title>{}</title></polyline>').format(_role(role), path, role)
    return Markup(
        '<svg class="calibration" role="img" viewBox="0 0 {s} {full}" width="{s}" height="{full}">'
        '<line class="axis" x1="0" y1="{s}" x2="{s}" y2="{s}"/><line class="axis" x1="0" y1="0" x2="0" y2="{s}"/>'
        "{lines}"
        '<text x="0" y="{below}">predicted, 0 to 1</text></svg>'
    ).format(s=size, full=size + 20, below=size + 15, lines=lines)


def _bars(plot: Mapping[str, Any]) -> Markup:
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

    drawn = Markup("")
    for i, label in enumerate(labels):
        drawn += Markup('<text x="0" y="{:.1f}">{}</text>').format(i * step + bar + 2, str(label)[:18])
        for j, (role, values) in enumerate(series.items()):
            y, start, end = i * step + j * bar, min(x(0), x(values[i])), max(x(0), x(values[i]))
            drawn += Markup(
                '<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}"><title>{}</title></rect>'
            ).format(_role(role), start, y, max(end - start, 0.5), bar - 2, f"{label}, {role}: {values[i]:.4g}")
            if len(lows.get(role) or []) == len(highs.get(role) or []) == len(labels):
                a, b = x(lows[role][i]), x(highs[role][i])
                drawn += Markup('<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{m}" y2="{m}"/>').format(
                    a, b, m=y + (bar - 2) / 2
                )
    drawn += Markup('<line class="axis" x1="{z:.1f}" x2="{z:.1f}" y1="0" y2="{h}"/>').format(
        z=x(0), h=len(labels) * step
    )
    return Markup('<svg class="bars" role="img" viewBox="0 0 {w} {h}" width="{w}" height="{h}">{drawn}</svg>').format(
        w=left + width + 10, h=len(labels) * step, drawn=drawn
    )


def _role(name: str) -> str:
    return name if name in ("candidate", "champion", "anchor") else "axis"
