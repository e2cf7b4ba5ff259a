"""Write docs/reference/contract.md from the models of weighin/contract: `... [--check]`.

What a key means is its `Field(description=...)`. Examples are those of docs/reference/contracts/full.yaml, units follow
from names; what neither can say stands in contract_reference.yaml.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import types
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from weighin.contract import Contract
from weighin.contract.parts import Metric
from weighin.stats.metrics import METRICS

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path("docs/reference/contract.md")
FULL = Path("docs/reference/contracts/full.yaml")
FIRST = "0.1.0"
"""The version in which a key came that does not say another one, in `json_schema_extra={"since": ...}`."""
HEAD = """# The contract, key by key

`model_contract.yaml` is one YAML file. This page is made from the models in `weighin/contract` by
`python scripts/contract_reference.py`; edit the models, not this page. [Contracts to copy](contracts.md) has a minimal
and an annotated full contract. `weighin contract schema` prints the same as a JSON Schema for editors, and
`weighin contract check` names every mistake with its line.
"""
USED = {
    "decision": "decisions",
    "rank": "ranks",
    "probability": "probabilities",
    "value": "values",
    "text": "texts",
    "interval": "intervals",
}
"""What of an answer a metric takes, in words."""
UNITS = (
    (r"_ms(_at_most)?$", "ms"),
    (r"(^|_)mb(_|$)", "MiB"),
    (r"(^|_)seconds(_at_most)?$", "s"),
    (r"(^|_)minutes(_at_most)?$", "minutes"),
    (r"(^|_)hours(_at_most)?$", "hours"),
    (r"(^|_)days(_at_most)?$", "days"),
    (r"share|error_rate|disagreement|missing_at_most|outside_at_most|overlap|decline|quantile", "share"),
    (r"ratio|times_baseline|^factor$", "ratio"),
    (r"^(rate|rate_at_most|max_sustainable_rate_at_least|throughput_at_least)$", "requests/s"),
    (r"(^|_)rows(_|$)|^min_|^grace_period$|^clock$|^shap$", "rows"),
    (r"^(minimum|maximum)$", "of the column"),
    (r"^(margin|better_by|at_least|at_most|metric_drop_at_most)$", "of the metric"),
)
"""Name of a key -> unit, the first that fits."""
_SAID = yaml.safe_load((ROOT / "scripts/contract_reference.yaml").read_text(encoding="utf-8"))
UNIT_OF: dict[str, str] = _SAID["units"]
EXAMPLE_OF: dict[str, Any] = _SAID["examples"]
GRADES = ("severity", "when_inconclusive")
KINDS = {str: "text", bool: "true or false", int: "whole number", float: "number", date: "date", datetime: "time"}


NONE: Mapping[type[BaseModel], Section] = types.MappingProxyType({})


@dataclass
class Section:
    """One model, and where in a contract it stands."""

    model: type[BaseModel]
    paths: list[str] = field(default_factory=list)
    shared: bool = False
    """Whether another model may stand at the first path."""

    @property
    def title(self) -> str:
        """The first path; of several models at one path also which."""
        words = re.sub(r"(?<!^)(?=[A-Z])", " ", self.model.__name__).lower()
        return (self.paths[0] or "The top level") + (f" ({words})" if self.shared else "")

    @property
    def anchor(self) -> str:
        """What the page's builder makes of the title, which GitHub makes as well."""
        return re.sub(r"[^\w\s-]", "", self.title.lower()).replace(" ", "-")


def models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models within an annotation, in its order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in models(argument)]


def sections() -> dict[type[BaseModel], Section]:
    """Return the models of a contract, each after the one that holds it."""
    found: dict[type[BaseModel], Section] = {}

    def walk(model: type[BaseModel], path: str) -> None:
        known = model in found
        found.setdefault(model, Section(model)).paths.append(path)
        if known:
            return
        for name, key in model.model_fields.items():
            many = _many(key.annotation)
            for part in dict.fromkeys(models(key.annotation)):
                walk(part, f"{path}.{key.alias or name}".lstrip(".") + many)

    walk(Contract, "")
    first = Counter(section.paths[0] for section in found.values())
    for section in found.values():
        section.shared = first[section.paths[0]] > 1
    return found


