"""Ask the models again, about features that a fault changed: by the processes that `weighin validate` uses."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from weighin.data.permute import permuted
from weighin.data.typed import typed
from weighin.drill.inputs import Inputs
from weighin.errors import NotEvaluated
from weighin.model.answers import read_predictions
from weighin.runner import local
from weighin.runner.plan import Plan
from weighin.runner.problem import COLUMNS
from weighin.runner.warm import Warm, warm
from weighin.suites.evidence import Floats
from weighin.suites.explainability import DATASET as PERMUTED


class Models:
    """The models of a validation, asked in processes that see features and nothing else.

    A warm process is started with the first question, and ended by `close`.
    """

    def __init__(self, base: Inputs) -> None:
        self._base = base
        self._held = ExitStack()
        self._forks: Warm | None = None
        self._started = False

    def close(self) -> None:
        """End the warm process."""
        self._held.close()

    def again(self, inputs: Inputs, *, whole: bool = True) -> Inputs:
        """Return inputs with the answers to their features, where a fault changed these.

        whole  ask about everything that the suites read; without it only what performance is measured on
        A model that does not answer is a problem that the suites then report.
        """
        for role in inputs.subject.roles:
            features, problems = self._features(inputs, role, whole)
            inputs = replace(inputs, problems={**inputs.problems, **problems})
            if features:
                inputs = self._asked(inputs, role, features)
        return inputs

    def _features(
        self, inputs: Inputs, role: str, whole: bool
    ) -> tuple[dict[str, pa.Table], dict[tuple[str, str], str]]:
        """Return what a role has to be asked about, by dataset, and why of some datasets nothing can be asked."""
        contract = inputs.file.contract
        prepare = inputs.prepare if role == "candidate" else None
        found: dict[str, pa.Table] = {}
        problems: dict[tuple[str, str], str] = {}
        for dataset in inputs.tables:
            changed = inputs.changed_columns(self._base, dataset)
            moved = changed is None or bool(changed & set(contract.features))
            needed = dataset == "holdout" or (whole and role == "candidate" and self._compared(inputs))
            if not needed or not (moved or prepare) or (role, dataset) not in self._base.answers:
                continue
            explain = contract.gates.explainability
            try:
                table = self._typed(inputs, dataset)
                if whole and explain and dataset == "holdout":
                    copies = permuted(table, explain.rows, explain.repeats)
                    found[PERMUTED] = prepare(copies) if prepare else copies
                found[dataset] = prepare(table) if prepare else table
            except NotEvaluated as error:
                problems[role, dataset] = f"no model was asked: {error}"
                if dataset == "holdout":
                    problems[role, PERMUTED] = problems[role, dataset]
        return found, problems

    @staticmethod
    def _compared(inputs: Inputs) -> bool:
        gate = inputs.file.contract.gates.drift
        return gate is not None and gate.predictions

    @staticmethod
    def _typed(inputs: Inputs, dataset: str) -> pa.Table:
        contract, table = inputs.file.contract, inputs.tables[dataset]
        absent = [n for n in contract.features if n not in table.column_names]
        if absent or not table.num_rows:
            raise NotEvaluated(f"no column {', '.join(absent)}" if absent else "there are no rows", f"data.{dataset}")
        return typed(table.select(list(contract.features)), contract.data.columns, f"data.{dataset}")

    def _asked(self, inputs: Inputs, role: str, features: Mapping[str, pa.Table]) -> Inputs:
        """Return inputs with what one role answers to some tables."""
        answers: dict[tuple[str, str], Floats] = {}
        problems = dict(inputs.problems)
        with tempfile.TemporaryDirectory(prefix="weighin-drill-") as scratch:
            work = self._work(Path(scratch), role)
            for name, table in features.items():
                pq.write_table(table, work / "features" / f"{name}.parquet")
            local.predict(work, self._warm())
            width = inputs.file.contract.model.answers.width
            for name, table in features.items():
                try:
                    path = work / "predictions" / role / f"{name}.arrow"
                    answers[role, name] = read_predictions(path, table.num_rows, width, "")
                except NotEvaluated as error:
                    problems[role, name] = str(error)
        return replace(inputs.with_answers(answers), problems=problems)

    def _work(self, work: Path, role: str) -> Path:
        """Return a work folder with one role, its model and no features."""
        source = self._base.work
        (work / "features").mkdir()
        for name in ("subject.json", COLUMNS):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(source / name, work / name)
        (work / "models").symlink_to((source / "models").resolve(), target_is_directory=True)
        plan = Plan.read(source / "plan.json")
        replace(plan, roles=(role,), shap_rows=0).write(work / "plan.json")
        return work

    def _warm(self) -> Warm | None:
        if not self._started:
            self._started = True
            self._forks = self._held.enter_context(warm(("models",), {**local.PATIENT, **local.variables()}))
        return self._forks
