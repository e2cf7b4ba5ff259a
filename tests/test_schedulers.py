"""The examples for schedulers, in the real ones: Airflow runs its DAG, Argo Rollouts' schema takes its template."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.locked_environment import interpreter

ROOT = Path(__file__).resolve().parent.parent
SUPPORT = ROOT / "tests/support"
SECONDS = 300


def run(command: list[str], **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False, **more)


@pytest.mark.airflow
def test_airflow_releases_what_passed_skips_what_is_inconclusive_and_stops_at_the_rest(tmp_path: Path) -> None:
    python = interpreter("requirements-airflow.txt")
    dags, programs, calls = tmp_path / "dags", tmp_path / "bin", tmp_path / "calls"
    for folder in (dags, programs):
        folder.mkdir()
    text = (ROOT / "examples/airflow/weighin_release.py").read_text()
    assert text.count("/opt/models/flight-delay") == 1
    (dags / "weighin_release.py").write_text(text.replace("/opt/models/flight-delay", str(tmp_path)))
    (programs / "weighin").write_text(
        f'#!/bin/sh\necho "$CODE $@" >>{calls}\nif [ "$1" = validate ]; then exit $CODE; fi\n'
    )
    (programs / "weighin").chmod(0o755)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    migrated = run([str(Path(python).with_name("airflow")), "db", "migrate"], env=environment)
    assert migrated.returncode == 0, migrated.stderr[-2000:]
    done = run([python, str(SUPPORT / "airflow_runs.py"), "0", "6", "1"], env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == {}
    assert found["states"] == {
        "0": {"validate": "success", "promote": "success"},
        "6": {"validate": "skipped", "promote": "skipped"},
        "1": {"validate": "failed", "promote": "upstream_failed"},
    }
    assert found["refused"] == "ParamValidationError"
    told = "validate --resume --candidate 12 --work runs/12/work --out runs/12/reports"
    assert calls.read_text().splitlines() == [
        f"0 {told}",
        "0 promote runs/12/reports --work runs/12/work",
        f"6 {told}",
        f"1 {told}",
    ]


@pytest.mark.node
def test_argo_rollouts_takes_the_analysis_template(tmp_path: Path) -> None:
    for path in (SUPPORT / "argo").iterdir():
        shutil.copy(path, tmp_path)
    installed = run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"], cwd=tmp_path)
    assert installed.returncode == 0, installed.stderr
    template = yaml.safe_load((ROOT / "examples/argo-rollouts/analysis-template.yaml").read_text())

    def validated(value: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        return run(["node", "validate.mjs"], cwd=tmp_path, input=json.dumps(value))

    done = validated(template)
    assert done.returncode == 0, done.stderr
    del template["spec"]["metrics"][0]["provider"]
    assert "must have required property provider" in validated(template).stderr


def test_an_inconclusive_run_of_the_monitor_is_neither_success_nor_failure() -> None:
    metric = yaml.safe_load((ROOT / "examples/argo-rollouts/analysis-template.yaml").read_text())["spec"]["metrics"][0]

    def said(*result: float) -> tuple[bool, bool]:
        """Whether the conditions hold; those of this template mean the same in Python."""
        words = {"&&": "and", "||": "or"}
        text = [metric[f"{kind}Condition"] for kind in ("success", "failure")]
        for word, python in words.items():
            text = [t.replace(word, python) for t in text]
        success, failure = (eval(t, {"len": len, "result": result}) for t in text)  # noqa: S307 - our own
        return success, failure

    assert [said(code) for code in (0, 6, 1, 7)] == [(True, False), (False, False), (False, True), (False, True)]
    assert said() == said(0, 0) == (False, True)
