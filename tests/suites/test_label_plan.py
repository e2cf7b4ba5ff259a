"""The performance gate with a label plan: each thing that is broken is red, and what the labels tell is decided."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.plan_work import MORE, ROWS, PlanWork
from weighin.canonical import canonical, digest, read_json, write_json
from weighin.contract import Check, checks
from weighin.contract.checks import FairnessRule, MetricRule, SliceRule
from weighin.contract.gates import Performance, SliceCheck
from weighin.outcome import Direction, Limit, Measurement, Outcome, Status, confirm_failures, decide
from weighin.stats.intervals import Undefined
from weighin.stats.label_plan import Pool
from weighin.stats.scored import Bools, Scored
from weighin.suites.label_plan import SCHEMA
from weighin.suites.performance import measure_rows
from weighin.suites.rows import Rows


@pytest.fixture
def work(tmp_path: Path) -> PlanWork:
    return PlanWork(tmp_path).write()


def said(outcome: Outcome) -> tuple[str, str]:
    return outcome.status.value, outcome.reason


def test_a_better_candidate_passes_on_a_few_labels(work: PlanWork) -> None:
    found = work.label(100).outcomes()
    assert work.red() == {}
    evidence = found["accuracy/vs-champion"].evidence
    assert isinstance(evidence, Measurement)
    assert (evidence.n, evidence.sampling_unit, evidence.evaluations, evidence.level) == (
        100,
        "labels",
        "unlimited",
        0.95,
    )
    assert evidence.low > 0
    assert evidence.detail["labelled_rows"] == 100
    assert evidence.detail["rows_decided_differently"] == work.written.pool.differ


@pytest.mark.parametrize("classes", [2, 4])
def test_a_worse_candidate_fails(tmp_path: Path, classes: int) -> None:
    work = PlanWork(tmp_path, gain=-0.7, classes=classes)
    if classes > 2:
        work.contract = work.contract.replace("task: binary", "task: multiclass, classes: [0, 1, 2, 3]")
        work.contract = work.contract.replace("allowed: [0, 1]", "allowed: [0, 1, 2, 3]")
    assert work.write().label(200).red() == {"accuracy/vs-champion": "failed"}


def test_a_clear_failure_is_confirmed_among_many_checks(tmp_path: Path) -> None:
    failed = PlanWork(tmp_path, gain=-0.7).write().label(200).outcome()
    others = [replace(failed, check=str(n), status=Status.PASSED) for n in range(29)]
    assert confirm_failures([failed, *others], 0.05)[0].status is Status.FAILED
    # Of all that is not known the share of rows decided differently is a part, and has its share of the p-value.
    assert isinstance(failed.evidence, Measurement)
    assert 0 < (failed.evidence.p_value or 0) < 0.05 / 30


def test_an_equal_candidate_is_inconclusive_and_is_told_how_many_labels_are_wanted(tmp_path: Path) -> None:
    outcome = PlanWork(tmp_path, gain=0.0).write().label(60).outcome()
    assert outcome.status.value == "inconclusive"
    assert "labels would settle it, this has 60" in outcome.reason
    assert (outcome.n_required or 0) > 60


def test_another_model_is_not_judged_by_the_plan_of_this_one(work: PlanWork) -> None:
    work.label(100)
    kept = work.folder / "labels/plan.json"
    before = kept.read_bytes()
    for role in ("candidate", "champion"):
        score = work.scores[role][7]
        work.scores[role][7] = 1 - score
        work.write()
        kept.write_bytes(before)
        status, reason = said(work.outcome())
        assert status == "not_evaluated"
        assert f"the plan was made of other decisions of the {role}" in reason
        work.scores[role][7] = score


def test_another_table_is_not_judged_by_this_plan(work: PlanWork) -> None:
    before = (work.folder / "labels/plan.json").read_bytes()
    work.label(100)
    work.frame.loc[3, "id"] = 99_999
    work.write()
    (work.folder / "labels/plan.json").write_bytes(before)
    status, reason = said(work.outcome())
    assert status == "not_evaluated"
    assert "the plan was made of other keys of the holdout" in reason


def test_another_design_is_another_plan(work: PlanWork) -> None:
    before = (work.folder / "labels/plan.json").read_bytes()
    work.contract = work.contract.replace("design: disagreement", "design: random")
    work.write().label(100)
    (work.folder / "labels/plan.json").write_bytes(before)
    status, reason = said(work.outcome())
    assert status == "not_evaluated"
    assert "another design than the contract" in reason


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 1),
        ("tightest", 0),
        ("tightest", 50),
        ("rows", 7),
        ("listed", -1),
        ("batch", 0),
        ("design", "best"),
        ("schema", "x"),
    ],
)
def test_a_plan_that_was_edited_is_none(work: PlanWork, key: str, value: object) -> None:
    path = work.label(100).folder / "labels/plan.json"
    write_json(path, {**read_json(path, SCHEMA), key: value})
    assert work.outcome().status.value == "not_evaluated"


def test_where_the_interval_is_tightest_follows_from_the_contract(work: PlanWork) -> None:
    before = (work.folder / "labels/plan.json").read_bytes()
    work.contract = work.contract.replace("margin: 0.01", "margin: 0.02")
    work.write().label(100)
    assert work.outcome().status.value == "passed"
    (work.folder / "labels/plan.json").write_bytes(before)
    status, reason = said(work.outcome())
    assert status == "not_evaluated"
    assert "the plan was made for other limits" in reason


def test_a_record_says_which_plan_and_labels_decided(work: PlanWork) -> None:
    def digests(outcome: Outcome) -> tuple[str, str]:
        assert isinstance(outcome.evidence, Measurement)
        return outcome.evidence.detail["label_plan"], outcome.evidence.detail["labels"]

    table = work.labels(100)
    first = digests(work.label(table).outcome())
    assert first[0] == digest(canonical(work.written.to_json()))
    assert digests(work.label(table[::-1]).outcome()) == first
    other = table.copy()
    other.iloc[7, other.columns.get_loc("late")] = 1 - other.iloc[7]["late"]
    for given in (other, table.iloc[:99]):
        second = digests(work.label(given).outcome())
        assert second[0] == first[0]
        assert second[1] != first[1]
    work.listed = 500
    assert digests(work.plan().label(table).outcome())[0] != first[0]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"schema": "weighin/label-plan/v1"}'])
def test_without_a_plan_nothing_is_evaluated(work: PlanWork, content: bytes | None) -> None:
    path = work.label(100).folder / "labels/plan.json"
    path.unlink() if content is None else path.write_bytes(content)
    status, reason = said(work.outcome())
    assert status == "not_evaluated"
    assert "label plan" in reason


def test_labels_that_contradict_each_other_are_a_sentence_without_their_values(work: PlanWork) -> None:
    table = work.labels(100)
    other = table.iloc[[4]].assign(late=1 - table.iloc[4]["late"])
    before = work.label(pd.concat([table, other])).folder / "labels.csv"
    kept = before.read_bytes()
    status, reason = said(work.outcome())
    assert status == "not_evaluated"
    assert "1 rows have labels that contradict each other" in reason
    assert str(table.iloc[4]["id"]) not in reason.replace("100", "")
    assert before.read_bytes() == kept


def test_a_label_that_is_given_twice_alike_counts_once(work: PlanWork) -> None:
    table = work.labels(100)
    once = work.label(table).outcome()
    assert work.label(pd.concat([table, table])).outcome() == once


def test_labels_of_rows_that_were_not_drawn_are_refused(work: PlanWork) -> None:
    table = work.labels(100)
    same = sorted(set(range(ROWS)) - set(work.drawn.tolist()))[:3]
    agreed = work.frame.loc[same, ["id", "day"]].assign(late=1)
    unknown = pd.DataFrame({"id": [10**6], "day": ["2026-01-01"], "late": [1]})
    for rows, count in ((agreed, 3), (unknown, 1)):
        status, reason = said(work.label(pd.concat([table, rows])).outcome())
        assert status == "not_evaluated"
        assert f"{count} labels are of rows that were not drawn" in reason


def test_labels_beyond_the_listed_rows_were_not_drawn_either(tmp_path: Path) -> None:
    work = PlanWork(tmp_path).write()
    table = work.labels(120)
    work.listed = 100
    work.plan().label(table)
    assert "20 labels are of rows that were not drawn" in work.outcome().reason


def test_labels_count_up_to_the_first_that_is_missing(work: PlanWork) -> None:
    table = work.labels(100)
    whole = work.label(table.iloc[:40]).outcome()
    assert work.label(table.drop(table.index[40])).outcome() == whole
    hole = table.astype({"late": object})
    hole.iloc[40, hole.columns.get_loc("late")] = None
    assert work.label(hole).outcome() == whole
    assert work.label(table.drop(table.index[0])).outcome().status.value == "not_evaluated"
    assert "99 of later rows wait for it" in work.outcome().reason


def test_the_order_of_the_file_is_nothing(work: PlanWork) -> None:
    table = work.labels(100)
    assert work.label(table.sample(frac=1, random_state=1)).outcome() == work.label(table).outcome()


def test_without_labels_nothing_is_evaluated(work: PlanWork) -> None:
    assert "the first row of the label plan has no label yet" in work.outcome().reason  # no file
    for table in (work.labels(0), work.labels(5).assign(late=None)):
        status, reason = said(work.label(table).outcome())
        assert status == "not_evaluated"
        assert "the first row of the label plan has no label yet" in reason


@pytest.mark.parametrize(
    ("column", "label", "rule"),
    [
        ("type: string, role: target, allowed: [late, in time]", "unsure", "allowed"),
        ('type: string, role: target, pattern: "(?:late|in time)"', "unsure", "pattern"),
        ("type: integer, role: target, minimum: 0, maximum: 1", 7, "range"),
    ],
)
def test_labels_that_the_column_does_not_allow_are_refused_without_their_values(
    work: PlanWork, column: str, label: object, rule: str
) -> None:
    # `unsure` is no class: of a binary task it would be one that is not the positive one.
    work.contract = work.contract.replace("type: integer, role: target, allowed: [0, 1]", column)
    words = "string" in column
    if words:
        work.contract = work.contract.replace("target: late}", "target: late, positive: late}")
    table = work.write().labels(100)
    if words:
        table["late"] = np.where(table["late"] == 1, "late", "in time")
    assert work.label(table).outcome().status.value == "passed"
    table.iloc[[3, 4], table.columns.get_loc("late")] = label
    status, reason = said(work.label(table).outcome())
    assert status == "not_evaluated"
    assert f"2 of 100 labels are outside of what `late` may hold ({rule})" in reason
    assert str(label) not in reason
    # Two kinds of labels alone, as a binary task has them, are no proof that both are meant.
    table["late"] = np.where(table["late"] == table["late"].iloc[0], table["late"].iloc[0], label)
    assert "outside of what `late` may hold" in work.label(table).outcome().reason


def test_labels_that_are_none_of_the_task_are_refused(work: PlanWork) -> None:
    work.contract = work.contract.replace(", allowed: [0, 1]", "")
    table = work.write().labels(100)
    table.iloc[3, table.columns.get_loc("late")] = 2
    status, reason = said(work.label(table).outcome())
    assert status == "not_evaluated"
    assert "labels other than 0 and 1" in reason


def test_a_key_that_is_missing_or_occurs_twice_is_refused(work: PlanWork) -> None:
    table = work.labels(100)
    table = table.astype({"id": object})
    table.iloc[2, 0] = None
    assert "a label without its whole key" in work.label(table).outcome().reason
    assert "no column day" in work.label(work.labels(100).drop(columns="day")).outcome().reason
    work.frame.loc[1, ["id", "day"]] = work.frame.loc[0, ["id", "day"]]
    with pytest.raises(Exception, match="1 keys occur twice"):
        work.write()


def test_rows_decided_differently_tell_one_difference_and_nothing_else(tmp_path: Path) -> None:
    work = PlanWork(tmp_path)
    work.contract = work.contract.replace("    labels:", f"{MORE}    labels:")
    found = work.write().label(200).outcomes()
    assert found["accuracy/vs-champion"].status.value == "passed"
    others = {n: o for n, o in found.items() if n not in ("accuracy/vs-champion", "changed")}
    assert len(others) == 5
    for outcome in others.values():
        assert outcome.status.value == "not_evaluated", outcome
        assert "tell their difference in accuracy and nothing else" in outcome.reason


@pytest.mark.parametrize("design", ["stratified", "random"])
def test_other_designs_measure_every_check(tmp_path: Path, design: str) -> None:
    work = PlanWork(tmp_path)
    work.contract = work.contract.replace("    labels:", f"{MORE}    labels:")
    work.contract = work.contract.replace("design: disagreement", f"design: {design}")
    found = work.write().label(3_000).outcomes()
    assert {o.status.value for o in found.values()} == {"passed"}, found
    wrong = work.scores["candidate"].round() != work.truth
    evidence = found["accuracy"].evidence
    assert isinstance(evidence, Measurement)
    assert evidence.low < 1 - wrong.mean() < evidence.high
    assert evidence.estimate == pytest.approx(1 - wrong.mean(), abs=0.05)
    for name, outcome in found.items():
        if name != "changed":
            assert isinstance(outcome.evidence, Measurement)
            assert outcome.evidence.evaluations == "unlimited", name
            assert "anytime-valid" in outcome.evidence.method, name


def test_a_stratum_with_few_labels_measures_nothing_but_the_difference(tmp_path: Path) -> None:
    work = PlanWork(tmp_path)
    work.contract = work.contract.replace("    labels:", f"{MORE}    labels:")
    work.contract = work.contract.replace("design: disagreement", "design: stratified")
    found = work.write().label(60).outcomes()
    others = {n: o for n, o in found.items() if not n.startswith(("accuracy", "changed"))}
    assert len(others) == 3
    assert {o.status.value for o in others.values()} == {"not_evaluated"}
    assert "12 labels of rows that both models decide the same" in others["f1/vs-champion"].reason
    # Both of these have exact bounds at any number of labels, the one alone very wide ones.
    assert found["accuracy"].status.value == "inconclusive"
    assert found["accuracy/vs-champion"].status.value in ("passed", "inconclusive")


def labelled(right: Bools, differ: Bools, group: Bools | None = None) -> Rows:
    """Labels of a stratified plan of 20,000 rows, of which 400 are decided differently; `right`: the candidate is."""
    truth = np.arange(len(right)) // 5 % 2 == 0
    ours, theirs = np.where(right, truth, ~truth), np.where(right ^ differ, truth, ~truth)
    sure = 0.2 * np.random.default_rng(1).random(len(right))
    scores = {
        role: Scored(truth, np.where(d, 0.9 - sure, 0.1 + sure))
        for role, d in (("candidate", ours), ("champion", theirs))
    }
    pool, of = Pool("stratified", 20_000, 400, 0.2, 300), np.zeros(len(right), bool) if group is None else group
    made = Rows(scores, None, "rows", lambda _: np.where(of, "a", "b"), lambda _: of)
    return made.by_plan(pool, differ)


GATE = Performance.model_validate({"checks": [{"metric": "accuracy", "at_least": 0.9}]})
PART = SliceCheck.model_validate({"query": "x", "name": "x", "metric": "recall", "margin": 0.1})


def decided(rule: MetricRule | FairnessRule, rows: Rows, limit: float) -> str:
    at_most = isinstance(rule, FairnessRule)
    of = Limit(Direction.AT_MOST if at_most else Direction.AT_LEAST, limit, 0.05, evaluations="unlimited")
    try:
        return decide(
            measure_rows(Check("performance/x", "performance", of, rule), rows, GATE, Path()), of
        ).status.value
    except Undefined as error:
        return str(error)


def test_twenty_right_labels_do_not_stand_for_all_rows_that_are_decided_the_same() -> None:
    # At an accuracy of 0.95 all 20 are right in 36 of 100 plans: bounds by the variance that is seen were at 0.970.
    differ = np.arange(100) % 5 > 0
    right = ~differ | (np.cumsum(differ) % 2 == 0)
    rows = labelled(right, differ)
    assert [decided(MetricRule("accuracy"), rows, limit) for limit in (0.95, 0.9, 0.7)] == [
        *["inconclusive"] * 2,
        "passed",
    ]
    for rule in (MetricRule("f1"), MetricRule("brier"), MetricRule("accuracy", "champion", 0.98)):
        assert "that both models decide the same carry" in decided(rule, rows, 0.5), rule
    # Nothing of rows decided the same is unknown in the difference of accuracies.
    assert decided(MetricRule("accuracy", "champion"), rows, -0.1) == "passed"


def test_labels_that_are_all_right_are_no_leak() -> None:
    differ = np.arange(200) % 5 > 0
    rows = labelled(np.ones(200, dtype=bool), differ)
    assert decided(MetricRule("accuracy"), rows, 0.5) == "passed"
    for name in ("f1", "recall"):
        assert "is perfect on all of 200 labels so far" in decided(MetricRule(name), rows, 0.5)


def test_a_metric_of_the_teams_own_needs_influence_values_and_labels_that_carry_it(tmp_path: Path) -> None:
    (tmp_path / "own_of_a_plan.py").write_text(
        "def each(truth, score, weight):\n    return (score - truth) ** 2\n"
        "def one(truth, score, weight):\n    return float(((score - truth) ** 2).mean())\n"
    )
    own = {name: {"function": f"own_of_a_plan:{name}", "unit": "x"} for name in ("each", "one")}
    gate = Performance.model_validate({"checks": [{"metric": "accuracy", "at_least": 0.9}], "custom": own})
    differ = np.arange(2_000) % 5 > 0
    many = labelled(np.random.default_rng(3).random(2_000) < 0.7, differ)
    few = labelled(~differ | (np.arange(2_000) % 2 == 0), differ)
    limit = Limit(Direction.AT_MOST, 0.9, 0.05, evaluations="unlimited")

    def measured(name: str, rows: Rows) -> str:
        check = Check("performance/x", "performance", limit, MetricRule(f"custom.{name}"))
        return decide(measure_rows(check, rows, gate, tmp_path), limit).status.value

    assert measured("each", many) == "passed"
    with pytest.raises(Undefined, match="decide the same carry"):
        measured("each", few)
    with pytest.raises(Undefined, match="one number of all rows"):
        measured("one", many)


@pytest.mark.parametrize("few", ["differently", "the same"])
def test_a_slice_needs_labels_of_both_kinds_of_its_own(few: str) -> None:
    differ = np.arange(4_000) % 5 > 0
    right = np.random.default_rng(3).random(4_000) < 0.7
    rule = MetricRule("f1", None, 1.0, SliceRule(PART, None))
    assert decided(rule, labelled(right, differ, np.arange(4_000) % 3 == 0), -0.5) == "passed"
    short = differ if few == "differently" else ~differ
    within = np.where(short, np.cumsum(short) <= 19, np.arange(4_000) % 3 == 0)
    assert f"19 labels of rows that both models decide {few}" in decided(rule, labelled(right, differ, within), -0.5)
    within = np.where(short, np.cumsum(short) <= 25, np.arange(4_000) % 3 == 0)
    right = right | (short & (np.cumsum(short) > 3))
    said = decided(rule, labelled(right, differ, within), -0.5)
    assert f"that both models decide {few} carry what varies among them" in said


@pytest.mark.parametrize("few", ["differently", "the same"])
@pytest.mark.parametrize("first", [True, False])
def test_each_group_of_a_fairness_check_needs_labels_of_both_kinds_of_its_own(few: str, *, first: bool) -> None:
    differ = np.arange(4_000) % 5 > 0
    right = np.random.default_rng(3).random(4_000) < 0.7
    rule = FairnessRule("error_rate", "x", "a", "b")
    assert decided(rule, labelled(right, differ, np.arange(4_000) % 3 == 0), 0.5) == "passed"
    short = differ if few == "differently" else ~differ
    inside = np.where(short, np.cumsum(short) <= 19, np.arange(4_000) % 3 == 0)
    said = decided(rule, labelled(right, differ, inside if first else ~inside), 0.5)
    assert f"too few labels of the {'first' if first else 'second'} group" in said
    assert "19" not in said
    # Enough labels, of which all but three are right.
    inside = np.where(short, np.cumsum(short) <= 60, np.arange(4_000) % 3 == 0)
    right = right | (short & inside & (np.cumsum(short) > 3))
    said = decided(rule, labelled(right, differ, inside if first else ~inside), 0.5)
    assert f"too few labels of the {'first' if first else 'second'} group" in said


def test_without_a_champion_only_any_rows_can_be_drawn(tmp_path: Path) -> None:
    work = PlanWork(tmp_path, roles=("candidate",))
    work.contract = work.contract.replace("    labels:", "      - {metric: accuracy, at_least: 0.7}\n    labels:")
    with pytest.raises(Exception, match="there is no champion yet"):
        work.write()
    work.contract = work.contract.replace("design: disagreement", "design: random")
    found = work.write().label(1_000).outcomes()
    assert found["accuracy"].status.value == "passed"
    assert found["accuracy"].evidence.detail["rows"] == 1_000


def test_a_limit_for_any_number_of_evaluations_takes_no_interval_for_one(work: PlanWork) -> None:
    outcome = work.label(100).outcome()
    assert isinstance(outcome.evidence, Measurement)
    once = decide(replace(outcome.evidence, evaluations="one"), outcome.limit)
    assert said(once) == (
        "not_evaluated",
        "the interval is for one evaluation, the limit demands one for any number of them",
    )


def test_the_quality_of_the_holdout_is_judged_without_its_target(work: PlanWork) -> None:
    work.contract = work.contract.replace("gates:\n", "gates:\n  data_quality: {rows_at_least: 10}\n")
    work.write()
    names = [c.id for c in checks(work.evidence.contract, "data_quality")]
    assert "data_quality/holdout/distance/exists" in names
    assert not [n for n in names if "/late/" in n]


@pytest.mark.parametrize("design", ["disagreement", "stratified", "random"])
def test_a_decision_that_changes_leaves_the_order_of_all_other_rows(tmp_path: Path, design: str) -> None:
    # Whoever knows labels could flip borderline decisions until an order comes up whose first labels please.
    work = PlanWork(tmp_path)
    work.contract = work.contract.replace("design: disagreement", f"design: {design}")
    before, pool = work.write().drawn, work.written.pool
    differ = work.scores["candidate"].round() != work.scores["champion"].round()
    for row in (np.flatnonzero(differ)[3], np.flatnonzero(~differ)[3]):
        work.scores["candidate"][row] = 1 - work.scores["candidate"][row]
        after = work.write().drawn
        work.scores["candidate"][row] = 1 - work.scores["candidate"][row]
        if design == "random":
            assert after.tolist() == before.tolist()
        else:
            assert abs(work.written.pool.differ - pool.differ) == 1
        for kind in (differ, ~differ):
            kept = kind.copy()
            kept[row] = False
            assert after[kept[after]].tolist() == before[kept[before]].tolist()


@pytest.mark.parametrize("design", ["disagreement", "stratified", "random"])
def test_where_rows_are_in_the_file_is_nothing(tmp_path: Path, design: str) -> None:
    work = PlanWork(tmp_path)
    work.contract = work.contract.replace("design: disagreement", f"design: {design}")
    before, plan = work.write().labels(ROWS), work.written
    found = work.label(300).outcomes()
    other = np.random.default_rng(9).permutation(ROWS)
    work.frame, work.truth = work.frame.iloc[other].reset_index(drop=True), work.truth[other]
    work.scores = {role: score[other] for role, score in work.scores.items()}
    work.write()
    assert work.written == plan
    assert work.labels(ROWS).values.tolist() == before.values.tolist()
    assert {n: o.status for n, o in work.outcomes().items()} == {n: o.status for n, o in found.items()}
