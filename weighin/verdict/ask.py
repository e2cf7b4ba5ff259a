"""Ask language models: for the answers of a candidate, and for the points of a judge. What is known is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from weighin.canonical import canonical, digest
from weighin.chat import judge
from weighin.chat.endpoint import Endpoint, Reply
from weighin.contract.reading import ContractFile
from weighin.errors import ContractError, NotEvaluated
from weighin.model.answers import COLUMN
from weighin.model.behind_endpoint import VARIABLES, each
from weighin.resolve.datasets import relation
from weighin.resolve.predictions import told_of
from weighin.suites.evidence import Evidence
from weighin.suites.given_scores import ANSWER, JUDGE
from weighin.untrusted import JsonDict

JUDGING = "WEIGHIN_JUDGE"
REQUEST = "request"
"""Column with the digest of the request that was answered."""
REPEAT = "repeat"
"""Column that counts the answers to one request, from 0."""


NOISE = tuple(field.name for field in fields(judge.Noise))
"""Columns beside a judge's points: how far those of one answer differ."""


@dataclass(frozen=True)
class Asked:
    """What was done: rows of the file, how many of them were asked now, and how many got no usable reply.

    noise  how far a judge's points of one answer differ, in sentences over all answers
    """

    path: Path
    rows: int
    asked: int
    malformed: int = 0
    noise: tuple[str, ...] = ()


