"""Models of many libraries, taken through the product: logged, validated in containers, served, promoted, rolled back.

    python benchmarks/flavours.py [--quick] [--runner docker|local] [--only NAME] [--write]

Each flavour is trained twice in an environment that has its library, and registered as champion and challenger. The
contract has a performance and a load gate, so that the candidate is served as well. `--quick` takes four flavours and
processes in place of containers. `--write` puts the table into docs/reference/models.md. The last line is JSON:
`flavours`, `passed`, `type_cases`, `type_cases_right`, `own_environment_seconds_first`,
`own_environment_seconds_cached`.

The type cases are those of tests/support/type_cases.py: a file's type, the contract's and a signature's, and what a
model is handed offline and by MLflow's scoring server.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import pandas as pd
from flavour_models import FLAVOURS, rows

from support.type_cases import count_right
from weighin.runner import environments

MLFLOW = "mlflow==3.17.2"
NEEDS: dict[str, Sequence[str]] = {
    "xgboost": (MLFLOW, "xgboost-cpu==3.1.2", "scikit-learn==1.6.1"),
    "lightgbm": (MLFLOW, "lightgbm>=4.6"),
    "catboost": (MLFLOW, "catboost>=1.2"),
    "statsmodels": (MLFLOW, "statsmodels>=0.14"),
    "onnx": (MLFLOW, "onnx", "onnxruntime", "skl2onnx"),
    "pytorch": (MLFLOW, "torch"),
    "sklearn of MLflow 2": ("mlflow==2.22.2", "scikit-learn==1.6.1"),
}
"""Flavour -> what trains it, where the development environment does not."""
TEXT = ("catboost",)
"""Flavours that are given the category as well, as text."""
ANSWERS = {
    "xgboost": "{kind: label}",
    "catboost": "{kind: label}",
    "lightgbm": "{column: 0}",
    "statsmodels": "{column: 0}",
    "onnx": "{column: probabilities}",
    "pyfunc, artifacts and params": "{column: p_late}",
}
QUICK = ("sklearn, skops", "lightgbm", "pyfunc, artifacts and params", "pyfunc, modules of one name")
STEPS = ("log", "validate", "promote", "serve", "roll back")
CONTRACT = """\
version: 1
model: {{name: m, task: binary, target: late, prediction: {answers}}}
data:
  holdout: holdout.parquet
  columns:
    a: {{type: float}}
    b: {{type: float}}
    c: {{type: string{text}}}
    late: {{type: integer, role: target}}
gates:
  performance:
    checks:
      - {{metric: {metric}, at_least: 0.55}}
      - {{metric: {metric}, against: champion, margin: 0.1}}
  load:
    rate: 10
    seconds: 6
    starts: 1
    warm_up_seconds: 1
    batch_rows: 3
    input_example: false
    lateness_ms_at_most: 1000
    within: {{latency_ms: 3000, share_at_least: 0.5}}
    error_rate_at_most: 0.3
    memory_mb_at_most: 2000
    server: {{start_seconds: 120, memory_mb: 2000}}
