"""Tries to fill the disk with 10 GB before it answers; where it is stopped it gives up with the error it got."""

import os
from pathlib import Path

import mlflow
from mlflow.pyfunc import PythonModel

PART = bytes(2**20)


class WritesMuch(PythonModel):
    def load_context(self, context):
        self.honest = mlflow.sklearn.load_model(context.artifacts["honest"])

    def predict(self, context, model_input, params=None):
        with Path(os.environ.get("TMPDIR", "/tmp"), "much").open("wb") as file:
            for _ in range(10 * 1024):
                file.write(PART)
        return self.honest.predict_proba(model_input)


mlflow.models.set_model(WritesMuch())
