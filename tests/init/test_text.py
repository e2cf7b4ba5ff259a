"""The YAML of a draft says what was meant, whatever the names are."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from weighin.contract.reading import read_contract
from weighin.init.columns import Draft
from weighin.init.numbers import above, under
from weighin.init.text import Contract, flow

SCALARS = st.one_of(
    st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=30),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.dates(date(1900, 1, 1)),
)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(SCALARS, inner, max_size=3)))
def test_what_is_written_is_read_back(value: object) -> None:
    read = yaml.safe_load(f"key: {flow(value)}")["key"]
    assert read == value
    assert type(read) is type(value) or isinstance(value, (float, int))


@given(st.floats(-1e12, 1e12), st.integers(1, 3))
def test_rounding_leaves_room_on_the_side_that_is_asked_for(value: float, digits: int) -> None:
    room = 10 * 10.0**-digits * abs(value) + 1e-9
    assert value - 1e-6 * abs(value) <= above(value, digits) <= value + room
    assert value - room <= under(value, digits) <= value + 1e-6 * abs(value)


NAMES = ["a b", "select 1; --", "<script>alert(1)</script>", "yes", "42", "é", "#x", "a: b", "{x}"]


@pytest.mark.parametrize("name", NAMES)
def test_names_like_sql_html_or_yaml_words_are_names(name: str, tmp_path: Path) -> None:
    columns = [Draft(name, {"type": "float"}), Draft("y", {"type": "integer", "role": "target", "allowed": [0, 1]})]
    model = {"name": "m", "task": "binary", "target": "y"}
    drafted = Contract(model, {"holdout": "h.parquet"}, columns, {"data_quality": {"rows_at_least": 1}})
    (tmp_path / "c.yaml").write_text(drafted.text())
    assert name in read_contract(tmp_path / "c.yaml").contract.data.columns


def test_a_reason_with_an_end_of_line_stays_a_comment(tmp_path: Path) -> None:
    columns = [Draft("x", {"type": "float"}), Draft("y", {"type": "integer", "role": "target", "allowed": [0, 1]})]
    model = {"name": "m", "task": "binary", "target": "y"}
    evil = {"model": ["left out: x\n  memory_mb: 1"]}
    notes = {"model.name": "x\n  predict_seconds: 1"}
    gates = {"data_quality": {"rows_at_least": 1}}
    (tmp_path / "c.yaml").write_text(Contract(model, {"holdout": "h.parquet"}, columns, gates, "", notes, evil).text())
    read = read_contract(tmp_path / "c.yaml").contract.model
    assert (read.memory_mb, read.predict_seconds) == (2000, 300)
