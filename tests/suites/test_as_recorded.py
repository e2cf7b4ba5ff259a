"""The champion by its own record: a holdout that was recoded harms both models alike, and only this check sees it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from support.empty_store import empty_store
from support.registry_versions import champions, promoted
from weighin.canonical import write_json
from weighin.contract import checks, read_contract
from weighin.contract.reading import ContractFile
from weighin.contract.stricter import compare
from weighin.errors import ContractError, EvidenceError, RegistryError
from weighin.model.answers import COLUMN, FEATURES
from weighin.model.subject import ModelVersion, Recorded, Subject
from weighin.outcome import Measurement, Outcome, decide
from weighin.record.decision import decision_record, judge_evidence
from weighin.record.suite import Binding, SuiteOutcomes
from weighin.record.verify import verify
from weighin.registry.ledger import Entry
from weighin.registry.location import artifact_location
from weighin.registry.mlflow import Registry
from weighin.resolve import releases
from weighin.resolve.models import resolve
from weighin.resolve.recorded import _looked_up, kept_record
from weighin.resolve.releases import recent_releases
from weighin.suites import measured
from weighin.suites.evidence import Evidence
from weighin.suites.model import model_outcomes

ROWS = 3_000
CHECK = "performance/champion-as-recorded/roc_auc"
CONTRACT = """\
version: 1
model: {name: m, task: binary, target: y}
data:
  holdout: holdout.parquet
  columns:
    code: {type: string, allowed: [a, b, c]}
    x: {type: float}
    y: {type: integer, role: target}
gates:
  performance:
    checks:
      - {metric: roc_auc, at_least: 0.6}
      - {metric: roc_auc, against: champion, margin: 0.05}
    champion_as_recorded:
      - {metric: roc_auc, margin: 0.03}
"""
MLMODEL = """\
flavors: {{python_function: {{loader_module: m}}}}
model_uuid: '{number}'
signature:
  inputs: '[{{"type": "string", "name": "code"}}, {{"type": "double", "name": "x"}}]'
"""


def rows(seed: int) -> pd.DataFrame:
    """Rows whose label follows `code` and `x`."""
    random = np.random.default_rng(seed)
    code, x = random.choice(["a", "b", "c"], ROWS), random.normal(size=ROWS)
    y = answers(pd.DataFrame({"code": code, "x": x}), 1.0) > random.random(ROWS)
    return pd.DataFrame({"code": code, "x": x, "y": y.astype(np.int64)})


def answers(table: pd.DataFrame, of_x: float) -> np.ndarray:
    """What a model says that was fitted before anything was recoded."""
    effect = table["code"].map({"a": 1.5, "b": 0.0, "c": -1.5}).to_numpy()
    return np.asarray(1 / (1 + np.exp(-(effect + of_x * table["x"].to_numpy()))))


def recoded(table: pd.DataFrame) -> pd.DataFrame:
    """Two codes changed their meaning; each is as frequent as before."""
    return table.assign(code=table["code"].map({"a": "b", "b": "a", "c": "c"}))


class Registered:
    """Version 1 was there before the ledger, version 2 was promoted with a record on the holdout of then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = os.environ["MLFLOW_TRACKING_URI"] = empty_store(folder)
        registry = Registry(self.uri)
        registry._client.create_registered_model("m")
        for number in (1, 2, 3):
            model = folder / f"model-{number}/model"
            model.mkdir(parents=True)
            (model / "MLmodel").write_text(MLMODEL.format(number=number))
            run_id = registry.log_run("models", artifact_location(self.uri), model.parent, {})
            registry._client.create_model_version(
                "m", f"{registry._client.get_run(run_id).info.artifact_uri}/model", run_id
            )
        registry.move_alias("m", "champion", "1")
        (folder / "project").mkdir()
        self.file = self.write(CONTRACT)
        self.then = rows(1)
        # As a contract of then, which had no such check.
        self.write(CONTRACT.partition("    champion_as_recorded")[0])
        record = self.record(self.then, "2", "1")
        assert record["verdict"]["status"] == "passed"
        promoted(self.uri, "2", folder / "scratch", "m", record)
        self.write(CONTRACT)

    def write(self, contract: str) -> ContractFile:
        path = self.folder / "project/model_contract.yaml"
        path.write_text(contract)
        self.file = read_contract(path)
        return self.file

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def judged(self, holdout: pd.DataFrame, candidate: str = "3", champion: str = "2") -> dict[str, Outcome]:
        """Resolve, answer and measure; each version weighs `x` a little more than the one before."""
        holdout.to_parquet(self.folder / "project/holdout.parquet", index=False)
        subject = resolve(self.file, self.work, f"models:/m/{candidate}", f"models:/m/{champion}")
        for role, version in (("candidate", candidate), ("champion", champion)):
            of_x = {"1": 0.8, "2": 0.9, "3": 1.0}[version]
            path = self.work / "predictions" / role / "holdout.arrow"
            path.parent.mkdir(parents=True, exist_ok=True)
            features = str(subject.data["holdout"]["features"])
            table = pa.table({COLUMN: answers(holdout, of_x)}).replace_schema_metadata({FEATURES: features})
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
        evidence = Evidence(self.file, self.work)
        return {c.id: decide(measured(c, evidence), c.limit) for c in checks(self.file.contract, "performance")}

    def record(self, holdout: pd.DataFrame, candidate: str, champion: str) -> dict:
        """Return the record of a decision by the performance suite and the models' files."""
        outcomes = self.judged(holdout, candidate, champion)
        subject = Subject.read(self.work / "subject.json")
        binding = Binding(self.file.digest, subject.digest, "", "1")
        SuiteOutcomes("performance", binding, tuple(outcomes.values()), 1.0).write(self.folder / "reports/performance")
        model = SuiteOutcomes("model", binding, model_outcomes(self.file.contract, subject), 0.0)
        decision = judge_evidence(self.file, binding, self.folder / "reports", model=model)
        return decision_record(decision, self.file, subject, binding, {"commit": "", "url": "", "created": ""})

    def edit_subject(self, **changes: object) -> dict[str, Outcome]:
        """Measure again with another subject."""
        path = self.work / "subject.json"
        replace(Subject.read(path), **changes).write(path)
        evidence = Evidence(self.file, self.work)
        return {c.id: decide(measured(c, evidence), c.limit) for c in checks(self.file.contract, "performance")}


