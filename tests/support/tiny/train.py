"""Fit and register champion and challenger of the tiny project, in one process since importing costs most of the time.

python3 scripts/train.py [--fault NAME] [--only ROLE]
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import pandas as pd

NAME = "tiny"
FEATURES = ["a", "b", "c", "d", "shadow"]
USED = {
    "champion": ["a", "b", "c"],
    "": ["a", "b", "c", "d"],
    "weak": ["b", "c", "d"],  # without the feature that says most
    "forbidden": ["shadow", "b", "c", "d"],  # `shadow` says what `a` says, and must not be used
}
FAULTS = ("weak", "forbidden", "late")

LATE = """
import time

import mlflow
from mlflow.pyfunc import PythonModel


class Late(PythonModel):
    def load_context(self, context):
        self.honest = mlflow.sklearn.load_model(context.artifacts["honest"])

    def predict(self, context, model_input, params=None):
        if len(model_input) < 10:
            time.sleep(0.8)
        return self.honest.predict_proba(model_input)


mlflow.models.set_model(Late())
"""


def fit(rows: pd.DataFrame, used: list[str]) -> Any:
    """A logistic regression that looks at some of the features."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    columns = ColumnTransformer([("used", "passthrough", used)])
    return make_pipeline(columns, LogisticRegression()).fit(rows[FEATURES], rows["label"])


def main() -> int:
    """Fit, log, register, name."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fault", default="", choices=("", *FAULTS))
    parser.add_argument("--only", choices=("champion", "challenger"), help="register this role alone")
    given = parser.parse_args()
    fault = given.fault
    import mlflow
    from mlflow.models import infer_signature

    from weighin.registry.location import artifact_location, tracking_uri

    root = Path(__file__).resolve().parent.parent
    uri = tracking_uri(root)
    mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name(NAME) is None:
        mlflow.create_experiment(NAME, artifact_location=artifact_location(uri))
    mlflow.set_experiment(NAME)
    rows = pd.read_parquet(root / "data/train.parquet")
    client = mlflow.MlflowClient()
    for role in (given.only,) if given.only else ("champion", "challenger"):
        model = fit(rows, USED["champion" if role == "champion" else fault if fault in USED else ""])
        example = rows[FEATURES].head(3)
        common = {
            "name": "model",
            "signature": infer_signature(example, model.predict_proba(example)),
            "registered_model_name": NAME,
            "pip_requirements": ["mlflow", "scikit-learn"],
        }
        with mlflow.start_run(tags={"role": role}):
            if role == "challenger" and fault == "late":
                folder = Path("/tmp")
                mlflow.sklearn.save_model(model, folder / "honest", pip_requirements=common["pip_requirements"])
                (folder / "late.py").write_text(LATE)
                info = mlflow.pyfunc.log_model(
                    python_model=str(folder / "late.py"), artifacts={"honest": str(folder / "honest")}, **common
                )
            else:
                info = mlflow.sklearn.log_model(model, pyfunc_predict_fn="predict_proba", **common)
        client.set_registered_model_alias(NAME, role, str(info.registered_model_version))
    print(f"models:/{NAME}/{info.registered_model_version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
