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


def over_time(detail: Mapping[str, Any]) -> Markup:
    """Median and 99th percentile of each second of the run, failures at the top edge."""
    series = detail.get("over_time") or {}
    moments, medians, tails = (list(series.get(k) or []) for k in ("second", "p50_ms", "p99_ms"))
    finite = [v for v in [*medians, *tails] if _numbers([v])]
    if len(moments) < 2 or not finite or not len(moments) == len(medians) == len(tails) or not _numbers(moments):
        return Markup("")
    width, height, top = 460, 120, max(finite) * 1.1 or 1.0
    span = moments[-1] - moments[0] or 1

    def line(values: Sequence[object]) -> str:
        heights = [min(v, top) if isinstance(v, (int, float)) else top for v in values]
        return " ".join(
            f"{(m - moments[0]) / span * width:.1f},{height - v / top * height:.1f}"
            for m, v in zip(moments, heights, strict=True)
        )

    return Markup(
        '<svg class="latency" role="img" viewBox="0 0 {w} {full}" width="{w}" height="{full}">'
        "<title>Latency by second: median and 99th percentile</title>"
        '<line class="axis" x1="0" x2="{w}" y1="{h}" y2="{h}"/><text x="4" y="12">{top:.0f} ms</text>'
        '<text x="0" y="{label}">second {first:.0f}</text><text x="{end}" y="{label}">second {last:.0f}</text>'
        '<polyline class="curve" points="{medians}"/><polyline class="curve tail" points="{tails}"/></svg>'
    ).format(
        w=width,
        h=height,
        full=height + 22,
        label=height + 16,
        end=width - 60,
        top=top,
        first=moments[0],
        last=moments[-1],
        medians=line(medians),
        tails=line(tails),
    )


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
