"""One function per command. Heavy imports stay inside: `weighin predict` must not pay for a report."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from weighin.errors import ContractError, EvidenceError


def validate(given: argparse.Namespace) -> int:
    """Predict, run the suites, print the verdict."""
    from weighin.contract import read_contract
    from weighin.resolve import resolve as resolve_subject
    from weighin.runner import docker, local

    file = read_contract(given.contract)
    suites = tuple(given.suite or file.contract.gates.names)
    absent = [s for s in suites if s not in file.contract.gates.names]
    if absent:
        raise ContractError(f"no limits for suite {', '.join(absent)}", str(given.contract), "Add them under `gates`.")
    in_docker = given.runner == "docker"
    if in_docker:
        os.environ["WEIGHIN_IMAGE"] = docker.identity(given.image)
    with _step("resolve candidate and champion"):
        resolve_subject(file, given.work, given.candidate, given.champion)
    with _step("predict"):
        docker.predict(given.image, given.work) if in_docker else local.predict(given.work)
    if "load" in suites:
        with _step("serve and send load"):
            docker.load(given.image, given.work) if in_docker else local.load(given.work)

    def judge_one(suite: str) -> None:
        with _step(f"suite {suite}"):
            if in_docker:
                docker.judge(suite, given.image, file.folder, file.path, given.work, given.out)
            else:
                local.judge(suite, file.path, given.work, given.out)

    # Suites only read, each leaves a folder of its own; load was alone on the machine while it measured.
    with ThreadPoolExecutor(max_workers=2) as pool:
        list(pool.map(judge_one, suites))
    return _conclude(file, given.work, given.out, suites, {})


def resolve(given: argparse.Namespace) -> int:
    """Fix versions, digests and features."""
    from weighin.contract import read_contract
    from weighin.resolve import resolve as resolve_subject

    subject = resolve_subject(read_contract(given.contract), given.work, given.candidate, given.champion)
    print(f"candidate {subject.candidate} {subject.candidate.digest}")
    print(f"champion {subject.champion or 'none: first release'} {subject.champion.digest if subject.champion else ''}")
    return 0


def predict(given: argparse.Namespace) -> int:
    """Load one model and predict."""
    from weighin.predict import predict as predict_all

    predict_all(given.model, given.features, given.out, given.column)
    return 0


def serve(given: argparse.Namespace) -> int:
    """Serve one model; does not return."""
    from weighin.serve import serve as serve_model

    serve_model(given.model, given.port)
    return 3


def load(given: argparse.Namespace) -> int:
    """Send the planned load."""
    from weighin.load import generate
    from weighin.runner.plan import Plan

    plan = Plan.read(given.work / "plan.json")
    if plan.load is None:
        raise ContractError("the contract has no load gate", str(given.work / "plan.json"), "Add `gates.load`.")
    features = given.work / "features" / "holdout.parquet"
    generate(given.url, features, plan.load, plan.column, given.work / "load")
    return 0


def judge(given: argparse.Namespace) -> int:
    """Run one suite and leave its reports."""
    from weighin.contract import read_contract
    from weighin.judge import run_suite

    file = read_contract(given.contract)
    test = file.folder / "validation_tests" / f"test_{given.suite}.py"
    if not test.is_file():
        raise ContractError("no such suite file", str(test), "Keep one file per gate in validation_tests/.")
    code = run_suite(given.suite, test, given.contract, given.work, given.out)
    if given.suite == "drift":
        from weighin.suites.evidence import Evidence
        from weighin.suites.evidently_report import draw

        draw(Evidence(file, given.work), given.out / "drift")
    return code


def verdict(given: argparse.Namespace) -> int:
    """Judge again from the evidence."""
    from weighin.contract import read_contract

    try:
        needs = json.loads(given.needs) if given.needs else {}
        results = {job: v["result"] if isinstance(v, dict) else str(v) for job, v in needs.items()}
    except (ValueError, AttributeError, KeyError) as error:
        raise ContractError(f"--needs is not JSON of job results ({error!r})", "", "Pass toJSON(needs).") from error
    return _conclude(read_contract(given.contract), given.work, given.reports, (), results)


def promote(given: argparse.Namespace) -> int:
    """Move the champion's alias."""
    from weighin.contract import read_contract
    from weighin.promote import promote as promote_subject
    from weighin.registry.mlflow import Registry

    file = read_contract(given.contract)
    subject, _, decision = _decide(file, given.work, given.reports, (), {})
    done = promote_subject(file, subject, decision, given.reports, Registry(), dry_run=given.dry_run)
    word = "would move" if given.dry_run else "already stands" if done.already else "moved"
    print(f"`{done.alias}` of {done.model} {word}: version {done.before or 'none'} -> version {done.after} (unsigned)")
    if subject.demonstration:
        print("The registry is a file of this machine: the alias moved here and nowhere else.")
    return 0


