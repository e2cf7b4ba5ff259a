"""The files around the code: owners, forms, templates and hooks are what the platform and our own doctor accept."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from weighin.cli import main
from weighin.contract import read_contract
from weighin.contract.changes import named_files
from weighin.doctor.owners import read_owners

ROOT = Path(__file__).resolve().parent.parent
FORMS = sorted(p for p in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if p.name != "config.yml")
HOOKS = ROOT / ".pre-commit-config.yaml"


def tool(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program that stands beside this interpreter."""
    program = str(Path(sys.executable).with_name(command[0]))
    return subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_our_own_doctor_finds_an_owner_for_all_that_decides(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    for name in ("GITHUB_TOKEN", "WEIGHIN_GITHUB_TOKEN", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    main(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)["findings"]
    (owners,) = [f for f in findings if f["check"] in ("codeowners", "codeowners")]
    assert owners["status"] == "ok", owners
    assert [f["check"] for f in findings if f["status"] == "missing"] == []


def test_the_files_that_make_a_release_have_an_owner_too() -> None:
    owners = read_owners(ROOT)
    assert owners is not None
    file = read_contract(ROOT / "model_contract.yaml")
    named = [p for patterns in named_files(file.path.name, file.contract).values() for p in patterns]
    assert named
    for path in ("scripts/release.py", "pyproject.toml", ".github/workflows/publish.yml", "requirements-dev.txt"):
        assert owners.of(path), path


@pytest.mark.parametrize("form", FORMS, ids=lambda p: p.stem)
def test_a_form_for_issues_is_valid_and_asks_for_no_data(form: Path) -> None:
    ran = tool("check-jsonschema", "--builtin-schema", "vendor.github-issue-forms", str(form))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    parts = yaml.safe_load(form.read_text())["body"]
    asked = [p for p in parts if p["type"] != "markdown"]
    assert len({p["id"] for p in asked}) == len(asked)
    assert any(p.get("validations", {}).get("required") for p in asked)


def test_issues_are_of_three_kinds_and_a_weakness_is_none() -> None:
    assert [p.stem for p in FORMS] == ["bug", "feature", "wrong-decision"]
    config = ROOT / ".github/ISSUE_TEMPLATE/config.yml"
    ran = tool("check-jsonschema", "--builtin-schema", "vendor.github-issue-config", str(config))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    value = yaml.safe_load(config.read_text())
    assert value["blank_issues_enabled"] is False
    assert value["contact_links"][0]["url"].endswith("/security/advisories/new")


def test_the_trust_model_has_ten_lines_and_names_the_page() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    section = text.partition("## The trust model in ten lines")[2]
    assert re.findall(r"^(\d+)\. ", section, re.MULTILINE) == [str(n) for n in range(1, 11)]
    assert "(docs/explanation/trust.md)" in section
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / link).is_file(), link


def test_every_box_of_the_pull_request_template_names_something_that_exists() -> None:
    text = (ROOT / ".github/pull_request_template.md").read_text()
    boxes = re.findall(r"^- \[ \] (.+)$", text, re.MULTILINE)
    assert len(boxes) >= 4
    for name in re.findall(r"\b(?:docs|scripts)/[\w./-]+\w|CHANGELOG\.md", "\n".join(boxes)):
        assert (ROOT / name).is_file(), name


def test_the_hooks_are_valid() -> None:
    ran = tool("pre-commit", "validate-config", str(HOOKS))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_hook_runs_a_program_of_the_virtual_environment_and_downloads_nothing() -> None:
    repositories = yaml.safe_load(HOOKS.read_text())["repos"]
    assert [r["repo"] for r in repositories] == ["local"]
    for hook in repositories[0]["hooks"]:
        assert hook["language"] == "system", hook["id"]
        program = hook["entry"].split()[0]
        assert program.startswith(".venv/bin/"), hook["id"]
        assert Path(sys.executable).with_name(Path(program).name).exists(), f"{hook['id']}: {program} is not installed"
        assert re.compile(hook.get("files", "")), hook["id"]


def test_every_hook_has_files_to_look_at() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    names = listed.stdout.splitlines()
    for hook in yaml.safe_load(HOOKS.read_text())["repos"][0]["hooks"]:
        if "files" in hook:
            assert any(re.search(hook["files"], name) for name in names), hook["id"]
