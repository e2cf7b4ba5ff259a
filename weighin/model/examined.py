"""What was found out about a model before it was asked, as it stands in the subject."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from weighin.model.description import Description
from weighin.model.signature import Findings
from weighin.untrusted import JsonDict

LIBRARIES = (
    *("scikit-learn", "skops", "xgboost", "lightgbm", "catboost", "statsmodels", "torch", "tensorflow", "keras"),
    *("onnx", "onnxruntime", "prophet", "pyspark", "transformers", "sentence-transformers", "spacy"),
)
"""Packages whose fitted objects depend on the version that reads them."""
PYTHON = "python"
"""Beside them the minor version of Python, by which code that was pickled is read or not."""


@dataclass(frozen=True)
class Examined:
    """A model by its files.

    flavours      name -> version of the library that it was logged with
    signature     in a few words
    inputs        columns or tensors of the signature; 0 without one
    requirements  how many packages it declares
    problem       why its MLmodel cannot be read; empty where it can
    faults, unsigned, unused, callers   see `weighin.model.signature.Findings`
    fitted        library -> version that it was fitted with, where its requirements name one
    installed     of the same libraries the version that it is asked with; one that is absent is not there
    environment   `judge`: asked with what the image or this Python has; `own`: with what it declares; `given`: not
                  asked, since predictions were given in its place
    """

    flavours: Mapping[str, str] = field(default_factory=dict)
    mlflow: str = ""
    python: str = ""
    signature: str = ""
    inputs: int = 0
    params: tuple[str, ...] = ()
    example: bool = False
    requirements: int = 0
    bytes: int = 0
    problem: str = ""
    faults: tuple[str, ...] = ()
    unsigned: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    callers: tuple[str, ...] = ()
    fitted: Mapping[str, str] = field(default_factory=dict)
    installed: Mapping[str, str] = field(default_factory=dict)
    environment: str = "judge"

    @staticmethod
    def of(known: Description, found: Findings, installed: Mapping[str, str], environment: str = "judge") -> Examined:
        """Of a model whose MLmodel was read. `installed`: versions of the libraries with which it is asked."""
        fitted = {p: v for p, v in known.pins.items() if p in LIBRARIES}
        minor = re.match(r"\d+\.\d+", known.python)
        fitted |= {PYTHON: minor[0]} if minor else {}
        return Examined(
            flavours=known.flavours,
            mlflow=known.mlflow,
            python=known.python,
            signature=known.signature,
            inputs=len(known.inputs or ()),
            params=known.params,
            example=known.example,
            requirements=len(known.requirements),
            bytes=known.bytes,
            faults=found.faults,
            unsigned=found.unsigned,
            unused=found.unused,
            callers=found.callers,
            fitted=fitted,
            installed={p: v for p, v in installed.items() if p in fitted},
            environment=environment,
        )

    @staticmethod
    def from_json(value: JsonDict) -> Examined:
        """Return what `asdict` made of one. Errors: `TypeError`."""
        lists = ("params", "faults", "unsigned", "unused", "callers")
        return Examined(**{**value, **{key: tuple(value[key]) for key in lists}})

    @property
    def refused(self) -> str:
        """Why it is not asked; empty where it is."""
        if self.problem:
            return self.problem
        more = f" (and {len(self.faults) - 1} more, see model/signature)" if len(self.faults) > 1 else ""
        return f"the model does not fit the contract: {self.faults[0]}{more}" if self.faults else ""
