"""Faults of evidence and process: what stands between a measurement and the alias.

Each is made in a folder of its own, from the outcomes that the gate has without a fault, and shown to the code that has
to notice it in a validation, a promotion or a verification.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from weighin.canonical import canonical, read_json, write_json
from weighin.contract.models import Waiver
from weighin.contract.reading import ContractFile
from weighin.contract.stricter import compare
from weighin.drill.fault import Fault
from weighin.drill.inputs import NotApplicable
from weighin.drill.judge import Judge
from weighin.errors import EvidenceError, NotEvaluated, PromotionError, RecordRefused, RegistryError
from weighin.model.subject import ModelVersion, Subject
from weighin.outcome import Direction, Limit, Measurement, Outcome, Status, decide
from weighin.record.decision import MODEL, Decision, decision_record, judge_evidence
from weighin.record.signature import Signer, envelope
from weighin.record.suite import FILE, Binding, SuiteOutcomes
from weighin.record.verify import verify
from weighin.release.promote import check_preconditions, checked_record
from weighin.runner.artifact import changed
from weighin.suites.evidence import Evidence
from weighin.suites.model import model_information
from weighin.untrusted import JsonDict

OTHER = "sha256:" + "0" * 64
GATE = "gate/evidence"
"""What blocks where no check of the contract does."""


@dataclass(frozen=True)
class Case:
    """Evidence of a validation in a folder of its own.

    subject  who it is about; a fault may put another in its place
    """

    judge: Judge
    file: ContractFile
    subject: Subject
    folder: Path

    @property
    def reports(self) -> Path:
        """What the suites left."""
        return self.folder / "reports"

    @property
    def work(self) -> Path:
        """What was resolved."""
        return self.folder / "work"

    @property
    def binding(self) -> Binding:
        """What evidence must be about."""
        return Binding(self.file.digest, self.subject.digest, "", "1")

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites that leave evidence, those first that measure most. Errors: `NotApplicable`."""
        outcomes = [o.check.partition("/")[0] for o in self.judge.baseline.values()]
        names = [n for n in dict.fromkeys(outcomes) if n != MODEL]
        if not names:
            raise NotApplicable("the contract has no gate")
        return tuple(sorted(names, key=lambda n: (-outcomes.count(n), n)))

    def outcomes(self, suite: str) -> list[Outcome]:
        """Return the outcomes of a suite without a fault."""
        return [o for o in self.judge.baseline.values() if o.check.partition("/")[0] == suite]

    def write(self, suite: str, outcomes: list[Outcome] | None = None, binding: Binding | None = None) -> None:
        """Leave the evidence of a suite."""
        found = self.outcomes(suite) if outcomes is None else outcomes
        SuiteOutcomes(suite, binding or self.binding, tuple(found), 0.0).write(self.reports / suite)

    def decision(self, **more: object) -> Decision:
        """Return the decision on what is left. Suites that no drill measures are not waited for."""
        known = dict(more)
        model = SuiteOutcomes(
            MODEL, self.binding, tuple(self.outcomes(MODEL)), 0.0, information=model_information(self.subject)
        )
        asked = {"wanted": self.suites, "model": model, **known}
        return judge_evidence(self.file, self.binding, self.reports, **asked)  # type: ignore[arg-type]

    def news(self, decision: Decision) -> str:
        """Return the first sentence that the gate does not say without a fault."""
        before = set(self.sound.messages)
        return next((m for m in decision.messages if m not in before), "")

    @property
    def sound(self) -> Decision:
        """The decision without a fault."""
        fresh = replace(self, subject=self.judge.base.subject, folder=self.folder / "sound")
        for suite in fresh.suites:
            fresh.write(suite)
        return fresh.decision()

    def passed(self) -> Decision:
        """Return the decision without a fault, a record of which lies in `reports`. Errors: `NotApplicable`."""
        decision = self.sound
        if decision.status is not Status.PASSED:
            raise NotApplicable(f"without a fault the verdict is {decision.status.value}, and nothing can be promoted")
        write_json(self.reports / "record.json", self.record(decision))
        verify(self.reports / "record.json")
        return decision

    def record(self, decision: Decision, subject: Subject | None = None) -> JsonDict:
        """Return the record of a decision, about another candidate where one is given."""
        about = subject or self.subject
        run = {"commit": "", "url": "", "created": "2000-01-01T00:00:00+00:00"}
        return decision_record(decision, self.file, about, replace(self.binding, subject=about.digest), run)


