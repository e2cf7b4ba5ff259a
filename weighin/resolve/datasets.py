"""Resolve the datasets: what models are asked about, what suites read, and what drift compares.

What lies here in one Parquet file is read in place. Of anything else `data/<dataset>.parquet` is left in the work
folder: all rows that a model is scored on, at most `data.rows_at_most` of a reference or of current data. Where that is
but a sample, and the data quality gate looks at the dataset, `data/<dataset>-whole.parquet` holds all rows. Drift needs
none: it compares `profiles/<dataset>.json`, which are counted over all of them where they live.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from weighin.canonical import file_digest
from weighin.contract import Contract
from weighin.contract.checks import cut, drift_columns
from weighin.contract.reading import ContractFile
from weighin.contract.sources import Feast, Files, Query, Span, StoredProfile, in_place, span
from weighin.data.permute import permuted
from weighin.data.profile import Profile
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.data.table import read_columns
from weighin.data.typed import typed
from weighin.errors import NotEvaluated, WeighinError
from weighin.runner.problem import COLUMNS
from weighin.untrusted import JsonDict, JsonObject

Stored = Callable[[str], Profile]
"""The profile that is stored with the model in a role. Errors: `WeighinError` when there is none."""


def relation(file: ContractFile, dataset: str, moment: datetime) -> Relation:
    """Return a dataset where it lives, cut to its window as of a moment. Errors: `NotEvaluated`."""
    data = file.contract.data
    given = data.source(dataset)
    if isinstance(given, Feast):
        raise NotEvaluated(
            "a feature store is read when a validation begins", f"data.{dataset}", "Run `weighin validate`."
        )
    assert isinstance(given, Files | Query)
    types = {name: column.type for name, column in data.columns.items()}
    return Relation.of(given, file.folder, data.engine, types, _span(file, dataset, moment), data.time_column)


def _span(file: ContractFile, dataset: str, moment: datetime) -> Span | None:
    window = getattr(file.contract.data.source(dataset), "window", None)
    return None if window is None else span(window, moment)


def resolve_rows(file: ContractFile, work: Path, sealed: bool, moment: datetime) -> dict[str, JsonDict]:
    """Write the features of every dataset that has rows; say what they are and where they came from."""
    contract = file.contract
    _name_columns(contract, work)
    found: dict[str, dict[str, Any]] = {}
    for dataset in (*contract.data.named, *(["sealed_holdout"] if sealed else [])):
        found[dataset] = known = {"sha256": "", "rows": 0, "total": 0, "problem": "", "features": "", "place": ""}
        window = _span(file, dataset, moment)
        known["window"] = [] if window is None else [window.first.isoformat(), window.before.isoformat()]
        try:
            path, whole, total = _placed(file, dataset, work, moment)
            known["place"] = _place(path, work)
            table = read_columns(path, contract.features)
            table = typed(table, contract.data.columns, f"data.{dataset}")
            known["missing"] = {name: n for name in table.column_names if (n := table[name].null_count)}
            known |= {"sha256": file_digest(path), "rows": table.num_rows, "total": total}
            if whole is not None:
                known |= {"whole": _place(whole, work), "whole_sha256": file_digest(whole)}
        except WeighinError as error:
            known["problem"] = str(error)
            continue
        known["features"] = _written(table, work / "features" / f"{dataset}.parquet")
        explain = contract.gates.explainability
        if explain and dataset == "holdout":
            copies = permuted(table, explain.rows, explain.repeats)
            features = _written(copies, work / "features/permuted.parquet")
            found["permuted"] = {**known, "rows": copies.num_rows, "features": features}
    return found


def some_rows(file: ContractFile, work: Path, most: int, moment: datetime) -> int:
    """Write the features of a few rows of the holdout; return how many there are.

    Errors: `NotEvaluated` where it cannot be read, or has no rows.
    """
    contract = file.contract
    _name_columns(contract, work)
    path = work / "data/holdout.parquet"
    table = relation(file, "holdout", moment)
    # A sample has about as many rows as were asked for.
    table.save([c for c in contract.data.columns if c in table.kinds], 100 * most, path)
    rows = typed(read_columns(path, contract.features), contract.data.columns, "data.holdout").slice(0, most)
    if not rows.num_rows:
        raise NotEvaluated("the holdout has no rows", "data.holdout", "Give it some.")
    _written(rows, work / "features/holdout.parquet")
    return int(rows.num_rows)


def _name_columns(contract: Contract, work: Path) -> None:
    """Leave what messages of the models' processes may name: all of it stands in the contract."""
    (work / COLUMNS).parent.mkdir(parents=True, exist_ok=True)
    meant = contract.model.answers
    labels = [str(label) for label in (*meant.classes, *([] if meant.positive is None else [meant.positive]))]
    named = [*contract.features, *labels, *(c for c in meant.columns if isinstance(c, str))]
    (work / COLUMNS).write_text(json.dumps(named))


