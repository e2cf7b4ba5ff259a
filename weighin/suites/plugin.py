"""The pytest side of a suite: one test per check of the contract, and `outcomes.json` at the end.

    def test_drift(outcome):
        assert outcome.goes_on, outcome

`outcome` measures and decides before the test runs, so that what was not evaluated is an *error* in JUnit and what
failed or is inconclusive a *failure*. A team's own test in the same file becomes the census check `custom/<nodeid>`;
a skipped or expectedly failing test is not evaluated.

`weighin step judge` runs it twice: with `--weighin-own-only` over the repository's own tests and metrics, then over the
checks of the contract, with no code of the repository (`--weighin-own`, weighin/suites/contract_checks.py). By hand,
`pytest validation_tests/test_drift.py` does all in one process.
"""

from __future__ import annotations

import ast
import inspect
import os
import textwrap
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from weighin.contract import Check, Contract, checks, read_contract
from weighin.contract.checks import MetricRule, SealedRule
from weighin.contract.own import GATES, custom_metrics, is_ours
from weighin.contract.stricter import compare
from weighin.errors import NotEvaluated, WeighinError
from weighin.outcome import Direction, Limit, Outcome, Status, Unmeasured, census, decide
from weighin.record.decision import CUSTOM
from weighin.record.suite import Binding, SuiteOutcomes
from weighin.suites import CHECKS, informed, measured
from weighin.suites.evidence import Evidence
from weighin.suites.own_message import written_message
from weighin.untrusted.redact import reduced

STATE = pytest.StashKey["SuiteRun"]()
CHECK = pytest.StashKey[str]()
NOTHING = "nothing"
"""Parameter of a test that there is nothing to run for."""


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
    """Options that `weighin step judge` sets; by hand the defaults are those of `weighin validate`."""
    group = parser.getgroup("weighin")
    group.addoption("--weighin-contract", default="model_contract.yaml", help="the contract")
    group.addoption("--weighin-work", default=".weighin/work", help="what `weighin validate` resolved and predicted")
    group.addoption("--weighin-out", default=None, help="folder for outcomes.json")
    group.addoption("--weighin-suite", default="", help="the suite that runs, where no test of it names one")
    group.addoption("--weighin-own-only", action="store_true", help="only the repository's own tests and metrics")
    group.addoption("--weighin-own", default=None, help="folder of what a run with --weighin-own-only left")
    group.addoption("--weighin-base", default=None, help="the contract of the base, whose stricter limits count")
    group.addoption("--weighin-image", default=os.environ.get("WEIGHIN_IMAGE", ""), help="identity of this image")
    group.addoption("--weighin-attempt", default=os.environ.get("WEIGHIN_ATTEMPT", "1"), help="attempt of the run")


def suite_run(config: pytest.Config, suite: str) -> SuiteRun:
    """Return the one suite that this process runs. Errors: `pytest.UsageError` when a second one is asked for."""
    run = config.stash.get(STATE, None)
    if run is None:
        try:
            file = read_contract(Path(config.getoption("--weighin-contract")))
            out, own = config.getoption("--weighin-out"), config.getoption("--weighin-own")
            evidence = Evidence(
                file,
                Path(config.getoption("--weighin-work")),
                Path(out) if out else None,
                SuiteOutcomes.read(Path(own)) if own else None,
                config.getoption("--weighin-own-only"),
            )
            subject = evidence.subject.digest
        except WeighinError as error:
            raise pytest.UsageError(f"{error} Run `weighin validate` once, it leaves what a suite needs.") from error
        binding = Binding(
            file.digest, subject, config.getoption("--weighin-image"), config.getoption("--weighin-attempt")
        )
        if evidence.own is not None and (evidence.own.suite, evidence.own.binding) != (suite, binding):
            raise pytest.UsageError(f"{own} holds outcomes of something else. Run `weighin step judge` once more.")
        listed = checks(file.contract, suite) if suite in GATES else []
        if base := config.getoption("--weighin-base"):
            listed = _by_the_stricter(listed, file.contract, Path(base))
        if evidence.own_only:
            listed = [c for c in listed if _needs_own_code(c, file.contract)]
        run = SuiteRun(suite, evidence, binding, evidence.out, listed)
        config.stash[STATE] = run
    if run.suite != suite:
        raise pytest.UsageError(f"one suite per process: {run.suite} and {suite} were both asked for")
    return run


