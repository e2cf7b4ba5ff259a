"""Performance: the candidate must be good, and not worse than the champion, and not the champion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from support.suite_work import ROWS, Work


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def test_a_better_candidate_passes(work: Work) -> None:
    assert work.write().red("performance") == {}


def test_a_worse_candidate_fails_against_the_champion(work: Work) -> None:
    for name in ("reference", "holdout", "current"):
        key, other = ("candidate", name), ("champion", name)
        work.scores[key], work.scores[other] = work.scores[other], work.scores[key]
    red = work.write().red("performance")
    assert red["performance/roc_auc/vs-champion"] == "failed"


@pytest.mark.parametrize("best", [0.5, 1.0])
def test_a_perfect_score_fails_and_asks_for_a_leak(best: float, work: Work) -> None:
    late = work.frames["holdout"]["late"].to_numpy()
    work.scores["candidate", "holdout"] = np.where(late == 1, best, 0.3)
    found = work.write().outcomes("performance")["performance/roc_auc"]
    assert found.status.value == "failed"
    assert found.reason.startswith("a perfect score on all of 2,000 rows: leak?")


def test_shuffled_predictions_fail(work: Work) -> None:
    rng = np.random.default_rng(0)
    work.scores["candidate", "holdout"] = rng.permutation(work.scores["candidate", "holdout"])
    red = work.write().red("performance")
    assert red["performance/roc_auc"] == "failed"


def test_the_same_files_again_are_nothing_changed(work: Work) -> None:
    work.digests["candidate"] = work.digests["champion"]
    outcome = work.write().outcomes("performance")["performance/changed"]
    said = "candidate and champion are the same files (0 rows, limit ≥ 1)"
    assert (outcome.status.value, outcome.reason) == ("failed", said)


def test_equal_answers_on_every_row_are_nothing_changed(work: Work) -> None:
    work.scores["candidate", "holdout"] = work.scores["champion", "holdout"].copy()
    assert work.write().red("performance")["performance/changed"] == "failed"


def test_one_different_answer_is_a_change(work: Work) -> None:
    work.scores["candidate", "holdout"] = work.scores["champion", "holdout"].copy()
    work.scores["candidate", "holdout"][5] += 0.01
    assert "performance/changed" not in work.write().red("performance")


def test_a_first_release_has_nothing_to_be_compared_with(work: Work) -> None:
    del work.digests["champion"]
    found = work.write().outcomes("performance")
    assert "first release" in found["performance/roc_auc/vs-champion"].evidence.method
    assert {o.status.value for o in found.values()} == {"passed"}


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.full(ROWS, np.nan), "NaN"),
        (np.full(ROWS, 1.5), "outside"),
        (np.full(ROWS - 1, 0.5), "predictions for"),
        (np.empty(0), "predictions for"),
    ],
)
def test_answers_that_are_no_probabilities_pass_nothing(values: np.ndarray, says: str, work: Work) -> None:
    work.scores["candidate", "holdout"] = values
    found = work.write().outcomes("performance")
    assert {o.status.value for o in found.values()} == {"not_evaluated"}
    assert all(says in o.reason for o in found.values())


def test_one_nan_among_many_answers_passes_nothing(work: Work) -> None:
    work.scores["candidate", "holdout"][7] = np.nan
    assert {o.status.value for o in work.write().outcomes("performance").values()} == {"not_evaluated"}


@pytest.mark.parametrize("content", [b"", b"ARROW1 not really", None])
def test_a_damaged_or_missing_file_passes_nothing(content: bytes | None, work: Work) -> None:
    path = work.write().folder / "work/predictions/candidate/holdout.arrow"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert {o.status.value for o in work.outcomes("performance").values()} == {"not_evaluated"}


def test_a_link_to_other_predictions_passes_nothing(work: Work) -> None:
    path = work.write().folder / "work/predictions/candidate/holdout.arrow"
    path.unlink()
    path.symlink_to(work.folder / "work/predictions/champion/holdout.arrow")
    assert {o.status.value for o in work.outcomes("performance").values()} == {"not_evaluated"}


def test_predictions_of_another_schema_pass_nothing(work: Work) -> None:
    path = work.write().folder / "work/predictions/candidate/holdout.arrow"
    table = pa.table({"prediction": pa.array(["0.5"] * ROWS)})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    found = work.outcomes("performance")
    assert {o.status.value for o in found.values()} == {"not_evaluated"}


def test_fewer_than_twenty_of_the_rarer_class_are_not_evaluated(work: Work) -> None:
    work.frames["holdout"]["late"] = (np.arange(ROWS) < 19).astype(np.int64)
    found = work.write().outcomes("performance")
    assert found["performance/roc_auc"].status.value == "not_evaluated"
    assert "19" in found["performance/roc_auc"].reason


def test_a_missing_label_is_not_evaluated(work: Work) -> None:
    work.frames["holdout"]["late"] = work.frames["holdout"]["late"].astype("Int64")
    work.frames["holdout"].loc[3, "late"] = None
    found = work.write().outcomes("performance")
    assert "1 of 2,000 rows have no label, and a share of 0 may lack one" in found["performance/roc_auc"].reason


def test_a_target_that_may_be_missing_is_left_out_of_metrics(work: Work) -> None:
    whole = work.write().outcomes("performance")
    work.contract = work.contract.replace("role: target", "role: target, missing_at_most: 0.001")
    work.frames["holdout"]["late"] = work.frames["holdout"]["late"].astype("Int64")
    work.frames["holdout"].loc[[3, 1999], "late"] = None
    found = work.write().outcomes("performance")
    assert {n: o.status for n, o in found.items()} == {n: o.status for n, o in whole.items()}
    assert found["performance/roc_auc"].evidence.detail["rows"] == 1998
    work.frames["holdout"].loc[4, "late"] = None
    red = work.write().outcomes("performance")["performance/roc_auc"]
    assert "3 of 2,000 rows have no label, and a share of 0.001 may lack one" in red.reason


def test_a_slice_without_rows_is_not_evaluated(work: Work) -> None:
    work.frames["holdout"]["carrier"] = "UA"
    found = work.write().outcomes("performance")["performance/roc_auc/vs-champion/carrier=AA"]
    assert found.status.value == "not_evaluated"
    assert not found.blocks  # a slice warns, unless the contract says otherwise


def test_labels_that_are_all_equal_are_not_evaluated(work: Work) -> None:
    work.frames["holdout"]["late"] = 0
    found = work.write().outcomes("performance")
    del found["performance/changed"]  # whether something changed needs no label
    assert {o.status.value for o in found.values()} == {"not_evaluated"}
    assert "labels are equal" in found["performance/roc_auc"].reason


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "the file is missing"), (b"", "not a readable Parquet file"), (b"PAR1 no", "not a readable Parquet file")],
)
def test_data_that_cannot_be_read_are_not_evaluated(content: bytes | None, says: str, work: Work) -> None:
    path = work.write().folder / "holdout.parquet"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
        work.forget_fingerprints()
    for suite in ("performance", "data_quality"):
        found = work.outcomes(suite)
        assert {o.status.value for o in found.values()} == {"not_evaluated"}
        assert any(says in o.reason for o in found.values()), [o.reason for o in found.values()][:2]


def test_data_that_changed_since_they_were_resolved_are_not_evaluated(work: Work) -> None:
    work.write().frames["holdout"].iloc[1:].to_parquet(work.folder / "holdout.parquet", index=False)
    assert {o.status.value for o in work.outcomes("performance").values()} == {"not_evaluated"}


def test_a_target_that_is_not_in_the_file_is_not_evaluated(work: Work) -> None:
    del work.frames["holdout"]["late"]
    found = work.write().outcomes("performance")
    assert {o.status.value for o in found.values()} == {"not_evaluated"}
    assert "no column late" in found["performance/roc_auc"].reason
