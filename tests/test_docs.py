"""What the pages say is so: links, generated references, contracts, decisions, and the length of the README."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.documentation import DOCS, FENCE, ROOT, anchors, links, pages, script
from weighin.contract import checks, read_contract
from weighin.outcome import Direction, Limit, Measurement, Unmeasured, decide

CONTRACT, CLI, SITE = (script(name) for name in ("contract_reference", "cli_reference", "build_site"))
KEYS = [(m, name, key) for m in CONTRACT.sections() for name, key in m.model_fields.items()]
NAMES_PAGES = (".py", ".md", ".yml", ".yaml", ".rego", ".json", ".txt")
CONTRACTS = DOCS / "reference/contracts"


@pytest.mark.parametrize("page", pages(), ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        if ":" in path:
            continue
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{target}: no such file"
        assert not anchor or place.suffix != ".md" or anchor in anchors(place), f"{target}: no such heading"


def test_every_page_that_a_message_or_a_comment_names_is_there() -> None:
    folders = ("weighin", "scripts", "benchmarks", "examples", "policy", ".github", "validation_tests")
    files = [p for name in folders for p in (ROOT / name).rglob("*") if p.suffix in NAMES_PAGES and p.is_file()]
    files += [ROOT / name for name in ("Dockerfile", "Makefile", "model_contract.yaml", "pyproject.toml", ".ci/run")]
    named = {
        (str(path.relative_to(ROOT)), page)
        for path in files
        for page in re.findall(r"(?<![\w/-])docs/[\w/-]+\.md", path.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    assert sorted(pair for pair in named if not (ROOT / pair[1]).is_file()) == []


def test_every_page_of_the_documentation_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    named = set(re.findall(r"([\w/-]+\.md)$", text, re.MULTILINE))
    notes = {f"decisions/{path.name}" for path in (DOCS / "decisions").glob("2*.md")}
    assert named == {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")} - notes
    listed = set(re.findall(r"\((2[\w-]+\.md)\)", (DOCS / "decisions/README.md").read_text()))
    assert {f"decisions/{name}" for name in listed} == notes


@pytest.mark.parametrize("reference", [CONTRACT, CLI], ids=["contract", "commands"])
def test_a_generated_reference_is_what_the_code_says(reference: Any) -> None:
    assert reference.main(["--check"]) == 0, "run `python scripts/contract_reference.py` and `scripts/cli_reference.py`"


def test_a_reference_that_is_out_of_date_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for reference in (CONTRACT, CLI):
        text = (ROOT / reference.PAGE).read_text()
        monkeypatch.setattr(reference, "ROOT", tmp_path)
        (tmp_path / reference.PAGE).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / reference.PAGE).write_text(text.replace("| `", "| `x", 1))
        monkeypatch.setattr(reference, "page", lambda text=text: text)
        assert reference.main(["--check"]) == 1
        assert reference.main([]) == 0
        assert (tmp_path / reference.PAGE).read_text() == text


@pytest.mark.parametrize(("model", "name", "key"), KEYS, ids=[f"{m.__name__}.{n}" for m, n, _ in KEYS])
def test_every_key_of_the_contract_has_a_meaning_and_a_unit(model: Any, name: str, key: Any) -> None:
    assert len(key.description or "") > 4, "give the field a description"
    CONTRACT.unit(model, name, key)  # raises for a number without one


def test_a_key_that_came_later_says_so() -> None:
    class Later(CONTRACT.BaseModel):  # type: ignore[name-defined,misc]
        new: int = CONTRACT.FieldInfo(default=1, json_schema_extra={"since": "0.2.0"})

    assert CONTRACT.since(Later.model_fields["new"]) == "0.2.0"
    assert {CONTRACT.since(key) for _, _, key in KEYS} == {CONTRACT.FIRST}
    assert f"All keys are there since {CONTRACT.FIRST}." in (ROOT / CONTRACT.PAGE).read_text()


def test_every_argument_of_every_command_is_explained() -> None:
    for name, command in CLI.commands():
        assert command.description, name
        for cells in CLI.rows(command):
            assert cells[2], f"weighin {name}: {cells[0]} has no help"


def test_the_contracts_to_copy_are_contracts() -> None:
    minimal, full = (read_contract(CONTRACTS / f"{name}.yaml") for name in ("minimal", "full"))
    assert len(minimal.path.read_text().splitlines()) == 20
    gates = type(full.contract.gates).model_fields
    assert all(getattr(full.contract.gates, name) is not None for name in gates)
    written = set(yaml.safe_load(full.path.read_text()))
    assert written == set(type(full.contract).model_fields)
    assert {c.suite for c in checks(minimal.contract)} < {c.suite for c in checks(full.contract)}


@pytest.mark.parametrize("page", sorted((DOCS / "reference/gates").glob("*.md")), ids=lambda p: p.stem)
def test_a_page_of_a_gate_says_what_to_do_when_it_is_red(page: Path) -> None:
    text = page.read_text()
    if page.stem == "index":
        gates = set(re.findall(r"\((\w[\w-]*)\.md\)", text))
        assert gates == {p.stem for p in page.parent.glob("*.md")} - {"index"}
        return
    assert "## When it is red" in text
    assert "contract.md#" in text


def test_the_examples_of_decisions_are_decided_as_they_say() -> None:
    page = (DOCS / "how-to/read-a-decision.md").read_text()
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    assert [s["status"] for s in shown] == ["passed", "failed", "inconclusive", "not_evaluated"]
    for example in shown:
        given = example["limit"]
        limit = Limit(
            Direction(given["direction"]),
            given["value"],
            given["alpha"],
            severity=given["severity"],
            when_inconclusive=given["when_inconclusive"],
        )
        evidence = example["evidence"]
        measured = Measurement("c", **evidence) if evidence else Unmeasured("c", example["reason"])
        outcome = decide(measured, limit)
        assert (outcome.status.value, outcome.blocks) == (example["status"], example["blocks"])


def test_every_key_of_a_record_is_listed() -> None:
    page = (DOCS / "reference/record.md").read_text()
    schema = json.loads((DOCS / "schema/decision-v1.schema.json").read_text())
    listed = set(re.findall(r"`(\w+)`", page[: page.index("An outcome is one check")]))
    assert set(schema["properties"]) <= listed


def test_the_readme_is_short_and_shows_the_three_doors() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    for needed in (
        "make validate",
        "make test",
        "docs/images/flow.svg",
        "## Install",
        "**fork**",
        "**call**",
        "**review**",
    ):
        assert needed in text


def test_links_that_leave_the_pages_lead_into_the_repository() -> None:
    text = (
        "[a](../README.md) [b](how-to/adopting.md) [c](#x) [d](https://example.org) [e](../examples/caller/monitor.yml)"
    )
    assert SITE.staged(text, "docs/index.md", "https://host/o/r") == (
        "[a](https://host/o/r/blob/main/README.md) [b](how-to/adopting.md) [c](#x) [d](https://example.org) "
        "[e](https://host/o/r/blob/main/examples/caller/monitor.yml)"
    )


def test_nothing_is_loaded_from_another_host() -> None:
    settings = (ROOT / "mkdocs.yml").read_text()
    assert "font: false" in settings
    for path in DOCS.rglob("*.md"):
        assert not re.findall(r"!\[[^\]]*\]\(https?:", FENCE.sub("", path.read_text())), path
    for path in DOCS.rglob("*.css"):
        assert not re.findall(r"https?:", path.read_text()), path
