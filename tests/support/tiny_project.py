"""A project of another team, small enough that a whole run of the workflows takes well under a minute.

Its data are drawn here, its models are logistic regressions, and each of its suites can be made to fail alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from support import small_project
from support.small_project import ROOT, edit

OURS = Path(__file__).parent / "tiny"
ROWS = 4000
SUITES = ("data_quality", "performance", "drift", "explainability")
TRAINED = "python3 scripts/train.py --role champion --if-missing && python3 scripts/train.py"
TRAIN = "python3 scripts/train.py"
LOAD = """
  load:
    rate: 20
    seconds: 3
    starts: 1
    stall_seconds: 0.1
    warm_up_seconds: 0.5
    batch_rows: 1
    timeout_seconds: 5
    within: {latency_ms: 700, share_at_least: 0.6}
    error_rate_at_most: 0.2
    refuses_malformed: false
    input_example: false
    memory_mb_at_most: 1400
"""
"""A gate on load that any machine passes whose model does not sleep."""


def make(folder: Path, *, suites: tuple[str, ...] = SUITES) -> Path:
    """Write contract, data, training, suites and our workflows with their callers.

    suites  that the contract has limits for; any of SUITES, and "load"
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)  # pytest closes its folders to others, and containers run as another user
    (folder / "scripts").mkdir()
    shutil.copy(OURS / "train.py", folder / "scripts")
    left_out = [s for s in SUITES if s not in suites] + ([] if "drift" in suites else ["reference", "current"])
    contract = [
        line
        for line in (OURS / "model_contract.yaml").read_text().splitlines()
        if not line.startswith(tuple(f"  {name}:" for name in left_out))
    ]
    (folder / "model_contract.yaml").write_text("\n".join(contract) + (LOAD if "load" in suites else "\n"))
    (folder / "validation_tests").mkdir()
    for name in ("conftest", *(f"test_{s}" for s in suites)):
        shutil.copy(ROOT / "validation_tests" / f"{name}.py", folder / "validation_tests")
    (folder / "data").mkdir()
    for number, name in enumerate(("train", "holdout", "reference", "current")):
        draw(number).to_parquet(folder / f"data/{name}.parquet", index=False)
    if "data_quality" in suites:
        done = small_project.weighin(folder, "contract", "sync")
        assert done.returncode == 0, done.stderr
    shutil.copytree(ROOT / ".github/workflows", folder / ".github/workflows")
    shutil.copytree(ROOT / "actions", folder / "actions")
    for name in ("pull-request.yml", "release.yml", "weekly-drill.yml"):
        edit(folder / ".github/workflows" / name, (TRAINED, TRAIN))
    return folder


def draw(seed: int, shift: float = 0.0) -> pd.DataFrame:
    """Rows whose label follows `a`, less so the others; `shadow` is `a` again.

    shift  of `d`, which matters least
    """
    random = np.random.default_rng(seed)
    a, b, c, d = random.normal(size=(4, ROWS))
    label = (1.6 * a + 1.0 * b + 0.8 * c + 0.5 * d + random.logistic(size=ROWS) > 0).astype(int)
    shadow = a + 0.05 * random.normal(size=ROWS)
    return pd.DataFrame(
        {"id": np.arange(ROWS), "label": label, "a": a, "b": b, "c": c, "d": d + shift, "shadow": shadow}
    )


def break_suite(folder: Path, suite: str) -> None:
    """Let one suite fail, and no other."""
    match suite:
        case "data_quality":
            rows = pd.read_parquet(folder / "data/holdout.parquet")
            rows["id"] = rows["id"].where(rows.index > 0, 1)
            rows.to_parquet(folder / "data/holdout.parquet", index=False)
        case "drift":
            draw(3, shift=3.0).to_parquet(folder / "data/current.parquet", index=False)
        case "performance":
            _train(folder, "weak")
        case "explainability":
            _train(folder, "forbidden")
        case "load":
            _train(folder, "late")
        case _:
            raise AssertionError(f"no fault for {suite}")


def _train(folder: Path, fault: str) -> None:
    for path in (folder / ".github/workflows").glob("*.yml"):
        if TRAIN in (text := path.read_text()):
            path.write_text(text.replace(TRAIN, f"{TRAIN} --fault {fault}"))
