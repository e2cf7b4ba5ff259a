"""Each cause for which a registry does not answer has its own sentence and remedy, and an empty one is said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weighin.errors import RegistryError
from weighin.registry.location import EMBEDDED, STORE, tracking_uri
from weighin.registry.remedies import LOOK, explained, must_have_a_scheme

FAILED = "API request to endpoint /api/2.0/mlflow/registered-models/get failed with error code 403 != 200. "
CAUSES = {
    "allowed-hosts": (f"{FAILED}Response body: 'Invalid Host header - possible DNS rebinding'", "PERMISSION_DENIED"),
    "sign-in page": (f"{FAILED}Response body: '\n<!doctype html><html>'", "PERMISSION_DENIED"),
    "no sign-in page": ("API request was successful but the response body was not in a valid JSON format", "X"),
    "migrate-filestore": ("The filesystem tracking backend (e.g., './mlruns') is in maintenance mode", "INVALID"),
    "sqlite:///PATH": ("Model registry functionality is unavailable; got unsupported URI 'ftp://x'", "INVALID"),
    "another permission": (f"{FAILED}Response body: 'Permission denied'", "PERMISSION_DENIED"),
    "that is registered there": ("Model Version (name=m, version=99) not found", "RESOURCE_DOES_NOT_EXIST"),
    "behind a proxy": ("404 page not found", "ENDPOINT_NOT_FOUND"),
    "MLFLOW_TRACKING_TOKEN": ("401", "UNAUTHENTICATED"),
    "does not offer that": (
        "Argument 'filter_string' is unsupported for models in the Unity Catalog.",
        "INTERNAL_ERROR",
    ),
    "docs/reference/registries.md says what works": ("Currently unsupported filter string format", "INVALID_PARAMETER"),
    "Install azureml-mlflow": ("Model registry functionality is unavailable; got unsupported URI 'azureml://x'", "X"),
    "mlflow db upgrade": ("Detected out-of-date database schema (found version 1, but expected 2)", "X"),
    "infer_signature": ("Model passed for registration did not contain any signature metadata.", "X"),
    LOOK: ("Connection refused", ""),
}


@pytest.mark.parametrize("remedy", CAUSES)
def test_a_remedy_fits_its_cause(remedy: str) -> None:
    text, code = CAUSES[remedy]
    said = str(explained(text, code, "http://user:secret@host/"))
    assert remedy in said
    assert (LOOK in said) is (remedy == LOOK)
    assert said.startswith("http://host/: ")
    assert "<" not in said


@pytest.mark.parametrize("uri", ["127.0.0.1:5000", "localhost", "mlflow.example.org", "mlflow:5000/path", "host:80"])
def test_an_address_without_a_scheme_is_said(uri: str) -> None:
    with pytest.raises(RegistryError, match=f"^MLFLOW_REGISTRY_URI: `{uri}` has no scheme. Write http://{uri}."):
        must_have_a_scheme(uri, "MLFLOW_REGISTRY_URI")


@pytest.mark.parametrize(
    "uri", ["http://h:5000", "sqlite:////x/mlflow.db", "databricks", "databricks://p", "uc:x", "./mlruns", "/x/y.z"]
)
def test_other_addresses_have_one(uri: str) -> None:
    must_have_a_scheme(uri, "MLFLOW_REGISTRY_URI")


def test_a_sub_folder_has_the_registry_of_its_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project, below = tmp_path / "project", tmp_path / "project/notebooks/one"
    (project / EMBEDDED).mkdir(parents=True)
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    # A folder without a store is none.
    assert tracking_uri() == f"sqlite:///{below.resolve()}/{EMBEDDED}/{STORE}"
    (project / EMBEDDED / STORE).touch()
    assert tracking_uri() == f"sqlite:///{project.resolve()}/{EMBEDDED}/{STORE}"
    # What another user put above is not the project's.
    with monkeypatch.context() as other:
        other.setattr(os, "getuid", lambda: os.geteuid() + 1)
        assert tracking_uri() == f"sqlite:///{below.resolve()}/{EMBEDDED}/{STORE}"
    # Another project within it has its own.
    (below.parent / "model_contract.yaml").touch()
    assert tracking_uri() == f"sqlite:///{below.resolve()}/{EMBEDDED}/{STORE}"


@pytest.mark.integration
def test_an_empty_registry_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from weighin.registry.mlflow import Registry

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    registry = Registry()
    assert registry.aliases("m") == {}
    with pytest.raises(RegistryError, match=r"the embedded registry is empty: no alias `champion` of `m`.*beside the"):
        registry.resolve("models:/m@champion", tmp_path / "x")
    registry._client.create_registered_model("it's late")
    assert registry.aliases("it's late") == {}
    with pytest.raises(
        RegistryError, match=r"mlflow\.db: no alias `champion` of `m`\. Train and register one first\.$"
    ):
        registry.resolve("models:/m@champion", tmp_path / "x")
