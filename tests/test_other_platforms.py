"""The examples for GitLab, Azure Pipelines and Jenkins: their commands run here, in a small project, as they stand.

What only the platforms can show is not tested: that they start the jobs, and keep secrets from other jobs.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from support import jenkinsfile, other_platforms, quick_python, small_project, tiny_project
from support.other_platforms import AZURE, GITLAB, JENKINS, READERS, Job, Platform, load

pytestmark = pytest.mark.exhaustive

SUITES = ("explainability",)
PROMOTE_SECRETS = {"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"}


@dataclass(frozen=True)
class Team:
    """A project with a registry beside it, as a server would hold it, and what the jobs see.

    challengers  version of the challenger by the fault that it has; empty for none
    """

    project: Path
    registry: Path
    environment: dict[str, str]
    challengers: dict[str, str]

    @property
    def champion(self) -> str:
        """The version that the alias names."""
        code = "import mlflow; print(mlflow.MlflowClient().get_model_version_by_alias('tiny', 'champion').version)"
        done = quick_python.run(["-c", code], self.project, env=self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def choose(self, version: str) -> None:
        """Let the alias of the challenger name a version."""
        code = f"import mlflow; mlflow.MlflowClient().set_registered_model_alias('tiny', 'challenger', '{version}')"
        assert quick_python.run(["-c", code], self.project, env=self.environment).returncode == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """Train the champion and two challengers once."""
    folder = tmp_path_factory.mktemp("team")
    project = tiny_project.make(folder / "project", suites=SUITES)
    registry = folder / "registry"
    registry.mkdir()
    address = os.environ.get(quick_python.ADDRESS) or quick_python.start()
    programs = other_platforms.weighin_program(folder / "bin", address)
    environment = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "HOME": str(folder),
        "MLFLOW_TRACKING_URI": f"sqlite:///{registry}/mlflow.db",
        "GIT_COMMIT": "c" * 40,
    }
    challengers = {}
    for fault, more in (("", ()), ("forbidden", ("--only", "challenger"))):
        command = ["scripts/train.py", "--fault", fault, *more]
        done = quick_python.run(command, project, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        challengers[fault] = done.stdout.strip().rpartition("/")[2]
    shutil.copy(registry / "mlflow.db", folder / "mlflow.db")
    return Team(project, registry, environment, challengers)


@pytest.fixture
def team(trained: Team) -> Team:
    """The team as it was before anything was promoted."""
    shutil.copy(trained.registry.parent / "mlflow.db", trained.registry / "mlflow.db")
    trained.choose(trained.challengers[""])
    return trained


@pytest.fixture(params=list(READERS))
def platform(request: pytest.FixtureRequest) -> Platform:
    """Each example."""
    return READERS[request.param]()


def checkout(team: Team, folder: Path) -> None:
    """Make a fresh checkout of the team's project."""
    shutil.copytree(team.project, folder, ignore=shutil.ignore_patterns(".weighin", ".github"))


def promoting(platform: Platform) -> Job:
    """Return the job that promotes, without the clean-up after which Jenkins fetches the evidence."""
    *clean, last = platform.promote.scripts
    assert all(script.startswith("rm -rf ") for script in clean)
    return replace(platform.promote, scripts=(last,))


def test_what_passes_is_promoted_by_another_job_from_what_the_platform_kept(
    platform: Platform, team: Team, tmp_path: Path
) -> None:
    first, second, workspace = tmp_path / "first", tmp_path / "second", tmp_path / "workspace"
    checkout(team, first)
    done = platform.validate.run(first, team.environment, workspace)
    assert done.returncode == 0, done.stderr[-3000:]
    shown = list(first.glob(platform.validate.tests))
    assert [p.parent.name for p in shown] == [*SUITES]
    suites = [s for p in shown for s in ElementTree.parse(p).getroot().iter("testsuite")]  # noqa: S314 - our own file
    assert all(int(s.get("tests", 0)) > 0 and s.get("failures") == s.get("errors") == "0" for s in suites)
    assert team.champion == "1"

    checkout(team, second)
    platform.validate.hand_over(first, second, workspace)
    done = promoting(platform).run(second, team.environment, workspace)
    assert done.returncode == 0, done.stderr[-3000:]
    left = [*second.glob("reports/promotion.json"), *workspace.glob("evidence/promotion.json")]
    assert [json.loads(path.read_text())["after"] for path in left] == [team.challengers[""]]
    assert team.champion == team.challengers[""]


