"""One function per command. Heavy imports stay inside: `weighin predict` must not pay for a report."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from weighin.errors import ContractError, NotEvaluated, WeighinError

if TYPE_CHECKING:
    from weighin.contract.reading import ContractFile
    from weighin.runner.warm import Warm

ORDER = ("data_quality", "drift", "performance", "explainability", "load", "shadow", "sealed")
"""The suites by how long they take, their pages included; the longest first."""


def validate(given: argparse.Namespace) -> int:
    """Predict, run the suites, print the verdict."""
    from weighin.verdict.conclude import or_not_evaluated

    with or_not_evaluated(given.out):
        return _validate(given)


def _validate(given: argparse.Namespace) -> int:
    from weighin.contract import read_contract
    from weighin.contract.own import own_suites
    from weighin.runner import local
    from weighin.runner.warm import warm

    file = read_contract(given.contract)
    suites = tuple(given.suite or (*file.contract.gates.names, *own_suites(file.folder)))
    absent = [s for s in given.suite or () if s not in file.contract.gates.names]
    if absent:
        raise ContractError(f"no limits for suite {', '.join(absent)}", str(given.contract), "Add them under `gates`.")
    if given.sealed and given.suite:
        raise ContractError("a look is for a whole release", "--sealed", "Leave --suite out.")
    if given.runner == "docker":
        _judged_by(given.image, file.folder)
        return _validate_with(given, file, suites, None)
    if given.debug:
        # Everything in this process, and with its traceback.
        return _validate_with(given, file, suites, None)
    gates = sorted((s for s in (*suites, *(["sealed"] if given.sealed else [])) if s in ORDER), key=ORDER.index)
    with warm(("judge", "models", *gates), {**local.PATIENT, **local.variables()}) as forks:
        return _validate_with(given, file, suites, forks)


def _validate_with(given: argparse.Namespace, file: ContractFile, suites: tuple[str, ...], forks: Warm | None) -> int:
    """All steps, each in a process or a container of its own.

    forks  the warm process of the local runner
    """
    from weighin.runner import docker, local

    in_docker = given.runner == "docker"
    if given.train:
        with _step("train"):
            problem = local.train(shlex.split(given.train))
        if problem:
            raise NotEvaluated(f"there is nothing to judge: {problem}", "", "Read what it printed.")
    with _step("resolve candidate and champion"):
        _resolve(given, file, forks)

    place = file.path.resolve().relative_to(file.folder.resolve())

    def judge_one(suite: str) -> None:
        with _step(f"suite {suite}"):
            if in_docker:
                docker.judge(suite, given.image, docker.Checkout(file.folder, place), given.work, given.out)
            else:
                local.judge(suite, file.path, given.work, given.out, forks)

    def predict_all() -> None:
        with _step("predict"):
            if in_docker:
                docker.predict(given.image, given.work)
                return
            used = local.predict(given.work, forks)
        for role in used:
            print(f"predict: those of the {role} are of an earlier run: same files, rows and engine", file=sys.stderr)

    early = () if in_docker else _before_models(file, suites)
    _two_at_a_time([predict_all, *(partial(judge_one, suite) for suite in early)])
    if forks is not None:
        # Load is alone on the machine while it measures.
        forks.rest()
    for step, said in (("load", "serve and send load"), ("shadow", "serve both and ask what was logged")):
        if step in suites:
            with _step(said):
                docker.load(given.image, given.work, step) if in_docker else local.load(given.work, step)

    # Suites only read, and each leaves a folder of its own. What takes longest begins first.
    later = sorted((s for s in suites if s not in early), key=lambda s: ORDER.index(s) if s in ORDER else -1)
    _two_at_a_time([partial(judge_one, suite) for suite in later])

    from weighin.verdict.conclude import conclude
    from weighin.verdict.judge import decide_again

    if given.sealed:
        # Only what passes everything else is shown the sealed rows: a pass there is then a pass of the whole.
        if decide_again(file, given.work, given.out, suites, {})[2].sentences_without("sealed"):
            print("suite sealed: not run, since another suite does not pass", file=sys.stderr)
            shutil.rmtree(given.out / "sealed", ignore_errors=True)
        else:
            judge_one("sealed")
        suites = (*suites, "sealed")
    with _step("decide"):
        return conclude(file, given.work, given.out, suites, {})


def _two_at_a_time(steps: Sequence[Callable[[], None]]) -> None:
    """Go through steps, two side by side; where one raises, or Ctrl-C comes, what the others started is ended."""
    from weighin.runner import local

    with ThreadPoolExecutor(max_workers=2) as pool:
        try:
            for future in [pool.submit(step) for step in steps]:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            local.end_all()
            raise


def _before_models(file: ContractFile, suites: tuple[str, ...]) -> tuple[str, ...]:
    """The suites that need nothing of a model, and run while the models predict: data quality, without own tests."""
    from weighin.contract.own import runs_own_code

    free = "data_quality" in suites and not runs_own_code(file.folder, file.contract, "data_quality")
    return ("data_quality",) if free else ()


def _resolve(given: argparse.Namespace, file: ContractFile, forks: Warm | None) -> None:
    """Resolve in a fork, which has imported the registry's client, or here. Errors: `WeighinError`."""
    from weighin.runner import local

    if forks is not None:
        arguments = ["--contract", str(given.contract), "--work", str(given.work)]
        for option in ("candidate", "champion"):
            arguments += [f"--{option}", value] if (value := getattr(given, option)) else []
        done = local.resolve([*arguments, *(["--sealed"] if given.sealed else [])], forks)
        if done is not None:
            code, told = done
            if code:
                error = WeighinError(told["fact"], told.get("place", ""), told.get("remedy", ""))
                error.exit_code = code
                raise error
            return
    from weighin.resolve.models import resolve as resolve_subject

    resolve_subject(file, given.work, given.candidate, given.champion, given.sealed)


