"""Contracts: every mistake is named with file, line and remedy, all at once."""

from pathlib import Path

import pytest

from support.contract_texts import GOOD
from support.evidence_files import ROOT
from weighin.contract import checks, read_contract
from weighin.errors import ContractError


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "model_contract.yaml"
        path.write_text(text)
        return path

    return written


def problems(path: Path) -> str:
    with pytest.raises(ContractError) as caught:
        read_contract(path)
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_a_good_contract_lists_every_check_once(write):
    contract = read_contract(write(GOOD)).contract
    names = [c.id for c in checks(contract)]
    assert len(names) == len(set(names))
    for name in (
        "data_quality/holdout/rows",
        "data_quality/current/carrier/allowed",
        "performance/changed",
        "performance/roc_auc",
        "performance/roc_auc/vs-champion",
        "performance/roc_auc/vs-champion/carrier=AA",
        "drift/distance",
        "drift/late",
        "drift/prediction",
        "load/within-300-ms",
        "load/wrong-answers",
    ):
        assert name in names
    assert contract.features == ("distance", "carrier")


def test_the_margin_points_in_the_direction_in_which_the_metric_improves(write):
    listed = {c.id: c.limit for c in checks(read_contract(write(GOOD)).contract)}
    assert str(listed["performance/roc_auc/vs-champion"]) == "≥ -0.01"
    assert str(listed["performance/log_loss/vs-champion"]) == "≤ 0.02"
    assert listed["performance/roc_auc/vs-champion/carrier=AA"].severity == "warn"


def line_of(text: str, part: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("threshold: 0.25", "treshold: 0.25", "unknown key `treshold`. Did you mean `threshold`?"),
        ("rate: 10", "rates: 10", "unknown key `rates`. Did you mean `rate`?"),
        ("margin: 0.01}", "marign: 0.01}", "unknown key `marign`. Did you mean `margin`?"),
        ("minimum: 0,", "minimun: 0,", "unknown key `minimun`. Did you mean `minimum`?"),
        (
            "at_least: 0.65",
            "at_least: 0.65, against: champion",
            "`against` does not go with the other keys of gates.perf",
        ),
        ("against: champion, margin: 0.01}", "against: champion}", "give exactly one of `margin`, `relative_margin`"),
        (
            "against: champion, margin: 0.01}",
            "againstt: champion, margin: 0.01}",
            "`againstt`. Did you mean `against`?",
        ),
        (
            "error_rate_at_most: 0.05",
            "errors_at_most: 0.05",
            "unknown key `errors_at_most`: since 0.1 it is `error_rate_",
        ),
        ("within: {latency_ms: 300", "within: {milliseconds: 300", "`milliseconds`: since 0.1 it is `latency_ms`"),
        ("reason: routes", "reasn: routes", "unknown key `reasn`. Did you mean `reason`?"),
        ("at_least: 0.65", "at_least: .nan", "finite number"),
        ("rate: 10", "rate: 0", "greater than 0"),
        ("rate: 10", "rate: fast", "valid number"),
        ("task: binary", "task: clustering", "binary"),
        ("minimum: 0, maximum: 6000", "minimum: 9000, maximum: 6000", "minimum 9000 is above maximum 6000"),
        ("allowed: [AA, UA]}", "allowed: []}", "an empty list allows nothing"),
    ],
)
def test_one_mistake_is_named_with_its_line(write, old, new, says):
    text = GOOD.replace(old, new)
    assert text != GOOD
    path = write(text)
    found = problems(path)
    assert says in found
    assert f"{path}:{line_of(text, new.split('{')[0] if '{' in new else new)}:" in found


