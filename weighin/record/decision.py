"""The decision: every suite's evidence, judged again, and one verdict. It fails closed.

A verdict is computed from the stored measurements and the limits of the contract, not from what a suite says of
itself. A suite that is absent, empty, about something else, or that disagrees with the rule blocks with a sentence.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from weighin.canonical import canonical, digest, plain
from weighin.contract import Check, checks
from weighin.contract.lines import lines
from weighin.contract.models import TimeBlock
from weighin.contract.own import own_suites
from weighin.contract.reading import ContractFile
from weighin.contract.stricter import Compared
from weighin.errors import EvidenceError
from weighin.model.subject import Subject
from weighin.outcome import Outcome, Status, Unmeasured, confirm_failures, decide, gate
from weighin.record.outcomes import encode_outcome
from weighin.record.suite import Binding, SuiteOutcomes
from weighin.untrusted import JsonDict, JsonObject

SCHEMA = "weighin/decision/v1"
VERDICT = "weighin/verdict/v1"
EXIT = {Status.PASSED: 0, Status.FAILED: 1, Status.INCONCLUSIVE: 6, Status.NOT_EVALUATED: 7}
NOTHING_EVALUATED = 5
MODEL = "model"
"""The suite of checks on the candidate's files."""
CUSTOM = "custom/"
"""Prefix of checks that a team's own tests add; the contract does not list them."""


@dataclass(frozen=True)
class SuiteVerdict:
    """What became of one suite: its outcomes after `confirm_failures`, and what is wrong with its evidence."""

    suite: str
    status: Status
    outcomes: tuple[Outcome, ...]
    problems: tuple[str, ...]
    seconds: float
    information: tuple[Mapping[str, Any], ...] = ()

    @staticmethod
    def of(
        suite: str,
        outcomes: tuple[Outcome, ...],
        problems: tuple[str, ...],
        seconds: float,
        information: tuple[JsonObject, ...] = (),
    ) -> SuiteVerdict:
        """Return what outcomes (after `confirm_failures`) and problems with their evidence come to."""
        status = gate(outcomes)
        if problems and status is not Status.FAILED:
            status = Status.NOT_EVALUATED
        return SuiteVerdict(suite, status, outcomes, problems, seconds, information)


@dataclass(frozen=True)
class Decision:
    """The verdict on a candidate."""

    status: Status
    suites: tuple[SuiteVerdict, ...]
    problems: tuple[str, ...]
    waivers: Mapping[str, str]

    @property
    def outcomes(self) -> list[Outcome]:
        """All outcomes of all suites."""
        return [o for suite in self.suites for o in suite.outcomes]

    @property
    def exit_code(self) -> int:
        """Exit code of the command line for this verdict."""
        measured = [o for suite in self.suites if suite.suite != MODEL for o in suite.outcomes]
        evaluated = any(o.status is not Status.NOT_EVALUATED for o in measured)
        return EXIT[self.status] if evaluated else NOTHING_EVALUATED

    @property
    def messages(self) -> list[str]:
        """Why it is no pass: one sentence per blocking outcome or problem; empty for a pass."""
        found = [*self.problems, *(p for s in self.suites for p in s.problems)]
        return found + [f"{o.check}: {o.status.value}: {o.reason}" for o in self.outcomes if o.blocks]

    def messages_without(self, suite: str) -> list[str]:
        """Return the same, as if the verdict did not wait for one suite."""
        left_out = f"suite {suite} was left out: no verdict without it"
        return [s for s in self.messages if s != left_out]