@contextlib.contextmanager
def case_of(judge: Judge) -> Iterator[Case]:
    """Yield a case whose evidence is complete and sound."""
    with tempfile.TemporaryDirectory(prefix="weighin-drill-") as folder:
        case = Case(judge, judge.base.file, judge.base.subject, Path(folder))
        case.subject.write(case.work / "subject.json")
        for suite in case.suites:
            case.write(suite)
        yield case


Ask = Callable[[Case], str]
"""Makes a fault in a case, and returns the sentence with which the gate refuses it; nothing where it does not."""


def suite_skipped(case: Case) -> str:
    """Leave no evidence of a suite: its job was skipped.

    Seen: a skipped required job counts as a success on the platform.
    """
    shutil.rmtree(case.reports / case.suites[0])
    return case.news(case.decision())


def job_failed(case: Case) -> str:
    """Let a job of the workflow end as skipped, with all evidence in place.

    Seen: a condition on a job that is false for pull requests of a bot.
    """
    return case.news(case.decision(needs={"predict": "skipped"}))


def suite_left_out(case: Case) -> str:
    """Ask for all suites but one.

    Seen: `--suite` in a workflow's command line, left over from a search for an error.
    """
    listed = case.suites
    if len(listed) < 2:
        raise NotApplicable("the contract has one suite, and a run of none is no run")
    return case.news(case.decision(wanted=listed[1:]))


def no_tests(case: Case) -> str:
    """Leave a suite's evidence without a single outcome.

    Seen: a test runner that collects nothing ends with success in many pipelines.
    """
    case.write(case.suites[0], [])
    return case.news(case.decision())


def check_dropped(case: Case) -> str:
    """Leave one check out of a suite's evidence.

    Seen: a metric that disappears from the candidate is dropped from the comparison by an action of a marketplace.
    """
    suite = case.suites[0]
    case.write(suite, case.outcomes(suite)[1:])
    return case.news(case.decision())


def outcome_edited(case: Case) -> str:
    """Call a failed outcome passed, with the numbers that failed beside it.

    Seen: the flag that decides is overwritten just before it is read, in a vendor's template.
    """
    suite = case.suites[0]
    first, *rest = case.outcomes(suite)
    failed = _beyond(first)
    case.write(suite, [replace(failed, status=Status.PASSED), *rest])
    return case.news(case.decision())


def limit_edited(case: Case) -> str:
    """Judge a failing number by a laxer limit than the contract's, inside the suite.

    Seen: thresholds that are passed as arguments of a job and not read from the contract.
    """
    suite = case.suites[0]
    first, *rest = case.outcomes(suite)
    failed = _beyond(first)
    assert isinstance(failed.evidence, Measurement)
    case.write(suite, [decide(failed.evidence, replace(failed.limit, value=failed.evidence.estimate)), *rest])
    return case.news(case.decision())


def bytes_changed(case: Case) -> str:
    """Change the bytes of a suite's evidence so that it is no longer in canonical form.

    Seen: an editor that saves a file with another order of keys, after a value was changed.
    """
    path = case.reports / case.suites[0] / FILE
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=1), encoding="utf-8")
    return case.news(case.decision())


def other_attempt(case: Case) -> str:
    """Leave evidence of an earlier attempt of the same run.

    Seen: "re-run failed jobs" keeps the artifacts of the jobs that passed before.
    """
    return _bound(case, replace(case.binding, attempt="0"))


def other_image(case: Case) -> str:
    """Leave evidence that another image judged.

    Seen: a tag that was moved between two jobs.
    """
    return _bound(case, replace(case.binding, image=OTHER))


def other_subject(case: Case) -> str:
    """Leave evidence about another candidate.

    Seen: an alias that moved while a validation ran, so that two jobs judged two models.
    """
    return _bound(case, replace(case.binding, subject=OTHER))


