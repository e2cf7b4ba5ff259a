"""A model whose library the image lacks: asked in an environment of its own, and in an image made FROM ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support import load_work
from weighin.model.answers import read_predictions
from weighin.runner import docker, environments, sandbox
from weighin.runner.plan import Answers, Plan

pytestmark = pytest.mark.docker
ROOT = Path(__file__).resolve().parents[2]
IMAGE, OURS = "weighin:local", "weighin-lightgbm:test"
PACKAGES = "mlflow==3.17.2\nlightgbm==4.6.0\npandas==2.3.3\nscikit-learn==1.7.2\nnumpy==2.3.5\n"
TRAIN = """
import sys
import lightgbm, mlflow, numpy as np, pandas as pd
rng = np.random.default_rng(0)
x = pd.DataFrame({"a": rng.normal(size=800), "c": pd.Categorical(rng.choice(["x", "y", "z"], 800))})
y = (x.a + (x.c == "x") + rng.normal(size=800) > 0).astype(int)
model = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(x, y), 20)
mlflow.lightgbm.save_model(model, sys.argv[1], pip_requirements=sys.argv[2])
rows = pd.DataFrame({"a": [-2.0, 0.0, 2.0], "c": pd.Categorical(["y", "x", "x"], ["x", "y", "z"])})
print(model.predict(rows).tolist())
"""


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with a LightGBM model that was fitted on a category, and three rows with the category as text."""
    folder = tmp_path_factory.mktemp("model")
    for closed in (folder, folder.parent):
        closed.chmod(0o755)  # pytest closes its folders to others, and containers run as another user
    (folder / "requirements.txt").write_text(PACKAGES)

    def build(listed: Path, made: Path, completed: bool) -> str:
        script = str(ROOT / "weighin/runner/prepare.py")
        done = subprocess.run([sys.executable, "-I", script, str(listed), str(made)], timeout=600, check=False)
        return "" if done.returncode == 0 else "not built"

    os.environ[environments.PLACE] = str(folder / "kept")
    made, problem = environments.environment(folder, "test", build)
    assert problem == ""
    candidate = folder / "work/models/candidate"
    candidate.parent.mkdir(parents=True)
    command = [str(environments.interpreter(made)), "-c", TRAIN, str(candidate), str(folder / "requirements.txt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    (folder / "right.txt").write_text(done.stdout.strip().splitlines()[-1])
    (folder / "work/features").mkdir()
    pq.write_table(pa.table({"a": [-2.0, 0.0, 2.0], "c": ["y", "x", "x"]}), folder / "work/features/holdout.parquet")
    load_work.resolved(folder / "work")
    yield folder
    del os.environ[environments.PLACE]


def asked(folder: Path, image: str, own: tuple[str, ...]) -> np.ndarray:
    """What the model answers in containers of an image."""
    plan = Plan(("performance",), ("candidate",), Answers((0,)), 300, 2000, None, own_environments=own)
    plan.write(folder / "work/plan.json")
    docker.predict(image, folder / "work")
    return read_predictions(folder / "work/predictions/candidate/holdout.arrow", 3, 1, "")


def test_a_model_is_asked_with_what_it_declares_and_then_without_a_network(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = json.loads((work / "right.txt").read_text())
    assert asked(work, IMAGE, ("candidate",)) == pytest.approx(right, abs=1e-12)
    assert environments.noted(work / "work/predictions/candidate")["lightgbm"] == "4.6.0"
    monkeypatch.setenv("WEIGHIN_PREPARE_NETWORK", "none")
    assert asked(work, IMAGE, ("candidate",)) == pytest.approx(right, abs=1e-12)


def test_without_it_the_missing_library_is_named(work: Path) -> None:
    plan = Plan(("performance",), ("candidate",), Answers((0,)), 300, 2000, None)
    plan.write(work / "work/plan.json")
    docker.predict(IMAGE, work / "work")
    assert "no module lightgbm is installed" in (work / "work/predictions/candidate.problem").read_text()


def test_an_image_of_one_s_own_is_built_as_the_documentation_says(work: Path) -> None:
    (recipe,) = re.findall(r"```dockerfile\n(.*?)```", (ROOT / "docs/reference/models.md").read_text(), re.DOTALL)
    assert "lightgbm==4.6.0" in recipe
    # A mirror has certificates, which go in as a secret; otherwise the recipe is as it stands there.
    mounts = "--mount=type=secret,id=conf,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca"
    secrets = []
    for name, path in (("conf", "/etc/pip.conf"), ("ca", "/etc/ssl/certs/ca-certificates.crt")):
        if Path(path).is_file():
            secrets += ["--secret", f"id={name},src={path}"]
    text = recipe.replace("RUN pip", f"RUN {mounts} PIP_CERT=/run/secrets/ca pip") if len(secrets) == 4 else recipe
    (work / "Dockerfile").write_text(text)
    client = "docker" if sandbox.docker("buildx", "version").returncode == 0 else "/usr/bin/docker"
    command = [client, "build", "--network", "host", *secrets, "--tag", OURS, "--file", str(work / "Dockerfile")]
    done = subprocess.run(
        [*command, str(work / "work/features")],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
    )
    try:
        assert done.returncode == 0, done.stderr[-2000:]
        right = json.loads((work / "right.txt").read_text())
        assert asked(work, OURS, ()) == pytest.approx(right, abs=1e-12)
    finally:
        sandbox.docker("image", "rm", "--force", OURS)
