"""A check over time as inline SVG: estimate and interval of each run, the limit, and what happened.

However many runs there are, a chart stays small: they are put in buckets, and of each bucket the smallest and the
largest value are drawn. Nothing that lay beyond a limit disappears.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from weighin.report.svg import drawn
from weighin.untrusted import JsonDict

WIDTH, HEIGHT, LEFT, TOP, BELOW = 380, 120, 44, 16, 18
"""Of what is drawn in, and of the margins for numbers, marks and days."""
BUCKETS = 150
HUGE = 1e300
MARKS = {"alarm": "▼", "rollback": "◀", "verified": "✔", "recovered": "●", "needs_human": "◆"}


@dataclass(frozen=True)
class Line:
    """What runs saw of a check under one version; arrays (n,), sorted by time.

    moments     seconds since 1970
    low, high   NaN where an end of the interval is infinite
    """

    version: str
    moments: NDArray[np.float64]
    estimate: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @staticmethod
    def of(version: str, moments: Sequence[float], *values: Sequence[float]) -> Line:
        """Sorted, and without what has no estimate."""
        columns = [np.asarray(v, dtype=np.float64) for v in (moments, *values)]
        known = np.isfinite(columns[0]) & np.isfinite(columns[1])
        order = np.argsort(columns[0][known], kind="stable")
        at, estimate, low, high = (np.clip(c[known][order], -HUGE, HUGE) for c in columns)
        return Line(version, at, estimate, low, high)


@dataclass(frozen=True)
class Mark:
    """Something that happened."""

    kind: str
    moment: float
    message: str


@dataclass(frozen=True)
class Frame:
    """The part of time and values that is drawn."""

    start: float
    end: float
    bottom: float
    top: float

    def x(self, moment: float) -> float:
        """Where a moment lies."""
        return LEFT + (moment - self.start) / (self.end - self.start) * (WIDTH - LEFT)

    def y(self, value: float) -> float:
        """Where a value lies; what is beyond the frame, on its edge."""
        share = (value - self.bottom) / (self.top - self.bottom)
        return TOP + (1 - min(max(share, 0.0), 1.0)) * HEIGHT


def over_time(
    title: str,
    lines: Sequence[Line],
    marks: Sequence[Mark],
    limit: float,
    *,
    at_least: bool | None,
    version: str,
    now: float,
    every: float,
) -> Markup:
    """Return the chart of one check. Empty where there is nothing to draw.

    lines    the oldest first
    at_least on which side of the limit values must lie; None where the limit is the value that is due
    version  that is champion now; lines of others are drawn paler
    now      when the newest run was; every: seconds between runs
    """
    lines = [line for line in lines if line.moments.size]
    if not lines or not math.isfinite(limit):
        return Markup("")
    frame = _frame(lines, limit, now, every)
    return _chart(
        title,
        frame,
        limit,
        at_least,
        axis=_days(frame),
        lines=[_line(line, frame, every, newest=line.version == version) for line in lines],
        # Where another version became champion.
        changes=[
            {"x": frame.x(float(line.moments[0])), "title": f"version {line.version} from here"} for line in lines[1:]
        ],
        marks=_marks(marks, frame),
    )


def over_labels(title: str, line: Line, limit: float, *, at_least: bool, every: float) -> Markup:
    """Return the chart of one check by the number of labels, which take the place of moments. Empty without any.

    every  labels between points
    """
    if not line.moments.size or not math.isfinite(limit):
        return Markup("")
    ends = np.concatenate([line.low, line.high, line.estimate, [limit]])
    ends = ends[np.isfinite(ends)]
    # The first intervals are so wide that nothing else would be seen.
    bottom, top = (float(np.quantile(ends, q)) for q in (0.1, 0.9))
    bottom, top = min(bottom, limit, float(line.low[-1])), max(top, limit, float(line.high[-1]))
    pad = (top - bottom) * 0.08 or abs(limit) * 0.1 or 1.0
    last = float(line.moments[-1])
    frame = Frame(0.0, last, bottom - pad, top + pad)
    places = ((0.0, "start"), (last / 2, "middle"), (last, "end"))
    return _chart(
        title,
        frame,
        limit,
        at_least,
        axis=[{"anchor": anchor, "x": frame.x(at), "text": f"{at:,.0f}"} for at, anchor in places],
        lines=[_line(line, frame, every, newest=True)],
    )


def _chart(
    title: str,
    frame: Frame,
    limit: float,
    at_least: bool | None,
    *,
    axis: Sequence[JsonDict],
    lines: Sequence[JsonDict],
    changes: Sequence[JsonDict] = (),
    marks: Sequence[JsonDict] = (),
) -> Markup:
    """Return a chart of what was placed in a frame; axis: the texts below it."""
    bound = frame.y(limit)
    edge = bound if at_least is None else (TOP + HEIGHT if at_least else TOP)
    return drawn(
        "over_time",
        w=WIDTH,
        h=TOP + HEIGHT + BELOW,
        left=LEFT,
        top=TOP,
        height=HEIGHT,
        title=title,
        forbidden={"y": min(bound, edge), "height": abs(edge - bound)},
        limit=bound,
        numbers=[{"y": frame.y(v), "text": f"{v:.4g}"} for v in _round_numbers(frame.bottom, frame.top)],
        days=axis,
        lines=lines,
        changes=changes,
        marks=marks,
    )


def _frame(lines: Sequence[Line], limit: float, now: float, every: float) -> Frame:
    """All of the newest version, and before it as much again, or a day; all estimates, and most of the intervals."""
    newest = lines[-1].moments
    end = max(float(newest[-1]), now)
    before = float(newest[0]) - max(end - float(newest[0]), 86_400.0)
    start = max(min(float(line.moments[0]) for line in lines), before)
    start = min(start, end - 6 * every)
    shown = [line.moments >= start for line in lines]
    limit = min(max(limit, -HUGE), HUGE)
    values = np.concatenate([[limit], *(line.estimate[s] for line, s in zip(lines, shown, strict=True))])
    bottom, top = float(values.min()), float(values.max())
    for name, share in (("low", 0.02), ("high", 0.98)):
        ends = np.concatenate([getattr(line, name)[s] for line, s in zip(lines, shown, strict=True)])
        ends = ends[np.isfinite(ends)]
        if ends.size:
            one = float(np.quantile(ends, share))
            bottom, top = min(bottom, one), max(top, one)
    pad = (top - bottom) * 0.08 or abs(limit) * 0.1 or 1.0
    return Frame(start, end, bottom - pad, top + pad)


def _buckets(line: Line, frame: Frame, every: float) -> Iterator[list[tuple[float, ...]]]:
    """Unbroken parts of a line, as (moment, estimate, low, high). A gap of several runs breaks it."""
    shown = line.moments >= frame.start
    at, low, high = line.moments[shown], line.low[shown], line.high[shown]
    estimate = line.estimate[shown]
    if not at.size:
        return
    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    bucket = np.floor((at - frame.start) / (frame.end - frame.start) * BUCKETS)
    steps = np.diff(at)
    usual = max(every, float(np.median(steps)) if steps.size else 0.0)
    gaps = steps > 3 * usual
    cuts = np.flatnonzero((np.diff(bucket) > 0) | gaps) + 1
    part: list[tuple[float, ...]] = []
    for first, last in zip([0, *cuts], [*cuts, at.size], strict=True):
        if part and gaps[first - 1]:
            yield part
            part = []
        own = estimate[first:last]
        ends = (float(low[first:last].min()), float(high[first:last].max()))
        for place in sorted({int(own.argmin()), int(own.argmax())}):
            part.append((float(at[first + place]), float(own[place]), *ends))
    yield part


def _line(line: Line, frame: Frame, every: float, *, newest: bool) -> JsonDict:
    """Bands, estimates, and points where a run stands alone; the newest run of all has a point."""
    parts = []
    for part in _buckets(line, frame, every):
        places = [(frame.x(p[0]), *(frame.y(v) for v in p[1:])) for p in part]
        x, estimate, low, high = places[-1]
        drawn_part: dict[str, Any] = {"curve": "", "point": None, "x": x, "low": low, "high": high}
        if len(part) > 1:
            lows, highs = ([f"{p[0]:.1f},{p[i]:.1f}" for p in places] for i in (2, 3))
            drawn_part |= {"band": " ".join([*lows, *reversed(highs)])}
            drawn_part |= {"curve": " ".join(f"{p[0]:.1f},{p[1]:.1f}" for p in places)}
        if len(part) == 1 or (newest and part[-1][0] == line.moments[-1]):
            drawn_part["point"] = (x, estimate)
        parts.append(drawn_part)
    return {"kind": "now" if newest else "before", "parts": parts}


def _days(frame: Frame) -> list[JsonDict]:
    places = ((frame.start, "start"), ((frame.start + frame.end) / 2, "middle"), (frame.end, "end"))
    span = frame.end - frame.start
    return [{"anchor": anchor, "x": frame.x(moment), "text": _day(moment, span)} for moment, anchor in places]


def _round_numbers(bottom: float, top: float) -> list[float]:
    """Two to five round numbers between."""
    raw = (top - bottom) / 3
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= raw * 0.999)
    return [i * step for i in range(math.ceil(bottom / step), math.floor(top / step) + 1)]


def _day(moment: float, span: float) -> str:
    days = span / 86_400
    form = "%H:%M" if days < 0.8 else "%-d %b %H:%M" if days < 8 else "%-d %b %Y"
    return datetime.fromtimestamp(moment, UTC).strftime(form)


def _marks(marks: Sequence[Mark], frame: Frame) -> list[JsonDict]:
    """Those in the frame; several of a kind at one place are one mark that says how many."""
    places: dict[tuple[int, str], list[Mark]] = {}
    for mark in marks:
        if mark.kind in MARKS and frame.start <= mark.moment <= frame.end:
            places.setdefault((round(frame.x(mark.moment) / 6), mark.kind), []).append(mark)
    shown = []
    for (_, kind), found in places.items():
        title = found[-1].message if len(found) == 1 else f"{len(found)} here, the last: {found[-1].message}"
        shown.append({"kind": kind, "title": title, "x": frame.x(found[-1].moment), "sign": MARKS[kind]})
    return shown
