"""Which variables reach the step that reads data and registry."""

from __future__ import annotations

import pytest

from weighin.runner import variables
from weighin.runner.variables import FORWARD, LINES, from_lines, masked, passed_on


def test_what_is_set_is_passed_on_by_name() -> None:
    environment = {
        "DATABRICKS_TOKEN": "t",
        "AWS_REGION": "",
        "OTHER": "x",
        "WAREHOUSE": "w",
        FORWARD: "WAREHOUSE,NOT_SET",
    }
    assert passed_on(environment, embedded=False) == ["DATABRICKS_TOKEN", "WAREHOUSE"]


@pytest.mark.parametrize(("embedded", "names"), [(True, []), (False, ["MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"])])
def test_an_embedded_registry_has_no_other_address(embedded: bool, names: list[str]) -> None:
    environment = {"MLFLOW_TRACKING_URI": "databricks", "MLFLOW_REGISTRY_URI": "databricks-uc"}
    assert passed_on(environment, embedded=embedded) == names


def test_lines_set_what_a_registry_needs(capsys: pytest.CaptureFixture[str]) -> None:
    environment = {LINES: "DATABRICKS_HOST=https://dbc.example\n\n  DATABRICKS_TOKEN=a=b%c \n"}
    assert masked(environment) == {"DATABRICKS_HOST": "https://dbc.example", "DATABRICKS_TOKEN": "a=b%c"}
    assert capsys.readouterr().out == ""
    masked({**environment, "GITHUB_ACTIONS": "true"})
    assert capsys.readouterr().out == "::add-mask::https://dbc.example\n::add-mask::a=b%25c\n"


@pytest.mark.parametrize(
    "line", ["DATABRICKS_TOKEN", "PATH=/tmp", "LD_PRELOAD=x", "=x", "export DATABRICKS_TOKEN=hidden"]
)
def test_a_line_that_sets_anything_else_is_refused_without_its_value(line: str) -> None:
    with pytest.raises(ValueError, match=f"line 1 of {LINES}") as caught:
        from_lines({LINES: line})
    assert "hidden" not in str(caught.value)
    assert "/tmp" not in str(caught.value)


def test_what_a_server_of_one_s_own_asks_for_reaches_the_generator_and_no_step_that_reads() -> None:
    environment = {"WEIGHIN_SERVER_TOKEN": "t", "WEIGHIN_SERVER_HEADERS": "", "MLFLOW_TRACKING_TOKEN": "m"}
    assert variables.of_server(environment) == ("WEIGHIN_SERVER_TOKEN",)
    assert passed_on(environment, embedded=False) == ["MLFLOW_TRACKING_TOKEN"]


def test_no_variable_is_of_two_kinds() -> None:
    every = (*variables.JUDGING, *variables.DATA, *variables.REGISTRY, *variables.ADDRESSES)
    assert len(set(every)) == len(every)
