"""Columns of a draft: what is guessed, and what is promised with room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from weighin.init.columns import Draft, Roles, draft_columns, guess_roles
from weighin.init.tables import Table
from weighin.model.description import Description, Input

ROWS = 1000
RANDOM = np.random.default_rng(0)


def table(**columns: object) -> Table:
    """A table in memory, as `tables.read` leaves it."""
    from weighin.data.typed import file_type

    sample = pa.table(columns)
    return Table("t.parquet", {}, sample.num_rows, sample, {n: file_type(sample.schema.field(n).type) for n in columns})


def described(*inputs: Input) -> Description:
    return Description({}, "mlflow.sklearn", "3", "3.11", inputs, (), False, (), 0)


def drafted(one: Table, roles: Roles | None = None, model: Description | None = None) -> dict[str, Draft]:
    return {c.name: c for c in draft_columns([one], roles or Roles(), model)}


def test_what_the_model_is_not_given_is_no_feature_and_the_only_column_left_is_the_target() -> None:
    one = table(
        account_id=np.arange(ROWS), customer=np.arange(ROWS) % 50, a=RANDOM.normal(size=ROWS), paid=np.arange(ROWS) % 2
    )
    roles = guess_roles(one, {}, described(Input("a", "double"), Input("customer", "long")))
    assert (roles.key, roles.target) == ("account_id", "paid")
    assert roles.guessed == {
        "key": "no value repeats, and by its name",
        "target": "the one column that the model is not given",
    }


def test_without_a_signature_a_target_is_guessed_by_its_name_only() -> None:
    assert guess_roles(table(a=[1.0] * 40, paid=[0, 1] * 20), {}, None).target == ""
    assert guess_roles(table(a=[1.0] * 40, Label=[0, 1] * 20), {}, None).target == "Label"


def test_what_the_user_says_is_not_guessed_again() -> None:
    one = table(id=np.arange(40), target=[0, 1] * 20, other=[0, 1] * 20)
    roles = guess_roles(one, {"target": "other"}, None)
    assert roles.target == "other"
    assert "target" not in roles.guessed


def test_columns_by_which_rows_may_depend_are_asked_about_and_not_promised() -> None:
    one = table(customer_id=np.arange(ROWS) % 100, target=np.arange(ROWS) % 2, a=RANDOM.normal(size=ROWS))
    roles = guess_roles(one, {}, described(Input("a", "double")))
    assert roles.group == ""
    assert roles.groups == ("customer_id",)


def test_ranges_have_room_on_both_sides_and_a_count_stays_one() -> None:
    found = drafted(table(x=np.linspace(-5, 5, ROWS), n=np.arange(ROWS) % 7 + 1, flag=np.arange(ROWS) % 2))
    assert found["x"].keys == {"type": "float", "minimum": -6, "maximum": 6, "outside_at_most": 0.005}
    assert found["n"].keys["minimum"] == 0
    assert found["n"].keys["maximum"] == 8
    assert found["flag"].keys == {"type": "integer", "allowed": [0, 1]}


def test_a_range_is_never_narrower_than_what_was_seen() -> None:
    for scale in (1e-9, 1e-3, 1.0, 1e6, 1e15):
        values = RANDOM.normal(size=200) * scale + scale * RANDOM.normal()
        keys = drafted(table(x=values))["x"].keys
        assert float(str(keys["minimum"])) <= values.min(), scale
        assert float(str(keys["maximum"])) >= values.max(), scale


def test_more_categories_seen_once_leave_more_room_for_new_ones() -> None:
    common = drafted(table(c=["a", "b"] * 500))["c"].keys
    rare = drafted(table(c=["a", "b"] * 490 + [f"r{i}" for i in range(20)]))["c"].keys
    assert common["allowed"] == ["a", "b"]
    assert float(str(rare["outside_at_most"])) > 20 / 1000 > float(str(common["outside_at_most"]))


def test_a_text_of_many_values_is_a_question_and_no_list() -> None:
    found = drafted(table(c=[f"v{i}" for i in range(ROWS)]))["c"]
    assert found.keys == {"type": "string"}
    assert found.note == "1,000 different values: which are allowed?"


def test_missing_values_have_room_over_the_worst_stretch_and_none_means_none() -> None:
    gaps = np.where(np.arange(ROWS) < 60, np.nan, 1.0) * np.arange(ROWS)
    found = drafted(table(x=gaps, y=np.arange(ROWS) * 1.0))
    # 60 of 1,000 values are missing, 60 of the first 125.
    assert float(str(found["x"].keys["missing_at_most"])) >= 60 / 125
    assert "missing_at_most" not in found["y"].keys


def test_values_of_a_person_stand_in_no_contract() -> None:
    found = drafted(table(email=["a@example.org", "b@example.org"] * 500))["email"]
    assert found.keys == {"type": "string", "sensitive": True}
    ages = drafted(table(birth_year=np.arange(ROWS) % 90 + 1920))["birth_year"]
    assert ages.keys == {"type": "integer", "sensitive": True}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (pa.array([None] * 40), "every value is missing"),
        (pa.array([{"a": 1}] * 40), "a contract has no type for struct<a: int64>"),
        (pa.array([b"x"] * 40), "a contract has no type for binary"),
    ],
)
def test_what_no_contract_can_hold_is_left_out_with_the_reason(values: pa.Array, why: str) -> None:
    assert drafted(table(x=values))["x"].out == why


def test_two_tables_of_different_types_are_said(tmp_path: Path) -> None:
    one, other = table(x=[1.0] * 40, y=[1] * 40), table(x=["a"] * 40, y=[1.5] * 40)
    found = {c.name: c for c in draft_columns([one, other], Roles(), None)}
    assert found["x"].out == "of type float and string"
    assert found["y"].keys["type"] == "float"


def test_whole_floats_are_integers_where_the_model_takes_them_so() -> None:
    one = table(x=np.arange(ROWS) * 1.0)
    assert drafted(one, model=described(Input("x", "long")))["x"].keys["type"] == "integer"
    assert drafted(one, model=described(Input("x", "double")))["x"].keys["type"] == "float"


def test_an_embedding_keeps_its_length() -> None:
    assert drafted(table(e=pa.array([[1.0, 2.0]] * 40)))["e"].keys == {"type": "array", "length": 2}
