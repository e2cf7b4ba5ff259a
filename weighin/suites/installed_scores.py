"""Scores by code that is installed beside the engine: entry points of packages, and scorers of MLflow that ask nobody.

Both run in the process that decides. Who builds the image, or the environment, decides what is installed there: a pull
request adds nothing to it, and names no module (docs/decisions/2026-12-01-installed-scores.md).
"""

from __future__ import annotations

import contextlib
import inspect
import io
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any

import numpy as np

from weighin.contract.scores import Score
from weighin.errors import NotEvaluated
from weighin.stats.intervals import Floats
from weighin.untrusted.redact import cause

GROUP = "weighin.scores"
"""Of entry points: each is a function `(answers, references) -> numbers`, or a code-based scorer of `mlflow.genai`."""
Inputs = Callable[[], Sequence[Mapping[str, object]]]
"""Features of the rows, one mapping for each."""


def installed_scores(own: Score, answers: Sequence[str], references: Sequence[str] | None, inputs: Inputs) -> Floats:
    """Return (n,) scores of answers.

    references  one for each answer; None where the contract has none
    Errors: `NotEvaluated` where nothing of that name is installed, where it raises, and where a score is no finite
    number or lies outside of its range. What it prints is dropped.
    """
    place = f"entry point {own.entry_point}" if own.entry_point else f"mlflow.genai.scorers.{own.mlflow}"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            found = _entry_point(own.entry_point) if own.entry_point else _of_mlflow(own)
            if hasattr(found, "aggregations"):
                values = [_number(_asked(found, row)) for row in _rows(answers, references, inputs)]
            else:
                values = found(list(answers), None if references is None else list(references))
            scores = np.asarray(values, dtype=np.float64)
        except NotEvaluated:
            raise
        except Exception as error:
            raise NotEvaluated(f"it raised {cause(error)}", place, "Ask it by hand.") from error
    low = -math.inf if own.least is None else own.least
    high = math.inf if own.largest is None else own.largest
    if scores.shape != (len(answers),) or not np.isfinite(scores).all():
        raise NotEvaluated("it did not answer with one finite number for each row", place, "Correct it.")
    outside = int(((scores < low) | (scores > high)).sum())
    if outside:
        raise NotEvaluated(f"{outside:,} scores lie outside of their range", place, "Correct `least` and `largest`.")
    return scores


def _entry_point(name: str) -> Any:
    """Return what one installed package offers under a name. Errors: `NotEvaluated`."""
    found = list(entry_points(group=GROUP, name=name))
    if len(found) != 1:
        said = "no installed package has" if not found else f"{len(found)} installed packages have"
        raise NotEvaluated(f"{said} this entry point of {GROUP}", name, "Install one, in the image too.")
    return found[0].load()


def _of_mlflow(own: Score) -> Any:
    import mlflow.genai.scorers

    return getattr(mlflow.genai.scorers, str(own.mlflow))(**own.arguments)


def _rows(answers: Sequence[str], references: Sequence[str] | None, inputs: Inputs) -> Sequence[dict[str, object]]:
    """Return what a scorer is called with, for each row; the names are MLflow's."""
    expected: Sequence[dict[str, object]] = [{"expected_response": r} for r in references or ()] or [{}] * len(answers)
    return [
        {"inputs": dict(i), "outputs": a, "expectations": e}
        for i, a, e in zip(inputs(), answers, expected, strict=True)
    ]


def _asked(scorer: Callable[..., Any], row: dict[str, object]) -> Any:
    takes = inspect.signature(scorer.__call__).parameters  # type: ignore[operator]
    return scorer(**{name: value for name, value in row.items() if name in takes})


def _number(feedback: Any) -> float:
    """Return a scorer's answer as a number: MLflow's own say "yes" and "no". Errors: `TypeError` for anything else."""
    value = getattr(feedback, "value", feedback)
    value = {"yes": True, "no": False}.get(getattr(value, "value", value), value) if not _plain(value) else value
    if not _plain(value):
        raise TypeError("a scorer answered with no number")
    return float(value)


def _plain(value: object) -> bool:
    return isinstance(value, bool | int | float | np.number | np.bool_)
