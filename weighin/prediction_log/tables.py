"""The two tables of a prediction log, as the contract shapes them: what was predicted, and the labels that came.

A writer (`weighin.serving`) and a reader (`weighin.monitor`) agree on nothing else. docs/reference/prediction-log.md
shows them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from weighin.data.typed import FEATURE_TYPES
from weighin.errors import ContractError
from weighin.model.answers import prediction_columns
from weighin.runner.plan import Answers

if TYPE_CHECKING:
    # Who writes the log has been told of the tables, and has no contract.
    from weighin.contract.reading import ContractFile

TYPES: dict[str, pa.DataType] = {name: kind for name, kind in FEATURE_TYPES.items() if name != "array"}
"""Types of the contract -> types of the log, which holds no arrays."""
COLUMN_BYTES = 63
"""Longer names PostgreSQL cuts without a word."""
KEY = ("request", "row", "role")
"""What is one answer; the first row with a key counts."""
FAILED = 500
"""From this HTTP status on a request counts as an error: the model or the server failed. 400 to 499 is the client's."""
REQUEST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""The form of a request's id."""
_ABOUT = (
    ("at", "timestamp"),
    ("request", "string"),
    ("row", "integer"),
    ("model", "string"),
    ("version", "string"),
    ("digest", "string"),
    ("role", "string"),
    ("status", "integer"),
    ("latency_ms", "float"),
)
UNIT = REQUEST
"""The form of a unit's pseudonym."""


@dataclass(frozen=True)
class LogTables:
    """Where a log lies, and what its columns are. It holds no secret: `connection` names an environment variable.

    path         a folder (Parquet) or a file ending in .sqlite
    predictions  name of the table of predictions, or of its folder below `path`
    answers      what of a model's answer is its prediction
    features     (name, type of the contract) of each feature that is neither sensitive nor an array
    label        type of the target; empty where it is sensitive or a text, and no label is stored
    unit_header  the header of a request that names its unit; empty without an A/B test, and then no unit is stored
    """

    model: str
    path: str | None
    connection: str | None
    predictions: str
    labels: str
    retain_days: float
    answers: Answers
    features: tuple[tuple[str, str], ...]
    label: str
    unit_header: str = ""

    @staticmethod
    def of(file: ContractFile) -> LogTables:
        """As the contract says. Errors: `ContractError` where it has no `monitor`."""
        contract = file.contract
        if contract.monitor is None:
            raise ContractError("the contract has no `monitor`", str(file.path), "Say in `monitor.log` where to log.")
        log, columns = contract.monitor.log, contract.data.columns
        model = contract.model
        # Labels are what answers are compared with, and of texts that is done before the release.
        unlabelled = model.task == "text" or columns[model.target].sensitive
        return LogTables(
            model=model.name,
            path=None if log.path is None else str(file.folder / log.path),
            connection=log.connection,
            predictions=log.predictions,
            labels=log.labels,
            retain_days=log.retain_days,
            answers=model.answers,
            features=tuple(
                (n, columns[n].type) for n in contract.features if not columns[n].sensitive and columns[n].type in TYPES
            ),
            label="" if unlabelled else columns[model.target].type,
            unit_header=contract.monitor.ab_test.unit_header if contract.monitor.ab_test else "",
        )

    @property
    def place(self) -> str:
        """As it is called in messages."""
        return self.path or str(self.connection)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the columns of a prediction: one, or one for each class."""
        return tuple(prediction_columns(self.answers.width))

    @cached_property
    def columns(self) -> dict[str, str]:
        """Feature -> its column in the log.

        >>> LogTables.sketch(["age", "Age"]).columns
        {'age': 'f_age', 'Age': 'f_Age_39b7370f'}
        """
        found: dict[str, str] = {}
        for name, _ in self.features:
            column = f"f_{name}"
            # Databases know no difference between `A` and `a`.
            taken = {c.lower() for c in found.values()}
            if len(column.encode()) > COLUMN_BYTES or column.lower() in taken:
                kept = column.encode()[: COLUMN_BYTES - 9].decode(errors="ignore")
                column = f"{kept}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
            found[name] = column
        return found

    @cached_property
    def types(self) -> dict[str, str]:
        """Column of the table of predictions -> type, in order."""
        features = {self.columns[name]: kind for name, kind in self.features}
        unit = {"unit": "string"} if self.unit_header else {}
        return {**dict(_ABOUT), **unit, **dict.fromkeys(self.outputs, "float"), **features}

    @property
    def label_types(self) -> dict[str, str]:
        """Column of the table of labels -> type."""
        return {"at": "timestamp", "request": "string", "row": "integer", "label": self.label or "string"}

    @cached_property
    def schema(self) -> pa.Schema:
        """Of the table of predictions."""
        return _schema(self.types)

    @cached_property
    def label_schema(self) -> pa.Schema:
        """Of the table of labels."""
        return _schema(self.label_types)

    @staticmethod
    def sketch(features: Iterable[str], kind: str = "float", **given: object) -> LogTables:
        """Tables for features of one type, in a folder `log`, for trials and examples."""
        own = {"model": "m", "path": "log", "connection": None, "predictions": "weighin_predictions"}
        rest = {"labels": "weighin_labels", "retain_days": 90.0, "answers": Answers(), "label": "integer"}
        listed = tuple((name, kind) for name in features)
        return LogTables(**{**own, **rest, "features": listed, **given})  # type: ignore[arg-type]

    def to_json(self) -> str:
        """For the environment of a server."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> LogTables:
        """Return what `to_json` wrote.

        >>> LogTables.from_json(LogTables.sketch(["a"]).to_json()) == LogTables.sketch(["a"])
        True
        """
        given = json.loads(text)
        given["answers"] = Answers.of(given["answers"])
        given["features"] = tuple((name, kind) for name, kind in given["features"])
        return LogTables(**given)


def _schema(types: dict[str, str]) -> pa.Schema:
    return pa.schema([pa.field(name, TYPES[kind]) for name, kind in types.items()])
