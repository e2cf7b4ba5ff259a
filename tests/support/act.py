"""Run a workflow with act on the real engine, in a clone of its own, and read what it left."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACTIONS = Path(__file__).resolve().parents[1] / "workflows/actions"
RUNNER_IMAGE = "weighin-runner:local"
SECONDS = 1200
REPOSITORY = "team/models"
"""What the project under test is called."""
STAND_INS = {
    "actions/upload-artifact@043fb46d1a93c77aae656e7c1c64a875d1fc6a0a": "upload",
    "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c": "download",
    "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1": "checkout",
}
GIT = ("git", "-c", "user.name=tests", "-c", "user.email=tests@localhost")


@dataclass(frozen=True)
class Ran:
    """A finished run: act's exit code, the results of the jobs by name, what it logged and left.

    summary    the text of all step summaries, in order
    artifacts  by name, unpacked
    seconds    wall-clock time
    """

    code: int
    jobs: dict[str, str]
    log: str
    summary: str
    artifacts: dict[str, Path]
    seconds: float

    def read(self, artifact: str, name: str) -> Any:
        """A JSON file of an artifact."""
        return json.loads((self.artifacts[artifact] / name).read_text())


def commit(project: Path) -> str:
    """Commit the project as it is; returns the commit."""
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "as it is"]):
        subprocess.run([*GIT, *arguments], cwd=project, check=True, timeout=60)
    return head(project)


def head(project: Path) -> str:
    """The last commit of a project; empty where there is none."""
    found = subprocess.run(
        [*GIT, "rev-parse", "--verify", "-q", "HEAD"], cwd=project, capture_output=True, text=True, check=False
    )
    return found.stdout.strip() if (project / ".git").exists() else ""


def prepare(folder: Path) -> None:
    """Make the workflows of a folder such that act can run them; they stay what they are otherwise."""
    own = hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    for path in (folder / ".github/workflows").glob("*.yml"):
        # act stops at keys that it does not know, and its jobs share one folder: one at a time. Its containers have the
        # names of workflow and job: in a name of its own, a workflow can run beside another one of the same name.
        text = re.sub(r"^ *queue: max\n", "", path.read_text(), flags=re.MULTILINE)
        text = re.sub(r"^name: (.*?)(?: [0-9a-f]{8})?$", rf"name: \1 {own}", text, count=1, flags=re.MULTILINE)
        # What only tells the platform something has nobody to tell; its parts are tested by themselves.
        text = re.sub(r"^  (?:comment|release-note):\n    needs:(?:.*\n)(?:    .*\n)*", "", text, flags=re.MULTILINE)
        if "max-parallel" not in text:
            text = text.replace("      fail-fast: false\n", "      fail-fast: false\n      max-parallel: 1\n")
        path.write_text(text)


def run(
    project: Path,
    workflow: str,
    event: str,
    payload: dict[str, Any],
    variables: dict[str, str],
    *,
    repositories: dict[str, Path] | None = None,
    attempt: int = 1,
) -> Ran:
    """Commit the project as it is, run one workflow file for an event, unpack the artifacts.

    payload       of the event; a pull request's base, and a merge group's, is the commit before, where there is one
    repositories  OWNER/REPO@REF -> folder, for what is called from there
    """
    prepare(project)
    before = head(project)
    base = before or commit(project)
    if before:
        commit(project)
    for place, key in (
        (payload.get("pull_request", {}).get("base"), "sha"),
        (payload.get("merge_group"), "base_sha"),
    ):
        if place is not None:
            place.setdefault(key, base)
    aside = project.parent / f"{project.name}-act-{attempt}"
    (aside / "artifacts").mkdir(parents=True)
    (aside / "event.json").write_text(json.dumps(payload))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "act"), event, "-b", "-W", f".github/workflows/{workflow}"]
    command += ["-e", str(aside / "event.json"), "--pull=false", "-P", f"ubuntu-24.04={RUNNER_IMAGE}", "--json"]
    command += ["--artifact-server-path", str(aside / "artifacts"), "--artifact-server-addr", "127.0.0.1"]
    command += ["--artifact-server-port", str(port), "--no-cache-server", "--concurrent-jobs", "1", "--rm"]
    command += ["--env", f"GITHUB_RUN_ATTEMPT={attempt}", "--env", f"GITHUB_REPOSITORY={REPOSITORY}"]
    for name, folder in {**{n: ACTIONS / f for n, f in STAND_INS.items()}, **(repositories or {})}.items():
        command += ["--local-repository", f"{name}={folder}"]
    for key, value in variables.items():
        command += ["--var", f"{key}={value}"]
    started = time.monotonic()
    with (aside / "log").open("wb") as log:
        # A home of its own: act asks questions on its first start otherwise, and keeps a cache.
        environment = {**os.environ, "HOME": str(aside), "XDG_CACHE_HOME": str(aside), "XDG_CONFIG_HOME": str(aside)}
        environment["GITHUB_RUN_ATTEMPT"] = str(attempt)
        (aside / "act").mkdir()
        (aside / "act" / "actrc").write_text("")
        process = subprocess.Popen(
            command, cwd=project, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=environment
        )
        try:
            code = process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGINT)
            code = process.wait(timeout=60)
    text = (aside / "log").read_text(errors="replace")
    artifacts = _unpacked(aside / "artifacts", aside / "unpacked")
    return Ran(code, _results(text), text, _summary(text), artifacts, time.monotonic() - started)


def _lines(log: str) -> Iterator[dict[str, Any]]:
    for line in log.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict):
            yield said


def _summary(log: str) -> str:
    return "\n".join(str(said.get("content", "")) for said in _lines(log) if said.get("command") == "summary")


def _results(log: str) -> dict[str, str]:
    """Job -> result, of the lines in which act says how a job ended; a matrix has a job for each of its values."""
    found = {}
    for said in _lines(log):
        if said.get("jobResult"):
            found[said.get("job", "").split("/", 1)[-1].strip()] = said["jobResult"]
    return found


def _unpacked(folder: Path, target: Path) -> dict[str, Path]:
    found = {}
    for archive in sorted(folder.rglob("*.zip")):
        place = target / archive.stem
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(place)
        found[archive.stem] = place
    return found
