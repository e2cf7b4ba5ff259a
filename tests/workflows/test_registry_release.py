"""A registry that lives in a release of the repository: the steps that fetch, verify and keep it, as they stand."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from support import workflow_step
from support.workflow_step import StepResult

FETCH = "Fetch the registry that a release of this repository holds"
KEEP = "Keep both, if nobody has kept others since"


def packed(content: str, link: bool = False) -> bytes:
    """A registry as it is kept."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as file:
        entry = tarfile.TarInfo("weighin-registry/mlflow.db")
        entry.size = len(content)
        file.addfile(entry, io.BytesIO(content.encode()))
        if link:
            entry = tarfile.TarInfo("weighin-registry/out")
            entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
            file.addfile(entry)
    return held.getvalue()


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def step(folder: Path, name: str, **given: str) -> StepResult:
    file = "validate.yml" if name == FETCH else "actions/keep-registry"
    environment = {"RELEASE_FOLDER": str(folder / "release"), "TAG": "registry", "REPOSITORY": "team/models"}
    return workflow_step.run(
        folder, workflow_step.named(file, name)["run"], {"gh": workflow_step.GH_RELEASE}, environment | given
    )


@pytest.fixture
def released(tmp_path: Path) -> bytes:
    data = packed("before")
    (tmp_path / "release").mkdir()
    (tmp_path / "release/weighin-registry.tar.gz").write_bytes(data)
    (tmp_path / "release/record.dsse.json").write_text("{}")
    return data


@pytest.fixture
def promoted(tmp_path: Path) -> None:
    for name, file in (("weighin-registry", "mlflow.db"), ("weighin-promotion", "record.dsse.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("after")


def test_what_a_release_holds_is_fetched_with_its_digest(tmp_path: Path, released: bytes) -> None:
    result = step(tmp_path, FETCH)
    assert (result.code, result.outputs) == (0, {"digest": digest(released)}), result.printed
    assert (tmp_path / "weighin-registry/mlflow.db").read_text() == "before"
    assert (tmp_path / "weighin-released/record.dsse.json").is_file()


@pytest.mark.parametrize("there", [True, False])
def test_the_first_run_begins_without_a_registry(there: bool, tmp_path: Path) -> None:
    if there:
        (tmp_path / "release").mkdir()
    result = step(tmp_path, FETCH)
    assert (result.code, result.outputs) == (0, {})
    assert not (tmp_path / "weighin-registry").exists()


def test_a_registry_that_reaches_out_of_its_folder_is_refused(tmp_path: Path, released: bytes) -> None:
    (tmp_path / "release/weighin-registry.tar.gz").write_bytes(packed("x", link=True))
    assert step(tmp_path, FETCH).code != 0
    assert not (tmp_path / "weighin-registry").exists()


def test_a_registry_without_the_record_of_its_promotion_is_refused(tmp_path: Path, released: bytes) -> None:
    (tmp_path / "release/record.dsse.json").unlink()
    assert step(tmp_path, FETCH).code != 0


def test_what_a_promotion_left_is_kept_and_is_what_the_next_run_fetches(
    tmp_path: Path, released: bytes, promoted: None
) -> None:
    result = step(tmp_path, KEEP, BEFORE=digest(released))
    assert result.code == 0, result.printed
    with tarfile.open(tmp_path / "release/weighin-registry.tar.gz") as file:
        read = file.extractfile("weighin-registry/mlflow.db")
        assert read is not None
        assert read.read() == b"after"
    assert (tmp_path / "release/record.dsse.json").read_text() == "after"


def test_the_first_promotion_makes_the_release(tmp_path: Path, promoted: None) -> None:
    assert step(tmp_path, KEEP, BEFORE="").code == 0
    assert sorted(p.name for p in (tmp_path / "release").iterdir()) == ["record.dsse.json", "weighin-registry.tar.gz"]


@pytest.mark.parametrize("before", ["", "sha256:" + "0" * 64])
def test_where_another_run_was_first_nothing_is_kept(
    before: str, tmp_path: Path, released: bytes, promoted: None
) -> None:
    result = step(tmp_path, KEEP, BEFORE=before)
    assert result.code == 1
    assert "Another run has kept a registry since" in result.printed
    assert (tmp_path / "release/weighin-registry.tar.gz").read_bytes() == released


def test_a_promotion_that_was_not_signed_is_not_kept(tmp_path: Path, promoted: None) -> None:
    (tmp_path / "weighin-promotion/record.dsse.json").unlink()
    result = step(tmp_path, KEEP, BEFORE="")
    assert result.code == 1
    assert "was not signed" in result.printed
    assert not (tmp_path / "release").exists()
