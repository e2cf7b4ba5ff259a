"""The rule: what passes, what fails, and that nothing undefined ever passes."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighin.outcome import (
    Direction,
    Limit,
    Measurement,
    Status,
    Unmeasured,
    census,
    confirm_failures,
    decide,
    gate,
    stricter,
)

AT_LEAST = Limit(Direction.AT_LEAST, 0.7)
AT_MOST = Limit(Direction.AT_MOST, 0.7)
GOOD = Measurement("auc", 0.75, 0.72, 0.78, 0.95, 1000, "AUC", "DeLong")


def at(low, estimate, high, **other):
    return replace(GOOD, low=low, estimate=estimate, high=high, **other)


@pytest.mark.parametrize(
    ("interval", "limit", "status"),
    [
        ((0.72, 0.75, 0.78), AT_LEAST, Status.PASSED),
        ((0.70, 0.75, 0.78), AT_LEAST, Status.PASSED),
        ((0.60, 0.65, 0.69), AT_LEAST, Status.FAILED),
        ((0.65, 0.75, 0.78), AT_LEAST, Status.INCONCLUSIVE),
        ((0.60, 0.65, 0.70), AT_LEAST, Status.INCONCLUSIVE),
        ((0.60, 0.65, 0.70), AT_MOST, Status.PASSED),
        ((0.71, 0.75, 0.78), AT_MOST, Status.FAILED),
        ((0.65, 0.75, 0.78), AT_MOST, Status.INCONCLUSIVE),
    ],
)
def test_the_whole_interval_decides(interval, limit, status):
    assert decide(at(*interval), limit).status is status


@pytest.mark.parametrize(
    "broken",
    [
        {"estimate": math.nan},
        {"low": math.nan},
        {"high": math.nan},
        {"estimate": math.inf},
        {"n": 0},
        {"n": -5},
        {"low": 0.76},
        {"high": 0.74},
        {"level": 0.9},
        {"level": 1.0},
        {"level": math.nan},
        {"kind": "census"},
    ],
    ids=str,
)
def test_one_broken_field_is_not_evaluated(broken):
    assert decide(GOOD, AT_LEAST).status is Status.PASSED, "only the broken field may make the difference"
    outcome = decide(replace(GOOD, **broken), AT_LEAST)
    assert outcome.status is Status.NOT_EVALUATED
    assert outcome.blocks
    assert outcome.reason


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_limit_that_is_no_number_lets_nothing_pass(value):
    for limit in (replace(AT_LEAST, value=value), replace(AT_MOST, value=value)):
        assert decide(GOOD, limit).status is Status.NOT_EVALUATED


def test_what_was_not_measured_keeps_its_reason():
    outcome = decide(Unmeasured("auc", "all 40 labels are equal"), AT_LEAST)
    assert (outcome.status, outcome.reason) == (Status.NOT_EVALUATED, "all 40 labels are equal")


def test_a_census_needs_no_level_but_no_interval_either():
    assert (
        decide(census("errors", 0, n=10, unit="errors", method="count"), Limit(Direction.AT_MOST, 0)).status
        is Status.PASSED
    )
    assert (
        decide(census("errors", 1, n=10, unit="errors", method="count"), Limit(Direction.AT_MOST, 0)).status
        is Status.FAILED
    )


def test_inconclusive_says_how_much_would_settle_it():
    outcome = decide(at(0.69, 0.72, 0.75), AT_LEAST)
    # Half-width 0.03, distance 0.02: (3/2)^2 times as many rows.
    assert outcome.n_required in (2250, 2251)
    assert "2,25" in outcome.reason
    assert "rows" in outcome.reason


def test_at_the_needed_number_the_interval_clears_the_limit():
    outcome = decide(at(0.69, 0.72, 0.75), AT_LEAST)
    shrink = math.sqrt(GOOD.n / outcome.n_required)
    again = at(0.72 - 0.03 * shrink, 0.72, 0.72 + 0.03 * shrink)
    assert decide(again, AT_LEAST).status is Status.PASSED


def test_an_estimate_on_the_limit_promises_no_number():
    assert decide(at(0.69, 0.7, 0.71), AT_LEAST).n_required is None


def test_severity_changes_what_blocks_and_not_what_was_found():
    warn = replace(AT_LEAST, severity="warn")
    assert decide(at(0.5, 0.55, 0.6), warn).status is Status.FAILED
    assert not decide(at(0.5, 0.55, 0.6), warn).blocks
    lenient = replace(AT_LEAST, when_inconclusive="warn")
    assert not decide(at(0.65, 0.75, 0.78), lenient).blocks
    assert decide(at(0.5, 0.55, 0.6), lenient).blocks
    assert decide(Unmeasured("auc", "crash"), lenient).blocks


finite = st.floats(-1e6, 1e6)


@given(st.tuples(finite, finite, finite).map(sorted), finite)
def test_both_directions_mirror_each_other(interval, limit):
    low, estimate, high = interval
    up = decide(at(low, estimate, high), Limit(Direction.AT_LEAST, limit))
    down = decide(at(-high, -estimate, -low), Limit(Direction.AT_MOST, -limit))
    assert up.status is down.status
    assert up.n_required == down.n_required


@given(st.tuples(finite, finite, finite).map(sorted), finite, st.floats(0, 10))
def test_a_wider_interval_never_turns_to_passed(interval, limit, wider):
    low, estimate, high = interval
    narrow = decide(at(low, estimate, high), Limit(Direction.AT_LEAST, limit))
    wide = decide(at(low - wider, estimate, high + wider), Limit(Direction.AT_LEAST, limit))
    assert wide.status is not Status.PASSED or narrow.status is Status.PASSED


def failing(name, p):
    return decide(at(0.5, 0.55, 0.6, check=name, p_value=p), AT_LEAST)


def passing(name):
    return decide(replace(GOOD, check=name, p_value=0.9), AT_LEAST)


def test_holm_confirms_only_what_survives_the_family():
    # Ten checks: 0.004 * 10 <= 0.05, then 0.03 * 9 > 0.05.
    outcomes = [failing("a", 0.004), failing("b", 0.03), *(passing(f"c{i}") for i in range(8))]
    found = {o.check: o.status for o in confirm_failures(outcomes, 0.05)}
    assert found["a"] is Status.FAILED
    assert found["b"] is Status.INCONCLUSIVE
    assert all(found[f"c{i}"] is Status.PASSED for i in range(8))


def test_holm_stops_at_the_first_that_fails():
    # 0.03 * 3 fails, so 0.04 * 1 (alone within alpha) must not be confirmed either.
    outcomes = [failing("a", 0.03), failing("b", 0.035), failing("c", 0.04)]
    assert {o.status for o in confirm_failures(outcomes, 0.05)} == {Status.INCONCLUSIVE}


def test_a_failure_without_p_value_is_confirmed_alone_and_in_no_larger_family():
    assert confirm_failures([failing("a", None)], 0.05)[0].status is Status.FAILED
    assert confirm_failures([failing("a", None), passing("b")], 0.05)[0].status is Status.INCONCLUSIVE


def test_blame_leaves_a_census_alone():
    zero = Limit(Direction.AT_MOST, 0)
    broken = decide(census("wrong answers", 3, n=9, unit="answers", method="count"), zero)
    assert confirm_failures([broken, *(passing(f"c{i}") for i in range(50))], 0.05)[0].status is Status.FAILED


@given(st.lists(st.floats(0, 0.05), max_size=12), st.integers(0, 12))
def test_blame_only_turns_failed_into_inconclusive(ps, others):
    before = [failing(f"f{i}", p) for i, p in enumerate(ps)] + [passing(f"p{i}") for i in range(others)]
    for old, new in zip(before, confirm_failures(before, 0.05), strict=True):
        assert new.status is old.status or (old.status, new.status) == (Status.FAILED, Status.INCONCLUSIVE)
        assert new.blocks == old.blocks


def test_nothing_evaluated_is_never_a_pass():
    assert gate([]) is Status.NOT_EVALUATED
    warn = replace(AT_LEAST, severity="warn")
    assert gate([decide(Unmeasured("a", "crash"), warn)]) is Status.NOT_EVALUATED


def test_the_gate_is_the_worst_that_blocks():
    crash, weak = decide(Unmeasured("a", "crash"), AT_LEAST), decide(at(0.65, 0.75, 0.78), AT_LEAST)
    assert gate([passing("p"), weak]) is Status.INCONCLUSIVE
    assert gate([passing("p"), weak, crash]) is Status.NOT_EVALUATED
    assert gate([passing("p"), weak, crash, failing("f", 0.0)]) is Status.FAILED
    assert gate([passing("p")]) is Status.PASSED


def test_a_fault_fails_whatever_the_limit_and_is_no_chance_finding():
    perfect = at(1.0, 1.0, 1.0, check="a", p_value=None, fault="a perfect score: leak?")
    found = decide(perfect, AT_LEAST)
    assert (found.status, found.reason) == (Status.FAILED, "a perfect score: leak? (1 [1, 1] AUC)")
    assert decide(perfect, AT_MOST).status is Status.FAILED
    family = [found, failing("b", 0.03), *(passing(f"c{i}") for i in range(50))]
    confirmed = {o.check: o for o in confirm_failures(family, 0.05)}
    assert confirmed["a"] == found
    assert confirmed["b"].status is Status.INCONCLUSIVE
    # What is no proper measurement is not evaluated, with a fault as without.
    assert decide(replace(perfect, n=0), AT_LEAST).status is Status.NOT_EVALUATED
    assert decide(Unmeasured("a", "crash"), AT_LEAST).status is Status.NOT_EVALUATED


def test_what_was_found_leads_the_sentence_of_a_failure_and_of_nothing_else():
    said = "b: float in the reference, integer now"
    broken = census("table", 1, n=9, unit="columns", method="types", found=said)
    assert decide(broken, Limit(Direction.AT_MOST, 0)).reason == f"{said} (1 column, limit ≤ 0)"
    assert decide(broken, Limit(Direction.AT_MOST, 2)).reason == "1 column, limit ≤ 2"


def test_a_relative_margin_is_said_as_such_until_a_waiver_takes_its_place():
    limit = Limit(Direction.AT_LEAST, 0.0, relative_margin=0.05, against="champion")
    assert "is beyond the limit at most 5 % below the champion's" in decide(at(-0.2, -0.15, -0.1), limit).reason
    assert str(replace(limit, direction=Direction.AT_MOST)) == "at most 5 % above the champion's"
    assert str(replace(limit, value=-0.1)) == "≥ -0.1"
    assert stricter(limit, replace(limit, alpha=0.01)) == replace(limit, alpha=0.01)


# --- what an outcome says, and where exactly each limit lies


@pytest.mark.parametrize(
    ("interval", "limit", "reason"),
    [
        ((0.72, 0.75, 0.78), AT_LEAST, "0.75 [0.72, 0.78] AUC, limit ≥ 0.7"),
        ((0.6, 0.65, 0.69), AT_LEAST, "0.65 [0.6, 0.69] AUC is beyond the limit ≥ 0.7"),
        ((0.71, 0.75, 0.78), AT_MOST, "0.75 [0.71, 0.78] AUC is beyond the limit ≤ 0.7"),
        (
            (-math.inf, 0.75, 0.78),
            AT_LEAST,
            "0.75 [-inf, 0.78] AUC holds the limit ≥ 0.7: 1,000 rows prove no bound at all, more are needed",
        ),
        (
            (0.6, 0.7, 0.8),
            AT_LEAST,
            "0.7 [0.6, 0.8] AUC holds the limit ≥ 0.7: more rows than 1,000 are needed, and the estimate lies too close"
            " to the limit to say how many",
        ),
        (
            (0.25, 0.75, 0.875),
            replace(AT_LEAST, value=0.5),
            "0.75 [0.25, 0.875] AUC holds the limit ≥ 0.5: about 4,000 rows would settle it, this has 1,000",
        ),
    ],
)
def test_an_outcome_says_its_numbers(interval, limit, reason):
    found = decide(at(*interval), limit)
    assert (found.check, found.reason, found.limit) == ("auc", reason, limit)
    assert found.evidence == at(*interval)


def test_a_number_without_unit_has_no_blank_behind_it():
    assert decide(replace(GOOD, unit=""), AT_LEAST).reason == "0.75 [0.72, 0.78], limit ≥ 0.7"
    rate = census("rate", 0.123456789, n=9, unit="", method="count")
    assert decide(rate, AT_MOST).reason == "0.123457, limit ≤ 0.7"
    count = census("errors", 3, n=9, unit="errors", method="count")
    assert decide(count, Limit(Direction.AT_MOST, 1)).reason == "3 errors is beyond the limit ≤ 1"


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"low": math.nan}, "estimate 0.75, interval nan to 0.78, limit 0.7: not a finite number"),
        ({"n": 0}, "nothing was measured: n = 0 rows"),
        ({"low": 0.76}, "the interval 0.76 to 0.78 does not hold its estimate 0.75"),
        ({"kind": "census"}, "a census has no interval, this one has 0.72 to 0.78"),
        ({"kind": "census", "low": 0.75}, "a census has no interval, this one has 0.75 to 0.78"),
        ({"kind": "census", "high": 0.75}, "a census has no interval, this one has 0.72 to 0.75"),
        ({"level": 0.9}, "measured at level 0.9, the limit demands 0.95"),
        ({"level": 0.95 - 1e-8}, "measured at level 0.95, the limit demands 0.95"),
    ],
    ids=str,
)
def test_what_is_no_interval_is_named(broken, reason):
    found = decide(replace(GOOD, **broken), AT_LEAST)
    assert (found.check, found.status, found.reason) == ("auc", Status.NOT_EVALUATED, reason)
    assert (found.limit, found.n_required) == (AT_LEAST, None)
    assert found.evidence.check == "auc"


def test_one_row_and_a_level_that_differs_by_rounding_are_enough():
    assert decide(replace(GOOD, n=1, level=0.95 - 1e-10), AT_LEAST).status is Status.PASSED


def test_what_was_not_measured_is_kept_whole():
    evidence = Unmeasured("auc", "a crash", {"a": 1})
    found = decide(evidence, AT_LEAST)
    assert (found.check, found.limit, found.evidence) == ("auc", AT_LEAST, evidence)


def test_a_census_is_exact():
    found = census("errors", 3, n=9, unit="errors", method="count", where="here")
    expected = Measurement(
        "errors", 3.0, 3.0, 3.0, 1.0, 9, "errors", "count", "census", "rows", None, {"where": "here"}
    )
    assert found == expected
    assert census("errors", 3, n=9, unit="errors", method="count", sampling_unit="days").sampling_unit == "days"


@pytest.mark.parametrize(
    ("interval", "direction", "needed"),
    [
        ((0.25, 0.75, 0.875), Direction.AT_LEAST, 4_000),
        ((0.125, 0.25, 1.0), Direction.AT_LEAST, 9_000),
        ((0.125, 0.25, 0.75), Direction.AT_MOST, 4_000),
        ((0.0, 0.75, 0.875), Direction.AT_MOST, 9_000),
    ],
)
def test_the_bound_on_the_side_of_the_limit_says_how_many_are_needed(interval, direction, needed):
    found = decide(at(*interval), Limit(direction, 0.5))
    assert (found.status, found.n_required) == (Status.INCONCLUSIVE, needed)


def test_no_number_is_promised_beyond_a_thousand_half_widths_or_without_a_width():
    zero = Limit(Direction.AT_LEAST, 0.0)
    assert decide(at(-999.0, 1.0, 1.0), zero).n_required == 1_000_000_000
    assert decide(at(-1_000.0, 1.0, 1.0), zero).n_required is None
    assert decide(at(-1.0, 0.0, 0.0), zero).n_required is None


@pytest.mark.parametrize(("direction", "value"), [(Direction.AT_LEAST, 0.8), (Direction.AT_MOST, 0.7)])
def test_the_stricter_of_two_limits_lets_pass_what_both_let_pass(direction, value):
    one, other = Limit(direction, 0.7, 0.05), Limit(direction, 0.8, 0.01, "warn", "warn")
    expected = Limit(direction, value, 0.01)
    assert stricter(one, other) == stricter(other, one) == expected
    both = replace(other, value=0.75)
    assert (stricter(other, both).severity, stricter(other, both).when_inconclusive) == ("warn", "warn")
    half = replace(other, severity="block")
    assert (stricter(other, half).severity, stricter(other, half).when_inconclusive) == ("block", "warn")


def test_limits_on_different_sides_have_no_stricter_one():
    with pytest.raises(ValueError, match=r"^≥ 0.7 and ≤ 0.7 lie on different sides$"):
        stricter(AT_LEAST, AT_MOST)


# --- Holm's correction


def test_holm_says_why_a_failure_is_not_confirmed():
    found = confirm_failures([failing("a", 0.03), passing("b")], 0.05)
    assert found[0].reason == (
        "0.55 [0.5, 0.6] AUC is beyond the limit ≥ 0.7; failed alone, but not after Holm's correction over 2 checks"
    )
    assert found[1] == passing("b")


def test_holm_goes_by_p_values_and_not_by_the_order_of_checks():
    outcomes = [failing("b", 0.03), failing("a", 0.004), *(passing(f"c{i}") for i in range(8))]
    assert [o.status for o in confirm_failures(outcomes, 0.05)[:2]] == [Status.INCONCLUSIVE, Status.FAILED]
    assert [o.status for o in confirm_failures([failing("b", 0.02), failing("a", 0.04)], 0.05)] == [Status.FAILED] * 2


def test_what_was_not_decided_is_no_part_of_the_family():
    crash, empty = decide(Unmeasured("a", "crash"), AT_LEAST), decide(replace(GOOD, n=0), AT_LEAST)
    exact = decide(census("auc", 0.9, n=9, unit="AUC", method="count"), AT_LEAST)
    assert confirm_failures([failing("b", 0.05), crash, empty, exact], 0.05)[0].status is Status.FAILED
    assert confirm_failures([failing("b", 0.05), passing("c")], 0.05)[0].status is Status.INCONCLUSIVE


@pytest.mark.parametrize("p", [None, 1.0001, -0.0001, math.nan])
def test_a_p_value_that_is_none_counts_as_alpha(p):
    assert confirm_failures([failing("a", p)], 0.05)[0].status is Status.FAILED
    assert confirm_failures([failing("a", p), passing("b")], 0.05)[0].status is Status.INCONCLUSIVE


def test_a_failure_without_p_value_takes_its_place_among_the_others():
    assert [o.status for o in confirm_failures([failing("a", None), failing("b", 0.01)], 0.05)] == [Status.FAILED] * 2
    assert [o.status for o in confirm_failures([failing("a", None), failing("b", 0.03)], 0.05)] == [
        Status.INCONCLUSIVE
    ] * 2


@pytest.mark.parametrize(("p", "status"), [(0.0, Status.FAILED), (1.0, Status.INCONCLUSIVE)])
def test_the_smallest_and_the_largest_p_value_count_as_they_are(p, status):
    others = [passing("b"), passing("c")] if p == 0.0 else []
    assert confirm_failures([failing("a", p), *others], 0.05)[0].status is status


def test_a_failure_that_only_warns_does_not_close_the_gate():
    warning = decide(at(0.5, 0.55, 0.6), replace(AT_LEAST, severity="warn"))
    assert warning.status is Status.FAILED
    assert gate([passing("p"), warning]) is Status.PASSED
