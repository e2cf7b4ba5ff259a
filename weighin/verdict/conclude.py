"""The end of `validate` and `verdict`: decide from the evidence, and leave the reports. Something is always left."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from weighin.canonical import write_json
from weighin.contract.changes import FILE, Review, changes
from weighin.contract.checks import checks
from weighin.contract.lines import lines
from weighin.contract.reading import ContractFile
from weighin.errors import (
    INTERNAL_ERROR,
    ContractError,
    NotEvaluated,
    RegistryError,
    SystemFault,
    WeighinError,
    system_fault,
)
from weighin.record.decision import VERDICT, decision_record, verdict_file
from weighin.record.drill_change import DrillChange
from weighin.record.drilled import drilled
from weighin.record.provenance import proven
from weighin.report import html, markdown
from weighin.report.annotations import commands
from weighin.report.answer import NoDecision
from weighin.report.terminal import terminal
from weighin.runner import sandbox
from weighin.untrusted.redact import reduced
from weighin.verdict.judge import decide_again

WHO = {
    ContractError: "whoever writes the contract, or started this run",
    RegistryError: "whoever runs the model registry",
    SystemFault: "whoever runs the machine",
}
"""Who can mend what ends a run before there is a decision."""


@dataclass(frozen=True)
class Verdict:
    """What a validation came to.

    status     `passed`, `failed`, `inconclusive` or `not_evaluated`
    exit_code  of the command: 0, 1, 5, 6 or 7
    messages   why it did not pass; empty where it did
    record     the decision record, as docs/how-to/verifying.md describes it
    reports    the folder that holds record.json, summary.md and report.html
    """

    status: str
    exit_code: int
    messages: tuple[str, ...]
    record: Mapping[str, Any]
    reports: Path


def judged_by(image: str | None, folder: Path | None = None) -> None:
    """Let evidence of this image count, by its id; without one, what WEIGHIN_IMAGE says.

    folder  what the image's containers will have to read
    Errors: `NotEvaluated` where no engine answers.
    """
    if image:
        try:
            os.environ["WEIGHIN_IMAGE"] = sandbox.identity(image)
            if folder is not None:
                sandbox.readable(folder)
        except sandbox.NoEngineError as error:
            raise NotEvaluated(str(error), f"image {image}") from error


@contextlib.contextmanager
def or_not_evaluated(reports: Path) -> Iterator[None]:
    """Leave reports that say `not_evaluated` and why, where an error ends the work before there is a decision."""
    try:
        yield
    except Exception as raised:
        error = system_fault(raised) if isinstance(raised, OSError) else raised
        code = error.exit_code if isinstance(error, WeighinError) else INTERNAL_ERROR
        reason = str(error) if isinstance(error, WeighinError) else f"internal error, {reduced(error)}"
        reports.mkdir(parents=True, exist_ok=True)
        # A record of an earlier run must not stand beside the news that this one came to no decision.
        (reports / "record.json").unlink(missing_ok=True)
        said = {"status": "not_evaluated", "exit_code": code, "problems": [reason]}
        write_json(reports / "verdict.json", {"schema": VERDICT, **said, "messages": [reason]})
        why = _why(error) if isinstance(error, WeighinError) else NoDecision(reason, remedy="Report it.")
        (reports / "summary.md").write_text(markdown.no_decision(why), encoding="utf-8")
        (reports / "report.html").write_text(html.no_decision(why), encoding="utf-8")
        raise


def _why(error: WeighinError) -> NoDecision:
    who = next((said for kind, said in WHO.items() if isinstance(error, kind)), "")
    return NoDecision(error.fact, error.place, error.remedy, who)


def conclude(
    file: ContractFile,
    work: Path,
    reports: Path,
    suites: tuple[str, ...],
    needs: dict[str, str],
    *,
    base: Path | None = None,
    head: Path | None = None,
    review: Review | None = None,
    annotate: bool = False,
    drill: Path | None = None,
    drill_change: Path | None = None,
) -> Verdict:
    """Write verdict, record, summary and report, and print the verdict.

    base, head, review  of a pull request, see `changes`
    annotate        print GitHub's workflow commands for what blocks and warns
    drill           the `drill.json` of the last drill, for the record
    drill_change    folder in which `weighin drill --base` was to leave its answer, for the summary
    """
    (reports / FILE).unlink(missing_ok=True)
    told, both = changes(file, base, head=head, review=review) if base else (None, None)
    if told and drill_change and not told.note:
        told = replace(told, drill=DrillChange.told(drill_change, told.files))
    subject, binding, decision = decide_again(file, work, reports, suites, needs, both)
    run = {
        "commit": os.environ.get("WEIGHIN_COMMIT") or _commit(file.folder),
        "url": os.environ.get("WEIGHIN_RUN_URL", ""),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **({"review": asdict(review)} if review else {}),
    }
    last = drilled(drill, file.digest, str(run["created"])) if drill else None
    record = decision_record(decision, file, subject, binding, run, proven(work, binding.image), last)
    reports.mkdir(parents=True, exist_ok=True)
    write_json(reports / "record.json", record)
    write_json(reports / "verdict.json", verdict_file(record))
    (reports / "summary.md").write_text(markdown.summary(record, told), encoding="utf-8")
    if told:
        write_json(reports / FILE, told.value())
    if annotate:
        # From the repository, which is where the command runs: the platform shows annotations on paths below it.
        place = os.path.relpath(file.path)
        listed = [*checks(file.contract), *(checks(file.contract, "sealed") if file.contract.gates.sealed else ())]
        for command in commands(record, place, lines(file.path, listed)):
            print(command)
    (reports / "report.html").write_text(html.report(record, told), encoding="utf-8")
    for suite in record["suites"]:
        (reports / suite["suite"]).mkdir(exist_ok=True)
        (reports / suite["suite"] / "report.html").write_text(html.suite_report(suite), encoding="utf-8")
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    console.print(terminal(record, told))
    console.print(f"Report: {reports / 'report.html'}", markup=False)
    status = str(record["verdict"]["status"])
    return Verdict(status, decision.exit_code, tuple(decision.messages), record, reports)


def _commit(folder: Path) -> str:
    """Return the commit of the working tree, with `-dirty` where it has changes; empty outside git."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude", "*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip()
