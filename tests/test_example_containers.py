"""The text and the forecast example in containers: the same outcomes as outside of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from support import quick_python, small_project
from support.loopback import Answer, Asked, listening

pytestmark = pytest.mark.docker
EXAMPLES = small_project.ROOT / "examples"


def outcomes(folder: Path, out: str) -> dict[str, Any]:
    found = json.loads((folder / out / "record.json").read_text())
    return {o["check"]: o.get("evidence") for s in found["suites"] for o in s["outcomes"]}


@pytest.mark.parametrize("name", [pytest.param("topics", marks=pytest.mark.exhaustive), "late_flights"])
def test_an_example_passes_in_containers_as_it_does_outside(name: str, tmp_path: Path) -> None:
    ignore = shutil.ignore_patterns(".weighin", "reports", "__pycache__")
    for part in (name, "flights"):
        shutil.copytree(EXAMPLES / part, tmp_path / part, ignore=ignore)
    for closed in (tmp_path, tmp_path.parent):
        closed.chmod(0o755)  # pytest closes its folders to others, and containers run as another user
    folder = tmp_path / name
    done = quick_python.run(["build.py"], folder)
    assert done.returncode == 0, done.stderr[-3000:]
    for out, more in (("inside", ("--runner", "docker")), ("outside", ())):
        done = small_project.weighin(folder, "validate", *more, "--out", out)
        assert done.returncode == 0, done.stderr[-3000:]
    assert outcomes(folder, "inside") == outcomes(folder, "outside")


def test_a_language_model_is_asked_from_a_container_with_features_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(EXAMPLES / "topics", tmp_path / "topics", ignore=shutil.ignore_patterns(".weighin", "reports"))
    for closed in (tmp_path, tmp_path.parent):
        closed.chmod(0o755)
    folder = tmp_path / "topics"
    done = quick_python.run(["build.py"], folder)
    assert done.returncode == 0, done.stderr[-3000:]
    table = pd.read_parquet(folder / "data/holdout.parquet")
    known = dict(zip(table["question"], table["passage"], strict=True))

    def reply(asked: Asked) -> Answer:
        text = known[json.loads(asked.body)["messages"][-1]["content"]]
        return Answer(body=json.dumps({"choices": [{"message": {"content": text}}]}).encode())

    contract = folder / "model_contract.yaml"
    given = "  target: passage\n  candidate: {endpoint: {model: m, prompt: '{question}'}}\n"
    contract.write_text(contract.read_text().replace("  target: passage\n", given))
    monkeypatch.setenv("WEIGHIN_ENDPOINT_NETWORK", "host")  # the server is on this machine's loopback
    with listening(reply) as url:
        monkeypatch.setenv("WEIGHIN_CANDIDATE_URL", url)
        done = small_project.weighin(folder, "validate", "--runner", "docker", "--out", "inside")
    assert done.returncode == 0, done.stderr[-3000:]
    assert outcomes(folder, "inside")["performance/exact_match"]["estimate"] == 1
