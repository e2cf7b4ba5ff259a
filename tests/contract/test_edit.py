"""A contract is edited in place: one value changes, and every other letter stays."""

from __future__ import annotations

import pytest
import yaml

from weighin.contract.edit import Edit, edited, keys_at, value_at
from weighin.errors import ContractError

TEXT = """\
# a comment
gates:
  performance:
    threshold: 0.3   # at or above
    checks:
      - {metric: roc_auc, at_least: 0.65}   # grün
      - {metric: recall, against: champion, margin: 0.05}

  drift:
    at_most: 0.1
    columns:
      temp: {at_most: 0.5, bins: 4}
# the end
"""


def test_a_scalar_is_replaced_and_its_comment_stays() -> None:
    found = edited(TEXT, Edit(("gates", "performance", "checks", 0, "at_least"), "0.7"))
    assert found == TEXT.replace("at_least: 0.65", "at_least: 0.7")


def test_a_key_is_added_to_a_mapping_in_one_line_and_to_one_in_many() -> None:
    one = edited(TEXT, Edit(("gates", "drift", "columns", "temp", "severity"), "block"))
    assert "temp: {at_most: 0.5, bins: 4, severity: block}" in one
    many = edited(TEXT, Edit(("gates", "drift", "columns", "wind"), "{at_most: 0.2}"))
    assert yaml.safe_load(many)["gates"]["drift"]["columns"]["wind"] == {"at_most": 0.2}
    assert many.endswith("      wind: {at_most: 0.2}\n# the end\n")


def test_what_is_above_a_new_key_is_made_with_it() -> None:
    found = edited(TEXT, Edit(("gates", "drift", "columns", "wind", "at_most"), "0.2"))
    assert yaml.safe_load(found)["gates"]["drift"]["columns"]["wind"] == {"at_most": 0.2}


def test_an_item_is_added_to_the_end_of_a_list() -> None:
    found = edited(TEXT, Edit(("gates", "performance", "checks", 2), "{metric: brier, at_most: 0.3}"))
    assert yaml.safe_load(found)["gates"]["performance"]["checks"][2] == {"metric": "brier", "at_most": 0.3}
    assert "  drift:\n    at_most: 0.1\n" in found


def test_the_value_and_the_keys_of_a_place_are_read() -> None:
    assert value_at(TEXT, ("gates", "performance", "threshold")) == "0.3"
    assert keys_at(TEXT, ("gates", "performance", "checks", 1))["margin"] == "0.05"
    assert value_at(TEXT, ("gates", "load")) is None


def test_a_list_cannot_be_replaced_by_a_value() -> None:
    with pytest.raises(ContractError, match=r"gates\.performance\.checks"):
        edited(TEXT, Edit(("gates", "performance", "checks"), "3"))
