"""No value of the data is in anything that could be uploaded or shown, whatever fails.

Every column holds values that stand in no other column and in nothing that is not data. A project is validated with
everything broken that the tests of this package know how to break, and what is left is searched for these values.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support import quick_python, small_project
from support.suite_work import Work
from weighin.contract import read_contract
from weighin.verdict.judge import run_suite

pytestmark = pytest.mark.exhaustive
ROWS = 1200
SUITES = ("data_quality", "performance", "drift")
MARKS = {
    "id": "55501930",
    "amount": r"(?<![\d.])(81904|8\.1904|8,190,4)",
    "age": r"(?<![\d.])(62708|6\.2708|6,270,8)",
    "city": "CANARY-city",
    "name": "CANARY-name",
    "label": "CANARY-label",
    "at": r"2091-03|(?<![\d.])(3823\d{6}|3\.823\d)",
}
"""Column -> how its values look, also as a quantile of six digits, and as seconds since 1970."""
SENSITIVE = ("age", "name")
DRAWN = re.compile(r"reports/(record\.json|report\.html|drift/(outcomes\.json|report\.html|evidently\.html))")
BY_DESIGN = {
    "amount": "quantile edges of a column that is not sensitive are the bins of its drawn distribution",
    "city": "categories of a column that is not sensitive are the bins of its drawn distribution",
}
"""Columns whose values may stand in the files `DRAWN`, as docs/reference/data.md says, and nowhere else."""

CONTRACT = """\
version: 1
as_of: 2091-04-02T00:00:00Z
model: {name: canary, task: multiclass, target: label, classes: [low, middle, high]}
data:
  reference: reference.parquet
  holdout: holdout.parquet
  current: current.csv
  columns:
    id: {type: integer, role: key, unique: true}
    at: {type: timestamp, role: time, time_zone: UTC}
    label: {type: string, role: target}
    amount: {type: float, minimum: 0, maximum: 10}
    age: {type: float, sensitive: true, minimum: 0, maximum: 10}
    city: {type: string, allowed: [Rome, Oslo]}
    name: {type: string, sensitive: true, pattern: "[a-z]+"}
gates:
  data_quality: {rows_at_least: 10, datasets: [holdout]}
  performance:
    first_release: allow
    checks:
      - {metric: accuracy, at_least: 0.1}
      - {metric: log_loss, against: champion, margin: 0.5}
    slices:
      - {name: cast, query: "CAST(city AS INTEGER) > 1", metric: accuracy, margin: 0.5}
  drift: {at_most: 0.2}
"""

MODEL = """\
import sys
import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

class Canary(PythonModel):
    def predict(self, context, model_input, params=None):
        print(model_input.to_string(), flush=True)
        print("weighin:", model_input.iloc[0].to_dict(), file=sys.stderr, flush=True)
        {does}

set_model(Canary())
"""
ANSWERS = "return np.full((len(model_input), 3), 1 / 3)"


def rows(seed: int, scale: float = 1.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": 5_550_193_000 + np.arange(ROWS),
            "at": pd.Timestamp("2091-03-01", tz="UTC") + pd.to_timedelta(np.arange(ROWS), unit="min"),
            "label": rng.choice(["low", "middle", "high"], ROWS),
            "amount": 8_190_417.25 + scale * rng.random(ROWS) * 40,
            "age": 6_270_853.5 + scale * rng.random(ROWS) * 20,
            "city": [f"CANARY-city-{n}" for n in rng.integers(0, 9, ROWS)],
            "name": [f"CANARY-name-{n}" for n in rng.integers(0, 9, ROWS)],
        }
    )


def project(folder: Path, does: str = ANSWERS) -> Path:
    """A project in which everything can be read; its limits are kept by nothing."""
    folder.mkdir()
    (folder / "model_contract.yaml").write_text(CONTRACT)
    for number, name in enumerate(("reference", "holdout", "current")):
        frame = rows(number)
        frame.to_parquet(folder / f"{name}.parquet", index=False)
    rows(2).to_csv(folder / "current.csv", index=False)
    assert small_project.weighin(folder, "contract", "sync").returncode == 0
    tests = (f"validation_tests/{name}.py" for name in ("conftest", *(f"test_{suite}" for suite in SUITES)))
    for name in (*tests, "great_expectations/great_expectations.yml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text((small_project.ROOT / name).read_text())
    code = """
import sys
from mlflow.models.signature import ModelSignature
from mlflow.types import ColSpec, Schema
import mlflow.pyfunc

inputs = [ColSpec("double", "amount"), ColSpec("double", "age"), ColSpec("string", "city"), ColSpec("string", "name")]
for role in ("candidate", "champion"):
    mlflow.pyfunc.save_model(role, python_model=f"{role}.py", signature=ModelSignature(Schema(inputs)))
