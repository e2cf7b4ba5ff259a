"""A model's digest: what it holds fast, and how it relates to the manifest of OpenSSF model signing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from model_signing import hashing as model_signing

from weighin.model.subject import artifact_digest
from weighin.runner.artifact import manifest


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As MLflow saves it."""
    import mlflow
    from sklearn.linear_model import LogisticRegression

    folder = tmp_path_factory.mktemp("saved") / "model"
    fitted = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    mlflow.sklearn.save_model(fitted, folder, pip_requirements=[], input_example=[[0.5]])
    return folder


def their_digest(folder: Path) -> str:
    """The subject digest of their statement: over the digests, in the order of the paths."""
    listed = model_signing.hash(folder).resource_descriptors()
    return hashlib.sha256(b"".join(d.digest.digest_value for d in listed)).hexdigest()


def test_each_file_has_the_digest_that_model_signing_gives_it(model: Path) -> None:
    theirs = {d.identifier: f"sha256:{d.digest.digest_hex}" for d in model_signing.hash(model).resource_descriptors()}
    assert theirs == manifest(model)
    assert len(theirs) >= 5


def test_a_file_of_another_name_is_another_model_to_us_and_the_same_to_their_subject(
    model: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "MLmodel").write_text("x")
    (tmp_path / "one/a.bin").write_text("y")
    (tmp_path / "two/b.bin").write_text("y")
    assert their_digest(tmp_path / "one") == their_digest(tmp_path / "two")
    assert artifact_digest(tmp_path / "one") != artifact_digest(tmp_path / "two")


def test_a_signature_that_lies_in_the_folder_is_a_file_of_the_model(model: Path) -> None:
    before = artifact_digest(model)
    (model / "model.sig").write_text("{}")
    assert artifact_digest(model) != before
    (model / "model.sig").unlink()
    assert artifact_digest(model) == before
