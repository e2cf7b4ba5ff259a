"""SHAP: values that add up to the prediction, of every type of column, and a file that is not trusted."""

from __future__ import annotations

import sys
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from weighin.errors import NotEvaluated
from weighin.model.shap import BACKGROUND, read_shap, shap_values, write_shap

NAMES = ("x", "unused", "colour", "day", "wind")


def frame(rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "x": rng.normal(size=rows),
            "unused": rng.integers(0, 2**60, rows),
            "colour": pd.array(rng.choice(["red", "blue", None], rows), dtype="object"),
            "day": pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 90, rows), unit="D"),
            "wind": np.where(rng.random(rows) < 0.2, np.nan, rng.normal(size=rows)),
        }
    )


def test_values_of_an_additive_function_are_exact() -> None:
    rows = frame()

    def parts(table: pd.DataFrame) -> np.ndarray:
        red = np.where(table["colour"].isna(), -1.0, (table["colour"] == "red") * 2.0)
        return np.column_stack(
            [3 * table["x"], np.zeros(len(table)), red, table["day"].dt.dayofyear / 30, table["wind"].fillna(5)]
        )

    found = shap_values(lambda table: parts(table).sum(axis=1), rows, 20)
    rng = np.random.default_rng(0)
    background = np.sort(rng.permutation(len(rows))[:BACKGROUND])
    explained = np.sort(rng.permutation(len(rows))[:20])
    by_hand = parts(rows.iloc[explained]) - parts(rows.iloc[background]).mean(axis=0)
    assert found == pytest.approx(by_hand, abs=1e-9)


def test_values_of_a_real_model_with_a_text_column_add_up_to_its_predictions() -> None:
    rows = frame()[["x", "unused", "colour", "wind"]].fillna({"colour": "none"})
    label = (rows["x"] + 2 * (rows["colour"] == "red") > 0.5).astype(int)
    encode = make_column_transformer((OrdinalEncoder(), ["colour"]), remainder="passthrough")
    model = make_pipeline(encode, HistGradientBoostingClassifier(max_iter=20, random_state=0)).fit(rows, label)
    found = shap_values(lambda table: model.predict_proba(table)[:, [1]], rows, 25)
    rng = np.random.default_rng(0)
    base = rows.iloc[np.sort(rng.permutation(len(rows))[:BACKGROUND])]
    explained = rows.iloc[np.sort(rng.permutation(len(rows))[:25])]
    wanted = model.predict_proba(explained)[:, 1] - model.predict_proba(base)[:, 1].mean()
    assert found.sum(axis=1) == pytest.approx(wanted, abs=1e-6)
    mean = dict(zip(rows.columns, np.abs(found).mean(axis=0), strict=True))
    assert min(mean["x"], mean["colour"]) > 5 * max(mean["unused"], mean["wind"])


def test_several_classes_give_one_number_a_feature() -> None:
    rows = frame()[["x", "colour"]].fillna({"colour": "none"})
    label = np.digitize(rows["x"], [-0.5, 0.5])
    encode = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    model = make_pipeline(encode, LogisticRegression()).fit(rows, label)
    found = shap_values(model.predict_proba, rows, 10)
    assert found.shape == (10, 2)
    assert (found >= 0).all()
    assert found[:, 0].mean() > found[:, 1].mean()


def test_the_model_sees_the_types_it_knows() -> None:
    rows = frame()
    seen = []
    shap_values(lambda table: seen.append(table) or table["x"].to_numpy(), rows, 2)
    assert all((table.dtypes == rows.dtypes).all() for table in seen)
    assert set(np.concatenate([t["unused"] for t in seen])) <= set(rows["unused"])


def test_the_same_seed_gives_the_same_values_and_leaves_the_global_one_alone() -> None:
    rows = frame()

    def product(table: pd.DataFrame) -> np.ndarray:
        return (table["x"] * table["wind"].fillna(1) * table["day"].dt.dayofyear).to_numpy()

    np.random.seed(1)
    expected = np.random.random(3)
    np.random.seed(1)
    one, other = shap_values(product, rows, 5), shap_values(product, rows, 5)
    assert (one == other).all()
    assert (np.random.random(3) == expected).all()


@pytest.mark.parametrize("size", [1, 3])
def test_fewer_rows_than_are_asked_for_are_all_explained(size: int) -> None:
    found = shap_values(lambda table: table["x"].to_numpy(), frame(size), 10)
    assert found.shape == (size, 5)
    assert np.abs(found[:, 1:]).max() < 1e-12


def test_one_feature_is_enough() -> None:
    rows = frame()[["x"]]
    found = shap_values(lambda table: table["x"].to_numpy(), rows, 4)
    assert found.shape == (4, 1)


def test_a_prediction_that_is_no_number_is_not_evaluated() -> None:
    with pytest.raises(NotEvaluated, match="not finite"):
        shap_values(lambda table: table["wind"].to_numpy(), frame(), 5)


def test_nothing_to_explain_is_not_evaluated() -> None:
    with pytest.raises(NotEvaluated, match="no rows"):
        shap_values(lambda table: table["x"].to_numpy(), frame().head(0), 5)


def test_what_a_model_imports_after_shap_is_compiled() -> None:
    shap_values(lambda table: table["x"].to_numpy(), frame(), 2)
    assert not numba.config.DISABLE_JIT
    assert hasattr(numba.njit(lambda x: x + 1), "py_func")


def test_without_shap_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n == "shap" or n.startswith("shap.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(NotEvaluated, match=r"Install `weighin\[shap\]`"):
        shap_values(lambda table: table["x"].to_numpy(), frame(), 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "candidate").mkdir()
    return tmp_path / "candidate" / "shap.arrow"


def test_what_was_written_is_read(path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(7, 5))
    write_shap(path, NAMES, values)
    assert (read_shap(path, NAMES, "p") == values).all()


def written(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"x": [1.0], "z": [1.0]}, "expected x, y"),
        ({"y": [1.0], "x": [1.0]}, "expected x, y"),
        ({"x": [1], "y": [2]}, "as doubles"),
        ({"x": pa.array([], pa.float64()), "y": pa.array([], pa.float64())}, "0 rows"),
        ({"x": [0.0] * 1001, "y": [0.0] * 1001}, "1001 rows"),
        ({"x": [1.0, float("nan")], "y": [1.0, 1.0]}, "not finite"),
        ({"x": [1.0, None], "y": [1.0, 1.0]}, "not finite"),
        ({"x": [1.0, float("inf")], "y": [1.0, 1.0]}, "not finite"),
    ],
)
def test_a_file_of_another_shape_is_not_evaluated(path: Path, columns: dict[str, object], says: str) -> None:
    written(path, pa.table(columns))
    with pytest.raises(NotEvaluated, match=says):
        read_shap(path, ("x", "y"), "p")


def test_no_file_a_broken_one_and_a_link_are_not_evaluated(path: Path, tmp_path: Path) -> None:
    with pytest.raises(NotEvaluated, match="not left"):
        read_shap(path, NAMES, "p")
    path.write_bytes(b"ARROW1 but not really")
    with pytest.raises(NotEvaluated, match="not a sound Arrow file"):
        read_shap(path, NAMES, "p")
    path.unlink()
    write_shap(tmp_path / "real.arrow", NAMES, np.zeros((1, 5)))
    path.symlink_to(tmp_path / "real.arrow")
    with pytest.raises(NotEvaluated, match="not left"):
        read_shap(path, NAMES, "p")
