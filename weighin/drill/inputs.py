"""What a gate reads, in memory, and evidence over it. A fault returns a changed copy; what lies on disk stays."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from weighin.contract.checks import cut, drift_columns
from weighin.contract.reading import ContractFile
from weighin.contract.sources import StoredProfile
from weighin.data.profile import Profile
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.errors import EvidenceError, NotEvaluated
from weighin.model.answers import must_be_finite
from weighin.model.subject import Subject
from weighin.suites.evidence import Evidence, Floats
from weighin.suites.explainability import DATASET as PERMUTED

Prepare = Callable[[pa.Table], pa.Table]
Answers = Mapping[tuple[str, str], Floats]
"""(role, dataset) -> what the role's model answered, shape (n,) or (n, k)."""


PREFERRED = ("current", "holdout")
"""What faults of data are put into where nobody says otherwise: what arrives, before what models are scored on."""


class NotApplicable(Exception):
    """A fault that this contract, or these data, cannot have; the text says why."""


@dataclass(frozen=True)
class Inputs:
    """What the suites read.

    work      what the last validation left
    tables    dataset -> its rows, all columns of the file
    answers   see `Answers`; what no model was asked is absent
    profiles  dataset -> what drift was counted on
    apart     whether the model that is served answers otherwise than the one that was asked offline
    dataset   the one that faults of data are put into
    prepare   what the candidate does to its features before it answers, and did not do when it was trained
    problems  (role, dataset) -> why a model did not answer, where it did before
    """

    file: ContractFile
    subject: Subject
    work: Path
    tables: Mapping[str, pa.Table]
    answers: Answers
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    apart: bool = False
    dataset: str = "holdout"
    prepare: Prepare | None = None
    problems: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @staticmethod
    def read(file: ContractFile, work: Path) -> Inputs:
        """Read what the last validation left. Errors: `EvidenceError`, `NotEvaluated`."""
        evidence = Evidence(file, work)
        subject = evidence.subject
        tables: dict[str, pa.Table] = {}
        answers: dict[tuple[str, str], Floats] = {}
        profiles: dict[str, Profile] = {}
        for dataset in file.contract.data.named:
            if evidence.path(dataset).is_file():
                tables[dataset] = pq.read_table(evidence.path(dataset))
            with contextlib.suppress(NotEvaluated, EvidenceError):
                profiles[dataset] = evidence.profile(dataset)
        if "holdout" not in tables:
            raise NotEvaluated("there is no holdout", str(work), "Run `weighin validate` first.")
        for role in subject.roles:
            for name, table in tables.items():
                with contextlib.suppress(NotEvaluated):
                    answers[role, name] = evidence.answers_left(role, name, table.num_rows)
            if PERMUTED in subject.data:
                with contextlib.suppress(NotEvaluated):
                    answers[role, PERMUTED] = evidence.answers_left(role, PERMUTED, subject.data[PERMUTED]["rows"])
        return Inputs(file, subject, work, tables, answers, profiles, dataset=next(d for d in PREFERRED if d in tables))

    def table(self, dataset: str) -> pa.Table:
        """Return a dataset's rows. Errors: `NotApplicable`."""
        if dataset not in self.tables:
            raise NotApplicable(f"the contract has no rows of data.{dataset}")
        return self.tables[dataset]

    def answered(self, role: str, dataset: str = "holdout") -> Floats:
        """Return what a role's model answered. Errors: `NotApplicable`."""
        if (role, dataset) not in self.answers:
            raise NotApplicable(f"no {role} was asked about data.{dataset}")
        if self.file.contract.model.task == "text":
            raise NotApplicable("answers that are texts are not changed as numbers are")
        return self.answers[role, dataset]

    def with_table(self, dataset: str, table: pa.Table) -> Inputs:
        """Return a copy in which a dataset has other rows."""
        return replace(self, tables={**self.tables, dataset: table})

    def with_column(self, dataset: str, name: str, values: Any) -> Inputs:
        """Return a copy in which one column has other values, of whatever type."""
        table = self.table(dataset)
        return self.with_table(
            dataset, table.set_column(table.column_names.index(name), name, pa.chunked_array([values]))
        )

    def with_rows(self, dataset: str, rows: NDArray[np.int64]) -> Inputs:
        """Return a copy in which a dataset has these rows, by number; what models answered goes with them."""
        answers = {key: values[rows] for key, values in self.answers.items() if key[1] == dataset}
        return self.with_table(dataset, self.table(dataset).take(pa.array(rows))).with_answers(answers)

    def with_answers(self, changed: Answers) -> Inputs:
        """Return a copy in which models answered otherwise. Errors: `NotApplicable`."""
        if self.file.contract.model.task == "text":
            raise NotApplicable("answers that are texts are not changed as numbers are")
        return replace(self, answers={**self.answers, **changed})

    def changed_columns(self, base: Inputs, dataset: str) -> frozenset[str] | None:
        """Return the columns in which a dataset differs from that of other inputs; None where its rows do."""
        mine, other = self.tables.get(dataset), base.tables.get(dataset)
        if mine is other or mine is None or other is None:
            return frozenset()
        if mine.num_rows != other.num_rows or mine.column_names != other.column_names:
            return None
        return frozenset(n for n in mine.column_names if not same(mine[n], other[n]))

    def changed_answers(self, base: Inputs) -> frozenset[tuple[str, str]]:
        """Return role and dataset of the answers that differ from those of other inputs."""
        changed = {key for key, values in self.answers.items() if values is not base.answers.get(key)}
        return frozenset(changed | set(self.problems))


