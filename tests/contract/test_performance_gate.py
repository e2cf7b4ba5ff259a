"""What the performance, explainability and sealed parts of a contract refuse, each with a sentence that helps."""

from pathlib import Path

import pytest

from support.contract_texts import GOOD
from weighin.contract import checks, read_contract
from weighin.errors import ContractError
from weighin.outcome import Direction

CHECK = "      - {metric: roc_auc, at_least: 0.65}\n"
SLICE = "      - {column: carrier, values: [AA, UA], metric: roc_auc, margin: 0.05}\n"


def read(tmp_path: Path, *changes):
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "model_contract.yaml"
    path.write_text(text)
    return read_contract(path).contract


THRESHOLD = "    threshold: 0.25\n"
PLAN = "    labels: {plan: labels/plan.json, given: labels.csv}\n"


@pytest.mark.parametrize(
    ("new", "says"),
    [
        (PLAN, "draws single rows that count the same: leave `group` out"),
        (PLAN.replace("plan.json", "plan.csv"), "labels.plan"),
        (PLAN.replace("}\n", ", design: best}\n"), "'disagreement', 'stratified' or 'random'"),
        (PLAN.replace("}\n", ", same_share: 1}\n"), "less than 1"),
        ("    evaluations: ten\n", "'one' or 'unlimited'"),
    ],
)
def test_a_label_plan_that_does_not_fit_is_refused(tmp_path: Path, new: str, says: str) -> None:
    with pytest.raises(ContractError, match=r"model_contract\.yaml") as error:
        read(tmp_path, (THRESHOLD, THRESHOLD + new))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (CHECK, "      - {metric: roc_acu, at_least: 0.65}\n", "did you mean `roc_auc`?"),
        (CHECK, "      - {metric: rmse, at_most: 3}\n", "`rmse` is no metric of a binary task"),
        (CHECK, "      - {metric: custom.mine, at_most: 3}\n", "gates.performance.custom has none"),
        (CHECK, "      - {metric: roc_auc, against: champion}\n", "exactly one of"),
        (CHECK, "      - {metric: f1, against: champion, margin: 0.1, better_by: 0.1}\n", "exactly one of"),
        (CHECK, "      - {metric: f1, against: anchor, margin: 0.1}\n", "pin one, model.anchor"),
        (SLICE, "      - {column: carrier, metric: roc_auc, margin: 0.05}\n", "exactly one of `values`, `ranges`"),
        (SLICE, "      - {query: 'x > 1', metric: roc_auc, margin: 0.05}\n", "a `query` needs a `name`"),
        (SLICE, "      - {column: distance, ranges: [[5, 5]], metric: f1, margin: 0.1}\n", "from below to"),
        (
            SLICE,
            "      - {column: nowhere, values: [1], metric: f1, margin: 0.1}\n",
            "gates.performance.slices names `nowhere`",
        ),
        ("  task: binary\n", "  task: multiclass\n", "`classes` lists the labels"),
        ("  task: binary\n", "  task: multiclass\n  classes: [a, b]\n", "three labels or more"),
        ("  task: binary\n", "  task: binary\n  anchor: 'models:/m@champion'\n", "not an alias"),
        (
            "  task: binary\n",
            "  task: regression\n  prediction: {kind: probability}\n",
            "needs `prediction: {kind: value}`",
        ),
        ("  reference: reference.parquet\n", "", "the drift gate needs data.reference"),
        ("group: day\n", "group: day\nweight: distance\n", "needs `role: weight`"),
        ("  load:\n", "  sealed: {epoch: e, holdout_uses: 3}\n  load:\n", "gates.sealed needs data.sealed_holdout"),
        ("  load:\n", "  sealed: {epoch: e, holdout_uses: 0}\n  load:\n", "greater than or equal to 1"),
        ("  load:\n", "  explainability: {rows: 500}\n  load:\n", "gates.explainability has no limit"),
        ("  load:\n", "  explainability: {forbidden: [day]}\n  load:\n", "`day`, which is no feature"),
        (
            "    slices:\n",
            "    fairness:\n      - {column: carrier, values: [AA, UA], measure: mae, at_most: 1}\n    slices:\n",
            "`mae` is no measure of a binary task",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, old, new, says):
    with pytest.raises(ContractError) as refused:
        read(tmp_path, (old, new))
    assert says in str(refused.value)


def test_r2_takes_no_relative_margin(tmp_path):
    changes = [("  task: binary\n", "  task: regression\n"), ("roc_auc", "mae"), ("log_loss", "rmse")]
    check = "      - {metric: mae, at_least: 0.65}\n"
    more = check + "      - {metric: r2, against: champion, relative_margin: 0.1}\n"
    with pytest.raises(ContractError, match="r2 may be negative"):
        read(tmp_path, *changes, (check, more))


@pytest.mark.parametrize(
    ("check", "name", "direction", "value", "factor"),
    [
        ("metric: f1, against: champion, margin: 0.1", "f1/vs-champion", Direction.AT_LEAST, -0.1, 1.0),
        ("metric: f1, against: champion, better_by: 0.1", "f1/vs-champion/better", Direction.AT_LEAST, 0.1, 1.0),
        (
            "metric: f1, against: champion, relative_margin: 0.1",
            "f1/vs-champion/relative",
            Direction.AT_LEAST,
            0.0,
            0.9,
        ),
        ("metric: brier, against: champion, margin: 0.1", "brier/vs-champion", Direction.AT_MOST, 0.1, 1.0),
        ("metric: brier, against: champion, better_by: 0.1", "brier/vs-champion/better", Direction.AT_MOST, -0.1, 1.0),
        (
            *("metric: brier, against: champion, relative_margin: 0.1", "brier/vs-champion/relative"),
            *(Direction.AT_MOST, 0.0, 1.1),
        ),
    ],
)
def test_a_comparison_is_a_limit_in_the_direction_of_improvement(tmp_path, check, name, direction, value, factor):
    contract = read(tmp_path, (CHECK, f"{CHECK}      - {{{check}}}\n"))
    (found,) = [c for c in checks(contract, "performance") if c.id == f"performance/{name}"]
    assert (found.limit.direction, found.limit.value) == (direction, pytest.approx(value))
    assert found.rule.factor == pytest.approx(factor)
    if factor != 1:
        assert str(found.limit) == f"at most 10 % {'below' if factor < 1 else 'above'} the champion's"


def test_fairness_compares_every_ordered_pair(tmp_path):
    fairness = "{column: carrier, values: [A, B, C], measure: equalised_odds, at_most: 0.1}"
    text = f"    fairness:\n      - {fairness}\n    slices:\n"
    found = [c for c in checks(read(tmp_path, ("    slices:\n", text)), "performance") if "fairness" in c.id]
    assert len(found) == 2 * 6
    assert {c.limit.direction for c in found} == {Direction.AT_MOST}


def test_slices_warn_and_the_sealed_suite_is_asked_for_by_releases_only(tmp_path):
    contract = read(
        tmp_path,
        ("  current: current.parquet\n", "  current: current.parquet\n  sealed_holdout: s.parquet\n"),
        ("  load:\n", "  sealed: {epoch: e, holdout_uses: 3}\n  load:\n"),
    )
    assert {c.limit.severity for c in checks(contract, "performance") if "carrier=" in c.id} == {"warn"}
    assert "sealed" not in contract.gates.names
    assert not [c for c in checks(contract) if c.suite == "sealed"]
    assert [c.id for c in checks(contract, "sealed")] == ["sealed/performance"]
