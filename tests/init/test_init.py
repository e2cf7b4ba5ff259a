"""From a table and a model to a contract that the model passes; and a repository of one's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.linear_model import LogisticRegression

from support import quick_python
from support.small_project import weighin
from weighin.cli import main
from weighin.contract.reading import read_contract
from weighin.errors import NotEvaluated
from weighin.init.project import _train

ROOT = Path(__file__).resolve().parents[2]
ROWS = 1500


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train, holdout and a model, as a team has them."""
    folder = tmp_path_factory.mktemp("team")
    for seed, name in enumerate(("train", "holdout")):
        rows(seed).to_parquet(folder / f"{name}.parquet", index=False)
    train = rows(0)
    model = LogisticRegression().fit(train[["a", "b"]], train["churned"])
    save(model, train, folder / "model")
    return folder


def rows(seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(2, ROWS))
    churned = np.where(a + b + random.logistic(size=ROWS) > 0, "yes", "no")
    return pd.DataFrame({"customer_id": np.arange(ROWS), "a": a, "b": b, "churned": churned})


def save(model: LogisticRegression, train: pd.DataFrame, folder: Path, ask: str = "predict_proba") -> None:
    mlflow.sklearn.save_model(
        model, folder, input_example=train[["a", "b"]].head(3), pyfunc_predict_fn=ask, pip_requirements=["mlflow"]
    )