def _many(annotation: Any) -> str:
    """How a path goes on into a list or mapping of parts."""
    origin = get_origin(annotation)
    if origin in (tuple, list) and models(annotation):
        return "[]"
    if origin is dict:
        return ".NAME"
    return next((m for a in get_args(annotation) if models(a) and (m := _many(a))), "")


def kind(annotation: Any, limits: tuple[Any, ...] = (), *, linked: Mapping[type[BaseModel], Section] = NONE) -> str:
    """Return what may be written, in words.

    >>> kind(Literal["a", "b"]), kind(tuple[int, ...]), kind(float | None)
    ('`a` or `b`', 'list of whole number', 'number')
    """
    if annotation is Metric or "_metric" in repr(getattr(annotation, "__metadata__", limits)):
        return "[metric](#metrics)"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [i for given in arguments[1:] for i in (given.metadata if isinstance(given, FieldInfo) else [given])]
        return kind(arguments[0], (*inner, *limits), linked=linked)
    if origin is Literal:
        return " or ".join(f"`{json.dumps(a) if not isinstance(a, str) else a}`" for a in arguments)
    if origin in (Union, types.UnionType):
        members = [kind(a, limits, linked=linked) for a in arguments if a is not type(None)]
        return " or ".join(dict.fromkeys(members))
    if origin in (tuple, list):
        if Ellipsis in arguments:
            return f"list of {kind(arguments[0], linked=linked)}"
        return "[" + ", ".join(kind(a, linked=linked) for a in arguments) + "]"
    if origin is dict:
        return f"mapping of {kind(arguments[1], linked=linked)}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        known = linked.get(annotation)
        return f"[part](#{known.anchor})" if known else "part"
    return "anything" if annotation is Any else KINDS[annotation] + _bounds(limits)


def _bounds(limits: tuple[Any, ...]) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = {sign: getattr(limit, name) for limit in limits for name, sign in signs.items() if hasattr(limit, name)}
    return "".join(f" {sign} {value:g}" for sign, value in found.items())


def unit(model: type[BaseModel], name: str, key: FieldInfo) -> str:
    """Return the unit of a number. Errors: `KeyError` for a number without one."""
    own = f"{model.__name__}.{name}"
    if own in UNIT_OF:
        return UNIT_OF[own]
    if not _numeric(key.annotation):
        return ""
    found = next((u for pattern, u in UNITS if re.search(pattern, name)), None)
    if found is None and {"≥ 0", "≤ 1"} == set(re.findall(r"[≥≤] \d+", _bounds(tuple(key.metadata)))):
        return "share"
    if found is None:
        raise KeyError(f"{own} has no unit: name it in scripts/contract_reference.yaml")
    return found


def _shown(own: str, shown: Mapping[str, Any], *, parts: bool, grade: bool) -> str:
    """Return the example of a key. Errors: `KeyError` where there is none."""
    if own in shown and (not parts or own in EXAMPLE_OF):
        return _example(shown[own])
    if parts:
        return ""
    if grade:
        return _example("warn")
    raise KeyError(f"{own} has no example: write the key into {FULL}, or into scripts/contract_reference.yaml")


def _numeric(annotation: Any) -> bool:
    if annotation in (int, float):
        return True
    if get_origin(annotation) in (Annotated, Union, types.UnionType):
        return any(_numeric(a) for a in get_args(annotation)) and str not in get_args(annotation)
    return False


def default(key: FieldInfo) -> str:
    """Return the default as YAML has it."""
    if key.is_required():
        return "required"
    value = key.get_default(call_default_factory=True)
    if value is None or value == () or value == {} or value == "":
        return "none"
    if isinstance(value, BaseModel):
        return "its own defaults"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def since(key: FieldInfo) -> str:
    """Return the version in which a key came."""
    extra = key.json_schema_extra
    return str(extra.get("since", FIRST)) if isinstance(extra, dict) else FIRST


