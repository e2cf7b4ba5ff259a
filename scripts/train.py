"""Train and register one version of the example's model.

    python scripts/train.py                       the challenger, which deserves to win
    python scripts/train.py --role champion       the baseline; becomes champion only where there is none yet
    python scripts/train.py --with-champion       both in one process: the baseline where there is none, the challenger
    python scripts/train.py --fault NAME          a candidate that must be blocked (--list-faults names them)

The registry is MLFLOW_TRACKING_URI, or SQLite in ./.weighin/registry. The last line names the version.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

ROOT = Path(__file__).resolve().parent.parent
FAULT_FILES = ROOT / "examples" / "flights" / "faults"
NAME = "flight-delay"
TARGET = "late"
CATEGORIES = ("carrier", "origin", "dest")
SCHEDULE = ("departure_minute", "arrival_minute", "weekday", "distance", *CATEGORIES)
WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")
CHALLENGER = (*SCHEDULE, *WEATHER)
CHAMPION = SCHEDULE
"""The first champion knows the schedule only; what the challenger adds is the weather."""

# Fitted wrongly; everything else about them is honest.
FITTED = ("shuffled-labels", "dropped-feature", "constant", "same-champion")
# Python models around an honest fit, one file each in examples/flights/faults.
WRAPPED = (
    *("slow", "row-differs", "label-thief", "rewriter"),
    *("raises", "hangs", "nan", "too-few", "writes-much"),
)
FAULTS = (*FITTED, *WRAPPED)


def pipeline(features: tuple[str, ...], seed: int, **boosting: Any) -> Pipeline:
    """Gradient boosting over the named features; categories it has not seen count as missing."""
    categories = [f for f in features if f in CATEGORIES]
    numbers = [f for f in features if f not in CATEGORIES]
    encode = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, dtype=np.float64)
    columns = ColumnTransformer([("categories", encode, categories), ("numbers", "passthrough", numbers)])
    settings = {"max_iter": 120, "learning_rate": 0.05, "max_leaf_nodes": 15, "min_samples_leaf": 300, **boosting}
    boosted = HistGradientBoostingClassifier(
        categorical_features=list(range(len(categories))), random_state=seed, early_stopping=False, **settings
    )
    return Pipeline([("columns", columns), ("boosting", boosted)])


def fit(rows: pd.DataFrame, role: str, fault: str | None, seed: int) -> Pipeline:
    """The fitted model of a role or a fault."""
    features, labels = CHALLENGER, rows[TARGET].to_numpy()
    if role == "champion" or fault == "same-champion":
        return pipeline(CHAMPION, 0, max_iter=60, learning_rate=0.1).fit(rows[list(CHALLENGER)], labels)
    if fault == "shuffled-labels":
        labels = np.random.default_rng(seed).permutation(labels)
    if fault == "dropped-feature":
        features = ("weekday", "distance", "carrier", "origin", "dest")
    if fault == "constant":
        return Pipeline([("constant", DummyClassifier(strategy="prior"))]).fit(rows[list(CHALLENGER)], labels)
    return pipeline(features, seed).fit(rows[list(CHALLENGER)], labels)


def register(model: Pipeline, rows: pd.DataFrame, role: str, fault: str | None) -> tuple[str, str]:
    """Log the model with signature and input example, register it; returns version and run id."""
    import mlflow
    from mlflow.models import infer_signature

    sys.path.insert(0, str(ROOT))
    from weighin.registry.location import artifact_location, tracking_uri

    uri = tracking_uri(ROOT)
    mlflow.set_tracking_uri(uri)
    if mlflow.get_experiment_by_name(NAME) is None:
        mlflow.create_experiment(NAME, artifact_location=artifact_location(uri))
    mlflow.set_experiment(NAME)
    example = rows[list(CHALLENGER)].head(5)
    common = {
        "name": "model",
        "signature": infer_signature(example, model.predict_proba(example)),
        "registered_model_name": NAME,
        "pip_requirements": [f"{p}=={version(p)}" for p in ("mlflow", "scikit-learn", "skops", "pandas", "numpy")],
    }
    with mlflow.start_run(tags={"role": role, "fault": fault or "none"}) as run:
        mlflow.log_params({"rows": len(rows), "role": role})
        if fault in WRAPPED:
            with tempfile.TemporaryDirectory() as folder:
                honest = Path(folder) / "honest"
                own = {k: common[k] for k in ("signature", "pip_requirements")}
                mlflow.sklearn.save_model(model, honest, **trusted(), **own)
                code = FAULT_FILES / f"{fault.replace('-', '_')}.py"
                # Without an input example: logging would run the model on it, and some of these do not come back.
                info = mlflow.pyfunc.log_model(python_model=str(code), artifacts={"honest": str(honest)}, **common)
        else:
            info = mlflow.sklearn.log_model(
                model, pyfunc_predict_fn="predict_proba", **trusted(), input_example=example, **common
            )
    return str(info.registered_model_version), run.info.run_id


def trusted() -> dict[str, Any]:
    """Types that skops does not know and that a gradient boosting pipeline needs."""
    return {
        "skops_trusted_types": [
            "functools.partial",
            "sklearn.utils.validation.check_array",
            "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        ]
    }


def main() -> int:
    """Parse, train, register, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--role", choices=("champion", "challenger"), default="challenger")
    parser.add_argument("--fault", choices=FAULTS, metavar="NAME", help="what is wrong with the candidate")
    parser.add_argument("--list-faults", action="store_true", help="print the faults and exit")
    parser.add_argument("--data", type=Path, default=ROOT / "examples/flights/data", help="folder of train.parquet")
    parser.add_argument("--rows", type=int, help="train on this many rows, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--if-missing", action="store_true", help="do nothing where the alias stands already")
    parser.add_argument("--with-champion", action="store_true", help="train a champion first where there is none")
    given = parser.parse_args()
    if given.list_faults:
        print("\n".join(FAULTS))
        return 0
    if (given.fault or given.with_champion) and given.role == "champion":
        parser.error("a fault is a candidate's: leave --role out")
    quiet()
    from mlflow import MlflowClient

    sys.path.insert(0, str(ROOT))
    from weighin.registry.location import tracking_uri

    client = MlflowClient(tracking_uri=tracking_uri(ROOT))
    before = aliases(client)
    if given.with_champion and "champion" not in before:
        train(given, client, "champion", None, {})
    if given.if_missing and given.role in before:
        print(f"{NAME} has a {given.role} already: version {before[given.role]}")
        print(f"models:/{NAME}/{before[given.role]}")
        return 0
    train(given, client, given.role, given.fault, before)
    return 0


