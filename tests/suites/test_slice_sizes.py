"""Slices are judged alone from the size at which an equal candidate passes with 80 %: more data, no fewer passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.suite_work import Work
from weighin.contract.checks import checks
from weighin.contract.gates import SliceCheck
from weighin.contract.models import Contract
from weighin.contract.reading import read_contract
from weighin.outcome import Status, decide
from weighin.stats.metrics import METRICS
from weighin.stats.power import Planned, power
from weighin.stats.scored import Scored
from weighin.suites.performance import measure_rows
from weighin.suites.power import plans, say_power
from weighin.suites.rows import LEAST, Rows

RMSE = METRICS["rmse"]
SHARE = 0.06


def rows(seed: int, size: int, candidate_noise: float = 0.4) -> Rows:
    """Two models that are equally good, and a part with 6 % of the rows."""
    rng = np.random.default_rng(seed)
    truth = rng.random(size) < 0.5
    common = rng.normal(0, 0.4, size)
    scores = {"candidate": candidate_noise, "champion": 0.4}
    scored = {
        role: Scored(truth, np.clip(0.5 + 0.3 * (truth - 0.5) + common + rng.normal(0, noise, size), 0, 1))
        for role, noise in scores.items()
    }
    part = np.where(rng.permutation(size) < SHARE * size, "small", "rest")
    return Rows(scored, None, "rows", lambda _: part, lambda _: truth)


def slices(folder: Path, more: str = "") -> Contract:
    work = Work(folder)
    old = "{column: carrier, values: [AA], metric: roc_auc, margin: 0.1}"
    assert old in work.contract
    new = f"{{column: carrier, values: [small], metric: accuracy, margin: 0.1, severity: block{more}}}"
    (folder / "c.yaml").write_text(work.contract.replace(old, new))
    return read_contract(folder / "c.yaml").contract


def passes(contract: Contract, size: int, draws: int = 60) -> float:
    gate = contract.gates.performance
    assert gate is not None
    check = next(c for c in checks(contract, "performance") if c.id.endswith("carrier=small"))
    found = [decide(measure_rows(check, rows(s, size), gate, Path()), check.limit).status for s in range(draws)]
    return found.count(Status.PASSED) / draws


def test_more_data_do_not_make_a_pass_less_likely(tmp_path: Path) -> None:
    default, explicit = slices(tmp_path), slices(tmp_path, ", rows_at_least: 100")
    # 60 rows are pooled; 120 rows are judged alone where the contract says 100, and are too few for this margin.
    assert passes(explicit, 1_000) == 1
    assert passes(explicit, 2_000) < 0.7
    assert [passes(default, size) for size in (1_000, 2_000)] == [1, 1]
    # Judged alone at last: the size was planned for 80 %.
    assert rows(1, 8_000).least(default.gates.performance.slices[0]) < SHARE * 8_000  # type: ignore[union-attr]
    assert passes(default, 8_000) > 0.8


def test_the_candidate_has_no_say_in_which_slices_are_judged() -> None:
    check = SliceCheck.model_validate({"column": "c", "values": ["small"], "metric": "accuracy", "margin": 0.05})
    assert rows(1, 3_000).least(check) == rows(1, 3_000, candidate_noise=9.0).least(check) > 2 * LEAST


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"margin": 0.9}, LEAST),
        ({"better_by": 0.01}, LEAST),
        ({"margin": 0.0}, float("inf")),
        ({"margin": 0.0, "rows_at_least": 7}, 7),
        ({"margin": 0.1, "metric": "custom.ours"}, LEAST),
        ({"margin": 0.1, "against": "anchor"}, LEAST),
    ],
)
def test_the_size_follows_the_margin_where_the_contract_names_none(more: dict[str, object], expected: float) -> None:
    check = SliceCheck.model_validate({"column": "c", "values": ["small"], "metric": "accuracy", **more})
    assert rows(1, 1_000).least(check) == expected


def test_a_margin_of_nothing_pools_every_part_and_the_whole_is_judged() -> None:
    check = SliceCheck.model_validate({"column": "c", "values": ["small"], "metric": "accuracy", "margin": 0.0})
    from weighin.contract.checks import SliceRule

    found = rows(1, 1_000)
    assert len(found.part(SliceRule(check, "small"))) == 1_000
    assert found.pooled(SliceRule(check, "small"))


def test_the_power_of_a_contract_counts_slices_and_fairness_that_block(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(slice_severity: str) -> dict[str, str]:
        work = Work(tmp_path)
        graded = f"metric: roc_auc, margin: 0.03, severity: {slice_severity}}}"
        work.contract = work.contract.replace("metric: roc_auc, margin: 0.1}", graded)
        fairness = "    fairness:\n      - {column: carrier, values: [AA, UA], measure: error_rate, at_most: 0.04}\n"
        work.contract = work.contract.replace("  drift:\n", f"{fairness}  drift:\n")
        work.write()
        say_power(read_contract(tmp_path / "model_contract.yaml"), tmp_path / "work")
        lines = capsys.readouterr().out.splitlines()[1:]
        return {line[:60].strip(): line[60:] for line in lines}

    warned, blocked = said("warn"), said("block")
    name = "performance/roc_auc/vs-champion/carrier=AA"
    assert name not in warned
    assert name in blocked
    assert sum("fairness/error_rate" in n for n in blocked) == 2

    def together(found: dict[str, str]) -> int:
        return int(next(v for k, v in found.items() if "together" in k).split("%")[0])

    assert together(blocked) <= together(warned) < 60


def test_power_is_unknown_where_errors_are_beyond_all_numbers(tmp_path: Path) -> None:
    truth, errors = np.zeros(1_000), np.random.default_rng(4).normal(size=1_000)
    largest = errors.copy()
    largest[:2] = np.finfo(np.float64).max  # a number, of which the square is none
    scored = {"candidate": Scored(truth, largest), "champion": Scored(truth, errors)}
    of_errors = Rows(
        scored, None, "rows", lambda _: np.repeat("small", 1_000), lambda _: truth == 0, known=lambda _: RMSE
    )
    with np.errstate(over="ignore", invalid="ignore"):
        planned, unknown = plans(slices(tmp_path), of_errors)
    assert all(np.isfinite(p.influence).all() for p in planned)
    said = [check for check, why in unknown if why == "the metric, or the part of a row in it, is not a finite number"]
    assert "performance/accuracy/vs-champion/carrier=small" in said


def test_power_on_many_rows_needs_neither_a_minute_nor_gigabytes() -> None:
    import tracemalloc

    rng = np.random.default_rng(0)
    planned = [Planned(f"c{i}", 0.01, rng.normal(size=50_000) / 50_000, 0.95) for i in range(10)]
    tracemalloc.start()
    _, together = power(planned, None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0 < together.probability <= 1
    assert peak < 100 * 2**20
