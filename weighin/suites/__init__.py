"""The suites: contract, subject, data and predictions in, measurements out. They measure; `outcome.decide` judges.

Each module has one function `measure(check, evidence) -> Measurement | Unmeasured`; `measured` calls the right one.
Some have a second, `information(evidence)`: tables and plots for readers, on which no outcome rests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from weighin.contract import Check
from weighin.contract.checks import MetricRule
from weighin.errors import EvidenceError, NotEvaluated, WeighinError
from weighin.outcome import Measurement, Unmeasured
from weighin.record.suite import SuiteOutcomes
from weighin.stats.intervals import Undefined
from weighin.suites.evidence import Evidence
from weighin.untrusted import JsonObject
from weighin.untrusted.redact import reduced

CHECKS = Path(__file__).with_name("contract_checks.py")
"""The test file of which pytest makes one test for each check."""

SUITES = ("data_quality", "performance", "drift", "explainability", "load", "shadow", "sealed")


def measured(check: Check, evidence: Evidence) -> Measurement | Unmeasured:
    """Measure one check. What is undefined for these data, or could not be read, is `Unmeasured` with the reason.

    Anything else that goes wrong is a crash and is left to the test run, which records it as not evaluated.
    """
    if check.expired:
        return Unmeasured(check.id, check.expired)
    if evidence.own is not None and isinstance(check.rule, MetricRule) and check.rule.custom:
        return _left(check, evidence.own)
    try:
        module = import_module(f"weighin.suites.{check.suite}")
        found: Measurement | Unmeasured = module.measure(check, evidence)
    except (NotEvaluated, EvidenceError, Undefined) as error:
        return Unmeasured(check.id, _with_labels(str(error), evidence.contract.model.classes))
    return found


def _with_labels(text: str, classes: Sequence[str | int]) -> str:
    """Return a sentence of the statistics, which know classes by their number, with the labels of the contract.

    >>> _with_labels("3 rows of class number 1", ("low", "mid", "high"))
    '3 rows of class `mid`'
    """
    named = {str(number): label for number, label in enumerate(classes)}
    return re.sub(r"class number (\d+)", lambda m: f"class `{named[m[1]]}`" if m[1] in named else m[0], text)


def _left(check: Check, own: SuiteOutcomes) -> Measurement | Unmeasured:
    """Return what the judge of the repository's own code measured."""
    left = next((o.evidence for o in own.outcomes if o.check == check.id), None)
    return left or Unmeasured(check.id, "the judge of the repository's own code left no outcome for this check")


def informed(suite: str, evidence: Evidence) -> Sequence[JsonObject]:
    """Return what a suite has to show besides its outcomes; where that fails, the reason in its place."""
    if suite not in SUITES:
        return ()  # a team's own
    module = import_module(f"weighin.suites.{'information' if suite == 'performance' else suite}")
    if not hasattr(module, "information"):
        return ()
    try:
        shown: Sequence[Mapping[str, Any]] = module.information(evidence)
    except Exception as error:  # noqa: BLE001 - what is only shown must not undo what was measured
        said = str(error)[:500] if isinstance(error, (WeighinError, Undefined)) else reduced(error)
        return ({"title": "Information", "columns": [], "rows": [], "note": f"not available: {said}"},)
    return shown
