"""Data quality: Great Expectations counts, `decide` judges, and where the two disagree nothing was evaluated."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from weighin.contract import Check, Contract
from weighin.contract.columns import Column
from weighin.contract.quality import DataQuality
from weighin.contract.rules import ColumnRule, QualityRule, quality_rules
from weighin.errors import NotEvaluated
from weighin.outcome import Measurement, Status, Unmeasured, census, decide
from weighin.stats.intervals import clopper_pearson
from weighin.suites.evidence import Evidence, kept
from weighin.suites.expectations import FOLDER, SUITE, added_column, write_suite
from weighin.suites.failing_keys import write_failing_keys
from weighin.suites.quality_columns import QualityColumns, quality_columns, training_overlap
from weighin.suites.quality_docs import LOST, NOT_SHOWN, OBSERVED, Found, write_docs
from weighin.suites.quality_engines import Configuration, Engine, choose, count, widest
from weighin.suites.sample import named
from weighin.untrusted import JsonDict, JsonObject
from weighin.untrusted.bounded import content, json_value
from weighin.untrusted.redact import reduced_text

SUITE_BYTES = 64 * 2**20
SMALL = 10
"""Fewer rows than these of a sensitive column are only said to be few."""


def measure(check: Check, evidence: Evidence) -> Measurement | Unmeasured:
    """Return what Great Expectations counted for one rule. Errors: `NotEvaluated`."""
    if not isinstance(check.rule, ColumnRule):
        raise TypeError(f"{check.id} is no data quality check")
    dataset, rule = check.rule.dataset, check.rule.rule
    if rule.kind == "online":
        return _online(check, evidence, dataset)
    run = validated(evidence, dataset)
    if isinstance(run, NotEvaluated):
        raise run
    if rule.kind == "own":
        return _own(check.id, run, rule.key.removeprefix("own/"))
    if rule.kind == "training_overlap":
        training = evidence.file.folder / str(evidence.contract.data.training)
        late, rows = training_overlap(evidence.whole("holdout"), training, rule.columns[0])
        return census(check.id, late / rows, n=rows, unit="share", method="rows of data.training", rows_breaking=late)
    problem = run.problems.get(added_column(rule, evidence.contract) or "")
    found = run.suites[SUITE].get(rule.key)
    if problem or found is None:
        return Unmeasured(check.id, problem or f"Great Expectations left no result for {rule.key}")
    hidden = rule.sensitive(evidence.contract)
    measured = as_measurement(check.id, rule, found, run.rows)
    if not isinstance(measured, Measurement):
        return measured
    # The suite holds the contract's limit; a waiver relaxes only what is decided.
    if (decide(measured, rule.limit).status is Status.PASSED) != found.success:
        word, shown = "success" if found.success else "failure", NOT_SHOWN if hidden else str(measured)
        return Unmeasured(check.id, f"Great Expectations calls this a {word}, its counts say otherwise: {shown}")
    said = in_words(rule, measured, run.families) if measured.estimate else ""
    return _coarse(measured, run.rows) if hidden and measured.unit == "share" else replace(measured, found=said)


def _online(check: Check, evidence: Evidence, dataset: str) -> Measurement | Unmeasured:
    """How many entities of a sample have another value online than offline. Errors: `NotEvaluated`, `Undefined`."""
    known = evidence.subject.data.get(dataset, {}).get("feature_store", {}).get("online", {})
    differ, entities = known.get("differ"), known.get("entities")
    if not isinstance(differ, int) or not isinstance(entities, int) or not 0 <= differ <= entities or not entities:
        raise NotEvaluated("the online store was not compared", f"data.{dataset}.feast", "Validate again.")
    found = clopper_pearson(differ, entities, 1 - check.limit.alpha)
    said = f"{differ:,} of {entities:,} entities have another value online than offline" if differ else ""
    return Measurement(
        check.id,
        found.estimate,
        found.low,
        found.high,
        found.level,
        entities,
        "share",
        "entities at random",
        found=said,
    )


BROKEN = {
    "range": "lie outside of the range",
    "allowed": "are none of the allowed values",
    "pattern": "do not match the pattern",
    "unique": "are not unique",
    "unique_together": "are not unique together",
    "missing": "are missing",
    "order": "are out of order",
    "time_zone": "have another time zone",
    "compare": "break the comparison",
    "reference": "are not in the other table",
    "future": "lie in the future",
    "training": "stand in the training data as well",
}
"""What is wrong with values that break a rule, by its kind."""


def in_words(rule: QualityRule, measured: Measurement, families: Mapping[str, str]) -> str:
    """Return what a broken rule found, without a value; empty where the number says it all.

    families  column -> type of its values in the file, for columns that it has
    """
    column = ", ".join(rule.columns)
    if rule.kind == "exists":
        return f"there is no column {column}"
    if rule.kind == "type" and isinstance(rule.of, Column):
        return f"{column}: {families.get(column, 'no such column')} in the file, {rule.of.type} in the contract"
    bad = measured.detail.get("rows_breaking")
    if bad is None or rule.kind not in BROKEN:
        return ""
    return f"{column}: {int(bad):,} of {measured.n:,} values {BROKEN[rule.kind]}"


@dataclass(frozen=True)
class Validated:
    """One dataset's validation: for each suite the results by rule, or by id where the suite is hand-written."""

    rows: int
    suites: Mapping[str, Mapping[str, Found]]
    problems: Mapping[str, str]
    families: Mapping[str, str]
    engine: Engine
    seconds: float


