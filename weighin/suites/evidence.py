"""What a suite may look at: the contract, the subject, the labelled data, and the predictions that a model left."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.contract import Contract
from weighin.contract.reading import ContractFile
from weighin.data.table import Counter, group_codes, read_columns
from weighin.errors import NotEvaluated
from weighin.load import LoadLog, read_log
from weighin.predict import COLUMN, read_predictions
from weighin.record.encode import file_digest
from weighin.subject import Subject

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """Everything is read once and kept; methods raise `NotEvaluated` with the reason when it cannot be had."""

    file: ContractFile
    work: Path
    out: Path | None = None
    """Where a suite may leave more than outcomes: Data Docs, a drawing tool's report."""

    def __hash__(self) -> int:
        return id(self)

    @property
    def contract(self) -> Contract:
        """The contract itself."""
        return self.file.contract

    @property
    @cache  # noqa: B019 - lives as long as the process of one suite
    def subject(self) -> Subject:
        """Who is judged."""
        return Subject.read(self.work / "subject.json")

    @cache  # noqa: B019
    def columns(self, dataset: str, *names: str) -> pa.Table:
        """Columns of a dataset, in file order."""
        return read_columns(self.path(dataset), names)

    @cache  # noqa: B019
    def path(self, dataset: str) -> Path:
        """A dataset's file, which must still be the one that was resolved: predictions are about its rows."""
        path = self.file.data_path(dataset)
        known = self.subject.data.get(dataset, {}).get("sha256")
        if known and path.is_file() and file_digest(path) != known:
            raise NotEvaluated("the file has changed since it was resolved", str(path), "Validate again.")
        return path

    def truth(self, dataset: str) -> NDArray[np.bool_]:
        """Labels as booleans, shape (rows,)."""
        target = self.contract.model.target
        values = self.columns(dataset, target)[target]
        place = f"{self.file.data_path(dataset)}, column {target}"
        if values.null_count:
            raise NotEvaluated(f"{values.null_count} rows have no label", place, "Leave out rows without a label.")
        labels = values.to_numpy()
        if not np.isin(labels, (0, 1)).all():
            raise NotEvaluated("labels other than 0 and 1", place, "Encode the positive class as 1.")
        return np.asarray(labels == 1)

    def groups(self, dataset: str) -> NDArray[np.int64] | None:
        """Group codes, shape (rows,), or None where rows are independent."""
        name = self.contract.group
        if name is None:
            return None
        return group_codes(self.columns(dataset, name)[name], f"{dataset}, column {name}")[0]

    @cache  # noqa: B019
    def predictions(self, role: str, dataset: str) -> Floats:
        """Predictions of `candidate` or `champion`, shape (rows,), in the order of the dataset."""
        problem = self.subject.data.get(dataset, {}).get("problem")
        if problem:
            raise NotEvaluated(f"no model was asked: {problem}", dataset)
        rows = self.columns(dataset, self.contract.model.target).num_rows
        return read_predictions(self.work / "predictions" / role / f"{dataset}.arrow", rows)

    @cache  # noqa: B019
    def counter(self, dataset: str) -> Counter:
        """Counts of a dataset's columns."""
        names = (*self.contract.features, self.contract.model.target)
        return Counter.of(self.path(dataset), names, self.contract.group)

    @cache  # noqa: B019
    def prediction_counter(self, dataset: str) -> Counter:
        """Counts of the candidate's predictions on a dataset."""
        columns = {COLUMN: pa.array(self.predictions("candidate", dataset))}
        name = self.contract.group
        if name:
            columns[name] = self.columns(dataset, name)[name].combine_chunks()
        return Counter.over(pa.table(columns), name)

    @cache  # noqa: B019
    def load_log(self) -> LoadLog:
        """What the load generator saw."""
        return read_log(self.work / "load" / "responses.arrow")
