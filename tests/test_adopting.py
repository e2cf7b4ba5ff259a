"""The page on adopting says what the workflows are: names of checks, variables, secrets, callers that are right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.adopted_project import PAGE, ROOT, adopt, blocks
from weighin.doctor import check_files, check_settings
from weighin.doctor.callers import FOLDER, facts, read_workflows
from weighin.doctor.files import asks
from weighin.doctor.finding import MISSING

WORKFLOWS = read_workflows(ROOT)
TEXTS = {p.name: p.read_text() for p in sorted((ROOT / FOLDER).glob("*.yml"))}


def used(kind: str) -> set[str]:
    """Names after `vars.` or `secrets.`; those in lower case are a called workflow's own, and stand in its page."""
    return {n for text in TEXTS.values() for n in re.findall(rf"\b{kind}\.([A-Z][A-Z0-9_]*)\b", text)}


def table(section: str) -> set[str]:
    found = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found
    return set(re.findall(r"^\| `([A-Z_]+)` \| .+\. \|$", found[1], re.MULTILINE))


def test_the_variables_of_the_page_are_those_that_the_workflows_read() -> None:
    assert table("Variables") == used("vars")


def test_the_secrets_of_the_page_are_those_that_the_workflows_read() -> None:
    assert table("Secrets") == used("secrets") - {"GITHUB_TOKEN"}


def test_every_secret_of_a_called_workflow_is_passed_by_its_name_there() -> None:
    for name, text in TEXTS.items():
        call: Any = yaml.safe_load(text)[True]
        declared = (call.get("workflow_call") or {}).get("secrets", {}) if isinstance(call, dict) else {}
        used_here = set(re.findall(r"\bsecrets\.([\w-]+)", text))
        assert {n for n in used_here if n.islower()} == {n for n in declared if n.islower()}, name
        # A button reads the repository's own by the names that they have there.
        assert set(declared) <= used_here, name


def test_the_required_checks_are_those_that_the_workflows_make() -> None:
    demanded = set(re.findall(r"check\s+\*\*`([^`]+)`\*\*", PAGE))
    (jobs,) = (w.jobs for w in WORKFLOWS if w.name == "ci.yml")
    own = {name for name, job in jobs.items() if set(job.get("needs", ())) == jobs.keys() - {name}}
    called = {call.check("gate") for call in asks(WORKFLOWS)}
    assert all("gate" in facts()[call.file]["jobs"] for call in asks(WORKFLOWS))
    assert demanded == called | own == {"validate / gate", "ci"}


@pytest.mark.parametrize("way", ["Call", "Fork", "Copy"])
def test_the_callers_of_the_page_hold_before_the_doctor_and_before_actionlint(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt(tmp_path, way)
    workflows = read_workflows(tmp_path)
    assert {c.check("gate") for c in asks(workflows)} == {"validate / gate"}
    found = check_files(tmp_path, tmp_path / "model_contract.yaml", workflows)
    assert [str(f) for f in found if f.status == MISSING] == []
    paths = [str(tmp_path / name) for name in blocks(way)]
    ran = subprocess.run(
        [Path(sys.executable).parent / "actionlint", *paths], capture_output=True, text=True, timeout=60, check=False
    )
    complaints = [line for line in ran.stdout.splitlines() if re.match(r"\S+:\d+:\d+: ", line)]
    assert [c for c in complaints if "could not read reusable workflow file" not in c] == []


def test_every_check_of_the_doctor_stands_in_the_page_and_no_other(tmp_path: Path) -> None:
    adopt(tmp_path)
    found = check_files(tmp_path, tmp_path / "model_contract.yaml", read_workflows(tmp_path))
    found += check_settings(None, "", [])
    section = PAGE[PAGE.index("## Doctor") :]
    rows = re.findall(r"^\| ((?:`[a-z-]+`(?:, )?)+) \|", section, re.MULTILINE)
    assert [n for row in rows for n in re.findall(r"`([a-z-]+)`", row)] == [f.check for f in found]


def test_every_link_of_the_page_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE):
        assert (ROOT / "docs/how-to" / target).exists(), target
    champions = {t.lower().replace(" ", "-") for t in re.findall(r"^## (.+)$", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= champions
