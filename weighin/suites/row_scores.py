"""Scores of each answer that is a text, computed once for each model, by the names that checks have for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from weighin.contract.gates import Performance
from weighin.contract.parts import OWN_SCORE
from weighin.contract.scores import Score
from weighin.errors import NotEvaluated
from weighin.scores import demands
from weighin.scores.catalogue import score
from weighin.stats.intervals import Floats
from weighin.stats.scored import HUMAN, RowScores
from weighin.suites.installed_scores import Inputs, installed_scores
from weighin.untrusted.redact import reduced

Given = Callable[[Score], tuple[Floats, Floats]]
"""Scores of the answers that were measured elsewhere, and what people say of some. Errors: `NotEvaluated`."""


def row_scores(
    answers: Sequence[str], references: Sequence[str] | None, gate: Performance | None, given: Given, inputs: Inputs
) -> RowScores:
    """Return a function that gives the scores by their names; each is computed when it is first asked for.

    references  one for each answer; None where the contract has none
    inputs      gives the features of the rows
    The function's errors: `NotEvaluated`.
    """
    kept: dict[str, Floats] = {}

    def named(name: str) -> Floats:
        if name not in kept and name.endswith(HUMAN):
            named(name.removesuffix(HUMAN))
        if name not in kept:
            own = gate.scores.get(name.removeprefix(OWN_SCORE)) if gate and name.startswith(OWN_SCORE) else None
            try:
                if own is not None and own.given is not None:
                    kept[name], kept[name + HUMAN] = given(own)
                elif own is not None and (own.entry_point or own.mlflow):
                    kept[name] = installed_scores(own, answers, references, inputs)
                elif own is not None:
                    kept[name] = _own(own, answers, references)
                else:
                    kept.update(score(name, answers, references))
            except ModuleNotFoundError as error:
                said = f"`{name}` needs the package {str(error.name)[:60]}"
                raise NotEvaluated(said, "", "Install weighin[text].") from error
            except ValueError as error:
                # What a library raises may hold the text.
                why = str(error) if isinstance(error, demands.Unscored) else reduced(error)
                raise NotEvaluated(why, f"score {name}", "Correct the references, or the score.") from error
        return kept[name]

    return named


def _own(own: Score, answers: Sequence[str], references: Sequence[str] | None) -> Floats:
    """Return a score that the contract describes. Errors: `ValueError`."""
    if own.pattern is not None:
        return demands.matches(answers, own.pattern)
    if own.json_schema is not None:
        return demands.json_schema(answers, own.json_schema)
    if own.retrieval is not None:
        assert own.at is not None
        assert references is not None
        return demands.retrieval(answers, references, own.retrieval, own.at)
    return demands.contains(answers, own.contains_all or own.contains_any, every=bool(own.contains_all))
