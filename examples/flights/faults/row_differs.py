"""Answers depend on the rows that happen to be asked together: it shifts every batch to the same mean."""

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel


class RowDiffers(PythonModel):
    def load_context(self, context):
        self.honest = mlflow.sklearn.load_model(context.artifacts["honest"])

    def predict(self, context, model_input, params=None):
        late = self.honest.predict_proba(model_input)[:, 1]
        late = np.clip(late - late.mean() + 0.25, 0.001, 0.999)
        return np.column_stack([1 - late, late])


mlflow.models.set_model(RowDiffers())
