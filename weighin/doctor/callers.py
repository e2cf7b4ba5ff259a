"""The workflows of a repository, and which of their jobs call ours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from weighin.untrusted import JsonDict, JsonObject, JsonValue
from weighin.untrusted.bounded import content, yaml_value

FOLDER = ".github/workflows"
_OURS = re.compile(r"(?P<where>\.|[\w.-]+/[\w.-]+)/\.github/workflows/(?P<file>[\w.-]+\.yml)(?:@(?P<ref>.+))?")
_ACTION = re.compile(r"(?P<where>\.|[\w.-]+/[\w.-]+)/(?P<file>actions/[\w-]+)(?:@(?P<ref>.+))?")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_IMAGE = re.compile(r"docker://.+@sha256:[0-9a-f]{64}")


@cache
def facts() -> JsonDict:
    """File of a reusable workflow, or folder of an action -> `permissions` that the calling job must grant, `jobs` by
    name, `variables` that it reads.

    scripts/workflow_reference.py writes it from the workflows.
    """
    text = (resources.files("weighin.doctor") / "workflows.json").read_text()
    found: dict[str, Any] = json.loads(text)
    return found


@dataclass(frozen=True)
class Call:
    """A job that calls one of our workflows, by the name of the called file, or one of our actions, by its folder."""

    workflow: Workflow
    id: str
    job: Mapping[str, Any]
    where: str
    file: str
    ref: str

    @property
    def place(self) -> str:
        return f"{self.workflow.name}: {self.id}"

    @property
    def given(self) -> JsonObject:
        """Its inputs."""
        found = self.job.get("with")
        return found if isinstance(found, Mapping) else {}

    @property
    def secrets(self) -> Mapping[str, str]:
        """Called secret -> the repository's name of it."""
        found = self.job.get("secrets")
        named = found if isinstance(found, Mapping) else {}
        pairs = {k: re.search(r"secrets\.(\w+)", str(v)) for k, v in named.items()}
        return {str(k): m[1] for k, m in pairs.items() if m}

    @property
    def permissions(self) -> JsonValue:
        """What it grants: its own, else the workflow's, else None."""
        return self.job.get("permissions", self.workflow.value.get("permissions"))

    def check(self, job: str) -> str:
        """Return the name under which a job of the called workflow stands on a pull request."""
        return f"{self.job.get('name', self.id)} / {job}"


@dataclass(frozen=True)
class Workflow:
    """One file; `value` is its YAML with `on` as a mapping of trigger to filters. `problem` where it cannot be read."""

    name: str
    value: Mapping[str, Any]
    problem: str = ""

    @property
    def triggers(self) -> JsonObject:
        found: Mapping[str, Any] = self.value.get("on", {})
        return found

    @property
    def jobs(self) -> Mapping[str, JsonObject]:
        found: Mapping[str, Mapping[str, Any]] = self.value.get("jobs", {})
        return found

    @property
    def calls(self) -> Iterator[Call]:
        """Jobs that call a workflow with the name of one of ours, or in a step an action of ours; whose it is cannot be
        seen, so all of them count.
        """
        for name, job in self.jobs.items():
            for part in (job, *_steps(job)):
                uses = str(part.get("uses", ""))
                found = _OURS.fullmatch(uses) or _ACTION.fullmatch(uses)
                if found and found["file"] in facts():
                    called = {**job, "with": part.get("with")}
                    yield Call(self, str(name), called, found["where"], found["file"], found["ref"] or "")

    @property
    def uses(self) -> Iterator[str]:
        """Everything that its jobs and steps run from elsewhere."""
        for job in self.jobs.values():
            for part in (job, *_steps(job)):
                if part.get("uses"):
                    yield str(part["uses"])


def _steps(job: JsonObject) -> Iterator[JsonObject]:
    steps = job.get("steps")
    yield from (step for step in (steps if isinstance(steps, list) else ()) if isinstance(step, Mapping))


def pinned(uses: str) -> bool:
    """Whether nobody can change what it stands for: of this commit, by a full SHA, or an image by digest."""
    if uses.startswith(("./", "$/")):
        return True
    return bool(_IMAGE.fullmatch(uses) or _SHA.fullmatch(uses.rpartition("@")[2]))


def read_workflows(folder: Path) -> list[Workflow]:
    """All of them, in the order of names."""
    paths = sorted(p for p in (folder / FOLDER).glob("*") if p.suffix in (".yml", ".yaml"))
    return [_read(path) for path in paths]


def _read(path: Path) -> Workflow:
    try:
        value = yaml_value(content(path))
        triggers = value.pop(True, value.pop("on", {}))  # YAML 1.1 reads `on` as true
        if isinstance(triggers, str):
            triggers = [triggers]
        value["on"] = dict.fromkeys(triggers) if isinstance(triggers, list) else dict(triggers)
        if not all(isinstance(job, Mapping) for job in value["jobs"].values()):
            raise ValueError("a job is no mapping")
        return Workflow(path.name, value)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return Workflow(path.name, {}, f"{path.name} cannot be read as a workflow ({type(error).__name__})")
