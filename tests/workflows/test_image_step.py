"""The step that says which image judges, and the one that verifies who built it: run as they stand, with stand-ins for
`docker` and `gh` that write down what they were asked.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support import workflow_step
from support.workflow_step import StepResult

DIGEST = "sha256:" + "d" * 64
COMMIT = "c" * 40
FILES = ("validate.yml", "rollback.yml", "monitor.yml")
NAMES = ("Say which image judges, or why none can", "Verify who built the image, before anything of it runs")
OWN = {"OWN": "Team/weigh-in", "COMMIT": COMMIT}


@pytest.fixture
def step(tmp_path: Path):
    """Run the script of a step of validate.yml as GitHub does."""

    def run(name: str, published: str = f'{{"digest": "{DIGEST}"}}', gh: int = 0, **environment: str) -> StepResult:
        programs = {"docker": f"test -n '{published}' || exit 1\nprintf '%s' '{published}'", "gh": f"exit {gh}"}
        values = {"IMAGE": "", "BUILD": "false", "BUILT_BY": "", "CALLER": "team/models", "OWN": "", "COMMIT": ""}
        script = workflow_step.named("validate.yml", name)["run"]
        result = workflow_step.run(tmp_path, script, programs, values | environment)
        assert not (tmp_path / "owned").exists()
        return result

    return run


def test_all_workflows_have_the_same_steps() -> None:
    for name in NAMES:
        assert len({workflow_step.named(file, name)["run"] for file in FILES}) == 1


@pytest.mark.parametrize("image", [DIGEST, f"ghcr.io/team/own@{DIGEST}", f"localhost:5000/own@{DIGEST}"])
def test_a_given_digest_is_taken_and_nobody_is_asked(image: str, step) -> None:
    result = step(NAMES[0], IMAGE=image, **OWN)
    assert (result.code, result.outputs, result.calls) == (0, {"id": image, "how": "given"}, [])


@pytest.mark.parametrize(
    "image",
    [
        "weighin:local",
        "ghcr.io/team/own:v1",
        "ghcr.io/team/own",
        DIGEST[:-1],
        DIGEST + "0",
        f"--privileged @{DIGEST}",
        f"x;touch owned@{DIGEST}",
        f"$(touch owned)@{DIGEST}",
        f"a\nid=x@{DIGEST}",
        f"{DIGEST}\nhow=given",
    ],
)
def test_anything_but_a_digest_is_refused_in_one_sentence(image: str, step) -> None:
    result = step(NAMES[0], IMAGE=image, **OWN)
    assert result.code == 1
    assert list(result.outputs) == ["problem"]
    assert "pass NAME@sha256:..." in result.outputs["problem"]
    assert result.printed.startswith("::error title=weigh-in::The input image names no digest")


def test_who_built_an_image_cannot_be_asked_of_an_id(step) -> None:
    result = step(NAMES[0], IMAGE=DIGEST, BUILT_BY="team/x/.github/workflows/image.yml@refs/heads/main")
    assert result.code == 1
    assert "known of NAME@sha256:... only" in result.outputs["problem"]


def test_its_own_repository_builds_it(step) -> None:
    assert step(NAMES[0], **{**OWN, "CALLER": "Team/weigh-in"}).outputs == {"id": "", "how": "built"}


def test_a_caller_that_wants_to_build_builds(step) -> None:
    assert step(NAMES[0], BUILD="true").outputs == {"id": "", "how": "built"}


def test_what_is_built_here_was_built_by_nobody_else(step) -> None:
    result = step(NAMES[0], BUILD="true", BUILT_BY="team/x/.github/workflows/image.yml@refs/heads/main")
    assert result.code == 1


def test_another_repository_takes_what_was_published_for_the_workflows_own_commit(step) -> None:
    result = step(NAMES[0], **OWN)
    assert result.outputs == {"id": f"ghcr.io/team/weigh-in@{DIGEST}", "how": "published"}
    assert result.calls[0][-1] == f"ghcr.io/team/weigh-in:sha-{COMMIT}"


@pytest.mark.parametrize(
    "published",
    ["", "{}", '{"digest": "sha256:1"}', '{"digest": "latest"}', f'{{"digest": "x\\\\nhow=given@{DIGEST}"}}'],
)
def test_what_was_not_published_is_not_guessed(published: str, step) -> None:
    result = step(NAMES[0], published=published, **OWN)
    assert result.code == 1
    assert list(result.outputs) == ["problem"]


@pytest.mark.parametrize("own", ["", "weigh-in", "a/b/c", "a b/c", "a/$(touch owned)", "a/b\nc/d"])
def test_a_repository_that_does_not_look_like_one_is_not_believed(own: str, step) -> None:
    result = step(NAMES[0], OWN=own, COMMIT=COMMIT)
    assert (result.code, result.calls) == (1, [])
    assert "cannot tell which commit it is of: pass image" in result.outputs["problem"]


@pytest.mark.parametrize("commit", ["", "main", "c" * 39, "c" * 41, "C" * 40, "refs/heads/main"])
def test_a_commit_that_does_not_look_like_one_is_not_believed(commit: str, step) -> None:
    result = step(NAMES[0], OWN="team/weigh-in", COMMIT=commit)
    assert (result.code, result.calls) == (1, [])
    assert "cannot tell which commit it is of: pass image" in result.outputs["problem"]


def test_a_published_image_must_have_been_built_by_our_workflow_from_that_commit(step) -> None:
    image = f"ghcr.io/team/weigh-in@{DIGEST}"
    result = step(NAMES[1], HOW="published", IMAGE=image, ISSUER="https://issuer.example", SERVER="https://h", **OWN)
    assert result.code == 0
    assert result.calls == [
        (
            f"gh attestation verify oci://{image} --repo Team/weigh-in --signer-workflow"
            f" Team/weigh-in/.github/workflows/image.yml --source-digest {COMMIT} --cert-oidc-issuer https://issuer.example"
            " --bundle-from-oci"
        ).split()
    ]


def test_a_given_image_must_have_been_built_by_whom_the_caller_names(step) -> None:
    image, by = f"ghcr.io/team/own@{DIGEST}", "team/own/.github/workflows/image.yml@refs/heads/main"
    result = step(
        NAMES[1], HOW="given", IMAGE=image, BUILT_BY=by, ISSUER="https://i", SERVER="https://github.com", BUNDLE="b"
    )
    assert result.calls == [
        (
            f"gh attestation verify oci://{image} --repo team/own --cert-identity https://github.com/{by}"
            " --cert-oidc-issuer https://i --bundle b"
        ).split()
    ]


def test_an_image_that_is_not_verified_ends_the_job(step) -> None:
    assert step(NAMES[1], gh=1, HOW="published", IMAGE="x", ISSUER="i", SERVER="s", **OWN).code == 1