def contract(given: argparse.Namespace) -> int:
    """Check a contract, or print the JSON Schema of contracts."""
    from weighin.contract import Contract, checks, read_contract

    if given.action == "schema":
        print(json.dumps(Contract.model_json_schema(), indent=2))
        return 0
    file = read_contract(given.contract)
    listed = checks(file.contract)
    for check in listed:
        severity = "blocks" if check.limit.severity == "block" else "warns"
        print(f"{check.id:60} {check.limit!s:>10}  {severity}{'  ' + check.waiver if check.waiver else ''}")
    expired = [c.expired for c in listed if c.expired]
    print(f"{given.contract}: {len(listed)} checks in {len(file.contract.gates.names)} suites, {file.digest}")
    if expired:
        raise ContractError("; ".join(expired), str(given.contract), "An expired waiver blocks.")
    return 0


def expectations(given: argparse.Namespace) -> int:
    """Write, or check, the Great Expectations suite of the contract."""
    from weighin.contract import read_contract
    from weighin.suites.expectations import write_suite

    file = read_contract(given.contract)
    same = write_suite(file.contract, file.folder, check=given.check)
    print("great_expectations/expectations/contract.json is " + ("as the contract says" if same else "written"))
    return 0


def _decide(
    file: Any, work: Path, reports: Path, suites: tuple[str, ...], needs: dict[str, str]
) -> tuple[Any, Any, Any]:
    from weighin.record.decision import judge_evidence
    from weighin.record.suite import Binding
    from weighin.subject import Subject

    subject = Subject.read(work / "subject.json")
    if subject.contract != file.digest:
        raise EvidenceError(
            f"resolved under another contract ({subject.contract}, this is {file.digest})",
            str(work / "subject.json"),
            "Validate again.",
        )
    image, attempt = os.environ.get("WEIGHIN_IMAGE", ""), os.environ.get("WEIGHIN_ATTEMPT", "1")
    binding = Binding(file.digest, subject.digest, image, attempt)
    return subject, binding, judge_evidence(file, binding, reports, suites, needs)


def _conclude(file: Any, work: Path, reports: Path, suites: tuple[str, ...], needs: dict[str, str]) -> int:
    """Write verdict, record, summary and report; print the verdict; returns the exit code."""
    from weighin.record.decision import decision_record
    from weighin.record.encode import write_json
    from weighin.report import html, markdown

    subject, binding, decision = _decide(file, work, reports, suites, needs)
    run = {
        "commit": os.environ.get("WEIGHIN_COMMIT") or _commit(file.folder),
        "url": os.environ.get("WEIGHIN_RUN_URL", ""),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    record = decision_record(decision, file, subject, binding, run)
    reports.mkdir(parents=True, exist_ok=True)
    write_json(reports / "record.json", record)
    write_json(reports / "verdict.json", {"schema": "weighin/verdict/v1", **record["verdict"]})
    (reports / "summary.md").write_text(markdown.summary(record), encoding="utf-8")
    (reports / "report.html").write_text(html.report(record), encoding="utf-8")
    for suite in record["suites"]:
        (reports / suite["suite"]).mkdir(exist_ok=True)
        (reports / suite["suite"] / "report.html").write_text(html.suite_report(suite), encoding="utf-8")
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    console.print(markdown.terminal(record))
    console.print(f"Report: {reports / 'report.html'}", markup=False)
    return int(decision.exit_code)


def _commit(folder: Path) -> str:
    """The commit of the working tree, with `-dirty` where it has changes; empty outside git."""
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


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    """A line before and a line after, with the time the step took: the same on a terminal and in a log."""
    started = time.monotonic()
    print(f"{name} ...", file=sys.stderr, flush=True)
    yield
    print(f"{name}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