def judge_evidence(
    contract_file: ContractFile,
    binding: Binding,
    reports: Path,
    wanted: tuple[str, ...] = (),
    needs: Mapping[str, str] | None = None,
    now: datetime | None = None,
    sealed: bool = False,
    base: Compared | None = None,
    model: SuiteOutcomes | None = None,
) -> Decision:
    """Judge everything that the suites left below `reports`.

    binding  what the evidence must be about
    wanted   the suites that were asked for; default all that contract and files of the team's own demand.
             Fewer can never be a pass.
    needs    job -> result as the workflow reports it; anything but `success` blocks
    base     both contracts of a pull request, the stricter of which decides
    model    the suite `model`, which looks at the candidate's files and is no process of its own
    sealed   whether a look at the sealed holdout was reserved: its suite is then demanded as well
    """
    contract = contract_file.contract
    gates = (MODEL, *contract.gates.names, *(["sealed"] if sealed else []))
    listed: dict[str, dict[str, Check]] = {name: {c.id: c for c in checks(contract, name, now)} for name in gates}
    own = {c.id: c for part in listed.values() for c in part.values()}
    listed |= {name: {} for name in (*own_suites(contract_file.folder), *(base.own if base else ()))}
    if base is not None:
        for check in base.checks.values():
            listed.setdefault(check.suite, {})[check.id] = check
    demanded = tuple(listed)
    asked = (MODEL, *wanted) if wanted else demanded
    left = model or SuiteOutcomes(MODEL, binding, (), 0.0)
    read = [
        _judged(left, listed[n], own, binding) if n == MODEL else _read(n, listed[n], own, binding, reports)
        for n in asked
    ]
    confirmed = {o.check: o for o in confirm_failures([o for s in read for o in s.outcomes], contract.alpha)}
    suites = tuple(_finish(s, confirmed) for s in read)
    problems = [f"suite {n} was left out: no verdict without it" for n in demanded if n not in asked]
    problems += [f"job {job} ended as {result}" for job, result in (needs or {}).items() if result != "success"]
    if base is not None and base.measured:
        shown = ", ".join(base.measured[:10])
        problems.append(f"the pull request changes what is measured, which a maintainer has to review: {shown}")
    waivers = {c.id: c.waiver for part in listed.values() for c in part.values() if c.waiver}
    return concluded(suites, tuple(problems), waivers)


def concluded(
    suites: tuple[SuiteVerdict, ...], problems: tuple[str, ...], waivers: Mapping[str, str] | None = None
) -> Decision:
    """Return the decision that suites, and problems that concern them all, come to."""
    return Decision(_worst([s.status for s in suites], bool(problems)), suites, problems, waivers or {})


def _worst(statuses: list[Status], problem: bool) -> Status:
    for status in (Status.FAILED, Status.NOT_EVALUATED, Status.INCONCLUSIVE):
        if status in statuses:
            return status
    return Status.NOT_EVALUATED if problem or not statuses else Status.PASSED


def _read(
    suite: str, listed: Mapping[str, Check], own: Mapping[str, Check], binding: Binding, reports: Path
) -> SuiteVerdict:
    """Return a suite's evidence under the limits of `listed`, by which the suite judged, or else by those of `own`."""
    try:
        left = SuiteOutcomes.read(reports / suite)
    except EvidenceError as error:
        missing = f"the suite left no evidence: {error.fact}"
        outcomes = [_absent(check, check.expired or missing) for check in listed.values()]
        return SuiteVerdict(suite, Status.NOT_EVALUATED, tuple(outcomes), (f"suite {suite}: {error}",), 0.0)
    foreign = [f"suite {suite}: {p}" for p in _foreign(left, suite, binding)]
    return _judged(left, listed, own, binding, foreign)


def _judged(
    left: SuiteOutcomes,
    listed: Mapping[str, Check],
    own: Mapping[str, Check],
    binding: Binding,
    foreign: Sequence[str] = (),
) -> SuiteVerdict:
    """Return outcomes under the limits of `listed`. `foreign`: what is wrong with where they come from."""
    suite, problems = left.suite, list(foreign)
    found: dict[str, Outcome] = {}
    for outcome in left.outcomes:
        if outcome.check in found:
            problems.append(f"suite {suite}: two outcomes for {outcome.check}")
        again = _again(outcome, listed, own, problems)
        if again:
            found[outcome.check] = again
    for name, check in listed.items():
        if name not in found:
            found[name] = _absent(check, check.expired or "the suite left no outcome for this check")
    if not found:
        problems.append(f"suite {suite}: not one test ran in it")
    return SuiteVerdict(
        suite, Status.NOT_EVALUATED, tuple(found.values()), tuple(problems), left.seconds, left.information
    )


