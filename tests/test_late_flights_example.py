"""The forecast example, from flights to a decision: two linear models beside the naive forecasts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from support import quick_python, small_project

EXAMPLES = small_project.ROOT / "examples"


@pytest.fixture(scope="module")
def late_flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with data and two registered models, validated once."""
    folder = tmp_path_factory.mktemp("example")
    ignore = shutil.ignore_patterns(".weighin", "reports", "__pycache__")
    for name in ("late_flights", "flights"):
        shutil.copytree(EXAMPLES / name, folder / name, ignore=ignore)
    shutil.rmtree(folder / "late_flights/data", ignore_errors=True)
    done = quick_python.run(["build.py"], folder / "late_flights")
    assert done.returncode == 0, done.stderr[-3000:]
    done = small_project.weighin(folder / "late_flights", "validate")
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "late_flights"


def outcomes(folder: Path) -> dict[str, dict[str, Any]]:
    found = json.loads((folder / "reports/record.json").read_text())
    return {o["check"]: o for s in found["suites"] for o in s["outcomes"]}


def test_the_challenger_beats_the_naive_forecasts_and_the_champion(late_flights: Path) -> None:
    every = outcomes(late_flights)
    assert every["performance/mase"]["evidence"]["sampling_unit"] == "groups by route"
    assert every["performance/mae/vs-seasonal_naive/better"]["evidence"]["estimate"] < -0.03
    assert every["performance/mae/vs-champion/horizon=7"]["status"] == "passed"
    assert "against the seasonal naive forecast" in " ".join((late_flights / "reports/summary.md").read_text().split())


def test_a_drill_of_a_forecast_draws_whole_series(late_flights: Path) -> None:
    done = small_project.weighin(late_flights, "drill", "--quick", "--family", "labels", "--fault", "model-worse")
    assert done.returncode == 0, done.stderr
    found = json.loads((late_flights / "reports/drill/drill.json").read_text())
    assert "error" not in {f["answer"] for f in found["faults"]}


@pytest.mark.exhaustive
def test_a_model_that_repeats_the_last_day_fails(late_flights: Path) -> None:
    """The naive forecast as a model: no better than itself."""
    code = (
        "import mlflow, pandas as pd; from pathlib import Path;"
        "Path('repeats.py').write_text('import mlflow\\nclass R(mlflow.pyfunc.PythonModel):\\n"
        "    def predict(self, context, model_input, params=None):\\n"
        '        return model_input["last"].to_numpy() * 0.999\\nmlflow.models.set_model(R())\\n\');'
        "mlflow.pyfunc.save_model('repeats', python_model='repeats.py', pip_requirements=['mlflow'],"
        "input_example=pd.read_parquet('data/holdout.parquet').head(2)"
        "[['horizon', 'last', 'season', 'week_mean', 'month_mean', 'flights']])"
    )
    done = quick_python.run(["-c", code], late_flights)
    assert done.returncode == 0, done.stderr[-3000:]
    # What was predicted by the champion is used again; what the fixture validated is replaced.
    done = small_project.weighin(late_flights, "validate", "--candidate", "repeats")
    assert done.returncode == 1, done.stderr[-3000:]
    every = outcomes(late_flights)
    assert every["performance/mae/vs-naive/better"]["status"] == "failed"
    assert every["performance/mase"]["status"] == "failed"
