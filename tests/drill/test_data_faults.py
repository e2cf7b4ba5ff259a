"""Each fault of data and of the process, put into a contract that has what it needs, is blocked by the check for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from support.suite_work import Work
from weighin.contract import read_contract
from weighin.drill import rows, values
from weighin.drill.inputs import Inputs, NotApplicable
from weighin.drill.judge import Judge, reached
from weighin.drill.process import FAULTS as PROCESS
from weighin.drill.process import Case, case_of
from weighin.outcome import decide

BY = {
    "data-missing": "data_quality/current/temp/missing",
    "data-missing-category": "data_quality/current/carrier/missing",
    "data-scaled": "data_quality/current/temp/range",
    "data-shifted": "drift/temp",
    "data-outliers": "data_quality/current/temp/range",
    "data-category-renamed": "data_quality/current/carrier/allowed",
    "data-category-merged": "drift/carrier",
    "data-category-new": "data_quality/current/carrier/allowed",
    "data-encoding": "data_quality/current/carrier/allowed",
    "data-as-text": "data_quality/current/temp/type",
    "data-doubled": "data_quality/current/id/unique",
    "data-cut-short": "data_quality/current/rows",
    "data-empty": "data_quality/current/rows",
    "data-out-of-order": "data_quality/current/at/order",
    "data-key-repeated": "data_quality/current/id/unique",
    "data-zone-lost": "data_quality/current/at/time_zone",
    "data-training-rows": "data_quality/holdout/training_rows",
    "data-column-absent": "data_quality/current/temp/exists",
}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    work = Work(tmp_path_factory.mktemp("drill"))
    text = work.contract.replace(
        "datasets: [holdout]}", "datasets: [holdout, current], training_rows: {overlap_at_most: 1}}"
    )
    text = text.replace("time_zone: UTC}", "time_zone: UTC, order: increasing}")
    text = text.replace("  current: current.parquet\n", "  current: current.parquet\n  training: reference.parquet\n")
    # Of predictions on changed features only a model can tell; tests/drill/test_models.py asks one.
    work.contract = text.replace("  drift:\n", "  drift:\n    predictions: false\n")
    for table in work.frames.values():
        table["temp"] += np.linspace(-20, 20, len(table)) * (table["late"] - 0.3)
    work.digests = {"candidate": "sha256:" + "c" * 64, "champion": "sha256:" + "b" * 64}
    work.write()
    file = read_contract(work.folder / "model_contract.yaml")
    return Judge.of(Inputs.read(file, work.folder / "work"))


@pytest.mark.parametrize("fault", [f for f in (*values.FAULTS, *rows.FAULTS) if f.name in BY], ids=lambda f: f.name)
@pytest.mark.exhaustive
def test_a_fault_of_data_is_blocked_by_the_check_for_it(judge: Judge, fault: object) -> None:
    assert judge.red == frozenset()
    inputs = fault.make(judge.base, fault.size, np.random.default_rng(1))  # type: ignore[attr-defined]
    ids = frozenset(i for i in reached(judge.checks.values(), inputs, judge.base) if i.startswith(("data_", "drift/")))
    found = judge.verdict(judge.outcomes(inputs, ids))
    assert BY[fault.name] in found.by  # type: ignore[attr-defined]
    assert found.killed


def test_the_base_is_as_it_was_after_all_faults(judge: Judge) -> None:
    file = judge.base.file
    for dataset in ("holdout", "current"):
        assert judge.base.tables[dataset].equals(pq.read_table(file.data_path(dataset)))


def test_a_contract_without_what_a_fault_needs_names_it(judge: Judge) -> None:
    contract = judge.base.file.contract
    columns = {n: c for n, c in contract.data.columns.items() if c.type not in ("string", "timestamp") and n != "id"}
    bare = contract.model_copy(update={"data": contract.data.model_copy(update={"columns": columns, "training": None})})
    inputs = replace(judge.base, file=replace(judge.base.file, contract=bare))
    rng = np.random.default_rng(1)
    for make, said in (
        (values.category_new, "no feature with categories"),
        (rows.time_zone, "role: time"),
        (rows.key_repeated, "role: key"),
        (rows.training_rows, "no data.training"),
    ):
        with pytest.raises(NotApplicable, match=said):
            make(inputs, 0.5, rng)


WITHOUT_MODEL = ("process-model-swapped", "process-answers-swapped", "process-alias-moved")


@pytest.mark.parametrize("fault", [f for f in PROCESS if f.name not in WITHOUT_MODEL], ids=lambda f: f.name)
def test_a_fault_of_the_process_is_refused_with_a_sentence(judge: Judge, fault: object) -> None:
    with case_of(judge) as case:
        said = fault.make(case)  # type: ignore[attr-defined]
    assert len(said) > 10


def test_sound_evidence_is_refused_by_nobody(judge: Judge) -> None:
    with case_of(judge) as case:
        assert case.news(case.decision()) == ""
        assert case.passed().messages == []


def test_nothing_is_promoted_where_the_gate_does_not_pass_without_a_fault(judge: Judge) -> None:
    spoiled = replace(judge, baseline={**judge.baseline})
    name = next(i for i in spoiled.baseline if i.startswith("performance/"))
    case = Case(spoiled, judge.base.file, judge.base.subject, judge.base.file.folder / "scratch")
    limit = replace(spoiled.baseline[name].limit, value=2.0)
    spoiled.baseline[name] = decide(spoiled.baseline[name].evidence, limit)  # type: ignore[index]
    with pytest.raises(NotApplicable, match="nothing can be promoted"):
        case.passed()