def resolve(given: argparse.Namespace) -> int:
    """Fix versions, digests and features."""
    from weighin.contract import read_contract
    from weighin.resolve.models import resolve as resolve_subject

    file = read_contract(given.contract)
    if given.as_artifact and not file.contract.data.public_data:
        raise ContractError(
            "features and models would become downloadable artifacts, and the contract does not allow it",
            str(given.contract),
            "Set `data.public_data: true`, or run `weighin validate` where the data are.",
        )
    subject = resolve_subject(file, given.work, given.candidate, given.champion, given.sealed)
    print(f"candidate {subject.candidate} {subject.candidate.digest}")
    print(f"champion {subject.champion or 'none: first release'} {subject.champion.digest if subject.champion else ''}")
    return 0


def predict(given: argparse.Namespace) -> int:
    """Load one model and predict."""
    from weighin.model.predict import predict as predict_all

    predict_all(given.model, given.features, given.out, tuple(given.column or [1]), given.shap)
    return 0


def serve(given: argparse.Namespace) -> int:
    """Serve one model, and then not return; or the champion, whoever that is."""
    if given.follow == bool(given.model):
        raise ContractError("one of two things to serve", "serve", "Give --model, or --follow with --contract.")
    if given.follow:
        from weighin.cli.release import serve_champion

        return serve_champion(given)
    from weighin.serving.mlflow_server import serve as serve_model

    serve_model(given.model, given.port, given.python)
    return 3


def load(given: argparse.Namespace) -> int:
    """Send the planned load."""
    from weighin.load import Workers, generate
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
    planned = plan.of_step(given.step)
    if planned is None:
        raise ContractError(f"the contract has no {given.step} gate", str(path), f"Add `gates.{given.step}`.")
    session = next((s for s in planned.sessions if (s.role, s.start) == (given.role, given.start)), None)
    if session is None:
        raise ContractError(f"the plan has no start {given.start} of the {given.role}", str(path))
    asked = planned.at(session)
    if given.locustfile or asked.locustfile:
        asked = replace(asked, locustfile=str(given.locustfile or given.work / asked.locustfile))
    workers = Workers(given.master, given.bind, given.port) if given.master else None
    if workers and not asked.locustfile:
        raise ContractError("workers run a locustfile, and there is none", "--master", "Name it with --locustfile.")
    out = given.work / asked.step / session.name
    out.mkdir(parents=True, exist_ok=True)
    features = given.work / (asked.requests or "features/holdout.parquet")
    generate(
        given.url,
        features,
        asked,
        plan.columns,
        out,
        session.role,
        session.start,
        workers=workers,
        probes=session.probes,
        turn=given.turn,
    )
    return 0


