"""Forgets the last row."""

import mlflow
from mlflow.pyfunc import PythonModel


class TooFew(PythonModel):
    def load_context(self, context):
        self.honest = mlflow.sklearn.load_model(context.artifacts["honest"])

    def predict(self, context, model_input, params=None):
        return self.honest.predict_proba(model_input)[:-1]


mlflow.models.set_model(TooFew())
