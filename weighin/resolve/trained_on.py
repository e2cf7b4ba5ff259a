"""Compare the holdout with the training datasets that the candidate's run has logged: only resolve has the registry.

A dataset is the holdout itself by its digest, or by the path of its source. Where the source is a file that can be read
here, its rows are compared as those of `data.training` are.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlparse

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from weighin.contract.reading import ContractFile
from weighin.contract.rules import compared_by
from weighin.contract.sources import Files, in_place
from weighin.data.relation import Relation
from weighin.errors import NotEvaluated, RegistryError, WeighinError
from weighin.model.subject import Subject, TrainedOn
from weighin.registry.mlflow import Registry
from weighin.registry.runs import LoggedDataset
from weighin.suites.quality_columns import rows_in_training, training_overlap

HOLDOUTS = ("holdout", "sealed_holdout")
LOGGED_AT_MOST = 100
"""More training datasets than these are not compared."""
NAME_CHARACTERS = 60
PLACE = "the training data"


def trained_on(file: ContractFile, subject: Subject, work: Path) -> TrainedOn | None:
    """Return how the candidate's logged training datasets compare with the holdout; None where nobody asks for it."""
    if file.contract.model.training_datasets is None:
        return None
    try:
        logged = _logged(subject.candidate.run_id)
        with tempfile.TemporaryDirectory() as scratch:
            return _Comparison(file, subject, work, Path(scratch)).of(logged)
    except (RegistryError, NotEvaluated) as error:
        return TrainedOn(problem=str(error))


def _logged(run_id: str) -> list[LoggedDataset]:
    """Errors: `NotEvaluated` where the run has logged no training dataset, or too many."""
    place = "the candidate's run"
    remedy = "Log it: mlflow.log_input(dataset, context='training')."
    if not run_id:
        raise NotEvaluated("the candidate comes from no run, so no training dataset is logged", place, remedy)
    logged = [d for d in Registry().datasets(run_id) if d.context.casefold().startswith("train")]
    if not logged:
        raise NotEvaluated("it has logged no training dataset", place, remedy)
    if len(logged) > LOGGED_AT_MOST:
        raise NotEvaluated(f"it has logged {len(logged):,} training datasets", place, f"Log {LOGGED_AT_MOST} at most.")
    return logged