def judge(given: argparse.Namespace) -> int:
    """Run one suite and leave its reports."""
    from weighin.contract import read_contract
    from weighin.verdict.judge import leave_pages, run_own_code, run_suite

    file = read_contract(given.contract)
    if given.own_only:
        return run_own_code(given.suite, file, given.work, given.out)
    code = run_suite(given.suite, file, given.work, given.out, given.own)
    leave_pages(file, given.suite, given.work, given.out / given.suite)
    return code


def verdict(given: argparse.Namespace) -> int:
    """Judge again from the evidence."""
    from weighin.contract import read_contract
    from weighin.contract.changes import Review
    from weighin.verdict.conclude import conclude, or_not_evaluated

    try:
        needs = json.loads(given.needs) if given.needs else {}
        results = {job: v["result"] if isinstance(v, dict) else str(v) for job, v in needs.items()}
    except (ValueError, AttributeError, KeyError) as error:
        raise ContractError(f"--needs is not JSON of job results ({error!r})", "", "Pass toJSON(needs).") from error
    with or_not_evaluated(given.reports):
        if given.blocked:
            raise NotEvaluated(given.blocked)
        _judged_by(given.image)
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
        )


def comment(given: argparse.Namespace) -> int:
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


def promote(given: argparse.Namespace) -> int:
    """Move the champion's alias."""
    from weighin.cli.verify import attestation_of
    from weighin.contract import read_contract
    from weighin.record.signature import signer
    from weighin.registry.mlflow import Registry
    from weighin.release.promote import promote as promote_subject
    from weighin.verdict.judge import decide_again

    file = read_contract(given.contract)
    _judged_by(given.image)
    by, attestation = signer(), attestation_of(given)
    subject, binding, decision = decide_again(file, given.work, given.reports)
    done = promote_subject(
        file,
        subject,
        decision,
        given.reports,
        Registry(),
        work=given.work,
        dry_run=given.dry_run,
        by=by,
        attestation=attestation,
        image=binding.image,
    )
    word = "would move" if given.dry_run else "already stands" if done.already else "moved"
    how = f"signed by {done.signed_by}" if done.signed_by else "unsigned"
    how += f", attested by {done.attested_by}" if done.attested_by else ""
    print(f"`{done.alias}` of {done.model} {word}: version {done.before or 'none'} -> version {done.after} ({how})")
    if done.entry:
        # In the log of the job it is a witness that whoever rewrites the registry does not reach.
        print(f"Entry {done.entry} of the ledger, {done.ledger_head}")
    if subject.demonstration:
        print("The registry is a file of this machine: the alias moved here and nowhere else.")
    return 0


def rollback(given: argparse.Namespace) -> int:
    """Make an earlier version champion again."""
    from weighin.cli.release import rollback as go_back

    return go_back(given)


def history(given: argparse.Namespace) -> int:
    """Who was champion, since when, by whom, and on what evidence."""
    from weighin.cli.release import history as tell

    return tell(given)


def deploy(given: argparse.Namespace) -> int:
    """Tell the servers to load the champion, and ask them until they do."""
    from weighin.cli.release import deploy as bring

    return bring(given)


def accept(given: argparse.Namespace) -> int:
    """Copy a version that was promoted elsewhere, with its record, and make it champion here."""
    from weighin.cli.release import accept as receive

    return receive(given)


def approve(given: argparse.Namespace) -> int:
    """Sign that a record may be acted on."""
    from weighin.record.signature import KEY, signer
    from weighin.release.approval import approve as sign

    by = signer()
    if by is None:
        raise ContractError("no key to approve with", KEY, "Make one: weighin key FILE.")
    print(sign(given.record, by, given.comment))
    return 0


def monitor(given: argparse.Namespace) -> int:
    """Look at the prediction log, and do what follows."""
    from weighin.cli.monitor import monitor as watch

    return watch(given)


def verify(given: argparse.Namespace) -> int:
    """Say whether a record holds."""
    from weighin.cli.verify import verify as say

    return say(given)


def provenance(given: argparse.Namespace) -> int:
    """Verify who built the image that judges."""
    from weighin.cli.verify import provenance as say

    return say(given)


def predicate(given: argparse.Namespace) -> int:
    """Judge again, and write what is to be attested of the record."""
    from weighin.cli.verify import predicate as leave

    _judged_by(given.image)
    return leave(given)


