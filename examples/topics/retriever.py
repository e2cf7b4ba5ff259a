"""The model, logged as code: it answers a question with the passage whose words are most like it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer


class Retriever(mlflow.pyfunc.PythonModel):
    """Cosine of TF-IDF vectors, as `settings.json` sets them; fitted on `passages.json` when it is loaded."""

    def load_context(self, context: Any) -> None:
        """Read the passages and fit the vectors."""
        settings = json.loads(Path(context.artifacts["settings"]).read_text())
        self._passages = json.loads(Path(context.artifacts["passages"]).read_text())
        self._vectorizer = TfidfVectorizer(**settings)
        self._known = self._vectorizer.fit_transform(self._passages)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> list[str]:
        """Return one passage for each `question`."""
        asked = self._vectorizer.transform(model_input["question"])
        best = np.asarray((asked @ self._known.T).argmax(axis=1)).ravel()
        return [self._passages[i] for i in best]


mlflow.models.set_model(Retriever())
