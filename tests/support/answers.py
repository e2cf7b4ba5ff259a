"""Records as a reviewer meets them: of a pass, a failure, a first release, and of what could not be decided."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from support.evidence_files import RELEASES, Case, interval
from weighin.contract import Check, checks
from weighin.contract.checks import LoadRule, MetricRule
from weighin.outcome import Direction, Limit, Measurement, Unmeasured, census, decide
from weighin.record.suite import Binding, SuiteOutcomes
from weighin.report import markdown, terminal
from weighin.stats.metrics import METRICS
from weighin.suites.performance import FIRST_RELEASE

Record = dict[str, Any]
VALUES = {"roc_auc": (0.694, 0.689), "log_loss": (0.561, 0.566), "precision": (0.401, 0.398), "recall": (0.431, 0.433)}
HALF = {"roc_auc": 0.0061, "log_loss": 0.0042, "precision": 0.0113, "recall": 0.0127}
RAISED = "holdout.parquet: the model raised ValueError, code 1a2b3c. Ask it by hand."
SECONDS = list(range(12))
DRAWN = {
    "latency_ms": [20.0, 40.0, 84.0, 120.0, 300.0],
    "share": [0.01, 0.2, 0.5, 0.9, 0.995],
    "limit_ms": 300.0,
    "over_time": {
        "second": SECONDS,
        "p50_ms": [80.0 + s for s in SECONDS],
        "p99_ms": [150.0 + 3 * s for s in SECONDS],
        "offered": [10 + s % 3 for s in SECONDS],
        "answered": [10] * 12,
    },
    "phases": [{"name": "warm-up", "from": 0.0, "to": 1.9}, {"name": "load", "from": 2.0, "to": 11.9}],
}
"""What the report draws of a load."""
LONG = "a_category_of_a_column_that_goes_on_and_on_" * 12


def measured(check: Check, values: dict[str, tuple[float, float]]) -> Measurement | None:
    """What a metric on all rows, or a property of the server, came to; None for any other check."""
    rule = check.rule
    if isinstance(rule, MetricRule) and rule.slice is None:
        ours, theirs = values[rule.metric]
        estimate = ours - theirs if rule.against else ours
        found = replace(interval(check, estimate, HALF[rule.metric]), unit=METRICS[rule.metric].unit)
        detail = {"candidate": ours, "champion": theirs} if rule.against else {"candidate": ours}
        return replace(found, detail={**detail, "positive_share": {"candidate": 0.311, "champion": 0.38}})
    if isinstance(rule, LoadRule) and rule.kind == "quantile":
        return replace(interval(check, 84.2, 3.1), unit="ms", sampling_unit="blocks of 0.4 s")
    if isinstance(rule, LoadRule) and rule.kind in ("within", "errors"):
        estimate, detail = (0.0041, {}) if rule.kind == "errors" else (0.9951, DRAWN)
        found = replace(interval(check, estimate, 0.0038), unit="share of requests", detail=detail)
        return replace(found, sampling_unit="blocks of 0.4 s")
    return None


def case(folder: Path, **changed: tuple[float, float]) -> Case:
    """A case with values of candidate and champion; `changed` are other ones of some metrics."""
    made = Case(folder / "reports")
    for check in checks(made.file.contract):
        found = measured(check, VALUES | changed)
        if found is not None:
            made.evidence[check.id] = found
    return made


def passed(folder: Path) -> Record:
    """Better in one metric, and worse in none by more than allowed; the ledger knows of releases before."""
    made = case(folder)
    made.subject = replace(made.subject, releases=RELEASES)
    made.binding = Binding(made.file.digest, made.subject.digest, "", "1")
    return made.write().record()


def failed(folder: Path) -> Record:
    """Recall fell, a column has new values, and the job of the suites ended red because of it."""
    made = case(folder, recall=(0.412, 0.483))
    new = "data_quality/current/reference/dest"
    made.evidence[new] = census(new, 0.0231, n=12_345, unit="share", method="x", rows_breaking=285)
    drift = made.check("drift/dest")
    made.evidence[drift.id] = replace(interval(drift, 0.31, 0.05), unit="PSI")
    return made.write().record(needs={"suites": "failure", "predict": "success"})


def inconclusive(folder: Path) -> Record:
    """Recall fell by less than allowed, and too few days say so."""
    return case(folder, recall=(0.391, 0.433)).write().record()


def unanswered(folder: Path) -> Record:
    """The model raises: nothing that needs its answers can be measured."""
    made = case(folder)
    for check in (*checks(made.file.contract, "performance"), *checks(made.file.contract, "explainability")):
        made.evidence[check.id] = Unmeasured(check.id, RAISED)
    return made.write().record()


def first_release(folder: Path) -> Record:
    """Nobody to compare with."""
    made = case(folder)
    for check in checks(made.file.contract):
        if isinstance(check.rule, MetricRule) and check.rule.against:
            unit = METRICS[check.rule.metric].unit
            made.evidence[check.id] = census(check.id, check.limit.value, n=1, unit=unit, method=FIRST_RELEASE)
    made.subject = replace(made.subject, champion=None)
    made.binding = Binding(made.file.digest, made.subject.digest, "", "1")
    return made.write().record()


def own_test(folder: Path) -> Record:
    """A test of the team's own failed."""
    made = case(folder).write()
    path = made.reports / "data_quality"
    name, said = "custom/validation_tests/test_data_quality.py::test_cancelled", "too many flights were cancelled"
    left = SuiteOutcomes.read(path)
    found = census(name, 1, n=1, unit="failures", sampling_unit="tests", method="own test", found=said)
    outcome = decide(found, Limit(Direction.AT_MOST, 0.0, 0.05))
    replace(left, outcomes=(*left.outcomes, outcome)).write(path)
    return made.record()


def long_names(folder: Path) -> Record:
    """A category that is longer than any screen is wide stands in the names of checks and in reasons."""
    record = failed(folder)
    for suite in record["suites"]:
        for outcome in suite["outcomes"]:
            if outcome["check"] in ("drift/dest", "performance/roc_auc/vs-champion/carrier=UA"):
                outcome["check"] += f"/by/carrier={LONG}"
                outcome["reason"] += f" in {LONG}"
    return record


ANSWERS: dict[str, Callable[[Path], Record]] = {
    "passed": passed,
    "failed": failed,
    "inconclusive": inconclusive,
    "unanswered": unanswered,
    "first release": first_release,
    "own test": own_test,
    "long names": long_names,
}
GOLDEN = Path(__file__).resolve().parents[1] / "report/golden"


def first_part(record: Record, ending: str) -> str:
    """What is seen before anything is unfolded: of the summary (`md`), or on a terminal of 110 columns (`txt`)."""
    if ending == "md":
        return markdown.summary(record).partition("\n✅ Model")[0].rstrip() + "\n"
    printed = io.StringIO()
    Console(file=printed, width=110).print(terminal.terminal(record))
    lines = printed.getvalue().partition("\npassed        Model")[0].rstrip().splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name in ("passed", "failed", "inconclusive", "unanswered", "first release"):
        for ending in ("md", "txt"):
            with tempfile.TemporaryDirectory() as scratch:
                (GOLDEN / f"{name}.{ending}").write_text(first_part(ANSWERS[name](Path(scratch)), ending))
