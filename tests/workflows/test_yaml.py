"""What every workflow file must hold, whatever it does; the mistakes are those that others have made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / ".github/workflows"
FILES = sorted(FOLDER.glob("*.yml"))
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def load(path: Path) -> dict[str, Any]:
    """The file, with `on` as a key (YAML 1.1 reads it as true)."""
    value = yaml.safe_load(path.read_text())
    value["on"] = value.pop(True)
    return value


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in load(path)["jobs"].values() for step in job.get("steps", [])]


every_file = pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)


def test_the_workflows_are_those_that_the_readme_names() -> None:
    assert [p.name for p in FILES] == ["ci.yml", "promote.yml", "pull-request.yml", "release.yml", "validate.yml"]


@every_file
def test_every_action_is_pinned_to_a_commit_with_its_version(path: Path) -> None:
    for line in path.read_text().splitlines():
        if "uses:" in line and not line.lstrip().startswith("#") and "./.github/" not in line:
            assert PINNED.search(line), line


@every_file
def test_permissions_are_none_at_the_top_and_have_a_reason_in_each_job(path: Path) -> None:
    assert load(path)["permissions"] == {}
    for name, job in load(path)["jobs"].items():
        assert job["permissions"] == {"contents": "read"}, name
    for line in path.read_text().splitlines():
        if re.match(r" +contents: read", line):
            assert "# to " in line, line


@every_file
def test_no_expression_stands_in_a_script(path: Path) -> None:
    for step in steps(path):
        assert "${{" not in step.get("run", ""), step["name"]


@every_file
def test_nothing_hides_a_failure(path: Path) -> None:
    text = path.read_text()
    assert "continue-on-error" not in text
    assert "|| true" not in text


@every_file
def test_no_secret_is_inherited_and_no_stranger_gets_a_token(path: Path) -> None:
    text = path.read_text()
    assert "secrets: inherit" not in text
    assert "pull_request_target" not in text
    assert "ubuntu-latest" not in text
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@every_file
def test_every_job_with_steps_has_a_time_limit_and_every_step_a_name(path: Path) -> None:
    for name, job in load(path)["jobs"].items():
        if "steps" in job:
            assert "timeout-minutes" in job, name
            assert all(step.get("name") for step in job["steps"]), name


@pytest.mark.parametrize("name", ["validate.yml", "promote.yml"])
def test_every_input_and_secret_says_what_it_is(name: str) -> None:
    call = load(FOLDER / name)["on"]["workflow_call"]
    for kind in ("inputs", "secrets"):
        for key, value in call[kind].items():
            assert value["description"].endswith("."), key
            assert re.fullmatch(r"[a-z]+(-[a-z]+)*", key), key
            assert kind == "secrets" or "default" in value or value["required"], key


def test_the_gate_runs_always_and_needs_every_other_job() -> None:
    jobs = load(FOLDER / "validate.yml")["jobs"]
    assert jobs["gate"]["if"] == "always()"
    assert set(jobs["gate"]["needs"]) == set(jobs) - {"gate"}


def test_registry_secrets_reach_the_resolving_job_and_no_other() -> None:
    jobs = load(FOLDER / "validate.yml")["jobs"]
    assert [name for name, job in jobs.items() if "secrets." in str(job)] == ["resolve"]


def test_a_release_promotes_only_what_passed() -> None:
    promote = load(FOLDER / "release.yml")["jobs"]["promote"]
    assert "needs.validate.result == 'success'" in promote["if"]
    assert "needs.validate.outputs.verdict == 'passed'" in promote["if"]
    assert "!cancelled()" in promote["if"]


def test_promotions_of_one_model_wait_for_each_other() -> None:
    concurrency = load(FOLDER / "promote.yml")["jobs"]["promote"]["concurrency"]
    assert concurrency == {"group": "weighin-promote-${{ inputs.model }}", "queue": "max"}


def test_the_name_of_the_check_is_the_one_that_the_readme_says() -> None:
    assert "validate" in load(FOLDER / "pull-request.yml")["jobs"]
    assert "name" not in load(FOLDER / "validate.yml")["jobs"]["gate"]
    assert "`validate / gate`" in (FOLDER.parents[1] / "README.md").read_text()
