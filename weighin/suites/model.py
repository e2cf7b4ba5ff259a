"""The model by its files: nothing here was measured by asking it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from weighin.contract import Check, Contract, checks
from weighin.contract.checks import ModelRule
from weighin.model.examined import Examined
from weighin.model.subject import Subject, TrainedOn
from weighin.outcome import Measurement, Outcome, Unmeasured, census, decide
from weighin.suites.sample import named
from weighin.untrusted import JsonDict


def model_outcomes(contract: Contract, subject: Subject) -> tuple[Outcome, ...]:
    """Decide what the candidate's files say, which was found out at resolve and needs no process."""
    known, trained_on = subject.models, subject.trained_on
    return tuple(decide(measure_model(c, known, trained_on), c.limit) for c in checks(contract, "model"))


ENVIRONMENTS = {"own": "its own", "judge": "the image", "given": "none: predictions, not the model, were judged"}


def model_information(subject: Subject) -> tuple[JsonDict, ...]:
    """Return a table of what each model is, by its files."""
    shown = {role: known for role, known in subject.models.items() if not known.problem}
    if not shown:
        return ()
    facts: dict[str, Callable[[Examined], object]] = {
        "flavours": _flavours,
        "MLflow, Python": lambda m: f"{m.mlflow or 'not noted'}, {m.python or 'not noted'}",
        "signature": lambda m: m.signature,
        "parameters": lambda m: ", ".join(m.params) or "none",
        "input example": lambda m: "yes" if m.example else "no",
        "declared packages": lambda m: m.requirements,
        "size, MB": lambda m: round(m.bytes / 2**20, 1),
        "asked in an environment of": lambda m: ENVIRONMENTS[m.environment],
        "fitted with": lambda m: ", ".join(f"{n} {v}" for n, v in m.fitted.items()) or "not declared",
    }
    rows = [[name, *(str(of(known)) for known in shown.values())] for name, of in facts.items()]
    note = "By the MLmodel file and the declared packages; no model was loaded for it."
    return ({"title": "The models", "columns": ["", *shown], "rows": rows, "note": note},)


def measure_model(
    check: Check, models: Mapping[str, Examined], trained_on: TrainedOn | None = None
) -> Measurement | Unmeasured:
    """Measure one check on what was found out about the candidate at resolve.

    models      role -> what was found
    trained_on  the training datasets that its run has logged, where they were looked up
    """
    rule, candidate = check.rule, models.get("candidate")
    if not isinstance(rule, ModelRule):
        raise TypeError(f"{check.id} is no check of a model's files")
    if candidate is None:
        return Unmeasured(check.id, "the candidate was not looked at. Validate again.")
    if candidate.problem:
        return Unmeasured(check.id, candidate.problem)
    match rule.kind:
        case "signature":
            fits = f"signature: {candidate.signature}, flavours {_flavours(candidate)}"
            return _counted(check, candidate.faults, candidate.inputs, "inputs that do not fit", fits)
        case "unsigned":
            return _counted(check, candidate.unsigned, 1, "promises without a signature", "it has a signature")
        case "unused":
            return _counted(check, candidate.unused, 1, "sentences", "the signature names every feature")
        case "callers":
            return _counted(check, candidate.callers, 1, "sentences", "requests to the champion fit the candidate")
        case "fitted_versions":
            said, count = _versions(candidate)
            return _counted(check, said, count, "libraries of another version", "the versions that it was fitted with")
        case "training_rows" | "training_overlap":
            return _training(check, rule, trained_on)


def _training(check: Check, rule: ModelRule, known: TrainedOn | None) -> Measurement | Unmeasured:
    if known is None:
        return Unmeasured(check.id, "the candidate's training datasets were not looked up. Validate again.")
    method = "; ".join(known.compared)
    if known.problem:
        return Unmeasured(check.id, known.problem)
    if rule.kind == "training_overlap":
        if known.untimed:
            return Unmeasured(check.id, known.untimed)
        said = f"{known.late:,} training rows are not before the first moment of the holdout"
        share = known.late / known.timed if known.timed else math.nan
        return census(check.id, share, n=known.timed, unit="share", method=method, found=said)
    said = f"{known.known:,} rows of the holdout stand in the training data"
    share = known.known / known.rows if known.rows else math.nan
    found = census(check.id, share, n=known.rows, unit="share", method=method, found=said)
    return replace(found, fault=named(known.identical)) if known.identical else found


def _counted(check: Check, found: Sequence[str], n: int, unit: str, kept: str) -> Measurement:
    words = named(found) if found else ""
    return census(check.id, len(found), n=max(n, 1), unit=unit, sampling_unit="inputs", method=kept, found=words)


def _versions(model: Examined) -> tuple[list[str], int]:
    """Return libraries of another version than the model was fitted with, and how many libraries were compared."""
    said = []
    for library, fitted in model.fitted.items():
        installed = model.installed.get(library, "")
        if installed != fitted:
            said.append(f"{library}: fitted with {fitted}, asked with {installed or 'none'}")
    return said, len(model.fitted)


def _flavours(model: Examined) -> str:
    return ", ".join(f"{name} {known}".strip() for name, known in model.flavours.items()) or "python_function"
