"""Rows of a real Feast repository: point-in-time values, in the order of the entities, and the online store beside."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from support import feature_repository, small_project
from support.evidence_files import SOUND
from support.feature_repository import ENTITIES, MOMENT
from support.locked_environment import interpreter
from weighin.contract import checks, read_contract
from weighin.contract.changes import named_files
from weighin.contract.reading import ContractFile
from weighin.errors import ContractError, NotEvaluated
from weighin.model.subject import ModelVersion, Subject
from weighin.outcome import Outcome, decide
from weighin.resolve import feature_store
from weighin.resolve.datasets import resolve_rows
from weighin.resolve.feature_store import PYTHON, _environment, fetched
from weighin.suites import measured
from weighin.suites.evidence import Evidence

CONTRACT = """\
version: 1
model: {name: m, task: binary, target: late}
data:
  holdout:
    feast: {repository: repo, features: [stats:trips, stats:rate], entities: entities.parquet, timestamp: at}
  columns:
    driver_id: {type: integer, role: key}
    at: {type: timestamp, role: time, time_zone: UTC}
    late: {type: integer, role: target}
    trips: {type: integer, missing_at_most: 0.1}
    rate: {type: float, missing_at_most: 0.1}
gates:
  data_quality:
    rows_at_least: 100
    copies: {by: [driver_id, at]}
    online: {entities: 200, differ_at_most: 0.02}
