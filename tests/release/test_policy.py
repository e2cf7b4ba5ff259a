"""The last word is a policy's: it allows only what it allows, and an error is a no. policy/ has the tests of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from weighin.errors import ContractError, PromotionError
from weighin.release.policy import demand

HEAD = "package weighin.release\nimport rego.v1\n"


@pytest.fixture
def given() -> dict[str, Any]:
    """A little of what promotion shows a policy."""
    return {"record": {"verdict": {"status": "passed"}}, "approvals": [{}, {}], "promoter": "release-bot"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "erred|no set of sentences"),
        ("package weighin.release\nallow if {", "erred"),
        (HEAD + "allow := true", "`deny` is no set of sentences"),
        (HEAD + "deny := set()", "`allow` is not true"),
        (HEAD + "deny := set()\nallow := 1", "`allow` is not true"),
        (HEAD + 'deny := set()\nallow := "true"', "`allow` is not true"),
        (HEAD + "deny contains 7\nallow := true", "no set of sentences"),
        (HEAD + 'deny := "no"\nallow := true', "no set of sentences"),
        (HEAD + 'deny contains m if { m := sprintf("%d", [to_number("x")]) }\nallow := true', "erred"),
        (HEAD + "deny := set()\nallow if { 1 / (count(input.approvals) - 2) > 0 }", "erred"),
        ("package another\nimport rego.v1\nallow := true\ndeny := set()", "no set of sentences"),
        (HEAD + 'deny contains "not on a Friday"\nallow := true', "denies it: not on a Friday"),
    ],
)
def test_a_policy_that_errs_or_is_undefined_denies(text: str, says: str, given: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "policy.rego"
    path.write_text(text)
    with pytest.raises(PromotionError, match=says):
        demand(path, given)


def test_a_policy_that_says_yes_is_a_yes(given: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "policy.rego"
    path.write_text(HEAD + "deny := set()\nallow := true")
    demand(path, given)


def test_a_policy_that_is_not_there_is_an_error(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="the policy cannot be read"):
        demand(tmp_path / "nothing.rego", given)


def test_a_policy_without_an_end_denies(given: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "policy.rego"
    pairs = "some x in numbers.range(1, 100000); some y in numbers.range(1, x); x + y == 0"
    path.write_text(f"{HEAD}deny := set()\nallow if {{ {pairs} }}")
    with pytest.raises(PromotionError, match="came to no end in 2 s"):
        demand(path, given, seconds=2)


def test_an_interpreter_that_dies_denies(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "policy.rego"
    path.write_text(HEAD + "deny := set()\nallow := true")
    monkeypatch.setattr("weighin.release.policy.sys.executable", "/bin/false")
    with pytest.raises(PromotionError, match="erred: code 1"):
        demand(path, given)