def other_contract(case: Case) -> str:
    """Leave evidence that was made under another contract.

    Seen: a rebase between the job that measures and the one that decides.
    """
    return _bound(case, replace(case.binding, contract=OTHER))


def limit_relaxed(case: Case) -> str:
    """Relax a limit in the pull request, to where the candidate just passes.

    Seen: a margin that is changed in the pull request that it stops.
    """
    suite, name = next(
        (s, o.check)
        for s in case.suites
        for o in case.outcomes(s)
        if isinstance(o.evidence, Measurement) and o.limit.severity == "block" and o.status is Status.PASSED
    )
    failed = _beyond(case.judge.baseline[name])
    assert isinstance(failed.evidence, Measurement)
    contract, value = case.file.contract, failed.evidence.estimate
    waiver = Waiver(check=name, limit=value, owner="the pull request", reason="relaxed", starts=None, expires=date.max)
    relaxed = contract.model_copy(update={"waivers": (*contract.waivers, waiver)})
    head = replace(case, file=replace(case.file, contract=relaxed))
    met = decide(failed.evidence, replace(failed.limit, value=value))
    head.write(suite, [met if o.check == name else o for o in case.outcomes(suite)])
    return case.news(head.decision(base=compare(relaxed, contract)))


def model_swapped(case: Case) -> str:
    """Exchange a file of the candidate between resolving and asking it.

    Seen: `latest` that moves on between two steps of a pipeline.
    """
    source = case.judge.base.work / "models/candidate"
    if not source.is_dir():
        raise NotApplicable("the candidate's files are not in the work folder")
    target = case.work / "models/candidate"
    shutil.copytree(source, target, symlinks=True)
    path = next(p for p in sorted(target.rglob("*")) if p.is_file() and not p.is_symlink())
    path.write_bytes(path.read_bytes() + b"\n")
    return changed(case.work, "candidate")


def data_swapped(case: Case) -> str:
    """Exchange the holdout between resolving and judging.

    Seen: a nightly job that writes the file which a validation reads.
    """
    data = {**case.subject.data, "holdout": {**case.subject.data["holdout"], "sha256": OTHER}}
    replace(case.subject, data=data).write(case.work / "subject.json")
    link = case.work / "data"
    source = case.judge.base.work / "data"
    if source.is_dir():
        link.symlink_to(source.resolve(), target_is_directory=True)
    try:
        Evidence(case.file, case.work).path("holdout")
    except NotEvaluated as error:
        return str(error)
    return ""


def answers_swapped(case: Case) -> str:
    """Put the answers to other rows in the place of those to the holdout.

    Seen: predictions that were cached by the name of a dataset, and not by its rows.
    """
    source = case.judge.base.work / "predictions/candidate"
    rows = case.judge.base.table("holdout").num_rows
    others = [p for p in sorted(source.glob("*.arrow")) if p.stem not in ("holdout", "shap")]
    if not others or not case.subject.data["holdout"].get("features"):
        raise NotApplicable("models were asked about the holdout alone")
    target = case.work / "predictions/candidate"
    target.mkdir(parents=True)
    shutil.copy(others[0], target / "holdout.arrow")
    try:
        Evidence(case.file, case.work).answers_left("candidate", "holdout", rows)
    except NotEvaluated as error:
        return str(error)
    return ""


def record_edited(case: Case) -> str:
    """Change the verdict in a record, in canonical form.

    Seen: a status in a JSON file that a script sets.
    """
    case.passed()
    path = case.reports / "record.json"
    record = read_json(path, "weighin/decision/v1")
    outcome = next(o for s in record["suites"] for o in s["outcomes"] if "unmeasured" not in o["evidence"])
    outcome["status"], outcome["blocks"] = "failed", True
    path.write_bytes(canonical(record))
    return _refused(lambda: verify(path))


def record_unsigned(case: Case) -> str:
    """Show a record without a signature where one is demanded.

    Seen: a signing step that was skipped because a secret was not given to the run.
    """
    case.passed()
    return _refused(lambda: verify(case.reports / "record.json", [_key().public_key()]))


