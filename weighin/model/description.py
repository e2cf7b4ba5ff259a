"""What a model says of itself in its MLmodel file, read without loading it. Every text in it is a stranger's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from weighin.model.chat import FORMS
from weighin.untrusted import JsonValue
from weighin.untrusted.bounded import Unreadable, content, json_value, yaml_value

COLUMNS_AT_MOST = 10_000
REQUIREMENTS_AT_MOST = 500
TYPES = ("boolean", "integer", "long", "float", "double", "string", "binary", "datetime", "any")
"""Types of a column in MLflow's signatures; `array` has one of these inside, everything else is `object`."""
DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "onnx": "onnxruntime",
    "pytorch": "torch",
    "spark": "pyspark",
    "sentence_transformers": "sentence-transformers",
    "paddle": "paddlepaddle",
}
"""Flavour -> what has to be installed for it, where that is not called like the flavour."""
_WORD = re.compile(r"[A-Za-z0-9_.+!~<>=\[\],; -]{1,100}")
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,99})(?:\[[^\]]*\])?==([A-Za-z0-9.+!-]{1,60})\s*(?:;.*)?")


@dataclass(frozen=True)
class Input:
    """A column or tensor that a signature lists.

    name      empty for one that is known by its place
    kind      one of `TYPES`, `array`, `object` or `tensor`
    items     type within an array; of a tensor NumPy's name of its type
    shape     of a tensor; -1 for a length that is not fixed
    """

    name: str
    kind: str
    required: bool = True
    items: str = ""
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class Description:
    """What a model is, by its files.

    flavours      name -> version of the library that it was logged with, empty where MLflow notes none
    loader        the module that loads it as a pyfunc, such as `mlflow.lightgbm`
    inputs        None for a model without a signature
    params        names of parameters that it takes
    requirements  lines of requirements.txt
    bytes         size of its files
    task          what MLflow notes as its task, such as that of a chat model; empty for none
    """

    flavours: dict[str, str]
    loader: str
    mlflow: str
    python: str
    inputs: tuple[Input, ...] | None
    params: tuple[str, ...]
    example: bool
    requirements: tuple[str, ...]
    bytes: int
    task: str = ""

    @property
    def pins(self) -> dict[str, str]:
        """Package, as pip spells it, -> the one version that the model was fitted with."""
        found = (_PIN.fullmatch(line) for line in self.requirements)
        return {canonical_name(m[1]): m[2] for m in found if m}

    @property
    def needs(self) -> str:
        """The package without which it cannot be loaded; empty where the loader names none."""
        flavour = self.loader.removeprefix("mlflow.") if self.loader.startswith("mlflow.") else ""
        flavour = flavour.partition(".")[0]
        return "" if flavour in ("", "pyfunc") else DISTRIBUTIONS.get(flavour, flavour)

    @property
    def signature(self) -> str:
        """Return the signature in a few words."""
        if self.inputs is None:
            return "none"
        if self.inputs and self.inputs[0].kind == "tensor":
            return "; ".join(f"tensor of {i.items} {list(i.shape)}" for i in self.inputs[:3])
        return f"{len(self.inputs)} column{'s' if len(self.inputs) != 1 else ''}"


def canonical_name(package: str) -> str:
    """Return a package's name as indexes compare it.

    Source: Python packaging specifications, "Names and normalization".

    >>> canonical_name("Scikit_Learn")
    'scikit-learn'
    """
    return re.sub(r"[-_.]+", "-", package).lower()


