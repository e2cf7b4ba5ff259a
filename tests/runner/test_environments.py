"""An environment of what a model declares: what is refused, what is built once, and what is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from weighin.runner import environments, prepare
from weighin.runner.environments import environment, interpreter, note, noted
from weighin.runner.prepare import Refused, asked, complete, said


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(environments.PLACE, str(tmp_path / "kept"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model/requirements.txt").write_text("mlflow==3.17.2\n")
    return tmp_path / "model"


def built(listed: Path, folder: Path, completed: bool) -> str:
    """Build nothing that takes time."""
    (folder / "env/bin").mkdir(parents=True)
    (folder / "env/bin/python").write_text("")
    (folder / "packages.json").write_text(json.dumps({"mlflow": "3.17.2", "Jane Doe": "1", "six": [1], "a": "1 2"}))
    return ""


@pytest.mark.parametrize(
    "line",
    [
        "--index-url http://127.0.0.1/simple",
        "-r /etc/passwd",
        "-e .",
        "./wheels/a.whl",
        "a @ https://127.0.0.1/a.whl",
        "git+https://127.0.0.1/a",
        "a==1 --hash=sha256:0",
        "a==1; os_name == 'x' @ y",
        "$(touch x)",
    ],
)
def test_what_is_no_package_with_a_version_is_refused(line: str) -> None:
    with pytest.raises(Refused, match=r"line 2 of requirements.txt"):
        asked(f"mlflow==3.1\n{line}\n")


def test_packages_are_taken_as_they_are_declared() -> None:
    text = "# pinned\nmlflow==3.1\n\nscikit-learn[x]>=1.2, <2 # why\nnumpy; python_version < '4'\npandas~=2.1\n"
    assert asked(text) == ["mlflow==3.1", "scikit-learn[x]>=1.2, <2", "numpy; python_version < '4'", "pandas~=2.1"]
    assert complete(["mlflow==3.1", "PyArrow"]) == ["mlflow==3.1", "PyArrow", "pandas"]


def test_uv_gets_no_variable_that_is_not_about_packages(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("[global]\nindex-url = https://mirror.example/simple\n")
    given = {"PATH": "/bin", "MLFLOW_TRACKING_TOKEN": "secret", "AWS_SECRET_ACCESS_KEY": "secret", "UV_OFFLINE": "1"}
    found = prepare.environment(given, tmp_path / "pip.conf")
    assert "secret" not in found.values()
    assert found["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert (found["PATH"], found["UV_OFFLINE"], found["UV_PYTHON_DOWNLOADS"]) == ("/bin", "1", "never")


def test_why_only_wheels_are_taken_is_said() -> None:
    text = "\x1b[31merror\x1b[0m: Because foo==1 has no usable wheels\n  and you require foo"
    assert said(text) == (
        "error: Because foo==1 has no usable wheels and you require foo; only wheels are taken, since building a "
        "package would run its code"
    )
    assert said("") == "it said nothing"


def test_an_environment_is_built_once_and_then_used(model: Path) -> None:
    calls: list[bool] = []

    def build(listed: Path, folder: Path, completed: bool) -> str:
        calls.append(completed)
        return built(listed, folder, completed)

    first, problem = environment(model, "python 3.11", build)
    assert problem == ""
    assert environment(model, "python 3.11", build) == (first, "")
    assert interpreter(first).is_file()
    # Another interpreter, other packages, or only what is declared: another environment.
    assert environment(model, "python 3.12", build)[0] != first
    assert environment(model, "python 3.11", build, complete=False)[0] != first
    (model / "requirements.txt").write_text("mlflow==3.17.1\n")
    assert environment(model, "python 3.11", build)[0] != first
    assert calls == [True, True, False, True]


@pytest.mark.integration  # `rm` removes what is left
def test_one_that_could_not_be_built_leaves_nothing(model: Path) -> None:
    def fails(listed: Path, folder: Path, completed: bool) -> str:
        (folder / "half").write_text("")
        return "`python` ended with code 7: the packages that the model declares cannot be resolved: no wheel"

    _, problem = environment(model, "python", fails)
    assert problem == "the packages that the model declares cannot be resolved: no wheel"
    assert [p.name for p in environments.home().iterdir() if p.is_dir()] == []
    assert environment(model, "python", built)[1] == ""


def test_a_model_that_declares_nothing_has_none(model: Path, tmp_path: Path) -> None:
    (model / "requirements.txt").unlink()
    assert environment(model, "python", built)[1] == "the model declares no requirements.txt"
    (tmp_path / "elsewhere.txt").write_text("six")
    os.symlink(tmp_path / "elsewhere.txt", model / "requirements.txt")
    assert environment(model, "python", built)[1] == "the model declares no requirements.txt"


def test_only_so_many_are_kept(model: Path) -> None:
    for number in range(environments.KEPT + 3):
        (model / "requirements.txt").write_text(f"six=={number}\n")
        assert environment(model, "python", built)[1] == ""
    assert len([p for p in environments.home().iterdir() if p.is_dir()]) == environments.KEPT


def test_long_files_and_lines_and_passwords() -> None:
    for text in ("six\n" * 501, "six" + " " * 300):
        with pytest.raises(Refused, match="more than 500 lines, or 300 letters in one"):
            asked(text)
    assert said("error: https://user:secret@host/simple/ failed") == "error: https://host/simple/ failed"


def test_what_it_holds_is_noted_beside_the_predictions(model: Path, tmp_path: Path) -> None:
    folder, _ = environment(model, "python", built)
    (tmp_path / "predictions").mkdir()
    note(tmp_path / "predictions/candidate", interpreter(folder))
    assert noted(tmp_path / "predictions/candidate") == {"mlflow": "3.17.2"}
    assert noted(tmp_path / "predictions/champion") == {}
