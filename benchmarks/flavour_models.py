"""Train one small model of a flavour and save it as MLflow does: run by an interpreter that has the flavour's library.

python benchmarks/flavour_models.py FLAVOUR FOLDER SEED
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature

ROWS = 1500
Save = Callable[[Path, pd.DataFrame, pd.Series, Path], None]


def rows(n: int, seed: int) -> pd.DataFrame:
    """Return two numbers, a category as text, and a label that follows the first number and the category."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=n), rng.normal(size=n), rng.choice(["x", "y", "z"], n)
    late = (a + (c == "x") + rng.normal(size=n) > 0.3).astype(np.int64)
    return pd.DataFrame({"a": a, "b": b, "c": c, "late": late})


def numbers(x: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that are numbers."""
    return x[["a", "b"]]


def skops(out: Path, x: pd.DataFrame, y: pd.Series, scratch: Path) -> None:
    """Save a logistic regression in skops' format, which is MLflow's default."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(numbers(x), y)
    more = {"pyfunc_predict_fn": "predict_proba", "skops_trusted_types": ["numpy.dtype"]}
    mlflow.sklearn.save_model(model, out, signature=infer_signature(numbers(x)), **more)


def cloudpickle(out: Path, x: pd.DataFrame, y: pd.Series, scratch: Path) -> None:
    """Save a pipeline with a transformer of the team's own, whose module travels in code_paths."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    (scratch / "own_transformer.py").write_text(
        "from sklearn.base import BaseEstimator, TransformerMixin\n\n\n"
        "class Squares(TransformerMixin, BaseEstimator):\n"
        "    def fit(self, x, y=None):\n        self.n_features_in_ = x.shape[1]\n        return self\n\n"
        "    def transform(self, x):\n        return x.assign(square=x['b'] ** 2)\n"
    )
    sys.path.insert(0, str(scratch))
    squares = importlib.import_module("own_transformer").Squares
    model = make_pipeline(squares(), LogisticRegression()).fit(numbers(x), y)
    more: dict[str, Any] = {"pyfunc_predict_fn": "predict_proba", "code_paths": [str(scratch / "own_transformer.py")]}
    mlflow.sklearn.save_model(
        model, out, serialization_format="cloudpickle", signature=infer_signature(numbers(x)), **more
    )


def xgboost(out: Path, x: pd.DataFrame, y: pd.Series, scratch: Path) -> None:
    """Save a classifier, which answers labels by default."""
    import xgboost as xgb

    model = xgb.XGBClassifier(n_estimators=20, max_depth=3).fit(numbers(x), y)
    mlflow.xgboost.save_model(model, out, signature=infer_signature(numbers(x)))


def lightgbm(out: Path, x: pd.DataFrame, y: pd.Series, scratch: Path) -> None:
    """Save a booster, which answers probabilities."""
    import lightgbm as lgb

    model = lgb.LGBMClassifier(n_estimators=20, verbose=-1).fit(numbers(x), y)
    mlflow.lightgbm.save_model(model.booster_, out, signature=infer_signature(numbers(x)))


def catboost(out: Path, x: pd.DataFrame, y: pd.Series, scratch: Path) -> None:
    """Save a classifier that takes text, and answers labels by default."""
    from catboost import CatBoostClassifier

    model = CatBoostClassifier(iterations=20, verbose=False, cat_features=["c"], allow_writing_files=False).fit(x, y)
    mlflow.catboost.save_model(model, out, signature=infer_signature(x))


def statsmodels(out: Path, x: pd.DataFrame, y: pd.Series, scratch: Path) -> None:
    """Save a logit, which answers probabilities as a series."""
    import statsmodels.api as sm

    mlflow.statsmodels.save_model(sm.Logit(y, numbers(x)).fit(disp=False), out, signature=infer_signature(numbers(x)))


def onnx(out: Path, x: pd.DataFrame, y: pd.Series, scratch: Path) -> None:
    """Save a classifier with a tensor of float32 as its input, and two named outputs."""
    import onnx as onnx_library
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    array = numbers(x).to_numpy().astype(np.float32)
    model = LogisticRegression().fit(array, y)
    made = to_onnx(model, array[:1], options={"zipmap": False})
    onnx_library.checker.check_model(made)
    mlflow.onnx.save_model(made, out, signature=infer_signature(array))


def pytorch(out: Path, x: pd.DataFrame, y: pd.Series, scratch: Path) -> None:
    """Save a layer with a sigmoid."""
    import torch

    torch.manual_seed(0)
    array = torch.tensor(numbers(x).to_numpy(), dtype=torch.float32)
    model = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Sigmoid())
    optimiser, target = torch.optim.Adam(model.parameters(), lr=0.1), torch.tensor(y.to_numpy(), dtype=torch.float32)
    for _ in range(100):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy(model(array)[:, 0], target).backward()
        optimiser.step()
    mlflow.pytorch.save_model(model, out, signature=infer_signature(numbers(x).astype("float32")))


class Scorecard(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """Points from an artifact, with a parameter of the request."""

    def load_context(self, context: Any) -> None:
        """Read the points."""
        self.points = json.loads(Path(context.artifacts["points"]).read_text())

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """Answer a table with a text beside the probability."""
        steep = float((params or {}).get("steepness", 1.0))
        score = sum(self.points[name] * model_input[name] for name in ("a", "b"))
        probability = 1 / (1 + np.exp(-steep * score))
        return pd.DataFrame({"decision": np.where(probability > 0.5, "late", "in time"), "p_late": probability})


def artifacts(out: Path, x: pd.DataFrame, y: pd.Series, scratch: Path) -> None:
    """Save a pyfunc with artifacts, a parameter and a context, whose answer has a column of text."""
    scaled = float(np.corrcoef(x.a, y)[0, 1])
    (scratch / "points.json").write_text(json.dumps({"a": 2 * scaled, "b": 0.01}))
    signature = infer_signature(numbers(x), params={"steepness": 1.0})
    mlflow.pyfunc.save_model(
        out, python_model=Scorecard(), artifacts={"points": str(scratch / "points.json")}, signature=signature
    )


CODE = """
import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
{imports}

class Model(PythonModel):
    def predict(self, context, model_input, params=None):
        return 1 / (1 + np.exp(-({score})))


set_model(Model())
"""


def code(out: Path, x: pd.DataFrame, y: pd.Series, scratch: Path) -> None:
    """Save a pyfunc as its code."""
    weight = round(float(np.corrcoef(x.a, y)[0, 1]), 4)
    (scratch / "model.py").write_text(CODE.format(imports="", score=f"2 * {weight} * model_input['a']"))
    mlflow.pyfunc.save_model(out, python_model=str(scratch / "model.py"), signature=infer_signature(numbers(x)))


def shadow(out: Path, x: pd.DataFrame, y: pd.Series, scratch: Path) -> None:
    """Save a model that brings modules called as a library's: `json` and `pyarrow`."""
    (scratch / "brought").mkdir()
    for name in ("json", "pyarrow"):
        (scratch / f"brought/{name}.py").write_text("raise RuntimeError('the model shadows a library')\n")
    (scratch / "weights.py").write_text(f"WEIGHT = {1 + round(float(x.a.mean()), 3)}\n")
    # Where the model is saved MLflow runs its code, and must find this module and not the others.
    sys.path.insert(0, str(scratch))
    (scratch / "model.py").write_text(
        CODE.format(imports="from weights import WEIGHT\n", score="WEIGHT * model_input['a']")
    )
    brought = [*(str(scratch / f"brought/{name}.py") for name in ("json", "pyarrow")), str(scratch / "weights.py")]
    mlflow.pyfunc.save_model(
        out, python_model=str(scratch / "model.py"), code_paths=brought, signature=infer_signature(numbers(x))
    )


def modules(out: Path, x: pd.DataFrame, y: pd.Series, scratch: Path) -> None:
    """Save a model whose module has the name of the other version's, and another content."""
    weight = 1 + round(float(x.a.mean()), 3)
    (scratch / "features.py").write_text(f"WEIGHT = {weight}\n")
    sys.path.insert(0, str(scratch))
    (scratch / "model.py").write_text(
        CODE.format(imports="from features import WEIGHT\n", score="WEIGHT * model_input['a']")
    )
    mlflow.pyfunc.save_model(
        out,
        python_model=str(scratch / "model.py"),
        code_paths=[str(scratch / "features.py")],
        signature=infer_signature(numbers(x)),
    )


def old(out: Path, x: pd.DataFrame, y: pd.Series, scratch: Path) -> None:
    """Save a model as MLflow 2 does."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(numbers(x), y)
    mlflow.sklearn.save_model(model, out, pyfunc_predict_fn="predict_proba", signature=infer_signature(numbers(x)))


FLAVOURS: dict[str, Save] = {
    "sklearn, skops": skops,
    "sklearn, cloudpickle, own transformer": cloudpickle,
    "xgboost": xgboost,
    "lightgbm": lightgbm,
    "catboost": catboost,
    "statsmodels": statsmodels,
    "onnx": onnx,
    "pytorch": pytorch,
    "pyfunc, artifacts and params": artifacts,
    "pyfunc, from code": code,
    "pyfunc, shadows a library": shadow,
    "pyfunc, modules of one name": modules,
    "sklearn of MLflow 2": old,
}


def main() -> None:
    """Save the model that the command line names."""
    flavour, folder, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    drawn = rows(ROWS, seed)
    scratch = folder.with_name(f"{folder.name}-code")
    scratch.mkdir(parents=True)
    FLAVOURS[flavour](folder, drawn.drop(columns="late"), drawn.late, scratch)


if __name__ == "__main__":
    main()
