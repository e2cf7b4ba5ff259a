"""Who lets the files of a pull request decide: the steps of the workflows, run as they stand there."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from support.attack import Attack, Result, test_the_wall_holds, test_without_the_wall_it_succeeds  # noqa: F401

FOLDER = Path(__file__).resolve().parents[2] / ".github/workflows"
HEAD, OLD, BASE, GROUP = "a" * 40, "b" * 40, "c" * 40, "d" * 40
CURL = """#!/usr/bin/env python3
import json, os, sys
answers = json.loads(os.environ["ANSWERS"])
path = sys.argv[-1].split("/repos/team/models/")[1]
if path not in answers:
    sys.exit(22)
print(answers[path] if isinstance(answers[path], str) else json.dumps(answers[path]))
"""


def script(workflow: str, name: str) -> str:
    """The script of a step, by its id."""
    for job in yaml.safe_load((FOLDER / workflow).read_text())["jobs"].values():
        for step in job["steps"]:
            if step.get("id") == name:
                return str(step["run"])
    raise AssertionError(f"{workflow} has no step {name}")


def outputs(place: Path, text: str, **variables: str) -> dict[str, str]:
    """What a step says when it is run."""
    out = place / "output"
    out.touch()
    environment = {"PATH": f"{place}:{os.environ['PATH']}", "GITHUB_OUTPUT": str(out), "GITHUB_ENV": str(place / "env")}
    environment |= {"JOBS": "merged", **variables}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
        cwd=place, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    found = dict(line.split("=", 1) for line in out.read_text().splitlines())
    return {**found, "said": done.stdout + done.stderr, "code": str(done.returncode)}


def review(login: str = "owner", commit: str = HEAD, state: str = "APPROVED", at: int = 1) -> dict[str, Any]:
    return {
        "user": {"login": login, "type": "User"},
        "commit_id": commit,
        "state": state,
        "submitted_at": f"2026-11-28T10:00:0{at}Z",
    }


def asked(
    place: Path,
    reviews: list[dict[str, Any]],
    *,
    role: str = "maintain",
    owners: str | None = None,
    last: str = HEAD,
    event: str = "pull_request",
    queue: str = "",
    text: str = "",
) -> dict[str, str]:
    """What review.yml answers where the platform knows of these reviews."""
    (place / "curl").write_text(CURL)
    (place / "curl").chmod(0o755)
    answers: dict[str, Any] = {
        "pulls/7": {"head": {"sha": last}, "user": {"login": "author"}},
        "pulls/7/reviews?per_page=100&page=1": reviews,
        **{f"collaborators/{login}/permission": {"role_name": role} for login in ("owner", "author", "reader")},
    }
    if owners is not None:
        answers[f"contents/CODEOWNERS?ref={BASE}"] = owners
    head = HEAD if event == "pull_request" else GROUP
    return outputs(
        place,
        text or script("review.yml", "review"),
        ANSWERS=json.dumps(answers), API="https://api", REPOSITORY="team/models", TOKEN="t", EVENT=event,
        NUMBER="7" if event == "pull_request" else "", HEAD=head, BASE=BASE, QUEUE=queue,
    )  # fmt: skip


def without(workflow: str, step: str, *changes: tuple[str, str]) -> str:
    """A step's script with its wall taken away."""
    text = script(workflow, step)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def reviewed(change: tuple[str, str], *given: Any, **more: Any) -> Callable[[Path, bool], Result]:
    """An attack on review.yml; without the wall, the step with this change."""

    def run(place: Path, wall: bool) -> Result:
        text = "" if wall else without("review.yml", "review", change)
        return Result.FORGED if asked(place, *given, text=text, **more).get("commit") else Result.BLOCKED

    return run


COMMIT = " and .commit_id == $last"
later_commit = reviewed((COMMIT, ""), [review(commit=OLD)])
own_review = reviewed((" and .user.login != $author", ""), [review("author")])
taken_back = reviewed(
    ("map(max_by(.submitted_at))", "map(min_by(.submitted_at))"), [review(), review(state="DISMISSED", at=2)]
)
changes_requested = reviewed(
    ("map(max_by(.submitted_at))", "map(min_by(.submitted_at))"), [review(), review(state="CHANGES_REQUESTED", at=2)]
)
reader = reviewed(("admin | maintain)", "admin | maintain | read)"), [review("reader")], role="read")
writer_who_owns_nothing = reviewed(
    ("admin | maintain)", "admin | maintain | write)"), [review()], role="write", owners="* @somebody-else\n"
)
owner_in_a_comment = reviewed(
    ("grep --invert-match '^[[:space:]]*#'", "cat"), [review()], role="write", owners="# @owner was here\n"
)
part_of_a_name = reviewed(("([[:space:]]|\\$)", ""), [review()], role="write", owners="* @owner-of-more\n")
bot = reviewed((' and .user.type == "User"', ""), [{**review(), "user": {"login": "owner", "type": "Bot"}}])
stale_event = reviewed(('[ "$last" != "$HEAD" ]', "false"), [review(commit=OLD)], last=OLD)
forged_queue = reviewed(
    ("gh-readonly-queue/.+/pr-", ".*pr-"),
    [review()],
    event="merge_group",
    queue=f"refs/heads/topic/pr-7-{BASE}",
)