def examples(root: Path = ROOT) -> dict[str, Any]:
    """Return `Model.key` -> a value: from the annotated full contract, and from EXAMPLE_OF."""
    found: dict[str, Any] = {}
    written = yaml.safe_load((root / FULL).read_text(encoding="utf-8"))

    def walk(annotation: Any, value: Any) -> None:
        for model in models(annotation):
            fits = isinstance(value, dict) and set(value) <= {f.alias or n for n, f in model.model_fields.items()}
            for name, key in model.model_fields.items() if fits else ():
                if (key.alias or name) in value:
                    given = value[key.alias or name]
                    found.setdefault(f"{model.__name__}.{name}", given)
                    for part in given if isinstance(given, list) else [given]:
                        walk(key.annotation, part)
                    if get_origin(key.annotation) is dict:
                        for part in given.values():
                            walk(key.annotation, part)

    walk(Contract, written)
    return {**found, **EXAMPLE_OF}


def _example(value: Any) -> str:
    if isinstance(value, date):  # a time, too
        value = value.isoformat().replace("+00:00", "Z")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"`{text}`".replace("|", "\\|")


def rows(section: Section, known: Mapping[type[BaseModel], Section], shown: Mapping[str, Any]) -> Iterator[list[str]]:
    """Return the cells of each key: key, type, default, unit, meaning, example, since."""
    for name, key in section.model.model_fields.items():
        own = f"{section.model.__name__}.{name}"
        parts = models(key.annotation)
        example = _shown(own, shown, parts=bool(parts), grade=name in GRADES)
        allowed = kind(key.annotation, tuple(key.metadata), linked=known)
        text = " ".join((key.description or "").split()).replace("|", "\\|")
        yield [
            f"`{key.alias or name}`", allowed, default(key), unit(section.model, name, key), text, example, since(key),
        ]  # fmt: skip


def page(root: Path = ROOT) -> str:
    """Return the page."""
    known, shown = sections(), examples(root)
    tables = {model: list(rows(section, known, shown)) for model, section in known.items()}
    versions = {row[-1] for table in tables.values() for row in table}
    same = len(versions) == 1
    parts = [HEAD, f"\nAll keys are there since {FIRST}.\n" if same else ""]
    columns = ["key", "type", "default", "unit", "meaning", "example", *([] if same else ["since"])]
    for model, section in known.items():
        parts.append(f"\n## {section.title}\n\n{_about(model)}\n")
        if len(section.paths) > 1:
            parts.append("\nAlso at " + ", ".join(f"`{p}`" for p in section.paths[1:]) + ".\n")
        table = [row[: len(columns)] for row in tables[model]]
        parts.append("\n" + _line(columns) + "|" + "---|" * len(columns) + "\n" + "".join(map(_line, table)))
    parts.append(
        "\n## Metrics\n\n`custom.NAME` is the metric NAME of `gates.performance.custom`, and "
        "`score.NAME` the mean of the score NAME of `gates.performance.scores`.\n\n"
    )
    parts.append("| metric | unit | tasks | better is | measured of |\n|---|---|---|---|---|\n")
    for name, metric in METRICS.items():
        better = "lower" if metric.lower_is_better else "higher"
        used = USED[metric.uses]
        parts.append(_line([f"`{name}`", metric.unit or "of the target", ", ".join(metric.tasks), better, used]))
    return "".join(parts)


def _about(model: type[BaseModel]) -> str:
    """A model's docstring; a list of words with their meanings stays as it is set."""
    return re.sub(r"\n\n(?=\S+ {2,})(.*)", r"\n\n```text\n\1\n```", _dedented(model.__doc__ or ""), flags=re.DOTALL)


def _dedented(text: str) -> str:
    first, _, rest = text.strip().partition("\n")
    return first + "\n" * bool(rest) + "\n".join(line.removeprefix("    ") for line in rest.splitlines())


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |\n"


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or say with --check that it differs; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the reference of the contract.")
    parser.add_argument("--check", action="store_true", help="write nothing, and fail where the page differs")
    check = parser.parse_args(arguments).check
    text = page()
    if (ROOT / PAGE).is_file() and (ROOT / PAGE).read_text(encoding="utf-8") == text:
        return 0
    if not check:
        (ROOT / PAGE).write_text(text, encoding="utf-8")
    print(f"{PAGE}: " + ("not what the models say. Run it without --check." if check else "written"))
    return int(check)


if __name__ == "__main__":
    sys.exit(main())
