"""Judge: run one suite as pytest processes of its own and leave its reports; decide again from what they left.

Two processes: one for the repository's own tests and metrics, where it has some, and then ours, which imports nothing
of the repository and reads the outcomes of the first. The first can add outcomes, and change none of ours.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from weighin.contract.own import GATES, custom_metrics, runs_own_code, suite_file
from weighin.contract.reading import ContractFile
from weighin.contract.stricter import Compared
from weighin.errors import ContractError, EvidenceError
from weighin.model.subject import Subject
from weighin.outcome import Direction, Limit, Status, Unmeasured, decide, gate
from weighin.record.decision import CUSTOM, MODEL, Decision, judge_evidence
from weighin.record.outcomes import encode_outcome
from weighin.record.suite import FILE as OUTCOMES
from weighin.record.suite import Binding, SuiteOutcomes
from weighin.runner.forked import fork, may_fork, wait
from weighin.runner.isolated import isolated
from weighin.suites import CHECKS
from weighin.suites.model import model_information, model_outcomes
from weighin.untrusted.redact import BYTES, keep, reduced

DRAWINGS = {"drift": "weighin.suites.evidently_report", "performance": "weighin.suites.mlflow_evaluation"}
"""Modules with a function `draw(evidence, folder)` that returns why it drew nothing, or nothing."""
CONFIGURATION = CHECKS.with_name("pytest.ini")
LEFT = (OUTCOMES, "junit.xml")
SUITE_SECONDS = 1800
"""A suite that takes longer is stopped; what it left is then no evidence."""


def run_suite(
    suite: str, file: ContractFile, work: Path, out: Path, own: Path | None = None, base: Path | None = None
) -> int:
    """Judge a suite and leave `junit.xml` and `outcomes.json` in `out/<suite>`; returns pytest's exit code.

    own   what `run_own_code` left, where that ran elsewhere; by default it runs first, where there is something to run
    base  the contract of a pull request's base: where both limit the same, the stricter limit is judged by

    The tests are the engine's (`contract_checks.py`), in an isolated interpreter that imports nothing of the
    repository. What an earlier run left is removed first: a crash leaves nothing instead of old evidence.
    """
    folder = _emptied(out / suite)
    if not runs_own_code(file.folder, file.contract, suite):
        return _pytest(suite, [CHECKS], file, work, folder, ["-I"], ["--noconftest", *_beside(base)])
    with tempfile.TemporaryDirectory() as scratch:
        if own is None:
            own = Path(scratch)
            run_own_code(suite, file, work, own, base)
        left = own / suite
        if suite not in GATES:
            # Nothing of ours is in it.
            for name in LEFT if (left / OUTCOMES).is_file() else ():
                shutil.copyfile(left / name, folder / name)
            return 0 if (left / OUTCOMES).is_file() and gate(SuiteOutcomes.read(left).outcomes) is Status.PASSED else 1
        if not (left / OUTCOMES).is_file():
            left = Path(scratch) / "absent"
            _note_absent(suite, file, work, left)
        more = ["--noconftest", f"--weighin-own={left}", *_beside(base)]
        return _pytest(suite, [CHECKS], file, work, folder, ["-I"], more)


def _beside(base: Path | None) -> list[str]:
    return [] if base is None else [f"--weighin-base={base.resolve()}"]


def run_own_code(suite: str, file: ContractFile, work: Path, out: Path, base: Path | None = None) -> int:
    """Run the repository's own tests of a suite, and its metrics, in a process; returns pytest's exit code.

    It leaves `outcomes.json` and `junit.xml` in `out/<suite>`. pytest reads no configuration of the repository, and no
    conftest.py but that of `validation_tests/`.
    """
    folder, tests = _emptied(out / suite), suite_file(file.folder, suite)
    if suite not in GATES and not tests.is_file():
        raise ContractError("no such suite file", str(tests), "Name one of the gates, or add the file.")
    files = ([CHECKS] if custom_metrics(file.contract, suite) else []) + ([tests] if tests.is_file() else [])
    more = [f"--confcutdir={tests.parent}", f"--rootdir={file.folder}", "--import-mode=importlib", "--weighin-own-only"]
    more += _beside(base)
    code = _pytest(suite, files, file, work, folder, ["-P", "-s"], more, shown=False)
    if code:
        print(f"suite {suite}: not all of the repository's own tests pass; what they printed is kept on this machine")
    return code


def _note_absent(suite: str, file: ContractFile, work: Path, left: Path) -> None:
    """Record that the repository's own code came to no end: an outcome that blocks."""
    name = f"{CUSTOM}own tests and metrics of {suite}"
    limit = Limit(Direction.AT_MOST, 0.0, file.contract.alpha)
    reason = "the process that runs them left no outcomes: its log says why"
    SuiteOutcomes(suite, binding_of(file, work), (decide(Unmeasured(name, reason), limit),), 0.0).write(left)


