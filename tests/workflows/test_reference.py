"""The page about the reusable workflows is what the workflows say, and they say what each of their parts is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.documentation import script

ROOT = Path(__file__).resolve().parents[2]
ONE_SENTENCE = re.compile(r"\S[^\n]*\.")


reference = script("workflow_reference")
REUSABLE: list[tuple[Path, dict[str, Any]]] = list(reference.reusable(ROOT))


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The workflows and what is generated from them, to be changed."""
    for name in (".github/workflows", "docs/reference", "weighin/doctor"):
        (tmp_path / name).mkdir(parents=True)
    shutil.copytree(ROOT / "actions", tmp_path / "actions")
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        shutil.copy(path, tmp_path / ".github/workflows" / path.name)
    for path in (reference.PAGE, reference.FACTS):
        shutil.copy(ROOT / path, tmp_path / path)
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    return tmp_path


def test_the_committed_page_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("description: Longest time of one job.", "description: Another."),
        ("contents: read # to check out Dockerfile", "contents: read # to see Dockerfile"),
        ("# Decides whether", "# Says whether"),
        ("  gate:\n", "  verdict:\n"),
    ],
)
def test_a_change_of_a_workflow_makes_the_check_fail_and_a_run_mends_it(copy: Path, old: str, new: str) -> None:
    path = copy / ".github/workflows/validate.yml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    before = (copy / reference.PAGE).read_text()
    assert reference.main(["--check"]) == 1
    assert (copy / reference.PAGE).read_text() == before
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0


@pytest.mark.parametrize(("path", "workflow"), REUSABLE, ids=lambda v: v.name if isinstance(v, Path) else "")
def test_every_input_secret_and_output_is_described_in_one_sentence(path: Path, workflow: dict[str, Any]) -> None:
    call = workflow["on"]["workflow_call"]
    for kind in ("inputs", "secrets", "outputs"):
        for name, given in call.get(kind, {}).items():
            said = given.get("description", "")
            assert ONE_SENTENCE.fullmatch(said), f"{path.name}: {kind} {name}: {said!r}"
            assert not re.search(r"\. [A-Z]", said), f"{path.name}: {kind} {name} has more than one sentence"
    for name, given in call.get("inputs", {}).items():
        assert given.get("required") or "default" in given, f"{path.name}: {name} is not required and has no default"


@pytest.mark.parametrize("action", list(reference.actions(ROOT)), ids=lambda v: v[0])
def test_every_input_of_an_action_is_described_and_used(
    action: tuple[str, Path, dict[str, Any], dict[str, str]],
) -> None:
    _, path, value, granted = action
    for name, given in value["inputs"].items():
        assert ONE_SENTENCE.fullmatch(given["description"]), name
        assert given.get("required") or "default" in given, name
        assert f"inputs.{name}" in path.read_text(), name
    assert granted["contents"]
    assert len(reference.purpose(path)) > 40


@pytest.mark.parametrize(("path", "workflow"), REUSABLE, ids=lambda v: v.name if isinstance(v, Path) else "")
def test_every_permission_stands_in_the_page_with_its_reason(path: Path, workflow: dict[str, Any]) -> None:
    granted = {
        (job, name, access) for job, its in workflow["jobs"].items() for name, access in its["permissions"].items()
    }
    said = list(reference.reasons(path))
    assert {row[:3] for row in said} == granted
    assert all(why.startswith("to ") for *_, why in said)
    assert len(reference.purpose(path)) > 40


def test_a_caller_grants_the_most_that_any_job_asks_for() -> None:
    jobs = {"a": {"permissions": {"contents": "read"}}, "b": {"permissions": {"contents": "write", "actions": "read"}}}
    for order in (("a", "b"), ("b", "a")):
        workflow = {"jobs": {name: jobs[name] for name in order}}
        assert reference.needed(workflow) == {"actions": "read", "contents": "write"}