@pytest.mark.parametrize(("before", "now"), [("looks: 3", "consecutive_windows: 3"), ("then: alert", "action: alert")])
def test_a_key_of_before_names_the_one_of_now(write, before, now):
    text = (ROOT / "model_contract.yaml").read_text()
    assert now in text
    names = [line.partition(":")[0] for line in (before, now)]
    assert f"unknown key `{names[0]}`: since 0.1 it is `{names[1]}`." in problems(write(text.replace(now, before, 1)))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("  name: m\n", "", "`name` is missing in model"),
        ("{metric: roc_auc, at_least: 0.65}", "{metric: roc_auc}", "either `at_least` or `at_most`"),
        ("group: day", "group: week", "group names `week`: not listed in data.columns"),
        ("column: carrier", "column: carier", "names `carier`"),
        ("role: target, ", "", "needs `role: target`"),
        ("name: m", "name: m\n  name: n", "`name` stands here and in line 4"),
        ("{metric: log_loss, against: champion, margin: 0.02}", "{metric: roc_auc, at_least: 0.6}", "listed 2 times"),
    ],
)
def test_contradictions_are_refused(write, old, new, says):
    text = GOOD.replace(old, new)
    assert text != GOOD
    assert says in problems(write(text))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("margin: 0.01", "margn: 0.01", ["unknown key `margn`. Did you mean `margin`?"]),
        ("at_least: 0.65", "at_leat: 0.65", ["unknown key `at_leat`. Did you mean `at_least`?"]),
        (
            *("group: day", "group: {column: day, hour: 6}"),
            ["`hours` is missing in group. Add it.", "unknown key `hour`. Did you mean `hours`?"],
        ),
        (
            *("current: current.parquet", "current: {path: x, window: {from: 2024-01-01}}"),
            ["`to` is missing in data.current.window. Add it."],
        ),
        (
            *("reference: reference.parquet", "reference: {profile: champ}"),
            ["data.reference.profile: Input should be 'champion' or 'candidate', not 'champ'."],
        ),
    ],
)
def test_of_a_union_only_the_member_that_was_meant_is_named(write, old, new, says):
    assert old in GOOD
    found = problems(write(GOOD.replace(old, new, 1)))
    assert [line.partition(": ")[2] for line in found.splitlines()] == says


def test_all_mistakes_are_named_at_once(write):
    found = problems(write(GOOD.replace("rate: 10", "rate: 0").replace("threshold", "treshold")))
    assert "treshold" in found
    assert "greater than 0" in found


def test_a_contract_without_gates_would_let_everything_pass(write):
    text = GOOD[: GOOD.index("gates:")] + "gates: {}\n"
    assert "without gates would let everything pass" in problems(write(text))


@pytest.mark.parametrize("text", ["", "[1, 2]", "just text", "a: [1,\nb: 2"])
def test_a_file_that_is_no_contract_is_named(write, text):
    path = write(text)
    assert str(path) in problems(path)


def test_a_missing_file_is_named(tmp_path):
    assert "No such file" in problems(tmp_path / "nowhere.yaml")


WAIVER = """\
waivers:
  - {check: drift/distance, limit: 2.0, owner: team-a, reason: new routes, expires: 2014-02-01}
"""


def test_a_waiver_relaxes_one_limit_until_it_expires(write):
    listed = {c.id: c for c in checks(read_contract(write(GOOD + WAIVER)).contract)}
    assert listed["drift/distance"].limit.value == 2.0
    assert "team-a" in listed["drift/distance"].waiver
    assert listed["drift/carrier"].limit.value == 0.1
    late = GOOD.replace("2014-01-15", "2014-02-02") + WAIVER
    expired = {c.id: c for c in checks(read_contract(write(late)).contract)}["drift/distance"]
    assert expired.limit.value == 0.5
    assert "has expired" in expired.expired


SEASON = WAIVER.replace("expires: 2014-02-01", "starts: 2014-01-10, expires: 2014-01-20")


@pytest.mark.parametrize(
    ("day", "limit"), [("2014-01-09", 0.5), ("2014-01-10", 2.0), ("2014-01-20", 2.0), ("2014-01-21", 0.5)]
)
def test_a_season_has_a_first_and_a_last_day_and_outside_them_the_own_limit_holds(write, day, limit):
    text = GOOD.replace("2014-01-15", day) + SEASON
    check = {c.id: c for c in checks(read_contract(write(text)).contract)}["drift/distance"]
    assert check.limit.value == limit
    assert not check.expired
    assert bool(check.waiver) == (limit == 2.0)


def test_the_waiver_of_this_season_counts_and_not_that_of_the_last(write):
    last = SEASON.splitlines()[1].replace("2014", "2013").replace("limit: 2.0", "limit: 9.0")
    check = {
        c.id: c for c in checks(read_contract(write(f"{GOOD}waivers:\n{last}\n{SEASON.splitlines()[1]}\n")).contract)
    }
    assert check["drift/distance"].limit.value == 2.0


def test_a_season_that_ends_before_it_starts_is_refused(write):
    assert "starts on 2014-03-01, after it expires" in problems(
        write(GOOD + SEASON.replace("2014-01-10", "2014-03-01"))
    )


def test_a_waiver_for_no_check_is_refused(write):
    assert "no check `drift/distanze`" in problems(write(GOOD + WAIVER.replace("drift/distance", "drift/distanze")))
