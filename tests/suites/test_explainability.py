"""Explainability: what a model may not rely on is red when it does, and what cannot be told says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.evidence_files import SOUND
from weighin.canonical import file_digest
from weighin.contract import Check, checks, read_contract
from weighin.contract.checks import ImportanceRule
from weighin.data import permute
from weighin.errors import NotEvaluated
from weighin.model.answers import FEATURES, prediction_columns
from weighin.model.shap import write_shap
from weighin.model.subject import ModelVersion, Subject
from weighin.outcome import Direction, Limit, Outcome, Status, confirm_failures, decide
from weighin.suites import measured
from weighin.suites.evidence import Evidence
from weighin.suites.explainability import information, relied_on

ROWS = 2_000
NAMES = ("a", "b", "c", "colour", "postcode")
CONTRACT = """\
version: 1
model: {name: m, task: binary, target: late}
group: day
data:
  holdout: holdout.parquet
  columns:
    day: {type: integer, role: group}
    late: {type: integer, role: target, allowed: [0, 1]}
    a: {type: float}
    b: {type: float}
    c: {type: float}
    colour: {type: string}
    postcode: {type: integer, sensitive: true}
gates:
  explainability:
    rows: 1000
    repeats: 2
    forbidden: [postcode]
    forbidden_at_most: 0.01
    share_at_most: 0.8
    rank_agreement_at_least: 0.6
