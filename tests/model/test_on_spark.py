"""A model that a cluster of two workers asks leaves the files of one process; what goes wrong is a sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression

from support import load_work
from support.spark_servers import LOOPBACK, cluster
from weighin.canonical import file_digest
from weighin.model.answers import read_precision, read_predictions
from weighin.model.on_spark import PLACE, predict_on_spark
from weighin.runner import local
from weighin.runner.plan import Answers, Plan

ROOT = Path(__file__).resolve().parents[2]
N = 5_000
LABELS = Answers((0,), "label", positive="late")
CHILD_SECONDS = 240
DYING = """
import os, signal, sys, threading, time
from pathlib import Path
from weighin.errors import NotEvaluated
from weighin.model import on_spark
from weighin.runner.plan import Answers

on_spark.ALONE_SECONDS = 3
work, logs = Path(sys.argv[1]), Path(sys.argv[2])

def end():
    while not (work / "begun").exists():
        time.sleep(0.1)
    for worker in ("worker0.pid", "worker1.pid"):
        os.kill(int((logs / worker).read_text()), signal.SIGKILL)

threading.Thread(target=end, daemon=True).start()
try:
    places = work / "models/candidate", work / "features", work / "predictions/candidate"
    on_spark.predict_on_spark(*places, Answers((0,)))
except NotEvaluated as error:
    print(error)
"""


class Elsewhere(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model that says, on an executor, whether it sees a secret, and answers something else than in one process."""

    def predict(self, context: object, model_input: pd.DataFrame) -> np.ndarray:
        from pyspark import TaskContext

        return np.full(len(model_input), 0.25 if TaskContext.get() is None else 0.75)


