"""What a suite may look at: the contract, the subject, the labelled data, and the predictions that a model left."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from weighin.canonical import file_digest
from weighin.contract import Contract
from weighin.contract.checks import cut
from weighin.contract.models import TimeBlock
from weighin.contract.reading import ContractFile
from weighin.contract.sources import StoredProfile
from weighin.data.profile import Profile
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.data.table import PART, drawn, group_codes, read_columns, read_rows
from weighin.errors import ContractError, NotEvaluated
from weighin.load import LoadLog, read_log
from weighin.load.log import WarmUp, log_name, read_warm_ups
from weighin.model.answers import (
    COLUMN,
    Predictions,
    must_be_finite,
    must_be_probabilities,
    must_not_be_labels,
    read_predictions,
)
from weighin.model.labels import Truth, scored, truth_of
from weighin.model.subject import Subject
from weighin.model.texts import read_texts
from weighin.outcome import Direction, Limit, Status, census, decide
from weighin.record.suite import SuiteOutcomes
from weighin.runner import environments
from weighin.runner.plan import Session, sessions
from weighin.stats.intervals import Codes
from weighin.stats.label_plan import Pool
from weighin.stats.metrics import METRICS
from weighin.stats.scored import Scored
from weighin.suites.given_scores import given_scores
from weighin.suites.label_plan import Labelled
from weighin.suites.label_plan import labelled as labelled_by_plan
from weighin.suites.row_scores import row_scores
from weighin.suites.rows import Rows, condition, recoded
from weighin.untrusted import JsonDict
from weighin.untrusted.bounded import json_value

Floats = NDArray[np.float64]
Values: TypeAlias = NDArray[Any]
"""Values of a column, of whatever type it has."""
FACTS_BYTES = 4 * 2**20
P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound="Evidence")


def kept(function: Callable[Concatenate[E, P], R]) -> Callable[Concatenate[E, P], R]:
    """Compute a function of evidence once for each of its arguments; the results live as long as the evidence."""

    @wraps(function)
    def once(evidence: E, /, *args: P.args, **kwargs: P.kwargs) -> R:
        known: dict[Any, R] = evidence.__dict__.setdefault("_kept", {})
        key = (function, args, tuple(kwargs.items()))
        if key not in known:
            known[key] = function(evidence, *args, **kwargs)
        return known[key]

    return once


@dataclass(frozen=True)
class Evidence:
    """Everything is read once and kept; methods raise `NotEvaluated` with the reason when it cannot be had."""

    file: ContractFile
    work: Path
    out: Path | None = None
    """Where a suite may leave more than outcomes: Data Docs, a drawing tool's report."""
    own: SuiteOutcomes | None = None
    """What the judge of the repository's own code left; None where that code is asked in this process."""
    own_only: bool = False
    """Whether this is the judge of the repository's own code, which measures nothing else."""
    only: frozenset[str] | None = None
    """The checks that will be asked for, where it pays to prepare no others; None for all."""
    rows_at_most: int | None = None
    """Of a dataset with more rows than these a sample of about so many is read; None for all rows."""

    def __hash__(self) -> int:
        return id(self)

    def wants(self, check: str) -> bool:
        """Whether a check will be asked for."""
        return self.only is None or check in self.only

    @property
    def contract(self) -> Contract:
        """The contract itself."""
        return self.file.contract

    @property
    @kept
    def subject(self) -> Subject:
        """Who is judged."""
        return Subject.read(self.work / "subject.json")

    @kept
    def columns(self, dataset: str, *names: str) -> pa.Table:
        """Columns of a dataset, in file order."""
        rows = self.sample(dataset)
        path = self.path(dataset)
        return read_columns(path, names) if rows is None else read_rows(path, names, rows)

    @kept
    def sample(self, dataset: str) -> Codes | None:
        """Return the numbers of the rows that are read, in order; None for all. They follow from the features alone."""
        known = self.subject.data.get(dataset, {})
        if self.rows_at_most is None or known.get("rows", 0) <= self.rows_at_most:
            return None
        seed = int(hashlib.sha256(str(known["features"]).encode()).hexdigest()[:12], 16)
        return drawn(self.path(dataset), known["rows"], self.rows_at_most, seed, self.contract.group_column)

    def size(self, dataset: str) -> int:
        """Return how many rows of a dataset are read."""
        rows = self.sample(dataset)
        return int(self.subject.data[dataset]["rows"]) if rows is None else len(rows)

    @kept
    def path(self, dataset: str) -> Path:
        """Return a dataset's file, which must still be the one that was resolved: predictions are about its rows."""
        known = self.subject.data.get(dataset, {})
        return self._unchanged(dataset, known.get("place", ""), known.get("sha256"))

    @kept
    def whole(self, dataset: str) -> Path:
        """Return a file that holds all rows of a dataset, not only those that models were asked about."""
        known = self.subject.data.get(dataset, {})
        if known.get("total", 0) <= known.get("rows", 0):
            return self.path(dataset)
        if "whole" not in known:
            raise NotEvaluated(
                f"of {known['total']:,} rows only a sample of {known['rows']:,} is here",
                f"data.{dataset}",
                "Validate again, from `weighin step resolve` on.",
            )
        return self._unchanged(dataset, known["whole"], known["whole_sha256"])

    def _unchanged(self, dataset: str, place: str, digest: str | None) -> Path:
        """Return a file of the work folder, or the dataset's own where no place in it is given."""
        try:
            path = self.work / place if place else self.file.data_path(dataset)
        except ContractError as error:
            # What lies elsewhere is brought here by `resolve`, which left the reason where it could not.
            why = self.subject.data.get(dataset, {}).get("problem") or error.fact
            raise NotEvaluated(str(why), f"data.{dataset}", error.remedy) from error
        if digest and path.is_file() and file_digest(path) != digest:
            raise NotEvaluated("the file has changed since it was resolved", str(path), "Validate again.")
        return path

    def planned(self, dataset: str) -> bool:
        """Whether the labels of a dataset come in by and by."""
        return dataset == "holdout" and self.contract.labels is not None

    @kept
    def label_plan(self) -> Labelled:
        """Return the labels of the holdout that count. Errors: `NotEvaluated` where there are none, or do not fit."""
        found = labelled_by_plan(self)
        if not len(found):
            waiting = f", and {found.waiting:,} of later rows wait for it" if found.waiting else ""
            said = f"the first row of the label plan has no label yet{waiting}"
            raise NotEvaluated(said, "gates.performance.labels", "Label the rows of the plan, in its order.")
        return found

    @kept
    def labelled(self, dataset: str) -> NDArray[np.bool_] | None:
        """Which rows have a label, shape (rows,); None where all have. Errors: `NotEvaluated` where too many lack one.

        As many may lack one as `missing_at_most` of the target's column says; metrics are of the others.
        """
        target = self.contract.model.target
        if not target:
            return None
        if self.planned(dataset):
            keep = np.zeros(self.columns(dataset, self.contract.features[0]).num_rows, dtype=bool)
            keep[self.label_plan().rows] = True
            return keep
        values = self.columns(dataset, target)[target]
        absent = int(pc.sum(pc.is_null(values, nan_is_null=True)).as_py() or 0)
        if not absent:
            return None
        allowed = self.contract.data.columns[target].missing_at_most
        counted = census("", absent / len(values), n=len(values), unit="share", method="counted")
        if decide(counted, Limit(Direction.AT_MOST, allowed)).status is not Status.PASSED or absent == len(values):
            raise NotEvaluated(
                f"{absent:,} of {len(values):,} rows have no label, and a share of {allowed:g} may lack one",
                f"{self.path(dataset)}, column {target}",
                "Leave them out, or raise `missing_at_most` of the target's column.",
            )
        return ~np.asarray(pc.is_null(values, nan_is_null=True))

    @kept
    def truth(self, dataset: str) -> Truth:
        """Labels of the rows that have one: booleans, class codes or numbers, as the task has it."""
        if self.planned(dataset):
            plan = self.label_plan()
            return np.asarray(plan.truth[np.argsort(plan.rows)])
        model, keep = self.contract.model, self.labelled(dataset)
        values = self.columns(dataset, model.target)[model.target]
        if keep is not None:
            values = values.filter(pa.array(keep))
        return truth_of(values, model, f"{self.path(dataset)}, column {model.target}")

    @kept
    def groups(self, dataset: str) -> Codes | None:
        """Group codes, shape (rows,), or None where rows are independent."""
        group, name = self.contract.group, self.contract.group_column
        if name is None:
            return None
        values = self.columns(dataset, name)[name]
        if isinstance(group, TimeBlock):
            try:
                seconds = values.cast(pa.timestamp("us", tz=getattr(values.type, "tz", None))).cast(pa.int64())
            except pa.ArrowException as error:
                raise NotEvaluated(f"column {name} holds no time", dataset, "Correct `group`.") from error
            blocks = np.floor_divide(seconds.to_numpy(zero_copy_only=False), group.hours * 3_600_000_000)
            values = pa.chunked_array([pa.array(blocks, from_pandas=True)])
        return group_codes(values, f"{dataset}, column {name}")[0]

    def weights(self, dataset: str) -> Floats | None:
        """Weights, shape (rows,), or None where every row counts the same."""
        name = self.contract.weight
        if name is None:
            return None
        values = self.columns(dataset, name)[name]
        weights = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
        if values.null_count or not np.isfinite(weights).all() or (weights <= 0).any():
            raise NotEvaluated("weights that are missing, not finite or not positive", f"{dataset}, column {name}")
        return weights

    def demand_asked(self, dataset: str) -> None:
        """Errors: `NotEvaluated` where no model was asked about a dataset."""
        problem = self.subject.data.get(dataset, {}).get("problem")
        if problem:
            raise NotEvaluated(f"no model was asked: {problem}", dataset)

    def raw_predictions(self, role: str, dataset: str, rows: int) -> Values:
        """Return what a role's model answered to a file of features, shape (rows,) or (rows, k), each a usable
        number.
        """
        self.demand_asked(dataset)
        model, values = self.contract.model, self.answers_left(role, dataset, rows)
        if model.prediction.kind not in ("probability", "probabilities"):
            return values
        place = f"predictions/{role}/{dataset}.arrow"
        return must_not_be_labels(must_be_probabilities(values, place), place)

    def answers_left(self, role: str, dataset: str, rows: int) -> Values:
        """Return the finite numbers, shape (rows,) or (rows, k), or the texts, shape (rows * repeats,), that a role's
        model left.
        """
        known = self.subject.data.get(dataset, {})
        path = self.work / "predictions" / role / f"{dataset}.arrow"
        if self.contract.model.prediction.kind == "text":
            return read_texts(path, rows * self.contract.model.repeats, known.get("features", ""))
        sample, width = self.sample(dataset), self.contract.model.answers.width
        if sample is None:
            return read_predictions(path, rows, width, known.get("features", ""))
        left, parts = Predictions(path, known["rows"], width, known.get("features", "")), []
        for start in range(0, left.rows, PART):
            end = min(start + PART, left.rows)
            first, last = np.searchsorted(sample, (start, end))
            parts.append(left.part(start, end)[sample[first:last] - start])
        return np.concatenate(parts)

    @kept
    def predictions(self, role: str, dataset: str) -> Values:
        """Predictions of a role on a dataset, in its order; several texts of one row follow each other."""
        self.demand_asked(dataset)
        target = "" if self.planned(dataset) else self.contract.model.target
        rows = self.columns(dataset, target or self.contract.features[0]).num_rows
        return self.raw_predictions(role, dataset, rows)

    @kept
    def scored(self, role: str, dataset: str) -> Scored:
        """Labels, predictions and weights of a role on the rows of a dataset that have a label."""
        contract, weights = self.contract, self.weights(dataset)
        weight = None if weights is None else self.of_labelled(weights, dataset)
        if contract.model.task == "text":
            return self._scored_texts(role, dataset, weight)
        answered = self.of_labelled(self.predictions(role, dataset), dataset)
        found = scored(self.truth(dataset), answered, weight, contract.model, contract.threshold)
        return replace(found, unit=self._queries(dataset), scale=self._forecast_column(dataset, "scale"))

    def _scored_texts(self, role: str, dataset: str, weight: Floats | None) -> Scored:
        """Return a role's texts with what each is scored by; each answer of a row that was asked several times counts.

        weight  (labelled rows,)
        """
        contract, often = self.contract, self.contract.model.repeats
        texts = self.predictions(role, dataset).reshape(-1, often)
        answered = self.of_labelled(texts, dataset).reshape(-1)
        references = np.repeat(self.truth(dataset), often) if contract.model.target else None

        def each(table: pa.Table) -> pa.Table:
            return table.take(pa.array(np.repeat(np.arange(table.num_rows), often)))

        named = row_scores(
            answered.tolist(),
            None if references is None else references.tolist(),
            contract.gates.performance,
            lambda own: given_scores(own, contract, self.file.folder, each(self._keys(dataset)), answered.tolist()),
            lambda: each(self._labelled_columns(dataset, *contract.features)).to_pylist(),
        )
        truth = answered if references is None else references
        return Scored(truth, answered, None if weight is None else np.repeat(weight, often), row_scores=named)

    def _queries(self, dataset: str) -> Codes | None:
        """Return the queries of a ranking, shape (labelled rows,)."""
        group, keep = self.groups(dataset), self.labelled(dataset)
        if self.contract.model.task != "ranking" or group is None:
            return None
        return group if keep is None else recoded(group, keep)

    def _forecast_column(self, dataset: str, key: str) -> Floats | None:
        """Return a column that the contract names for forecasts, shape (labelled rows,). Errors: `NotEvaluated`."""
        name: str | None = getattr(self.contract.model.forecast, key)
        if name is None:
            return None
        values = self.of_labelled(self.columns(dataset, name)[name].to_numpy(zero_copy_only=False), dataset)
        try:
            found: Floats = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise NotEvaluated("it holds no numbers", f"{dataset}, column {name}", "Correct model.forecast.") from error
        return must_be_finite(found, f"{dataset}, column {name}") if key != "scale" else found

    def _keys(self, dataset: str) -> pa.Table:
        """Return the key columns of the rows that have a label."""
        names = [name for name, column in self.contract.data.columns.items() if column.role == "key"]
        return self._labelled_columns(dataset, *names)

    def _labelled_columns(self, dataset: str, *names: str) -> pa.Table:
        """Return columns of the rows that have a label."""
        keep, found = self.labelled(dataset), self.columns(dataset, *names)
        return found if keep is None else found.filter(pa.array(keep))

    def of_labelled(self, values: Values, dataset: str) -> Values:
        """Return what belongs to the rows that have a label."""
        keep = self.labelled(dataset)
        return values if keep is None else np.asarray(values)[keep]

    @kept
    def rows(self, dataset: str) -> Rows:
        """Everything that a performance check is measured on.

        Of a row that was asked several times each answer counts, and together they are one row that repeats.
        """
        often, target = self.contract.model.repeats, self.contract.model.target

        def column(name: str) -> NDArray[np.generic]:
            values = self.columns(dataset, name)[name].to_numpy(zero_copy_only=False)
            return np.repeat(self.of_labelled(values, dataset), often)

        def where(query: str) -> NDArray[np.bool_]:
            names = [n for n in self.contract.data.columns if not (self.planned(dataset) and n == target)]
            found = condition(self.columns(dataset, *names), query)
            return np.repeat(self.of_labelled(found, dataset), often)

        known = {role: self.scored(role, dataset) for role in self.subject.roles}
        for baseline in ("naive", "seasonal_naive"):
            values = self._forecast_column(dataset, baseline)
            if values is not None:
                known[baseline] = replace(known["candidate"], score=values)
        keep, group = self.labelled(dataset), self.groups(dataset)
        group = group if keep is None else recoded(group, keep)
        if often > 1:
            rows = len(known["candidate"].truth) // often
            group = np.repeat(np.arange(rows) if group is None else group, often)
        gate = self.contract.gates.performance
        catalogue = METRICS.get if gate is None else gate.catalogued
        found = Rows(known, group, self.contract.sampling_unit, column, where, self.contract.alpha, catalogue)
        return found.by_plan(*self._strata()) if self.planned(dataset) else found

    def _strata(self) -> tuple[Pool, NDArray[np.bool_]]:
        """Return what the labelled rows of the holdout were drawn from, and (n,) which are decided differently."""
        plan = self.label_plan()
        return plan.plan.pool, plan.differ[np.argsort(plan.rows)]

    @kept
    def profile(self, dataset: str) -> Profile:
        """Return the profile of the reference or of the current data, as `resolve` counted it."""
        known = self.subject.data.get(dataset, {})
        if known.get("uncounted"):
            raise NotEvaluated(str(known["uncounted"]), f"data.{dataset}")
        found = Profile.read(self.work / "profiles" / f"{dataset}.json")
        if found.digest != known.get("profile"):
            raise NotEvaluated("the profile is not the one that was resolved", f"data.{dataset}", "Validate again.")
        return found

    def predicted(self, dataset: str) -> pa.Array:
        """Return what the candidate predicts of each row: a number, or of several classes the most probable one."""
        values, classes = self.predictions("candidate", dataset), self.contract.model.classes
        codes = values.argmax(axis=1) if values.ndim == 2 else values.astype(np.int64)
        return pa.array([str(classes[i]) for i in codes] if classes else values)

    @kept
    def prediction_profile(self, dataset: str) -> Profile:
        """Predictions on a dataset, counted; for several classes the most probable one.

        The candidate's, but for a stored reference, which holds those of the model that it is stored with.
        """
        contract = self.contract
        if isinstance(contract.data.source(dataset), StoredProfile):
            return self.profile(dataset)
        columns = {COLUMN: self.predicted(dataset)}
        name = contract.group_column
        if name:
            columns[name] = self.columns(dataset, name)[name].combine_chunks()
        assert contract.gates.drift is not None
        cells = cut(contract.gates.drift, COLUMN)[1]
        like = None if dataset == "reference" else self.prediction_profile("reference")
        return profile(Relation.over(pa.table(columns)), {COLUMN: cells}, contract.group, like)

    def packages(self, role: str) -> dict[str, str]:
        """Package -> version of the environment in which a role's model was asked, where that was its own."""
        return environments.noted(self.work / "predictions" / role)

    @kept
    def sessions(self, role: str) -> tuple[Session, ...]:
        """Return the starts of a server that the contract asks for."""
        gate = self.contract.gates.load
        every = sessions(gate, self.subject.champion is not None) if gate else ()
        return tuple(s for s in every if s.role == role)

    @kept
    def load_log(self, role: str) -> LoadLog:
        """Return what the load generator saw of a role's server, at all of its starts."""
        starts = self.sessions(role)
        if not starts:
            raise NotEvaluated(f"no server of the {role} was asked", "gates.load")
        return read_log([self.work / "load" / s.name / log_name(role, s.start) for s in starts])

    def warm_ups(self, role: str) -> list[WarmUp]:
        """Return what the load generator saw before it counted, at each start of a role's server."""
        return read_warm_ups([self.work / "load" / s.name / log_name(role, s.start) for s in self.sessions(role)])

    @kept
    def load_facts(self, role: str, start: int, of: Literal["session", "server"]) -> JsonDict:
        """Return what the generator (`session`) or the runner (`server`) noted at one start."""
        name = f"{role}-{start}"
        path = self.work / "load" / (f"{name}/session.json" if of == "session" else f"{name}.server.json")
        problem = self.work / "load" / f"{name}.problem"
        # Of the clean environment the runner's note says why it could not be built, which is what its check asks.
        if (of == "session" or role != "clean") and problem.is_file():
            raise NotEvaluated(problem.read_text(encoding="utf-8", errors="replace")[:500], f"load/{name}")
        try:
            value = json_value(path.read_bytes()) if path.stat().st_size < FACTS_BYTES else None
        except (OSError, ValueError) as error:
            raise NotEvaluated("not recorded", f"load/{path.name}", "Run the load step again.") from error
        if not isinstance(value, dict):
            raise NotEvaluated("not what a load step leaves", f"load/{path.name}", "Run the load step again.")
        return value
