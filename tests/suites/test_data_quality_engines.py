"""Both engines find the same, on sound and on broken data; which one counts is chosen by size."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.quality_work import BROKEN, PREFIX, SOUND, QualityWork
from weighin.contract import read_contract
from weighin.contract.quality import DataQuality
from weighin.outcome import Measurement, Outcome
from weighin.suites.data_quality import information
from weighin.suites.evidence import Evidence
from weighin.suites.quality_engines import FACTOR, choose, spark_session

GATE = DataQuality(rows_at_least=1, spark_memory_mb=1000)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The session that the suite starts, once for all, and without the machinery that small tables do not need."""
    with spark_session(GATE, tmp_path_factory.mktemp("spark")) as session:
        for key, value in {
            "spark.sql.shuffle.partitions": "1",
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
            "spark.sql.adaptive.enabled": "false",
        }.items():
            session.conf.set(key, value)
        yield session


def on(engine: str, work: QualityWork) -> dict[str, Outcome]:
    """What a suite finds with an engine."""
    contract = work.contract
    work.contract = contract.replace("    rows_at_least: 1000\n", f"    rows_at_least: 1000\n    engine: {engine}\n")
    assert work.contract != contract
    found = work.write().outcomes("data_quality")
    work.contract = contract
    return found


def compared(work: QualityWork) -> dict[str, Outcome]:
    """What both engines find: the same, but for the words in which an engine says that it cannot."""
    pandas, spark = on("pandas", work), on("spark", work)
    for name, outcome in pandas.items():
        other = spark[name]
        assert (outcome.status, outcome.limit) == (other.status, other.limit), f"{name}: {outcome} {other}"
        if isinstance(outcome.evidence, Measurement) and not name.endswith("/type"):
            assert outcome.evidence == other.evidence
    return pandas


def test_both_engines_let_sound_data_pass(spark: Any, tmp_path: Path) -> None:
    work = QualityWork(tmp_path)
    for change in SOUND.values():
        change(work)
    assert {o.status.value for o in compared(work).values()} == {"passed"}


# One of each expectation that Great Expectations has of its own in each engine, and of each kind of added column, as
# many at a time as do not touch each other: test_data_quality_rules.py breaks one at a time.
BY_ENGINE = {
    "values": (
        *("too far", "a stranger", "many gaps", "infinity", "twice", "a line end", "a seat twice"),
        *("ends before it starts", "a late end", "learnt before", "a seat that AA has not"),
    ),
    "moments and rows": (
        "another zone",
        "stale",
        "a minute back",
        "a whole number is missing",
        "too many",
        "rows again under new keys",
    ),
    "types": ("text for a number", "text for a time", "a column is gone"),
}


@pytest.mark.parametrize("group", BY_ENGINE)
def test_both_engines_find_the_same_broken_things(group: str, spark: Any, tmp_path: Path) -> None:
    work, expected = QualityWork(tmp_path), set()
    for name in BY_ENGINE[group]:
        change, red = BROKEN[name]
        change(work)
        expected |= red
    found = compared(work)
    assert {n.removeprefix(PREFIX) for n, o in found.items() if o.status.value != "passed"} == expected


def test_spark_tells_names_apart_that_it_would_fold_or_split(spark: Any, tmp_path: Path) -> None:
    work = QualityWork(tmp_path)
    names = {"seat": "SEAT`.", "end": "seat"}
    work.frames = {n: t.rename(columns=names) for n, t in work.frames.items()}
    for old, new in (
        ("seat: {type: integer,", "'SEAT`.': {type: integer,"),
        ("end: {type: float}", "seat: {type: float}"),
        ("[[day, seat]]", "[[day, 'SEAT`.']]"),
        ("{column: end, at_least: start,", "{column: seat, at_least: start,"),
        ("{column: end, greater_than: seat,", "{column: seat, greater_than: 'SEAT`.',"),
    ):
        assert old in work.contract
        work.contract = work.contract.replace(old, new)
    assert {n: o.reason for n, o in compared(work).items() if o.status.value != "passed"} == {}


def test_spark_says_which_whole_numbers_it_cannot_hold(spark: Any, tmp_path: Path) -> None:
    work = QualityWork(tmp_path)
    work.holdout["id"] = work.holdout["id"].astype("uint64") + 2**63
    found = on("spark", work)
    assert {o.status.value for o in found.values()} == {"not_evaluated"}
    assert "for Spark: values that cannot be prepared" in found[PREFIX + "rows"].reason


def test_spark_listens_on_loopback_only_and_counts_in_utc(spark: Any) -> None:
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert spark.sparkContext.uiWebUrl is None
    family = [p for p in psutil.Process().children(recursive=True) if "java" in p.name()]
    assert family
    listening = [c.laddr for p in family for c in p.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN]
    assert listening
    assert {a.ip.removeprefix("::ffff:") for a in listening} <= {"127.0.0.1", "::1"}


def test_pandas_counts_while_it_needs_less_than_the_contract_leaves_it() -> None:
    gate = DataQuality(rows_at_least=1, pandas_mb_at_most=80)
    assert choose(gate, 80 / FACTOR).name == "pandas"
    assert choose(gate, 81 / FACTOR).name == "spark"
    assert choose(gate, 81 / FACTOR).reason == "pandas would need 81 MB > 80 MB"


def test_without_a_limit_the_free_memory_decides() -> None:
    free = psutil.virtual_memory().available / 2**20
    assert choose(GATE, 1).name == "pandas"
    assert choose(GATE, free).name == "spark"


def test_the_contract_may_name_the_engine() -> None:
    for name in ("pandas", "spark"):
        gate = DataQuality(rows_at_least=1, engine=name, pandas_mb_at_most=1)  # type: ignore[arg-type]
        assert (choose(gate, 1e9).name, choose(gate, 1e9).reason) == (name, f"the contract says {name}")


def test_a_report_says_which_engine_counted_and_why(tmp_path: Path) -> None:
    work = QualityWork(tmp_path).write()
    evidence = Evidence(read_contract(work.folder / "model_contract.yaml"), work.folder / "work")
    (table,) = information(evidence)
    (row,) = table["rows"]
    assert row[:3] == ["holdout", 2_000, "pandas"]
    assert "pandas would need" in row[3]


def test_data_too_large_for_pandas_without_spark_are_not_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = QualityWork(tmp_path)
    work.frames["holdout"] = work.holdout.loc[work.holdout.index.repeat(20)]
    work.contract = work.contract.replace("rows_at_least: 1000\n", "rows_at_least: 1000\n    pandas_mb_at_most: 1\n")
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)  # as Python has it for what cannot be imported
    found = work.write().outcomes("data_quality")
    assert {o.status.value for o in found.values()} == {"not_evaluated"}
    assert "pip install weighin[spark]" in found[PREFIX + "rows"].reason
