"""A pull request is judged by the stricter of two contracts, and what cannot be compared is for a person."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.evidence_files import ROOT, Case
from weighin.contract import checks, read_contract
from weighin.contract.models import Contract
from weighin.contract.stricter import LimitChange, compare
from weighin.outcome import Status

TEXT = (ROOT / "model_contract.yaml").read_text()
TODAY = read_contract(ROOT / "model_contract.yaml").contract


def changed(tmp_path: Path, old: str, new: str) -> Contract:
    assert TEXT.count(old) == 1, old
    path = tmp_path / "contract.yaml"
    path.write_text(TEXT.replace(old, new))
    return read_contract(path).contract


def test_a_contract_compared_with_itself_changes_nothing() -> None:
    found = compare(TODAY, TODAY)
    assert (found.limits, found.measured, found.lenient) == ((), (), False)
    assert found.checks == {c.id: c for c in checks(TODAY)}


def test_what_a_model_is_given_and_how_answers_are_compared_is_for_a_person(tmp_path: Path) -> None:
    tolerant = compare(changed(tmp_path, "tolerance: 1.0e-9", "tolerance: 1.0"), TODAY)
    assert [(c.check, c.how) for c in tolerant.limits] == [("load/wrong-answers", "redefined")]
    assert tolerant.lenient
    number = compare(changed(tmp_path, "distance: {type: integer,", "distance: {type: float,"), TODAY)
    assert "data.columns.distance" in number.measured
    other = changed(tmp_path, "probability, column: 1", "probability, column: 0")
    assert "model.prediction.column" in compare(other, TODAY).measured


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("{metric: roc_auc, at_least: 0.65}", "{metric: roc_auc, at_least: 0.6}", "performance/roc_auc"),
        ("{metric: log_loss, at_most: 0.65}", "{metric: log_loss, at_most: 0.7}", "performance/log_loss"),
        (
            "{metric: roc_auc, against: champion, margin: 0.01}",
            "{metric: roc_auc, against: champion, margin: 0.02}",
            "performance/roc_auc/vs-champion",
        ),
        ("{metric: recall, at_least: 0.3}", "{metric: recall, at_least: 0.3, severity: warn}", "performance/recall"),
        (
            "{metric: recall, at_least: 0.3}",
            "{metric: recall, at_least: 0.3, when_inconclusive: warn}",
            "performance/recall",
        ),
        ("weekday: {at_most: 0.2,", "weekday: {at_most: 0.4,", "drift/weekday"),
        ("error_rate_at_most: 0.05", "error_rate_at_most: 0.1", "load/errors"),
        ("rows_at_least: 10000", "rows_at_least: 1000", "data_quality/holdout/rows"),
        ("visib: {type: float, minimum: 0, maximum: 10, missing_at_most: 0.02}",
         "visib: {type: float, minimum: 0, maximum: 10, missing_at_most: 0.5}", "data_quality/current/visib/missing"),
        ("share_at_least: 0.7}", "share_at_least: 0.5}", "load/peak/within-500-ms"),
        ("share_at_most: 0.9 ", "share_at_most: 0.95 ", "explainability/share/temp"),
    ],
)  # fmt: skip
def test_a_relaxed_limit_does_not_count(old: str, new: str, check: str, tmp_path: Path) -> None:
    head = changed(tmp_path, old, new)
    found = compare(head, TODAY)
    before, after = ({c.id: c for c in checks(of)}[check].limit for of in (TODAY, head))
    assert found.checks[check].limit == before != after
    assert {"relaxed"} == {c.how for c in found.limits}
    assert check in {c.check for c in found.limits}
    assert found.measured == ()
    assert found.lenient
    # The other way round it is stricter, and counts at once.
    back = compare(TODAY, head)
    assert back.checks[check].limit == before
    assert {"tightened"} == {c.how for c in back.limits}
    assert not back.lenient


def test_a_larger_alpha_does_not_count(tmp_path: Path) -> None:
    found = compare(changed(tmp_path, "alpha: 0.05", "alpha: 0.2"), TODAY)
    assert {c.limit.alpha for c in found.checks.values()} == {0.05}


@pytest.mark.parametrize(
    ("old", "new", "check", "how"),
    [
        ("      - {metric: recall, at_least: 0.3}\n", "", "performance/recall", "removed"),
        ("within: {latency_ms: 300,", "within: {latency_ms: 900,", "load/within-300-ms", "removed"),
        ("weekday: {at_most: 0.2,", "weekday: {ignore: true,", "drift/weekday", "removed"),
        ("  explainability: ", "  #explainability: ", "explainability/share/temp", "removed"),
        ("{type: integer, minimum: 50, maximum: 5500}", "{type: integer, minimum: 0, maximum: 5500}",
         "data_quality/current/distance/range", "redefined"),
        ("allowed: [EWR, JFK, LGA]", "allowed: [EWR, JFK, LGA, SWF]", "data_quality/current/origin/allowed",
         "redefined"),
        ("temp: {at_most: 0.5, bins: 4,", "temp: {at_most: 0.5, bins: 2,", "drift/temp", "redefined"),
        ("{column: temp, at_least: dewp}", "{column: temp, greater_than: dewp}",
         "data_quality/current/compare/temp>=dewp", "removed"),
    ],
)  # fmt: skip
def test_what_is_no_longer_measured_is_not_evaluated(old: str, new: str, check: str, how: str, tmp_path: Path) -> None:
    text = TEXT.replace(old, new)
    assert text != TEXT
    if old.startswith("  explainability"):
        text = "\n".join(
            "#" + line if line.startswith(("    rows: 3000", "    repeats: 3", "    share_at_most: 0.9")) else line
            for line in text.splitlines()
        )
    path = tmp_path / "contract.yaml"
    path.write_text(text)
    found = compare(read_contract(path).contract, TODAY)
    assert (check, how) in {(c.check, c.how) for c in found.limits}
    assert "the pull request" in found.checks[check].expired
    assert found.lenient


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("group: day", "group: carrier", "group"),
        ("threshold: 0.3 ", "threshold: 0.2 ", "gates.performance.threshold"),
        ("    rate: 10 ", "    rate: 1 ", "gates.load.rate"),
        ("holdout: examples/flights/data/holdout.parquet  ", "holdout: other.parquet  ", "data.holdout"),
        ("as_of: 2013-11-16T00:00:00Z", "as_of: 2013-10-16T00:00:00Z", "as_of"),
        ("prediction: {kind: probability, column: 1}", "prediction: {kind: probability, column: 0}",
         "model.prediction.column"),
    ],
)  # fmt: skip
def test_what_is_measured_is_for_a_person_to_look_at(old: str, new: str, place: str, tmp_path: Path) -> None:
    found = compare(changed(tmp_path, old, new), TODAY)
    assert place in found.measured
    assert found.lenient


def test_an_added_check_counts_at_once(tmp_path: Path) -> None:
    line = "      - {metric: recall, at_least: 0.3}\n"
    found = compare(changed(tmp_path, line, line + "      - {metric: brier, at_most: 0.3}\n"), TODAY)
    assert [(c.check, c.how) for c in found.limits] == [("performance/brier", "added")]
    assert not found.lenient


def test_a_waiver_that_the_pull_request_brings_along_does_not_count(tmp_path: Path) -> None:
    waiver = "{check: performance/recall, limit: 0.1, owner: a, reason: b, expires: 2100-01-01}"
    path = tmp_path / "contract.yaml"
    path.write_text(f"{TEXT}\nwaivers: [{waiver}]\n")
    found = compare(read_contract(path).contract, TODAY)
    assert found.checks["performance/recall"].limit.value == 0.3
    assert found.checks["performance/recall"].waiver == ""


def test_a_waiver_of_either_side_counts_until_the_moment_of_the_comparison(tmp_path: Path) -> None:
    waiver = "{check: performance/recall, limit: 0.1, owner: a, reason: b, expires: 2090-01-01}"
    path = tmp_path / "contract.yaml"
    path.write_text(f"{TEXT}\nwaivers: [{waiver}]\n")
    # A contract that fixes no moment of its own.
    waived, plain = (c.model_copy(update={"as_of": None}) for c in (read_contract(path).contract, TODAY))
    for head, base in ((waived, plain), (plain, waived)):
        assert compare(head, base, datetime(2091, 1, 1, tzinfo=UTC)).checks["performance/recall"].expired
        assert not compare(head, base, datetime(2089, 1, 1, tzinfo=UTC)).checks["performance/recall"].expired


def test_a_change_is_shown_with_both_limits(tmp_path: Path) -> None:
    def change(old: str, new: str) -> LimitChange:
        (found,) = compare(changed(tmp_path, old, new), TODAY).limits
        return found

    line, name = "      - {metric: recall, at_least: 0.3}\n", "performance/recall"
    strict = "≥ 0.3 at alpha 0.05"
    assert change(line, line.replace("0.3", "0.2")) == LimitChange(name, "relaxed", strict, "≥ 0.2 at alpha 0.05")
    assert change(line, line.replace("0.3", "0.4")) == LimitChange(name, "tightened", strict, "≥ 0.4 at alpha 0.05")
    warns = change(line, line.replace("0.3", "0.3, severity: warn"))
    assert warns == LimitChange(name, "relaxed", strict, f"{strict}, warn")
    both = change(line, line.replace("0.3", "0.3, severity: warn, when_inconclusive: warn"))
    assert both.after == f"{strict}, warn, warn"
    assert change(line, "") == LimitChange(name, "removed", "≥ 0.3")
    added = change(line, line + "      - {metric: brier, at_most: 0.3}\n")
    assert added == LimitChange("performance/brier", "added", "", "≤ 0.3")


def test_going_back_to_one_evaluation_is_a_loosening_that_does_not_count(tmp_path: Path) -> None:
    unlimited = changed(tmp_path, "  performance:\n", "  performance:\n    evaluations: unlimited\n")
    found = compare(TODAY, unlimited)
    assert {c.how for c in found.limits} == {"relaxed"}
    assert "performance/recall" in {c.check for c in found.limits}
    kept = found.checks["performance/recall"].limit
    assert kept.evaluations == "unlimited"
    one = next(c for c in found.limits if c.check == "performance/recall")
    assert one.before == f"{one.after}, for any number of evaluations"
    assert found.lenient
    assert not found.measured
    assert {c.how for c in compare(unlimited, TODAY).limits} == {"tightened"}


# --- in the verdict


def verdict(tmp_path: Path, old: str, new: str) -> list[str]:
    path = tmp_path / "model_contract.yaml"
    path.write_text(TEXT.replace(old, new))
    case = Case(tmp_path / "reports", read_contract(path)).write()
    assert case.decision().status is Status.PASSED
    found = case.decision(base=compare(case.file.contract, TODAY))
    return [found.status.value, *found.messages]


def test_a_pull_request_that_changes_nothing_is_judged_as_without_a_base(tmp_path: Path) -> None:
    assert verdict(tmp_path, "\n", "\n") == ["passed"]


def test_a_model_that_passes_only_the_relaxed_limit_fails(tmp_path: Path) -> None:
    status, first, *more = verdict(tmp_path, "{metric: roc_auc, at_least: 0.65}", "{metric: roc_auc, at_least: 0.5}")
    # The evidence lies 0.02 above the relaxed limit.
    assert (status, more) == ("failed", [])
    assert first.startswith("performance/roc_auc: failed")


def test_a_removed_check_blocks(tmp_path: Path) -> None:
    status, first, *more = verdict(tmp_path, "      - {metric: recall, at_least: 0.3}\n", "")
    assert (status, more) == ("not_evaluated", [])
    assert first == "performance/recall: not_evaluated: the pull request removes this check"


def test_other_data_block(tmp_path: Path) -> None:
    status, first, *more = verdict(tmp_path, "group: day", "group: carrier")
    assert (status, more) == ("not_evaluated", [])
    assert first == "the pull request changes what is measured, which a maintainer has to review: group"


def test_what_is_measured_otherwise_says_both_limits_and_that_nobody_can_compare_them(tmp_path: Path) -> None:
    other = changed(tmp_path, "tolerance: 1.0e-9", "tolerance: 1.0")
    before, after = (next(c for c in checks(of) if c.id == "load/wrong-answers") for of in (TODAY, other))
    found = compare(other, TODAY)
    assert found.limits == (LimitChange("load/wrong-answers", "redefined", str(before.limit), str(after.limit)),)
    assert found.checks["load/wrong-answers"].expired == "the pull request measures something else under this name"


@pytest.mark.parametrize("side", ["base", "head"])
@pytest.mark.parametrize("limit", ["0.2", "0.4"])
def test_a_waiver_that_has_expired_on_one_side_blocks_whichever_limit_is_stricter(
    side: str, limit: str, tmp_path: Path
) -> None:
    """Of the two limits the one with the waiver is at times the stricter one, at times not."""
    waived = f"{TEXT}\nwaivers: [{{check: performance/recall, limit: 0.1, owner: a, reason: b, expires: 2012-01-01}}]\n"
    path = tmp_path / "waived.yaml"
    path.write_text(waived)
    expired = read_contract(path).contract
    path.write_text(TEXT.replace("{metric: recall, at_least: 0.3}", f"{{metric: recall, at_least: {limit}}}"))
    other = read_contract(path).contract
    head, base = (other, expired) if side == "base" else (expired, other)
    found = compare(head, base).checks["performance/recall"]
    assert found.expired.startswith("the waiver of a until 2012-01-01: b has expired")
    assert found.limit.value == max(0.3, float(limit))


def test_the_waiver_of_the_limit_that_counts_is_the_one_that_is_shown(tmp_path: Path) -> None:
    """Both sides waive the same check: the stricter limit is that of the head, and so is its reason."""
    sides = []
    for limit, owner in (("0.2", "head"), ("0.1", "base")):
        path = tmp_path / f"{owner}.yaml"
        line = f"{{check: performance/recall, limit: {limit}, owner: {owner}, reason: b, expires: 2100-01-01}}"
        path.write_text(f"{TEXT}\nwaivers: [{line}]\n")
        sides.append(read_contract(path).contract)
    head, base = sides
    assert compare(head, base).checks["performance/recall"].waiver.startswith("waiver of head")
    assert compare(base, head).checks["performance/recall"].waiver.startswith("waiver of head")


@pytest.mark.parametrize(
    ("line", "old", "new", "check", "how"),
    [
        ("distance: {type: integer, minimum: 50, maximum: 5500}", "5500", "9000", "distance/range", "redefined"),
        ("origin: {type: string, allowed: [EWR, JFK, LGA]}", ", LGA", "", "origin/allowed", "redefined"),
        (
            "temp: {type: float, minimum: -20, maximum: 115, missing_at_most: 0.02",
            "0.02",
            "0.2",
            "temp/missing",
            "relaxed",
        ),
    ],
)
def test_of_a_column_only_the_rule_whose_line_changes_is_another(
    line: str, old: str, new: str, check: str, how: str, tmp_path: Path
) -> None:
    found = compare(changed(tmp_path, line, line.replace(old, new)), TODAY)
    assert {(c.check.split("/", 2)[2], c.how) for c in found.limits} == {(check, how)}
    assert len(found.limits) == 3


@pytest.mark.parametrize(
    "line", ["values: [EWR, JFK, LGA], metric: roc_auc, margin: 0.03", "metric: roc_auc, margin: 0.05, other: true"]
)
def test_a_slice_that_is_cut_otherwise_is_another_check(line: str, tmp_path: Path) -> None:
    found = compare(changed(tmp_path, line, f"{line}, rows_at_least: 40"), TODAY)
    assert found.limits
    assert {c.how for c in found.limits} == {"redefined"}


def test_a_rule_over_several_columns_is_another_where_its_columns_or_terms_are() -> None:
    rules = TODAY.gates.data_quality
    assert rules is not None
    for part in ("unique_together", "compare", "references"):
        assert getattr(rules, part), part
        gates = TODAY.gates.model_copy(update={"data_quality": rules.model_copy(update={part: ()})})
        fewer = compare(TODAY.model_copy(update={"gates": gates}), TODAY)
        assert {c.how for c in fewer.limits} == {"removed"}, part
        assert fewer.measured == ()
    # A term of a reference that is no limit: the table that it is looked up in.
    other = tuple(r.model_copy(update={"table": "current"}) for r in rules.references)
    gates = TODAY.gates.model_copy(update={"data_quality": rules.model_copy(update={"references": other})})
    assert {c.how for c in compare(TODAY.model_copy(update={"gates": gates}), TODAY).limits} == {"redefined"}


def test_what_is_only_for_people_or_comes_after_is_not_measured(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(f"{TEXT}\ncard: {{purpose: p, owner: o}}\nml_test_score: {{}}\n")
    found = compare(read_contract(path).contract, TODAY)
    assert (found.limits, found.measured, found.lenient) == ((), (), False)


def test_values_of_a_categorical_column_and_missing_labels_say_what_is_measured(tmp_path: Path) -> None:
    coded = "weekday: {type: integer, minimum: 0, maximum: 6}"
    sides = []
    for values in ("[0, 1, 2, 3, 4, 5, 6]", "[0, 1, 2, 3, 4, 5]"):
        line = f"weekday: {{type: integer, categorical: true, allowed: {values}}}"
        sides.append(changed(tmp_path, coded, line))
    assert "data.columns.weekday" in compare(sides[1], sides[0]).measured
    fewer = changed(tmp_path, "allowed: [EWR, JFK, LGA]}", "allowed: [EWR, JFK]}")
    assert compare(fewer, TODAY).measured == ()
    labels = "late: {type: integer, role: target, allowed: [0, 1]}"
    some = changed(tmp_path, labels, labels.replace("[0, 1]", "[0, 1], missing_at_most: 0.1"))
    assert "data.columns.late" in compare(some, TODAY).measured