"""

Model = Callable[[pd.DataFrame], np.ndarray]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def linear(a: float, b: float, c: float, colour: float = 0.3, postcode: float = 0.0) -> Model:
    def answer(rows: pd.DataFrame) -> np.ndarray:
        red = (rows["colour"] == "red").to_numpy()
        return sigmoid(a * rows["a"] + b * rows["b"] + c * rows["c"] + colour * red + postcode * rows["postcode"])

    return answer


class Work:
    """A holdout, its permuted copies and what models answered; change a part, then `write`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.contract = folder, CONTRACT
        rng = np.random.default_rng(5)
        self.frame = pd.DataFrame(
            {
                "day": np.arange(ROWS) % 50,
                "a": rng.normal(size=ROWS),
                "b": rng.normal(size=ROWS),
                "c": rng.normal(size=ROWS),
                "colour": rng.choice(["red", "blue"], ROWS),
                "postcode": rng.integers(0, 3, ROWS),
            }
        )
        truth = linear(2.0, 1.2, 0.7)(self.frame)
        self.frame["late"] = (rng.random(ROWS) < truth).astype(np.int64)
        self.models: dict[str, Model] = {"candidate": linear(2.0, 1.2, 0.7), "champion": linear(1.8, 1.3, 0.6)}
        self.columns = (0,)

    def write(self) -> Work:
        (self.folder / "model_contract.yaml").write_text(self.contract)
        self.frame.to_parquet(self.folder / "holdout.parquet", index=False)
        gate = read_contract(self.folder / "model_contract.yaml").contract.gates.explainability
        held = pq.read_table(self.folder / "holdout.parquet", columns=list(NAMES))
        tables = {"holdout": held, "permuted": permute.permuted(held, gate.rows, gate.repeats)}
        sha = file_digest(self.folder / "holdout.parquet")
        data = {}
        for name, table in tables.items():
            path = self.folder / "work/features" / f"{name}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, path)
            data[name] = {"sha256": sha, "rows": len(table), "problem": "", "features": file_digest(path)}
            for role, model in self.models.items():
                self.answer(role, name, model(table.to_pandas()), data[name]["features"])
        models = {role: ModelVersion("m", role, "r", f"sha256:{role}", "x") for role in self.models}
        file = read_contract(self.folder / "model_contract.yaml")
        Subject(models["candidate"], models.get("champion"), file.digest, data, True, models=SOUND).write(
            self.folder / "work/subject.json"
        )
        return self

    def answer(self, role: str, name: str, values: np.ndarray, features: str) -> None:
        values = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
        schema = pa.schema(
            [(c, pa.float64()) for c in prediction_columns(len(self.columns))], {FEATURES: features.encode()}
        )
        table = pa.table(list(values.T), schema=schema)
        path = self.folder / "work/predictions" / role / f"{name}.arrow"
        path.parent.mkdir(parents=True, exist_ok=True)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_table(table)

    def rewrite(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        """The candidate's answers to the permuted rows, otherwise."""
        subject = json.loads((self.folder / "work/subject.json").read_text())
        path = self.folder / "work/predictions/candidate/permuted.arrow"
        with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as reader:
            values = reader.read_all()["prediction"].to_numpy().copy()
        self.answer("candidate", "permuted", change(values), subject["data"]["permuted"]["features"])

    @property
    def evidence(self) -> Evidence:
        return Evidence(read_contract(self.folder / "model_contract.yaml"), self.folder / "work")

    def outcomes(self) -> dict[str, Outcome]:
        evidence = self.evidence
        listed = checks(evidence.contract, "explainability")
        return {c.id.removeprefix("explainability/"): decide(measured(c, evidence), c.limit) for c in listed}

    def red(self) -> dict[str, str]:
        return {name: o.status.value for name, o in self.outcomes().items() if o.status.value != "passed"}


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_a_candidate_that_relies_on_what_it_may_passes(work: Work) -> None:
    found = work.write().outcomes()
    assert {name: o.status.value for name, o in found.items()} == dict.fromkeys(
        ["forbidden/postcode", *(f"share/{name}" for name in NAMES), "rank-agreement"], "passed"
    )
    assert found["forbidden/postcode"].evidence.n == 50
    assert found["forbidden/postcode"].evidence.sampling_unit == "groups by day"


def test_a_forbidden_feature_that_matters_fails(work: Work) -> None:
    work.models["candidate"] = linear(2.0, 1.2, 0.7, postcode=0.4)
    assert work.write().red()["forbidden/postcode"] == "failed"


def test_a_forbidden_feature_that_hardly_matters_passes(work: Work) -> None:
    work.models["candidate"] = linear(2.0, 1.2, 0.7, postcode=0.01)
    found = work.write().outcomes()["forbidden/postcode"]
    assert (found.status.value, found.evidence.estimate > 0) == ("passed", True)


def test_one_dominant_feature_fails_its_share_and_no_other_does(work: Work) -> None:
    for role in work.models:
        work.models[role] = linear(6.0, 0.3, 0.2, colour=0.1)
    work.frame["late"] = (work.frame["a"] > 0).astype(np.int64)
    red = work.write().red()
    assert {name: status for name, status in red.items() if name.startswith("share/")} == {"share/a": "failed"}


def test_a_feature_with_the_whole_importance_is_no_chance_finding(work: Work) -> None:
    for role in work.models:
        work.models[role] = linear(6.0, 0.0, 0.0, colour=0.0)
    found = work.write().outcomes()["share/a"]
    assert found.reason == "`a` has the whole importance: leak? (share 1 [1, 1], limit ≤ 0.8)"
    others = [replace(found, check=f"b{i}", status=Status.PASSED) for i in range(200)]
    assert confirm_failures([found, *others], 0.05)[0] == found


def test_importances_in_another_order_fail_the_rank_agreement_alone(work: Work) -> None:
    # Worse, but by no share: the order of the features is the reverse of the champion's.
    work.models["candidate"] = linear(0.0, 0.5, 0.9, colour=1.5)
    work.models["champion"] = linear(1.5, 0.5, 0.2, colour=0.0)
    work.frame["late"] = (np.random.default_rng(0).random(ROWS) < linear(1.5, 1.2, 1.2, colour=1.5)(work.frame)).astype(
        np.int64
    )
    work.contract = work.contract.replace("0.6", "0.9").replace("    share_at_most: 0.8\n", "")
    assert work.write().red() == {"rank-agreement": "failed"}


def test_answers_meet_the_rows_that_gave_and_got_the_values(work: Work) -> None:
    found = relied_on(work.write().evidence, "candidate")
    held = work.frame.iloc[permute.sample(ROWS, 1_000)].reset_index(drop=True)
    model, position = work.models["candidate"], NAMES.index("b")
    before, wanted = model(held), np.zeros(1_000)
    for repeat in range(2):
        permutation_source = permute.donors(1_000, position, repeat)
        change = np.abs(model(held.assign(b=held["b"].to_numpy()[permutation_source])) - before).to_numpy()
        wanted += (change - change.mean() / 2) / 2
        wanted[permutation_source] += (change - change.mean() / 2) / 2
    assert found.change[position] == pytest.approx(wanted, abs=1e-12)


def test_a_first_release_has_no_order_to_agree_with(work: Work) -> None:
    del work.models["champion"]
    found = work.write().outcomes()["rank-agreement"]
    assert (found.status.value, found.evidence.kind) == ("passed", "census")
    assert "first release" in found.evidence.method


def test_a_model_that_loses_nothing_has_no_shares(work: Work) -> None:
    work.models["candidate"] = lambda rows: np.full(len(rows), 0.4)
    found = work.write().outcomes()
    assert found["share/a"].status.value == "not_evaluated"
    assert "loses nothing" in found["share/a"].reason
    assert found["rank-agreement"].status.value == "not_evaluated"


def everything(work: Work, status: str) -> str:
    found = work.outcomes()
    assert {o.status.value for o in found.values()} == {status}
    return found["forbidden/postcode"].reason


def test_without_answers_to_permuted_rows_nothing_is_evaluated(work: Work) -> None:
    work.write()
    (work.folder / "work/predictions/candidate/permuted.arrow").unlink()
    assert "not left" in everything(work, "not_evaluated")


def test_one_answer_that_is_no_number_is_not_evaluated(work: Work) -> None:
    work.write().rewrite(lambda values: np.where(np.arange(len(values)) == 77, np.nan, values))
    assert "NaN" in everything(work, "not_evaluated")


def test_a_number_of_answers_that_does_not_fit_is_not_evaluated(work: Work) -> None:
    work.write().rewrite(lambda values: values[:-1])
    assert "9999 predictions for 10000 rows" in everything(work, "not_evaluated")


def test_answers_outside_of_probability_are_not_evaluated(work: Work) -> None:
    work.write().rewrite(lambda values: values * 3)
    assert "outside [0, 1]" in everything(work, "not_evaluated")


def test_answers_to_other_permuted_rows_are_not_evaluated(work: Work) -> None:
    work.write()
    values = np.full(10_000, 0.5)
    work.answer("candidate", "permuted", values, "sha256:other")
    assert "other rows" in everything(work, "not_evaluated")


def test_a_champion_without_answers_breaks_the_rank_agreement_alone(work: Work) -> None:
    work.write()
    (work.folder / "work/predictions/champion/permuted.arrow").unlink()
    assert work.red() == {"rank-agreement": "not_evaluated"}


def test_too_few_groups_are_not_evaluated(work: Work) -> None:
    work.frame["day"] = np.arange(ROWS) % 9
    assert "9 independent units" in everything(work.write(), "not_evaluated")


def test_a_sample_with_too_few_positives_is_not_evaluated(work: Work) -> None:
    work.frame["late"] = (np.arange(ROWS) < 12).astype(np.int64)
    assert "rarer class" in everything(work.write(), "not_evaluated")


def test_a_forbidden_column_that_no_model_is_given_is_not_evaluated(work: Work) -> None:
    limit = Limit(Direction.AT_MOST, 0.01)
    check = Check("explainability/forbidden/day", "explainability", limit, ImportanceRule("forbidden", "day"))
    found = decide(measured(check, work.write().evidence), limit)
    assert (found.status.value, "no feature" in found.reason) == ("not_evaluated", True)


def test_rows_may_be_independent_and_weighted(work: Work) -> None:
    work.frame["w"] = np.where(np.arange(ROWS) % 2, 1.0, 1e-9)
    work.contract = work.contract.replace("group: day\n", "weight: w\n").replace(
        "    day: {type: integer, role: group}\n", "    w: {type: float, role: weight}\n"
    )
    answer = linear(2.0, 1.2, 0.7)
    # Only rows that weigh nothing are moved by the forbidden feature.
    work.frame["a"] = np.where(np.arange(ROWS) % 2, work.frame["a"], 9.0)
    work.models["candidate"] = lambda rows: np.where(
        rows["a"] == 9.0, np.where(rows["postcode"] == 1, 0.1, 0.9), answer(rows)
    )
    assert work.write().outcomes()["forbidden/postcode"].status.value == "passed"
    work.contract = work.contract.replace("weight: w\n", "")
    assert work.write().outcomes()["forbidden/postcode"].status.value == "failed"


def test_several_classes_are_measured(work: Work) -> None:
    def three(weight: float) -> Model:
        def answer(rows: pd.DataFrame) -> np.ndarray:
            scores = np.column_stack([rows["a"], weight * rows["b"], np.zeros(len(rows))])
            return np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)

        return answer

    work.models, work.columns = {"candidate": three(1.0), "champion": three(0.9)}, (0, 1, 2)
    drawn = np.random.default_rng(0).random(ROWS)[:, None]
    codes = (three(1.0)(work.frame).cumsum(axis=1) < drawn).sum(axis=1).clip(0, 2)
    work.frame["late"] = np.array(["x", "y", "z"])[codes]
    work.contract = work.contract.replace("task: binary", "task: multiclass").replace(
        "target: late}", "target: late, classes: [x, y, z]}"
    )
    work.contract = work.contract.replace(
        "{type: integer, role: target, allowed: [0, 1]}", "{type: string, role: target}"
    )
    work.contract = work.contract.replace("forbidden: [postcode]", "forbidden: [postcode, b]")
    found = work.write().outcomes()
    assert {n: o.status.value for n, o in found.items() if o.status.value != "passed"} == {"forbidden/b": "failed"}
    assert found["forbidden/postcode"].evidence.estimate == 0.0


