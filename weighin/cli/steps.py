"""`weighin step`: the steps of a validation, one at a time. Workflows and runners call them; a person seldom does.

Heavy imports stand in the functions: `weighin step predict` must not pay for a report.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from weighin.cli.parser import (
    Parser,
    as_artifact_argument,
    attestation_arguments,
    contract_argument,
    example,
    reports_arguments,
    subject_arguments,
    work_argument,
)
from weighin.errors import ContractError, NotEvaluated

if TYPE_CHECKING:
    from weighin.runner.plan import Answers

PREDICATE = "predicate.json"


def add_step(command: argparse.ArgumentParser) -> None:
    """Add a parser for each step."""
    steps = command.add_subparsers(dest="step", required=True, metavar="STEP", parser_class=Parser)
    for name, (add, run, what) in STEPS.items():
        step = steps.add_parser(name, help=what)
        add(step)
        step.set_defaults(run=run)
    example(command, "weighin step judge drift --work weighin-work --out reports")


def add_resolve(step: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin step resolve`."""
    contract_argument(step)
    subject_arguments(step)
    work_argument(step)
    as_artifact_argument(step)


def add_predict(step: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin step predict`."""
    step.add_argument("--model", type=Path, required=True, help="folder of the model")
    step.add_argument("--features", type=Path, required=True, help="folder of the features")
    step.add_argument("--out", type=Path, required=True, help="folder of the predictions")
    step.add_argument("--answers", default="{}", metavar="JSON", help="what of an answer is the prediction")
    step.add_argument("--shap", type=int, default=0, metavar="ROWS", help="leave SHAP values of this many rows")
    step.add_argument("--survey", action="store_true", help="leave only what the answers to the holdout look like")
    step.add_argument(
        "--python", type=Path, help="interpreter of an environment of the model's own (default: this one)"
    )
    step.add_argument("--spark", action="store_true", help="let the executors of WEIGHIN_SPARK's cluster ask the model")


def add_serve(step: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin step serve`."""
    step.add_argument("--model", type=Path, required=True, help="folder of the model")
    step.add_argument("--port", type=int, required=True, help="where to listen on loopback")
    step.add_argument("--python", type=Path, help="interpreter of another environment (default: this one)")
    step.add_argument("--stream", action="store_true", help="answer `stream: true` with server-sent events")


def add_load(step: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin step load`."""
    step.add_argument("--url", help="the server; not for --worker, which gets it from the master")
    step.add_argument("--role", default="candidate", help="the model that the server serves (%(default)s)")
    step.add_argument("--start", type=int, default=0, help="which start of the server, counted from 0")
    step.add_argument(
        "--step", dest="gate", choices=("load", "shadow"), default="load", help="or the logged requests (%(default)s)"
    )
    step.add_argument("--locustfile", type=Path, help="run the tasks of this file instead of asking for predictions")
    step.add_argument("--turn", type=Path, metavar="FILE", help="when the server is healthy, wait for this file")
    spread = step.add_mutually_exclusive_group()
    spread.add_argument("--master", type=int, metavar="N", help="let N workers run the locustfile, and write the log")
    spread.add_argument("--worker", metavar="HOST", help="run the locustfile for the master on this host")
    step.add_argument("--bind", default="127.0.0.1", metavar="HOST", help="where the master listens (%(default)s)")
    step.add_argument("--port", type=int, default=5557, help="of the master (%(default)s)")
    work_argument(step)


def add_judge(step: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin step judge`."""
    step.add_argument("suite", help="a gate of the contract, or a suite of your own")
    contract_argument(step)
    work_argument(step)
    step.add_argument("--out", type=Path, default=Path("reports"), help="folder of the reports (%(default)s)")
    step.add_argument("--own-only", action="store_true", help="only the repository's own tests and metrics")
    step.add_argument("--own", type=Path, metavar="DIR", help="what --own-only left; default: run that first")
    step.add_argument(
        "--base", type=Path, metavar="FILE", help="the base's contract; of each limit the stricter counts"
    )


def add_verdict(step: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin step verdict`."""
    reports_arguments(step)
    step.add_argument("--needs", default="", help="JSON: job -> result, as the workflow reports it")
    step.add_argument("--blocked", default="", metavar="WHY", help="there can be no decision, and this is why")
    step.add_argument("--base", type=Path, metavar="DIR", help="checkout of the base of a pull request")
    step.add_argument("--head", type=Path, metavar="DIR", help="a checkout of it; default: the current folder")
    step.add_argument("--reviewed-commit", default="", metavar="SHA", help="of the review by which its files decide")
    step.add_argument("--reviewed-by", default="", metavar="LOGINS", help="who made that review")
    step.add_argument("--annotate", action="store_true", help="print GitHub's annotations for what blocks and warns")
    step.add_argument("--drill", type=Path, metavar="FILE", help="drill.json of the last drill, for the record")
    step.add_argument(
        "--drill-change", type=Path, metavar="DIR", help="where `weighin drill --base` was to leave its answer"
    )


def add_comment(step: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin step comment`."""
    step.add_argument("record", type=Path, nargs="?", default=Path("reports/record.json"), help="record (%(default)s)")
    step.add_argument("--promotion", type=Path, metavar="FILE", help="of a promotion: its promotion.json")
    step.add_argument("--out", type=Path, default=Path("comment.md"), help="the comment (%(default)s)")


def add_provenance(step: argparse.ArgumentParser) -> None:
    """Add the arguments of `weighin step provenance`."""
    step.add_argument("image", help="NAME@sha256:..., or its digest")
    attestation_arguments(step, "attestation of the image's build, a Sigstore bundle")
    work_argument(step)


def run_resolve(given: argparse.Namespace) -> int:
    """Fix versions, digests and features."""
    from weighin.contract import read_contract
    from weighin.resolve.models import resolve as resolve_subject

    file = read_contract(given.contract)
    if given.as_artifact:
        file.demand_public_data()
    subject = resolve_subject(file, given.work, given.candidate, given.champion, given.sealed)
    print(f"candidate {subject.candidate} {subject.candidate.digest}")
    nothing = "none. First release: compared with nothing"
    print(f"champion {f'{subject.champion} {subject.champion.digest}' if subject.champion else nothing}")
    return 0


def run_predict(given: argparse.Namespace) -> int:
    """Load one model and predict; with an interpreter of its own, this process becomes that."""
    if given.spark and not given.survey:
        from weighin.model.on_spark import predict_on_spark

        where = (given.model, given.features, given.out)
        predict_on_spark(*where, _meant(given.answers), given.shap, given.python)
        return 0
    if given.python:
        from weighin.model import in_environment

        program = [str(given.python), "-I", "-B", in_environment.__file__, "--answers", given.answers]
        program += [a for n in ("model", "features", "out", "shap") for a in (f"--{n}", str(getattr(given, n)))]
        program += ["--survey"] if given.survey else []
        os.execv(program[0], program)  # noqa: S606 - a fixed program, no shell wanted
    from weighin.model.predict import look_at
    from weighin.model.predict import predict as predict_all

    if given.survey:
        look_at(given.model, given.features, given.out)
        return 0
    predict_all(given.model, given.features, given.out, _meant(given.answers), given.shap)
    return 0


def _meant(text: str) -> Answers:
    """Return what of a model's answer is its prediction. Errors: `ContractError`."""
    from weighin.runner.plan import Answers

    try:
        return Answers.from_json(text)
    except (ValueError, TypeError) as error:
        raise ContractError("not what `weighin step resolve` plans", "--answers", "Leave it out.") from error


def run_serve(given: argparse.Namespace) -> int:
    """Serve one model; it does not return."""
    from weighin.serving.mlflow_server import serve as serve_model

    serve_model(given.model, given.port, given.python, stream=given.stream)
    return 3


def run_load(given: argparse.Namespace) -> int:
    """Send the planned load."""
    from weighin.load import Workers, generate
    from weighin.load.no_pandas import leave_out_pandas
    from weighin.runner.plan import Plan

    if given.worker:
        if not given.locustfile:
            raise ContractError("a worker without tasks", "--worker", "Name the team's --locustfile.")
        from weighin.load.locust import work_for

        work_for(given.worker, given.port, str(given.locustfile))
        return 0
    path = given.work / "plan.json"
    if not given.url:
        raise ContractError("no server", "--url", "Name its address.")
    plan = Plan.read(path)
    planned = plan.of_step(given.gate)
    if planned is None:
        raise ContractError(f"the contract has no {given.gate} gate", str(path), f"Add `gates.{given.gate}`.")
    session = next((s for s in planned.sessions if (s.role, s.start) == (given.role, given.start)), None)
    if session is None:
        raise ContractError(f"the plan has no start {given.start} of the {given.role}", str(path))
    asked = planned.at(session)
    if given.locustfile or asked.locustfile:
        asked = replace(asked, locustfile=str(given.locustfile or given.work / asked.locustfile))
    workers = Workers(given.master, given.bind, given.port) if given.master else None
    if workers and not asked.locustfile:
        raise ContractError("workers run a locustfile, and there is none", "--master", "Name it with --locustfile.")
    if not asked.locustfile:
        leave_out_pandas()
    out = given.work / asked.step / session.name
    out.mkdir(parents=True, exist_ok=True)
    features = given.work / (asked.requests or "features/holdout.parquet")
    generate(
        given.url,
        features,
        asked,
        plan.answers,
        out,
        session.role,
        session.start,
        workers=workers,
        probes=session.probes,
        turn=given.turn,
    )
    return 0


def run_judge(given: argparse.Namespace) -> int:
    """Run one suite and leave its reports."""
    from weighin.contract import read_contract
    from weighin.verdict.judge import leave_pages, run_own_code, run_suite

    file = read_contract(given.contract)
    if given.own_only:
        return run_own_code(given.suite, file, given.work, given.out, given.base)
    code = run_suite(given.suite, file, given.work, given.out, given.own, given.base)
    leave_pages(file, given.suite, given.work, given.out / given.suite)
    return code


def run_verdict(given: argparse.Namespace) -> int:
    """Judge again from the evidence."""
    from weighin.contract import read_contract
    from weighin.contract.changes import Review
    from weighin.verdict.conclude import conclude, judged_by, or_not_evaluated

    try:
        needs = json.loads(given.needs) if given.needs else {}
        results = {job: v["result"] if isinstance(v, dict) else str(v) for job, v in needs.items()}
    except (ValueError, AttributeError, KeyError) as error:
        raise ContractError(f"--needs is not JSON of job results ({error!r})", "", "Pass toJSON(needs).") from error
    with or_not_evaluated(given.reports):
        if given.blocked:
            raise NotEvaluated(given.blocked)
        judged_by(given.image)
        return conclude(
            read_contract(given.contract),
            given.work,
            given.reports,
            (),
            results,
            base=given.base,
            head=given.head,
            review=Review(given.reviewed_commit, given.reviewed_by) if given.reviewed_commit else None,
            annotate=given.annotate,
            drill=given.drill,
            drill_change=given.drill_change,
        ).exit_code


def run_comment(given: argparse.Namespace) -> int:
    """Write the comment for a pull request, from a record and what lies beside it."""
    from weighin.contract.changes import FILE, Changes
    from weighin.record.verify import verify as verified
    from weighin.release.promote import read_promotion
    from weighin.report import markdown

    found = verified(given.record)
    if given.promotion:
        said = markdown.promoted(found.record, read_promotion(given.promotion, found.digest))
    else:
        said = markdown.comment(found.record, Changes.read(given.record.with_name(FILE)))
    given.out.write_text(said, encoding="utf-8")
    return 0


def run_provenance(given: argparse.Namespace) -> int:
    """Verify who built the image that judges, and leave it for the decision."""
    from weighin.cli.verify import attestation_of
    from weighin.record.provenance import DIGESTS, FILE, verify_image
    from weighin.runner import sandbox

    attestation = attestation_of(given)
    if attestation is None:
        raise ContractError("no attestation of the image", "--attestation", "Give the bundle that its build left.")
    # Inside a container the runner has told both; outside, the engine knows.
    image, known = os.environ.get("WEIGHIN_IMAGE", ""), os.environ.get(DIGESTS, "").split(",")
    if not image:
        try:
            image, known = sandbox.identity(given.image), sandbox.digests(given.image)
        except sandbox.NoEngineError as error:
            raise NotEvaluated(str(error), f"image {given.image}") from error
    found = verify_image(given.image, image, known, attestation)
    found.write(given.work)
    print(f"{found.digest}: built by {found.workflow} in {found.repository}; {given.work / FILE}")
    return 0


def run_predicate(given: argparse.Namespace) -> int:
    """Judge again from the evidence; if the record says the same, and it passed, write what is to be attested of it."""
    from weighin.canonical import write_json
    from weighin.contract import read_contract
    from weighin.record.attestation import predicate
    from weighin.release.promote import checked_record
    from weighin.verdict.conclude import judged_by
    from weighin.verdict.judge import decide_again

    judged_by(given.image)
    file = read_contract(given.contract)
    subject, binding, decision = decide_again(file, given.work, given.reports)
    record = checked_record(file, subject, decision, given.reports, work=given.work, image=binding.image)
    write_json(given.reports / PREDICATE, predicate(record.record))
    print(f"{record.digest} passed, and may be attested: {given.reports / PREDICATE}")
    return 0


STEPS: Mapping[str, tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], int], str]] = {
    "resolve": (add_resolve, run_resolve, "fix versions, digests, files and features"),
    "predict": (add_predict, run_predict, "load one model and predict, without labels"),
    "serve": (add_serve, run_serve, "serve one model on loopback"),
    "load": (add_load, run_load, "send the planned load to a server"),
    "judge": (add_judge, run_judge, "run one suite over what was predicted"),
    "verdict": (add_verdict, run_verdict, "judge again from the evidence that the suites left"),
    "comment": (add_comment, run_comment, "write the comment for a pull request, from a record alone"),
    "predicate": (reports_arguments, run_predicate, "judge again, and write what is to be attested of the record"),
    "provenance": (add_provenance, run_provenance, "verify who built the image that judges; needs no network"),
}
COMMANDS = {"step": add_step}
