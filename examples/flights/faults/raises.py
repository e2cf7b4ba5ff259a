"""Loads well and raises at the first question."""

import mlflow
from mlflow.pyfunc import PythonModel


class Raises(PythonModel):
    def predict(self, context, model_input, params=None):
        raise RuntimeError("this model always raises")


mlflow.models.set_model(Raises())
