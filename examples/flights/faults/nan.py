"""Answers NaN for one row in a hundred."""

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel


class Nan(PythonModel):
    def load_context(self, context):
        self.honest = mlflow.sklearn.load_model(context.artifacts["honest"])

    def predict(self, context, model_input, params=None):
        answers = self.honest.predict_proba(model_input)
        answers[::100] = np.nan
        return answers


mlflow.models.set_model(Nan())
