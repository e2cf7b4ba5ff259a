"""A drill measures again only what a fault can reach, and comes to the decision of the whole path."""

from __future__ import annotations

import numpy as np
import pytest

from support.suite_work import Work
from weighin.contract import checks, read_contract
from weighin.drill.catalogue import FAULTS
from weighin.drill.fault import Fault
from weighin.drill.inputs import Inputs, NotApplicable, evidence_of
from weighin.drill.judge import Judge, decided, drawn_again, holdout_rows, reached
from weighin.outcome import decide
from weighin.suites import measured
from weighin.suites.model import measure_model

DRAWN = [f for f in FAULTS if f.name in ("labels-flipped", "labels-one-class", "model-worse", "model-overconfident")]
REACH = [f for f in FAULTS if f.name in ("labels-definition", "model-worse", "model-stale", "model-leaked-label")]
"""One for each set of suites that faults reach."""


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    work = Work(tmp_path_factory.mktemp("drill")).write()
    file = read_contract(work.folder / "model_contract.yaml")
    return Judge.of(Inputs.read(file, work.folder / "work"))


def made(judge: Judge, fault: Fault, size: float, seed: int = 1) -> Inputs:
    return fault.make(judge.base, size, np.random.default_rng(seed))


def test_without_a_fault_everything_passes_and_nothing_is_reached(judge: Judge) -> None:
    assert judge.red == frozenset()
    assert reached(judge.checks.values(), judge.base, judge.base) == frozenset()
    assert judge.judged(judge.base).answer == "missed"


@pytest.mark.parametrize("fault", REACH, ids=lambda f: f.name)
def test_a_fault_is_judged_as_the_whole_path_judges_it(judge: Judge, fault: Fault) -> None:
    try:
        inputs = made(judge, fault, fault.size)
    except NotApplicable as error:
        pytest.fail(f"this contract has every gate, and {fault.name} says: {error}")
    with evidence_of(inputs, judge.base) as evidence:
        every = {
            c.id: decide(
                measure_model(c, evidence.subject.models) if c.suite == "model" else measured(c, evidence), c.limit
            )
            for c in checks(judge.base.file.contract)
        }
    if not inputs.apart:
        # A model with a fault is served with it: the log of the load holds what the sound one answered.
        every["load/wrong-answers"] = judge.baseline["load/wrong-answers"]
    assert decided(every.values(), judge.alpha) == judge.judged(inputs)


@pytest.mark.parametrize("fault", DRAWN, ids=lambda f: f.name)
def test_stopping_early_changes_no_verdict(judge: Judge, fault: Fault) -> None:
    for size in fault.sizes[::3]:
        inputs = made(judge, fault, size)
        rows = drawn_again(holdout_rows(inputs, judge.base), np.random.default_rng(2))
        ids = reached(judge.checks.values(), inputs, judge.base) - judge.performance
        fixed = judge.outcomes(inputs, ids)
        whole = {c: decide(judge._on(judge.checks[c], rows), judge.checks[c].limit) for c in judge.performance}
        assert judge.at_once(rows, fixed).killed == judge.verdict({**fixed, **whole}).killed