def train(given: argparse.Namespace, client: Any, role: str, fault: str | None, before: dict[str, str]) -> None:
    """Train and register a model, and print its address.

    before  the aliases that stand already
    """
    started = time.monotonic()
    rows = pd.read_parquet(given.data / "train.parquet")
    if given.rows:
        rows = rows.sample(n=min(given.rows, len(rows)), random_state=given.seed).sort_index()
    model = fit(rows, role, fault, given.seed)
    number, run_id = register(model, rows, role, fault)
    # A champion is promoted, not trained. Only the very first one of the example has nothing to be compared with.
    alias = role if role == "challenger" or "champion" not in before else None
    if alias:
        client.set_registered_model_alias(NAME, alias, number)
    took = round(time.monotonic() - started, 1)
    said = {"name": NAME, "version": number, "run_id": run_id, "role": role, "fault": fault or ""}
    print(json.dumps({**said, "rows": len(rows), "alias": alias or "", "seconds": took}))
    print(f"models:/{NAME}/{number}")


def quiet() -> None:
    """Let MLflow, its store and its hints about the schema be silent: what is printed is a line for each model."""
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
    warnings.filterwarnings("ignore", module="mlflow")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def aliases(client: Any) -> dict[str, str]:
    """Alias -> version of the example's model, empty before its first registration."""
    found = client.search_registered_models(f"name = '{NAME}'")
    return dict(found[0].aliases) if found else {}


if __name__ == "__main__":
    sys.exit(main())