"""
    (folder / "candidate.py").write_text(MODEL.replace("{does}", does))
    (folder / "champion.py").write_text(MODEL.replace("{does}", ANSWERS))
    done = quick_python.run(["-c", code], folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def model_raises(folder: Path) -> None:
    """The frame stands in the text, and rows of it in what the model prints."""


def everything_is_damaged(folder: Path) -> None:
    """Labels that are no classes, missing values, a number that is text in a CSV file, a column that is away."""
    holdout = rows(1)
    holdout.loc[:99, "label"] = "CANARY-label-x"
    holdout.loc[100:200, "amount"] = np.nan
    holdout.drop(columns=["id"]).to_parquet(folder / "holdout.parquet", index=False)
    text = rows(2).astype({"amount": object})
    text.loc[700, "amount"] = "8190417.25 EUR"
    text.to_csv(folder / "current.csv", index=False)


def types_are_others(folder: Path) -> None:
    """What the signature wants as a number is text; current data have drifted."""
    holdout = rows(1)
    holdout["amount"] = holdout["amount"].astype(str)
    holdout.to_parquet(folder / "holdout.parquet", index=False)
    rows(2, scale=3.0).to_csv(folder / "current.csv", index=False)


WAYS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "a model raises": ('raise ValueError(f"Failed to enforce schema of data {model_input}")', model_raises),
    "data are damaged": (ANSWERS, everything_is_damaged),
    "types are others": (ANSWERS, types_are_others),
}


def left(folder: Path, printed: str) -> dict[str, str]:
    """All that a job could upload or show, by where it stands: not the data, the features, the models themselves."""
    found = {"what the commands printed": printed}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if "/data_docs/" in name and "/static/" in name:
            continue  # pictures and styles of Great Expectations
        inputs = (".weighin/work/features/", ".weighin/work/data/", ".weighin/work/models/", ".weighin/work/profiles/")
        if path.is_file() and (
            name.startswith("reports/") or (".weighin/work/" in name and not name.startswith(inputs))
        ):
            found[name] = path.read_bytes().decode("utf-8", "replace")
    return found


def leaks(found: dict[str, str]) -> list[str]:
    """Where values stand that nobody wants there."""
    wrong = []
    for name, text in found.items():
        for column, mark in MARKS.items():
            if column in BY_DESIGN and DRAWN.fullmatch(name):
                continue
            for hit in list(re.finditer(mark, text))[:2]:
                wrong.append(f"{column} in {name}: {text[max(0, hit.start() - 120) : hit.end() + 40]!r}")
    return wrong


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.replace(" ", "-"))
def test_nothing_that_could_be_uploaded_holds_a_value(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHIN_LOGS", str(tmp_path / "kept"))
    does, broken = WAYS[way]
    folder = project(tmp_path / "project", does)
    broken(folder)
    done = small_project.weighin(folder, "validate", "--candidate", "candidate", "--champion", "champion")
    found = left(folder, done.stdout + done.stderr)
    # Or nothing was tried.
    record = json.loads(found["reports/record.json"])
    assert [s["problems"] for s in record["suites"]] == [[]] * 4, done.stderr[-3000:]
    assert done.returncode not in (0, 3), done.stderr[-3000:]
    assert leaks(found) == []
    if does != ANSWERS:
        # What the engine finds by itself it says without a text of a library's. A model's own text is kept here.
        kept = "".join(p.read_text("utf-8", "replace") for p in (tmp_path / "kept").iterdir())
        assert any(re.search(mark, kept) for mark in MARKS.values()), "the whole text is not kept here either"


def test_a_test_of_the_teams_own_that_fails_with_rows_shows_none(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    work = Work(tmp_path)
    tests = tmp_path / "validation_tests"
    shutil.copytree(small_project.ROOT / "validation_tests", tests, ignore=shutil.ignore_patterns("__pycache__"))
    with (tests / "test_drift.py").open("a") as file:
        file.write("\n\ndef test_own():\n    assert {'name': 'CANARY-name-1'} == {}\n")
    work.write()
    run_suite("drift", read_contract(tmp_path / "model_contract.yaml"), tmp_path / "work", tmp_path / "reports")
    found = left(tmp_path, "".join(capfd.readouterr()))
    assert "CANARY-name" in (tests / "test_drift.py").read_text()
    assert [name for name, text in found.items() if "CANARY-name" in text] == []


def test_the_search_finds_what_leaks() -> None:
    assert not set(BY_DESIGN) & set(SENSITIVE)
    assert leaks({"reports/summary.md": "label CANARY-label-x"})
    (found,) = leaks({"reports/record.json": "edges 8.19042e+06 and 6.27085e+06"})
    assert found.startswith("age in reports/record.json")
    assert not leaks({"reports/drift/outcomes.json": "CANARY-city-1"})
    assert leaks({"reports/performance/outcomes.json": "CANARY-city-1"})