def status(outcomes: dict[str, Outcome], check: str) -> str:
    return outcomes[check].status.value


def red(outcomes: dict[str, Outcome]) -> dict[str, str]:
    return {name: o.status.value for name, o in outcomes.items() if o.status.value != "passed"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registered]:
    before = dict(os.environ)
    yield Registered(tmp_path_factory.mktemp("registered"))
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def registered(made: Registered, monkeypatch: pytest.MonkeyPatch) -> Registered:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
    made.write(CONTRACT)
    return made


def test_a_recoded_holdout_is_red_and_nothing_else_sees_it(registered: Registered) -> None:
    outcomes = registered.judged(recoded(registered.then))
    assert red(outcomes) == {CHECK: "failed"}
    assert "the champion's roc_auc is 0." in outcomes[CHECK].reason
    assert ", and was 0." in outcomes[CHECK].reason


def test_another_holdout_of_the_same_kind_passes(registered: Registered) -> None:
    outcomes = registered.judged(rows(2))
    assert red(outcomes) == {}
    found = outcomes[CHECK].evidence
    assert isinstance(found, Measurement)
    assert found.kind == "sample"
    assert 0 <= found.low <= found.estimate < found.high < 0.03


def test_a_record_with_the_comparison_is_verified(registered: Registered, tmp_path: Path) -> None:
    for holdout, verdict in ((rows(2), "passed"), (recoded(registered.then), "failed")):
        write_json(tmp_path / "record.json", registered.record(holdout, "3", "2"))
        assert verify(tmp_path / "record.json").record["verdict"]["status"] == verdict


def test_on_the_very_holdout_of_then_the_difference_is_exact(registered: Registered) -> None:
    found = registered.judged(registered.then)[CHECK]
    assert isinstance(found.evidence, Measurement)
    assert (found.evidence.kind, found.evidence.estimate, found.status.value) == ("census", 0.0, "passed")


@pytest.mark.parametrize(
    ("off", "same_contract", "expected", "sentence"),
    [
        (1e-8, True, "passed", ""),
        (1e-4, True, "failed", "the model answers otherwise than then"),
        (0.02, False, "passed", ""),
        (0.04, False, "failed", "under another contract"),
    ],
)
def test_on_the_holdout_of_then_only_another_contract_explains_another_number(
    registered: Registered, off: float, same_contract: bool, expected: str, sentence: str
) -> None:
    registered.judged(registered.then)
    known = recorded_of(registered)
    metrics = {"roc_auc": {**known.metrics["roc_auc"], "estimate": known.metrics["roc_auc"]["estimate"] + off}}
    contract = registered.file.digest if same_contract else known.contract
    found = registered.edit_subject(recorded=replace(known, contract=contract, metrics=metrics))[CHECK]
    assert found.status.value == expected
    assert sentence in found.reason


def recorded_of(registered: Registered) -> Recorded:
    known = Subject.read(registered.work / "subject.json").recorded
    assert known is not None
    return known


def test_a_record_at_a_weaker_level_is_no_proof(registered: Registered) -> None:
    registered.judged(rows(2))
    known = recorded_of(registered)
    weaker = {**known.metrics["roc_auc"], "level": 0.9}
    assert red(registered.edit_subject(recorded=replace(known, metrics={"roc_auc": weaker}))) == {
        CHECK: "not_evaluated"
    }


@pytest.mark.parametrize("recorded", [None, Recorded(problem="x"), Recorded(entry="entry 2")])
def test_what_is_not_recorded_is_no_pass(registered: Registered, recorded: Recorded | None) -> None:
    registered.judged(rows(2))
    assert red(registered.edit_subject(recorded=recorded)) == {CHECK: "not_evaluated"}


