"""What every workflow file must hold, whatever it does; the mistakes are those that others have made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from weighin.cli.trust import PREDICATE
from weighin.record.attestation import RECORD

FOLDER = Path(__file__).resolve().parents[2] / ".github/workflows"
FILES = sorted(FOLDER.glob("*.yml"))
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")

ATTESTS = {"id-token": "write", "attestations": "write"}
MORE: dict[tuple[str, str], dict[str, str]] = {
    ("attest.yml", "attest"): ATTESTS,
    ("release.yml", "attest"): ATTESTS,
    ("comment.yml", "comment"): {"pull-requests": "write"},
    ("release-note.yml", "release-note"): {"contents": "write"},
}
"""Jobs that may do more than read the repository: file and job, and what."""


def load(path: Path) -> dict[str, Any]:
    """The file, with `on` as a key (YAML 1.1 reads it as true)."""
    value = yaml.safe_load(path.read_text())
    value["on"] = value.pop(True)
    return value


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in load(path)["jobs"].values() for step in job.get("steps", [])]


every_file = pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)


def test_the_workflows_are_those_that_the_readme_names() -> None:
    assert [p.name for p in FILES] == [
        "attest.yml",
        "ci.yml",
        "comment.yml",
        "promote.yml",
        "pull-request.yml",
        "release-note.yml",
        "release.yml",
        "validate.yml",
    ]


@every_file
def test_every_action_is_pinned_to_a_commit_with_its_version(path: Path) -> None:
    for line in path.read_text().splitlines():
        if "uses:" in line and not line.lstrip().startswith("#") and "./.github/" not in line:
            assert PINNED.search(line), line


@every_file
def test_permissions_are_none_at_the_top_and_have_a_reason_in_each_job(path: Path) -> None:
    assert load(path)["permissions"] == {}
    for name, job in load(path)["jobs"].items():
        assert job["permissions"] == {"contents": "read"} | MORE.get((path.name, name), {}), name
    for line in path.read_text().splitlines():
        if re.match(r" +[a-z-]+: (read|write)\b", line):
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


@pytest.mark.parametrize("name", ["validate.yml", "attest.yml", "promote.yml"])
def test_every_input_and_secret_says_what_it_is(name: str) -> None:
    call = load(FOLDER / name)["on"]["workflow_call"]
    for kind in ("inputs", "secrets"):
        for key, value in call.get(kind, {}).items():
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


def test_only_the_job_that_attests_can_prove_who_it_is_and_it_has_no_secret() -> None:
    allowed = [(p.name, name) for p in FILES for name, job in load(p)["jobs"].items() if "id-token" in str(job)]
    assert set(allowed) == {key for key, more in MORE.items() if more is ATTESTS}
    assert "secrets." not in (FOLDER / "attest.yml").read_text()


def test_what_is_attested_is_the_record_that_was_judged_again() -> None:
    done = load(FOLDER / "attest.yml")["jobs"]["attest"]["steps"]
    names = [step.get("id") or step["name"] for step in done]
    again = next(step for step in done if "weighin predicate reports" in step.get("run", ""))
    assert names.index(again["name"]) < names.index("attest")
    attest = next(step for step in done if step.get("id") == "attest")
    assert attest["with"] == {
        "subject-path": "reports/record.json",
        "predicate-type": RECORD,
        "predicate-path": f"reports/{PREDICATE}",
    }


def test_a_release_that_wants_an_attestation_moves_nothing_without_it() -> None:
    jobs = load(FOLDER / "release.yml")["jobs"]
    assert jobs["promote"]["needs"] == ["validate", "attest"]
    assert "(vars.WEIGHIN_ATTEST != 'true' || needs.attest.result == 'success')" in jobs["promote"]["if"]
    for words in ("needs.validate.result == 'success'", "needs.validate.outputs.verdict == 'passed'", "!cancelled()"):
        assert words in jobs["attest"]["if"]
    assert "attest.yml@{1}" in jobs["promote"]["with"]["attested-by"]
    run = [step.get("run", "") for step in load(FOLDER / "promote.yml")["jobs"]["promote"]["steps"]]
    assert any('--attestation reports/record.sigstore.json --issuer "$ISSUER" --workflow' in text for text in run)


def test_promotions_of_one_model_wait_for_each_other() -> None:
    concurrency = load(FOLDER / "promote.yml")["jobs"]["promote"]["concurrency"]
    assert concurrency == {"group": "weighin-promote-${{ inputs.model }}", "queue": "max"}


def test_the_name_of_the_check_is_the_one_that_the_readme_says() -> None:
    assert "validate" in load(FOLDER / "pull-request.yml")["jobs"]
    assert "name" not in load(FOLDER / "validate.yml")["jobs"]["gate"]
    assert "`validate / gate`" in (FOLDER.parents[1] / "README.md").read_text()
