"""`labels.html`: what the labels of a plan say so far, and what is left to do. One file, without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from weighin.report.html import template
from weighin.report.numbers import percent
from weighin.report.series import Line, over_labels
from weighin.report.view import CheckView, check_view
from weighin.untrusted import JsonObject

DESIGNS = {
    "disagreement": "rows that candidate and champion decide differently",
    "stratified": "rows that both decide differently, and some of those that both decide the same",
    "random": "any rows",
}


@dataclass(frozen=True)
class Card:
    """One check: what it says now in words, and by the number of labels."""

    view: CheckView
    expected: int | None
    chart: Markup


def page(status: JsonObject) -> str:
    """Return the page of a label plan.

    status  as `weighin.verdict.label_plan.label_status` makes it
    """
    cards = [_card(check, int(status["batch"])) for check in status["checks"]]
    worst = next((s for s in ("failed", "inconclusive", "not_evaluated") if _blocks(cards, s)), "passed")
    return template("labels.html.j2").render(
        title=f"Labels for {status['model']}: {status['labels']:,} of {status['listed']:,}",
        status=status,
        design=DESIGNS.get(str(status["design"]), str(status["design"])),
        state=worst,
        cards=cards,
        level=percent(1 - float(status["alpha"])),
        share=round(100 * min(1.0, status["labels"] / max(1, status["listed"]))),
    )


def _blocks(cards: Sequence[Card], status: str) -> bool:
    return any(c.view.status == status and c.view.blocks for c in cards)


def _card(check: JsonObject, batch: int) -> Card:
    view = check_view(check)
    columns = [[np.nan if v is None else float(v) for v in column] for column in zip(*check["series"], strict=True)]
    chart = Markup("")
    if columns:
        line = Line.of("", *columns)
        title = f"{view.check} by the number of labels: {view.estimate or view.reason}, limit {view.limit}"
        chart = over_labels(title, line, float(check["limit"]["value"]), at_least=view.at_least, every=float(batch))
    expected = check["expected"]
    return Card(view, None if expected is None else int(expected), chart)
