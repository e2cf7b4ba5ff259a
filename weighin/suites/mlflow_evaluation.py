"""`mlflow.models.evaluate` on the candidate: MLflow's own tables and plots, for those who live in its UI.

No model is loaded: MLflow is given one that answers with the predictions that were left. What it draws is shown, and
logged to the candidate's run by the promoting job; no outcome rests on it.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weighin.scores.catalogue import NEED_REFERENCES
from weighin.scores.demands import names
from weighin.stats.scored import Scored
from weighin.suites.evidence import Evidence
from weighin.untrusted import JsonObject

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "mlflow"
METRICS = "metrics.json"


class Replay:
    """Answers row numbers with what the candidate answered for these rows."""

    def __init__(self, scored: Scored, classes: tuple[Any, ...], *, probabilities: bool = True) -> None:
        probability = scored.score if scored.score.ndim == 2 else np.column_stack([1 - scored.score, scored.score])
        self._answers: NDArray[Any] = scored.score
        if scored.truth.dtype != np.float64:
            self.classes_ = np.array(classes)
            self._answers = self.classes_[np.asarray(scored.decision, dtype=np.int64)]
        if scored.truth.dtype != np.float64 and probabilities:
            self.predict_proba = lambda rows: probability[np.asarray(rows, dtype=np.int64).ravel()]

    def predict(self, rows: pd.DataFrame, params: JsonObject | None = None) -> NDArray[np.int64]:
        """Return what was answered, decided at the contract's threshold."""
        return self._answers[np.asarray(rows, dtype=np.int64).ravel()]


def draw(evidence: Evidence, out: Path) -> None:
    """Leave `out/mlflow/`: MLflow's artifacts and `metrics.json`, of texts the numbers alone; nothing of rankings and
    intervals.

    Errors: whatever MLflow raises.
    """
    if evidence.contract.model.task == "ranking" or evidence.contract.model.prediction.kind == "interval":
        return
    shutil.rmtree(out / FOLDER, ignore_errors=True)
    import mlflow

    uri = mlflow.get_tracking_uri()
    with tempfile.TemporaryDirectory() as folder, _quiet():
        asked = _texts(evidence) if evidence.contract.model.task == "text" else _numbers(evidence)
        mlflow.set_tracking_uri(f"sqlite:///{_store(evidence.work, Path(folder))}")
        try:
            experiment = mlflow.create_experiment("evaluation", artifact_location=f"{folder}/artifacts")
            with mlflow.start_run(experiment_id=experiment) as run:
                found = mlflow.models.evaluate(targets="label", evaluators="default", **asked)
        finally:
            mlflow.set_tracking_uri(uri)
        (out / FOLDER).mkdir(parents=True)
        left = Path(folder) / "artifacts" / run.info.run_id / "artifacts"
        if left.is_dir():  # for a regression MLflow draws nothing
            # MLflow's table of texts holds the texts.
            shutil.copytree(
                left, out / FOLDER, dirs_exist_ok=True, ignore=shutil.ignore_patterns("eval_results_table*")
            )
    metrics = {name: float(value) for name, value in found.metrics.items() if np.isfinite(float(value))}
    (out / FOLDER / METRICS).write_text(json.dumps(metrics, indent=1, sort_keys=True))


def _numbers(evidence: Evidence) -> dict[str, Any]:
    """Return what MLflow is asked about a model that answers numbers or classes."""
    import matplotlib

    matplotlib.use("Agg")
    import pandas as pd
    from mlflow.models import Model
    from mlflow.pyfunc import PyFuncModel

    model = evidence.contract.model
    scored = evidence.scored("candidate", "holdout")
    classes = model.classes or (0, 1)
    truth = scored.truth
    labels = truth if truth.dtype == np.float64 else np.array(classes)[np.asarray(truth, dtype=np.int64)]
    rows = pd.DataFrame({"row": np.arange(len(labels), dtype=np.float64), "label": labels})
    probable = model.prediction.kind in ("probability", "probabilities")
    description = Model(flavors={"python_function": {"loader_module": "mlflow.sklearn"}})
    config: dict[str, Any] = {"log_explainer": False, "log_model_explainability": False}
    if model.task == "binary":
        # Labels stand there as booleans, 1 for the positive one.
        config["pos_label"] = 1
    return {
        "model": PyFuncModel(model_meta=description, model_impl=Replay(scored, classes, probabilities=probable)),
        "data": rows,
        "model_type": "regressor" if model.numeric else "classifier",
        "evaluator_config": config,
    }


