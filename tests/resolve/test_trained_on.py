"""A candidate that was fitted on the holdout says so in its own run: by digest, by path, by row, by time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from support.empty_store import empty_store
from weighin.contract import read_contract
from weighin.contract.stricter import compare
from weighin.errors import ContractError
from weighin.model.subject import Subject
from weighin.outcome import Measurement, Outcome
from weighin.registry.location import artifact_location
from weighin.registry.mlflow import Registry
from weighin.resolve.models import resolve
from weighin.suites.model import model_outcomes

ROWS = 400
CONTRACT = """\
version: 1
model:
  name: m
  task: binary
  target: y
  training_datasets: {}
data:
  holdout: data/holdout.parquet
  sealed_holdout: data/sealed.parquet
  columns:
    id: {type: integer, role: key}
    at: {type: timestamp, role: time, time_zone: UTC}
    code: {type: string}
    x: {type: float}
    y: {type: integer, role: target}
gates:
  performance:
    first_release: allow
    checks:
      - {metric: roc_auc, at_least: 0.6}
  sealed: {epoch: e, holdout_uses: 5}
"""
MLMODEL = "flavors: {python_function: {loader_module: m}}\nmodel_uuid: 'u'\n"
OWN = ("model/training-rows", "model/training-overlap")


def rows(seed: int, month: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    at = pd.Timestamp(2025, month, 1, tz="UTC") + pd.to_timedelta(np.arange(ROWS), unit="h")
    return pd.DataFrame(
        {
            "id": np.arange(ROWS) + 1000 * seed,
            "at": at,
            "code": random.choice(["a", "b"], ROWS),
            "x": random.normal(size=ROWS),
            "y": random.integers(0, 2, ROWS),
        }
    )


class Project:
    """A contract with its data, and a registry to which candidates are logged with the datasets of their runs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.named = folder, 0
        self.uri = os.environ["MLFLOW_TRACKING_URI"] = empty_store(folder)
        self.registry = Registry(self.uri)
        self.registry._client.create_registered_model("m")
        self.data = {"train": rows(1, 1), "holdout": rows(2, 6), "sealed": rows(3, 7)}
        (folder / "data").mkdir()
        for name, table in self.data.items():
            table.to_parquet(folder / f"data/{name}.parquet", index=False)
        model = folder / "stock/model"
        model.mkdir(parents=True)
        (model / "MLmodel").write_text(MLMODEL)

    def candidate(self, *datasets: tuple[Any, str]) -> str:
        """Register a candidate whose run has logged these datasets, each with its context; returns its address."""
        import mlflow

        run_id = self.registry.log_run("models", artifact_location(self.uri), self.folder / "stock", {})
        mlflow.set_tracking_uri(self.uri)
        with mlflow.start_run(run_id=run_id):
            for dataset, context in datasets:
                mlflow.log_input(dataset, context)
        source = f"{self.registry._client.get_run(run_id).info.artifact_uri}/model"
        return f"models:/m/{self.registry._client.create_model_version('m', source, run_id).version}"

    def judged(self, candidate: str, contract: str = CONTRACT) -> dict[str, Outcome]:
        """Resolve for real, and decide what the suite `model` has of it."""
        path = self.folder / "model_contract.yaml"
        path.write_text(contract)
        file = read_contract(path)
        resolve(file, self.folder / "work", candidate)
        subject = Subject.read(self.folder / "work/subject.json")
        return {o.check: o for o in model_outcomes(file.contract, subject) if o.check in OWN}

    def frame(self, table: pd.DataFrame, source: str | None = None) -> Any:
        """A dataset of MLflow, with a source or with the code as its source, as MLflow has it by default."""
        import mlflow

        # Of one name and digest, MLflow keeps the source that an experiment saw first.
        self.named += 1
        return mlflow.data.from_pandas(table, source=source, name=f"rows {self.named}")

    def file(self, name: str, table: pd.DataFrame) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path, index=False)
        return str(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    before = dict(os.environ)
    yield Project(tmp_path_factory.mktemp("project"))
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def project(made: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
    return made


def statuses(outcomes: dict[str, Outcome]) -> tuple[str, str]:
    return outcomes[OWN[0]].status.value, outcomes[OWN[1]].status.value


def method(outcome: Outcome) -> str:
    assert isinstance(outcome.evidence, Measurement)
    return outcome.evidence.method


def test_a_candidate_that_was_fitted_on_other_rows_passes(project: Project) -> None:
    train = project.frame(project.data["train"], str(project.folder / "data/train.parquet"))
    holdout = project.frame(project.data["holdout"], str(project.folder / "data/holdout.parquet"))
    outcomes = project.judged(project.candidate((train, "training"), (holdout, "evaluation")))
    assert statuses(outcomes) == ("passed", "passed")
    assert method(outcomes[OWN[0]]) == f"`rows {project.named - 1}` by digest and row"


LOGGED: dict[str, tuple[Callable[[Project], Any], str]] = {
    "the frame of the holdout": (lambda p: p.frame(p.data["holdout"]), "by its digest"),
    "its features and target": (lambda p: p.frame(p.data["holdout"][["code", "x", "y"]]), "by its digest"),
    "its features": (lambda p: p.frame(p.data["holdout"][["code", "x"]]), "by its digest"),
    "the path of the holdout": (
        lambda p: p.frame(p.data["train"], str(p.folder / "data/holdout.parquet")),
        "is the holdout, by its path",
    ),
    "the path of the holdout in another checkout": (
        lambda p: p.frame(p.data["train"], "/elsewhere/data/holdout.parquet"),
        "is the holdout, by its path",
    ),
    "the path of the sealed holdout": (
        lambda p: p.frame(p.data["train"], str(p.folder / "data/sealed.parquet")),
        "is the sealed holdout, by its path",
    ),
}


@pytest.mark.parametrize("what", LOGGED)
def test_a_training_dataset_that_is_the_holdout_is_a_fault_whatever_the_limit(project: Project, what: str) -> None:
    dataset, said = LOGGED[what]
    lenient = CONTRACT.replace("training_datasets: {}", "training_datasets: {share_at_most: 1, overlap_at_most: 1}")
    outcomes = project.judged(project.candidate((dataset(project), "train")), lenient)
    assert outcomes.keys() == {OWN[0]}
    assert outcomes[OWN[0]].status.value == "failed"
    assert said in outcomes[OWN[0]].reason


def test_arrays_of_numbers_are_known_by_their_digest(project: Project) -> None:
    import mlflow

    numbers = CONTRACT.replace("code: {type: string}", "code: {type: string, role: other}")
    array = mlflow.data.from_numpy(
        project.data["holdout"][["x"]].to_numpy(), targets=project.data["holdout"]["y"].to_numpy()
    )
    assert project.judged(project.candidate((array, "train")), numbers)[OWN[0]].status.value == "failed"


@pytest.mark.parametrize("name", ["some.parquet", "some.csv"])
def test_rows_of_the_holdout_that_stand_in_a_training_file_are_counted(project: Project, name: str) -> None:
    taken = project.data["holdout"].head(40).assign(id=lambda t: t["id"] + 50_000)
    mixed = pd.concat([project.data["train"], taken], ignore_index=True)
    address = project.candidate((project.frame(mixed, project.file(f"more/{name}", mixed)), "training"))
    outcomes = project.judged(address)
    assert statuses(outcomes) == ("failed", "failed")
    assert "40 rows of the holdout stand in the training data (share 0.1" in outcomes[OWN[0]].reason
    assert "40 training rows are not before the first moment of the holdout" in outcomes[OWN[1]].reason
    lenient = CONTRACT.replace("training_datasets: {}", "training_datasets: {share_at_most: 0.1, overlap_at_most: 0.1}")
    assert statuses(project.judged(address, lenient)) == ("passed", "passed")


def test_rows_of_several_training_files_are_counted_once(project: Project) -> None:
    parts = {"one": project.data["holdout"][:40], "two": project.data["holdout"][20:60]}
    datasets = [project.frame(part, project.file(f"more/{name}.parquet", part)) for name, part in parts.items()]
    found = project.judged(project.candidate(*((d, "training") for d in datasets)))[OWN[0]]
    assert "60 rows of the holdout stand in the training data (share 0.15" in found.reason


def test_a_file_of_the_same_name_in_another_folder_is_no_holdout(project: Project) -> None:
    project.file("holdout.parquet", project.data["holdout"])
    dataset = project.frame(project.data["train"], "/elsewhere/holdout.parquet")
    contract = CONTRACT.replace("data/holdout.parquet", "holdout.parquet")
    assert project.judged(project.candidate((dataset, "training")), contract)[OWN[0]].status.value == "passed"


def test_a_file_of_features_alone_is_compared_in_them_and_has_no_time(project: Project) -> None:
    features = project.data["holdout"][["x", "code"]].head(10)
    dataset = project.frame(features, project.file("more/features.parquet", features))
    outcomes = project.judged(project.candidate((dataset, "training")))
    assert statuses(outcomes) == ("failed", "not_evaluated")
    assert "10 rows" in outcomes[OWN[0]].reason
    assert "no time was compared" in outcomes[OWN[1]].reason


def test_what_is_no_file_here_is_compared_by_digest_alone_and_says_so(project: Project) -> None:
    sources = (
        "https://example.org/train.parquet",
        "/elsewhere/holdout.parquet",
        "/dev/zero",
        "/",
        "x" * 5000,
        "data/*",
    )
    for source in (None, *sources):
        outcomes = project.judged(project.candidate((project.frame(project.data["train"], source), "training")))
        assert statuses(outcomes) == ("passed", "not_evaluated")
        assert method(outcomes[OWN[0]]) == (
            f"`rows {project.named}` by its digest alone: its source is no file that can be read here"
        )


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda table: table.drop(columns="x"), "its file has no column x"),
        (lambda table: table.assign(x="secret"), "column x holds the type float here and string there"),
    ],
)
def test_a_file_that_cannot_be_compared_says_why_without_a_value(
    project: Project, make: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    table = make(project.data["train"])
    found = project.judged(project.candidate((project.frame(table, project.file("more/x.parquet", table)), "train")))
    assert said in method(found[OWN[0]])
    assert "secret" not in str(found)
    (project.folder / "more/x.parquet").write_bytes(b"no parquet")
    found = project.judged(project.candidate((project.frame(table, str(project.folder / "more/x.parquet")), "train")))
    assert "by its digest alone: its file cannot be read" in method(found[OWN[0]])


def test_a_run_without_a_training_dataset_is_not_evaluated(project: Project) -> None:
    for datasets in ((), ((project.frame(project.data["train"]), "evaluation"),)):
        outcomes = project.judged(project.candidate(*datasets))
        assert statuses(outcomes) == ("not_evaluated", "not_evaluated")
        assert "it has logged no training dataset" in outcomes[OWN[0]].reason
    assert "comes from no run" in project.judged(str(project.folder / "stock/model"))[OWN[0]].reason


def test_a_holdout_that_cannot_be_read_is_not_evaluated(project: Project) -> None:
    train = project.frame(project.data["train"], str(project.folder / "data/train.parquet"))
    broken = CONTRACT.replace("data/holdout.parquet", "data/absent.parquet")
    outcomes = project.judged(project.candidate((train, "training")), broken)
    assert statuses(outcomes) == ("not_evaluated", "not_evaluated")


def test_a_subject_that_lacks_it_is_not_evaluated(project: Project) -> None:
    file = read_contract(project.folder / "model_contract.yaml")
    subject = Subject.read(project.folder / "work/subject.json")
    from dataclasses import replace

    found = {o.check: o for o in model_outcomes(file.contract, replace(subject, trained_on=None))}
    assert "were not looked up" in found[OWN[0]].reason


def test_without_the_key_nothing_is_compared(project: Project) -> None:
    assert project.judged(project.candidate(), CONTRACT.replace("  training_datasets: {}\n", "")) == {}


def test_warnings_and_wider_limits_are_looser_and_other_columns_are_another_check(project: Project) -> None:
    path = project.folder / "model_contract.yaml"

    def contract(value: str) -> Any:
        path.write_text(CONTRACT.replace("training_datasets: {}", f"training_datasets: {value}"))
        return read_contract(path).contract

    base = contract("{}")
    found = [(c.check, c.how) for c in compare(contract("{severity: warn}"), base).limits]
    assert found == [(name, "relaxed") for name in OWN]
    assert [c.how for c in compare(contract("{share_at_most: 0.1}"), base).limits] == ["relaxed"]
    assert [c.how for c in compare(contract("{by: [id]}"), base).limits] == ["redefined"]
    path.write_text(CONTRACT.replace("  training_datasets: {}\n", ""))
    without = read_contract(path).contract
    assert {c.how for c in compare(without, base).limits} == {"removed"}
    added = compare(base, without)
    assert ({c.how for c in added.limits}, added.lenient) == ({"added"}, False)
    with pytest.raises(ContractError, match=r"model.training_datasets.by names `z`"):
        contract("{by: [z]}")