def test_what_fails_ends_the_job_shows_its_tests_and_is_not_promoted(
    platform: Platform, team: Team, tmp_path: Path
) -> None:
    team.choose(team.challengers["forbidden"])
    first, second, workspace = tmp_path / "first", tmp_path / "second", tmp_path / "workspace"
    checkout(team, first)
    stale = [first / name / "of-an-earlier-build" for name in ("reports", "weighin-work", ".weighin")]
    for path in stale:
        path.parent.mkdir()
        path.touch()
    done = platform.validate.run(first, team.environment, workspace)
    assert done.returncode == 1, done.stderr[-3000:]
    assert not [path for path in stale if path.exists()]
    (shown,) = first.glob(platform.validate.tests)
    assert 'failures="0"' not in shown.read_text()
    assert json.loads((first / "reports/verdict.json").read_text())["status"] == "failed"
    for pattern in platform.validate.shows:
        assert list(first.glob(pattern.rstrip("/"))), pattern
    assert (first / "reports/report.html").is_file()

    # A platform that starts the other job all the same promotes nothing.
    checkout(team, second)
    platform.validate.hand_over(first, second, workspace)
    done = promoting(platform).run(second, team.environment, workspace)
    assert done.returncode != 0
    assert team.champion == "1"


def test_without_the_evidence_nothing_is_promoted(platform: Platform, team: Team, tmp_path: Path) -> None:
    checkout(team, tmp_path / "checkout")
    done = platform.promote.run(tmp_path / "checkout", team.environment, tmp_path / "workspace")
    assert done.returncode != 0
    assert team.champion == "1"


def test_the_commands_are_the_same_everywhere() -> None:
    """Apart from where the platform puts the evidence, and whether the evidence becomes an artifact."""
    said = set()
    for reader in READERS.values():
        platform = reader()
        (validate,) = re.findall(r"weighin validate .*", "\n".join(platform.validate.scripts))
        (promote,) = re.findall(r"weighin promote .*", "\n".join(platform.promote.scripts))
        promote = promote.replace('"$(Pipeline.Workspace)/evidence"', "reports")
        promote = promote.replace('"$(Pipeline.Workspace)/work"', "weighin-work")
        said.add((validate.replace(" --as-artifact", ""), promote))
    assert len(said) == 1, said


def test_data_that_are_not_public_become_no_artifact() -> None:
    for reader in (other_platforms.gitlab, other_platforms.azure):
        assert all("--as-artifact" in s for s in reader().validate.scripts if "weighin validate" in s)
    # A stash of Jenkins is nothing that anybody downloads; what is archived are reports.
    jenkins = other_platforms.jenkins()
    assert jenkins.validate.shows == ("reports/**",)


def test_a_job_that_loads_a_model_holds_no_secret_and_judges_in_an_image_by_digest(platform: Platform) -> None:
    assert platform.validate.secrets == set()
    assert platform.promote.secrets == PROMOTE_SECRETS
    assert platform.validate.image == platform.promote.image
    assert other_platforms.placeholders(platform.path.read_text())
    assert not {n for n in platform.variables if re.search("PASSWORD|TOKEN|USERNAME|KEY", n)}
    assert platform.variables["MLFLOW_TRACKING_URI"] == "https://mlflow.example.org"


def test_gitlab_promotes_on_protected_release_branches_after_the_validation_and_never_for_a_merge_request() -> None:
    promote = load(GITLAB)["promote"]
    (only,) = promote["rules"]
    assert set(only) == {"if"}
    for condition in ('$CI_PIPELINE_SOURCE == "push"', '$CI_COMMIT_REF_PROTECTED == "true"', "=~ /^release\\//"):
        assert condition in only["if"]
    assert "||" not in only["if"]
    assert promote["needs"] == [{"job": "validate", "artifacts": True}]
    assert promote["environment"]["name"] == promote["resource_group"] == "weighin-promote"
    assert not {"when", "allow_failure"} & promote.keys()
    assert not {"allow_failure", "rules", "environment", "secrets", "id_tokens"} & load(GITLAB)["validate"].keys()


