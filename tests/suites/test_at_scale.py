"""A holdout too large for memory: streamed where a metric allows it, else a sample that says so; the same verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from support.suite_work import ROWS, Work
from weighin.canonical import file_digest
from weighin.contract import checks, read_contract
from weighin.data.table import drawn, read_rows
from weighin.errors import NotEvaluated
from weighin.model.answers import Predictions, read_predictions, write_predictions
from weighin.outcome import Measurement, Unmeasured
from weighin.suites import at_scale, performance
from weighin.suites.evidence import Evidence

ALONE = "group: day\n", ""
MEASURED = dict[str, Measurement | Unmeasured]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Everything with more than a thousand rows is large from then on, and read 300 rows at a time."""

    def switch() -> None:
        monkeypatch.setattr(at_scale, "LARGE", 1_000)
        monkeypatch.setattr(at_scale, "SAMPLE", 800)
        monkeypatch.setattr(at_scale, "PART", 300)

    return switch


def resolved(work: Work) -> Evidence:
    """The evidence of a folder, with digests of the features as `resolve` leaves them."""
    work.write()
    file = read_contract(work.folder / "model_contract.yaml")
    evidence = Evidence(file, work.folder / "work")
    known = {name: {**facts, "features": f"sha256:{name}"} for name, facts in evidence.subject.data.items()}
    replace(evidence.subject, data=known).write(work.folder / "work/subject.json")
    for role in work.digests:
        for name in known:
            path = work.folder / f"work/predictions/{role}/{name}.arrow"
            write_predictions(path, work.scores[role, name][:, None], f"sha256:{name}", "float64")
    return Evidence(file, work.folder / "work")


def measured(evidence: Evidence) -> MEASURED:
    again = Evidence(evidence.file, evidence.work)
    return {c.id: performance.measure(c, again) for c in checks(again.contract, "performance")}


def test_what_is_streamed_is_what_is_measured_in_memory(work: Work, large: Callable[[], None]) -> None:
    work.contract = work.contract.replace(*ALONE)
    evidence = resolved(work)
    wanted = measured(evidence)
    large()
    found = measured(evidence)
    assert list(found) == list(wanted)
    streamed = [c for c in found if "carrier" not in c]
    assert len(streamed) == 4
    for name in streamed:
        one, two = found[name], wanted[name]
        assert isinstance(one, Measurement)
        assert isinstance(two, Measurement)
        assert (one.estimate, one.low, one.high) == pytest.approx((two.estimate, two.low, two.high), abs=1e-9)
        assert (one.n, one.unit, one.sampling_unit) == (two.n, two.unit, two.sampling_unit) == (ROWS, *_units(two))
    (part,) = (m for name, m in found.items() if "carrier" in name)
    assert isinstance(part, Measurement)
    rows = part.detail["sampled_rows"]
    assert 700 < rows < 900
    assert f"on a sample of {rows} of 2,000 rows" in part.method


def _units(of: Measurement) -> tuple[str, str]:
    return of.unit, of.sampling_unit


def test_groups_are_sampled_as_wholes(work: Work, large: Callable[[], None]) -> None:
    evidence = resolved(work)
    large()
    found = measured(evidence)
    auc = next(m for m in found.values() if m.unit == "AUC")
    assert isinstance(auc, Measurement)
    assert auc.n < 40
    assert auc.detail["sampled_rows"] == 50 * auc.n
    assert auc.detail["of_rows"] == ROWS


def test_the_same_model_again_is_noticed_over_all_rows(work: Work, large: Callable[[], None]) -> None:
    for name in ("reference", "holdout", "current"):
        work.scores["champion", name] = work.scores["candidate", name].copy()
    large()
    assert measured(resolved(work))["performance/changed"].estimate == 0
    work.scores["champion", "holdout"][-1] = 0.5
    assert measured(resolved(work))["performance/changed"].estimate == 1


@pytest.mark.parametrize("broken", ["nan", "outside", "labels", "other rows", "cut", "gone"])
def test_answers_that_are_refused_in_memory_are_refused_in_parts(
    broken: str, work: Work, large: Callable[[], None]
) -> None:
    work.contract = work.contract.replace(*ALONE)
    scores = work.scores["candidate", "holdout"]
    if broken == "labels":
        work.scores["candidate", "holdout"] = (scores > 0.5).astype(float)
    elif broken in ("nan", "outside"):
        scores[-1] = np.nan if broken == "nan" else 1.5
    evidence = resolved(work)
    path = evidence.work / "predictions/candidate/holdout.arrow"
    if broken == "other rows":
        write_predictions(path, scores[:, None], "sha256:x", "float64")
    elif broken == "cut":
        path.write_bytes(path.read_bytes()[:-3_000])
    elif broken == "gone":
        path.unlink()
    check = next(c for c in checks(evidence.contract, "performance") if "log_loss" in c.id)
    said = []
    for _ in range(2):
        with pytest.raises(NotEvaluated) as caught:
            performance.measure(check, Evidence(evidence.file, evidence.work))
        said.append(caught.value.fact)
        large()
    if broken in ("labels", "other rows", "gone"):
        assert said[0] == said[1]


def test_rows_are_drawn_and_read_in_order(work: Work) -> None:
    evidence = resolved(work)
    path = evidence.path("holdout")
    rows = drawn(path, ROWS, 300, 5, None)
    assert 230 < len(rows) < 370
    assert (np.diff(rows) > 0).all()
    assert (rows == drawn(path, ROWS, 300, 5, None)).all()
    assert set(rows) != set(drawn(path, ROWS, 300, 6, None))
    assert read_rows(path, ["id"], rows)["id"].to_pylist() == rows.tolist()
    days = pq.read_table(path, columns=["day"])["day"].to_numpy()
    chosen = drawn(path, ROWS, 800, 5, "day")
    assert set(days[chosen]).isdisjoint(np.delete(days, chosen))


def test_predictions_in_parts_are_those_of_the_whole_file(tmp_path: Path) -> None:
    values, path = np.random.default_rng(0).random((1_000, 3)), tmp_path / "role/holdout.arrow"
    path.parent.mkdir()
    write_predictions(path, values, "sha256:a", "float32")
    found = Predictions(path, 1_000, 3, "sha256:a")
    parts = [found.part(0, 1), found.part(1, 700), found.part(700, 1_000)]
    assert (np.concatenate(parts) == read_predictions(path, 1_000, 3, "sha256:a")).all()
    for rows, width, digest in ((999, 3, "sha256:a"), (1_000, 2, "sha256:a"), (1_000, 3, "sha256:b")):
        with pytest.raises(NotEvaluated):
            Predictions(path, rows, width, digest)
    assert file_digest(path).startswith("sha256:")


def test_a_file_that_lies_is_refused_in_parts_as_it_is_whole(tmp_path: Path) -> None:
    values, path = np.random.default_rng(0).random((40, 2)), tmp_path / "role/holdout.arrow"
    path.parent.mkdir()
    write_predictions(path, values, "sha256:a", "float64")
    sound = path.read_bytes()
    refused = 0
    for place in range(0, len(sound) - 7, 4):
        for word in (b"\xff\xff\xff\x7f", b"\x00\x08\x00\x00"):
            path.write_bytes(sound[:place] + word + sound[place + 4 :])
            found: list[object] = []
            for read in (
                lambda: read_predictions(path, 40, 2, "sha256:a"),
                lambda: Predictions(path, 40, 2, "sha256:a").part(0, 40),
            ):
                try:
                    found.append(read().tobytes())
                except NotEvaluated:
                    found.append(None)
            refused += found[1] is None
            assert found[1] in (None, found[0]), place
    assert refused > 100
