"""Data Docs: Great Expectations' own pages about what it counted, with counts in them and never a value of the data.

The pages are made from copies of suites and results in which every text is escaped, since the page templates escape
only some, and of which nothing is left that is not a count, a type or the contract's own words.
"""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from weighin.github.escape import visible
from weighin.suites.expectations import SUITE
from weighin.untrusted import JsonDict, JsonObject

COUNTS = (
    "element_count",
    "missing_count",
    "missing_percent",
    "unexpected_count",
    "unexpected_percent",
    "unexpected_percent_total",
    "unexpected_percent_nonmissing",
)
# What these observe is a number of rows or the name of a type; of all others it may be a value.
OBSERVED = ("expect_table_row_count_to_be_between", "expect_column_values_to_be_in_type_list")
NOT_SHOWN = "(not shown)"
LOST = "Great Expectations left no result"


@dataclass(frozen=True)
class Found:
    """One expectation and what was found: its configuration, whether it holds, why it crashed, what was counted."""

    configuration: Mapping[str, Any]
    success: bool
    raised: str
    result: Mapping[str, Any]


def write_docs(
    home: Path, dataset: str, found: Mapping[str, list[Found]], hidden: Callable[[JsonObject], bool], out: Path
) -> None:
    """Write the pages of a dataset.

    home    a copy of the Great Expectations folder, which is changed
    hidden  whether an expectation is about a sensitive column: the contract's are shown without their counts,
            hand-written ones not at all
    """
    shutil.rmtree(home / "expectations")
    (home / "expectations").mkdir()
    shown: dict[str, list[Found]] = {}
    for name, listed in found.items():
        # What a hand-written expectation says about a sensitive column may itself be a value of it.
        told = [f for f in listed if f.raised != LOST and not (hidden(f.configuration) and name != SUITE)]
        if told:
            shown[name] = [_shown(f, hidden(f.configuration)) for f in told]
    for name, listed in shown.items():
        suite: dict[str, Any] = {
            "name": name,
            "meta": {},
            "notes": None,
            "expectations": [f.configuration for f in listed],
        }
        (home / "expectations" / f"{name}.json").write_text(json.dumps(suite))
    _store(home, dataset, shown)
    shutil.copytree(home / "uncommitted" / "data_docs" / "local_site", out, dirs_exist_ok=True)


def _store(home: Path, dataset: str, shown: Mapping[str, list[Found]]) -> None:
    """Store the results of the suites as Great Expectations keeps them, and build its pages."""
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult, RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    import great_expectations as gx

    context = gx.get_context(mode="file", context_root_dir=str(home))
    run = RunIdentifier(run_name=dataset, run_time=datetime.now(UTC))
    for name, listed in shown.items():
        results = [
            ExpectationValidationResult(
                success=f.success,
                expectation_config=ExpectationConfiguration(**f.configuration),
                result=dict(f.result),
                meta={},
                exception_info={
                    "raised_exception": bool(f.raised),
                    "exception_message": f.raised or None,
                    "exception_traceback": None,
                },
            )
            for f in listed
        ]
        met = sum(f.success for f in listed)
        validation = ExpectationSuiteValidationResult(
            success=met == len(listed),
            results=results,
            suite_name=name,
            statistics={
                "evaluated_expectations": len(listed),
                "successful_expectations": met,
                "unsuccessful_expectations": len(listed) - met,
                "success_percent": 100 * met / len(listed),
            },
            meta={
                "great_expectations_version": gx.__version__,
                "run_id": run,
                "active_batch_definition": _batch(dataset),
            },
        )
        suite_id = ExpectationSuiteIdentifier(name=name)
        context.validation_results_store.store_validation_results(
            validation, ValidationResultIdentifier(suite_id, run, f"weighin-{dataset}"), suite_id
        )
    context.build_data_docs()


def _batch(dataset: str) -> JsonDict:
    return {
        "datasource_name": "weighin",
        "data_connector_name": "weighin",
        "data_asset_name": dataset,
        "batch_identifiers": {},
    }


def _shown(found: Found, hidden: bool) -> Found:
    result = {} if hidden else {k: v for k, v in found.result.items() if k in COUNTS}
    if not hidden and found.configuration["type"] in OBSERVED and "observed_value" in found.result:
        result["observed_value"] = found.result["observed_value"]
    return Found(_escaped(found.configuration), found.success, _escaped(found.raised), _escaped(result))


def _escaped(value: Any) -> Any:
    """Every text in a value, as HTML shows it."""
    match value:
        case str():
            return html.escape(visible(value, "\n"))
        case Mapping():
            return {k: _escaped(v) for k, v in value.items()}
        case list() | tuple():
            return [_escaped(v) for v in value]
        case _:
            return value