@dataclass
class _Comparison:
    """All training datasets with the holdouts that this validation judges on."""

    file: ContractFile
    subject: Subject
    work: Path
    scratch: Path
    compared: list[str] = field(default_factory=list)
    identical: list[str] = field(default_factory=list)
    timed: int = 0
    late: int = 0
    untimed: list[str] = field(default_factory=list)

    def of(self, logged: Sequence[LoggedDataset]) -> TrainedOn:
        """Return what was found. Errors: `NotEvaluated` where a holdout cannot be read."""
        holdouts = {name: self._holdout(name) for name in HOLDOUTS if name in self.subject.data}
        digests = {name: frozenset(_digests(self.file, path)) for name, path in holdouts.items()}
        known = {name: np.zeros(pq.read_metadata(path).num_rows, dtype=bool) for name, path in holdouts.items()}
        for number, dataset in enumerate(logged):
            shown = f"`{_inert(dataset.name)}`"
            for name in HOLDOUTS:
                how = "digest" if dataset.digest in digests.get(name, ()) else "path" if self._is(dataset, name) else ""
                if how:
                    self.identical.append(f"the training dataset {shown} is the {name.replace('_', ' ')}, by its {how}")
            try:
                path = self._readable(dataset, number)
                for name, holdout in holdouts.items():
                    known[name] |= self._rows(holdout, path)
            except WeighinError as error:
                fact = error.fact if error.place == PLACE else "its file cannot be read"
                self.compared.append(f"{shown} by its digest alone: {fact}")
            else:
                self.compared.append(f"{shown} by digest and row")
                self._times(holdouts["holdout"], path)
        why = "; ".join(self.untimed or ["no training dataset is a file that can be read here"])
        return TrainedOn(
            compared=tuple(self.compared),
            identical=tuple(self.identical),
            rows=sum(len(k) for k in known.values()),
            known=sum(int(k.sum()) for k in known.values()),
            timed=self.timed,
            late=self.late,
            untimed="" if self.timed else f"no time was compared: {why}",
        )

    def _holdout(self, name: str) -> Path:
        known = self.subject.data[name]
        if known["problem"]:
            raise NotEvaluated(f"the holdout could not be read: {known['problem']}", f"data.{name}")
        return self.work / str(known["place"]) if known["place"] else self.file.data_path(name)

    def _is(self, dataset: LoggedDataset, name: str) -> bool:
        """Whether the source of a dataset names the file of a holdout, here or in another checkout."""
        given = self.file.contract.data.source(name)
        if not isinstance(given, Files) or not dataset.source:
            return False
        if given.remote:
            return dataset.source.rstrip("/") == given.path.rstrip("/")
        path = _local(dataset.source)
        if path is None:
            return False
        here = self.file.folder / given.path
        found = self._found(path)
        if found is not None:
            return _is_file(here) and found.samefile(here)
        tail = PurePosixPath(given.path).parts
        # A name without a folder is that of many files.
        return len(tail) > 1 and path.parts[-len(tail) :] == tail

    def _found(self, path: Path) -> Path | None:
        """Return the file of a path, which may be relative to the contract or to the current folder."""
        return next((place for place in (self.file.folder / path, path) if _is_file(place)), None)

    def _readable(self, dataset: LoggedDataset, number: int) -> Path:
        """Return a Parquet file with the rows of a dataset. Errors: `WeighinError`."""
        path = _local(dataset.source)
        found = self._found(path) if path else None
        if found is None:
            raise NotEvaluated("its source is no file that can be read here", PLACE)
        return self._parquet(found, number)

    def _parquet(self, found: Path, number: int) -> Path:
        data = self.file.contract.data
        given = Files.model_validate({"path": str(found.resolve())})
        if in_place(given, "duckdb"):
            return found
        types = {name: column.type for name, column in data.columns.items()}
        table = Relation.of(given, self.file.folder, "duckdb", types)
        path = self.scratch / f"{number}.parquet"
        table.save([c for c in data.columns if c in table.kinds], table.rows, path)
        return path

    def _rows(self, holdout: Path, training: Path) -> NDArray[np.bool_]:
        """Return which rows of a holdout stand in a training file. Errors: `NotEvaluated`."""
        contract = self.file.contract
        gate = contract.model.training_datasets
        assert gate is not None
        try:
            there = pq.read_schema(training).names
        except (OSError, pa.ArrowException) as error:
            raise NotEvaluated("its file cannot be read", PLACE) from error
        must = gate.by or contract.features
        absent = [c for c in must if c not in there]
        if absent:
            raise NotEvaluated(f"its file has no column {absent[0]}", PLACE)
        return rows_in_training(holdout, training, [c for c in compared_by(contract, gate.by) if c in there])

    def _times(self, holdout: Path, training: Path) -> None:
        time = self.file.contract.data.time_column
        if time is None:
            return
        try:
            late, timed = training_overlap(holdout, training, time)
        except WeighinError as error:
            self.untimed.append(error.fact)
            return
        self.late, self.timed = self.late + late, self.timed + timed


def _digests(file: ContractFile, path: Path) -> Iterator[str]:
    """Yield the digests that MLflow gives a holdout, whole or in the columns with which a model is fitted.

    Errors: `NotEvaluated` where pandas cannot read it.
    """
    from mlflow.data.digest_utils import compute_numpy_digest, compute_pandas_digest

    contract = file.contract
    try:
        frame = pd.read_parquet(path)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise NotEvaluated("the holdout cannot be read as a data frame of pandas", str(path)) from error
    # A text task may have no target: MLflow then knows the features alone.
    features, target = list(contract.features), contract.model.target or contract.features[0]
    in_file = [c for c in frame.columns if c in features]
    listed = [c for c in frame.columns if c in contract.data.columns]
    for columns in (list(frame.columns), listed, features, in_file, [*features, target], [*in_file, target]):
        if set(columns) <= set(frame.columns):
            yield compute_pandas_digest(frame[columns])
    for columns in (features, in_file):
        # Arrays of mixed types have none.
        with contextlib.suppress(TypeError, ValueError, KeyError):
            yield compute_numpy_digest(frame[columns].to_numpy())
            yield compute_numpy_digest(frame[columns].to_numpy(), frame[target].to_numpy())


def _local(source: str) -> Path | None:
    """Return the path that a source names; nothing for an address, or a pattern.

    >>> str(_local("file:///data/a%20b.parquet")), _local("s3://bucket/train.parquet"), _local("data/*.parquet")
    ('/data/a b.parquet', None, None)
    """
    try:
        parsed = urlparse(source)
    except ValueError:
        return None
    if parsed.scheme not in ("", "file") or parsed.netloc or set("*?[\0") & set(source) or not parsed.path:
        return None
    return Path(unquote(parsed.path) if parsed.scheme else source)


def _is_file(path: Path) -> bool:
    """Whether there is a file, and no folder or device; a path that cannot be looked at is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _inert(name: str) -> str:
    """Return the name that somebody gave a dataset, as it may be shown."""
    return "".join(c for c in name if c.isprintable() and c != "`")[:NAME_CHARACTERS]
