"""What a registry cannot hold is said before anything is written, and what it lacks in a sentence of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import azure_ml
from support.promotion_trials import CALM, Stock, Trial
from support.registry_proxy import Proxy
from weighin.errors import PromotionError, RegistryError
from weighin.record.signature import make_key
from weighin.registry.mlflow import Registry
from weighin.registry.remedies import TOO_OLD
from weighin.release.rollback import rollback

RUNS = tuple((f"r{n}", "", f"sha256:{n:064}") for n in (1, 2))
MODEL = b'{"registered_model": {"name": "fraud", "latest_versions": []}}'


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A server that is nothing but its refusals."""
    with Proxy("http://127.0.0.1:1").running() as running:
        yield running


def trial(uri: str, folder: Path, name: str = "fraud", tracking: str = "") -> Trial:
    make_key(folder / "key")
    return Trial(Stock(uri, RUNS, folder, tracking), name)


def test_a_registry_without_aliases_is_told_apart_before_anything_is_written(proxy: Proxy, tmp_path: Path) -> None:
    proxy.refusal = lambda method, path: azure_ml.without_aliases(method, path) or (200, MODEL)
    of = trial(proxy.uri, tmp_path)
    for deed in (of.promote, lambda: rollback(of.champions(), **CALM)):
        with pytest.raises(
            PromotionError, match=r"has no aliases: no alias can say who is champion.*Nothing was written"
        ):
            deed()
    assert proxy.requests
    assert [line for line in proxy.requests if not line.startswith("GET")] == []


def test_a_registry_that_has_no_such_alias_yet_knows_aliases(proxy: Proxy) -> None:
    proxy.refusal = lambda method, path: (404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no alias"}')
    assert Registry(proxy.uri).has_aliases("fraud", "champion")


def test_the_unity_catalog_server_holds_no_champion_and_no_ledger(tmp_path: Path) -> None:
    # Nobody listens there: what is lacking is known without a request.
    of = trial("uc:http://127.0.0.1:1", tmp_path, "prod.risk.fraud", "http://127.0.0.1:1")
    with pytest.raises(PromotionError) as caught:
        of.promote()
    said = str(caught.value)
    assert "has no aliases and no tags of a version" in said
    assert "no ledger can say who was champion, so there would be no history" in said
    assert "rollback` could not move it back" in said


@pytest.mark.parametrize("name", ["fraud", "risk.fraud", "a.b.c.d"])
def test_a_name_without_three_levels_is_none_in_unity_catalog(name: str, tmp_path: Path) -> None:
    with pytest.raises(PromotionError, match=r"a name has 3 levels\. Write catalog\.schema\.model"):
        trial("databricks-uc", tmp_path, name).promote()


def test_a_server_that_is_too_old_is_named_by_its_release(proxy: Proxy, tmp_path: Path) -> None:
    proxy.refusal = lambda method, path: (200, b"1.30.0") if path.endswith("/version") else (404, b"")
    with pytest.raises(RegistryError) as caught:
        Registry(proxy.uri).resolve("models:/fraud/1", tmp_path / "files")
    assert str(caught.value) == (
        f"{proxy.uri}: MLflow 1.30.0 answers there, and has no /api/2.0/mlflow/model-versions/get. {TOO_OLD}"
    )


@pytest.mark.parametrize("page", [b"<html>", b"x" * 5000, b"", b"not found"])
def test_what_says_no_release_is_no_mlflow(page: bytes, proxy: Proxy, tmp_path: Path) -> None:
    proxy.refusal = lambda method, path: (200, page) if path.endswith("/version") else (404, b"")
    with pytest.raises(RegistryError, match="No MLflow answers there"):
        Registry(proxy.uri).resolve("models:/fraud/1", tmp_path / "files")


def test_a_registry_without_search_that_names_no_newest_version_is_not_believed(proxy: Proxy) -> None:
    version = b'{"model_version": {"name": "fraud", "version": "1"}}'
    proxy.refusal = lambda method, path: (
        (400, json.dumps(azure_ml.FILTER).encode())
        if "search" in path
        else (200, version if "model-versions" in path else MODEL)
    )
    with pytest.raises(RegistryError, match="no search of versions is allowed, and the newest version of `fraud` is"):
        Registry(proxy.uri).entries("fraud")


def test_a_password_is_not_sent_to_learn_the_release(proxy: Proxy, tmp_path: Path) -> None:
    seen = []
    proxy.refusal = lambda method, path: seen.append(path) or (404, b"")
    with pytest.raises(RegistryError) as caught:
        Registry(proxy.uri.replace("://", "://user:secret@")).resolve("models:/fraud/1", tmp_path / "files")
    assert seen[-1] == "/version"
    assert "secret" not in str(caught.value)


def test_the_sentence_about_a_refused_host_fits_what_mlflow_says() -> None:
    from mlflow.server.security_utils import INVALID_HOST_MSG

    from weighin.registry.remedies import explained

    said = str(explained(INVALID_HOST_MSG, "PERMISSION_DENIED", "http://host"))
    assert said.startswith("http://host: the server refuses requests under this host name. Name the host in")
