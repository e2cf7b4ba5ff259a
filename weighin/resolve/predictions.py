"""Predictions that a contract names in place of a model, brought into the order of each dataset's rows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from weighin.canonical import write_json
from weighin.contract.models import Contract
from weighin.contract.predictions import Endpoint, Predictions
from weighin.contract.reading import ContractFile
from weighin.contract.sources import Files
from weighin.data.relation import Relation
from weighin.data.table import read_columns
from weighin.data.typed import typed
from weighin.errors import ContractError, NotEvaluated, WeighinError
from weighin.model.answers import COLUMN, answers_in, write_predictions
from weighin.model.behind_endpoint import Told
from weighin.model.given import MARK
from weighin.model.subject import ModelVersion, Subject
from weighin.model.texts import texts_in, write_texts
from weighin.registry.location import registry_uri, tracking_uri
from weighin.runner.artifact import manifest_digest
from weighin.untrusted import JsonObject
from weighin.untrusted.redact import cause

SCHEMA = "weighin/given-predictions/v1"
REPEAT = "weighin repeat"
"""Which of the answers to one key a row is, counted from 0: not a column of anybody's."""


def with_predictions(
    file: ContractFile, subject: Subject, work: Path, rows: Mapping[str, JsonObject]
) -> tuple[Subject, dict[str, str]]:
    """Put the predictions that a contract gives where the models are: `models/<role>/`, a file for each dataset.

    rows  what is known of each dataset that was resolved
    Returns the subject with their digests, and for each role with predictions why there are none, or nothing.
    """
    problems = {}
    for role in ("candidate", "champion"):
        given: Predictions | None = getattr(file.contract.model, role)
        version = subject.role(role)
        if given is None or version is None:
            continue
        folder = work / "models" / role
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if given.predictions is None:
            problems[role] = _told(file.contract, given, folder)
        else:
            write_json(folder / MARK, {"schema": SCHEMA, "role": role})
            problems[role] = _placed(file, given, version, folder, work, rows)
        digest = manifest_digest(folder)
        known = replace(version, digest=version.digest or digest, predictions=digest)
        subject = replace(subject, candidate=known) if role == "candidate" else replace(subject, champion=known)
    return subject, problems


def _told(contract: Contract, given: Predictions, folder: Path) -> str:
    """Write what the language model of one role is told; return why it cannot be asked, or nothing."""
    assert given.endpoint is not None
    try:
        told_of(given.endpoint, contract.features).write(folder)
    except WeighinError as error:
        return str(error)
    return ""


def told_of(endpoint: Endpoint, features: Sequence[str]) -> Told:
    """Return what a language model is told for each row, a prompt of a registry fetched. Errors: `ContractError`."""
    template = _registered(endpoint.prompt) if endpoint.prompt.startswith("prompts:/") else endpoint.prompt
    told = Told(endpoint.model, template, endpoint.system, endpoint.temperature, endpoint.tokens_at_most)
    return told.named(features)