def _foreign(left: SuiteOutcomes, suite: str, binding: Binding) -> list[str]:
    """Sentences for evidence that is about something else than what is judged."""
    if left.suite != suite:
        return [f"its folder holds outcomes of suite {left.suite}"]
    pairs = [
        ("contract", left.binding.contract, binding.contract),
        ("subject", left.binding.subject, binding.subject),
        ("image", left.binding.image, binding.image),
        ("attempt", left.binding.attempt, binding.attempt),
    ]
    return [
        f"its evidence is of another {name} ({was or 'none'}, expected {expected or 'none'}). Re-run all jobs."
        for name, was, expected in pairs
        if was != expected
    ]


def _again(left: Outcome, listed: Mapping[str, Check], own: Mapping[str, Check], problems: list[str]) -> Outcome | None:
    """Return the outcome by the contract's own limit. A suite that came to another answer is a problem."""
    check = listed.get(left.check)
    if check is None and not left.check.startswith(CUSTOM):
        problems.append(f"{left.check} is no check of the contract")
        return None
    limit = check.limit if check else left.limit
    if check and check.expired:
        return decide(Unmeasured(left.check, check.expired), limit)
    used = own[left.check].limit if left.check in own and left.limit != limit else left.limit
    said = decide(left.evidence, used)
    if said.status is not left.status:
        problems.append(f"{left.check}: the suite says {left.status.value}, its numbers say {said.status.value}")
    elif said != left:
        problems.append(f"{left.check}: the suite says {left.reason!r} of another limit or other numbers")
    return decide(left.evidence, limit)


def _absent(check: Check, reason: str) -> Outcome:
    return decide(Unmeasured(check.id, reason), check.limit)


def _finish(suite: SuiteVerdict, confirmed: Mapping[str, Outcome]) -> SuiteVerdict:
    outcomes = tuple(confirmed[o.check] for o in suite.outcomes)
    return SuiteVerdict.of(suite.suite, outcomes, suite.problems, suite.seconds, suite.information)


def risk_sentence(contract: JsonObject, sealed: JsonObject | None) -> str:
    """Return what a pass means, in the terms of the rule, with everything it depends on.

    contract, sealed  these parts of the record, and nothing else: verification derives the sentence again from them
    """
    promise = (
        f"A candidate that truly breaks a blocking limit passes with probability at most {contract['alpha']:g}, "
        f"for samples of {_sampling_unit(contract)}. The guarantee holds for "
    )
    if sealed is None:
        return (
            f"{promise}one evaluation on the development holdout, with limits that were fixed before. "
            "It does not cover repeated evaluations or a limit that was changed afterwards. It does not cover warnings."
        )
    return (
        f"{promise}all {sealed['holdout_uses']} uses of the sealed holdout of epoch {sealed['epoch']} together, of "
        f"which this is number {sealed['use']}, with limits that were fixed before. It holds for performance checks: "
        "the other suites used the open data. It does not cover warnings."
    )


def _sampling_unit(contract: JsonObject) -> str:
    """`Contract.sampling_unit`, from the contract's part of a record."""
    if "block_hours" in contract:
        return f"blocks of {contract['block_hours']:g} hours by {contract['group']}"
    return f"groups by {contract['group']}" if contract["group"] else "rows"


def decision_record(
    decision: Decision,
    contract_file: ContractFile,
    subject: Subject,
    binding: Binding,
    run: JsonObject,
    provenance: Mapping[str, str] | None = None,
    drill: JsonObject | None = None,
) -> JsonDict:
    """`record.json`: the decision and everything it was decided on. Only the promoting job signs it.

    A new field stands here, in both copies of the schema (not among `required`, since records of earlier releases lack
    it) and in `NEW` of tests/record/test_schema.py; where it follows from other fields, `verify` derives it again.

    run         where it happened: `commit`, `url`, `created`, which may be empty, and the `review` of a pull request
    provenance  who built the judging image, where that was verified (`weighin.record.provenance`)
    drill       what is known of the last drill of this gate (`weighin.record.drilled`)
    """
    contract = _contract_part(contract_file, binding, decision)
    sealed = None if subject.sealed is None else asdict(subject.sealed)
    return {
        "schema": SCHEMA,
        "model": contract_file.contract.model.name,
        "candidate": _version(subject, "candidate"),
        "champion": _version(subject, "champion"),
        "anchor": _version(subject, "anchor"),
        "sealed": sealed,
        "policy_inputs": policy_inputs(decision, subject, image_provenance=image_proven(provenance, binding.image)),
        "first_release": subject.champion is None,
        "ephemeral_registry": subject.ephemeral_registry,
        "contract": contract,
        "data": {name: dict(values) for name, values in subject.data.items()},
        "subject": binding.subject,
        "image": binding.image,
        "provenance": None if provenance is None else dict(provenance),
        "attempt": binding.attempt,
        "run": dict(run),
        "suites": [_suite_part(s, decision.waivers) for s in decision.suites],
        "verdict": verdict_part(decision),
        "risk": risk_sentence(contract, sealed),
        **({"releases": [asdict(one) for one in subject.releases]} if subject.releases else {}),
        **({"drill": dict(drill)} if drill is not None else {}),
    }


