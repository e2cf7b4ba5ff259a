"""What only people know of a model: `contract check` demands it where a contract asks for documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.documents import CARD, CONTRACT
from support.evidence_files import ROOT
from weighin.cli import main
from weighin.contract import read_contract
from weighin.contract.card import Card
from weighin.contract.stricter import compare

KEYS = ("purpose", "owner", "out_of_scope", "contact", "licence")


def check(folder: Path, text: str) -> int:
    """Return the exit code of `weighin contract check` for a contract beside the example's data."""
    path = folder / "model_contract.yaml"
    path.write_text(text.replace("examples/", f"{ROOT}/examples/"), encoding="utf-8")
    return main(["contract", "check", "--contract", str(path), "--work", str(folder)])


def test_a_contract_without_a_card_is_asked_for_nothing(tmp_path: Path) -> None:
    assert check(tmp_path, CONTRACT) == 0


def test_a_whole_card_is_accepted(tmp_path: Path) -> None:
    assert check(tmp_path, CONTRACT + CARD) == 0


@pytest.mark.parametrize("key", KEYS)
def test_each_key_of_a_card_is_demanded_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    card = "".join(line for line in CARD.splitlines(keepends=True) if not line.startswith(f"  {key}:"))
    assert check(tmp_path, CONTRACT + card) == 4
    line = CONTRACT.count("\n") + 2
    said = capsys.readouterr().err
    assert f"model_contract.yaml:{line}: `{key}` is missing in card. Add it." in said
    assert said.count("is missing in card") == 1


def test_an_empty_card_lacks_every_key() -> None:
    assert Card().absent == KEYS


def test_a_card_that_lacks_a_key_stops_no_validation(tmp_path: Path) -> None:
    path = tmp_path / "model_contract.yaml"
    path.write_text(f"{CONTRACT}\ncard: {{owner: somebody}}\n", encoding="utf-8")
    card = read_contract(path).contract.card
    assert card is not None
    assert card.owner == "somebody"


def test_a_changed_card_changes_nothing_that_is_measured(tmp_path: Path) -> None:
    read = []
    for name, text in (("a.yaml", CONTRACT), ("b.yaml", CONTRACT + CARD)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        read.append(read_contract(tmp_path / name).contract)
    found = compare(*read)
    assert (found.measured, found.lenient) == ((), False)
