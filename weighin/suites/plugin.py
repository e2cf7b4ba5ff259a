"""The pytest side of a suite: one test per check of the contract, and `outcomes.json` at the end.

    def test_drift(outcome):
        assert outcome.goes_on, outcome

`outcome` measures and decides before the test runs, so that what was not evaluated is an *error* in JUnit and what
failed or is inconclusive a *failure*. A team's own test in the same file becomes the census check `custom/<nodeid>`;
a skipped or expectedly failing test is not evaluated.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from weighin.contract import Check, checks, read_contract
from weighin.contract.own import GATES
from weighin.errors import NotEvaluated, WeighinError
from weighin.outcome import Direction, Limit, Outcome, Status, Unmeasured, census, decide
from weighin.record.decision import CUSTOM
from weighin.record.suite import Binding, SuiteOutcomes
from weighin.suites import informed, measured
from weighin.suites.evidence import Evidence

STATE = pytest.StashKey["SuiteRun"]()
CHECK = pytest.StashKey[str]()


@dataclass
class SuiteRun:
    """One suite's run: what it may look at, and what was decided so far."""

    suite: str
    evidence: Evidence
    binding: Binding
    out: Path | None
    checks: list[Check]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options that `weighin judge` sets; by hand the defaults are those of `weighin validate`."""
    group = parser.getgroup("weighin")
    group.addoption("--weighin-contract", default="model_contract.yaml", help="the contract")
    group.addoption("--weighin-work", default=".weighin/work", help="what `weighin validate` resolved and predicted")
    group.addoption("--weighin-out", default=None, help="folder for outcomes.json")
    group.addoption("--weighin-suite", default="", help="the suite that runs, where no test of it names one")
    group.addoption("--weighin-image", default=os.environ.get("WEIGHIN_IMAGE", ""), help="identity of this image")
    group.addoption("--weighin-attempt", default=os.environ.get("WEIGHIN_ATTEMPT", "1"), help="attempt of the run")


def suite_run(config: pytest.Config, suite: str) -> SuiteRun:
    """The one suite that this process runs. Errors: `pytest.UsageError` when a second one is asked for."""
    run = config.stash.get(STATE, None)
    if run is None:
        try:
            file = read_contract(Path(config.getoption("--weighin-contract")))
            out = config.getoption("--weighin-out")
            evidence = Evidence(file, Path(config.getoption("--weighin-work")), Path(out) if out else None)
            subject = evidence.subject.digest
        except WeighinError as error:
            raise pytest.UsageError(f"{error} Run `weighin validate` once, it leaves what a suite needs.") from error
        binding = Binding(
            file.digest, subject, config.getoption("--weighin-image"), config.getoption("--weighin-attempt")
        )
        listed = checks(file.contract, suite) if suite in GATES else []
        run = SuiteRun(suite, evidence, binding, evidence.out, listed)
        config.stash[STATE] = run
    if run.suite != suite:
        raise pytest.UsageError(f"one suite per process: {run.suite} and {suite} were both asked for")
    return run


def pytest_collection_finish(session: pytest.Session) -> None:
    """A team's own suite may hold nothing but plain tests; their outcomes are recorded like any others."""
    named = session.config.getoption("--weighin-suite")
    if named and session.items:
        suite_run(session.config, named)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `check` (or `outcome`, which takes it) runs once for every check of its module's `SUITE`."""
    if "check" in metafunc.fixturenames:
        suite = getattr(metafunc.module, "SUITE", None)
        if suite is None:
            raise pytest.UsageError(f"{metafunc.module.__name__} names no SUITE")
        listed = suite_run(metafunc.config, suite).checks
        metafunc.parametrize("check", listed, ids=[c.id for c in listed])


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Evidence:
    """Contract, data and predictions, for a team's own tests."""
    named = getattr(request.module, "SUITE", "") or request.config.getoption("--weighin-suite")
    if not named:
        raise pytest.UsageError(f"{request.module.__name__} names no SUITE")
    return suite_run(request.config, named).evidence


@pytest.fixture
def outcome(check: Check, request: pytest.FixtureRequest) -> Judged:
    """Measure and decide one check. Errors: `NotEvaluated`, which JUnit shows as an error."""
    run = suite_run(request.config, check.suite)
    request.node.stash[CHECK] = check.id
    found = decide(measured(check, run.evidence), check.limit)
    run.outcomes[check.id] = found
    if found.status is Status.NOT_EVALUATED and found.blocks:
        raise NotEvaluated(found.reason, check.id)
    if found.status is not Status.PASSED and not found.blocks:
        request.node.user_properties.append(("weighin-warning", f"{found.status.value}: {found.reason}"))
    return Judged(found)


@dataclass(frozen=True)
class Judged:
    """An outcome as a test sees it: does the gate go on, and the sentence that says why."""

    outcome: Outcome

    @property
    def goes_on(self) -> bool:
        """Whether this outcome lets a release go on."""
        return not self.outcome.blocks

    def __repr__(self) -> str:
        return f"{self.outcome.status.value}: {self.outcome.reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Record what the tests of a suite did besides the measured checks: crashes, skips, a team's own tests."""
    report = yield
    run = item.config.stash.get(STATE, None)
    if run is None:
        return report
    name = item.stash.get(CHECK, None) or _listed(item)
    if name is None:
        _custom(run, item, call, report)
    elif report.outcome != "passed" and name not in run.outcomes:
        reason = call.excinfo.exconly() if call.excinfo else "skipped"
        limit = next(c.limit for c in run.checks if c.id == name)
        run.outcomes[name] = decide(Unmeasured(name, f"the measurement did not end: {reason[:500]}"), limit)
    return report


def _listed(item: pytest.Item) -> str | None:
    check = getattr(getattr(item, "callspec", None), "params", {}).get("check")
    return check.id if isinstance(check, Check) else None


def _custom(run: SuiteRun, item: pytest.Item, call: pytest.CallInfo[Any], report: Any) -> None:
    """A team's own test: passed or failed is a census of one; anything else was not evaluated."""
    name = CUSTOM + item.nodeid
    limit = Limit(Direction.AT_MOST, 0.0, run.evidence.contract.alpha)
    before = run.outcomes.get(name)
    if before is not None and before.status is not Status.PASSED:
        return
    reason = call.excinfo.exconly()[:500] if call.excinfo else ""
    if report.outcome == "skipped" or hasattr(report, "wasxfail"):
        run.outcomes[name] = decide(Unmeasured(name, f"skipped or expected to fail: {reason or report.outcome}"), limit)
    elif report.outcome == "failed" and report.when != "call":
        run.outcomes[name] = decide(Unmeasured(name, f"{report.when} did not end: {reason}"), limit)
    elif report.when == "call":
        failures = 0 if report.outcome == "passed" else 1
        method = f"own test: {reason}" if reason else "own test"
        run.outcomes[name] = decide(census(name, failures, n=1, unit="failures", n_unit="tests", method=method), limit)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write `outcomes.json`; what was deselected or never ran is missing in it, which the verdict notices."""
    run = session.config.stash.get(STATE, None)
    if run is None or run.out is None:
        return
    waivers = {c.id: c.waiver for c in run.checks if c.waiver}
    seconds = time.monotonic() - run.started
    information = tuple(informed(run.suite, run.evidence))
    SuiteOutcomes(run.suite, run.binding, tuple(run.outcomes.values()), seconds, waivers, information).write(run.out)