def key(given: argparse.Namespace) -> int:
    """Make a key to sign with."""
    from weighin.record.signature import KEY, make_key

    made = make_key(given.file)
    print(f"{made}\n{given.file} signs ({KEY}), {given.file}.pub is to be trusted.")
    return 0


def drift(given: argparse.Namespace) -> int:
    """Compare two tables, or what the contract names, without a model."""
    from weighin.cli.drift import drift as compare

    return compare(given)


def profile(given: argparse.Namespace) -> int:
    """Count the contract's reference, and store the profile with a model version."""
    from weighin.cli.drift import store

    return store(given)


def labels(given: argparse.Namespace) -> int:
    """Append labels that came to the prediction log."""
    from datetime import UTC, datetime

    from weighin.contract import read_contract
    from weighin.prediction_log.labels import append_labels, read_labels
    from weighin.prediction_log.sinks import sink_for
    from weighin.prediction_log.tables import LogTables

    tables = LogTables.of(read_contract(given.contract))
    with contextlib.closing(sink_for(tables)) as sink:
        number = append_labels(sink, read_labels(given.file, tables), datetime.now(UTC))
    print(f"{number} labels appended to {tables.labels}")
    return 0


def looks(given: argparse.Namespace) -> int:
    """Show the looks at the sealed holdout."""
    from weighin.contract import read_contract
    from weighin.registry.looks import Looks
    from weighin.registry.mlflow import Registry

    file = read_contract(given.contract)
    gate, model = file.contract.gates.sealed, file.contract.model.name
    if gate is None:
        raise ContractError("the contract has no sealed holdout", str(given.contract), "Add `gates.sealed`.")
    ledger = Looks(Registry(), model)
    taken, closed = ledger.all(), ledger.closed(gate.epoch)
    own = [look for look in taken if look.epoch == gate.epoch]
    left = 0 if closed else max(0, gate.looks - len(own))
    if given.json:
        listed = [vars(look) for look in taken]
        print(json.dumps({"epoch": gate.epoch, "looks": gate.looks, "left": left, "closed": closed, "taken": listed}))
        return 0
    for look in taken:
        print(
            f"{look.epoch}  look {look.number} of {look.looks}  version {look.version}  {look.candidate[:19]}  "
            f"{look.created}  {look.result}"
        )
    state = "closed by a pass" if closed else f"{left} of {gate.looks} looks left"
    print(f"epoch {gate.epoch}: {state}, each at alpha {file.contract.alpha / gate.looks:g}")
    return 0


def contract(given: argparse.Namespace) -> int:
    """Check a contract, or print the JSON Schema of contracts."""
    from weighin.contract import Contract, checks, read_contract

    if given.action == "schema":
        print(json.dumps(Contract.model_json_schema(), indent=2))
        return 0
    from weighin.cli.power import say_power

    file = read_contract(given.contract)
    listed = checks(file.contract)
    for check in listed:
        severity = "blocks" if check.limit.severity == "block" else "warns"
        print(f"{check.id:60} {check.limit!s:>10}  {severity}{'  ' + check.waiver if check.waiver else ''}")
    expired = [c.expired for c in listed if c.expired]
    say_power(file, given.work)
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


def canary(given: argparse.Namespace) -> int:
    """Look at a canary once."""
    from weighin.cli.canary import look

    return look(given)


def doctor(given: argparse.Namespace) -> int:
    """Say whether a repository is set up as docs/adopting.md says."""
    from weighin.cli.doctor import doctor as check

    return check(given)


def _judged_by(image: str | None, folder: Path | None = None) -> None:
    """Let evidence of this image count, by its id; without one, what WEIGHIN_IMAGE says.

    folder  what the image's containers will have to read
    """
    from weighin.runner import sandbox

    if image:
        try:
            os.environ["WEIGHIN_IMAGE"] = sandbox.identity(image)
            if folder is not None:
                sandbox.readable(folder)
        except sandbox.NoEngineError as error:
            raise NotEvaluated(str(error), f"image {image}") from error


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    """A line before and a line after, with the time the step took: the same on a terminal and in a log."""
    started = time.monotonic()
    # Each in one piece: two steps may print at the same moment.
    sys.stderr.write(f"{name} ...\n")
    sys.stderr.flush()
    yield
    sys.stderr.write(f"{name}: {time.monotonic() - started:.1f} s\n")
    sys.stderr.flush()
