"""Data quality: Great Expectations counts, `decide` judges, and where the two disagree nothing was evaluated."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from weighin.contract import Check
from weighin.contract.checks import ColumnRule
from weighin.errors import NotEvaluated
from weighin.outcome import Measurement, Status, Unmeasured, census, decide
from weighin.suites.evidence import Evidence
from weighin.suites.expectations import FOLDER, SUITE, ZONE_COLUMN, write_suite

Result = Mapping[str, Any]


def measure(check: Check, evidence: Evidence) -> Measurement | Unmeasured:
    """What Great Expectations counted for one rule. Errors: `NotEvaluated`."""
    rule = check.rule
    if not isinstance(rule, ColumnRule):
        raise TypeError(f"{check.id} is no data quality check")
    run = validated(evidence, rule.dataset)
    if rule.rule == "own":
        return _own(check, run, str(rule.column))
    result = run.contract["rows" if rule.column is None else f"{rule.column}/{rule.rule}"]
    found = _count(check, rule, result, run.rows)
    if isinstance(found, Measurement) and (decide(found, check.limit).status is Status.PASSED) != result["success"]:
        word = "success" if result["success"] else "failure"
        return Unmeasured(check.id, f"Great Expectations calls this a {word}, its counts say otherwise: {found}")
    return found


@dataclass(frozen=True)
class Validated:
    """One dataset's validation: results of the contract's suite by rule, of hand-written suites as lists."""

    rows: int
    contract: Mapping[str, Result]
    own: Mapping[str, list[Result]]


@cache
def validated(evidence: Evidence, dataset: str) -> Validated:
    """Run the contract's suite and the hand-written ones over a dataset, once.

    Errors: `NotEvaluated` when the dataset cannot be read, has no rows, or the suite is not the contract's.
    """
    gate = evidence.contract.gates.data_quality
    assert gate is not None
    frame = _frame(evidence, dataset)
    write_suite(evidence.contract, evidence.file.folder, check=True)
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / FOLDER
        shutil.copytree(evidence.file.folder / FOLDER, home, ignore=shutil.ignore_patterns("uncommitted"))
        results = _run(home, dataset, frame, (SUITE, *gate.own_expectations))
        docs = home / "uncommitted" / "data_docs" / "local_site"
        if evidence.out is not None and docs.is_dir():
            shutil.copytree(docs, evidence.out / "data_docs" / dataset, dirs_exist_ok=True)
    by_rule = {r["meta"]["rule"]: r for r in results[SUITE]}
    return Validated(len(frame), by_rule, {name: results[name] for name in gate.own_expectations})


def _run(home: Path, dataset: str, frame: pd.DataFrame, suites: tuple[str, ...]) -> dict[str, list[Result]]:
    """Validate a frame in a file context at `home`; results as plain mappings, without any value of the data."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx

    context = gx.get_context(mode="file", context_root_dir=str(home))
    asset = context.data_sources.add_pandas("weighin").add_dataframe_asset(dataset)
    batch = asset.add_batch_definition_whole_dataframe("all")
    found: dict[str, list[Result]] = {}
    for name in suites:
        try:
            suite = context.suites.get(name)
        except gx.exceptions.DataContextError as error:
            raise NotEvaluated(f"no suite `{name}`", f"{FOLDER}/expectations", "Correct its name or add it.") from error
        if not suite.expectations:
            raise NotEvaluated(f"the suite `{name}` is empty", f"{FOLDER}/expectations", "Add expectations to it.")
        definition = context.validation_definitions.add(
            gx.ValidationDefinition(name=f"{dataset}-{name}", data=batch, suite=suite)
        )
        checkpoint = gx.Checkpoint(
            name=f"{dataset}-{name}",
            validation_definitions=[definition],
            actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
            result_format={"result_format": "BASIC", "partial_unexpected_count": 0},
        )
        ran = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame})
        found[name] = [
            {
                "meta": dict(r.expectation_config.meta or {}),
                "type": r.expectation_config.type,
                "success": bool(r.success),
                "raised": _raised(r.exception_info),
                **r.result,
            }
            for validation in ran.run_results.values()
            for r in validation.results
        ]
    return found


def _raised(info: Mapping[str, Any] | None) -> str:
    """The message of an expectation that crashed; Great Expectations nests it by metric or leaves it flat."""
    info = info or {}
    for part in (info, *(v for v in info.values() if isinstance(v, Mapping))):
        if part.get("raised_exception"):
            return str(part.get("exception_message") or "an expectation crashed").splitlines()[0][:300]
    return ""


def _frame(evidence: Evidence, dataset: str) -> pd.DataFrame:
    """The dataset as pandas holds it, every listed column that is there, with a zone column for each time stamp."""
    path = evidence.path(dataset)
    columns = evidence.contract.data.columns
    try:
        present = [c for c in pq.read_schema(path).names if c in columns]
    except (OSError, ValueError):
        present = []  # read_columns says what is wrong with the file
    table = evidence.columns(dataset, *(present or list(columns)))
    frame = table.to_pandas(integer_object_nulls=True)
    for name in present:
        if columns[name].type == "integer" and table[name].null_count:
            frame[name] = frame[name].astype("Int64")
        if columns[name].time_zone is not None:
            zone = getattr(table.schema.field(name).type, "tz", None)
            frame[ZONE_COLUMN.format(name)] = str(zone or "none")
            if zone is not None:
                frame[name] = frame[name].dt.tz_convert("UTC").dt.tz_localize(None)
    return frame


def _count(check: Check, rule: ColumnRule, result: Result, rows: int) -> Measurement | Unmeasured:
    """The number that a result holds, in the unit of the limit."""
    if result["raised"]:
        return Unmeasured(check.id, f"Great Expectations could not evaluate it: {result['raised']}")
    kind = result["type"]
    if rule.rule == "rows":
        return census(check.id, float(result["observed_value"]), n=rows, unit="rows", method=kind)
    if "unexpected_count" not in result:  # a rule about the column as a whole: it holds or it does not
        broken = 0 if result["success"] else 1
        seen = f"found {result['observed_value']}" if "observed_value" in result else kind
        return census(check.id, broken, n=1, unit="broken", n_unit="columns", method=seen)
    bad = int(result["unexpected_count"])
    counted = int(result["element_count"]) - int(result.get("missing_count") or 0)
    if counted <= 0:
        return Unmeasured(check.id, "every value is missing, so none could be looked at")
    return census(check.id, bad / counted, n=counted, unit="share", method=kind, rows_breaking=bad)


def _own(check: Check, run: Validated, name: str) -> Measurement | Unmeasured:
    """How many expectations of a hand-written suite are not met."""
    results = run.own[name]
    crashed = [r for r in results if r["raised"]]
    if crashed:
        return Unmeasured(check.id, f"{len(crashed)} expectations crashed, the first: {crashed[0]['raised']}")
    broken = [r["type"] for r in results if not r["success"]]
    method = f"not met: {', '.join(sorted(set(broken))[:5])}" if broken else "hand-written suite"
    return census(check.id, len(broken), n=len(results), unit="not met", n_unit="expectations", method=method)
