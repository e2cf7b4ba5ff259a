"""Without a champion the contract must allow a first release, and both answers say what that means."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from support.evidence_files import ROOT
from weighin.contract import read_contract
from weighin.errors import ContractError
from weighin.resolve import models

TEXT = (ROOT / "model_contract.yaml").read_text()


@pytest.fixture(autouse=True)
def nobody_is_champion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "Registry", lambda: SimpleNamespace(aliased=lambda *_: None))
    monkeypatch.setattr(models.ChampionRegistry, "demand_first_release", lambda _: None)


def champion(folder: Path, text: str) -> object:
    path = folder / "model_contract.yaml"
    path.write_text(text)
    return models._champion(read_contract(path), None, folder / "champion")


def test_a_contract_that_does_not_allow_it_is_told_what_it_must_say(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as refused:
        champion(tmp_path, TEXT)
    said = str(refused.value)
    assert "first release: `flight-delay` has no alias `champion`, so the candidate is compared with nothing" in said
    assert "If no version was released before, write `first_release: allow` under `gates.performance`" in said
    assert "otherwise name the version that serves with --champion" in said


def test_a_contract_that_says_so_is_a_first_release(tmp_path: Path) -> None:
    allowed = TEXT.replace("    threshold: 0.3 ", "    first_release: allow\n    threshold: 0.3 ")
    assert champion(tmp_path, allowed) is None
