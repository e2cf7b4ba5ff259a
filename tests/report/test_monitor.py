"""The page of the monitor: the state first, nothing that runs or loads, small charts that hide nothing."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from html.parser import HTMLParser

import numpy as np
import pytest

from support.monitor_pages import AUC, DRIFT, ERRORS, MONITOR, NOW, event, item, measured, notified, run, series
from weighin.monitor.history import History, Series
from weighin.monitor.result import document
from weighin.outcome import Direction, Limit, Measurement, Unmeasured, decide
from weighin.record.outcomes import encode_outcome
from weighin.report.monitor import page
from weighin.report.series import BUCKETS, HEIGHT, TOP

HOSTILE = '</td></title><script>alert(1)</script><img src="http://x/y" onerror=alert(1)>&"\' {{ 7777 * 7777 }}'
AT_MOST = Limit(Direction.AT_MOST, 0.01, 0.01)
AT_LEAST = Limit(Direction.AT_LEAST, 0.6, 0.01)
NOTHING = History((), ())


class Tags(HTMLParser):
    """Names of all tags and attributes, as a parser of HTML reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def figures(html: str) -> dict[str, str]:
    return dict(re.findall(r'<figure data-check="([^"]*)".*?>(.*?)</figure>', html, re.DOTALL))


def test_the_state_comes_first_then_what_is_open_then_charts_then_events() -> None:
    html = page(*notified())
    order = ["The alarm of monitor/last-1-hours/drift/temp is open.", 'id="open"', 'id="checks"', 'id="events"']
    order += ['id="problems"', 'id="promise"']
    assert sorted(order, key=html.index) == order
    assert "at most <b>0.5</b> false alarms are expected in 30 days" in html
    assert "with a run every <b>5</b> minutes" in html
    assert "in <b>3</b> windows in a row" in html
    assert "12 rows lie more than five minutes ahead" in html
    checks = list(figures(html))
    assert checks[0] == DRIFT
    assert len(checks) == 6


def test_a_chart_has_interval_limit_both_versions_and_what_happened() -> None:
    chart = figures(page(*notified()))[ERRORS]
    assert [chart.count(f'class="{name}"') for name in ("band", "curve", "limit", "before", "now", "change")] == [
        2, 2, 1, 1, 1, 1
    ]  # fmt: skip
    assert [chart.count(f'class="mark {kind}"') for kind in ("alarm", "rollback", "verified", "recovered")] == [
        1,
        1,
        1,
        0,
    ]
    assert "version 3 from here" in chart


@pytest.mark.parametrize(
    ("evidence", "away", "message"),
    [
        (measured(ERRORS, 0.004, 0.001), "", "The check keeps its limit."),
        (measured(ERRORS, 0.01, 0.005), "", "No alarm, and no all-clear: of 1 check 1 is inconclusive."),
        (measured(ERRORS, 0.05, 0.005), "", "No alarm, and no all-clear: of 1 check 1 fails, and is no alarm yet."),
        (Unmeasured(ERRORS, "12 rows"), "", "No alarm, and no all-clear: of 1 check 1 could not be evaluated."),
        (
            Unmeasured(ERRORS, "away"),
            "refused",
            "The log cannot be read: nothing is known of what the champion answers",
        ),
    ],
)
def test_the_state_is_said_in_one_sentence(evidence: Measurement | Unmeasured, away: str, message: str) -> None:
    html = page(document(run([(item(ERRORS, AT_MOST), evidence)], away=away)), NOTHING)
    assert message in html
    assert 'id="open"' not in html
    assert "Nothing has happened yet." in html


def test_an_alarm_about_the_log_is_open_without_a_check_of_its_own() -> None:
    events = [event(1, "alarm", 30, checks=("monitor/log",), message="the log cannot be read: refused")]
    html = page(document(run([(item(ERRORS, AT_MOST), Unmeasured(ERRORS, "away"))], events, away="refused")), NOTHING)
    assert 'data-open="monitor/log"' in html
    assert "the log cannot be read: refused" in html


def test_a_rollback_that_is_not_verified_is_said_at_the_top() -> None:
    events = [event(1, "rollback", 10, checks=(ERRORS,), action="rollback", message="rolled back")]
    evidence = [(item(ERRORS, AT_MOST), measured(ERRORS, 0.004, 0.001))]
    assert "waits for fresh traffic" in page(document(run(evidence, events)), NOTHING)
    events.append(event(2, "verified", 5, checks=(ERRORS,), in_reply_to=1))
    assert "waits for fresh traffic" not in page(document(run(evidence, events)), NOTHING)


def test_without_history_the_look_of_now_is_drawn_alone() -> None:
    chart = figures(page(document(run([(item(ERRORS, AT_MOST), measured(ERRORS, 0.004, 0.001))])), NOTHING))[ERRORS]
    assert chart.count("<circle") == 1
    assert chart.count('class="range"') == 1
    assert "<polyline" not in chart


def curve(html: str, check: str = ERRORS, of: str = "curve") -> list[tuple[float, float]]:
    found = re.findall(rf'class="{of}" points="([^"]*)"', figures(html)[check])
    return [(float(x), float(y)) for part in found for x, y in (p.split(",") for p in part.split())]


def test_of_8000_looks_the_one_that_stands_out_is_still_drawn() -> None:
    values = np.full(8000, 0.004)
    values[3217], values[6001] = 0.02, 0.001
    found = History((series(ERRORS, "3", values, 0.0005, NOW),), ())
    html = page(document(run([(item(ERRORS, AT_MOST), measured(ERRORS, 0.004, 0.0005))])), found)
    assert len(html) < 40_000
    drawn = curve(html)
    assert BUCKETS <= len(drawn) <= 2 * BUCKETS + 2
    limit = float(re.search(r'class="limit" [^>]*y1="([\d.]+)"', figures(html)[ERRORS])[1])  # type: ignore[index]
    assert sum(y < limit for _, y in drawn) == 1
    usual = max({y for _, y in drawn}, key=[y for _, y in drawn].count)
    assert sum(y > usual + 1 for _, y in drawn) == 1
    bands = curve(html, of="band")
    assert min(y for _, y in bands) < limit
    assert all(TOP <= y <= TOP + HEIGHT for _, y in drawn + bands)