def test_a_regression_is_measured_in_its_own_unit(work: Work) -> None:
    def model(rows: pd.DataFrame) -> np.ndarray:
        return (100 * rows["a"] + 50 * rows["b"] + 20 * rows["c"]).to_numpy()

    work.models = {"candidate": model, "champion": lambda rows: 0.9 * model(rows)}
    work.frame["late"] = model(work.frame) + np.random.default_rng(0).normal(0, 10, ROWS)
    work.contract = (
        work.contract.replace("task: binary", "task: regression")
        .replace("late: {type: integer, role: target, allowed: [0, 1]}", "late: {type: float, role: target}")
        .replace("share_at_most: 0.8", "share_at_most: 0.9")
    )
    found = work.write().outcomes()
    assert work.red() == {}
    # 2 * slope squared: 20,000 of 25,800.
    assert found["share/a"].evidence.estimate == pytest.approx(0.775, abs=0.03)
    assert found["forbidden/postcode"].evidence.unit == ""


def test_the_report_has_tables_of_plain_values(work: Work) -> None:
    work.write()
    rng = np.random.default_rng(0)
    for role in work.models:
        write_shap(work.folder / f"work/predictions/{role}/shap.arrow", NAMES, rng.normal(size=(30, 5)))
    importances, shap = information(work.evidence)
    assert json.loads(json.dumps([importances, shap])) == [importances, shap]
    assert importances["columns"] == ["feature", "candidate", "interval", "champion", "interval"]
    assert [row[0] for row in importances["rows"]] == list(NAMES)
    estimate, (low, high) = importances["rows"][0][1:3]
    assert 0 < low < estimate < high
    assert importances["plot"]["series"]["candidate"][0] == estimate
    assert shap["columns"] == ["feature", "candidate", "champion"]
    assert all(value > 0 for row in shap["rows"] for value in row[1:])


