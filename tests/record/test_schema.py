"""The published form of a record: what is written has it, and a record with a key more or less has not."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from support.evidence_files import DRILLED, RELEASES, Case, interval
from weighin.canonical import canonical
from weighin.contract import checks
from weighin.errors import RecordRefused
from weighin.outcome import Unmeasured
from weighin.record import form as form_of_records
from weighin.record.decision import SCHEMA
from weighin.record.verify import verify

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docs/schema/decision-v1.schema.json"
GOLDEN = sorted((Path(__file__).parent / "golden").glob("decision-*.json"))
NEW = {("provenance",), ("policy_inputs", "image_provenance"), ("releases",), ("contract", "lines"), ("drill",)}
"""What records of the first release do not have."""


@pytest.fixture(scope="module")
def form() -> Draft202012Validator:
    schema = json.loads(FILE.read_text())
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema"]["const"] == SCHEMA
    return Draft202012Validator(schema)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """With every kind of outcome, and few of each: validating hundreds, hundreds of times, takes long."""
    case = Case(tmp_path_factory.mktemp("case") / "reports", releases=RELEASES, drill=DRILLED)
    first = {suite: checks(case.file.contract, suite)[0] for suite in ("performance", "load")}
    case.evidence[first["performance"].id] = interval(first["performance"], first["performance"].limit.value, 0.01)
    case.evidence[first["load"].id] = Unmeasured(first["load"].id, "the server ended by itself")
    found: dict[str, Any] = json.loads(canonical(case.write().record()))
    for suite in found["suites"]:
        suite["outcomes"] = suite["outcomes"][:3]
    return found


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.name)
def test_records_of_every_release_have_the_published_form_and_still_hold(
    path: Path, form: Draft202012Validator
) -> None:
    form.validate(json.loads(path.read_text()))
    verify(path)


def test_the_schema_that_is_published_is_the_one_that_verification_demands() -> None:
    assert FILE.read_bytes() == (ROOT / "weighin/record" / form_of_records.FILE).read_bytes()
    assert form_of_records.schema() == json.loads(FILE.read_text())


def objects(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all objects whose keys are fixed."""
    if isinstance(value, dict):
        if path[:1] != ("data",) and path[-1:] not in (("detail",), ("information",), ("metrics",), ("lines",)):
            yield path
            for k, v in value.items():
                yield from objects(v, (*path, k))
    elif isinstance(value, list) and path[-1] != "information":
        # One of each suffices: all elements of a list have one form.
        for i, v in enumerate(value[:3]):
            yield from objects(v, (*path, i))


@pytest.mark.exhaustive
def test_a_record_with_a_key_more_or_less_has_another_form(record: dict[str, Any], form: Draft202012Validator) -> None:
    assert form.is_valid(record)
    seen = 0
    for path in objects(record):
        for change in (None, *at(record, path)):
            forged = copy.deepcopy(record)
            place = at(forged, path)
            if change is None:
                place["unheard-of"] = 1
            else:
                del place[change]
            assert form.is_valid(forged) is ((*path, change) in NEW), (path, change)
            seen += 1
    assert seen > 100


def at(value: Any, path: tuple[Any, ...]) -> dict[str, Any]:
    for key in path:
        value = value[key]
    found: dict[str, Any] = value
    return found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "weighin/decision/v2"),
        (("image",), "weighin:local"),
        (("candidate", "digest"), "2" * 64),
        (("verdict", "status"), "fine"),
        (("verdict", "exit_code"), 3),
        (("contract", "alpha"), 0),
        (("contract", "alpha"), 0.5),
        (("contract", "block_hours"), 0),
        (("suites", 0, "outcomes", 0, "limit", "alpha"), 0.5),
        (("suites", 0, "outcomes", 0, "limit", "severity"), "ignore"),
        (("suites", 0, "outcomes", 0, "n_required"), 0),
        (("suites", 0, "outcomes", 0, "evidence", "level"), 1.5),
        (("provenance",), {}),
        (("suites", 0, "outcomes", 0, "evidence"), {}),
        (("suites", 0, "outcomes", 0, "limit", "value"), "nan"),
    ],
    ids=str,
)
def test_another_kind_of_value_has_another_form(
    path: tuple[Any, ...], value: Any, record: dict[str, Any], form: Draft202012Validator
) -> None:
    forged = copy.deepcopy(record)
    at(forged, path[:-1])[path[-1]] = value
    assert not form.is_valid(forged)


@pytest.mark.parametrize("key", ["estimate", "unit", "detail"])
@pytest.mark.parametrize("value", ["\ud800", {"\ud800": 1}, float("inf"), float("nan"), 10**400], ids=repr)
def test_what_json_libraries_disagree_about_is_refused(
    value: Any, key: str, record: dict[str, Any], tmp_path: Path
) -> None:
    changed = copy.deepcopy(record)
    changed["suites"][0]["outcomes"][0]["evidence"][key] = value
    path = tmp_path / "record.json"
    path.write_text(json.dumps(changed))
    with pytest.raises(RecordRefused) as refused:
        verify(path)
    assert "\n" not in str(refused.value)
