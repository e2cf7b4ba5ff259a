"""Every kind of comparison of the performance gate, each with one thing broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from support.suite_work import ROWS, Work
from weighin.model.answers import COLUMN, FEATURES
from weighin.model.subject import ModelVersion, Subject
from weighin.outcome import Outcome

CHAMPION = "      - {metric: roc_auc, against: champion, margin: 0.02}\n"
SLICE = "      - {column: carrier, values: [AA], metric: roc_auc, margin: 0.1}\n"


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def found(work: Work, *, checks: str = "", slices: str = "", fairness: str = "", more: str = "") -> dict[str, Outcome]:
    """Outcomes of the contract with further checks."""
    work.contract = work.contract.replace(CHAMPION, CHAMPION + checks).replace(SLICE, SLICE + slices)
    if fairness:
        work.contract = work.contract.replace("    slices:\n", f"    fairness:\n{fairness}    slices:\n")
    if more:
        work.contract = work.contract.replace("    threshold: 0.5\n", f"    threshold: 0.5\n{more}")
    return work.write().outcomes("performance")


def only(outcomes: dict[str, Outcome], ending: str) -> Outcome:
    (name,) = [n for n in outcomes if n.endswith(ending)]
    return outcomes[name]


@pytest.mark.parametrize(
    ("check", "ending", "status"),
    [
        ("{metric: roc_auc, against: champion, relative_margin: 0.05}", "vs-champion/relative", "passed"),
        ("{metric: log_loss, against: champion, relative_margin: 0.05}", "log_loss/vs-champion/relative", "passed"),
        ("{metric: roc_auc, against: champion, better_by: 0.02}", "vs-champion/better", "passed"),
        ("{metric: roc_auc, against: champion, better_by: 0.2}", "vs-champion/better", "failed"),
        ("{metric: log_loss, against: champion, better_by: 0.3}", "log_loss/vs-champion/better", "failed"),
        ("{metric: f1, at_least: 0.5}", "performance/f1", "passed"),
        ("{metric: average_precision, at_least: 0.99}", "performance/average_precision", "failed"),
        ("{metric: brier, at_most: 0.3}", "performance/brier", "passed"),
        ("{metric: balanced_accuracy, against: champion, margin: 0.02}", "balanced_accuracy/vs-champion", "passed"),
    ],
)
def test_a_comparison_is_decided_in_the_direction_the_metric_improves(
    check: str, ending: str, status: str, work: Work
) -> None:
    assert only(found(work, checks=f"      - {check}\n"), ending).status.value == status


@pytest.mark.parametrize("check", ["relative_margin: 0.05", "better_by: 0.0", "margin: 0.01"])
def test_a_worse_candidate_passes_no_comparison(check: str, work: Work) -> None:
    scores = work.scores
    scores["candidate", "holdout"], scores["champion", "holdout"] = (
        scores["champion", "holdout"],
        scores["candidate", "holdout"],
    )
    outcomes = found(work, checks=f"      - {{metric: log_loss, against: champion, {check}}}\n")
    (name,) = [n for n in outcomes if n.startswith("performance/log_loss/vs")]
    assert outcomes[name].status.value == "failed"


def test_a_comparison_of_decisions_says_how_often_each_model_decides_positive(work: Work) -> None:
    outcomes = found(work, checks="      - {metric: recall, against: champion, margin: 0.5}\n")
    shares = only(outcomes, "recall/vs-champion").evidence.detail["positive_share"]
    expected = {role: float((work.scores[role, "holdout"] >= 0.5).mean()) for role in ("candidate", "champion")}
    assert shares == pytest.approx(expected, abs=1e-6)
    assert "positive_share" not in only(outcomes, "performance/roc_auc/vs-champion").evidence.detail


def with_anchor(work: Work) -> Work:
    work.contract = work.contract.replace("target: late}", "target: late, anchor: 'models:/m/1'}", 1)
    work.contract = work.contract.replace(
        CHAMPION, CHAMPION + "      - {metric: roc_auc, against: anchor, margin: 0.02}\n"
    )
    work.scores["anchor", "holdout"] = work.scores["champion", "holdout"].copy()
    work.write()
    path = work.folder / "work/subject.json"
    replace(Subject.read(path), anchor=ModelVersion("m", "1", "r", "sha256:a", "x")).write(path)
    return work


def test_the_anchor_is_a_second_baseline(work: Work) -> None:
    assert with_anchor(work).outcomes("performance")["performance/roc_auc/vs-anchor"].status.value == "passed"


def test_a_candidate_that_has_decayed_fails_against_the_anchor_alone(work: Work) -> None:
    with_anchor(work)
    truth = work.frames["holdout"]["late"].to_numpy()
    work.scores["anchor", "holdout"] = np.clip(0.25 + 0.5 * truth + np.random.default_rng(1).normal(0, 0.1, ROWS), 0, 1)
    path = work.folder / "work/subject.json"
    anchor = Subject.read(path).anchor
    work.write()
    replace(Subject.read(path), anchor=anchor).write(path)
    red = work.red("performance")
    assert red == {"performance/roc_auc/vs-anchor": "failed"}


def test_an_anchor_that_was_not_resolved_is_not_evaluated(work: Work) -> None:
    with_anchor(work)
    path = work.folder / "work/subject.json"
    replace(Subject.read(path), anchor=None).write(path)
    assert work.outcomes("performance")["performance/roc_auc/vs-anchor"].status.value == "not_evaluated"


def test_slices_are_ranges_and_queries_too(work: Work) -> None:
    outcomes = found(
        work,
        slices="      - {column: distance, ranges: [[0, 1500], [1500, 9000]], metric: roc_auc, margin: 0.1}\n"
        "      - {query: \"distance > 1000 and carrier = 'AA'\", name: far, metric: roc_auc, margin: 0.15}\n",
    )
    frame = work.frames["holdout"]
    expected = {
        "distance=0..1500": int((frame["distance"] < 1500).sum()),
        "distance=1500..9000": int((frame["distance"] >= 1500).sum()),
        "/far": int(((frame["distance"] > 1000) & (frame["carrier"] == "AA")).sum()),
    }
    for ending, rows in expected.items():
        outcome = only(outcomes, ending)
        assert outcome.status.value == "passed", outcome.reason
        assert outcome.evidence.detail["rows"] == rows


@pytest.mark.parametrize("query", ["no_such_column > 1", "distance >", "read_text('/etc/passwd') is not null"])
def test_a_query_that_cannot_be_asked_is_not_evaluated(query: str, work: Work) -> None:
    outcome = only(
        found(work, slices=f'      - {{query: "{query}", name: q, metric: roc_auc, margin: 0.1, severity: block}}\n'),
        "/q",
    )
    assert (outcome.status.value, outcome.blocks) == ("not_evaluated", True)


def test_small_slices_are_judged_together_as_other(work: Work) -> None:
    carrier = np.array(["UA"] * ROWS, dtype=object)
    carrier[::40], carrier[1::40], carrier[2::3] = "AA", "B6", "DL"
    work.frames["holdout"]["carrier"] = carrier
    sizes = work.frames["holdout"]["carrier"].value_counts()
    text = "{column: carrier, values: [AA, B6, UA], metric: log_loss, margin: 0.5, other: true}"
    outcomes = found(work, slices=f"      - {text}\n")
    rest = int(sizes["AA"] + sizes["B6"] + sizes["DL"])
    for value in ("AA", "B6", "other"):
        detail = only(outcomes, f"log_loss/vs-champion/carrier={value}").evidence.detail
        assert detail["rows"] == rest
        assert "too small alone" in detail["pooled"]
    own = only(outcomes, "log_loss/vs-champion/carrier=UA").evidence.detail
    assert (own["rows"], "pooled" in own) == (int(sizes["UA"]), False)


def test_one_class_in_a_slice_is_not_evaluated(work: Work) -> None:
    work.frames["holdout"].loc[work.frames["holdout"]["carrier"] == "AA", "late"] = 0
    outcome = only(found(work), "carrier=AA")
    assert outcome.status.value == "not_evaluated"
    assert "labels are equal" in outcome.reason


def test_a_missing_slice_column_is_not_evaluated(work: Work) -> None:
    work.write()
    path = work.folder / "holdout.parquet"
    work.frames["holdout"].drop(columns="carrier").to_parquet(path, index=False)
    work.forget_fingerprints()
    outcome = only(work.outcomes("performance"), "carrier=AA")
    assert outcome.status.value == "not_evaluated"
    assert "no column carrier" in outcome.reason


def test_a_missing_group_column_is_not_evaluated(work: Work) -> None:
    work.write()
    work.frames["holdout"].drop(columns="day").to_parquet(work.folder / "holdout.parquet", index=False)
    work.forget_fingerprints()
    outcomes = work.outcomes("performance")
    assert {o.status.value for n, o in outcomes.items() if n != "performance/changed"} == {"not_evaluated"}


def test_one_group_only_is_not_evaluated(work: Work) -> None:
    work.frames["holdout"]["day"] = work.frames["holdout"]["day"].iloc[0]
    outcome = found(work)["performance/roc_auc"]
    assert outcome.status.value == "not_evaluated"
    assert "1 independent units" in outcome.reason


def test_blocks_of_time_are_groups(work: Work) -> None:
    work.contract = work.contract.replace("group: day\n", "group: {column: at, hours: 48}\n")
    outcome = found(work)["performance/roc_auc"]
    assert outcome.status.value == "passed"
    # Forty days that begin in the middle of a block of two.
    assert (outcome.evidence.n, outcome.evidence.sampling_unit) == (21, "blocks of 48 hours by at")
    assert work.red("drift") == {}


def test_weights_count(work: Work) -> None:
    before = found(work)["performance/log_loss"].evidence.estimate
    work.contract = work.contract.replace("group: day\n", "group: day\nweight: w\n")
    work.contract = work.contract.replace("    distance:", "    w: {type: float, role: weight}\n    distance:")
    for frame in work.frames.values():
        frame["w"] = np.where(frame["late"] == 1, 5.0, 1.0)
    after = work.write().outcomes("performance")["performance/log_loss"].evidence.estimate
    truth, score = work.frames["holdout"]["late"].to_numpy(), work.scores["candidate", "holdout"]
    loss = -np.where(truth == 1, np.log(score), np.log(1 - score))
    assert after == pytest.approx(np.average(loss, weights=work.frames["holdout"]["w"]), abs=1e-12)
    assert after != pytest.approx(before, abs=1e-3)
    work.frames["holdout"].loc[3, "w"] = 0.0
    assert work.write().outcomes("performance")["performance/log_loss"].status.value == "not_evaluated"


def test_fairness_is_pairwise_and_one_unfair_group_fails(work: Work) -> None:
    text = "      - {column: carrier, values: [AA, UA], measure: demographic_parity, at_most: 0.15}\n"
    assert {o.status.value for n, o in found(work, fairness=text).items() if "fairness" in n} == {"passed"}
    unfair = work.frames["holdout"]["carrier"].to_numpy() == "AA"
    work.scores["candidate", "holdout"][unfair] = np.clip(work.scores["candidate", "holdout"][unfair] + 0.4, 0, 0.98)
    outcomes = work.write().outcomes("performance")
    assert outcomes["performance/fairness/demographic_parity/carrier=AA-minus-UA"].status.value == "failed"
    assert outcomes["performance/fairness/demographic_parity/carrier=UA-minus-AA"].status.value == "passed"


def test_equalised_odds_are_two_rates(work: Work) -> None:
    text = "      - {column: carrier, values: [AA, UA], measure: equalised_odds, at_most: 0.3}\n"
    names = [n for n in found(work, fairness=text) if "fairness" in n]
    assert len(names) == 4
    assert sum("true_positive_rate" in n for n in names) == 2


def test_a_group_that_nobody_belongs_to_is_not_evaluated(work: Work) -> None:
    text = "      - {column: carrier, values: [AA, XX], measure: error_rate, at_most: 0.3}\n"
    outcomes = {n: o for n, o in found(work, fairness=text).items() if "fairness" in n}
    assert {o.status.value for o in outcomes.values()} == {"not_evaluated"}
    assert all(o.blocks for o in outcomes.values())


def custom(work: Work, code: str) -> Outcome:
    (work.folder / "own_metric.py").write_text(code)
    more = "    custom: {mine: {function: 'own_metric:mine', lower_is_better: true}}\n"
    return only(found(work, checks="      - {metric: custom.mine, at_most: 0.5}\n", more=more), "custom.mine")


@pytest.fixture(autouse=True)
def no_module_stays() -> object:
    import sys

    yield
    sys.modules.pop("own_metric", None)


def test_a_custom_metric_by_row_is_a_mean(work: Work) -> None:
    outcome = custom(work, "def mine(truth, prediction, weight):\n    return (truth - prediction) ** 2\n")
    truth, score = work.frames["holdout"]["late"].to_numpy(), work.scores["candidate", "holdout"]
    assert outcome.status.value == "passed"
    assert outcome.evidence.estimate == pytest.approx(np.square(truth - score).mean(), abs=1e-12)


def test_a_custom_metric_of_one_number_is_bootstrapped(work: Work) -> None:
    outcome = custom(work, "def mine(truth, prediction, weight):\n    return ((truth - prediction) ** 2).mean()\n")
    assert outcome.evidence.method.startswith("bootstrap")
    assert outcome.evidence.n == 40


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "def mine(truth, prediction, weight):\n    raise RuntimeError('sorry')\n",
            "the metric raised RuntimeError, code ",
        ),
        ("def mine(truth, prediction, weight):\n    return float('nan')\n", "not finite"),
        ("def mine(truth, prediction, weight):\n    return [1, 2, 3]\n", "shape"),
        ("def mine(truth, prediction, weight):\n    return truth * 0.0\n", "no interval exists"),
        # Of which sums of doubles leave a trace of variation.
        ("def mine(truth, prediction, weight):\n    return truth * 0.0 + 0.1\n", "no interval exists"),
        ("def mine(truth, prediction, weight):\n    return 0.0\n", "no interval exists"),
        ("def other():\n    pass\n", "cannot be found"),
        ("import no_such_module\n", "cannot be found"),
    ],
)
def test_a_custom_metric_that_fails_is_not_evaluated(code: str, says: str, work: Work) -> None:
    outcome = custom(work, code)
    assert (outcome.status.value, outcome.blocks) == ("not_evaluated", True)
    assert says in outcome.reason


def test_predictions_of_the_same_rows_in_another_order_pass_nothing(work: Work) -> None:
    work.write()
    subject = work.folder / "work/subject.json"
    known = Subject.read(subject)
    data = {k: {**v, "features": "sha256:right"} for k, v in known.data.items()}
    replace(known, data=data).write(subject)
    for role, digest in (("candidate", b"sha256:right"), ("champion", b"sha256:other")):
        table = pa.table({COLUMN: pa.array(work.scores[role, "holdout"])}).replace_schema_metadata({FEATURES: digest})
        path = str(work.folder / f"work/predictions/{role}/holdout.arrow")
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    outcomes = work.outcomes("performance")
    assert {o.status.value for o in outcomes.values()} == {"not_evaluated"}
    assert "in another order" in outcomes["performance/roc_auc/vs-champion"].reason


def test_infinite_scores_pass_nothing(work: Work) -> None:
    work.scores["candidate", "holdout"][3] = np.inf
    outcomes = work.write().outcomes("performance")
    assert {o.status.value for o in outcomes.values()} == {"not_evaluated"}
    assert "infinite" in outcomes["performance/roc_auc"].reason


def test_a_first_release_records_every_comparison_as_one(work: Work) -> None:
    work.contract = work.contract.replace("    threshold: 0.5\n", "    threshold: 0.5\n    first_release: allow\n")
    del work.digests["champion"]
    outcomes = found(work, checks="      - {metric: roc_auc, against: champion, better_by: 0.02}\n")
    compared = {n: o for n, o in outcomes.items() if "vs-champion" in n}
    assert {o.status.value for o in compared.values()} == {"passed"}
    assert {o.evidence.method for o in compared.values()} == {"first release: compared with nothing"}


def test_an_inconclusive_check_says_what_would_settle_it_and_that_a_margin_is_no_licence(work: Work) -> None:
    from weighin.record.outcomes import encode_outcome
    from weighin.report.view import check_view

    outcome = only(found(work, checks="      - {metric: roc_auc, against: champion, better_by: 0.05}\n"), "better")
    assert outcome.status.value == "inconclusive"
    assert "would settle it" in outcome.reason
    view = check_view(encode_outcome(outcome))
    assert "not a licence: a changed margin is a new evaluation" in view.no_licence


CLASSES = """\
version: 1
model: {name: m, task: multiclass, target: kind, classes: [x, y, z]}
data:
  holdout: holdout.parquet
  columns:
    kind: {type: string, role: target}
    distance: {type: integer}
