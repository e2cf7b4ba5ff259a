"""Which models of a repository a change may concern, and what the one required check of monorepo.yml demands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from support import workflow_step
from support.act import GIT
from support.workflow_step import StepResult

MODELS = ("a", "b", "c")


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run([*GIT, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


class Repository:
    """A repository of three models with one commit, to be changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        git(folder, "init", "-q", "-b", "main")
        for name in MODELS:
            self.write(f"models/{name}/model_contract.yaml", "version: 1\n")
            self.write(f"models/{name}/data.csv", "x\n")
        self.write("lib/features.py", "")
        self.before = self.commit()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self) -> str:
        git(self.folder, "add", "-A")
        git(self.folder, "commit", "-q", "--allow-empty", "-m", "as it is")
        return git(self.folder, "rev-parse", "HEAD")

    def which(self, **given: str) -> StepResult:
        environment = {"CONTRACTS": "models/*/model_contract.yaml", "IGNORED": "", "EVERYTHING": "false", "TRAIN": ""}
        environment |= {"BEFORE": self.before, "GITHUB_STEP_SUMMARY": str(self.folder / "summary")}
        script = workflow_step.named("monorepo.yml", "which")["run"]
        return workflow_step.run(self.folder, script, {}, environment | given)

    def concerned(self, **given: str) -> list[str]:
        """Names of the models that are validated after a commit of what was written."""
        self.commit()
        result = self.which(**given)
        assert result.code == 0, result.printed
        return [model["name"] for model in json.loads(result.outputs["models"])]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


ALL = [f"models-{name}" for name in MODELS]


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ("models/b/data.csv", ["models-b"]),
        ("models/b/deep/er/train.py", ["models-b"]),
        ("lib/features.py", ALL),
        (".github/workflows/weigh-in.yml", ALL),
        ("README.md", ALL),
        ("models/README.md", ALL),
        ("docs/a.md", []),
    ],
)
def test_a_model_is_left_out_only_where_nothing_of_it_may_have_changed(
    changed: str, names: list[str], repository: Repository
) -> None:
    repository.write(changed, "changed\n")
    assert repository.concerned(IGNORED="docs") == names


def test_a_file_that_is_as_before_is_no_change(repository: Repository) -> None:
    repository.write("models/b/data.csv", "y\n")
    repository.commit()
    repository.write("models/b/data.csv", "x\n")
    assert repository.concerned() == []


@pytest.mark.parametrize("path", ["../b/data.csv", '"\\x2e\\x2e/b/data.csv"', '"\\u002E\\u002e/b/data.csv"'])
def test_a_contract_that_reaches_beyond_its_folder_is_always_concerned(path: str, repository: Repository) -> None:
    repository.write("models/a/model_contract.yaml", f"data: {{holdout: {{path: {path}}}}}\n")
    repository.before = repository.commit()
    repository.write("models/c/data.csv", "y\n")
    assert repository.concerned() == ["models-a", "models-c"]


def test_a_link_may_lead_into_the_folder_of_another_model(repository: Repository) -> None:
    (repository.folder / "models/a/0.csv").symlink_to("../b/data.csv")
    # So many files that the list of them goes on when the link was found.
    for number in range(800):
        (repository.folder / f"models/a/{number:0100}.txt").touch()
    repository.before = repository.commit()
    repository.write("models/b/data.csv", "y\n")
    assert repository.concerned() == ["models-a", "models-b"]


def test_a_module_of_another_repository_counts_whatever_gitmodules_says(repository: Repository) -> None:
    git(repository.folder, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},models/a/library")
    repository.write(".gitmodules", '[submodule "l"]\n\tpath = models/a/library\n\turl = ./l\n\tignore = all\n')
    git(repository.folder, "add", ".gitmodules")
    git(repository.folder, "commit", "-q", "-m", "a module")
    repository.before = git(repository.folder, "rev-parse", "HEAD")
    git(repository.folder, "update-index", "--cacheinfo", f"160000,{'2' * 40},models/a/library")
    git(repository.folder, "commit", "-q", "-m", "another commit of it")
    assert [m["name"] for m in json.loads(repository.which().outputs["models"])] == ["models-a"]


@pytest.mark.parametrize("before", ["", "0" * 40, "main~9"])
def test_without_a_commit_before_every_model_is_validated(before: str, repository: Repository) -> None:
    assert repository.concerned(BEFORE=before) == ALL


def test_every_model_is_validated_where_that_is_asked_for(repository: Repository) -> None:
    assert repository.concerned(EVERYTHING="true") == ALL


def test_each_model_has_its_own_training(repository: Repository) -> None:
    result = repository.which(EVERYTHING="true", TRAIN="python3 {folder}/train.py --out {folder}")
    assert [m["train"] for m in json.loads(result.outputs["models"])] == [
        f"python3 models/{name}/train.py --out models/{name}" for name in MODELS
    ]


@pytest.mark.parametrize(
    ("files", "pattern", "says"),
    [
        ((), "none/*/model_contract.yaml", "names no file"),
        (("model_contract.yaml",), "model_contract.yaml", "lies at the root"),
        (("models/a b/model_contract.yaml",), "models/*/model_contract.yaml", "other characters"),
        (("models/$(touch owned)/model_contract.yaml",), "models/*/model_contract.yaml", "other characters"),
        (("models-a/model_contract.yaml",), "**/model_contract.yaml", "the same name models-a"),
        (("models/a/x/model_contract.yaml",), "models/**/model_contract.yaml", "holds the folder"),
    ],
)
def test_contracts_that_cannot_be_told_apart_are_refused(
    files: tuple[str, ...], pattern: str, says: str, repository: Repository
) -> None:
    for name in files:
        repository.write(name, "version: 1\n")
    repository.commit()
    result = repository.which(CONTRACTS=pattern)
    assert (result.code, result.outputs) == (1, {})
    assert says in result.printed
    assert not (repository.folder / "owned").exists()


@pytest.mark.parametrize("ignored", ["models", "models/", "models/a", ".", "..", "docs/..", ":(top)", "/", "*"])
def test_what_is_ignored_cannot_hold_a_model(ignored: str, repository: Repository) -> None:
    result = repository.which(IGNORED=ignored)
    assert (result.code, result.outputs) == (1, {})
    assert "The input ignored" in result.printed


ONE = '[{"name":"a","contract":"a/c.yaml","train":""}]'


@pytest.mark.parametrize(
    ("said", "models", "ended", "code"),
    [
        ("success", ONE, "success", 0),
        ("success", "[]", "skipped", 0),
        ("success", ONE, "failure", 1),
        ("success", ONE, "skipped", 1),
        ("success", ONE, "cancelled", 1),
        ("success", "[]", "failure", 1),
        ("success", "", "skipped", 1),
        ("failure", "", "skipped", 1),
        ("failure", "[]", "skipped", 1),
    ],
)
def test_the_required_check_is_green_only_where_every_concerned_model_passed(
    said: str, models: str, ended: str, code: int, tmp_path: Path
) -> None:
    name = "Demand that every model that the change may concern has passed"
    given = {"SAID": said, "MODELS": models, "ENDED": ended, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    assert workflow_step.run(tmp_path, workflow_step.named("monorepo.yml", name)["run"], {}, given).code == code
