"""For the runs of whole workflows, of which several go on at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import workflow_scenarios


@pytest.fixture(autouse=True, scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A folder that the processes of these tests have in common; pytest removes it with its own."""
    own = tmp_path_factory.getbasetemp()
    workflow_scenarios.SHARED.folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a run, which leaves hundreds of MB."""
    yield tmp_path
    shutil.rmtree(tmp_path, ignore_errors=True)
