"""What the model is, what it was made of, and what it is not for: sections of which people must say a part."""

from __future__ import annotations

from collections.abc import Iterator

from weighin.document.blocks import Block, Checks, NotKnown, Paragraph, Points, Table
from weighin.document.material import Material
from weighin.report.view import cell
from weighin.untrusted import JsonObject

ANSWERS = {
    "probability": "the probability of the positive class",
    "probabilities": "a probability for each class",
    "label": "a class",
    "score": "a score that grows with the probability of the positive class",
    "value": "a number",
    "text": "a text",
    "interval": "the bounds of an interval",
}
TASKS = {
    "binary": "two classes",
    "multiclass": "several classes",
    "regression": "a number",
    "text": "a text",
    "ranking": "an order",
    "forecast": "a future number",
}

REMARKS = {"permuted": "rows of the holdout, one feature at a time permuted"}
"""What a dataset is that the contract does not name."""


def purpose(of: Material) -> Iterator[Block]:
    """Yield what the model is for, who answers for it, and what it is given and answers."""
    model, card = of.contract.model, of.card
    if card.purpose:
        yield Paragraph(card.purpose)
    else:
        yield _unsaid("the purpose of the model", "purpose")
    candidate = of.record["candidate"]
    yield Table(
        "The model",
        ("", ""),
        (
            ("name", f"`{of.record['model']}`"),
            ("version", candidate["version"] or "none: it is not registered"),
            ("files", f"`{candidate['digest']}`"),
            ("predicts", f"`{model.target}`: {TASKS[model.task]}" if model.target else TASKS[model.task]),
            ("answers", ANSWERS[model.prediction.kind]),
            ("is given", ", ".join(f"`{name}`" for name in of.contract.features)),
            ("owner", card.owner or "not known"),
            ("contact", f"`{card.contact}`" if card.contact else "not known"),
            ("licence", card.licence or "not known"),
        ),
    )
    for key, what in (
        ("owner", "who answers for the model"),
        ("contact", "where questions go"),
        ("licence", "the licence"),
    ):
        if not getattr(card, key):
            yield _unsaid(what, key)
    yield from (information(table) for table in of.information("model"))
    run = candidate["run_id"]
    yield NotKnown(
        "how the model was developed: its theory, algorithm, parameters and training code",
        f"the MLflow run `{run}` holds what its training has logged; people write the rest"
        if run
        else "log the model from an MLflow run, which keeps parameters and code; people write the rest",
    )


def data(of: Material) -> Iterator[Block]:
    """Yield the datasets with their digests, what the gates on the data found, and what is known of the training."""
    rows = tuple(_dataset(name, value) for name, value in of.record["data"].items())
    if rows:
        remarked = any(row[-1] for row in rows)
        columns = ("dataset", "rows", "window", "digest", "remark")
        yield Table(
            "Datasets", columns if remarked else columns[:-1], rows if remarked else tuple(r[:-1] for r in rows)
        )
    else:
        yield NotKnown("the data", "validate with `data` in the contract")
    views = of.suite("data_quality")
    if views:
        groups = [g for g in of.answer.groups if g.suite == "data_quality"]
        counts = [(c.name, f"{len(c.views):,}", f"{c.passed:,}") for g in groups for c in g.counts]
        yield Table("Data quality", ("dataset", "checks", "passed"), tuple(counts))
        left = tuple(v for v in views if v.status != "passed")
        if left:
            yield Checks("Checks of the data that did not pass", left)
    else:
        yield NotKnown("whether the data keep any rule", "write `gates.data_quality` in the contract")
    training = tuple(v for v in of.views if "training" in v.check)
    if training:
        yield Checks("Holdout against training data", training)
    else:
        yield NotKnown(
            "the training data, and whether rows of them stand in the holdout",
            "write `data.training` or `model.training_datasets` in the contract",
        )
    yield NotKnown(
        "how the data were collected and labelled, and whether they stand for those whom the model is used on",
        "people write it beside this document, since no gate measures it",
    )


def limits(of: Material) -> Iterator[Block]:
    """Yield what the model is not for, what a pass does not promise, and which checks warn, wait or are relaxed."""
    if of.card.out_of_scope:
        yield Points(of.card.out_of_scope)
    else:
        yield _unsaid("uses that the model is not made for", "out_of_scope")
    yield Paragraph(of.answer.promise)
    blocking = tuple(v for v in of.views if v.blocks)
    if blocking:
        yield Checks("Checks that block", blocking)
    if of.answer.warnings:
        yield Checks("Checks that warn", of.answer.warnings)
    if of.answer.waived:
        yield Points(tuple(f"`{v.check}`: {v.waiver}" for v in of.answer.waived))
    pooled = [f"`{v.check}`: {v.detail['pooled']}" for v in of.views if v.detail.get("pooled")]
    if pooled:
        yield Paragraph("These slices are too small to be judged alone:")
        yield Points(tuple(pooled))


def information(table: JsonObject) -> Table:
    """Return a table that a suite has left for information."""
    rows = tuple(tuple(cell(value) for value in row) for row in table["rows"])
    return Table(str(table["title"]), tuple(map(str, table["columns"])), rows, str(table["note"]))


def _dataset(name: str, value: JsonObject) -> tuple[str, ...]:
    many = f"{value['rows']:,}" if "rows" in value else "none: a stored profile"
    window = " to ".join(map(str, value.get("window") or ())) or "all rows"
    digest = value.get("sha256") or value.get("profile", "")
    remark = value.get("problem") or value.get("uncounted") or REMARKS.get(name, "")
    return name, many, window, f"`{digest}`" if digest else "none", remark


def _unsaid(what: str, key: str) -> NotKnown:
    return NotKnown(what, f"write `card.{key}` in the contract")
