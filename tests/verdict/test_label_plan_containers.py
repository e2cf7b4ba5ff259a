"""A label plan that models in containers made is the one that they make outside."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from support import quick_python, tiny_project
from support.small_project import weighin

pytestmark = [pytest.mark.docker, pytest.mark.exhaustive]
GATES = """\
gates:
  performance:
    checks: [{metric: accuracy, against: champion, margin: 0.02}]
    labels: {plan: labels/plan.json, given: labels/labels.csv}
"""


def test_the_plan_is_the_same(tmp_path: Path) -> None:
    for closed in (tmp_path, tmp_path.parent):
        closed.chmod(0o755)  # pytest closes its folders to others, and containers run as another user
    folder = tmp_path / "project"
    tiny_project.make(folder, suites=("performance",))
    holdout = folder / "data/holdout.parquet"
    pd.read_parquet(holdout).drop(columns="label").to_parquet(holdout, index=False)
    contract = folder / "model_contract.yaml"
    contract.write_text(contract.read_text().partition("gates:\n")[0] + GATES)
    done = quick_python.run(["scripts/train.py"], folder)
    assert done.returncode == 0, done.stderr[-3000:]
    plans = []
    for more in (("--runner", "docker", "--image", "weighin:local"), ()):
        done = weighin(folder, "labels", "plan", "--labels", "100", *more)
        assert done.returncode == 0, done.stderr[-3000:]
        plans.append([(folder / "labels" / name).read_bytes() for name in ("plan.json", "plan.csv")])
    assert plans[0] == plans[1]
    assert len(plans[0][1].splitlines()) == 101
