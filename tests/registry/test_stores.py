"""What each kind of registry accepts: names, tags, addresses; nothing is started here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighin.contract import read_contract
from weighin.errors import RegistryError
from weighin.registry.companions import Kind, companion
from weighin.registry.location import experiment_name, registry_uri, tracking_beside
from weighin.registry.stores import AZURE, MLFLOW, OTHER, UNITY_CATALOG, WORKSPACE, Store, store_of
from weighin.registry.tag_names import meant, stored, stored_key

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/reference/registries.md").read_text()
KINDS: tuple[Kind, ...] = ("ledger", "holdout-uses", "monitor")
ALLOWED = {
    "MLflow": (MLFLOW, "fraud", r"[^/:]{1,256}"),
    "Unity Catalog": (UNITY_CATALOG, "prod.risk.fraud", r"[^./ \x00-\x1f]{1,255}(\.[^./ \x00-\x1f]{1,255}){2}"),
    "workspace": (WORKSPACE, "fraud", r"[^/:.]{1,256}"),
    "Azure": (AZURE, "fraud-2", r"[A-Za-z0-9][\w.-]{0,254}"),
}
"""Registry, a model's name in it, and the names that it allows."""
OURS = ("weighin.ledger.entry", "weighin.holdout-use.result", "weighin.suite.data_quality", "weighin.ledger.claim.0f")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("registry", ALLOWED)
def test_companions_have_names_that_the_registry_allows(registry: str, kind: Kind) -> None:
    store, model, allowed = ALLOWED[registry]
    assert re.fullmatch(allowed, companion(model, kind, store))
    assert companion(model, kind, store) != model


@pytest.mark.parametrize("store", [MLFLOW, UNITY_CATALOG], ids=lambda s: s.title)
def test_a_ledger_that_the_contract_names_gives_the_others_their_names(store: Store) -> None:
    names = [companion("a.b.c", kind, store, "gov.ml.c_ledger") for kind in KINDS]
    assert names[0] == "gov.ml.c_ledger"
    assert [n.removeprefix("gov.ml.c_ledger").strip("._").replace("_", "-") for n in names[1:]] == list(KINDS[1:])


def test_a_name_that_is_too_long_to_be_derived_is_to_be_written_in_the_contract() -> None:
    model = f"prod.risk.{'f' * 250}"
    with pytest.raises(
        RegistryError, match=r"allows 255\. Name it in the contract: `model: \{ledger: \{name: ...\}\}`"
    ):
        companion(model, "ledger", UNITY_CATALOG)
    assert companion(model, "ledger", UNITY_CATALOG, "prod.risk.l") == "prod.risk.l"


def test_the_contract_names_the_ledger() -> None:
    assert (
        read_contract(ROOT / "docs/reference/contracts/full.yaml").contract.model.ledger.name == "loan-default.ledger"
    )
    assert read_contract(ROOT / "model_contract.yaml").contract.model.ledger.name is None


@pytest.mark.parametrize("key", OURS)
def test_our_keys_are_plain_where_they_must_be_and_read_back(key: str) -> None:
    assert re.fullmatch(r"\w{1,255}", stored_key(key, UNITY_CATALOG))
    assert meant(stored({key: "x"}, UNITY_CATALOG), UNITY_CATALOG) == {key: "x"}
    assert stored({key: "x"}, MLFLOW) == {key: "x"}


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.sampled_from(OURS), st.integers(0, 3500)))
def test_values_of_any_length_read_back_and_no_part_is_too_long(lengths: dict[str, int]) -> None:
    tags = {key: ("what went wrong, " * 250)[:letters] for key, letters in lengths.items()}
    kept = stored(tags, UNITY_CATALOG)
    assert all(len(value) <= 1000 for value in kept.values())
    assert meant(kept, UNITY_CATALOG) == tags


def test_tags_of_others_are_left_as_they_are() -> None:
    theirs = {"team.name": "x", "a__part2": "y", "mlflow.source": "z"}
    assert stored(theirs, UNITY_CATALOG) == meant(theirs, UNITY_CATALOG) == theirs
    # A part without what it goes on from is a tag of its own, not a piece of another.
    assert meant({"weighin__x__part7": "z"}, UNITY_CATALOG) == {"weighin.x.part7": "z"}


@pytest.mark.parametrize("uri", ["some-plugin://host", "s3-registry:/x", "file:///x"])
def test_a_registry_that_nobody_knows_is_given_what_all_accept(uri: str) -> None:
    assert store_of(uri) is OTHER
    assert (OTHER.joint, OTHER.plain_keys, OTHER.holds_models_only) == ("_", True, True)


def test_the_registry_is_beside_the_runs_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://runs:5000")
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    assert registry_uri() == "http://runs:5000"
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "databricks-uc://profile")
    assert registry_uri() == "databricks-uc://profile"
    assert tracking_beside(registry_uri()) == "databricks://profile"


@pytest.mark.parametrize("tracking", ["databricks", "databricks://profile"])
def test_beside_databricks_it_is_unity_catalog(tracking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    assert registry_uri(tracking) == tracking.replace("databricks", "databricks-uc")


def test_experiments_on_databricks_are_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEIGHIN_EXPERIMENT_FOLDER", raising=False)
    assert experiment_name("weighin-ledger", "databricks") == "/Shared/weighin-ledger"
    monkeypatch.setenv("WEIGHIN_EXPERIMENT_FOLDER", "/Workspace/ml/")
    assert experiment_name("weighin-ledger", "databricks://p") == "/Workspace/ml/weighin-ledger"
    assert experiment_name("weighin-ledger", "https://databricks.example.org") == "weighin-ledger"


REFUSED_SOMEWHERE = {
    "search_registered_models": "max_results=1",
    "search_logged_models": None,
    "get_logged_model": None,
    "get_latest_versions": None,
    "transition_model_version_stage": None,
    "get_model_version_stages": None,
}
"""Calls of MLflow's client that some registry refuses, and with which arguments one is used all the same."""


@pytest.mark.parametrize("call", REFUSED_SOMEWHERE)
def test_no_call_is_made_that_a_registry_refuses(call: str) -> None:
    sources = [path.read_text() for path in (ROOT / "weighin").rglob("*.py") if "suites" not in path.parts]
    found = [given for text in sources for given in re.findall(rf"\.{call}\(([^)]*)\)", text)]
    # By an embedded registry alone, to say that it is empty.
    assert found == ([] if REFUSED_SOMEWHERE[call] is None else [REFUSED_SOMEWHERE[call]])


def test_the_page_promises_what_is_tested() -> None:
    tests = (ROOT / "tests/registry/test_every_registry.py").read_text()
    rows = [[c.strip() for c in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("|")]
    (head,) = [row for row in rows if row[0] == "registry" and row[1] == "validate"]
    assert head[1:6] == ["validate", "promote", "history", "rollback", "monitor"]
    promised = {row[0]: row[1:6] for row in rows if len(row) == 7 and row[0] != "registry"}
    tested = re.findall(r'^    "([^"]+)": \(', tests, re.MULTILINE)
    assert {name for name, cells in promised.items() if all(c.startswith("yes") for c in cells)} == {
        *tested,
        "MLflow 3.17",
    }
    assert promised["Unity Catalog server (open source)"] == ["by version", "no", "no", "no", "no"]