def test_azure_promotes_release_branches_after_the_validation_and_never_for_a_pull_request() -> None:
    validate, promote = load(AZURE)["stages"]
    said = re.sub(r"\s+", " ", promote["condition"])
    assert said.startswith("and( not(canceled()), eq(dependencies.validate.result, 'Succeeded'), ")
    assert "ne(variables['Build.Reason'], 'PullRequest')" in said
    assert "startsWith(variables['Build.SourceBranch'], 'refs/heads/release/')" in said
    assert promote["dependsOn"] == validate["stage"] == "validate"
    (job,) = promote["jobs"]
    assert job["environment"] == "weighin-promote"
    assert job["variables"] == [{"group": "weighin-promote"}]
    assert "continueOnError" not in AZURE.read_text()
    (container,) = load(AZURE)["resources"]["containers"]
    assert container["mapDockerSocket"] == "false"
    # What is left by a job that failed is never under the name that the promotion takes.
    steps = validate["jobs"][0]["steps"]
    kept = {s["artifact"]: s.get("condition") for s in steps if "publish" in s}
    taken = [s["artifact"] for s in job["strategy"]["runOnce"]["deploy"]["steps"] if s.get("download") == "current"]
    assert [kept[name] for name in taken] == [None, None]


def test_jenkins_promotes_release_branches_after_the_validation_and_never_for_a_change_request() -> None:
    pipeline = jenkinsfile.read(JENKINS.read_text()).one("pipeline")
    validate, promote = pipeline.all("stage")
    assert pipeline.one("options").all("skipStagesAfterUnstable")
    when = promote.one("when")
    assert [c.name for c in when.inner] == ["beforeAgent", "branch", "not", "expression"]
    assert when.one("branch").arguments == ("release/*",)
    assert [c.name for c in when.one("not").inner] == ["changeRequest"]
    assert "currentBuild.currentResult == 'SUCCESS'" in JENKINS.read_text()
    assert not [name for name in ("catchError", "withCredentials", "unstable", "when") if validate.all(name)]
    order = [c.name for c in promote.one("steps").inner]
    assert order == ["sh", "unstash", "withCredentials", "archiveArtifacts"]
    assert promote.one("unstash").arguments == (validate.one("stash").named["name"],)


@pytest.mark.parametrize("broken", [("agent none", "agent none }"), ("when {", "when ("), ("'HOURS'", "'HOURS")])
def test_a_jenkinsfile_that_is_no_groovy_is_found(broken: tuple[str, str]) -> None:
    text = JENKINS.read_text()
    assert broken[0] in text
    with pytest.raises(ValueError, match="is no Groovy"):
        jenkinsfile.read(text.replace(*broken, 1))


@pytest.mark.parametrize(("schema", "path"), [("gitlab-ci", GITLAB), ("azure-pipelines", AZURE)])
def test_the_yaml_is_what_the_platform_s_schema_says(schema: str, path: Path) -> None:
    # The schema of Azure holds patterns that Unicode mode of ECMAScript refuses.
    command = [Path(sys.executable).with_name("check-jsonschema"), "--regex-variant", "nonunicode"]
    command += ["--builtin-schema", f"vendor.{schema}", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_shellcheck_finds_nothing_in_the_scripts(platform: Platform, tmp_path: Path) -> None:
    for number, script in enumerate((*platform.validate.scripts, *platform.promote.scripts)):
        path = tmp_path / f"{number}.sh"
        path.write_text(f"#!/bin/bash\n{script.replace('$(Pipeline.Workspace)', '/workspace')}\n")
        command = [Path(sys.executable).with_name("shellcheck"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout


def test_each_platform_has_a_page_that_names_its_example_and_the_walls_that_it_lacks(platform: Platform) -> None:
    pages = {"gitlab": "gitlab.md", "azure": "azure-pipelines.md", "jenkins": "jenkins.md"}
    text = (small_project.ROOT / "docs/how-to" / pages[platform.name]).read_text()
    assert str(platform.path.relative_to(small_project.ROOT)) in text
    assert "walls" in text
    assert len(text.splitlines()) <= 32
