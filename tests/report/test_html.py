"""The report: one file, nothing that runs or loads, every check in it."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from support.evidence_files import Case
from weighin.contract import checks
from weighin.outcome import Unmeasured
from weighin.report import html, plots
from weighin.report.answer import NoDecision

HOSTILE = '</td><script>alert(1)</script><img src="http://x/y">&"\''


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path / "reports")


def test_nothing_in_it_runs_or_loads(case: Case) -> None:
    case.evidence["drift/temp"] = Unmeasured("drift/temp", HOSTILE)
    page = html.report(case.write().record())
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert not re.search(r"<(img|link|iframe|object|embed)\b", page)
    assert not re.search(r"\b(src|srcset|xlink:href)\s*=\s*[\"']?\w", page)
    assert not re.search(r"url\(", page)
    assert "&lt;script&gt;" in page


def test_every_check_is_in_it_once_per_table(case: Case) -> None:
    page = html.report(case.write().record())
    shown = re.findall(r'data-check="([^"]+)"', page)
    assert sorted(map(unescape, shown)) == sorted(c.id for c in checks(case.file.contract))


def test_a_distribution_stands_beside_its_interval_and_limit(case: Case) -> None:
    page = html.report(case.write().record())
    figure = re.search(r'<figure data-histogram="drift/temp">.*?</figure>', page, re.DOTALL)
    assert figure is not None
    assert [figure[0].count(f'class="{kind}"') for kind in ("reference", "current")] == [2, 2]
    assert figure[0].count('class="interval"') == figure[0].count('class="limit"') == 1


def test_a_suite_has_a_page_of_its_own(case: Case) -> None:
    suite = case.write().record()["suites"][3]
    page = html.suite_report(suite)
    assert "drift: passed" in page
    assert len(re.findall("data-check=", page)) == len(suite["outcomes"])


def test_infinite_numbers_do_not_break_a_plot(case: Case) -> None:
    record = case.write().record()
    for suite in record["suites"]:
        for outcome in suite["outcomes"]:
            outcome["evidence"] |= {"low": "-inf", "high": "nan"} if "low" in outcome["evidence"] else {}
            outcome["evidence"]["detail"] = {
                "labels": ["a"],
                "reference": ["nan"],
                "current": [0.1],
                "latency_ms": ["inf", 3.0],
                "share": [0.5, 0.9],
                "limit_ms": 10.0,
                "over_time": {"second": [1, 2], "p50_ms": [1.0, "inf"], "p99_ms": ["inf", "inf"]},
            }
    page = html.report(record)
    assert "nan," not in page
    assert page.count("<polyline") > 0


LOAD = {
    "over_time": {
        "second": [2, 3, 4],
        "p50_ms": [1, 2, 3],
        "p99_ms": [5, "inf", 7],
        "offered": [10, 11, 9],
        "answered": [10, 8, 9],
    },
    "phases": [{"name": "load", "from": 2.0, "to": 3.0}, {"name": HOSTILE, "from": 3.1, "to": 4.0}],
}
STEPS = [
    {"rate": 20, "share": 1, "kept": True, "answered_per_second": 20, "p95_ms": 20},
    {"rate": 40, "share": 0.3, "kept": False, "answered_per_second": 25, "p95_ms": "inf"},
]


def test_the_load_of_a_start_is_drawn_with_its_phases_throughput_and_ramp() -> None:
    latency, through = plots.over_time(LOAD), plots.throughput(LOAD)
    assert latency.count('class="phase"') == through.count('class="phase"') == 2
    assert ">load</text>" in latency
    assert "<script" not in latency + through
    # A failure is drawn at the top edge.
    assert re.search(r"tail\" points=\"0\.0,[\d.]+ 230\.0,0\.0 ", latency)
    assert through.count("<polyline") == 2
    drawn = plots.ramp({"steps": STEPS})
    assert (drawn.count('class="kept"'), drawn.count('class="broken"')) == (1, 1)


@pytest.mark.parametrize(
    "detail",
    [
        {},
        {"steps": []},
        {"steps": [{"rate": "nan", "share": 1, "answered_per_second": 1}]},
        {"steps": [{}]},
        {"over_time": {"second": [1, 2], "offered": [1], "answered": [1, 2]}},
        {"over_time": {"second": ["x", "y"], "offered": [1, 2], "answered": [1, 2]}},
    ],
)
def test_what_cannot_be_drawn_is_left_out(detail: dict[str, object]) -> None:
    assert plots.ramp(detail) == plots.throughput(detail) == plots.over_time(detail) == ""


def test_a_run_without_a_decision_says_why() -> None:
    page = html.no_decision(NoDecision("the registry is away <b>"))
    assert "Not evaluated" in page
    assert "the registry is away &lt;b&gt;" in page