"""
START, END = "<!-- flavours -->", "<!-- /flavours -->"


@dataclass
class Outcome:
    """What became of one flavour. `seconds` are those of validate; `said` why it went no further."""

    flavour: str
    done: list[str] = field(default_factory=list)
    environment: str = ""
    versions: str = ""
    seconds: float = 0.0
    said: str = ""

    @property
    def passed(self) -> bool:
        """Whether every step was done."""
        return self.done == list(STEPS)


def maker(flavour: str, folder: Path) -> Path:
    """Return the interpreter that has the flavour's library. Errors: `RuntimeError`."""
    if flavour not in NEEDS:
        return Path(sys.executable)
    folder.mkdir(exist_ok=True)
    (folder / "requirements.txt").write_text("\n".join([*NEEDS[flavour], "pandas", "scikit-learn"]) + "\n")

    def build(listed: Path, made: Path, completed: bool) -> str:
        command = [sys.executable, "-I", str(ROOT / "weighin/runner/prepare.py"), str(listed), str(made), "--complete"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
        return done.stderr.strip().splitlines()[-1] if done.returncode else ""

    found, problem = environments.environment(folder, f"flavours {sys.version}", build)
    if problem:
        raise RuntimeError(problem)
    return environments.interpreter(found)


def project(flavour: str, folder: Path) -> None:
    """Train and register champion and challenger, and write the contract and the holdout. Errors: `RuntimeError`."""
    python = maker(flavour, folder / "maker")
    for seed in (1, 2):
        script = str(ROOT / "benchmarks/flavour_models.py")
        done = subprocess.run(
            [str(python), script, flavour, str(folder / f"model-{seed}"), str(seed)],
            capture_output=True, text=True, check=False, timeout=600, env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1][:200])
    rows(2000, 3).to_parquet(folder / "holdout.parquet", index=False)
    label = "label" in ANSWERS.get(flavour, "")
    (folder / "model_contract.yaml").write_text(
        CONTRACT.format(
            answers=ANSWERS.get(flavour, "{kind: probability}"),
            metric="accuracy" if label else "roc_auc",
            text="" if flavour in TEXT else ", role: other",
        )
    )
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("flavours", artifact_location=(folder / "artifacts").as_uri())
    client.create_registered_model("m")
    for seed, alias in ((1, "champion"), (2, "challenger")):
        run = client.create_run(experiment)
        client.log_artifacts(run.info.run_id, str(folder / f"model-{seed}"), "model")
        made = client.create_model_version("m", f"{run.info.artifact_uri}/model", run.info.run_id)
        client.set_registered_model_alias("m", alias, made.version)