def ask_candidate(file: ContractFile, dataset: str = "holdout") -> Asked:
    """Ask the endpoint that the contract names for every row of a dataset, and write the file of predictions.

    Only features and keys are read. A row is asked as often as `model.repeats` says. Rows whose request was answered
    before keep those answers.
    Errors: `ContractError`, `NotEvaluated`; nothing is written then.
    """
    contract, given = file.contract, file.contract.model.candidate
    if given is None or given.endpoint is None or given.predictions is None:
        said = "no endpoint and no file for its answers are named"
        raise ContractError(said, str(file.path), "Write `model.candidate: {predictions: ..., endpoint: ...}`.")
    endpoint, path = Endpoint.of(VARIABLES), _one_file(file, given.predictions)
    keys = _keys(file)
    rows = _rows(file, dataset, [*keys, *contract.features])
    told = told_of(given.endpoint, contract.features)
    bodies = [told.body(row) for row in rows.select(list(contract.features)).to_pylist()]
    once, often = [digest(canonical(body)) for body in bodies], contract.model.repeats
    # A request and which of its answers: rows with the same request have the same answers.
    requests = [(request, repeat) for request in once for repeat in range(often)]
    before = _before(path, [REQUEST, REPEAT, COLUMN, "latency_ms", "tokens"])
    earlier = zip(before.get(REQUEST, ()), before.get(REPEAT, ()), strict=True)
    known = dict(zip(earlier, before.to_dict("records"), strict=True))
    todo = [i for i, r in enumerate(requests) if r not in known]
    with endpoint.connected() as ask:
        replies = list(each(ask, [bodies[i // often] for i in todo]))
    for i, reply in zip(todo, replies, strict=True):
        known[requests[i]] = {COLUMN: reply.text, "latency_ms": reply.latency_ms, "tokens": reply.tokens}
    table = rows.select(keys).to_pandas()
    table = table.loc[table.index.repeat(often)]
    for name in (COLUMN, "latency_ms", "tokens"):
        table[name] = [known[request][name] for request in requests]
    table[REQUEST], table[REPEAT] = zip(*requests, strict=True)
    _write(table.assign(**{ANSWER: table[COLUMN]}), path)
    return Asked(path, len(table), len(todo))


def ask_judge(file: ContractFile, name: str, work: Path) -> Asked:
    """Ask a judge for the points of every answer to the holdout that the models left, and write the file of scores.

    An answer that has points of the same judge keeps them, as it keeps what people said of it. A reply that is no
    points is left out, so that the score is `not_evaluated`. Beside the points stands how far those of one answer
    differ, in the columns `NOISE`.
    Errors: `ContractError`, `NotEvaluated`.
    """
    gate = file.contract.gates.performance
    own = gate.scores.get(name) if gate else None
    if own is None or own.given is None or own.judge is None or own.column is None:
        raise ContractError(
            f"`{name}` is no score with a judge", str(file.path), "Write `given`, `column` and `judge`."
        )
    endpoint, path = Endpoint.of(JUDGING), _one_file(file, own.given)
    evidence = Evidence(file, work)
    keys, features, target = _keys(file), file.contract.features, file.contract.model.target
    often = file.contract.model.repeats
    rows = evidence.columns("holdout", *keys, *features, *([target] if target else []))
    keyed = rows.select(keys).to_pandas().assign(row=range(rows.num_rows))
    every = [
        keyed.loc[keyed.index.repeat(often)].assign(**{ANSWER: evidence.predictions(r, "holdout")})
        for r in evidence.subject.roles
    ]
    wanted = pd.concat(every).drop_duplicates([*keys, ANSWER], ignore_index=True)
    spec = judge.spec_digest(own)
    before = _before(path, [*keys, ANSWER, own.column, JUDGE])
    table = wanted.merge(before, how="left", on=[*keys, ANSWER], validate="one_to_one") if len(before) else wanted
    valid = table[own.column].notna() & (table[JUDGE] == spec) if len(before) else pd.Series(False, index=table.index)
    todo = [int(i) for i in np.flatnonzero(~valid.to_numpy(bool))]
    texts = rows.select([*features, *([target] if target else [])]).to_pylist()

    def points(ask: Callable[[JsonDict], Reply], i: int) -> tuple[float | None, ...]:
        row, of = texts[table["row"][i]], own.judge
        assert of is not None
        shown = {f: "" if row[f] is None else str(row[f]) for f in features}
        orders = []
        for swapped in (False, True) if of.swap else (False,):
            body = judge.request(own, shown, row.get(target), str(table[ANSWER][i]), swapped=swapped)
            orders.append([judge.points(ask(body).text, own) for _ in range(of.asks)])
        given = [[p for p in replies if p is not None] for replies in orders]
        if any(None in replies for replies in orders):
            return (None,) * (1 + len(NOISE))
        return float(np.mean(given)), *astuple(judge.Noise.of(given))

    with endpoint.connected() as ask:
        found = dict(zip(todo, each(lambda i: points(ask, i), todo), strict=True))
    for number, column in enumerate((own.column, *NOISE)):
        kept = table[column] if column in table else [np.nan] * len(table)
        table[column] = np.array([found[i][number] if i in found else kept[i] for i in range(len(table))], np.float64)
    table[JUDGE] = spec
    if own.human and own.human not in table:
        table[own.human] = np.nan
    _write(table.drop(columns="row"), path)
    malformed = sum(values[0] is None for values in found.values())
    return Asked(path, len(table), len(todo), malformed, tuple(_noise(table)))


def _noise(table: pd.DataFrame) -> Iterator[str]:
    """Say how far the points of one answer differ, over all answers that were asked about more than once."""
    again, order = table["repeat_difference"].dropna(), table["order_difference"].dropna()
    if len(again):
        deviation = float(np.sqrt(np.square(table["repeat_sd"].dropna()).mean()))
        said = f"points differ by {again.mean():.3g} on average, standard deviation {deviation:.3g}"
        yield f"asked the same again, {said}"
    if len(order):
        deviation = float(order.std())
        yield (
            f"with the answer before the reference, points differ by {order.abs().mean():.3g} on average, "
            f"standard deviation {deviation:.3g}; they are {order.mean():+.3g} higher"
        )


def _one_file(file: ContractFile, named: str) -> Path:
    if not named.endswith(".parquet") or any(c in named for c in "*?[") or "://" in named:
        raise ContractError(f"`{named}` is not one Parquet file", str(file.path), "Name a file that can be written.")
    path = file.folder / named
    # A contract may be a stranger's: what it names is written to nowhere else, and through no link.
    if not path.resolve().is_relative_to(file.folder.resolve()):
        raise ContractError(f"`{named}` lies outside of the contract's folder", str(file.path), "Name a file in it.")
    return path


def _keys(file: ContractFile) -> list[str]:
    return [name for name, column in file.contract.data.columns.items() if column.role == "key"]


def _rows(file: ContractFile, dataset: str, columns: list[str]) -> pa.Table:
    """Return columns of a dataset. Errors: `NotEvaluated`."""
    table = relation(file, dataset, file.contract.as_of or datetime.now(UTC))
    absent = [name for name in columns if name not in table.kinds]
    if absent:
        raise NotEvaluated(f"no column {', '.join(absent)}", f"data.{dataset}", "Correct data.columns.")
    return table.run(table.expression.select(*columns))


def _before(path: Path, columns: list[str]) -> pd.DataFrame:
    """Return what an earlier run left, or an empty table where it left none of this form."""
    if not path.is_file():
        return pd.DataFrame()
    try:
        found = pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise NotEvaluated("the file cannot be read", str(path), "Remove it.") from error
    return found if set(columns) <= set(found.columns) else pd.DataFrame()


def _write(table: pd.DataFrame, path: Path) -> None:
    """Write a file in one piece: who is stopped keeps the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    table.to_parquet(part, index=False)
    part.replace(path)
