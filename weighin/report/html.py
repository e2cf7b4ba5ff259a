"""One HTML file that holds everything: no script, no request, a content security policy that forbids both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from weighin.contract.changes import Changes
from weighin.github.escape import visible
from weighin.report import plots
from weighin.report.answer import Group, NoDecision, answer, group
from weighin.report.causes import capital, ended
from weighin.report.numbers import percent
from weighin.report.pull_request import tell
from weighin.report.view import SIGNS, WORDS, CheckView, cell, in_order, seconds, spans
from weighin.untrusted import JsonDict, JsonObject, JsonValue


def report(record: JsonObject, changes: Changes | None = None) -> str:
    """`report.html`: the summary, then every suite with all of its checks, each with interval and limit."""
    shown = answer(record)
    # What blocks comes first, and a long list of counts does not stand before a short list of intervals.
    suites = sorted(
        (_suite(s, g) for s, g in zip(record["suites"], shown.groups, strict=True)),
        key=lambda s: (s["group"].status == "passed", len(s["group"].views)),
    )
    return template().render(
        title=f"{record['model']}: {WORDS[shown.status]}",
        record=record,
        shown=shown,
        told=tell(changes),
        suites=suites,
        level=percent(1 - float(record["contract"]["alpha"])),
        datasets=[_dataset(name, value) for name, value in record["data"].items()],
    )


def suite_report(suite: JsonObject) -> str:
    """`<suite>/report.html`: one suite of a record."""
    title = f"{suite['suite']}: {WORDS[suite['status']]}"
    one = _suite(suite, group(suite))
    return template("suite.html.j2").render(title=title, problems=suite["problems"], suites=[one])


def no_decision(why: NoDecision) -> str:
    """`report.html` of a run that came to no decision."""
    return template("suite.html.j2").render(title=why.sentence, problems=why.lines, suites=[])


def _dataset(name: str, value: JsonObject) -> JsonDict:
    """Return a dataset in words. One of which only a model's stored profile is known has neither rows nor a file."""
    what = f"{value['rows']:,} rows" if "rows" in value else "no rows, the profile that is stored with a model"
    digest = value.get("sha256") or value.get("profile", "")
    return {"name": name, "what": what, "digest": digest, "problem": value.get("problem") or value.get("uncounted", "")}


def _suite(suite: JsonObject, own: Group) -> JsonDict:
    """Return a suite with what is drawn of it; its checks in parts, of which those that only count are folded."""
    views = in_order(suite["outcomes"])
    return {
        "group": own,
        "parts": _parts(own, views),
        "histograms": [(v, p) for v in own.views if (p := plots.histogram(v.detail))],
        "tables": [_table(t) for t in suite.get("information", ())],
        "curves": [c for v in own.views for c in _curves(v)],
    }


def _parts(own: Group, views: list[CheckView]) -> list[JsonDict]:
    """Return what did not pass and what has an interval, open; and the counts that passed, folded, by dataset."""
    shown = [v for v in views if v.status != "passed" or v.interval != "exact"]
    parts: list[JsonDict] = [{"title": "", "views": shown}] if shown else []
    for count in own.counts:
        part = [v for v in count.views if v.status == "passed" and v.interval == "exact"]
        where = f" on {count.name}" if count.name else ""
        if part:
            noun = "count" if len(part) == 1 else "counts"
            parts.append({"title": f"{len(part):,} {noun}{where} within the limits", "views": part})
    return parts


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
    environment.globals |= {"words": WORDS, "marks": SIGNS, "interval": plots.interval, "seconds": seconds}
    environment.globals |= {"spans": spans, "ended": ended, "capital": capital}
    return Page(environment.get_template(name))