def weighin(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a project."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return subprocess.run(
        [str(Path(sys.executable).with_name("weighin")), *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=1800,
        env={**os.environ, "MLFLOW_TRACKING_URI": uri},
    )  # fmt: skip


def taken_through(flavour: str, folder: Path, runner: str, image: str) -> Outcome:
    """Take a flavour through the product; it ends at the first step that is not done."""
    found = Outcome(flavour)
    try:
        project(flavour, folder)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        found.said = f"not trained here: {error}"
        return found
    found.done.append("log")
    started = time.monotonic()
    more = ["--image", image] if runner == "docker" else []
    done = weighin(folder, "validate", "--runner", runner, *more)
    found.seconds = time.monotonic() - started
    left, subject = folder / "reports/record.json", folder / ".weighin/work/subject.json"
    if not left.is_file() or not subject.is_file():
        found.said = done.stderr[-300:]
        return found
    record, known = json.loads(left.read_text()), json.loads(subject.read_text())["models"]["candidate"]
    found.environment = known["environment"]
    found.versions = ", ".join(f"{n} {v}".strip() for n, v in known["flavours"].items()) or "pyfunc"
    found.versions += f" (MLflow {known['mlflow']})"
    if done.returncode:
        found.said = "; ".join(record["verdict"]["messages"])[:600]
        return found
    found.done.append("validate")
    done = weighin(folder, "promote", *more)
    if done.returncode:
        found.said = done.stderr[-300:]
        return found
    found.done.append("promote")
    served = [o for s in record["suites"] for o in s["outcomes"] if o["check"] == "load/errors"]
    if not served or served[0]["status"] != "passed":
        found.said = "the server answered with errors"
        return found
    found.done.append("serve")
    done = weighin(folder, "rollback", "--to", "1", "--emergency", "--owner", "benchmark", "--reason", "measured")
    if done.returncode:
        found.said = done.stderr[-300:]
        return found
    found.done.append("roll back")
    return found


def own_environment() -> tuple[float, float]:
    """Return the seconds in which an environment of LightGBM's is made, and found again."""
    with tempfile.TemporaryDirectory() as place:
        os.environ[environments.PLACE] = place
        try:
            seconds = []
            for number in range(2):
                started = time.monotonic()
                maker("lightgbm", Path(place) / f"maker-{number}")
                seconds.append(time.monotonic() - started)
        finally:
            del os.environ[environments.PLACE]
    return seconds[0], seconds[1]


def resolve_seconds(columns: int = 400) -> float:
    """Return the seconds of `weighin step resolve` with a table and a signature of so many columns."""
    names = [f"column_{i}" for i in range(columns)]
    inputs = json.dumps([{"type": "double", "name": name, "required": True} for name in names])
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for role in ("candidate", "champion"):
            (folder / role).mkdir()
            (folder / role / "MLmodel").write_text(
                "flavors: {python_function: {loader_module: mlflow.sklearn}}\n"
                f"# {role}\nsignature: {{inputs: {json.dumps(inputs)}}}\n"
            )
        table = rows(2000, 3)
        wide = pd.DataFrame({**dict.fromkeys(names, table.a), "late": table.late})
        wide.to_parquet(folder / "holdout.parquet", index=False)
        listed = "".join(f"    {name}: {{type: float}}\n" for name in names)
        (folder / "model_contract.yaml").write_text(
            "version: 1\nmodel: {name: m, task: binary, target: late}\ndata:\n  holdout: holdout.parquet\n  columns:\n"
            f"{listed}    late: {{type: integer, role: target}}\n"
            "gates: {performance: {checks: [{metric: roc_auc, at_least: 0.6}]}}\n"
        )
        started = time.monotonic()
        done = weighin(
            folder, "step", "resolve", "--work", "work", "--candidate", "candidate", "--champion", "champion"
        )
        assert done.returncode == 0, done.stderr[-500:]
        return time.monotonic() - started


def table(found: Sequence[Outcome]) -> str:
    """Return the table for the documentation."""
    lines = [f"| flavour | logged by | environment | {' | '.join(STEPS)} |", f"|---|---|---|{'---|' * len(STEPS)}"]
    for one in found:
        marks = " | ".join("yes" if step in one.done else "no" for step in STEPS)
        lines.append(f"| {one.flavour} | {one.versions or one.said[:120]} | {one.environment or '-'} | {marks} |")
    return "\n".join(lines)


def main() -> int:
    """Run, print a line for each flavour and the summary; 1 where one did not come through."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--runner", choices=("docker", "local"))
    parser.add_argument("--image", default="weighin:local")
    parser.add_argument("--only", action="append", choices=tuple(FLAVOURS))
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    runner = given.runner or ("local" if given.quick else "docker")
    found = []
    # Below the checkout, since containers of another user have to read it.
    place = Path(tempfile.mkdtemp(prefix="weighin-flavours-"))
    place.chmod(0o755)
    try:
        for number, flavour in enumerate(given.only or (QUICK if given.quick else FLAVOURS)):
            folder = place / str(number)
            folder.mkdir(mode=0o755)
            one = taken_through(flavour, folder, runner, given.image)
            found.append(one)
            print(f"{flavour}: {', '.join(one.done) or 'nothing'} ({one.seconds:.0f} s) {one.said}", flush=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    cases, right = count_right()
    print(f"resolve with the static checks of 400 columns: {resolve_seconds():.1f} s", flush=True)
    first, cached = own_environment()
    if given.write:
        page = ROOT / "docs/reference/models.md"
        text = re.sub(f"{START}.*{END}", f"{START}\n{table(found)}\n{END}", page.read_text(), flags=re.DOTALL)
        page.write_text(text)
    passed = sum(one.passed for one in found)
    print(
        json.dumps(
            {
                "flavours": len(found),
                "passed": passed,
                "type_cases": cases,
                "type_cases_right": right,
                "own_environment_seconds_first": round(first, 1),
                "own_environment_seconds_cached": round(cached, 4),
            }
        )
    )
    return 0 if passed == len(found) and cases == right else 1


if __name__ == "__main__":
    sys.exit(main())
