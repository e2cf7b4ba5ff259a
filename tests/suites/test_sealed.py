"""The sealed holdout says whether everything passed, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.suite_work import ROWS, Work, frame
from weighin.canonical import file_digest
from weighin.contract import checks, read_contract
from weighin.model.subject import ReservedUse, Subject
from weighin.outcome import decide
from weighin.record.outcomes import encode_outcome
from weighin.suites import measured
from weighin.suites.evidence import Evidence

DATASET = "sealed_holdout"


@pytest.fixture
def work(tmp_path: Path) -> Work:
    found = Work(tmp_path)
    found.contract = found.contract.replace(
        "  current: current.parquet\n", "  current: current.parquet\n  sealed_holdout: sealed_holdout.parquet\n"
    )
    found.contract += "  sealed: {epoch: e, holdout_uses: 5}\n"
    rng = np.random.default_rng(9)
    found.frames[DATASET] = frame(rng)
    for role, noise in (("candidate", 0.3), ("champion", 0.5)):
        score = 0.25 + 0.5 * found.frames[DATASET]["late"].to_numpy() + rng.normal(0, noise, ROWS)
        found.scores[role, DATASET] = np.clip(score, 0.02, 0.98)
    return found


def judged(work: Work, use: ReservedUse | None = ReservedUse("e", 1, 5, "1")):  # type: ignore[no-untyped-def]  # noqa: B008
    path = work.write().folder / "work/subject.json"
    subject = Subject.read(path)
    data = dict(subject.data)
    parquet = work.folder / f"{DATASET}.parquet"
    if DATASET in work.frames:
        data[DATASET] = {"sha256": file_digest(parquet), "rows": ROWS, "problem": "", "features": ""}
    replace(subject, sealed=use, data=data).write(path)
    file = read_contract(work.folder / "model_contract.yaml")
    (check,) = checks(file.contract, "sealed")
    return decide(measured(check, Evidence(file, work.folder / "work")), check.limit)


def test_a_good_candidate_passes(work: Work) -> None:
    assert judged(work).status.value == "passed"


def test_what_was_recorded_of_the_development_holdout_is_not_asked_here(work: Work) -> None:
    recorded = "    champion_as_recorded: [{metric: roc_auc, margin: 0.03}]\n"
    work.contract = work.contract.replace("    threshold: 0.5\n", f"    threshold: 0.5\n{recorded}")
    assert judged(work).status.value == "passed"
    assert work.red("performance") == {"performance/champion-as-recorded/roc_auc": "not_evaluated"}


def test_a_candidate_that_breaks_one_limit_there_does_not(work: Work) -> None:
    work.scores["candidate", DATASET] = np.random.default_rng(0).permutation(work.scores["candidate", DATASET])
    assert judged(work).status.value == "failed"


def test_nothing_but_one_bit_is_published(work: Work) -> None:
    good = json.dumps(encode_outcome(judged(work))["evidence"])
    work.scores["candidate", DATASET] = 1 - work.scores["candidate", DATASET]
    bad = json.dumps(encode_outcome(judged(work))["evidence"])
    for word in ("estimate", "low", "high"):
        good, bad = (t.replace(f'"{word}": 0.0', "x").replace(f'"{word}": 1.0', "x") for t in (good, bad))
    assert good == bad
    assert "roc_auc" not in good


def test_a_look_is_made_at_a_share_of_alpha(work: Work) -> None:
    """A limit that alpha would let pass and alpha / 100 does not."""
    work.contract = work.contract.replace("{metric: roc_auc, at_least: 0.7}", "{metric: roc_auc, at_least: 0.865}")
    assert judged(work, ReservedUse("e", 1, 1, "1")).status.value == "passed"
    assert judged(work, ReservedUse("e", 1, 100, "1")).status.value == "failed"


def test_without_a_reserved_look_nothing_is_measured(work: Work) -> None:
    assert judged(work, None).status.value == "not_evaluated"


def test_an_inconclusive_check_that_elsewhere_warns_is_no_pass_here(work: Work) -> None:
    work.contract = work.contract.replace(
        "{metric: roc_auc, at_least: 0.7}", "{metric: roc_auc, at_least: 0.88, when_inconclusive: warn}"
    )
    assert judged(work).status.value == "failed"


def test_missing_predictions_are_not_evaluated(work: Work) -> None:
    del work.scores["candidate", DATASET]
    assert judged(work).status.value == "not_evaluated"


def test_sealed_rows_that_changed_are_not_evaluated(work: Work) -> None:
    judged(work)
    pd.read_parquet(work.folder / f"{DATASET}.parquet").iloc[::-1].to_parquet(work.folder / f"{DATASET}.parquet")
    file = read_contract(work.folder / "model_contract.yaml")
    (check,) = checks(file.contract, "sealed")
    found = decide(measured(check, Evidence(file, work.folder / "work")), check.limit)
    assert found.status.value == "not_evaluated"
    assert "has changed" in found.reason
