"""Performance on more rows than memory holds: streamed where a metric allows it, else on a stated sample of the rows.

Labels and answers are read a part at a time. A metric that `weighin.stats.streamed` knows is measured on all rows, and
whether the candidate answers anything differently is counted over all. Slices, other metrics, and rows that are
grouped, weighted or lack labels are measured on a sample, whole groups where there are groups. Which rows are in it
follows from the digest of the features, and from nothing that a model answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from weighin.contract.checks import MetricRule
from weighin.errors import NotEvaluated
from weighin.model.answers import Floats, Predictions, must_be_probabilities, must_not_be_labels
from weighin.model.labels import scored, truth_of
from weighin.outcome import Measurement, Unmeasured
from weighin.stats.contrast import Contrast
from weighin.stats.streamed import Pair, is_streamed, streamed
from weighin.suites.evidence import Evidence

LARGE = 10_000_000
"""Rows of a holdout that are judged in memory."""
SAMPLE = 5_000_000
"""Rows of the sample of a larger one, about."""
PART = 1_000_000


def is_large(evidence: Evidence, dataset: str) -> bool:
    """Whether a dataset has too many rows to be judged in memory. Texts are never that many."""
    known = evidence.subject.data.get(dataset, {})
    return evidence.contract.model.task != "text" and int(known.get("rows", 0)) > LARGE


def sampled(evidence: Evidence) -> Evidence:
    """Return the same evidence, of which the datasets that are too large are read as samples."""
    return replace(evidence, rows_at_most=SAMPLE) if is_large(evidence, "holdout") else evidence


def on_sample(found: Measurement | Unmeasured, read: Evidence, dataset: str) -> Measurement | Unmeasured:
    """Return a measurement of a sample, which says so."""
    if isinstance(found, Unmeasured):
        return found
    rows, of = read.size(dataset), int(read.subject.data[dataset]["rows"])
    told = {**found.detail, "sampled_rows": rows, "of_rows": of}
    return replace(found, detail=told, method=f"{found.method}, on a sample of {rows:,} of {of:,} rows")


def contrast_of_all(rule: MetricRule, evidence: Evidence, level: float) -> tuple[Contrast, float] | None:
    """Return a metric of every row of a large holdout, and by how much it may be off; None where a sample must do.

    level  one-sided confidence of each bound
    Errors: `NotEvaluated`, `Undefined`.
    """
    contract = evidence.contract
    grouped = contract.group is not None or contract.weight is not None
    if rule.slice is not None or grouped or not is_streamed(rule.metric, contract.model.task):
        return None
    if rule.against and rule.against not in evidence.subject.roles:
        return None
    path = evidence.path("holdout")
    with pq.ParquetFile(path) as file:
        column = file.schema_arrow.get_field_index(contract.model.target)
        groups = [file.metadata.row_group(i).column(column).statistics for i in range(file.num_row_groups)]
    if any(known is None or not known.has_null_count or known.null_count for known in groups):
        return None
    roles = ("candidate", *([rule.against] if rule.against else []))
    answers = [answers_of(evidence, role, "holdout") for role in roles]

    def parts() -> Iterator[Pair]:
        labels = np.ones(len(answers), dtype=bool)
        for start, values in _labels(path, contract.model.target):
            truth = truth_of(values, contract.model, f"{path}, column {contract.model.target}")
            pair = []
            for i, given in enumerate(answers):
                part = _usable(given.part(start, start + len(truth)), evidence, given.place)
                labels[i] &= bool(np.isin(part, (0.0, 1.0)).all())
                pair.append(scored(truth, part, None, contract.model, contract.threshold))
            yield Pair(*pair)
        if contract.model.prediction.kind == "probability":
            for given, only in zip(answers, labels, strict=True):
                must_not_be_labels(np.array([0.0 if only else 0.5]), given.place)

    return streamed(rule.metric, parts, answers[0].rows, level, rule.factor)


def _usable(part: Floats, evidence: Evidence, place: str) -> Floats:
    return must_be_probabilities(part, place) if evidence.contract.model.prediction.kind == "probability" else part


def _labels(path: Path, target: str) -> Iterator[tuple[int, pa.ChunkedArray]]:
    """Yield the labels a part at a time, each with the number of its first row."""
    start = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(PART, columns=[target]):
            yield start, pa.chunked_array([batch.column(0)])
            start += batch.num_rows


def answers_of(evidence: Evidence, role: str, dataset: str) -> Predictions:
    """Return what a role's model left about a dataset, which is read in parts. Errors: `NotEvaluated`."""
    evidence.demand_asked(dataset)
    known = evidence.subject.data[dataset]
    path = evidence.work / "predictions" / role / f"{dataset}.arrow"
    return Predictions(path, int(known["rows"]), evidence.contract.model.answers.width, known.get("features", ""))


def answered_differently(evidence: Evidence, dataset: str) -> int:
    """Return how many rows candidate and champion answer differently. Errors: `NotEvaluated`."""
    own, theirs = (answers_of(evidence, role, dataset) for role in ("candidate", "champion"))
    count = 0
    for start in range(0, own.rows, PART):
        end = min(start + PART, own.rows)
        one, two = own.part(start, end), theirs.part(start, end)
        count += int((one != two).reshape(len(one), -1).any(axis=1).sum())
    if not own.rows:
        raise NotEvaluated("the file has no rows", f"data.{dataset}")
    return count