gates:
  performance:
    checks:
      - {metric: accuracy, at_least: 0.5}
      - {metric: f1_macro, against: champion, margin: 0.1}
"""


def multiclass(work: Work) -> Work:
    rng = np.random.default_rng(4)
    kind = rng.choice(["x", "y", "z"], ROWS)
    work.contract = CLASSES
    work.frames = {"holdout": work.frames["holdout"].assign(kind=kind)}
    codes = np.searchsorted(["x", "y", "z"], kind)
    work.scores = {}
    for role in ("candidate", "champion"):
        raw = np.exp(rng.normal(size=(ROWS, 3)) + 2 * np.eye(3)[codes])
        work.scores[role, "holdout"] = raw / raw.sum(axis=1, keepdims=True)
    return work


def test_several_classes_are_judged(work: Work) -> None:
    assert multiclass(work).write().red("performance") == {}


def test_a_label_that_is_no_class_is_not_evaluated(work: Work) -> None:
    multiclass(work).frames["holdout"].loc[5, "kind"] = "unknown"
    outcomes = work.write().outcomes("performance")
    reason = outcomes["performance/accuracy"].reason
    assert "1 labels are none of `model.classes`" in reason
    assert "unknown" not in reason


def test_probabilities_that_do_not_sum_to_one_pass_nothing(work: Work) -> None:
    multiclass(work).scores["candidate", "holdout"][7] /= 2
    outcomes = work.write().outcomes("performance")
    assert {o.status.value for o in outcomes.values()} == {"not_evaluated"}
    assert "do not sum to one" in outcomes["performance/accuracy"].reason


def test_predictions_of_fewer_classes_pass_nothing(work: Work) -> None:
    scores = multiclass(work).scores
    scores["candidate", "holdout"] = scores["candidate", "holdout"][:, :2]
    assert {o.status.value for o in work.write().outcomes("performance").values()} == {"not_evaluated"}