def test_a_champion_that_was_never_promoted_is_not_evaluated_and_says_so(registered: Registered) -> None:
    rows(2).to_parquet(registered.folder / "project/holdout.parquet", index=False)
    subject = resolve(registered.file, registered.work, "models:/m/3", "models:/m/1")
    assert subject.recorded is not None
    assert "m version 1, was never promoted with a record" in subject.recorded.problem


def test_a_kept_record_that_was_edited_is_not_believed(registered: Registered) -> None:
    ledger = champions(registered.uri, "m").ledger
    entry = next(e for e in ledger.entries() if e.action == "promote")
    (kept,) = (p for p in registered.folder.rglob("record.json") if entry.run_id in str(p))
    before = kept.read_bytes()
    edited = json.loads(before)
    edited["run"]["url"] = "https://example.org/runs/2"
    write_json(kept, edited)
    try:
        subject = resolve(registered.file, registered.work, "models:/m/3")
    finally:
        kept.write_bytes(before)
    assert subject.recorded is not None
    assert "its digest is sha256:" in subject.recorded.problem


def test_a_record_of_other_files_is_not_believed(registered: Registered) -> None:
    ledger = champions(registered.uri, "m").ledger
    (entry,) = (e for e in ledger.entries() if e.action == "promote")
    other = ModelVersion("m", "9", "r", "sha256:" + "9" * 64, "models:/m/9")

    class Rewritten:
        name = ledger.name
        kept = ledger.kept

        def entries(self) -> list[Entry]:
            return [replace(entry, artifact=other.digest)]

    with pytest.raises(EvidenceError, match="is of other files"):
        _looked_up(Rewritten(), other, ["roc_auc"])  # type: ignore[arg-type]


def test_without_the_key_nothing_is_looked_up(registered: Registered) -> None:
    registered.write(CONTRACT.partition("    champion_as_recorded")[0])
    assert resolve(registered.file, registered.work, "models:/m/3").recorded is None


def test_a_first_release_is_recorded_as_one(registered: Registered) -> None:
    registered.judged(rows(2))
    outcomes = registered.edit_subject(champion=None, recorded=None)
    assert "first release" in outcomes[CHECK].evidence.method
    assert status(outcomes, CHECK) == "passed"


def test_a_wider_margin_or_none_at_all_is_looser(registered: Registered) -> None:
    base = registered.file.contract
    wider = registered.write(CONTRACT.replace("margin: 0.03", "margin: 0.1")).contract
    without = registered.write(CONTRACT.partition("    champion_as_recorded")[0]).contract
    for head, how in ((wider, "relaxed"), (without, "removed")):
        both = compare(head, base)
        assert [(c.check, c.how) for c in both.limits] == [(CHECK, how)]
        assert both.measured == ()
    assert compare(wider, base).checks[CHECK].limit.value == 0.03
    assert [c.how for c in compare(base, wider).limits] == ["tightened"]


@pytest.mark.parametrize(
    ("metric", "said"),
    [("log_loss", "needs a check of `log_loss` with `at_least` or `at_most`"), ("custom.m", "custom.m")],
)
def test_a_metric_that_no_promotion_records_is_refused(registered: Registered, metric: str, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        registered.write(CONTRACT.replace("- {metric: roc_auc, margin", f"- {{metric: {metric}, margin"))


# --- the last releases, for readers


def test_the_last_releases_come_from_the_ledger_and_one_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    of = Registered(tmp_path)
    first, second = recent_releases(of.file.contract)
    assert (first.action, first.version, first.metrics) == ("adopt", "1", {})
    assert (second.action, second.version) == ("promote", "2")
    assert 0.6 < second.metrics["roc_auc"] < 1
    record = of.record(rows(2), "3", "2")
    assert [one["version"] for one in record["releases"]] == ["1", "2"]
    promoted(of.uri, "3", tmp_path / "scratch", "m", record)
    fetched: list[int] = []
    monkeypatch.setattr(
        releases, "kept_record", lambda ledger, e: (fetched.append(e.number), kept_record(ledger, e))[1]
    )
    again = recent_releases(of.file.contract)
    # What the second scored is known from the record of the third.
    assert (again[:2], fetched) == ((first, second), [3])
    assert again[2].metrics["roc_auc"] != second.metrics["roc_auc"]
    assert again[2].holdout != second.holdout

    def edited(*_: object) -> dict:
        raise EvidenceError("it was edited")

    monkeypatch.setattr(releases, "kept_record", edited)
    assert [(one.version, one.metrics) for one in recent_releases(of.file.contract)] == [
        ("1", {}),
        ("2", {}),
        ("3", {}),
    ]


def test_a_ledger_that_cannot_be_read_has_no_releases_and_stops_nothing(
    registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: object) -> list[Entry]:
        raise RegistryError("away")

    monkeypatch.setattr("weighin.registry.ledger.Ledger.entries", away)
    assert recent_releases(registered.file.contract) == ()