class Endless(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model that on an executor never comes to an end."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def predict(self, context: object, model_input: pd.DataFrame) -> np.ndarray:
        import time

        from pyspark import TaskContext

        if TaskContext.get() is not None:
            Path(self.mark).touch()
            time.sleep(600)
        return np.zeros(len(model_input))


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    place = rng.integers(0, 9, N)
    return pd.DataFrame({"dep time": rng.normal(size=N), "place": place, "share": rng.random(N).astype("float32")})


@pytest.fixture(scope="module")
def works(rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder for each model: `classifier` answers probabilities, `labels` texts, `elsewhere` not the same."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    folder = tmp_path_factory.mktemp("works")
    late = np.where(rows["dep time"] + rows["place"] > 4, "late", "in time")
    fitted = LogisticRegression(max_iter=500).fit(rows, late)
    told = mlflow.models.infer_signature(rows, fitted.predict_proba(rows))
    packages = {"pip_requirements": ["scikit-learn"]}
    for name, function in (("classifier", "predict_proba"), ("labels", "predict")):
        place = folder / name / "models/candidate"
        mlflow.sklearn.save_model(fitted, place, pyfunc_predict_fn=function, signature=told, **packages)
    mark = str(folder / "endless/begun")
    for name, model in (("elsewhere", Elsewhere()), ("endless", Endless(mark))):
        mlflow.pyfunc.save_model(folder / name / "models/candidate", python_model=model, **packages)
    # As a table of the contract is: doubles, in several row groups.
    table = pa.Table.from_pandas(rows.astype({"share": "float64"}), preserve_index=False)
    for work in folder.iterdir():
        load_work.resolved(work)
        (work / "features").mkdir()
        pq.write_table(table, work / "features/holdout.parquet", row_group_size=700)
    pq.write_table(table.slice(17, 40), folder / "classifier/features/current.parquet")
    return folder


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with cluster(tmp_path_factory.mktemp("cluster")) as address:
        yield address


@pytest.fixture
def on_cluster(master: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user sets: the cluster's address, and its Python, which here is that of the tests."""
    for name, value in {"WEIGHIN_SPARK": master, "SPARK_LOCAL_IP": LOOPBACK, "PYSPARK_PYTHON": sys.executable}.items():
        monkeypatch.setenv(name, value)
    # The other way to say what conftest.py says: a variable of another name does not come with the model.
    monkeypatch.setenv("SPARK_SUBMIT_OPTS", os.environ["JAVA_TOOL_OPTIONS"])


def asked(work: Path, answers: Answers, on: str = "spark") -> str:
    """Ask by the runner, as `weighin validate` does; what went wrong, or nothing."""
    Plan(("performance",), ("candidate",), answers, 200, 1000, None, predict_on=on).write(work / "plan.json")
    local.predict(work)
    problem = work / "predictions/candidate.problem"
    return problem.read_text() if problem.is_file() else ""


@pytest.mark.usefixtures("on_cluster")
@pytest.mark.parametrize(("name", "answers"), [("classifier", Answers((1,))), ("labels", LABELS)])
def test_the_files_are_those_of_one_process(
    name: str, answers: Answers, works: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = works / name
    if name == "labels":
        monkeypatch.setenv(PLACE, tmp_path.as_uri())  # an address, which Hadoop's client opens
    left = work / "predictions/candidate"
    found = {}
    for on in ("process", "spark"):
        assert asked(work, answers, on) == ""
        digests = {p.stem: file_digest(p) for p in (work / "features").glob("*.parquet")}
        assert sorted(p.stem for p in left.iterdir()) == sorted(digests)
        counts = {"holdout": N, "current": 40}
        found[on] = {d: read_predictions(left / f"{d}.arrow", counts[d], 1, digests[d]) for d in digests}
        assert read_precision(left / "holdout.arrow").dtype == np.float64
    for dataset, wanted in found["process"].items():
        np.testing.assert_allclose(found["spark"][dataset], wanted, rtol=0, atol=1e-12)
        assert len(set(wanted)) > 1
    assert not list(tmp_path.iterdir())
    assert not list((work / "predictions").glob("weighin-*"))


@pytest.mark.usefixtures("on_cluster")
def test_other_answers_than_in_one_process_are_none(works: Path) -> None:
    assert "1000 of 1000 rows have another answer on Spark" in asked(works / "elsewhere", Answers((0,)))
    assert not list((works / "elsewhere/predictions/candidate").iterdir())


@pytest.mark.usefixtures("on_cluster")
def test_executors_without_packages_are_said(works: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True, timeout=60)
    monkeypatch.setenv("PYSPARK_PYTHON", str(bare / "bin/python"))
    assert "the executors have no module pandas" in asked(works / "classifier", Answers((1,)))


def test_a_cluster_that_is_away_is_said(works: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:  # bound, so nobody else takes the port, and not listening
        closed.bind((LOOPBACK, 0))
        monkeypatch.setenv("WEIGHIN_SPARK", f"spark://{LOOPBACK}:{closed.getsockname()[1]}")
        assert "no Spark answers there (ConnectionRefusedError" in asked(works / "classifier", Answers((1,)))


def test_a_cluster_that_dies_midway_is_given_up(works: Path, tmp_path: Path) -> None:
    with cluster(tmp_path) as address:
        environment = {**os.environ, "WEIGHIN_SPARK": address, "SPARK_LOCAL_IP": LOOPBACK}
        environment |= {"PYSPARK_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-W", "ignore", "-c", DYING, str(works / "endless"), str(tmp_path)]
        ran = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=CHILD_SECONDS, check=False
        )
    assert "the cluster had no executor for" in ran.stdout, ran.stderr[-3000:]
    assert not list((works / "endless").rglob("*.arrow"))


def test_predictions_that_were_given_need_no_cluster(works: Path, tmp_path: Path) -> None:
    given, features = tmp_path / "given", works / "classifier/features"
    given.mkdir()
    for name in ("weighin-predictions.json", "holdout.arrow", "current.arrow"):
        (given / name).write_text(name)
    predict_on_spark(given, features, tmp_path / "out", Answers((1,)))
    assert (tmp_path / "out/holdout.arrow").read_text() == "holdout.arrow"
