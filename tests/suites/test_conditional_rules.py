"""Rules that hold where a condition does: rows elsewhere do not count, and a condition that says nothing is no pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from support.quality_work import PREFIX, QualityWork
from weighin.contract import checks, read_contract
from weighin.contract.stricter import compare
from weighin.data.condition import ROW, holds
from weighin.errors import ContractError, NotEvaluated
from weighin.outcome import Measurement

UA = "carrier = 'UA'"
# One rule of each kind, for the flights of one carrier.
RULES: dict[str, tuple[str, str]] = {
    "range": ("end", "minimum: 0"),
    "allowed": ("carrier", "allowed: [UA]"),
    "pattern": ("dest", 'pattern: "J.*|[A-Z]{3}"'),
    "missing": ("temp", "missing_at_most: 0"),
    "unique": ("start", "unique: true"),
    "order": ("distance", "order: increasing"),
}


def with_rules(work: QualityWork, when: str = UA, kinds: tuple[str, ...] = tuple(RULES)) -> QualityWork:
    for kind in kinds:
        column, rule = RULES[kind]
        lines = work.contract.splitlines()
        place = next(i for i, line in enumerate(lines) if line.startswith(f"    {column}: {{"))
        lines[place] = lines[place][:-1] + f', rules: [{{name: united, when: "{when}", {rule}}}]}}'
        work.contract = "\n".join(lines) + "\n"
    return work


def sound(folder: Path) -> QualityWork:
    """Flights of UA keep every rule, those of the others break all that the contract does not ask of them."""
    work = QualityWork(folder)
    work.contract = work.contract.replace("      - {column: end, at_least: start, share_at_most: 0.01}\n", "")
    work.contract = work.contract.replace("      - {column: end, greater_than: seat, severity: warn}\n", "")
    work.contract = work.contract.replace("    compare:\n", "")
    table, ours = work.holdout, work.holdout["carrier"] == "UA"
    table.loc[ours, "start"] = np.arange(int(ours.sum()))
    table.loc[ours, "distance"] = np.sort(table.loc[ours, "distance"])
    table.loc[~ours, ["start", "end"]] = [5, -1.0]
    table.loc[table.index[~ours][:5], "temp"] = np.nan
    return work


def judged(work: QualityWork) -> dict[str, tuple[str, int]]:
    found = work.write().outcomes("data_quality")
    shown = {k.removeprefix(PREFIX): o for k, o in found.items() if k.endswith("/united")}
    return {k: (o.status.value, o.evidence.n if isinstance(o.evidence, Measurement) else 0) for k, o in shown.items()}


def test_rows_that_do_not_meet_the_condition_do_not_count(tmp_path: Path) -> None:
    work = with_rules(sound(tmp_path))
    rows = int((work.holdout["carrier"] == "UA").sum())
    names = [f"{column}/{kind}/united" for kind, (column, _) in RULES.items()]
    assert judged(work) == dict.fromkeys(names, ("passed", rows))
    assert work.red("data_quality") == {}


BREAKS = {"end": -1.0, "start": 0, "distance": 6000, "temp": np.nan, "dest": "jfk"}


def test_each_rule_finds_a_row_that_meets_the_condition_and_breaks_it(tmp_path: Path) -> None:
    work = with_rules(sound(tmp_path), when=f"{UA} AND NOT carrier IS NULL")
    first, second = work.holdout.index[work.holdout["carrier"] == "UA"][[0, 5]]
    for column, value in BREAKS.items():
        work.holdout.loc[first if column == "distance" else second, column] = value
    red = {k for k, (status, _) in judged(work).items() if status == "failed"}
    assert red == {f"{column}/{kind}/united" for kind, (column, _) in RULES.items() if kind != "allowed"}


def test_an_allowed_set_under_a_condition_is_checked(tmp_path: Path) -> None:
    work = with_rules(QualityWork(tmp_path), when="distance > 1000", kinds=("allowed",))
    assert judged(work)["carrier/allowed/united"][0] == "failed"


NOTHING_SAID = {
    "carrier = 'ZZ'": "true of no row",
    "carier = 'UA'": "carier",
    "carrier": "not true or false",
    "true) OR (true": "no condition",
    "(SELECT count(*) FROM read_csv('/etc/passwd')) > 0": "no condition",
    "carrier = 3": "no condition",
}
"""Condition -> what is said of it."""


def test_a_condition_that_says_nothing_is_no_pass(tmp_path: Path) -> None:
    work = QualityWork(tmp_path)
    rules = ", ".join(f'{{name: r{i}, when: "{when}", minimum: 0}}' for i, when in enumerate(NOTHING_SAID))
    work.contract = work.contract.replace("end: {type: float}", f"end: {{type: float, rules: [{rules}]}}")
    found = work.write().outcomes("data_quality")
    for i, (when, says) in enumerate(NOTHING_SAID.items()):
        outcome = found[f"{PREFIX}end/range/r{i}"]
        assert outcome.status.value == "not_evaluated", when
        assert says in outcome.reason, when
        assert "UA" not in outcome.reason.replace(when, "")
    # The other rules are counted all the same.
    assert {n for n, o in found.items() if o.status.value != "passed"} == {
        f"{PREFIX}end/range/r{i}" for i in range(len(NOTHING_SAID))
    }


def test_a_condition_on_a_sensitive_column_hides_small_counts(tmp_path: Path) -> None:
    work = with_rules(QualityWork(tmp_path), when="seat = 7", kinds=("range",))
    work.contract = work.contract.replace("seat: {type: integer,", "seat: {type: integer, sensitive: true,")
    work.holdout.loc[work.holdout.index[work.holdout["seat"] == 7][0], "end"] = -1.0
    evidence = work.write().outcomes("data_quality")[f"{PREFIX}end/range/united"].evidence
    assert isinstance(evidence, Measurement)
    assert evidence.low < evidence.high
    assert not evidence.detail


def test_moments_in_a_condition_are_in_utc_whatever_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa

    monkeypatch.setenv("TZ", "America/New_York")
    moments = pd.to_datetime(["2024-01-01T00:30:00Z", "2023-12-31T23:30:00Z"])
    rows = pa.table({"moment": pa.array(moments), ROW: [0, 1]})
    assert holds(rows, "moment >= '2024-01-01'", "here").tolist() == [True, False]
    with pytest.raises(NotEvaluated, match="no condition"):
        holds(rows, "max(moment) > now()", "here")


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ('[{name: a, when: "true"}]', "demands nothing"),
        ('[{name: a, when: "true", minimum: 1}, {name: a, when: "true", maximum: 3}]', "same `name`"),
        ('[{name: a, when: "true", pattern: x}]', "is a rule for columns of type string"),
        ('[{name: a, when: "true", minimum: 3, maximum: 1}]', "above maximum"),
        ("[{name: a, minimum: 3}]", "when"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rules: str, says: str, tmp_path: Path) -> None:
    work = QualityWork(tmp_path)
    work.contract = work.contract.replace("end: {type: float}", f"end: {{type: float, rules: {rules}}}")
    (tmp_path / "c.yaml").write_text(work.contract)
    with pytest.raises(ContractError, match=says):
        read_contract(tmp_path / "c.yaml")


def test_another_condition_is_another_check_and_a_larger_share_a_relaxed_one(tmp_path: Path) -> None:
    def contract(when: str, share: float) -> Path:
        work = with_rules(QualityWork(tmp_path), when=when, kinds=("range",))
        work.contract = work.contract.replace("minimum: 0}", f"minimum: 0, outside_at_most: {share}}}")
        (tmp_path / "c.yaml").write_text(work.contract)
        return tmp_path / "c.yaml"

    base = read_contract(contract(UA, 0)).contract
    assert "data_quality/holdout/end/range/united" in {c.id for c in checks(base)}
    assert [c.how for c in compare(read_contract(contract(UA, 0.1)).contract, base).limits] == ["relaxed"]
    assert [c.how for c in compare(read_contract(contract("carrier = 'AA'", 0)).contract, base).limits] == ["redefined"]
