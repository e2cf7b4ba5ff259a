"""The keys of failing rows leave the machine only where a reviewed contract asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from weighin.runner import docker
from weighin.runner.collect import FAILING_KEYS
from weighin.runner.docker import Checkout
from weighin.runner.plan import Answers, Plan


@pytest.mark.integration
@pytest.mark.parametrize("reviewed", [True, False])
def test_keys_are_kept_of_a_reviewed_contract_alone(
    reviewed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def ran(sandbox: object, kind: str, command: object, seconds: float, raw: Path, **_: Any) -> str:
        """Leave what a judge leaves whose contract asks for keys."""
        (raw / FAILING_KEYS).mkdir()
        (raw / FAILING_KEYS / "holdout.csv").write_text("rule,id\nage/range,8190417\n")
        (raw / "outcomes.json").write_text("{}")
        return ""

    monkeypatch.setattr(docker, "run", ran)
    monkeypatch.setattr(docker, "identity", lambda image: "sha256:1")
    for name in ("repo", "head", "work"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model_contract.yaml").write_text("")
    Plan(("data_quality",), ("candidate",), Answers(), 60, 1000, None).write(tmp_path / "work/plan.json")
    head = None if reviewed else tmp_path / "head"
    files = Checkout(tmp_path / "repo", Path("model_contract.yaml"), head)
    assert docker.judge("data_quality", "image", files, tmp_path / "work", tmp_path / "out") == 0
    assert (tmp_path / "out/data_quality/outcomes.json").is_file()
    assert (tmp_path / "out/data_quality" / FAILING_KEYS).exists() is reviewed
