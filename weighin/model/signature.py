"""What of a model does not fit the contract, found from its MLmodel file before it is loaded or asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from weighin.model.description import Description, Input
from weighin.model.handover import NEVER_MISSING, NONE, NUMBERS, OF_ITEMS, handed
from weighin.untrusted.redact import listed

if TYPE_CHECKING:
    # A server imports this with `weighin.model.subject`, and has no contract.
    from weighin.contract.columns import Column

TENSORS = ("float16", "float32", "float64", "int32", "int64", "bool")
"""Types of a tensor that columns of numbers are made into."""
NAME = 60
"""Letters of a name that only the model's file has: it is a stranger's text."""
NO_TEXT = ("lightgbm", "xgboost")
"""Flavours that take categories, and no text."""


@dataclass(frozen=True)
class Findings:
    """Sentences, each about one column or about the signature as a whole.

    faults    what a model cannot be given, or could not be sent by a client: it is not asked
    unsigned  that there is no signature, and what follows from it
    unused    features of the contract that the model is never given
    callers   what clients of the champion do not send, or send in another type
    """

    faults: tuple[str, ...] = ()
    unsigned: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    callers: tuple[str, ...] = ()


def findings(
    model: Description,
    columns: Mapping[str, Column],
    missing: Mapping[str, int],
    champion: Description | None = None,
) -> Findings:
    """Compare a model's signature with the contract's features, and with the champion's signature.

    columns  the features, in the order in which a model is given them
    missing  feature -> missing values in the files, where there are any
    """
    if model.inputs is None:
        return Findings((), tuple(_unsigned(columns)))
    inputs = model.inputs
    if any(i.kind == "tensor" for i in inputs):
        return Findings(tuple(_tensors(inputs, columns, missing)))
    named = [i for i in inputs if i.name]
    if len(named) < len(inputs):
        return Findings(tuple(_by_place(inputs, columns, missing, model)))
    faults = [said for i in inputs for said in _fault(i, columns, missing, model)]
    unused = [c for c in columns if c not in {i.name for i in inputs}]
    said = (f"the signature does not name {listed(unused)}: the model is never given them",) if unused else ()
    return Findings(tuple(faults), (), said, tuple(_callers(inputs, champion)))


def shown(names: list[str], columns: Mapping[str, Column]) -> str:
    """Return names for a sentence: of one that the contract does not list no more than a column's name has."""
    return listed([n if n in columns else n[:NAME] for n in names])


def kind(column: Column) -> str:
    """Return the type of a column as the table of types has it."""
    return "category" if column.categorical else column.type


def _unsigned(columns: Mapping[str, Column]) -> Iterator[str]:
    yield (
        "the model has no signature, so it is given the features in the contract's order: "
        "log it with infer_signature, or keep that order"
    )
    moments = [name for name, column in columns.items() if column.type in ("timestamp", "date")]
    if moments:
        yield f"without a signature a server hands {listed(moments)} over as text: log the model with one"


def _fault(
    given: Input, columns: Mapping[str, Column], missing: Mapping[str, int], model: Description
) -> Iterator[str]:
    """Say what of one column does not fit, and what to do about it."""
    name, about = given.name, f"column {shown([given.name], columns)}"
    if name not in columns:
        if given.required:
            yield (
                f"{about}: the signature requires it, and the contract has no such feature: add it to data.columns "
                "with `role: feature`, or log the model without it"
            )
        return
    column = columns[name]
    wanted = given.kind
    text = column.type == "string" and next((f for f in NO_TEXT if f in model.flavours), "")
    if text and wanted == "string":
        yield (
            f"{about}: {text} takes no text, and through a signature of string MLflow hands over nothing else: log the "
            "model without a signature, or as a pyfunc that makes the categories itself"
        )
    elif column.categorical and wanted == "string":
        yield (
            f"{about}: the contract says `categorical`, and MLflow hands no category to a model whose signature says "
            "string: leave `categorical` out, or log the model without a signature"
        )
    elif missing.get(name) and wanted in NEVER_MISSING:
        yield (
            f"{about}: {missing[name]:,} values are missing in the files ({column.type}), and the signature wants "
            f"{wanted}, which cannot be missing in a request: log the model with the column as double, or fill it first"
        )
    elif handed(kind(column), wanted) is None or (wanted == "array" and given.items not in OF_ITEMS):
        of = f"{wanted} of {given.items}" if wanted == "array" else wanted
        yield (
            f"{about}: the contract says {column.type}, and the signature wants {of}: correct `type` in data.columns, "
            "or log the model with an example of that type"
        )


