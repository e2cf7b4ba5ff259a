"""Which job measures which suites, and which jobs a run may leave out: the steps of validate.yml as they stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support import workflow_step

RESOLVE = "Fix versions, digests, files and features"
FILES = "Say whose files decide"
JOBS = ("prepare", "candidate", "resolve", "predict", "suites", "sealed")
GATE = "Judge again from the evidence"
PYTHON = 'mkdir -p reports weighin-work\nprintf %s "$VERDICT" >reports/verdict.json\n: >reports/summary.md'


def measured(folder: Path, jobs: str, suites: list[str]) -> list[dict[str, object]]:
    """What the step that resolves says: the jobs and their suites."""
    (folder / "weighin-work").mkdir()
    (folder / "weighin-work/plan.json").write_text(json.dumps({"suites": suites}))
    environment = {
        "SEALED": "false",
        "JOBS": jobs,
        "DECIDING": ".",
        "CONTRACT": "c.yaml",
        "IMAGE": "i",
        "RUNNER_TEMP": "/t",
    }
    empty = dict.fromkeys(("CANDIDATE", "CHAMPION", "MODEL_ARTIFACT", "MODEL_PATH", "MLFLOW_TRACKING_URI"), "")
    script = workflow_step.named("validate.yml", RESOLVE)["run"]
    result = workflow_step.run(folder, script, {"python3": "exit 0"}, environment | empty)
    assert result.code == 0, result.printed
    found: list[dict[str, object]] = json.loads(result.outputs["measure"])
    return found


def test_suites_that_need_a_server_have_a_machine_of_their_own(tmp_path: Path) -> None:
    assert measured(tmp_path, "merged", ["drift", "load", "payload", "shadow"]) == [
        {"name": "suites", "key": "suites", "suites": ["drift", "payload"]},
        {"name": "load", "key": "load", "suites": ["load", "shadow"]},
    ]


@pytest.mark.parametrize(("suites", "keys"), [(["drift"], ["suites"]), (["load"], ["load"])])
def test_no_job_is_started_for_nothing(suites: list[str], keys: list[str], tmp_path: Path) -> None:
    assert [job["key"] for job in measured(tmp_path, "merged", suites)] == keys


def test_every_suite_has_a_machine_of_its_own_where_that_is_asked_for(tmp_path: Path) -> None:
    assert measured(tmp_path, "separate", ["drift", "load"]) == [
        {"name": "suite drift", "key": "drift", "suites": ["drift"]},
        {"name": "suite load", "key": "load", "suites": ["load"]},
    ]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"JOBS": "one"}, "neither merged nor separate"),
        ({"JOBS": ""}, "neither merged nor separate"),
        ({"TRAIN": "python3 train.py", "TRACKING_URI": "https://mlflow.example"}, "pass one of them"),
        ({"RELEASE": "registry"}, "pass registry-key"),
        ({"RELEASE": "registry", "KEY": "k.pub", "TRACKING_URI": "https://mlflow.example"}, "no tracking-uri"),
        ({"EVENT": "pull_request_target"}, "call validate.yml on pull_request"),
    ],
)
def test_what_cannot_be_is_refused_in_the_first_step(given: dict[str, str], says: str, tmp_path: Path) -> None:
    values = {"EVENT": "push", "JOBS": "merged", "TRAIN": "", "TRACKING_URI": "", "CONTRACT": "c", "REVIEWED": ""}
    values |= {"RELEASE": "", "KEY": "", "BASE": "", "HEAD": "", "GITHUB_ENV": str(tmp_path / "env")}
    script = workflow_step.named("validate.yml", FILES)["run"]
    result = workflow_step.run(tmp_path, script, {}, values | given)
    assert result.code == 1
    assert says in result.outputs["problem"]
    assert set(result.outputs) == {"problem"}


def needs_of(
    folder: Path, jobs: str, train: str, skipped: tuple[str, ...], sealed: str = "false", release: str = ""
) -> dict[str, str]:
    """How the jobs ended, as the verdict is told."""
    results = dict.fromkeys(JOBS, "success")
    results |= dict.fromkeys(skipped, "skipped")
    environment = {"JOBS": jobs, "TRAIN": train, "SEALED": sealed, "RELEASE": release}
    environment |= {"NEEDS": json.dumps({j: {"result": r} for j, r in results.items()})}
    environment |= {"DECIDING": ".", "CONTRACT": "c.yaml", "IMAGE": "i", "RUNNER_TEMP": "/t", "VERDICT": "{}"}
    environment |= {"WEIGHIN_ATTEMPT": "1", "GITHUB_STEP_SUMMARY": str(folder / "summary")}
    empty = dict.fromkeys(("BASE", "FORK", "NOTE", "REVIEWED", "REVIEWED_BY"), "")
    result = workflow_step.run(
        folder, workflow_step.named("validate.yml", GATE)["run"], {"python3": PYTHON}, environment | empty
    )
    (call,) = [call for call in result.calls if call[0] == "python3"]
    return {job: value["result"] for job, value in json.loads(call[call.index("--needs") + 1]).items()}


ABSENT = ("candidate", "resolve", "predict", "sealed")


@pytest.mark.parametrize(
    ("jobs", "train", "skipped", "left"),
    [
        ("merged", "", ABSENT, ()),
        ("merged", "python3 train.py", ABSENT, ()),
        ("merged", "", (*ABSENT, "suites"), ("suites",)),
        ("merged", "", (*ABSENT, "prepare"), ("prepare",)),
        ("separate", "", ("candidate", "sealed"), ()),
        ("separate", "python3 train.py", ("candidate", "sealed"), ("candidate",)),
        ("separate", "", ABSENT, ("resolve", "predict")),
        ("other", "", ABSENT, ("resolve", "predict")),
    ],
)
def test_only_jobs_that_the_run_was_not_to_have_may_be_skipped(
    jobs: str, train: str, skipped: tuple[str, ...], left: tuple[str, ...], tmp_path: Path
) -> None:
    found = needs_of(tmp_path, jobs, train, skipped)
    assert tuple(job for job, result in found.items() if result == "skipped") == left
    assert found.get("prepare", "") in ("success", "skipped")
    assert "suites" in found


def test_a_sealed_release_whose_sealed_suite_did_not_run_is_told_so(tmp_path: Path) -> None:
    found = needs_of(tmp_path, "merged", "", ABSENT, sealed="true")
    assert [job for job, result in found.items() if result == "skipped"] == ["sealed"]


def test_the_sealed_rows_are_left_to_the_job_that_runs_last(tmp_path: Path) -> None:
    assert measured(tmp_path, "merged", ["drift", "sealed"]) == [
        {"name": "suites", "key": "suites", "suites": ["drift"]}
    ]


MACHINE = "Say whether this machine can judge"
TOOLS = {"docker": "echo Docker version 29", "python3": "", "jq": "", "git": ""}


@pytest.mark.parametrize(
    ("tools", "given", "says"),
    [
        ({}, {}, ""),
        ({}, {"SERVER": "https://bank.ghe.com"}, ""),
        ({"docker": "echo podman version 5.2"}, {}, "is podman"),
        ({"docker": 'test "$1" != info'}, {}, "No Docker engine answers"),
        ({"jq": None}, {}, "has no jq"),
        ({"docker": None}, {}, "has no docker"),
        ({}, {"SERVER": "https://github.bank.example"}, "GitHub Enterprise Server"),
        ({}, {"SERVER": "https://github.com.evil.example"}, "GitHub Enterprise Server"),
        ({}, {"GITEA_ACTIONS": "true"}, "Gitea and Forgejo"),
        ({}, {"FORGEJO_ACTIONS": "true"}, "Gitea and Forgejo"),
    ],
)
def test_a_machine_that_cannot_judge_is_refused_in_the_first_step(
    tools: dict[str, str | None], given: dict[str, str], says: str, tmp_path: Path
) -> None:
    present = {name: body for name, body in {**TOOLS, **tools}.items() if body is not None}
    script = workflow_step.named("validate.yml", MACHINE)["run"]
    environment = {"SERVER": "https://github.com", **given}
    result = workflow_step.run(tmp_path, script, present, environment, system=False)
    assert (result.code, set(result.outputs)) == ((1, {"problem"}) if says else (0, set())), result.printed
    assert says in result.outputs.get("problem", "")


@pytest.mark.parametrize(("result", "says"), [("success", "that hold a secret's value"), ("failure", "why it failed")])
def test_an_image_whose_name_the_platform_dropped_is_said(result: str, says: str, tmp_path: Path) -> None:
    given = {"RESULT": result, "PROBLEM": "why it failed", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    done = workflow_step.run(
        tmp_path, workflow_step.named("validate.yml", "Say why nothing was judged")["run"], {}, given
    )
    assert done.code == 1
    assert says in (tmp_path / "summary").read_text()


def test_a_registry_of_a_release_is_made_ready_by_a_job_that_may_not_be_skipped(tmp_path: Path) -> None:
    found = needs_of(tmp_path, "separate", "", ("candidate", "sealed"), release="registry")
    assert [job for job, result in found.items() if result == "skipped"] == ["candidate"]