def _registered(address: str) -> str:
    """Return a prompt of MLflow's registry as a template with `{name}`. Errors: `ContractError`."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        found = MlflowClient(tracking_uri(), registry_uri()).load_prompt(address)
    except MlflowException as error:
        raise ContractError(
            f"no such prompt ({cause(error)})", address, "Register it, or correct the version."
        ) from None
    if found is None or not isinstance(found.template, str):
        raise ContractError("a prompt of several messages", address, "Register one text.")
    # MLflow's variables stand in two braces; other braces are text.
    parts = re.split(r"\{\{\s*([\w.-]+)\s*\}\}", found.template)
    texts = [
        part.replace("{", "{{").replace("}", "}}") if i % 2 == 0 else f"{{{part}}}" for i, part in enumerate(parts)
    ]
    return "".join(texts)


def _placed(
    file: ContractFile,
    given: Predictions,
    version: ModelVersion,
    folder: Path,
    work: Path,
    rows: Mapping[str, JsonObject],
) -> str:
    """Write the predictions of one role; return why there are none, or nothing."""
    if given.version is not None and given.version != version.version:
        return f"the predictions are of version {given.version}, and version {version.version} is judged"
    try:
        answered = _answered(file, given, work / "data" / f"given-{folder.name}.parquet")
        for dataset, known in rows.items():
            if known.get("features"):
                at = work / known["place"] if known["place"] else file.data_path(dataset)
                _write(file.contract, answered, dataset, at, folder / f"{dataset}.arrow", known["features"])
    except WeighinError as error:
        return str(error)
    return ""


def _answered(file: ContractFile, given: Predictions, scratch: Path) -> pd.DataFrame:
    """Return keys, in the contract's types, which answer of a key a row is, and the answers beside them.

    Errors: `WeighinError`.
    """
    columns = file.contract.data.columns
    keys = _keys(file.contract)
    types = {key: columns[key].type for key in keys}
    table = Relation.of(Files.model_validate({"path": given.source}), file.folder, "duckdb", types)
    absent = [key for key in keys if key not in table.kinds]
    if absent:
        raise NotEvaluated(f"no column {', '.join(absent)}", given.source, "Predictions need the key columns.")
    table.save(list(table.kinds), table.rows, scratch)
    found = pq.read_table(scratch)
    own = typed(found.select(keys), columns, given.source).to_pandas()
    if own.isna().to_numpy().any():
        raise NotEvaluated("a key is missing", given.source, "Each prediction needs its whole key.")
    own[REPEAT] = own.groupby(keys).cumcount()
    often = file.contract.model.repeats
    if (own[REPEAT] >= often).any():
        known = "more than once" if often == 1 else f"more than {often} times"
        said = f"{int((own[REPEAT] >= often).sum()):,} keys occur {known}"
        raise NotEvaluated(
            said, given.source, "Answer every key once." if often == 1 else f"Answer every key {often} times."
        )
    answers = {name: found[name].to_pylist() for name in _answer_columns(file.contract, found, given)}
    return own.assign(**{f"answer {name}": pd.Series(values, dtype=object) for name, values in answers.items()})


def _answer_columns(contract: Contract, found: pa.Table, given: Predictions) -> list[str]:
    """Return the columns that hold answers: the one that is named, the only one, or those of classes.

    Errors: `NotEvaluated`.
    """
    # pandas leaves its index in a file that it writes.
    names = [n for n in found.column_names if n not in _keys(contract) and not n.startswith("__index_level_")]
    if not names:
        raise NotEvaluated("no column beside the keys", given.source, "Put the answers there.")
    if contract.model.prediction.column is not None or contract.model.prediction.kind == "probabilities":
        return names
    if COLUMN in names:
        return [COLUMN]
    if len(names) > 1:
        raise NotEvaluated(
            f"{len(names)} columns beside the keys, and none is called {COLUMN}",
            given.source,
            "Name it in `model.prediction.column`.",
        )
    return names


def _keys(contract: Contract) -> list[str]:
    return [name for name, column in contract.data.columns.items() if column.role == "key"]


def _write(contract: Contract, answered: pd.DataFrame, dataset: str, at: Path, out: Path, features: str) -> None:
    """Write the answers to a dataset's rows, in their order. Errors: `NotEvaluated`."""
    keys = _keys(contract)
    asked = typed(read_columns(at, keys), contract.data.columns, f"data.{dataset}").to_pandas()
    rows, often = len(asked), contract.model.repeats
    asked = asked.loc[asked.index.repeat(often)].assign(**{REPEAT: np.tile(np.arange(often), rows)})
    both = asked.merge(
        answered, how="left", on=[*keys, REPEAT], validate="many_to_one", indicator="weighin found", sort=False
    )
    absent = int((both["weighin found"] == "left_only").to_numpy().reshape(rows, often).any(axis=1).sum())
    if absent:
        few = "no prediction" if often == 1 else f"fewer than {often} predictions"
        said = f"{absent:,} of {rows:,} rows of the {dataset} have {few}"
        raise NotEvaluated(said, "", "Answer every row once." if often == 1 else f"Answer every row {often} times.")
    columns = {str(c).removeprefix("answer "): both[c].tolist() for c in both if str(c).startswith("answer ")}
    meant = contract.model.answers
    if meant.kind == "text":
        write_texts(out, texts_in(columns, meant), features)
    else:
        write_predictions(out, answers_in(columns, meant), features, "float64")