def record_signed_by_another(case: Case) -> str:
    """Show a record that somebody else has signed.

    Seen: a key of a test environment that signs for production.
    """
    case.passed()
    record = read_json(case.reports / "record.json", "weighin/decision/v1")
    path = case.reports / "record.dsse.json"
    write_json(path, envelope(record, Signer(_key())))
    return _refused(lambda: verify(path, [_key().public_key()]))


def record_replayed(case: Case) -> str:
    """Promote with the record of another candidate.

    Seen: an approval of last month's version that is used for this one.
    """
    decision = case.passed()
    other = replace(case.subject, candidate=replace(case.subject.candidate, digest=OTHER))
    write_json(case.reports / "record.json", case.record(decision, other))
    return _refused(lambda: checked_record(case.file, case.subject, decision, case.reports, work=None))


def alias_moved(case: Case) -> str:
    """Move the champion's alias after the candidate was compared with the champion. The registry is only read.

    Seen: two releases at once, of which the slower one wins.
    """
    from weighin.registry.champion import ChampionRegistry
    from weighin.registry.mlflow import Registry

    case.passed()
    champion = case.subject.champion
    if champion is None or not champion.version or not case.subject.candidate.version:
        raise NotApplicable("candidate and champion are no registered versions")
    # Seen from the other side: the alias is where it is, and the evidence is about a version that it has left.
    left = replace(case.subject, champion=ModelVersion(champion.name, f"{champion.version}0", "", OTHER, ""))
    record = verify(case.reports / "record.json")
    try:
        champions = ChampionRegistry.of(case.file.contract.model, Registry())
        sound = _refused(lambda: check_preconditions(case.file, case.subject, champions, record, dry_run=True))
        if sound:
            raise NotApplicable(f"nothing could be promoted without a fault either: {sound}")
        return _refused(lambda: check_preconditions(case.file, left, champions, record, dry_run=True))
    except RegistryError as error:
        raise NotApplicable(f"the registry cannot be read: {error.fact}") from error
    except OSError as error:  # an embedded one that is not there, on a disk that is only read
        raise NotApplicable(f"the registry cannot be read: {error.strerror}") from error


def _bound(case: Case, binding: Binding) -> str:
    case.write(case.suites[0], binding=binding)
    return case.news(case.decision())


def _key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def _refused(call: Callable[[], object]) -> str:
    try:
        call()
    except (RecordRefused, PromotionError, EvidenceError) as error:
        return str(error)
    return ""


def _beyond(outcome: Outcome) -> Outcome:
    """Return an outcome whose number lies beyond its limit, by as much as the limit is large."""
    limit: Limit = outcome.limit
    step = max(abs(limit.value), 1.0)
    value = limit.value - step if limit.direction is Direction.AT_LEAST else limit.value + step
    evidence = outcome.evidence
    known = evidence if isinstance(evidence, Measurement) else None
    unit, method, n = (known.unit, known.method, known.n) if known else ("", "counted", 1)
    return decide(Measurement(outcome.check, value, value, value, 1.0, n, unit, method, "census"), limit)


def _fault(name: str, ask: Ask) -> Fault:
    return Fault(f"process-{name}", "process", ask, 1.0, (1.0,), "time")


FAULTS = (
    _fault("suite-skipped", suite_skipped),
    _fault("job-skipped", job_failed),
    _fault("suite-left-out", suite_left_out),
    _fault("no-tests", no_tests),
    _fault("check-dropped", check_dropped),
    _fault("outcome-edited", outcome_edited),
    _fault("limit-edited", limit_edited),
    _fault("bytes-changed", bytes_changed),
    _fault("other-attempt", other_attempt),
    _fault("other-image", other_image),
    _fault("other-subject", other_subject),
    _fault("other-contract", other_contract),
    _fault("limit-relaxed", limit_relaxed),
    _fault("model-swapped", model_swapped),
    _fault("data-swapped", data_swapped),
    _fault("answers-swapped", answers_swapped),
    _fault("record-edited", record_edited),
    _fault("record-unsigned", record_unsigned),
    _fault("record-signed-by-another", record_signed_by_another),
    _fault("record-replayed", record_replayed),
    _fault("alias-moved", alias_moved),
)
