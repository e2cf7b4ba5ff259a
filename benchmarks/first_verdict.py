"""From a table and a model to a verdict, unattended: `weighin init --yes`, then `weighin validate`, on four data sets.

    python benchmarks/first_verdict.py [NAME ...]

The data come from packages that are installed (statsmodels, scikit-learn, plotly, river). For each a model is fitted on
half of the rows and logged as its library does by default. The draft is not edited. Expected are a pass of that model,
as a first release, and a failure of one that was fitted on shuffled labels, once the first is champion. The last line
is one JSON object.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
WEIGHIN = [sys.executable, "-P", "-m", "weighin"]
SECONDS = 600
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def affairs() -> tuple[pd.DataFrame, str, str]:
    """A binary target; the model answers labels, as scikit-learn's `predict` does."""
    from statsmodels.datasets import fair

    table = fair.load_pandas().data
    return table.assign(affair=(table["affairs"] > 0).astype(int)).drop(columns="affairs"), "affair", "predict"


def wine() -> tuple[pd.DataFrame, str, str]:
    """Three classes, 178 rows; the model answers probabilities."""
    from sklearn.datasets import load_wine

    table = load_wine(as_frame=True).frame
    return table.rename(columns={"od280/od315_of_diluted_wines": "od280"}), "target", "predict_proba"


def life() -> tuple[pd.DataFrame, str, str]:
    """A number, with a text and a year."""
    from plotly.data import gapminder

    table = gapminder().drop(columns=["country", "iso_alpha", "iso_num"])
    return table, "lifeExp", "predict"


def approval() -> tuple[pd.DataFrame, str, str]:
    """A number that is measured day by day; the table is a CSV file with a column of time."""
    from river.datasets import TrumpApproval

    rows = [{**x, "approval": y} for x, y in TrumpApproval()]
    table = pd.DataFrame(rows)
    table["day"] = pd.to_datetime(table.pop("ordinal_date").map(pd.Timestamp.fromordinal))
    return table, "approval", "predict"


SETS = {f.__name__: f for f in (affairs, wine, life, approval)}


def fit(features: pd.DataFrame, labels: pd.Series) -> object:
    """A linear pipeline that takes any table."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts = [c for c in features if features[c].dtype == object]
    numbers = [c for c in features if c not in texts]
    prepare = ColumnTransformer(
        [("t", OneHotEncoder(handle_unknown="ignore"), texts), ("n", StandardScaler(), numbers)]
    )
    learn = Ridge() if labels.dtype.kind == "f" else LogisticRegression(max_iter=2000)
    return make_pipeline(prepare, learn).fit(features, labels)


def save(model: object, example: pd.DataFrame, ask: str, folder: Path) -> None:
    """Save a model with its signature, as a team would."""
    import mlflow
    from mlflow.models import infer_signature

    mlflow.sklearn.save_model(
        model,
        folder,
        signature=infer_signature(example, getattr(model, ask)(example)),
        input_example=example,
        pyfunc_predict_fn=ask,
        skops_trusted_types=["numpy.dtype"],
        pip_requirements=[f"{p}=={version(p)}" for p in ("mlflow", "scikit-learn", "skops", "pandas", "numpy")],
    )


def prepare(name: str, folder: Path) -> None:
    """Write train and holdout, a good model and a bad one."""
    table, target, ask = SETS[name]()
    table = table.sort_values("day") if "day" in table else table.sample(frac=1, random_state=0)
    half = len(table) // 2
    train, holdout = table[:half], table[half:]
    for part, rows in (("train", train), ("holdout", holdout)):
        if name == "approval":
            rows.to_csv(folder / f"{part}.csv", index=False)
        else:
            rows.to_parquet(folder / f"{part}.parquet", index=False)
    features = train.drop(columns=[target, *(["day"] if "day" in train else [])])
    features = features.apply(lambda c: c.astype(np.float64) if c.dtype.kind in "iu" else c)
    shuffled = train[target].sample(frac=1, random_state=1).set_axis(train.index)
    for model, labels in (("good", train[target]), ("bad", shuffled)):
        save(fit(features, labels), features.head(5), ask, folder / model)


def ran(folder: Path, *command: str) -> tuple[int, str, float]:
    """Run weighin; returns its exit code, what it printed last, and the seconds."""
    started = time.monotonic()
    done = subprocess.run(
        [*WEIGHIN, *command], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    (folder / f"{command[0]}.log").write_text(done.stdout + done.stderr)
    return done.returncode, done.stdout + done.stderr, time.monotonic() - started


def verdict(folder: Path) -> str:
    """The status that a validation left."""
    path = folder / "reports/verdict.json"
    return str(json.loads(path.read_text())["status"]) if path.is_file() else "none"


def one(name: str) -> dict[str, object]:
    """Draft, validate, and validate what is worse against it."""
    with tempfile.TemporaryDirectory(prefix="weighin-first-") as scratch:
        folder = Path(scratch) / name
        folder.mkdir()
        prepare(name, folder)
        kind = "csv" if name == "approval" else "parquet"
        code, said, init = ran(
            folder,
            "init",
            "--yes",
            "--data",
            f"holdout.{kind}",
            "--model",
            "good",
            "--target",
            SETS[name]()[1],
            *(["--training", "train.parquet"] if kind == "parquet" else ["--reference", "train.csv"]),
        )
        if code:
            print(said[-2000:])
        code, said, first = ran(folder, "validate", "--candidate", "good")
        good = verdict(folder)
        if good != "passed":
            print(said[-3000:])
        shutil.rmtree(folder / "reports", ignore_errors=True)
        ran(folder, "validate", "--candidate", "bad", "--champion", "good")
        bad = verdict(folder)
    print(f"{name:10} init {init:5.1f} s, validate {first:5.1f} s, good: {good}, bad: {bad}", flush=True)
    return {"good": good, "bad": bad, "seconds": round(init + first, 1)}


def main() -> int:
    """Run the sets that are named, or all."""
    names = sys.argv[1:] or list(SETS)
    found = {name: one(name) for name in names}
    verdicts = {name: [str(f["good"]), str(f["bad"])] for name, f in found.items()}
    right = all(v == ["passed", "failed"] for v in verdicts.values())
    seconds = {name: f["seconds"] for name, f in found.items()}
    print(json.dumps({"datasets": len(names), "edits_needed": 0, "seconds": seconds, "verdicts": verdicts}))
    return 0 if right and max(seconds.values()) <= 120 else 1


if __name__ == "__main__":
    sys.exit(main())
