"""Scores of answers that were measured elsewhere, found by the row's key and by the answer that was scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from weighin.chat.judge import spec_digest
from weighin.contract.models import Contract
from weighin.contract.scores import Score
from weighin.contract.sources import Files
from weighin.data.relation import Relation
from weighin.data.typed import typed
from weighin.errors import NotEvaluated
from weighin.stats.intervals import Floats

JUDGE = "judge"
"""Column with the digest of the judge that gave the points (weighin/chat/judge.py), where the contract names one."""
ANSWER = "answer"
"""Column with the answer that was scored: a score of another answer to the same row is none of this one."""


def given_scores(
    own: Score, contract: Contract, folder: Path, asked: pa.Table, answers: Sequence[str]
) -> tuple[Floats, Floats]:
    """Return (n,) scores of answers, and (n,) what people say of them, NaN where nobody was asked.

    folder  of the contract
    asked   the key columns of the rows, in the order of the answers
    Errors: `NotEvaluated` where a row has no score, two, or one that is no number or lies outside of its range.
    """
    assert own.given is not None
    assert own.column is not None
    keys, columns, place = asked.column_names, contract.data.columns, own.given
    wanted = [*keys, ANSWER, own.column, *([own.human] if own.human else []), *([JUDGE] if own.judge else [])]
    types = {key: columns[key].type for key in keys}
    table = Relation.of(Files.model_validate({"path": own.given}), folder, "duckdb", types)
    absent = [name for name in wanted if name not in table.kinds]
    if absent:
        raise NotEvaluated(f"no column {', '.join(absent)}", place, "Write it beside the scores.")
    found = table.run(table.expression.select(*wanted))
    if own.judge is not None and set(found[JUDGE].to_pylist()) - {spec_digest(own)}:
        raise NotEvaluated("another judge, rubric or scale gave the points", place, "Run `weighin ask judge` again.")
    known = typed(found.select(keys), columns, place).to_pandas()
    known[ANSWER] = found[ANSWER].cast(pa.string()).to_pandas()
    known["score"] = _numbers(found[own.column], f"{place}, column {own.column}")
    known["human"] = np.nan if own.human is None else _numbers(found[own.human], f"{place}, column {own.human}")
    by = [*keys, ANSWER]
    if known.duplicated(by).any():
        raise NotEvaluated(f"{int(known.duplicated(by).sum()):,} answers are scored twice", place, "Score each once.")
    rows = typed(asked, columns, "the rows").to_pandas().assign(**{ANSWER: list(answers)})
    both = rows.merge(known, how="left", on=by, validate="many_to_one", sort=False)
    scores, human = both["score"].to_numpy(np.float64), both["human"].to_numpy(np.float64)
    unknown = int(np.isnan(scores).sum())
    if unknown:
        said = f"{unknown:,} of {len(scores):,} answers have no score"
        raise NotEvaluated(said, place, "Score the answers that are judged, each of them.")
    for values in (scores, human):
        _within(values, own, place)
    return scores, human


def _numbers(column: pa.ChunkedArray, place: str) -> Floats:
    """Return a column as numbers, missing ones as NaN. Errors: `NotEvaluated`."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise NotEvaluated("scores that are no numbers", place, "Write numbers; leave out what a judge did not say.")
    return np.asarray(pd.to_numeric(column.to_pandas(), errors="raise"), dtype=np.float64)


def _within(values: Floats, own: Score, place: str) -> None:
    """Refuse values that are infinite or outside of what the contract says. Errors: `NotEvaluated`."""
    low = -np.inf if own.least is None else own.least
    high = np.inf if own.largest is None else own.largest
    outside = int((np.isinf(values) | (values < low) | (values > high)).sum())
    if outside:
        raise NotEvaluated(f"{outside:,} scores lie outside of their range", place, "A judge used another scale.")
