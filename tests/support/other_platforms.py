"""The examples for other platforms, read into what all of them say: which job runs what, keeps what, and sees what.

for platform in PLATFORMS: platform.validate.scripts, platform.promote.secrets, ...
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support import jenkinsfile
from support.small_project import ROOT

EXAMPLES = ROOT / "examples"
GITLAB = EXAMPLES / "gitlab/.gitlab-ci.yml"
AZURE = EXAMPLES / "azure-pipelines/azure-pipelines.yml"
JENKINS = EXAMPLES / "jenkins/Jenkinsfile"


@dataclass(frozen=True)
class Job:
    """One job of a platform.

    image    that it runs in
    shell    that the platform runs each script with
    scripts  one after the other; the first that fails ends the job
    secrets  names of the variables that hold secrets
    keeps    what a later job gets: a path, or a pattern of files, and the folder of that job it is copied to
    tests    pattern of the files that the platform shows as tests
    shows    what the platform keeps for readers, also where the job fails
    """

    image: str
    shell: tuple[str, ...]
    scripts: tuple[str, ...]
    secrets: frozenset[str]
    keeps: tuple[tuple[str, str], ...]
    tests: str
    shows: tuple[str, ...]

    def run(self, folder: Path, environment: Mapping[str, str], workspace: Path) -> subprocess.CompletedProcess[str]:
        """Run its scripts in a checkout, as the platform does.

        workspace  what Azure calls Pipeline.Workspace, beside the checkout
        """
        for script in self.scripts:
            done = subprocess.run(
                [*self.shell, script.replace("$(Pipeline.Workspace)", str(workspace))],
                cwd=folder,
                env=dict(environment),
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            if done.returncode:
                break
        return done

    def hand_over(self, folder: Path, checkout: Path, workspace: Path) -> None:
        """Copy what it keeps from its checkout to where the next job finds it: another checkout, or beside it."""
        for pattern, target in self.keeps:
            place = checkout if not target else workspace / target
            found = list(folder.glob(pattern.removesuffix("/**").rstrip("/")))
            assert found, f"{pattern} names nothing"
            for path in found:
                shutil.copytree(path, place / path.name if not target else place)


@dataclass(frozen=True)
class Platform:
    """An example: the job that validates, the one that promotes, and the variables that both see."""

    name: str
    path: Path
    validate: Job
    promote: Job
    variables: dict[str, str]


def load(path: Path) -> dict[str, Any]:
    """Read a YAML example."""
    value: dict[str, Any] = yaml.safe_load(path.read_text())
    return value


def gitlab() -> Platform:
    """Read the example for GitLab."""
    file = load(GITLAB)

    def job(name: str, secrets: frozenset[str]) -> Job:
        own = file[name]
        kept = own["artifacts"]
        return Job(
            own.get("image", file["default"]["image"]),
            ("bash", "-eo", "pipefail", "-c"),
            tuple(own["script"]),
            secrets,
            tuple((path, "") for path in kept["paths"]),
            kept.get("reports", {}).get("junit", ""),
            tuple(kept["paths"]) if kept.get("when") == "always" else (),
        )

    # Its secrets stand in the settings, bound to an environment: the job that names it sees them.
    seen = frozenset({"MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"})
    return Platform(
        "gitlab",
        GITLAB,
        job("validate", seen if "environment" in file["validate"] else frozenset()),
        job("promote", seen if "environment" in file["promote"] else frozenset()),
        file["variables"],
    )


def azure() -> Platform:
    """Read the example for Azure Pipelines."""
    file = load(AZURE)
    (image,) = (c["image"] for c in file["resources"]["containers"])
    validate, promote = (stage["jobs"][0] for stage in file["stages"])

    def job(own: dict[str, Any], steps: list[dict[str, Any]]) -> Job:
        assert own["container"] == "weighin"
        always = [s for s in steps if s.get("condition") == "succeededOrFailed()"]
        shown = [s["inputs"]["testResultsFiles"] for s in always if s.get("task") == "PublishTestResults@2"]
        return Job(
            image,
            ("bash", "--noprofile", "--norc", "-c"),
            tuple(s["script"] for s in steps if "script" in s),
            frozenset(name for s in steps for name in s.get("env", {})),
            tuple((s["publish"], s["artifact"]) for s in steps if "publish" in s and "condition" not in s),
            "".join(shown),
            tuple(s["publish"] for s in always if "publish" in s),
        )

    deploy = promote["strategy"]["runOnce"]["deploy"]["steps"]
    variables = {v["name"]: v["value"] for v in file["variables"]}
    return Platform("azure", AZURE, job(validate, validate["steps"]), job(promote, deploy), variables)


def jenkins() -> Platform:
    """Read the example for Jenkins."""
    pipeline = jenkinsfile.read(JENKINS.read_text()).one("pipeline")
    stages = {call.arguments[0]: call for call in pipeline.all("stage")}

    def job(stage: jenkinsfile.Call) -> Job:
        always = [call for post in stage.all("post") for call in post.all("always")]
        secrets = [value for c in stage.all("usernamePassword") for k, value in c.named.items() if "Variable" in k]
        return Job(
            stage.one("agent", "image").arguments[0],
            ("sh", "-xec"),
            tuple(call.arguments[0] for call in stage.all("sh")),
            frozenset(secrets),
            tuple((p, "") for call in stage.all("stash") for p in call.named["includes"].split(",")),
            "".join(c.named["testResults"] for call in always for c in call.all("junit")),
            tuple(c.named["artifacts"] for call in always for c in call.all("archiveArtifacts")),
        )

    assert list(stages) == ["validate", "promote"]
    assigned = pipeline.one("environment").assigned
    return Platform("jenkins", JENKINS, job(stages["validate"]), job(stages["promote"]), assigned)


READERS: dict[str, Callable[[], Platform]] = {"gitlab": gitlab, "azure": azure, "jenkins": jenkins}


def weighin_program(folder: Path, address: str) -> Path:
    """Write a program `weighin` that runs `python -m weighin` as `support.quick_python` does; returns its folder.

    address  of the process that is forked
    """
    folder.mkdir()
    program = folder / "weighin"
    program.write_text(
        f"#!{sys.executable} -IB\n"
        "import os, sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from support import quick_python\n"
        f"os.environ[quick_python.ADDRESS] = {address!r}\n"
        "done = quick_python.run(['-m', 'weighin', *sys.argv[1:]], Path.cwd())\n"
        "sys.stdout.write(done.stdout)\nsys.stderr.write(done.stderr)\nsys.exit(done.returncode)\n"
    )
    program.chmod(0o755)
    return folder


def placeholders(text: str) -> bool:
    """Return whether every image in a text is a digest that is to be replaced."""
    found = re.findall(r"ghcr\.io/\S+", text)
    return bool(found) and all(re.fullmatch(r"ghcr\.io/OWNER/weigh-in@sha256:0{64}'?", name) for name in found)