def _placed(file: ContractFile, dataset: str, work: Path, moment: datetime) -> tuple[Path, Path | None, int]:
    """Return the Parquet file that suites read, the one with all rows where that is another, and how many rows those
    are.

    Errors: `WeighinError`.
    """
    data = file.contract.data
    given = data.source(dataset)
    assert given is not None
    scored = dataset in ("holdout", "sealed_holdout")
    path, whole = work / "data" / f"{dataset}.parquet", None
    judged = dataset in _judged(file.contract)
    if in_place(given, data.engine) and not file.data_path(dataset).is_dir():  # Spark's folders are called like files
        here = file.data_path(dataset)
        rows = _footer_rows(here)
        if scored or rows <= data.rows_at_most:
            return here, None, rows
        whole = here if judged else None
    table = relation(file, dataset, moment)
    names, rows = [c for c in data.columns if c in table.kinds], table.rows
    most = rows if scored else data.rows_at_most
    if judged and whole is None and rows > most:
        whole = work / "data" / f"{dataset}-whole.parquet"
        table.save(names, rows, whole)
        # Read once: the sample comes from the copy.
        table = Relation.of(Files.model_validate({"path": str(whole)}), work)
    table.save(names, most, path)
    return path, whole, rows


def _judged(contract: Contract) -> set[str]:
    """Return the datasets of which the data quality gate looks at every row, its own and those that its rules refer
    to.
    """
    gate = contract.gates.data_quality
    if gate is None:
        return set()
    return {*(gate.datasets or contract.data.named), *(r.table for r in gate.references)}


def _place(path: Path, work: Path) -> str:
    """Where a file lies in the work folder; nothing for one that is read where it was."""
    return f"data/{path.name}" if path.parent.resolve() == (work / "data").resolve() else ""


def _footer_rows(path: Path) -> int:
    """Rows of a Parquet file, from its footer; 0 where it has none to read, which reading it then reports."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return 0


def resolve_profiles(file: ContractFile, work: Path, moment: datetime, stored: Stored) -> dict[str, dict[str, str]]:
    """Count reference and current data in the reference's cells. What cannot be counted is said, not raised."""
    contract = file.contract
    gate = contract.gates.drift
    if gate is None:
        return {}
    columns = {c: cut(gate, c)[1] for c in drift_columns(contract) if c in contract.data.columns}
    found: dict[str, dict[str, str]] = {}
    like: Profile | None = None
    for dataset in ("reference", "current"):
        try:
            given = contract.data.source(dataset)
            if isinstance(given, StoredProfile):
                counted = stored(given.profile)
            else:
                counted = profile(relation(file, dataset, moment), columns, contract.group, like)
        except WeighinError as error:
            found[dataset] = {"profile": "", "uncounted": str(error)}
            if dataset == "reference":
                found["current"] = {"profile": "", "uncounted": "the reference could not be counted"}
                break
            continue
        counted.write(work / "profiles" / f"{dataset}.json")
        found[dataset] = {"profile": counted.digest, "uncounted": ""}
        like = counted
    return found


def merged(rows: Mapping[str, JsonObject], profiles: Mapping[str, Mapping[str, str]]) -> dict[str, JsonObject]:
    """Return what the subject says of each dataset."""
    return {name: {**rows.get(name, {}), **profiles.get(name, {})} for name in (*rows, *profiles)}


def _written(table: pa.Table, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return file_digest(path)