def same(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """Whether two columns hold the same values of the same type; NaN is like NaN."""
    if one.type != other.type:
        return False
    if pa.types.is_floating(one.type):
        found = np.array_equal(one.to_numpy(), other.to_numpy(), equal_nan=True)
        return bool(found) and one.null_count == other.null_count
    return bool(one.equals(other))


@dataclass(frozen=True, eq=False)
class HeldEvidence(Evidence):
    """Evidence over inputs in memory; what they do not hold is read from the work folder as ever.

    inputs, base  with the fault, and without it
    folder        where changed tables are written for what reads files
    """

    inputs: Inputs | None = None
    base: Inputs | None = None
    folder: Path | None = None

    @property
    def held(self) -> tuple[Inputs, Inputs, Path]:
        """Inputs with and without the fault, and the folder."""
        assert self.inputs is not None
        assert self.base is not None
        assert self.folder is not None
        return self.inputs, self.base, self.folder

    @property
    def subject(self) -> Subject:
        """Who is judged."""
        return self.held[0].subject

    def columns(self, dataset: str, *names: str) -> pa.Table:
        """Columns of a dataset, in file order."""
        table = self.held[0].tables.get(dataset)
        if table is None:
            return super().columns(dataset, *names)
        absent = [n for n in names if n not in table.column_names]
        if absent:
            raise NotEvaluated(f"no column {', '.join(absent)}", f"data.{dataset}")
        if not table.num_rows:
            raise NotEvaluated("the file has no rows", f"data.{dataset}", "Nothing can be measured on an empty table.")
        return table.select([n for n in table.column_names if n in names])

    def path(self, dataset: str) -> Path:
        """Return a dataset's file: its own, or one that holds what the fault made of it."""
        inputs, base, folder = self.held
        table = inputs.tables.get(dataset)
        if table is None or table is base.tables.get(dataset):
            return super().path(dataset)
        path = folder / f"{dataset}.parquet"
        if not path.is_file():
            pq.write_table(table, path, compression="none")
        return path

    def whole(self, dataset: str) -> Path:
        """Return the same: what models were asked about stands for all rows where a fault changed it."""
        inputs, base, _ = self.held
        changed = inputs.tables.get(dataset) is not base.tables.get(dataset)
        return self.path(dataset) if changed else super().whole(dataset)

    def answers_left(self, role: str, dataset: str, rows: int) -> Floats:
        """Return the finite numbers that a role's model answered. Errors: `NotEvaluated`."""
        inputs = self.held[0]
        if (role, dataset) in inputs.problems:
            raise NotEvaluated(inputs.problems[role, dataset], f"predictions/{role}")
        values = inputs.answers.get((role, dataset))
        if values is None:
            return super().answers_left(role, dataset, rows)
        place = f"predictions/{role}/{dataset}.arrow"
        if len(values) != rows * self.contract.model.repeats:
            raise NotEvaluated(f"{len(values)} predictions for {rows} rows", place, "Answer every row once.")
        return values if self.contract.model.task == "text" else must_be_finite(values, place)

    def profile(self, dataset: str) -> Profile:
        """Return what drift compares: as it was counted, with the columns that the fault changed counted anew."""
        kept: dict[str, Profile] = self.__dict__.setdefault("_profiles", {})
        if dataset not in kept:
            kept[dataset] = self._counted(dataset)
        return kept[dataset]

    def _counted(self, dataset: str) -> Profile:
        inputs, base, _ = self.held
        gate, contract = self.contract.gates.drift, self.contract
        known = base.profiles.get(dataset)
        if known is None or gate is None or isinstance(contract.data.source(dataset), StoredProfile):
            return super().profile(dataset)
        changed = inputs.changed_columns(base, dataset)
        reference = inputs.changed_columns(base, "reference")
        recut = dataset == "current" and (reference is None or reference)
        if changed is not None and not changed and not recut:
            return known
        every = {c: cut(gate, c)[1] for c in drift_columns(contract) if c in contract.data.columns}
        like = self.profile("reference") if dataset == "current" else None
        table = Relation.over(inputs.tables[dataset])
        group = changed is not None and contract.group_column in changed
        if changed is None or recut or group:
            return profile(table, every, contract.group, like)
        counted = profile(table, {c: n for c, n in every.items() if c in changed}, contract.group, like)
        # A column that can no longer be counted is left out, and its check then says why.
        rest = {c: of for c, of in known.columns.items() if c not in changed}
        return replace(counted, columns={**rest, **counted.columns})


@contextlib.contextmanager
def evidence_of(inputs: Inputs, base: Inputs) -> Iterator[HeldEvidence]:
    """Yield evidence over inputs; what it writes is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="weighin-drill-") as folder:
        yield HeldEvidence(inputs.file, inputs.work, inputs=inputs, base=base, folder=Path(folder))
