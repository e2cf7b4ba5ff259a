"""Run a workflow with act on the real engine, in a clone of its own, and read what it left."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACTIONS = Path(__file__).parent / "actions"
RUNNER_IMAGE = "weighin-runner:local"
SECONDS = 1200
UPLOAD = "actions/upload-artifact@043fb46d1a93c77aae656e7c1c64a875d1fc6a0a"
DOWNLOAD = "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c"


@dataclass(frozen=True)
class Ran:
    """A finished run: act's exit code, the results of the jobs by name, the log, and the artifacts by name."""

    code: int
    jobs: dict[str, str]
    log: str
    artifacts: dict[str, Path]

    def read(self, artifact: str, name: str) -> Any:
        """A JSON file of an artifact."""
        return json.loads((self.artifacts[artifact] / name).read_text())


def run(project: Path, workflow: str, event: str, payload: dict[str, Any], variables: dict[str, str]) -> Ran:
    """Commit the project as it is, run one workflow file for an event, unpack the artifacts."""
    for path in (project / ".github/workflows").glob("*.yml"):
        # act stops at keys that it does not know, and its jobs share one folder: one at a time.
        text = re.sub(r"^ *queue: max\n", "", path.read_text(), flags=re.MULTILINE)
        path.write_text(text.replace("      fail-fast: false\n", "      fail-fast: false\n      max-parallel: 1\n"))
    git = ["git", "-c", "user.name=tests", "-c", "user.email=tests@localhost"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "as it is"]):
        subprocess.run([*git, *arguments], cwd=project, check=True, timeout=60)
    aside = project.parent / f"{project.name}-act"
    (aside / "artifacts").mkdir(parents=True)
    (aside / "event.json").write_text(json.dumps(payload))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "act"), event, "-b", "-W", f".github/workflows/{workflow}"]
    command += ["-e", str(aside / "event.json"), "--pull=false", "-P", f"ubuntu-24.04={RUNNER_IMAGE}", "--json"]
    command += ["--artifact-server-path", str(aside / "artifacts"), "--artifact-server-addr", "127.0.0.1"]
    command += ["--artifact-server-port", str(port), "--no-cache-server", "--concurrent-jobs", "1", "--rm"]
    command += ["--local-repository", f"{UPLOAD}={ACTIONS / 'upload'}"]
    command += ["--local-repository", f"{DOWNLOAD}={ACTIONS / 'download'}"]
    for key, value in variables.items():
        command += ["--var", f"{key}={value}"]
    with (aside / "log").open("wb") as log:
        # A home of its own: act asks questions on its first start otherwise, and keeps a cache.
        environment = {**os.environ, "HOME": str(aside), "XDG_CACHE_HOME": str(aside), "XDG_CONFIG_HOME": str(aside)}
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
    return Ran(code, _results(text), text, _unpacked(aside / "artifacts", aside / "unpacked"))


def _results(log: str) -> dict[str, str]:
    """Job -> result, of the lines in which act says how a job ended; a matrix has a job for each of its values."""
    found = {}
    for line in log.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("jobResult"):
            found[said.get("job", "").split("/", 1)[-1]] = said["jobResult"]
    return found


def _unpacked(folder: Path, target: Path) -> dict[str, Path]:
    found = {}
    for archive in sorted(folder.rglob("*.zip")):
        place = target / archive.stem
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(place)
        found[archive.stem] = place
    return found


def discard(project: Path) -> None:
    """Remove a project and everything that its run left."""
    for folder in (project, project.parent / f"{project.name}-act"):
        shutil.rmtree(folder, ignore_errors=True)