def test_the_report_says_what_has_no_interval(work: Work) -> None:
    work.frame["day"] = np.arange(ROWS) % 9
    (table,) = information(work.write().evidence)
    assert table["rows"][0][1] > 0
    assert table["rows"][0][2] == [None, None]
    work.frame["late"] = 1
    with pytest.raises(NotEvaluated, match="labels are equal"):
        information(work.write().evidence)


def test_the_report_goes_without_shap_values_and_not_with_bad_ones(work: Work) -> None:
    assert [t["title"] for t in information(work.write().evidence)] == ["Permutation importance"]
    write_shap(work.folder / "work/predictions/candidate/shap.arrow", NAMES, np.full((30, 5), np.nan))
    with pytest.raises(NotEvaluated, match="not finite"):
        information(work.evidence)


def test_copies_are_the_same_every_time_and_differ_in_one_column_alone(work: Work) -> None:
    table = pa.Table.from_pandas(work.frame[list(NAMES)], preserve_index=False)
    found = permute.permuted(table, 300, 2)
    assert found.equals(permute.permuted(table, 300, 2))
    assert found.schema.equals(table.schema)
    chosen = permute.sample(ROWS, 300)
    assert (len(np.unique(chosen)), found.num_rows) == (300, 5 * 2 * 300)
    as_it_is = table.take(pa.array(chosen))
    for position, name in enumerate(NAMES):
        for repeat in range(2):
            copy = found.slice((position * 2 + repeat) * 300, 300)
            assert [c for c in NAMES if not copy[c].equals(as_it_is[c])] == [name]
            permutation_source = permute.donors(300, position, repeat)
            assert copy[name].equals(as_it_is[name].take(pa.array(permutation_source)))
            assert sorted(permutation_source) == list(range(300))
            assert not (permutation_source == np.arange(300)).any()


def test_small_tables_are_taken_whole() -> None:
    assert permute.sample(7, 100).tolist() == list(range(7))
    assert permute.permuted(pa.table({"x": ["only"]}), 100, 2).to_pydict() == {"x": ["only", "only"]}
