"""Evidently's drift report beside the gate, drawn on a bounded sample and showing the gate's own numbers.

Evidently draws, it does not judge: a registered test returns the estimate and the outcome that `decide` found.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds

from weighin.contract.checks import checks
from weighin.errors import WeighinError
from weighin.model.answers import COLUMN
from weighin.outcome import Measurement, Outcome, Status
from weighin.record.suite import SuiteOutcomes
from weighin.suites.evidence import Evidence
from weighin.untrusted.redact import reduced

ROWS = 5_000
"""Rows of each table that are drawn; the numbers come from all rows."""


def draw(evidence: Evidence, folder: Path) -> str:
    """Write `evidently.html` beside the drift suite's outcomes; returns why not, or nothing.

    A report that cannot be drawn changes no outcome: the suite's own evidence is complete without it.
    """
    try:
        outcomes = SuiteOutcomes.read(folder).outcomes
        distances = {c.id for c in checks(evidence.contract, "drift") if getattr(c.rule, "kind", "") == "distance"}
        shown = [o for o in outcomes if isinstance(o.evidence, Measurement) and o.check in distances]
        shown = [o for o in shown if not _hidden(evidence, o)]
        reference, current = (_frame(evidence, name, shown) for name in ("reference", "current"))
    except (WeighinError, pa.ArrowException, OSError) as error:
        return str(error) if isinstance(error, WeighinError) else reduced(error)
    if not shown:
        return "no drift check could be measured"
    from evidently import DataDefinition, Dataset, Report
    from evidently.legacy.calculations.stattests.registry import StatTest, register_stattest
    from evidently.legacy.core import ColumnType
    from evidently.metrics import ValueDrift

    kinds = [ColumnType.Numerical, ColumnType.Categorical]
    metrics = []
    for outcome in shown:
        name, column = f"weighin {outcome.check}", outcome.check.removeprefix("drift/")
        register_stattest(StatTest(name, f"gate: {outcome.reason}", kinds), _told(outcome))
        metrics.append(ValueDrift(column=column, method=name, threshold=outcome.limit.value))
    numbers = [c for c in reference.columns if pd.api.types.is_numeric_dtype(reference[c])]
    definition = DataDefinition(
        numerical_columns=numbers, categorical_columns=[c for c in reference.columns if c not in numbers]
    )
    tables = [Dataset.from_pandas(frame, data_definition=definition) for frame in (current, reference)]
    Report(metrics).run(*tables).save_html(str(folder / "evidently.html"))
    return ""


def _told(outcome: Outcome) -> Callable[..., tuple[float, bool]]:
    """Return a test for Evidently that says what the gate found."""
    assert isinstance(outcome.evidence, Measurement)
    estimate, drifted = outcome.evidence.estimate, outcome.status is Status.FAILED

    def told(reference: Any, current: Any, kind: Any, threshold: float) -> tuple[float, bool]:
        return estimate, drifted

    return told


def _hidden(evidence: Evidence, outcome: Outcome) -> bool:
    column = evidence.contract.data.columns.get(outcome.check.removeprefix("drift/"))
    return column is not None and column.sensitive


def _frame(evidence: Evidence, dataset: str, shown: list[Outcome]) -> pd.DataFrame:
    """Return a sample of the columns that are shown; the same rows at every run."""
    names = [o.check.removeprefix("drift/") for o in shown]
    target = evidence.contract.model.target
    held = [n for n in names if n in evidence.contract.data.columns and n != target]
    table = ds.dataset(evidence.path(dataset), format="parquet")
    total = table.count_rows()
    rows = np.sort(np.random.default_rng(0).choice(total, size=min(ROWS, total), replace=False))
    frame: pd.DataFrame = table.take(pa.array(rows), columns=[*([target] if target else []), *held]).to_pandas()
    if COLUMN in names and COLUMN not in held:
        frame[COLUMN] = evidence.predictions("candidate", dataset)[rows]
    return frame[names]
