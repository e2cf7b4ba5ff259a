"""Requests that were not answered are the fault of the client or of the model: MLflow says 400 for both, we do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc.scoring_server import invocations
from mlflow.types.schema import ColSpec, DataType, Schema

from weighin.prediction_log.tables import FAILED
from weighin.serving.scoring import reported

SECRET = 41.125
MODEL = """
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Touchy(PythonModel):
    def predict(self, context, model_input, params=None):
        if (model_input["age"] > 40).any():
            raise KeyError(f"nobody is {model_input['age'].max()}")
        if (model_input["age"] < 0).any():
            raise MlflowException.invalid_parameter_value(f"nobody is {model_input['age'].min()}")
        return model_input["age"].tolist()


set_model(Touchy())
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder: Path = tmp_path_factory.mktemp("model")
    (folder / "touchy.py").write_text(MODEL)
    signature = ModelSignature(inputs=Schema([ColSpec(DataType.double, "age")]))
    mlflow.pyfunc.save_model(
        folder / "model", python_model=str(folder / "touchy.py"), signature=signature, pip_requirements=[]
    )
    return reported(mlflow.pyfunc.load_model(str(folder / "model")))


def status(model: Any, body: str) -> tuple[int, str]:
    try:
        answer = invocations(body, "application/json", model, model.metadata.get_input_schema())
    except MlflowException as error:
        return error.get_http_status_code(), error.serialize_as_json()
    return answer.status, answer.response


def rows(**columns: list[Any]) -> str:
    return json.dumps(
        {"dataframe_split": {"columns": [*columns], "data": [list(r) for r in zip(*columns.values(), strict=True)]}}
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (rows(age=[1.0, 2.0]), 200),
        ("{", 400),
        (json.dumps({"rows": []}), 400),
        (rows(height=[1.0]), 400),
        (rows(age=["old"]), 400),
        (rows(age=[SECRET]), 500),
        (rows(age=[-SECRET]), 500),
    ],
    ids=["fits", "no JSON", "no rows", "another column", "another type", "the model raises", "as MLflow does"],
)
def test_what_the_model_fails_is_no_fault_of_the_client(model: Any, body: str, expected: int) -> None:
    code, answer = status(model, body)
    assert code == expected, answer
    assert (code >= FAILED) == (expected == 500)


@pytest.mark.parametrize(("age", "error"), [(SECRET, "KeyError"), (-SECRET, "MlflowException")])
def test_the_answer_holds_nothing_of_the_data(model: Any, age: float, error: str) -> None:
    _, answer = status(model, rows(age=[age]))
    assert error in answer
    assert str(SECRET) not in answer