@kept
def validated(evidence: Evidence, dataset: str) -> Validated | NotEvaluated:
    """Run the contract's suite and the hand-written ones over a dataset, once; or why that could not be done."""
    gate, started = evidence.contract.gates.data_quality, time.monotonic()
    assert gate is not None
    write_suite(evidence.contract, evidence.file.folder, check=True)
    try:
        if evidence.out is not None:
            evidence.out.mkdir(parents=True, exist_ok=True)
        # Beside the reports: a container's temporary folder is memory, and small.
        with tempfile.TemporaryDirectory(prefix="scratch-", dir=evidence.out) as scratch:
            moment = evidence.contract.as_of or datetime.now(UTC)
            with quality_columns(evidence, dataset, Path(scratch), moment) as view:
                return _validated(evidence, dataset, gate, view, started)
    except NotEvaluated as error:
        return error


def _validated(evidence: Evidence, dataset: str, gate: DataQuality, view: QualityColumns, started: float) -> Validated:
    folder = evidence.file.folder / FOLDER
    listed = {n: _wanted(evidence, dataset, n, _suite(folder, n, dataset)) for n in (SUITE, *gate.own_expectations)}
    suites = {name: part for name, part in listed.items() if part}
    engine = choose(gate, widest(suites, view, gate.own_expectations))
    counted = count(engine, gate, view, suites, gate.own_expectations)
    hidden = _hidden(evidence.contract)
    found = {
        name: [_found(c, r, hidden(c), view.own) for c, r in zip(configurations, counted[name], strict=True)]
        for name, configurations in suites.items()
    }
    if evidence.out is not None:
        home = view.scratch / FOLDER
        # Of the repository's folder the expectations alone are read: its configuration may name modules to import.
        (home / "expectations").mkdir(parents=True)
        shutil.copy(Path(__file__).with_name("great_expectations.yml"), home)
        write_docs(home, dataset, found, hidden, evidence.out / "data_docs" / dataset)
        if gate.failing_keys is not None:
            write_failing_keys(evidence.contract, view, dataset, gate.failing_keys, evidence.out)
    by_key = {
        name: {str(f.configuration["meta"].get("rule", f.configuration["id"])): f for f in listed}
        for name, listed in found.items()
    }
    return Validated(view.rows, by_key, view.problems, view.families, engine, time.monotonic() - started)


def _wanted(evidence: Evidence, dataset: str, suite: str, listed: list[Configuration]) -> list[Configuration]:
    """Return the expectations of checks that will be asked for; a hand-written suite is one check."""
    if suite != SUITE:
        return listed if evidence.wants(f"data_quality/{dataset}/own/{suite}") else []
    return [e for e in listed if evidence.wants(f"data_quality/{dataset}/{e['meta'].get('rule')}")]