def _contract_part(contract_file: ContractFile, binding: Binding, decision: Decision) -> JsonDict:
    contract = contract_file.contract
    places = _lines(contract_file, {o.check for o in decision.outcomes if o.status is not Status.PASSED})
    blocks = {"block_hours": contract.group.hours} if isinstance(contract.group, TimeBlock) else {}
    return {
        "digest": binding.contract,
        "file": contract_file.path.name,
        "alpha": contract.alpha,
        "group": contract.group_column or "",
        "as_of": contract.as_of.isoformat() if contract.as_of else "",
        **blocks,
        **({"lines": places} if places else {}),
    }


def _lines(contract_file: ContractFile, red: Collection[str]) -> dict[str, int]:
    """Return check -> line of its limit in the contract, for those that did not pass."""
    contract = contract_file.contract
    listed = [*checks(contract), *(checks(contract, "sealed") if contract.gates.sealed else ())]
    wanted = [c for c in listed if c.id in red]
    return lines(contract_file.path, wanted) if wanted else {}


def _suite_part(suite: SuiteVerdict, waivers: Mapping[str, str]) -> JsonDict:
    return {
        "suite": suite.suite,
        "status": suite.status.value,
        "seconds": round(suite.seconds, 3),
        "problems": list(suite.problems),
        "outcomes": [encode_outcome(o, waivers.get(o.check, "")) for o in suite.outcomes],
        "information": plain(suite.information),
    }


def verdict_part(decision: Decision) -> JsonDict:
    """`verdict` of a record."""
    return {
        "status": decision.status.value,
        "exit_code": decision.exit_code,
        "problems": list(decision.problems),
        "messages": decision.messages,
    }


def policy_inputs(decision: Decision, subject: Subject, *, image_provenance: bool) -> JsonDict:
    """Return what a policy may ask for, beyond the verdict: each is true only where evidence says so."""
    first, sealed = subject.champion is None, subject.sealed is not None
    return derived_policy_inputs(decision, first_release=first, sealed=sealed, image_provenance=image_provenance)


def image_proven(provenance: JsonObject | None, image: str) -> bool:
    """Whether it was verified who built the image that judged: a provenance of another image says nothing."""
    return provenance is not None and image != "" and provenance["image"] == image


def verdict_file(record: JsonObject) -> JsonDict:
    """`verdict.json`: the verdict, and the digest of the record that it stands in."""
    return {"schema": VERDICT, "record": digest(canonical(record)), **record["verdict"]}


def derived_policy_inputs(
    decision: Decision, *, first_release: bool, sealed: bool, image_provenance: bool | None
) -> JsonDict:
    """Return the same, from a record's own parts. `image_provenance` is None for records that do not speak of it."""
    evaluated = [o for o in decision.outcomes if o.status is not Status.NOT_EVALUATED]
    found = {
        "explainability_done": any(o.check.startswith("explainability/") for o in evaluated),
        "fairness_checks": sum(o.check.startswith("performance/fairness/") for o in evaluated),
        "first_release": first_release,
        "sealed_holdout": sealed and any(o.check.startswith("sealed/") for o in evaluated),
        "suites": sorted(s.suite for s in decision.suites if s.status is Status.PASSED),
    }
    return found if image_provenance is None else found | {"image_provenance": image_provenance}


def _version(subject: Subject, role: str) -> dict[str, str] | None:
    model = subject.role(role)
    if model is None:
        return None
    found = {"name": model.name, "version": model.version, "run_id": model.run_id, "digest": model.digest}
    return {**found, "predictions": model.predictions} if model.predictions else found