def describe(folder: Path) -> Description:
    """Return what the model in a folder says of itself.

    Errors: `ValueError` with a sentence where its MLmodel is not what MLflow writes.
    """
    try:
        known = yaml_value(content(folder / "MLmodel"))
    except (Unreadable, OSError) as error:
        raise ValueError(f"MLmodel cannot be read: {error if isinstance(error, Unreadable) else 'no file'}") from error
    if not isinstance(known, dict) or not isinstance(known.get("flavors"), dict):
        raise ValueError("MLmodel lists no flavours: it is not what MLflow writes")
    flavours = {str(n): _version(f) for n, f in known["flavors"].items() if isinstance(f, dict) and n != PYFUNC}
    pyfunc = known["flavors"].get(PYFUNC)
    if not isinstance(pyfunc, dict):
        raise ValueError("MLmodel has no flavour python_function, by which models are asked: log it with one")
    signature, metadata = known.get("signature"), known.get("metadata")
    task = metadata.get("task") if isinstance(metadata, dict) else None
    return Description(
        {_word(n): v for n, v in list(flavours.items())[:20]},
        _word(pyfunc.get("loader_module")),
        _word(known.get("mlflow_version")),
        _word(pyfunc.get("python_version")),
        _inputs(signature),
        _params(signature),
        (folder / "serving_input_example.json").is_file() or isinstance(known.get("saved_input_example_info"), dict),
        _requirements(folder / "requirements.txt"),
        sum(p.lstat().st_size for p in folder.rglob("*") if p.is_file()),
        next((form for form in FORMS if form == task), ""),
    )


PYFUNC = "python_function"


def _version(flavour: dict[str, JsonValue]) -> str:
    found = [v for k, v in flavour.items() if isinstance(k, str) and k.endswith("_version") and k != "pickle_version"]
    return _word(found[0]) if found else ""


def _word(value: object) -> str:
    """Return a short text of a stranger's that can be shown; empty for anything else."""
    text = str(value) if isinstance(value, (str, int, float)) else ""
    return text if _WORD.fullmatch(text) else ""


def _inputs(signature: JsonValue) -> tuple[Input, ...] | None:
    """Return the inputs of a signature. Errors: `ValueError`."""
    given = signature.get("inputs") if isinstance(signature, dict) else None
    if given is None:
        return None
    listed = _listed(given)
    if listed is None or len(listed) > COLUMNS_AT_MOST:
        raise ValueError("the inputs of its signature are not a list that MLflow writes")
    return tuple(_input(entry) for entry in listed)


def _input(entry: JsonValue) -> Input:
    if not isinstance(entry, dict):
        raise ValueError("an input of its signature is not what MLflow writes")
    name, kind = entry.get("name"), entry.get("type")
    name = name if isinstance(name, str) else ""
    required = entry.get("required") is not False and entry.get("optional") is not True
    if kind == "tensor":
        spec = entry.get("tensor-spec")
        shape = spec.get("shape") if isinstance(spec, dict) else None
        if not isinstance(spec, dict) or not isinstance(shape, list) or not all(type(n) is int for n in shape):
            raise ValueError("a tensor of its signature has no shape")
        return Input(name, "tensor", required, _word(spec.get("dtype")), tuple(int(str(n)) for n in shape))
    if kind == "array":
        items = entry.get("items")
        inner = items.get("type") if isinstance(items, dict) else None
        return Input(name, "array", required, inner if isinstance(inner, str) and inner in TYPES else "object")
    return Input(name, kind if isinstance(kind, str) and kind in TYPES else "object", required)


def _params(signature: JsonValue) -> tuple[str, ...]:
    given = signature.get("params") if isinstance(signature, dict) else None
    listed = _listed(given) or []
    return tuple(_word(p.get("name")) for p in listed[:100] if isinstance(p, dict))


def _listed(given: JsonValue) -> list[JsonValue] | None:
    """Return a list that MLflow keeps as JSON in a text of its YAML."""
    if not isinstance(given, str):
        return None
    try:
        value = json_value(given)
    except Unreadable:
        return None
    return value if isinstance(value, list) else None


def _requirements(path: Path) -> tuple[str, ...]:
    if path.is_symlink() or not path.is_file():
        return ()
    try:
        lines = content(path).decode().splitlines()
    except (Unreadable, OSError, UnicodeDecodeError):
        return ()
    stripped = (line.partition(" #")[0].strip() for line in lines)
    return tuple(line for line in stripped if line and not line.startswith("#"))[:REQUIREMENTS_AT_MOST]
