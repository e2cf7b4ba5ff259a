"""What a pull request changes in the rules is shown, whatever is lenient decides nothing, and nobody reads a link."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from support.contract_texts import PLANNED
from support.evidence_files import ROOT, Case
from weighin.canonical import write_json
from weighin.cli import main
from weighin.contract import read_contract
from weighin.contract.changes import FILE, Changes, FileChange, Review, changes
from weighin.contract.stricter import LimitChange
from weighin.errors import ContractError, EvidenceError
from weighin.outcome import Status
from weighin.report import markdown

TEXT = (ROOT / "model_contract.yaml").read_text()


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A head, which is the current folder, with a checkout of the base in it as the workflow makes it."""
    for root in (tmp_path, tmp_path / "weighin-base"):
        for name in ("validation_tests/test_drift.py", ".github/workflows/release.yml", "weighin/x.py", "src/free.py"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text("a")
        (root / "Dockerfile").write_text("FROM a")
        (root / "model_contract.yaml").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path, tmp_path / "weighin-base"


REVIEW = Review("c" * 40, "a-maintainer")


def found(base: Path, review: Review | None = None) -> Changes:
    return changes(read_contract(Path("model_contract.yaml")), base, review=review)[0]


def test_two_equal_sides_have_no_changes(sides: tuple[Path, Path]) -> None:
    assert found(sides[1]) == Changes(())


def test_every_file_is_listed_with_what_it_is_for(sides: tuple[Path, Path]) -> None:
    head, base = sides
    (head / "validation_tests/test_drift.py").write_text("b")
    (head / "validation_tests/test_more.py").write_text("b")
    (head / ".github/workflows/release.yml").unlink()
    (head / "Dockerfile").write_text("FROM b")
    (head / "src/free.py").write_text("b")
    (head / "model_contract.yaml").write_text(TEXT + "\n# a comment\n")
    assert {(f.kind, f.path, f.how) for f in found(base).files} == {
        ("suites", "validation_tests/test_drift.py", "changed"),
        ("suites", "validation_tests/test_more.py", "added"),
        ("workflows", ".github/workflows/release.yml", "removed"),
        ("image", "Dockerfile", "changed"),
        ("contract", "model_contract.yaml", "changed"),
        ("code", "src/free.py", "changed"),
    }


def test_a_link_is_compared_as_one_and_not_read(sides: tuple[Path, Path]) -> None:
    head, base = sides
    (head / "weighin/x.py").unlink()
    (head / "weighin/x.py").symlink_to("/etc/passwd")
    assert found(base).files == (FileChange("engine", "weighin/x.py", "changed"),)


def test_limits_of_both_contracts_are_compared(sides: tuple[Path, Path]) -> None:
    (sides[0] / "model_contract.yaml").write_text(TEXT.replace("roc_auc, at_least: 0.65", "roc_auc, at_least: 0.6"))
    told, both = changes(read_contract(Path("model_contract.yaml")), sides[1], review=None)
    before, after = "≥ 0.65 at alpha 0.05", "≥ 0.6 at alpha 0.05"
    assert told.limits == (LimitChange("performance/roc_auc", "relaxed", before, after),)
    assert both is not None
    told, both = changes(read_contract(Path("model_contract.yaml")), sides[1], review=REVIEW)
    assert both is None
    assert told.review == REVIEW


def test_a_new_contract_has_nothing_to_be_compared_with(sides: tuple[Path, Path]) -> None:
    (sides[1] / "model_contract.yaml").unlink()
    assert found(sides[1]).note == "model_contract.yaml is new: there is nothing to compare it with"


def test_a_base_that_cannot_be_read_is_an_error(sides: tuple[Path, Path], tmp_path: Path) -> None:
    (sides[1] / "model_contract.yaml").write_text("model: [")
    with pytest.raises(ContractError, match="not valid YAML"):
        found(sides[1])
    with pytest.raises(ContractError, match="no such checkout"):
        found(tmp_path / "nothing")


def test_changes_are_read_as_they_were_written(tmp_path: Path) -> None:
    told = Changes((FileChange("image", "Dockerfile", "added"),), (LimitChange("a", "added", "", "x"),), ("group",))
    write_json(tmp_path / FILE, told.value())
    assert Changes.read(tmp_path / FILE) == told
    assert Changes.read(tmp_path / "no.json") is None
    write_json(tmp_path / FILE, {"schema": "weighin/changes/v2", "files": [{}]})
    with pytest.raises(EvidenceError, match="damaged"):
        Changes.read(tmp_path / FILE)


def test_a_pull_request_that_removes_a_suite_of_the_teams_own_still_needs_it(sides: tuple[Path, Path]) -> None:
    head, base = sides
    (base / "validation_tests/test_extra.py").write_text("def test_one():\n    pass\n")
    file = read_contract(head / "model_contract.yaml")
    case = Case(head / "reports", file).write()
    told, both = changes(file, base, review=None)
    assert FileChange("suites", "validation_tests/test_extra.py", "removed") in told.files
    assert case.decision().status is Status.PASSED
    decision = case.decision(base=both)
    assert decision.status is Status.NOT_EVALUATED
    assert any(s.startswith("suite extra: ") for s in decision.messages)
    # A maintainer has looked at it.
    assert changes(file, base, review=REVIEW)[1] is None


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("examples/flights/data/holdout.parquet", "data"),
        ("conftest.py", "suites"),
        ("validation_tests/deep/conftest.py", "suites"),
        ("pytest.ini", "suites"),
        ("great_expectations/plugins/evil.py", "suites"),
        ("metric.py", "metrics"),
        ("users.py", "metrics"),
        ("policy/release.rego", "policy"),
        (".github/CODEOWNERS", "owners"),
        ("actions/comment/action.yml", "workflows"),
        ("actions/image-ready.sh", "workflows"),
        ("actions/retention/model.py", "code"),
        ("requirements.txt", "requirements"),
        ("scripts/train.py", "code"),
        ("argparse.py", "code"),
        ("docs/page.md", "other"),
    ],
)
def test_no_file_changes_in_silence(path: str, kind: str, sides: tuple[Path, Path]) -> None:
    head, _ = sides
    contract = TEXT.replace(
        "  performance:\n", "  performance:\n    custom: {own: {function: 'metric:f', unit: x}}\n", 1
    )
    contract = contract.replace("  load:\n", "  load:\n    locustfile: users.py\n", 1)
    for root in sides:
        (root / "model_contract.yaml").write_text(contract)
    (head / path).parent.mkdir(parents=True, exist_ok=True)
    (head / path).write_text("changed")
    assert (kind, path) in {(f.kind, f.path) for f in found(sides[1]).files}
    summary = markdown.summary(Case(head / "reports").write().record(), found(sides[1]))
    lines = [line for line in summary.splitlines() if f"`{path}`" in line]
    assert lines[-1].startswith("- "), summary
    deciding = kind in ("data", "suites", "metrics", "policy")
    warned = [line for line in summary.splitlines()[:6] if line.startswith("⚠️ This pull request changes what decides")]
    assert [f"`{path}`" in line for line in warned] == [True] * deciding


