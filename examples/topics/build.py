"""Write the questions of the example, and register its two models.

    python examples/topics/build.py

The text is that of Python's own `help("topics")` (`pydoc_data.topics`, PSF License), cut into passages. A question is
some of the words of a passage, drawn with a fixed seed; its answer is the passage. The text is another one in each
release of Python, so that nothing here may hang on a few passages. Then, in examples/topics: `weighin validate`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent.parent))
WORDS = (15, 150)
"""Of a passage: shorter ones are headings, longer ones tables."""
PASSAGES, EACH = 300, 2
"""That are asked about, and questions about each: those about one passage depend on each other."""
SETTINGS = {
    "champion": {"use_idf": False, "stop_words": "english", "max_features": 1500},
    "challenger": {"sublinear_tf": True, "stop_words": "english"},
}


def passages() -> list[str]:
    """Return the passages of all topics, each once."""
    from pydoc_data.topics import topics

    found = [
        " ".join(part.split())
        for _, text in sorted(topics.items())
        for part in text.split("\n\n")
        if WORDS[0] <= len(part.split()) <= WORDS[1] and "::=" not in part
    ]
    return list(dict.fromkeys(found))


def questions(known: list[str]) -> pd.DataFrame:
    """Return questions about some of the passages: a fifth of the words of each, in their order."""
    random = np.random.default_rng(0)

    def question(passage: str) -> str:
        words = passage.split()
        kept = np.sort(random.choice(len(words), max(4, len(words) // 5), replace=False))
        return " ".join(words[i] for i in kept)

    chosen = np.sort(random.choice(len(known), PASSAGES, replace=False))
    rows = [(question(known[i]), known[i], i) for i in chosen for _ in range(EACH)]
    return pd.DataFrame(rows, columns=["question", "passage", "source"]).rename_axis("id").reset_index()


def main() -> int:
    """Build and register; the champion becomes champion only where there is none."""
    import mlflow
    from mlflow import MlflowClient

    from weighin.registry.location import artifact_location, tracking_uri

    known = passages()
    holdout = questions(known)
    (FOLDER / "data").mkdir(exist_ok=True)
    holdout.to_parquet(FOLDER / "data/holdout.parquet", index=False)
    uri = tracking_uri(FOLDER)
    mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name("topics") is None:
        mlflow.create_experiment("topics", artifact_location=artifact_location(uri))
    mlflow.set_experiment("topics")
    client = MlflowClient()
    for role, settings in SETTINGS.items():
        with tempfile.TemporaryDirectory() as folder, mlflow.start_run(tags={"role": role}):
            for name, value in (("settings", settings), ("passages", known)):
                (Path(folder) / f"{name}.json").write_text(json.dumps(value))
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(FOLDER / "retriever.py"),
                artifacts={name: f"{folder}/{name}.json" for name in ("settings", "passages")},
                registered_model_name="topics",
                pip_requirements=[f"{p}=={version(p)}" for p in ("mlflow", "scikit-learn", "pandas", "numpy")],
                input_example=holdout[["question"]].head(2),
            )
        number = str(info.registered_model_version)
        aliases = dict(client.get_registered_model("topics").aliases)
        if role == "challenger" or role not in aliases:
            client.set_registered_model_alias("topics", role, number)
        print(f"{role} models:/topics/{number}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
