"""Judge: run one suite as a pytest process of its own and leave its reports; decide again from what they left."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from weighin.contract.reading import ContractFile
from weighin.contract.stricter import Compared
from weighin.errors import EvidenceError
from weighin.outcome import gate
from weighin.record.decision import Decision, judge_evidence
from weighin.record.encode import encode_outcome
from weighin.record.suite import Binding, SuiteOutcomes
from weighin.subject import Subject

DRAWINGS = {"drift": "weighin.suites.evidently_report", "performance": "weighin.suites.mlflow_evaluation"}
"""Modules with a function `draw(evidence, folder)` that returns why it drew nothing, or nothing."""
SUITE_SECONDS = 1800
"""A suite that takes longer is stopped; what it left is then no evidence."""


def run_suite(suite: str, test: Path, contract: Path, work: Path, out: Path) -> int:
    """Run `test` and leave `junit.xml` and `outcomes.json` in `out/<suite>`; returns pytest's exit code.

    What an earlier run left in that folder is removed first, so that a crash leaves nothing instead of old evidence.
    """
    folder = out / suite
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("junit.xml", "outcomes.json", "report.html"):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()
    command = [
        *(sys.executable, "-m", "pytest", str(test), "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider"),
        *("-o", "addopts=", "--import-mode=importlib", "-o", "junit_family=xunit2", "--strict-markers"),
        *(f"--junitxml={folder / 'junit.xml'}", f"--weighin-contract={contract}", f"--weighin-suite={suite}"),
        *(f"--weighin-work={work}", f"--weighin-out={folder}"),
    ]
    try:
        return subprocess.run(command, timeout=SUITE_SECONDS, check=False).returncode
    except subprocess.TimeoutExpired:
        print(f"suite {suite} was stopped after {SUITE_SECONDS} s", file=sys.stderr)
        return 3


def leave_pages(file: ContractFile, suite: str, work: Path, folder: Path) -> None:
    """Draw `report.html`, and what other tools draw of the same, from the outcomes that the suite left in `folder`.

    Pages change no outcome: one that cannot be drawn is said and no more.
    """
    from weighin.report.html import suite_report

    try:
        left = SuiteOutcomes.read(folder)
    except EvidenceError as error:
        print(f"suite {suite}: no report: {error}", file=sys.stderr)
        return
    listed = [encode_outcome(o, left.waivers.get(o.check, "")) for o in left.outcomes]
    page: dict[str, Any] = {
        "suite": suite,
        "status": gate(left.outcomes).value,
        "seconds": left.seconds,
        "problems": [],
    }
    (folder / "report.html").write_text(suite_report({**page, "outcomes": listed}), encoding="utf-8")
    if suite not in DRAWINGS:
        return
    from weighin.suites.evidence import Evidence

    try:
        why_not = import_module(DRAWINGS[suite]).draw(Evidence(file, work), folder)
    except Exception as error:  # noqa: BLE001 - a drawing library that fails must not undo a measurement
        why_not = repr(error)[:300]
    if why_not:
        print(f"suite {suite}: {DRAWINGS[suite]} drew nothing: {why_not}", file=sys.stderr)


def decide_again(
    file: ContractFile,
    work: Path,
    reports: Path,
    suites: tuple[str, ...] = (),
    needs: Mapping[str, str] | None = None,
    base: Compared | None = None,
) -> tuple[Subject, Binding, Decision]:
    """Compute the decision from the evidence that the suites left.

    work, reports  what was resolved and predicted, and what the suites left
    suites, needs, base  as for `judge_evidence`
    Environment: WEIGHIN_IMAGE and WEIGHIN_ATTEMPT say of which image and attempt evidence counts.
    Errors: `EvidenceError` when the subject is absent or another's.
    """
    subject = Subject.read(work / "subject.json")
    if subject.contract != file.digest:
        raise EvidenceError(
            f"resolved under another contract ({subject.contract}, this is {file.digest})",
            str(work / "subject.json"),
            "Validate again.",
        )
    image, attempt = os.environ.get("WEIGHIN_IMAGE", ""), os.environ.get("WEIGHIN_ATTEMPT", "1")
    binding = Binding(file.digest, subject.digest, image, attempt)
    sealed = subject.sealed is not None
    return subject, binding, judge_evidence(file, binding, reports, suites, needs, sealed=sealed, base=base)
