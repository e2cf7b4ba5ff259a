"""The same rows give the same profile, wherever they live and whatever counts them."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.conformance import COUNTED, N, must_agree, rows
from support.data_engines import files, into_postgres, table
from support.postgres_server import postgres
from weighin.contract.models import TimeBlock
from weighin.contract.sources import Files, Query, Span
from weighin.data.engines.duckdb import DuckDB
from weighin.data.profile import Profile
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.errors import NotEvaluated

ADDRESS = "WEIGHIN_TEST_POSTGRES"
KINDS = ("parquet", "arrow", "glob", "partitioned", "spark-parquet", "spark-glob", "postgres")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres() as address, pytest.MonkeyPatch.context() as environment:
        environment.setenv(ADDRESS, address)
        yield address


@pytest.fixture
def place(tmp_path: Path, database: str):
    """kind, rows -> the rows as a relation in that place."""

    def made(kind: str, given: pa.Table) -> Relation:
        folder = tmp_path / kind
        folder.mkdir(exist_ok=True)
        if kind == "postgres":
            into_postgres(database, "rows", given)
            return table(ADDRESS, "rows")
        return files(folder, kind, given)

    return made


GROUPS = {"rows": None, "days": "day", "text": "word", "blocks": TimeBlock(column="at", hours=5)}


COMBINED = [
    (kind, group) for kind in ("arrow", "glob", "partitioned", "postgres") for group in ("rows", "days", "blocks")
]
# Spark takes half a minute for each; the cluster's tests count by day.
COMBINED += [("spark-parquet", "rows"), ("spark-glob", "blocks")]


@pytest.fixture(scope="module")
def in_parquet(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Profile, Profile]]:
    """group -> the profile of the rows in a Parquet file, and that of later rows with its cells."""

    @functools.cache
    def counted(group: str) -> tuple[Profile, Profile]:
        folder = tmp_path_factory.mktemp("counted")
        first = profile(files(folder, "parquet", rows()), COUNTED, GROUPS[group])
        return first, profile(files(folder, "parquet", rows(1)), COUNTED, GROUPS[group], first)

    return counted


@pytest.mark.parametrize(("kind", "group"), COMBINED)
@pytest.mark.exhaustive
def test_every_engine_counts_alike(kind: str, group: str, place, in_parquet, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, later = in_parquet(group)
    found = profile(place(kind, rows()), COUNTED, GROUPS[group])
    assert wanted.exact
    assert found.exact
    must_agree(found, wanted)
    counted_there(monkeypatch)
    again = profile(place(kind, rows(1)), COUNTED, GROUPS[group], wanted)
    assert not again.exact
    must_agree(again, later, sketched=True)


@pytest.mark.parametrize("most", [0, 3_000, 10**6])
@pytest.mark.parametrize("group", ["rows", "days", "blocks"])
def test_values_that_are_counted_first_are_counted_alike(
    group: str, most: int, place, in_parquet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In no statement, in several, and in one."""
    wanted, later = in_parquet(group)
    counted_there(monkeypatch)
    monkeypatch.setattr("weighin.data.counting.FEW", most)
    must_agree(profile(place("parquet", rows(1)), COUNTED, GROUPS[group], wanted), later, sketched=True)


