"""Loads well and does not come back from the first question."""

import time

import mlflow
from mlflow.pyfunc import PythonModel


class Hangs(PythonModel):
    def predict(self, context, model_input, params=None):
        time.sleep(3600)


mlflow.models.set_model(Hangs())