def _hidden(contract: Contract) -> Callable[[JsonObject], bool]:
    """Whether an expectation is about a sensitive column, in whatever argument a hand-written one names it."""
    rules = {r.key for r in quality_rules(contract) if r.sensitive(contract)}
    names = {n for n, c in contract.data.columns.items() if c.sensitive}

    def hidden(configuration: JsonObject) -> bool:
        texts = list(_texts(configuration["kwargs"]))
        return configuration["meta"].get("rule") in rules or any(n in text for n in names for text in texts)

    return hidden


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _suite(folder: Path, name: str, dataset: str) -> list[Configuration]:
    """Return the expectations of a suite that hold in this dataset. Errors: `NotEvaluated` when there are none."""
    place = f"{FOLDER}/expectations/{name}.json"
    try:
        listed = json_value(content(folder / "expectations" / f"{name}.json", SUITE_BYTES))["expectations"]
        found: list[Configuration] = [
            {
                "id": str(e.get("id") or uuid.uuid5(uuid.NAMESPACE_URL, f"weighin:own:{name}:{i}")),
                "type": str(e["type"]),
                "kwargs": dict(e.get("kwargs") or {}),
                "meta": dict(e.get("meta") or {}),
                "severity": str(e.get("severity") or "critical"),
            }
            for i, e in enumerate(listed)
        ]
    except OSError as error:
        raise NotEvaluated(f"no suite `{name}`", place, "Correct its name or add it.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotEvaluated("not a suite of expectations", place, "Correct the file.") from error
    found = [e for e in found if dataset in e["meta"].get("datasets", (dataset,))]
    if not found:
        raise NotEvaluated(f"the suite `{name}` is empty", place, "Add expectations to it.")
    return found


def _found(configuration: Configuration, result: Any, hidden: bool, columns: Iterable[str]) -> Found:
    if result is None:
        return Found(configuration, False, LOST, {})
    raised = _raised(result.exception_info, columns)
    shown = NOT_SHOWN if raised and hidden else raised
    return Found(configuration, bool(result.success), shown, dict(result.result or {}))


def _raised(info: JsonObject | None, columns: Iterable[str]) -> str:
    """Return what an expectation crashed of; Great Expectations nests it by metric or leaves it flat."""
    info = info or {}
    for part in (info, *(v for v in info.values() if isinstance(v, Mapping))):
        if part.get("raised_exception"):
            message, trace = (str(part.get(f"exception_{key}") or "") for key in ("message", "traceback"))
            return reduced_text(message, trace, columns)
    return ""


def as_measurement(name: str, rule: QualityRule, found: Found, rows: int) -> Measurement | Unmeasured:
    """Return the number that a result holds, in the unit of the limit: a share, rows, hours, or broken or not."""
    if found.raised:
        return Unmeasured(name, f"Great Expectations could not evaluate it: {found.raised}")
    kind, result = found.configuration["type"], found.result
    if rule.kind in ("rows", "rows_at_most", "fresh"):
        value = result.get("observed_value")
        if value is None or not math.isfinite(value):
            return Unmeasured(name, "there is no value to look at")
        unit = "hours" if rule.kind == "fresh" else "rows"
        return census(name, float(value), n=rows, unit=unit, method=kind)
    if "unexpected_count" not in result:  # a rule about the column as a whole: it holds or it does not
        broken = 0 if found.success else 1
        # Of most expectations what is observed is a value, or a list of them.
        seen = f"found {result['observed_value']}" if kind in OBSERVED and "observed_value" in result else kind
        return census(name, broken, n=1, unit="broken", sampling_unit="columns", method=seen)
    bad, elements = result["unexpected_count"], result.get("element_count")
    if bad is None or elements is None:
        return Unmeasured(name, "Great Expectations left no count")
    counted = int(elements) - int(result.get("missing_count") or 0)
    if counted <= 0:
        return Unmeasured(name, "every value is missing, so none could be looked at")
    return census(name, int(bad) / counted, n=counted, unit="share", method=kind, rows_breaking=int(bad))


def _coarse(m: Measurement, rows: int) -> Measurement | Unmeasured:
    """Return a count of few rows as an interval that says no more than that they are few: 1 to 9 of them, or all but
    as many.

    A limit within the interval is then not settled; a limit of none still is. How many values are missing is not said
    either: the interval is one over all rows.
    """
    bad, counted = m.detail.get("rows_breaking"), m.n
    if bad is None:
        return m
    if counted < 2 * SMALL:
        return Unmeasured(m.check, f"fewer than {2 * SMALL} values of a sensitive column")
    few, many = 1 / rows, (SMALL - 1) / (counted // SMALL * SMALL)
    if 0 < bad < SMALL:
        low, high = few, many
    elif 0 < counted - bad < SMALL:
        low, high = 1 - many, 1 - few
    else:
        return replace(m, n=rows, detail={})
    # No sampling error is in it, and none may be corrected away.
    said = f"{m.method}, fewer than {SMALL} rows"
    return Measurement(m.check, (low + high) / 2, low, high, 1 - 1e-6, rows, m.unit, said, p_value=0.0)


def _own(name: str, run: Validated, suite: str) -> Measurement | Unmeasured:
    """How many expectations of a hand-written suite are not met."""
    results = list(run.suites[suite].values())
    crashed = [r for r in results if r.raised]
    if crashed:
        return Unmeasured(name, f"{len(crashed)} expectations crashed, the first: {crashed[0].raised}")
    broken = [r.configuration["type"] for r in results if not r.success]
    said = f"not met: {named(sorted(set(broken)))}" if broken else ""
    unit, method = "expectations", "hand-written suite"
    return census(name, len(broken), n=len(results), unit=unit, sampling_unit=unit, method=method, found=said)


def information(evidence: Evidence) -> list[JsonDict]:
    """Which engine counted which dataset, and why: a table for the report."""
    gate = evidence.contract.gates.data_quality
    assert gate is not None
    rows: list[list[Any]] = []
    for dataset in gate.datasets or evidence.contract.data.named:
        run = validated(evidence, dataset)
        if isinstance(run, NotEvaluated):
            rows.append([dataset, None, "", str(run), None])
        else:
            rows.append([dataset, run.rows, run.engine.name, run.engine.reason, round(run.seconds, 1)])
    return [
        {
            "title": "Engines",
            "columns": ["dataset", "rows", "engine", "because", "seconds"],
            "rows": rows,
            "note": "What Great Expectations counted with. Both engines are given the same columns.",
        }
    ]