def test_more_values_than_were_expected_are_counted_alike(place, in_parquet, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, later = in_parquet("days")
    counted_there(monkeypatch)
    monkeypatch.setattr("weighin.data.counting.FEW", 400)
    of_one_value = {name: replace(column, distinct=1) for name, column in wanted.columns.items()}
    found = profile(place("parquet", rows(1)), COUNTED, "day", replace(wanted, columns=of_one_value))
    must_agree(found, later, sketched=True)


def counted_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """No table is so small that it is fetched."""
    monkeypatch.setattr("weighin.data.profiling.SAMPLE_ROWS", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_saved_as_they_are_a_part_at_a_time(
    kind: str, place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("weighin.data.engines.duckdb", "weighin.data.engines.spark", "weighin.data.engines"):
        monkeypatch.setattr(f"{module}.BATCH", 100)
    monkeypatch.setenv("TZ", "America/New_York")  # two of its hours have the same name, and one none
    time.tzset()
    wanted = rows()
    try:
        place(kind, wanted).save(wanted.column_names, N, tmp_path / "saved.parquet")
    finally:
        monkeypatch.undo()
        time.tzset()
    saved = pq.ParquetFile(tmp_path / "saved.parquet")
    assert saved.metadata.num_row_groups > 1
    found = saved.read()
    assert found.column_names == wanted.column_names
    assert found["at"].type.tz == "UTC"
    assert found["naive"].type.tz is None
    for name in wanted.column_names:
        values = found[name].cast(wanted[name].type)
        assert str(values.to_pylist()) == str(wanted[name].to_pylist()), name  # as text, since NaN equals nothing


def test_what_is_counted_is_what_is_there(place) -> None:
    found = profile(place("parquet", rows()), COUNTED, None)
    gaps = rows()["gaps"].to_pandas()
    assert found.columns["gaps"].missing[0].tolist() == [N, int(gaps.isna().sum())]
    assert found.columns["empty"].missing[0].tolist() == [N, N]
    assert found.columns["empty"].moments.minimum is None
    assert found.columns["huge"].moments.infinite == 2
    assert math.isfinite(found.columns["huge"].moments.maximum)
    words = rows()["word"].to_pandas()
    cells = found.columns["word"].cells
    counted = dict(zip(cells.categories, found.columns["word"].counts[0].tolist(), strict=False))
    assert counted == words.value_counts().to_dict()
    plain = rows()["plain"].to_numpy()
    edges = np.array(found.columns["plain"].cells.edges)
    wanted = np.bincount(np.searchsorted(edges, plain, side="right"), minlength=11)
    assert found.columns["plain"].counts[0].tolist() == wanted.tolist()
    n, s, q = found.columns["plain"].moments.by_group[0]
    cells = found.columns["plain"].cells
    away = (plain - cells.centre) / cells.scale
    assert (n, s, q) == pytest.approx((N, away.sum(), (away**2).sum()), rel=1e-12)


@pytest.mark.parametrize("kind", ["parquet", "spark-parquet", "postgres"])
@pytest.mark.parametrize("column", ["at", "naive", "day"])
def test_a_window_means_the_same_everywhere(kind: str, column: str, place, tmp_path: Path) -> None:
    given = rows()
    relation = place(kind, given)
    first = datetime(2024, 2, 29, 12, tzinfo=UTC) if column != "day" else datetime(1969, 12, 30, tzinfo=UTC)
    span = Span(first, first + timedelta(days=1, hours=5))
    source = (
        Query(connection=ADDRESS, table="rows")
        if kind == "postgres"
        else Files(path=str(tmp_path / kind / "rows.parquet"))
    )
    engine = "spark" if kind.startswith("spark") else "duckdb"
    cut = Relation.of(source, tmp_path, engine, {}, span, column)
    if column == "day":
        wanted = sum(span.first.date() <= d < date(1970, 1, 1) for d in given["day"].to_pylist())
    else:
        wanted = sum(span.first <= m < span.before for m in given["at"].to_pylist())
    assert 0 < wanted < N
    assert (cut.rows, relation.rows) == (wanted, N)


@pytest.mark.parametrize("kind", ["parquet", "spark-parquet", "postgres"])
def test_a_profile_survives_its_file(kind: str, place, tmp_path: Path) -> None:
    found = profile(place(kind, rows()), COUNTED, "day")
    found.write(tmp_path / "profile.json")
    read = Profile.read(tmp_path / "profile.json")
    assert read.digest == found.digest
    must_agree(read, found)


@pytest.mark.parametrize("kind", ["parquet", "spark-parquet", "postgres"])
def test_rows_without_a_group_are_refused(kind: str, place) -> None:
    with pytest.raises(NotEvaluated, match="rows have no group"):
        profile(place(kind, rows()), {"plain": 10}, "word")


@pytest.mark.parametrize("kind", ["parquet", "spark-parquet", "postgres"])
def test_a_sample_of_a_large_table_is_drawn_alike_twice(kind: str, place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weighin.data.profiling.SAMPLE_ROWS", 200)
    relation = place(kind, rows())
    one, two = (profile(relation, {"plain": 10, "word": 10}, "day") for _ in range(2))
    assert not one.exact
    assert one.digest == two.digest
    assert one.columns["word"].complete
    assert one.columns["plain"].counts.sum() == N


@pytest.mark.parametrize("kind", ["parquet", "glob", "partitioned"])
def test_whole_files_and_a_query_over_them_give_the_same_sample(kind: str, place) -> None:
    whole = place(kind, rows())
    seen = whole.expression
    query = Relation(seen.filter(seen["plain"].notnull()), whole.engine, whole.place)  # leaves no row out
    drawn = whole.sample(["plain"], 200)["plain"].to_pylist()
    assert 100 < len(drawn) < 300
    assert query.sample(["plain"], 200)["plain"].to_pylist() == drawn


def test_a_column_that_is_named_as_the_number_of_a_row_is_left_alone(place) -> None:
    drawn = place("parquet", pa.table({"file_row_number": [7] * 1000, "x": range(1000)})).sample(["x"], 200)
    assert 100 < drawn.num_rows < 300


@pytest.mark.parametrize("kind", ["parquet", "spark-parquet", "postgres"])
def test_of_very_many_categories_none_is_new(kind: str, place) -> None:
    many = pa.table({"id": [f"a{i % 1500}" for i in range(3000)]})
    known = profile(place(kind, many), {"id": 10}, None)
    column = known.columns["id"]
    assert (column.complete, column.distinct, len(column.cells.categories)) == (False, 1500, 30)
    later = profile(place(kind, pa.table({"id": [f"a{i % 1600}" for i in range(3000)]})), {"id": 10}, None, known)
    for found in (known, later):
        assert found.columns["id"].counts[0][31] == 0
        assert found.columns["id"].counts[0].sum() == 3000


@pytest.mark.parametrize("kind", ["parquet", "spark-parquet", "postgres"])
def test_a_new_category_is_told_from_the_rest(kind: str, place) -> None:
    words = [f"w{i % 40:02}" for i in range(800)]
    known = profile(place(kind, pa.table({"word": words})), {"word": 10}, None)
    later = profile(place(kind, pa.table({"word": [*words[:-3], "x", "y", "y"]})), {"word": 10}, None, known)
    assert known.columns["word"].counts[0][30:].tolist() == [200, 0, 0]
    assert later.columns["word"].counts[0][30:].tolist() == [197, 3, 0]


@pytest.mark.jvm
def test_what_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH", raising=False)
    with pytest.raises(NotEvaluated, match="the environment has no NO_SUCH"):
        Relation.of(Query(connection="NO_SUCH", table="rows"), tmp_path)
    monkeypatch.setenv("NO_SUCH", "postgres://me:secret@127.0.0.1:1/none")
    with pytest.raises(NotEvaluated) as caught:
        Relation.of(Query(connection="NO_SUCH", table="rows"), tmp_path)
    assert "secret" not in str(caught.value)
    for engine in ("duckdb", "spark"):
        with pytest.raises(NotEvaluated, match=r"no such file|cannot read"):
            Relation.of(Files(path="absent.parquet"), tmp_path, engine)


def test_what_takes_long_draws_no_bar_into_the_output() -> None:
    with contextlib.closing(DuckDB()) as engine:
        (shown,) = engine._connection.raw_sql("SELECT current_setting('enable_progress_bar')").fetchone()
    assert shown is False
