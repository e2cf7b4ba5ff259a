"""Runs of an MLflow server, and the files, tags, points and datasets in them."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from weighin.registry import entry_model
from weighin.registry.client import Client
from weighin.registry.location import experiment_name
from weighin.registry.queries import tags_are

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class LoggedDataset:
    """A dataset that a run has logged: `mlflow.log_input(dataset, context)`.

    digest  MLflow's own, or what was given in its place
    source  address or path where it names one
    """

    name: str
    context: str
    digest: str
    source: str


class Runs(Client):
    """The runs beside a registry."""

    def log_run(self, experiment: str, location: str | None, folder: Path, tags: dict[str, str]) -> str:
        """Make a finished run that holds the files of a folder; returns its id."""
        from mlflow.exceptions import MlflowException

        experiment = experiment_name(experiment, self.tracking)
        try:
            self._client.create_experiment(experiment, artifact_location=location)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                self._call(lambda: self._client.get_experiment_by_name(experiment))
        found = self._call(lambda: self._client.get_experiment_by_name(experiment))
        run = self._call(lambda: self._client.create_run(found.experiment_id, tags=tags))
        run_id = str(run.info.run_id)
        self._call(lambda: self._client.log_artifacts(run_id, str(folder)))
        self._call(lambda: self._client.set_terminated(run_id))
        return run_id

    def run_named(self, experiment: str, name: str) -> str:
        """Return the id of the oldest run of that name in an experiment; one is made where there is none."""
        location, place = self.artifact_location, experiment_name(experiment, self.tracking)
        found = self._call(lambda: self._client.get_experiment_by_name(place))
        if found is None:
            from mlflow.exceptions import MlflowException

            # Another process may make it first.
            with contextlib.suppress(MlflowException):
                self._client.create_experiment(place, artifact_location=location)
            found = self._call(lambda: self._client.get_experiment_by_name(place))
        runs = self.runs_of(experiment, {"mlflow.runName": name})
        if runs:
            return str(runs[0].info.run_id)
        run = self._call(lambda: self._client.create_run(found.experiment_id, run_name=name))
        return str(run.info.run_id)

    def runs_of(self, experiment: str, tags: Mapping[str, str], *, newest: bool = False) -> list[Run]:
        """Return at most a hundred runs of an experiment with these tags, the oldest (or the newest) first; none where
        there is no such experiment.
        """
        place = experiment_name(experiment, self.tracking)
        found = self._call(lambda: self._client.get_experiment_by_name(place))
        if found is None:
            return []
        ids, order = [found.experiment_id], [f"attributes.start_time {'DESC' if newest else 'ASC'}"]
        query = tags_are(tags)
        runs = self._call(lambda: self._client.search_runs(ids, query, max_results=100, order_by=order))
        return [run for run in runs if tags.items() <= run.data.tags.items()]

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags on the run of a version."""
        for key, value in tags.items():
            self._set(partial(self._client.set_tag, run_id, key, value))

    def log_metrics(self, run_id: str, metrics: Mapping[str, float]) -> None:
        """Log numbers to the run of a version."""
        self.log_points(run_id, metrics, time.time(), 0)

    def log_files(self, run_id: str, folder: Path, place: str) -> None:
        """Log a folder of files to the run of a version, under `place`."""
        self._call(lambda: self._client.log_artifacts(run_id, str(folder), place))

    def log_points(self, run_id: str, metrics: Mapping[str, float], moment: float, step: int) -> None:
        """Add a point to each series of a run. `moment` in seconds since 1970; names are made ones that it allows."""
        from mlflow.entities import Metric

        every = [Metric(metric_name(n), v, int(moment * 1000), step) for n, v in metrics.items()]
        for start in range(0, len(every), 500):
            self._set(partial(self._client.log_batch, run_id, metrics=every[start : start + 500]))

    def points(self, run_id: str, metric: str) -> list[tuple[float, float]]:
        """Return the points of one series, (seconds since 1970, value), the oldest first."""
        found = self._call(lambda: self._client.get_metric_history(run_id, metric_name(metric)))
        return sorted((m.timestamp / 1000, float(m.value)) for m in found)

    def datasets(self, run_id: str) -> list[LoggedDataset]:
        """Return the datasets that a run has logged. Their texts are those of whoever logged them."""
        from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

        inputs = self._call(lambda: self._client.get_run(run_id)).inputs
        found = []
        for item in inputs.dataset_inputs if inputs else ():
            context = next((str(t.value) for t in item.tags if t.key == MLFLOW_DATASET_CONTEXT), "")
            source = ""
            with contextlib.suppress(ValueError):
                said = json.loads(item.dataset.source or "null")
                source = str(said.get("uri") or said.get("url") or "") if isinstance(said, dict) else ""
            found.append(LoggedDataset(str(item.dataset.name), context, str(item.dataset.digest), source))
        return found

    def fetch(self, run_id: str, name: str, folder: Path) -> Path:
        """Return one file of a run, copied into `folder`; all of them for an empty name, but no entry model."""
        found = Path(self._call(lambda: self._client.download_artifacts(run_id, name, str(folder))))
        if not name:
            shutil.rmtree(found / entry_model.FOLDER, ignore_errors=True)
        return found


def metric_name(name: str) -> str:
    """Return a name that MLflow allows.

    >>> metric_name("monitor/last-1000/roc_auc@origin=JFK")
    'monitor/last-1000/roc_auc_origin_JFK'
    """
    return re.sub(r"[^\w./: -]", "_", name)