@pytest.fixture
def team(made: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    subprocess.run(["cp", "-r", f"{made}/.", str(tmp_path)], check=True, timeout=60)
    return tmp_path


@pytest.fixture(scope="module")
def drafted(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with the contract that `weighin init --yes` drafts."""
    folder = tmp_path_factory.mktemp("drafted")
    subprocess.run(["cp", "-r", f"{made}/.", str(folder)], check=True, timeout=60)
    done = weighin(folder, "init", "--yes", "--no-load", "--data", "holdout.parquet", "--model", "model", *TRAINING)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


TRAINING = ("--training", "train.parquet")


def test_what_was_drafted_is_what_the_data_and_the_model_are(drafted: Path) -> None:
    contract = read_contract(drafted / "model_contract.yaml").contract
    assert (contract.model.task, contract.model.target, contract.model.positive) == ("binary", "churned", "yes")
    assert contract.features == ("a", "b")
    assert contract.data.columns["customer_id"].role == "key"
    assert contract.gates.names == ("data_quality", "performance", "drift")
    assert contract.gates.performance is not None
    assert [c.metric for c in contract.gates.performance.checks] == ["roc_auc", "log_loss"] * 2
    text = (drafted / "model_contract.yaml").read_text()
    # What no data answer is asked, and not promised.
    assert "# slices:" in text
    assert "# fairness:" in text
    assert "an equal candidate passes with" in text


def test_the_draft_passes_its_check_and_the_model_passes_the_draft_as_a_first_release(drafted: Path) -> None:
    assert weighin(drafted, "contract", "check").returncode == 0
    assert weighin(drafted, "contract", "sync", "--check").returncode == 0
    done = weighin(drafted, "validate", "--candidate", "model")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED" in done.stderr
    assert "First release: compared with nothing." in done.stderr


def test_a_model_that_learnt_nothing_fails_the_draft(drafted: Path) -> None:
    train = rows(0)
    shuffled = train["churned"].sample(frac=1, random_state=0).to_numpy()
    save(LogisticRegression().fit(train[["a", "b"]], shuffled), train, drafted / "bad")
    done = weighin(drafted, "validate", "--candidate", "bad", "--champion", "model", "--suite", "performance")
    left = json.loads((drafted / "reports/performance/outcomes.json").read_text())["outcomes"]
    found = {o["check"]: o["status"] for o in left}
    assert found["performance/roc_auc"] == found["performance/roc_auc/vs-champion"] == "failed"
    assert done.returncode != 0


def test_a_contract_that_is_there_is_not_overwritten(team: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(team)
    (team / "model_contract.yaml").write_text("mine")
    assert main(["init", "--yes", "--data", "holdout.parquet", "--model", "model"]) == 4
    assert "not overwritten" in capsys.readouterr().err
    assert (team / "model_contract.yaml").read_text() == "mine"
    suite = team / "great_expectations/expectations/contract.json"
    suite.parent.mkdir(parents=True)
    suite.write_text("mine")
    assert main(["init", "--yes", "--data", "holdout.parquet", "--contract", "other.yaml"]) == 4
    assert suite.read_text() == "mine"
    assert not (team / "other.yaml").exists()


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda f: (f / "model/model.skops").write_bytes(b"x"), "the model does not load"),
        (lambda f: rows(1).drop(columns="b").to_parquet(f / "holdout.parquet"), "the signature requires it"),
        (lambda f: (f / "model/MLmodel").unlink(), "no MLmodel file"),
        (lambda f: rows(1).assign(churned="no").to_parquet(f / "holdout.parquet"), "not two different values"),
    ],
    ids=["does not load", "wants other columns", "no MLmodel", "one label"],
)
def test_what_stops_a_draft_is_a_sentence_and_nothing_is_written(break_it, said: str, team: Path) -> None:  # type: ignore[no-untyped-def]
    break_it(team)
    done = weighin(
        team, "init", "--yes", "--no-load", "--data", "holdout.parquet", "--model", "model", "--target", "churned"
    )
    assert done.returncode in (4, 7), done.stdout + done.stderr
    assert said in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not (team / "model_contract.yaml").exists()
    assert [p.name for p in team.iterdir() if p.name.startswith((".weighin-init", ".model_contract"))] == []


def test_without_a_terminal_nothing_is_asked_and_without_a_model_nothing_of_one_is_promised(team: Path) -> None:
    done = weighin(team, "init", "--data", "holdout.parquet", "--target", "churned")
    assert done.returncode == 0, done.stderr
    contract = read_contract(team / "model_contract.yaml").contract
    assert contract.gates.names == ("data_quality",)
    assert "#     - {metric: roc_auc, at_least: ...}" in (team / "model_contract.yaml").read_text()


def test_on_a_terminal_what_was_guessed_is_asked(team: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return "customer_id" if "depend" in question else ""

    monkeypatch.chdir(team)
    monkeypatch.setattr("builtins.input", answer)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    assert main(["init", "--data", "holdout.parquet", "--target", "churned", "--key", ""]) == 0
    assert len(asked) == 3
    assert read_contract(team / "model_contract.yaml").contract.group == "customer_id"


INIT = """
import runpy
import sys
from types import SimpleNamespace

from weighin.cli import main
from weighin.init import project
from weighin.runner import forked


def forked_training(command, **_):
    assert command == [sys.executable, "scripts/train.py"], command

    def call():
        sys.argv = command[1:]
        try:
            runpy.run_path("scripts/train.py", run_name="__main__")
        except SystemExit as end:
            return end.code or 0
        return 0

    return SimpleNamespace(returncode=forked.wait(forked.fork(call, 2), 300), stdout=b"", stderr=b"")


project.subprocess.run = forked_training
sys.exit(main(["init", *sys.argv[1:]]))
"""
"""`weighin init` with a training that imports nothing anew."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of one's own, with the example that it comes with."""
    folder = tmp_path_factory.mktemp("own") / "shop"
    engine = ("--engine", f"acme/weigh-in@{'1' * 40}", "--image", f"ghcr.io/acme/weigh-in@sha256:{'2' * 64}")
    done = quick_python.run(["-c", INIT, "--yes", "--no-load", "--project", "shop", *engine], folder.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_projects_training_is_a_program_of_its_own_and_what_it_prints_when_it_fails_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    training = Path("scripts/train.py")
    training.parent.mkdir()
    training.write_text("import os, sys\nopen('ran', 'w').write(f'{sys.executable} {os.getpid()}')\n")
    _train()
    program, _, process = Path("ran").read_text().partition(" ")
    assert program == sys.executable
    assert int(process) != os.getpid()
    training.write_text("print('the rows are empty')\nraise SystemExit(3)\n")
    with pytest.raises(NotEvaluated, match="the training ended with code 3, and printed ") as raised:
        _train()
    kept = str(raised.value).partition("and printed ")[2].split()[0].rstrip(".,:")
    assert "the rows are empty" in Path(kept).read_text()


def test_a_project_is_small_and_holds_no_source_of_the_engine(project: Path) -> None:
    files = [p.relative_to(project).as_posix() for p in project.rglob("*") if p.is_file()]
    files = [f for f in files if not f.startswith(".weighin/")]
    assert len(files) < 25
    assert not any(f.startswith("weighin/") for f in files)
    assert "@" + "ENGINE@" not in "".join((project / f).read_text(errors="ignore") for f in files)
    for needed in (".github/workflows/pull-request.yml", "Dockerfile", "Makefile", "README.md", "scripts/train.py"):
        assert needed in files


@pytest.mark.exhaustive
def test_make_validate_in_a_project_works_at_once(project: Path) -> None:
    beside = Path(sys.executable).parent
    done = subprocess.run(
        ["make", "validate", f"WEIGHIN={beside / 'weighin'}", "INSTALLED="],
        cwd=project,
        env={**os.environ, "PATH": f"{beside}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASSED: shop version 2 may be released as the first" in " ".join(done.stderr.split())


def test_the_doctor_finds_nothing_missing_in_the_files_of_a_project(project: Path) -> None:
    done = weighin(project, "doctor", "--json")
    findings = yaml.safe_load(done.stdout)["findings"]
    assert [f for f in findings if f["status"] == "missing"] == []
    assert "codeowners" in {f["check"] for f in findings if f["status"] == "ok"}


def test_the_workflows_of_a_project_are_valid_and_pinned(project: Path) -> None:
    for name in ("pull-request.yml", "release.yml"):
        path = project / ".github/workflows" / name
        used = [job["uses"] for job in yaml.safe_load(path.read_text())["jobs"].values()]
        assert all(u.endswith(f"@{'1' * 40}") and u.startswith("acme/weigh-in/") for u in used), used
        ran = subprocess.run(
            [Path(sys.executable).with_name("actionlint"), path],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--engine", "acme/weigh-in@v1"), "no OWNER/REPOSITORY@SHA"),
        (("--image", "ghcr.io/acme/weigh-in:latest"), "no NAME@sha256:DIGEST"),
        ((), "not empty, and nothing is overwritten"),
    ],
)
def test_a_project_that_cannot_be_is_refused(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    if not arguments:
        (tmp_path / "shop").mkdir()
        (tmp_path / "shop/mine").write_text("mine")
    done = quick_python.run(["-m", "weighin", "init", "--project", "shop", *arguments], tmp_path)
    assert done.returncode == 4
    assert said in done.stderr
    assert not (tmp_path / "shop/README.md").exists()


def test_a_model_that_answers_as_the_contract_says_is_ok(drafted: Path) -> None:
    done = weighin(drafted, "check-model", "--candidate", "model")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["model", "rows", "answers", "ok"]
    assert "5 of the holdout" in done.stdout
    assert "probabilities of 2 classes" in done.stdout


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda f: (f / "model/model.skops").write_bytes(b"x"), "the model does not load"),
        (lambda f: labels_instead(f), "the model answers labels (text, or whole numbers), and the contract says prob"),
        (lambda f: other_columns(f), "the signature requires it, and the contract has no such feature"),
        (lambda f: missing_package(f), "the model does not load, no module absent_package is installed"),
    ],
    ids=["does not load", "labels", "other columns", "missing package"],
)
def test_what_is_wrong_with_a_model_is_diagnosed(break_it, said: str, drafted: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    subprocess.run(["cp", "-r", f"{drafted}/.", str(tmp_path)], check=True, timeout=60)
    break_it(tmp_path)
    done = weighin(tmp_path, "check-model", "--candidate", "model")
    assert done.returncode in (4, 7), done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def labels_instead(folder: Path) -> None:
    train = rows(0)
    subprocess.run(["rm", "-r", str(folder / "model")], check=True, timeout=60)
    save(LogisticRegression().fit(train[["a", "b"]], train["churned"]), train, folder / "model", "predict")


def missing_package(folder: Path) -> None:
    code = (
        "import mlflow.pyfunc\n\n\nclass M(mlflow.pyfunc.PythonModel):\n    def predict(self, context, model_input):\n"
    )
    code += "        return [0.5] * len(model_input)\n\n\nmlflow.models.set_model(M())\n"
    (folder / "own.py").write_text(code)
    subprocess.run(["rm", "-r", str(folder / "model")], check=True, timeout=60)
    mlflow.pyfunc.save_model(folder / "model", python_model=str(folder / "own.py"), pip_requirements=["mlflow"])
    (saved,) = (folder / "model").rglob("own.py")
    saved.write_text("import absent_package\n" + code)


def other_columns(folder: Path) -> None:
    text = (folder / "model_contract.yaml").read_text()
    (folder / "model_contract.yaml").write_text(
        "\n".join(li for li in text.splitlines() if not li.startswith("    b: "))
    )


def test_a_contract_check_opens_the_files_that_it_names(drafted: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", f"{drafted}/.", str(tmp_path)], check=True, timeout=60)
    rows(1).assign(a="text").to_parquet(tmp_path / "holdout.parquet")
    done = weighin(tmp_path, "contract", "check")
    assert done.returncode == 4
    assert "column a holds string, and the contract says float" in done.stderr
    (tmp_path / "holdout.parquet").unlink()
    done = weighin(tmp_path, "contract", "check")
    assert done.returncode == 0
    assert "no such file: holdout.parquet" in done.stdout