def binding_of(file: ContractFile, work: Path) -> Binding:
    """Return what evidence must be about. Environment: WEIGHIN_IMAGE and WEIGHIN_ATTEMPT say of which image and
    attempt.
    """
    image, attempt = os.environ.get("WEIGHIN_IMAGE", ""), os.environ.get("WEIGHIN_ATTEMPT", "1")
    return Binding(file.digest, Subject.read(work / "subject.json").digest, image, attempt)


def _emptied(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*LEFT, "report.html"):
        (folder / name).unlink(missing_ok=True)
    return folder


def _pytest(
    suite: str,
    files: list[Path],
    file: ContractFile,
    work: Path,
    out: Path,
    python: list[str],
    more: list[str],
    *,
    shown: bool = True,
) -> int:
    """Run pytest in a process of its own; returns its exit code.

    Our own tests run in a fork where this process is the fork of an isolated one that has imported what they need, and
    in a new isolated interpreter otherwise.

    python, more  further options of the interpreter and of pytest
    shown         whether what is printed holds no value of the data
    """
    options = [
        *(*map(str, files), "-q", "--no-header", "--tb=line", "--show-capture=no"),
        *("-c", str(CONFIGURATION), "-p", "no:cacheprovider", "-p", "weighin.suites.plugin", "--disable-warnings"),
        *("-o", "junit_family=xunit2", f"--junitxml={out / 'junit.xml'}", f"--weighin-contract={file.path.resolve()}"),
        *(f"--weighin-suite={suite}", f"--weighin-work={work.resolve()}", f"--weighin-out={out.resolve()}", *more),
    ]
    with tempfile.TemporaryFile() as log:
        try:
            if shown and may_fork():
                code = wait(fork(lambda: int(pytest.main(options)), log.fileno()), SUITE_SECONDS)
            else:
                code = subprocess.run(
                    [sys.executable, *python, "-m", "pytest", *options],
                    timeout=SUITE_SECONDS,
                    check=False,
                    env=isolated(os.environ),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                ).returncode
        except (subprocess.TimeoutExpired, TimeoutError):
            print(f"suite {suite} was stopped after {SUITE_SECONDS} s", file=sys.stderr)
            return 3
        log.seek(-min(log.seek(0, os.SEEK_END), BYTES), os.SEEK_END)
        printed = log.read()
    if not shown:
        keep(printed)
    elif code:
        # Of a suite that passes there is nothing to say; its page says everything.
        print(printed.decode("utf-8", "backslashreplace"), end="", flush=True)
    return code


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
        why_not = reduced(error)
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
    binding = binding_of(file, work)
    sealed = subject.sealed is not None
    looked = model_outcomes(file.contract, subject)
    model = SuiteOutcomes(MODEL, binding, looked, 0.0, information=model_information(subject))
    decision = judge_evidence(file, binding, reports, suites, needs, sealed=sealed, base=base, model=model)
    return subject, binding, decision
