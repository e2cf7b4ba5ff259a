"""A model whose library neither this process nor the executors have is asked on a cluster with what it declares."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support import load_work
from support.spark_servers import LOOPBACK, cluster
from weighin.canonical import file_digest
from weighin.model.answers import read_predictions
from weighin.runner import environments, local, prepare
from weighin.runner.plan import Answers, Plan

pytestmark = [pytest.mark.jvm, pytest.mark.exhaustive]
N = 3_000
MODEL = """
import mlflow
import roman
from mlflow.pyfunc import PythonModel


class Letters(PythonModel):
    def predict(self, context, model_input, params=None):
        return [float(len(roman.toRoman(int(v)))) for v in model_input["a"]]


mlflow.models.set_model(Letters())
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder with a model of the package roman, and 3,000 numbers."""
    source, library, work = tmp_path / "letters.py", tmp_path / "library", tmp_path / "work"
    source.write_text(MODEL)
    packages = ["mlflow", "numpy", "pandas"]
    pinned = [f"{name}=={sys.modules[name].__version__}" for name in packages]
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(library), "roman==5.1"]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    rows = pd.DataFrame({"a": np.arange(1, N + 1)})
    told = mlflow.models.infer_signature(rows, np.array([1.0]))
    with monkeypatch.context() as patch:
        # MLflow runs the model's module when it stores it.
        patch.syspath_prepend(library)
        mlflow.pyfunc.save_model(
            work / "models/candidate",
            python_model=str(source),
            signature=told,
            pip_requirements=[*pinned, "roman==5.1"],
        )
    load_work.resolved(work)
    (work / "features").mkdir()
    pq.write_table(pa.Table.from_pandas(rows, preserve_index=False), work / "features/holdout.parquet")
    monkeypatch.setenv(environments.PLACE, str(tmp_path / "environments"))
    return work


def asked(work: Path, on: str, own: tuple[str, ...]) -> str:
    """What went wrong, or nothing."""
    plan = Plan(("performance",), ("candidate",), Answers((0,)), 600, 2000, None, own_environments=own, predict_on=on)
    plan.write(work / "plan.json")
    local.predict(work)
    problem = work / "predictions/candidate.problem"
    return problem.read_text() if problem.is_file() else ""


def test_two_workers_make_it_and_answer_as_one_process(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What an administrator gives the workers: uv, and where packages are.
    for name, value in prepare.environment(dict(os.environ)).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(prepare.found_uv()).parent}{os.pathsep}{os.environ['PATH']}")
    with cluster(tmp_path) as address:
        for name, value in {
            "WEIGHIN_SPARK": address,
            "SPARK_LOCAL_IP": LOOPBACK,
            "PYSPARK_PYTHON": sys.executable,
        }.items():
            monkeypatch.setenv(name, value)
        assert "no module roman is installed" in asked(work, "spark", ())
        found = []
        for on in ("process", "spark"):
            assert asked(work, on, ("candidate",)) == ""
            place = work / "predictions/candidate/holdout.arrow"
            found.append(read_predictions(place, N, 1, file_digest(work / "features/holdout.parquet")))
    np.testing.assert_array_equal(*found)
    assert found[0][:10].tolist() == [1, 2, 3, 2, 1, 2, 3, 4, 2, 1]