OF_TEXTS = {
    "rouge1": "rouge1",
    "rouge2": "rouge2",
    "rougeL": "rougeL",
    "flesch_kincaid_grade": "flesch_kincaid_grade_level",
    "automated_readability_index": "ari_grade_level",
}
"""Scores of ours -> MLflow's name of the same. MLflow's own would be downloaded when they are asked for."""


def _texts(evidence: Evidence) -> dict[str, Any]:
    """Return what MLflow is asked about answers that are texts: the metrics of its model types that need no network.

    Those of `question-answering` and `text-summarization`, with a reference where the contract has one; those of
    `retriever` where the contract has a score of retrieval, at its number of documents.
    """
    import pandas as pd
    from mlflow.metrics import exact_match, ndcg_at_k, precision_at_k, recall_at_k

    scored, gate = evidence.scored("candidate", "holdout"), evidence.contract.gates.performance
    referred = bool(evidence.contract.model.target)
    rows = pd.DataFrame({"answer": scored.score, "label": scored.truth})
    ranked = [own.at for own in gate.scores.values() if own.retrieval and own.at] if gate else []
    if ranked and referred:
        rows = rows.map(lambda text: names(text) or [])
        metrics = [of(ranked[0]) for of in (precision_at_k, recall_at_k, ndcg_at_k)]
    else:
        wanted = {ours: theirs for ours, theirs in OF_TEXTS.items() if referred or ours not in NEED_REFERENCES}
        metrics = [_as_metric(scored, ours, theirs) for ours, theirs in wanted.items()]
        metrics += [exact_match()] if referred else []
    return {"data": rows, "predictions": "answer", "model_type": None, "extra_metrics": metrics}


def _as_metric(scored: Scored, ours: str, theirs: str) -> Any:
    """Return a score of ours as a metric of MLflow's name, with the aggregates that MLflow gives."""
    from mlflow.metrics import MetricValue, make_metric

    def measured(predictions: Any, targets: Any = None) -> Any:
        assert scored.row_scores is not None
        values = scored.row_scores(ours)
        mean, variance, p90 = float(values.mean()), float(values.var()), float(np.percentile(values, 90))
        return MetricValue(aggregate_results={"mean": mean, "variance": variance, "p90": p90})

    return make_metric(eval_fn=measured, greater_is_better=ours in NEED_REFERENCES, name=theirs, version="v1")


def _store(work: Path, folder: Path) -> Path:
    """Return an MLflow store in a folder: a copy of an empty one, since making one takes seconds; or none yet.

    The empty one is kept in the work folder, by the version of MLflow. Where that folder cannot be written to, as in a
    container, what lies there is not of this process and is not read.
    """
    import mlflow
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    made, empty = folder / "mlflow.db", work / "kept" / f"empty-mlflow-{mlflow.__version__}.db"
    if not os.access(work, os.W_OK):
        return made
    with contextlib.suppress(OSError):
        if empty.is_symlink() or not empty.is_file():
            SqlAlchemyStore(f"sqlite:///{made}", str(folder / "artifacts")).engine.dispose()
            empty.parent.mkdir(exist_ok=True)
            part = empty.with_name(f"{empty.name}.{os.getpid()}")
            shutil.copyfile(made, part)
            part.replace(empty)
        else:
            shutil.copyfile(empty, made)
    return made


@contextlib.contextmanager
def _quiet() -> Any:
    """MLflow and its store talk a lot."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
