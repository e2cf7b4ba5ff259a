"""Right answers, too late: every call takes one and a half seconds more."""

import time

import mlflow
from mlflow.pyfunc import PythonModel


class Slow(PythonModel):
    def load_context(self, context):
        self.honest = mlflow.sklearn.load_model(context.artifacts["honest"])

    def predict(self, context, model_input, params=None):
        time.sleep(1.5)
        return self.honest.predict_proba(model_input)


mlflow.models.set_model(Slow())