def test_a_gap_breaks_the_line_and_an_infinite_end_reaches_the_edge() -> None:
    early = series(ERRORS, "3", np.full(50, 0.004), 0.001, NOW - timedelta(hours=8))
    late = series(ERRORS, "3", np.full(50, 0.004), 0.001, NOW)
    highs = tuple(math.nan for _ in late.highs)
    one = Series(ERRORS, "3", early.moments + late.moments, early.estimates * 2, early.lows * 2, early.highs + highs)
    html = page(document(run([(item(ERRORS, AT_MOST), measured(ERRORS, 0.004, 0.001))])), History((one,), ()))
    assert figures(html)[ERRORS].count("<polyline") == 2
    assert min(y for _, y in curve(html, of="band")) == TOP
    assert "nan" not in figures(html)[ERRORS]


@pytest.mark.parametrize("value", [1e308, -1e308, math.inf, math.nan, 1e-320, 0.0])
def test_numbers_at_the_ends_of_floating_point_are_drawn_or_left_out(value: float) -> None:
    limit = Limit(Direction.AT_MOST, value if math.isfinite(value) else 0.0, 0.01)
    found = Series(ERRORS, "3", (NOW - timedelta(hours=1), NOW), (value, 0.5), (value, value), (value, math.nan))
    evidence = Measurement(ERRORS, value, -math.inf, math.inf, 0.99, 10, "", "m")
    html = page(document(run([(item(ERRORS, limit), evidence)])), History((found,), ()))
    chart = figures(html)[ERRORS].partition("<svg")[2].partition("</title>")[2]
    assert "nan" not in chart
    assert "inf" not in chart


def test_a_thousand_events_at_one_place_are_one_mark_and_one_short_table() -> None:
    events = [event(i, "recovered", 60 + i / 1000, checks=(ERRORS,), message="again") for i in range(1, 1001)]
    found = History((series(ERRORS, "3", np.full(600, 0.004), 0.001, NOW),), tuple(events))
    html = page(document(run([(item(ERRORS, AT_MOST), measured(ERRORS, 0.004, 0.001))], events)), found)
    assert figures(html)[ERRORS].count('class="mark recovered"') == 1
    assert "1000 here" in html
    assert html.count("data-event=") == 100
    assert "And 900 older ones" in html


def test_nothing_in_it_runs_or_loads_whatever_the_log_and_the_registry_say() -> None:
    check = f"monitor/last-1000/drift/{HOSTILE}"
    events = [
        event(1, "alarm", 30, checks=(check,), message=HOSTILE, version=HOSTILE, actor=HOSTILE),
        event(2, "rollback", 20, checks=(check,), message=HOSTILE, version=HOSTILE),
    ]
    evidence = [
        (item(check, AT_MOST, baseline=HOSTILE), measured(check, 0.02, 0.001)),
        (item(AUC, AT_MOST), Unmeasured(AUC, HOSTILE)),
    ]
    value = document(run(evidence, events, model=HOSTILE, version=HOSTILE, problems=[HOSTILE]))
    html = page(value, History((series(check, HOSTILE, np.full(9, 0.02), 0.001, NOW),), tuple(events)))
    assert "default-src 'none'" in html
    assert not re.search(r"url\(", html)
    found = Tags()
    found.feed(html)
    assert not found.names & {"script", "img", "link", "iframe", "object", "embed", "a", "form"}
    assert not [name for name in found.attributes if name.startswith("on") or name in ("src", "href", "style")]
    assert html.count("&lt;script&gt;") > 10
    assert str(7777 * 7777) not in html


def test_the_rule_of_the_contract_is_the_one_that_is_promised() -> None:
    assert MONITOR.evidence.consecutive_windows == 3
    one = MONITOR.model_copy(update={"evidence": MONITOR.evidence.model_copy(update={"consecutive_windows": 1})})
    value = document(run([(item(ERRORS, AT_MOST), measured(ERRORS, 0.004, 0.001))]))
    value["evidence"]["consecutive_windows"] = one.evidence.consecutive_windows
    assert "windows in a row" not in page(value, NOTHING)


def test_what_was_done_without_an_open_alarm_is_the_sentence() -> None:
    events = [
        event(1, "alarm", 1, checks=(ERRORS,), action="rollback", version="4", promotion_id=2),
        event(2, "rollback", 1, checks=(ERRORS,), message="from 4 to 3", in_reply_to=1),
    ]
    text = page(document(run([(item(ERRORS, AT_MOST), measured(ERRORS, 0.5, 0.1))], events, new=2)), NOTHING)
    assert "Rolled back: from 4 to 3." in text


def test_an_estimate_is_marked_as_one_and_streams_say_why_they_are_silent() -> None:
    value = document(run([(item(AUC, AT_LEAST), Unmeasured(AUC, "no label has come"))]))
    expected = decide(measured(f"{AUC}/estimate", 0.7, 0.05), AT_LEAST)
    streams = [{"check": "monitor/stream/adwin/error", "rows_used": 3, "reason": "3 rows have come", "new": 0}]
    text = page({**value, "estimates": [encode_outcome(expected)], "streams": streams}, NOTHING)
    assert "Before labels come: about <b>0.7</b>" in text
    assert "if the probabilities are right" in text
    assert "3 rows have come" in text