def _by_place(
    inputs: tuple[Input, ...], columns: Mapping[str, Column], missing: Mapping[str, int], model: Description
) -> Iterator[str]:
    """Compare columns that the signature does not name, one after the other."""
    if len(inputs) != len(columns):
        yield (
            f"the signature lists {len(inputs)} columns without names, and the contract has {len(columns)} features: "
            "log the model with a table that names its columns"
        )
        return
    for given, name in zip(inputs, columns, strict=True):
        yield from _fault(Input(name, given.kind, given.required, given.items), columns, missing, model)


def _tensors(inputs: tuple[Input, ...], columns: Mapping[str, Column], missing: Mapping[str, int]) -> Iterator[str]:
    if len(inputs) > 1 or inputs[0].name:
        for given in inputs:
            if given.name not in columns:
                yield (
                    f"the tensor {shown([given.name], columns)}: the contract has no feature of this name: "
                    "add a column, or an array, of this name to data.columns"
                )
                continue
            yield from _tensor(given, {given.name: columns[given.name]}, missing)
        return
    yield from _tensor(inputs[0], columns, missing)


def _tensor(given: Input, columns: Mapping[str, Column], missing: Mapping[str, int]) -> Iterator[str]:
    """Say why columns cannot become a tensor of rows."""
    strange = [name for name, column in columns.items() if column.type not in NUMBERS]
    gaps = [name for name in columns if missing.get(name)]
    arrays = [column for column in columns.values() if column.type == "array"]
    if given.items not in TENSORS:
        yield f"the signature wants a tensor of {given.items or 'an unknown type'}: log the model with columns"
    elif strange:
        yield f"columns {listed(strange)} hold no numbers, and the signature wants a tensor: log the model with columns"
    elif arrays and len(columns) > 1:
        yield "an array beside other columns makes no tensor: name the tensors in the signature as the columns"
    elif gaps and not given.items.startswith("float"):
        yield f"columns {listed(gaps)} have missing values, and a tensor of {given.items} has none: fill them first"
    width = (arrays[0].length or -1) if arrays else len(columns)
    fixed = given.shape[1:]
    fits = (len(fixed) == 1 and (-1 in (width, fixed[0]) or fixed[0] == width)) or (not fixed and width == 1)
    if not fits:
        yield (
            f"the signature wants a tensor of shape {list(given.shape)}, and the features make rows of "
            f"{'any length' if width == -1 else width}: correct data.columns, or log the model with columns"
        )


def _callers(inputs: tuple[Input, ...], champion: Description | None) -> Iterator[str]:
    """Say what requests that the champion answers lack for the candidate."""
    if champion is None or champion.inputs is None or any(i.kind == "tensor" for i in champion.inputs):
        return
    sent = {i.name: i for i in champion.inputs}
    new = [i.name for i in inputs if i.required and i.name not in sent]
    if new:
        what = shown(new, {})
        yield f"requires {what}, which the champion's signature does not have: clients have to send them first"
    other = [i.name for i in inputs if i.name in sent and _other(i, sent[i.name])]
    if other:
        what = shown(other, {})
        yield f"wants {what} in another type than the champion's signature: clients have to change first"


def _other(one: Input, two: Input) -> bool:
    return NONE not in (one.kind, two.kind) and (one.kind, one.items) != (two.kind, two.items)
