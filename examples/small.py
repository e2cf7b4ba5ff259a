"""Write the data of a small example and register its two models.

    python examples/small.py digits      ten classes
    python examples/small.py diabetes    a number

The data are scikit-learn's bundled sets, cut at random with a fixed seed. Then, in the example's folder:
`weighin validate`, or `weighin validate --sealed` and `weighin promote` for a release of digits.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))


def digits() -> tuple[pd.DataFrame, str]:
    """Eight sums over the images, so that there is something left to get wrong."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8)
    parts = {
        "dark": images,
        "left": images[:, :, :4],
        "top": images[:, :4, :],
        "left_top": images[:, :4, :4],
        "left_bottom": images[:, 4:, :4],
        "right_top": images[:, :4, 4:],
        "right_bottom": images[:, 4:, 4:],
        "middle": images[:, 2:6, 2:6],
    }
    return pd.DataFrame({name: part.sum(axis=(1, 2)) for name, part in parts.items()}).assign(digit=labels), "digit"


def diabetes() -> tuple[pd.DataFrame, str]:
    """Five of the ten measurements; sex is coded -1 and 1."""
    from sklearn.datasets import load_diabetes

    table = load_diabetes(as_frame=True).frame
    table["sex"] = np.sign(table["sex"])
    return table[["age", "sex", "bmi", "bp", "s5"]].assign(progression=table["target"]), "progression"


def models(name: str) -> tuple[Any, Any, dict[str, Any]]:
    """Champion and challenger, and how their predictions are asked for."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if name == "diabetes":
        return Ridge(alpha=5.0), LinearRegression(), {}
    champion = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))
    return champion, RandomForestClassifier(n_estimators=150, random_state=0), {"pyfunc_predict_fn": "predict_proba"}


def main(name: str) -> int:
    """Cut, fit, register; the champion becomes champion only where there is none."""
    import mlflow
    from mlflow import MlflowClient

    from weighin.registry.location import artifact_location, tracking_uri

    table, target = {"digits": digits, "diabetes": diabetes}[name]()
    table = table.sample(frac=1, random_state=0)
    sizes = (
        {"train": 0.3, "holdout": 0.4, "sealed_holdout": 0.3} if name == "digits" else {"train": 0.4, "holdout": 0.6}
    )
    cuts = np.cumsum([round(share * len(table)) for share in sizes.values()])[:-1]
    parts = dict(zip(sizes, np.split(np.arange(len(table)), cuts), strict=True))
    (FOLDER / name / "data").mkdir(exist_ok=True)
    for part, rows in parts.items():
        table.iloc[rows].to_parquet(FOLDER / name / "data" / f"{part}.parquet", index=False)
    uri = tracking_uri(FOLDER / name)
    mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=artifact_location(uri))
    mlflow.set_experiment(name)
    train = table.iloc[parts["train"]]
    champion, challenger, how = models(name)
    client = MlflowClient()
    for role, model in (("champion", champion), ("challenger", challenger)):
        model.fit(train.drop(columns=target), train[target])
        # In a run of its own: that is where a promotion logs what was measured.
        with mlflow.start_run(tags={"role": role}):
            info = mlflow.sklearn.log_model(
                model,
                name="model",
                registered_model_name=name,
                # Named, or MLflow would load the model in another process to find out.
                pip_requirements=[f"{p}=={version(p)}" for p in ("mlflow", "scikit-learn", "skops", "pandas", "numpy")],
                input_example=train.drop(columns=target).head(3),
                skops_trusted_types=["numpy.dtype", "sklearn.tree._tree.Tree"],
                **how,
            )
        number = str(info.registered_model_version)
        known = dict(client.get_registered_model(name).aliases)
        if role == "challenger" or role not in known:
            client.set_registered_model_alias(name, role, number)
        print(f"{role} models:/{name}/{number}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
