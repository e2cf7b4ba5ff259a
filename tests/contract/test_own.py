"""Which files are a team's own suites."""

from __future__ import annotations

from pathlib import Path

import pytest

from weighin.contract.own import GATES, own_suites
from weighin.errors import ContractError
from weighin.suites import SUITES


def files(folder: Path, *names: str) -> Path:
    (folder / "validation_tests").mkdir()
    for name in names:
        (folder / "validation_tests" / name).write_text("")
    return folder


def test_the_gates_are_the_suites_that_there_are() -> None:
    assert GATES == SUITES


def test_files_beside_ours_are_the_teams_own(tmp_path: Path) -> None:
    names = ("test_drift.py", "test_load.py", "test_sealed.py", "conftest.py", "helpers.py", "test_b.py", "test_a1.py")
    assert own_suites(files(tmp_path, *names)) == ("a1", "b")


def test_a_folder_without_suites_has_none(tmp_path: Path) -> None:
    assert own_suites(tmp_path) == ()


@pytest.mark.parametrize("name", ["test_.py", "test_a b.py", "test_$(id).py", "test_approvals.py", "test_é.py"])
def test_a_name_that_cannot_be_that_of_a_job_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="cannot be the name of a suite"):
        own_suites(files(tmp_path, name))
