"""Load a model and ask it five rows: what a team tries first, and what explains most of what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from weighin.contract.models import MEASURED
from weighin.contract.reading import ContractFile
from weighin.errors import ContractError, NotEvaluated
from weighin.model.answers import must_be_probabilities, read_predictions
from weighin.model.examined import Examined
from weighin.model.survey import Survey
from weighin.model.texts import read_texts
from weighin.resolve.models import resolve_one
from weighin.runner import local
from weighin.runner.warm import warm

ROWS = 5


def check_model(file: ContractFile, work: Path, candidate: str | None = None) -> Iterator[str]:
    """Yield what was found, line by line: what the model is, what it answered, and that it is what the contract says.

    Nothing is compared with a limit. No model is asked about more than five rows of the holdout.
    Errors: `WeighinError` with a diagnosis and a remedy.
    """
    # It imports what models need while this process resolves, and once for both times that the model is asked.
    with warm(("models",), {**local.PATIENT, **local.variables()}) as forks:
        subject, rows = resolve_one(file, work, candidate, ROWS, datetime.now(UTC))
        known = subject.models["candidate"]
        yield f"model     {subject.candidate}: {_described(known)}"
        if known.refused:
            raise NotEvaluated(known.refused, "", "See docs/how-to/log-a-model.md.")
        yield f"rows      {rows} of the holdout, {PLACES[known.environment]}"
        meant = file.contract.model.prediction.kind
        local.predict(work, forks, survey=True)
        seen = Survey.read(_answered(work))
        yield f"answers   {seen.said.removesuffix(': labels') if meant == 'text' else seen.said}"
        if meant in ("probability", "probabilities") and all(c.text or c.whole for c in seen.columns):
            raise ContractError(
                f"the model answers labels (text, or whole numbers), and the contract says {meant}",
                "model.prediction",
                "Log it with pyfunc_predict_fn='predict_proba', or write `prediction: {kind: label}`.",
            )
        local.predict(work, forks)
    path = _answered(work) / "holdout.arrow"
    answers = file.contract.model.answers
    if meant == "text":
        read_texts(path, rows * answers.repeats, "")
    else:
        values = read_predictions(path, rows, answers.width, "")
        if "probability" in MEASURED[meant]:
            must_be_probabilities(values, "answers")
    yield f"ok        they are read as {meant}, column {', '.join(str(c) for c in answers.columns)}"


PLACES = {"judge": "with the packages that are installed here", "own": "in an environment of what it declares"}


def _described(known: Examined) -> str:
    flavours = ", ".join(f"{n} {v}".strip() for n, v in known.flavours.items()) or "python_function"
    return f"{flavours}; signature: {known.signature or 'none'}; {known.bytes / 2**20:.1f} MB"


def _answered(work: Path) -> Path:
    """Return the folder of the answers. Errors: `NotEvaluated` where the model did not answer."""
    out = work / "predictions/candidate"
    problem = out.with_suffix(".problem")
    if problem.is_file():
        raise NotEvaluated(problem.read_text(encoding="utf-8", errors="replace"), "", "See docs/how-to/log-a-model.md.")
    return out
