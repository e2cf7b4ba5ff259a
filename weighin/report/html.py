"""One HTML file that holds everything: no script, no request, a content security policy that forbids both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from weighin.github.escape import visible
from weighin.report import plots
from weighin.report.view import WORDS, CheckView, causes, cell, check_view, in_order, seconds, versions
from weighin.untrusted import JsonDict, JsonObject, JsonValue


def report(record: JsonObject) -> str:
    """`report.html`: the verdict, then every suite with all of its checks, each with interval and limit."""
    candidate, champion = versions(record)
    # What blocks comes first, and a long list of counts does not stand before a short list of intervals.
    suites = sorted((_suite(s) for s in record["suites"]), key=lambda s: (s["status"] == "passed", len(s["views"])))
    return template().render(
        title=f"{record['model']}: {WORDS[record['verdict']['status']]}",
        record=record,
        candidate=candidate,
        champion=champion,
        status=record["verdict"]["status"],
        problems=[*record["verdict"]["problems"], *(p for s in record["suites"] for p in s["problems"])],
        blocking=causes([v for s in suites for v in s["views"] if v.blocks]),
        blocks=sum(s["blocking"] for s in suites),
        suites=suites,
        datasets=[_dataset(name, value) for name, value in record["data"].items()],
    )


def suite_report(suite: JsonObject) -> str:
    """`<suite>/report.html`: one suite of a record."""
    one = _suite(suite)
    return template().render(
        title=f"{suite['suite']}: {WORDS[suite['status']]}",
        record=None,
        status=suite["status"],
        problems=suite["problems"],
        blocking=[v for v in one["views"] if v.blocks],
        suites=[one],
    )


def no_decision(reason: str) -> str:
    """`report.html` of a run that came to no decision."""
    return template().render(
        title="not evaluated", record=None, status="not_evaluated", problems=[reason], blocking=[], suites=[]
    )


def _dataset(name: str, value: JsonObject) -> JsonDict:
    """Return a dataset in words. One of which only a model's stored profile is known has neither rows nor a file."""
    what = f"{value['rows']:,} rows" if "rows" in value else "no rows, the profile that is stored with a model"
    digest = value.get("sha256") or value.get("profile", "")
    return {"name": name, "what": what, "digest": digest, "problem": value.get("problem") or value.get("uncounted", "")}


def _suite(suite: JsonObject) -> JsonDict:
    views = in_order(suite["outcomes"])
    in_contract_order = [check_view(o) for o in suite["outcomes"]]
    return {
        "name": suite["suite"],
        "status": suite["status"],
        "seconds": suite["seconds"],
        "views": views,
        "blocking": sum(v.blocks for v in views),
        "warnings": sum(v.warns for v in views),
        "histograms": [(v, p) for v in in_contract_order if (p := plots.histogram(v.detail))],
        "tables": [_table(t) for t in suite.get("information", ())],
        "curves": [c for v in in_contract_order for c in _curves(v)],
    }


def _curves(view: CheckView) -> list[tuple[str, Markup]]:
    """Return what a load check has to show, each with what it shows; nothing where there is nothing to draw."""
    found = (
        (f"Requests answered within a time; the red line is the limit of {view.check}", plots.latency),
        ("Latency by second of the last start: median (blue) and 99th percentile (amber)", plots.over_time),
        ("Requests due (grey) and answered (blue) in each second of the last start", plots.throughput),
        (f"Steps of the ramp: answered against asked for, red where {view.check} was not kept", plots.ramp),
    )
    return [(caption, plot) for caption, draw in found if (plot := draw(view.detail))]


def _table(table: JsonObject) -> tuple[JsonDict, Any]:
    """Return a table that is shown for information, its cells as text, and its plot."""
    rows = [[cell(value) for value in row] for row in table["rows"]]
    return {**table, "rows": rows}, plots.information(table.get("plot") or {})


@dataclass(frozen=True)
class Page:
    """A template, and what it becomes: of the whole page no character is invisible or governs others."""

    _template: Template

    def render(self, **values: JsonValue) -> str:
        """Return the page. Texts in plots have no other place in which they all come by."""
        return visible(self._template.render(**values), "\n")


@cache
def template(name: str = "report.html.j2") -> Page:
    """Return a template in which every text is escaped, and a name that is missing is an error."""
    environment = Environment(
        loader=PackageLoader("weighin.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.globals |= {"words": WORDS, "interval": plots.interval, "seconds": seconds}
    return Page(environment.get_template(name))