def _by_the_stricter(listed: list[Check], contract: Contract, base: Path) -> list[Check]:
    """Return the checks with the limit of the base's contract, where that demands more of the same.

    A p-value is of a limit: one of the limit that a pull request relaxes says nothing of the one that decides.
    """
    try:
        found = compare(contract, read_contract(base).contract).checks
    except WeighinError as error:
        raise pytest.UsageError(f"{error} Nothing can be judged by a base whose contract cannot be read.") from error
    return [found[c.id] if not found[c.id].expired else c for c in listed]


def _needs_own_code(check: Check, contract: Contract) -> bool:
    """Whether a check of the contract is measured, or a part of it, by a function of the repository."""
    if isinstance(check.rule, SealedRule):
        return custom_metrics(contract, "sealed")
    return isinstance(check.rule, MetricRule) and check.rule.custom


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the other of the two judges does, and tests of outcomes that do not exist."""
    only = config.getoption("--weighin-own-only")
    left_out = [i for i in items if NOTHING in getattr(getattr(i, "callspec", None), "params", {}).values()]
    if only:
        left_out += [i for i in items if i.path != CHECKS and isinstance(i, pytest.Function) and _is_ours(i)]
    items[:] = [i for i in items if i not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _is_ours(item: pytest.Function) -> bool:
    """Whether a test of a gate's file is the one that judges the checks of the contract, and nothing else."""
    try:
        (node,) = ast.parse(textwrap.dedent(inspect.getsource(item.function))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return False
    return is_ours(node)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse anything but plain tests in a team's own suite; their outcomes are recorded like any others."""
    named = session.config.getoption("--weighin-suite")
    if named and (session.items or session.config.getoption("--weighin-own-only")):
        suite_run(session.config, named)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes `check` (or `outcome`, which takes it) once for every check of its module's
    `SUITE`.
    """
    suite = getattr(metafunc.module, "SUITE", None) or metafunc.config.getoption("--weighin-suite")
    if {"check", "own_outcome"} & set(metafunc.fixturenames) and not suite:
        raise pytest.UsageError(f"{metafunc.module.__name__} names no SUITE")
    if "check" in metafunc.fixturenames:
        run = suite_run(metafunc.config, suite)
        if metafunc.definition.path == CHECKS:
            metafunc.parametrize("check", run.checks or [NOTHING], ids=[c.id for c in run.checks] or [NOTHING])
        else:
            listed = checks(run.evidence.contract, suite) if suite in GATES else []
            metafunc.parametrize("check", listed, ids=[c.id for c in listed])
    if "own_outcome" in metafunc.fixturenames:
        own = suite_run(metafunc.config, suite).evidence.own
        added = [o for o in own.outcomes if o.check.startswith(CUSTOM)] if own else []
        metafunc.parametrize("own_name", [o.check for o in added] or [NOTHING])


@pytest.fixture
def own_outcome(own_name: str, request: pytest.FixtureRequest) -> Judged:
    """Return what a test of the repository came to, decided again here. Errors: `NotEvaluated`."""
    run = suite_run(request.config, request.config.getoption("--weighin-suite"))
    assert run.evidence.own is not None
    request.node.stash[CHECK] = own_name
    (left,) = [o for o in run.evidence.own.outcomes if o.check == own_name]
    limit = Limit(Direction.AT_MOST, 0.0, run.evidence.contract.alpha)
    return _decided(run, decide(left.evidence, limit), request)


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
    if not _is_own(run, request.node):
        request.node.stash[CHECK] = check.id
    return _decided(run, decide(measured(check, run.evidence), check.limit), request)


def _decided(run: SuiteRun, found: Outcome, request: pytest.FixtureRequest) -> Judged:
    if not _is_own(run, request.node):
        run.outcomes[found.check] = found
    if found.status is Status.NOT_EVALUATED and found.blocks:
        raise NotEvaluated(found.reason, found.check)
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
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record what the tests of a suite did besides the measured checks: crashes, skips, a team's own tests."""
    report = yield
    run = item.config.stash.get(STATE, None)
    if run is None:
        return report
    if report.outcome == "failed" and call.excinfo is not None and not _speaks_of_outcomes(run, item, call.excinfo):
        report.longrepr = _reduced(run, call.excinfo)
        report.sections = []
    name = None if _is_own(run, item) else item.stash.get(CHECK, None) or _listed(item)
    if name is None:
        _custom(run, item, call, report)
    elif report.outcome != "passed" and name not in run.outcomes:
        reason = _reduced(run, call.excinfo) if call.excinfo else "skipped"
        limit = next((c.limit for c in run.checks if c.id == name), Limit(Direction.AT_MOST, 0.0, 0.05))
        run.outcomes[name] = decide(Unmeasured(name, f"the measurement did not end: {reason}"), limit)
    return report


def _reduced(run: SuiteRun, info: pytest.ExceptionInfo[BaseException]) -> str:
    """Return an error of a test or a library without its text, in which rows of the data may stand."""
    return reduced(info.value, run.evidence.contract.data.columns)


def _own_reason(run: SuiteRun, item: pytest.Item, info: pytest.ExceptionInfo[BaseException]) -> str:
    """Return why a test of the repository did not pass: the message that it is written with, and the reduced error."""
    message = written_message(info.value, item.path)
    return f"{message} ({_reduced(run, info)})" if message else _reduced(run, info)


def _speaks_of_outcomes(run: SuiteRun, item: pytest.Item, info: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether an error's text is our own sentence about an outcome, which holds no value of the data."""
    return not _is_own(run, item) and (CHECK in item.stash) and isinstance(info.value, (AssertionError, NotEvaluated))


def _is_own(run: SuiteRun, item: pytest.Item) -> bool:
    """Whether a test is one of the repository: whatever it asks for, it becomes a check of its own."""
    return run.evidence.own_only and item.path != CHECKS


def _listed(item: pytest.Item) -> str | None:
    check = getattr(getattr(item, "callspec", None), "params", {}).get("check")
    return check.id if isinstance(check, Check) else None


def _custom(run: SuiteRun, item: pytest.Item, call: pytest.CallInfo[Any], report: Any) -> None:
    """Record a team's own test: passed or failed is a census of one; anything else was not evaluated."""
    name = CUSTOM + item.nodeid
    limit = Limit(Direction.AT_MOST, 0.0, run.evidence.contract.alpha)
    before = run.outcomes.get(name)
    if before is not None and before.status is not Status.PASSED:
        return
    reason = _own_reason(run, item, call.excinfo) if call.excinfo else ""
    if report.outcome == "skipped" or hasattr(report, "wasxfail"):
        run.outcomes[name] = decide(Unmeasured(name, f"skipped or expected to fail: {reason or report.outcome}"), limit)
    elif report.outcome == "failed" and report.when != "call":
        run.outcomes[name] = decide(Unmeasured(name, f"{report.when} did not end: {reason}"), limit)
    elif report.when == "call":
        failures = 0 if report.outcome == "passed" else 1
        run.outcomes[name] = decide(
            census(name, failures, n=1, unit="failures", sampling_unit="tests", method="own test", found=reason), limit
        )


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write `outcomes.json`; what was deselected or never ran is missing in it, which the verdict notices.

    Nothing is written where the run did not come to its end: of a file that could not be collected no test is known.
    """
    run = session.config.stash.get(STATE, None)
    if run is None or run.out is None:
        return
    # A gate's file may hold nothing to run besides our test; a suite of the team's own has to hold a test.
    empty = [pytest.ExitCode.NO_TESTS_COLLECTED] if run.suite in GATES else []
    if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, *empty):
        return
    waivers = {c.id: c.waiver for c in run.checks if c.waiver}
    seconds = time.monotonic() - run.started
    information = () if run.evidence.own_only else tuple(informed(run.suite, run.evidence))
    SuiteOutcomes(run.suite, run.binding, tuple(run.outcomes.values()), seconds, waivers, information).write(run.out)