@pytest.mark.parametrize(
    "path", ["labels/plan.json", "labels/plan.csv", "labels/plan.parquet", "given/one.csv", "given/deep/two.csv"]
)
def test_a_label_plan_and_its_labels_decide(path: str, sides: tuple[Path, Path]) -> None:
    head, base = sides
    (base / "model_contract.yaml").write_text(PLANNED)
    (head / "model_contract.yaml").write_text(PLANNED)
    for root in sides:
        (root / path).parent.mkdir(parents=True)
        (root / path).write_text("a")
    assert found(base).deciding == ()
    (head / path).write_text("b")
    assert found(base).deciding == (FileChange("data", path, "changed"),)
    # A contract that no longer names them does not free them.
    (head / "model_contract.yaml").write_text(
        PLANNED.replace("labels/plan", "other/plan").replace("given: given", "given: x")
    )
    assert FileChange("data", path, "changed") in found(base).deciding


# --- as a reviewer sees it


@pytest.mark.integration
def test_a_pull_request_that_relaxes_a_limit_is_judged_by_the_old_one_and_says_so(
    sides: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    head, base = sides
    (head / "model_contract.yaml").write_text(TEXT.replace("roc_auc, at_least: 0.65", "roc_auc, at_least: 0.5"))
    case = Case(head / "reports", read_contract(head / "model_contract.yaml")).write()
    case.subject.write(head / ".weighin/work/subject.json")
    shutil.rmtree(head / "reports/none", ignore_errors=True)
    assert main(["step", "verdict", "reports"]) == 0
    assert main(["step", "verdict", "reports", "--base", str(base), "--annotate"]) == 1
    said = capsys.readouterr()
    assert "::error file=model_contract.yaml,line=" in said.out
    assert "title=performance/roc_auc%3A failed" in said.out
    summary = (head / "reports/summary.md").read_text()
    assert summary.startswith("## ❌ Failed: flight-delay version 2 may not replace version 1")
    assert "limits that are more lenient, or cannot be compared: the stricter of both decides" in summary
    assert "- `performance/roc_auc` relaxed: ≥ 0.65 at alpha 0.05 → ≥ 0.5 at alpha 0.05" in summary
    assert (
        summary.index("1 cause, 1 check") < summary.index("**This pull request changes**") < summary.index("<details>")
    )
    assert main(["step", "comment", "reports/record.json"]) == 0
    comment = (head / "comment.md").read_text()
    assert comment.startswith("<!-- weighin -->\n## ❌")
    assert "`performance/roc_auc` relaxed" in comment
    # A maintainer has looked at it.
    assert (
        main(["step", "verdict", "reports", "--base", str(base), "--reviewed-commit", "c" * 40, "--reviewed-by", "x"])
        == 0
    )
    summary = (head / "reports/summary.md").read_text()
    assert "a maintainer has reviewed them, and they decide" in summary
    assert "Reviewed by x at commit `cccccccccccc`" in summary
    record = json.loads((head / "reports/record.json").read_text())
    assert record["run"]["review"] == {"commit": "c" * 40, "by": "x"}
    assert main(["verify", "reports/record.json"]) == 0
    # Without a base nothing is left of the changes of an earlier run.
    assert main(["step", "verdict", "reports"]) == 0
    assert not (head / "reports" / FILE).exists()


def test_hostile_names_are_shown_and_do_nothing(tmp_path: Path) -> None:
    name = "weighin/`|<b>@team\n::error::.py"
    told = Changes((FileChange("engine", name, "added"),), (), (name,), note=name)
    text = markdown.summary(Case(tmp_path / "reports").write().record(), told)
    section = text[text.index("changes what decides") :]
    for harm in ("<b>", "\n::", " @team", "::error::"):
        assert harm not in section, harm


@pytest.mark.parametrize("most", [markdown.COMMENT_BYTES, markdown.BYTES])
def test_no_blocking_check_is_ever_lost(most: int, tmp_path: Path) -> None:
    record = Case(tmp_path / "reports").write().record()
    one = json.dumps(next(o for s in record["suites"] for o in s["outcomes"] if o["check"] == "drift/temp"))
    many = []
    for number in range(900):
        outcome = {**json.loads(one), "check": f"drift/a-column-with-a-long-name-{number}"}
        many.append(outcome | {"status": "failed", "blocks": True, "reason": "r" * 500})
    record["suites"][2]["outcomes"] = many
    text = markdown.summary(record, most=most)
    assert len(text.encode()) <= most
    assert all(f"`drift/a-column-with-a-long-name-{number}`" in text for number in range(900))