"""


def run(what: str, *arguments: str) -> None:
    command = [interpreter("requirements-feast.txt"), feature_repository.__file__, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{what}: {done.stderr[-3000:]}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "repo").mkdir()
    run("made", str(folder / "repo"))
    (folder / "model_contract.yaml").write_text(CONTRACT)
    drivers = [*range(ENTITIES - 1, -1, -1), ENTITIES + 5]
    at = [MOMENT + timedelta(hours=1 if driver % 2 else -13) for driver in drivers]
    pd.DataFrame({"driver_id": drivers, "at": at, "late": [d % 3 == 0 for d in drivers]}).astype(
        {"late": "int64"}
    ).to_parquet(folder / "entities.parquet", index=False)
    return folder


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PYTHON, interpreter("requirements-feast.txt"))


def resolved(project: Path, work: Path) -> tuple[ContractFile, dict[str, Any]]:
    file, facts = fetched(read_contract(project / "model_contract.yaml"), work, sealed=False)
    rows = resolve_rows(file, work, False, MOMENT)
    rows["holdout"]["feature_store"] = facts["holdout"]
    return file, rows


def online(project: Path, work: Path, rows: dict[str, Any]) -> Outcome:
    file = read_contract(project / "model_contract.yaml")
    version = ModelVersion("m", "1", "r", "sha256:m", "x")
    Subject(version, None, file.digest, rows, True, models=SOUND).write(work / "subject.json")
    (check,) = [c for c in checks(file.contract, "data_quality") if c.id.endswith("/online")]
    return decide(measured(check, Evidence(file, work)), check.limit)


@pytest.mark.feast
@pytest.mark.usefixtures("named")
def test_each_row_has_the_values_of_its_moment_and_the_online_store_is_compared(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    work = Path("work")  # as `weighin validate` has it by default
    file, rows = resolved(project, work)
    known = rows["holdout"]
    assert (known["problem"], known["place"], known["rows"]) == ("", "data/holdout-fetched.parquet", ENTITIES + 1)
    facts = known["feature_store"]
    assert facts["registry"]
    assert facts["features"] == ["stats:trips", "stats:rate"]
    table = pq.read_table(work / "data/holdout-fetched.parquet")
    assert table.schema.field("trips").type == "int64"
    found = table.to_pandas()
    assert found["driver_id"].tolist() == [*range(ENTITIES - 1, -1, -1), ENTITIES + 5]
    # At 13 hours before the moment the value of a day before holds, an hour after it that of the moment.
    last = found.iloc[:-1]
    assert last["trips"].tolist() == [40 if d % 2 else 20 for d in last["driver_id"]]
    assert last["rate"].tolist() == [d / 1000 + (40 if d % 2 else 20) for d in last["driver_id"]]
    assert found.iloc[-1][["trips", "rate"]].isna().all()
    equal = online(project, work, rows)
    assert (equal.status.value, equal.evidence.n) == ("passed", 200)

    run("served otherwise", str(project / "repo"), "changed")
    rows = resolved(project, work)[1]
    assert pq.read_table(work / "data/holdout-fetched.parquet").equals(table)
    skewed = online(project, work, rows)
    assert skewed.status.value == "failed"
    # The one that neither store knows is the same in both.
    assert "199 of 200 entities have another value online than offline" in skewed.reason
    assert file.digest == read_contract(project / "model_contract.yaml").digest


def refused(folder: Path, *changes: tuple[str, str]) -> str:
    text = CONTRACT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "changed_contract.yaml"
    path.write_text(text)
    with pytest.raises(NotEvaluated) as error:
        fetched(read_contract(path), folder / "refused", sealed=False)
    return str(error.value)


@pytest.mark.feast
@pytest.mark.usefixtures("named")
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("stats:rate]", "stats:rate, stats:tips, other:x]", "the feature repository has no stats:tips, other:x"),
        ("timestamp: at}", "timestamp: moment}", "the entities have no column moment"),
        ("entities: entities.parquet", "entities: absent.parquet", "Feast raised FileNotFoundError"),
    ],
    ids=["feature", "column", "entities"],
)
def test_what_the_repository_does_not_give_is_one_sentence(old: str, new: str, said: str, project: Path) -> None:
    assert said in refused(project, (old, new))
    assert list((project / "refused/data").iterdir()) == []


def test_without_feast_or_a_repository_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON, raising=False)
    assert "no interpreter with Feast is named. Install Feast in an environment" in refused(tmp_path)
    monkeypatch.setenv(PYTHON, "/nowhere/python")
    assert "no feature_store.yaml is there" in refused(tmp_path)
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/feature_store.yaml").touch()
    assert "Feast did not run" in refused(tmp_path)


def test_a_change_of_the_repository_or_the_entities_is_one_of_data_that_decide(tmp_path: Path) -> None:
    (tmp_path / "model_contract.yaml").write_text(CONTRACT)
    named = named_files("models/model_contract.yaml", read_contract(tmp_path / "model_contract.yaml").contract)
    assert {"models/repo/*", "models/entities.parquet"} <= set(named["data"])


@pytest.mark.parametrize("left", ["a link", "nothing"])
def test_rows_that_are_no_file_are_not_taken(left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo/feature_store.yaml").touch()
    (tmp_path / "elsewhere.parquet").write_text("of somebody else")

    def run(command: list[str], folder: Path, facts: Path, place: str) -> dict[str, str]:
        if left == "a link":
            (facts.parent / "rows.parquet").symlink_to(tmp_path / "elsewhere.parquet")
        return {"problem": ""}

    monkeypatch.setenv(PYTHON, "python")
    monkeypatch.setattr(feature_store, "_run", run)
    assert "Feast left no file of rows" in refused(tmp_path)


def test_the_repository_s_code_is_handed_no_credential() -> None:
    given = {
        "MLFLOW_TRACKING_PASSWORD": "x",
        "WEIGHIN_SIGNING_KEY": "x",
        "WEIGHIN_CANDIDATE_KEY": "x",
        "PYTHONPATH": "x",
    }
    assert set(given) & set(_environment({**given, "AWS_REGION": "y"})) == set()
    assert _environment({"AWS_REGION": "y"})["AWS_REGION"] == "y"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[stats:trips, stats:rate]", "[trips]", "features"),
        ("[stats:trips, stats:rate]", "[]", "features"),
        ("  holdout:\n    feast: {repository: repo, features: [stats:trips, stats:rate], entities: entities.parquet, "
         "timestamp: at}", "  holdout: holdout.parquet", "no dataset comes from one"),
    ],
    ids=["no view", "none", "no feast"],
)  # fmt: skip
def test_a_contract_that_cannot_be_meant_is_refused(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in CONTRACT
    (tmp_path / "model_contract.yaml").write_text(CONTRACT.replace(old, new))
    with pytest.raises(ContractError, match=said):
        read_contract(tmp_path / "model_contract.yaml")


def test_an_online_store_that_was_not_compared_is_no_pass(tmp_path: Path) -> None:
    (tmp_path / "model_contract.yaml").write_text(CONTRACT)
    for known in ({}, {"differ": 0, "entities": 0}, {"differ": 3, "entities": 2}, {"differ": "0", "entities": 2}):
        found = online(tmp_path, tmp_path, {"holdout": {"feature_store": {"online": known}}})
        assert found.status.value == "not_evaluated"
        assert "the online store was not compared" in found.reason


@pytest.mark.feast
@pytest.mark.usefixtures("named")
def test_a_validation_reads_them_and_its_record_says_from_where(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    shutil.copytree(project, folder)
    gate = "  performance: {first_release: allow, checks: [{metric: accuracy, at_least: 0.9}]}\n"
    given = "target: late, candidate: {predictions: answers.parquet}, prediction: {kind: label}}"
    # The online store was changed by another test: what it gives now is not what is asked here.
    text = CONTRACT.replace("target: late}", given).replace("    online: {entities: 200, differ_at_most: 0.02}\n", gate)
    (folder / "model_contract.yaml").write_text(text)
    entities = pd.read_parquet(folder / "entities.parquet")
    entities.rename(columns={"late": "prediction"})[["driver_id", "prediction"]].to_parquet(
        folder / "answers.parquet", index=False
    )
    assert small_project.weighin(folder, "contract", "sync").returncode == 0
    done = small_project.weighin(folder, "validate")
    assert done.returncode == 0, done.stderr[-3000:]
    known = json.loads((folder / "reports/record.json").read_text())["data"]["holdout"]
    assert (known["place"], known["rows"]) == ("data/holdout-fetched.parquet", ENTITIES + 1)
    assert known["feature_store"]["registry"]
