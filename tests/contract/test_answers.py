"""What a contract may say of labels and answers, and what it is told at once where that cannot be measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.contract_texts import GOOD
from weighin.contract.models import Contract
from weighin.contract.reading import read_contract
from weighin.errors import ContractError
from weighin.runner.plan import Answers

TARGET = "late: {type: integer, role: target, allowed: [0, 1]}"
TEXTS = ('late: {type: string, role: target, allowed: ["no", "yes"]}', 'target: late\n  positive: "yes"')
LABEL = "target: late\n  prediction: {kind: label}"
DECISIONS = (
    ("{metric: roc_auc, at_least: 0.65}", "{metric: accuracy, at_least: 0.65}"),
    ("{metric: roc_auc, against: champion, margin: 0.01}", "{metric: f1, against: champion, margin: 0.01}"),
    ("{metric: log_loss, against: champion, margin: 0.02}", "{metric: recall, against: champion, margin: 0.02}"),
    ("metric: roc_auc, margin", "metric: accuracy, margin"),
)


def changed(tmp_path: Path, *changes: tuple[str, str]) -> Contract:
    text = GOOD
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    (tmp_path / "model_contract.yaml").write_text(text)
    return read_contract(tmp_path / "model_contract.yaml").contract


def test_what_is_read_of_an_answer(tmp_path: Path) -> None:
    assert changed(tmp_path).model.answers == Answers((1,))
    named = changed(tmp_path, ("target: late", "target: late\n  prediction: {column: p_late}"))
    assert named.model.answers == Answers(("p_late",))
    texts = changed(tmp_path, (TARGET, TEXTS[0]), ("target: late", TEXTS[1]))
    assert texts.model.answers == Answers((1,), positive="yes")
    assert changed(tmp_path, ("target: late", LABEL), *DECISIONS).model.answers == Answers((0,), "label")
    score = changed(
        tmp_path,
        ("target: late", "target: late\n  prediction: {kind: score}"),
        ("log_loss, against: champion, margin: 0.02", "average_precision, against: champion, margin: 0.02"),
    )
    assert score.model.answers == Answers((0,), "score")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([(TARGET, "late: {type: string, role: target}")], "the target `late` is a string: name its positive label"),
        (
            [(TARGET, "late: {type: string, role: target}"), ("target: late", "target: late\n  positive: yes")],
            "model.positive lists a boolean, and the target `late` is a string: YAML reads yes",
        ),
        (
            [(TARGET, "late: {type: string, role: target, allowed: [no, yes]}"), ("target: late", TEXTS[1])],
            "`allowed` of a string column lists a boolean: YAML reads yes",
        ),
        ([("target: late", 'target: late\n  positive: "1"')], "model.positive names a label that is no integer"),
        ([("target: late", "target: late\n  positive: 2")], "model.positive names `2`, which is not in `allowed`"),
        ([("allowed: [0, 1]}", "allowed: [0, 1, 2]}")], "lists 3 labels, and a binary task has two"),
        ([(TARGET, "late: {type: date, role: target}")], "the target `late` is a date, which holds no labels"),
        ([("target: late", LABEL)], "`roc_auc` cannot be measured of a label; there are: accuracy"),
        (
            [("target: late", "target: late\n  prediction: {kind: score}")],
            "`log_loss` cannot be measured of a score; there are: roc_auc, average_precision",
        ),
        (
            [("target: late", "target: late\n  prediction: {kind: value}")],
            "a binary task needs `prediction: {kind: probability or label or score}`",
        ),
        (
            [("  drift:", "  explainability: {share_at_most: 0.5}\n  drift:"), ("target: late", LABEL), *DECISIONS],
            "only `forbidden` can be measured of a label",
        ),
        (
            [("day: {type: date, role: group}", "day: {type: date, role: group}\n    e: {type: array}")],
            "no distance is known for the array `e`: write `columns: {e: {ignore: true, reason: ...}}`",
        ),
        ([("carrier: {type: string, allowed: [AA, UA]}", "carrier: {type: string, categorical: true}")], "`allowed`"),
        (
            [
                ("task: binary", "task: multiclass\n  classes: [low, on, high]"),
                (TARGET, "late: {type: string, role: target}"),
            ],
            "`classes` lists a boolean: YAML reads yes",
        ),
    ],
)
def test_what_cannot_be_measured_is_said_at_once(tmp_path: Path, changes: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(ContractError) as caught:
        changed(tmp_path, *changes)
    assert said in str(caught.value)