def decides(place: Path, wall: bool, change: tuple[str, str], contract: bool = True, **variables: str) -> Result:
    """Whether the files of a pull request decide, by validate.yml."""
    (place / "weighin-base").mkdir()
    if contract:
        (place / "weighin-base/model_contract.yaml").touch()
    text = script("validate.yml", "files") if wall else without("validate.yml", "files", change)
    given = {"EVENT": "pull_request", "BASE": BASE, "HEAD": HEAD, "REVIEWED": "", "CONTRACT": "model_contract.yaml"}
    found = outputs(place, text, **{**given, **variables})
    return Result.BLOCKED if found.get("deciding") == "weighin-base" or found["code"] != "0" else Result.FORGED


BOTH = ('[ -n "$REVIEWED" ] && [ "$REVIEWED" = "$HEAD" ]', '[ "$REVIEWED" = "$HEAD" ]')
ANY = ('[ -n "$REVIEWED" ] && [ "$REVIEWED" = "$HEAD" ]', '[ -n "$REVIEWED" ]')


def sticky_review(place: Path, wall: bool) -> Result:
    return decides(place, wall, ANY, REVIEWED=OLD)


def label_in_place_of_a_commit(place: Path, wall: bool) -> Result:
    return decides(place, wall, ANY, REVIEWED="true")


def nothing_equals_nothing(place: Path, wall: bool) -> Result:
    return decides(place, wall, BOTH, REVIEWED="", HEAD="")


def unreviewed_pull_request(place: Path, wall: bool) -> Result:
    return decides(place, wall, ("deciding=weighin-base\n", "deciding=.\n"))


def unreviewed_merge_group(place: Path, wall: bool) -> Result:
    return decides(place, wall, ("pull_request | merge_group)", "pull_request)"), EVENT="merge_group")


def event_with_secrets(place: Path, wall: bool) -> Result:
    change = ("pull_request_target | workflow_run | issue_comment)", "nothing)")
    return decides(place, wall, change, EVENT="pull_request_target")


ATTACKS = [
    Attack("a laxer commit after the review", later_commit, Result.FORGED),
    Attack("the author approves", own_review, Result.FORGED),
    Attack("an approval that was dismissed", taken_back, Result.FORGED),
    Attack("an approval that was taken back by a request for changes", changes_requested, Result.FORGED),
    Attack("somebody who may only read approves", reader, Result.FORGED),
    Attack("somebody who may write and owns nothing approves", writer_who_owns_nothing, Result.FORGED),
    Attack("an owner who stands in a comment of CODEOWNERS", owner_in_a_comment, Result.FORGED),
    Attack("a name that begins like an owner's", part_of_a_name, Result.FORGED),
    Attack("a bot approves", bot, Result.FORGED),
    Attack("a run of an older commit, after a later one was reviewed", stale_event, Result.FORGED),
    Attack("a branch that is called like one of a merge queue", forged_queue, Result.FORGED),
    Attack("a review of another commit", sticky_review, Result.FORGED),
    Attack("a label in the place of a commit", label_in_place_of_a_commit, Result.FORGED),
    Attack("no review, and an event without a commit", nothing_equals_nothing, Result.FORGED),
    Attack("a pull request that nobody reviewed", unreviewed_pull_request, Result.FORGED),
    Attack("a merge group that nobody reviewed", unreviewed_merge_group, Result.FORGED),
    Attack("an event that brings secrets to the files of strangers", event_with_secrets, Result.FORGED),
]


def test_a_review_of_this_commit_counts(tmp_path: Path) -> None:
    found = asked(tmp_path, [review(state="COMMENTED", at=3), review(at=2), review(state="CHANGES_REQUESTED")])
    assert (found["commit"], found["by"]) == (HEAD, "owner"), found


def test_an_owner_who_may_write_counts(tmp_path: Path) -> None:
    found = asked(tmp_path, [review()], role="write", owners="*.md @x\n/data/ @org/team @Owner # of data\n")
    assert found["by"] == "owner", found


def test_in_a_merge_queue_the_pull_request_that_it_was_built_from_is_asked(tmp_path: Path) -> None:
    queue = f"refs/heads/gh-readonly-queue/main/pr-7-{BASE}"
    found = asked(tmp_path, [review()], event="merge_group", queue=queue)
    assert (found["commit"], found["by"]) == (GROUP, "owner"), found


def test_where_the_platform_does_not_answer_nothing_was_reviewed(tmp_path: Path) -> None:
    found = asked(tmp_path, [review()], text=script("review.yml", "review").replace("pulls/$NUMBER/", "pulls/0/"))
    assert "commit" not in found
    assert found["code"] == "0"
    assert "The files of the base decide." in found["said"]


def test_a_base_without_a_contract_is_said(tmp_path: Path) -> None:
    (tmp_path / "weighin-base").mkdir()
    given = {"EVENT": "pull_request", "BASE": BASE, "HEAD": HEAD, "REVIEWED": "", "CONTRACT": "model_contract.yaml"}
    found = outputs(tmp_path, script("validate.yml", "files"), **given)
    assert found["deciding"] == "."
    assert found["note"].startswith("The base has no model_contract.yaml")


def test_on_a_release_branch_its_own_files_decide(tmp_path: Path) -> None:
    given = {"EVENT": "push", "BASE": "", "HEAD": "", "REVIEWED": "", "CONTRACT": "model_contract.yaml"}
    found = outputs(tmp_path, script("validate.yml", "files"), **given)
    assert (found["deciding"], found["base"]) == (".", "")
