"""The record: its published form, and that nothing in it can be changed unseen where its own numbers say otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.ab_work import Trial
from weighin.ab_test.record import FILE, envelope, read_record, read_signed, schema
from weighin.canonical import write_json
from weighin.errors import RecordRefused
from weighin.record.signature import KEY, make_key, signed, signer, trusted_key, unsealed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return Trial(tmp_path_factory.mktemp("trial")).write().evaluate()


def read(record: dict[str, Any], folder: Path) -> dict[str, Any]:
    write_json(folder / "ab.json", record)
    return read_record(folder / "ab.json")[0]


def test_the_published_form_is_the_one_that_is_used() -> None:
    assert (ROOT / "docs/schema" / FILE).read_bytes() == (ROOT / "weighin/ab_test" / FILE).read_bytes()
    assert schema()["$id"] == "weighin/ab/v1"


def test_a_record_reads_back(record: dict[str, Any], tmp_path: Path) -> None:
    assert read(record, tmp_path) == record


def _outcome(record: dict[str, Any], place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = record["outcomes"][place]
    return found


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "an answer": lambda r: r.update(answer="fail"),
    "an answer that waits": lambda r: r.update(answer="inconclusive"),
    "an outcome": lambda r: _outcome(r).update(status="failed"),
    "a bound": lambda r: _outcome(r)["evidence"].update(low=-1.0),
    "a limit": lambda r: _outcome(r)["limit"].update(value=0.5),
    "a level": lambda r: _outcome(r)["evidence"].update(level=0.6),
    "no outcome": lambda r: r.update(outcomes=[]),
    "a fault": lambda r: r["validity"][0]["evidence"].update(estimate=0.5, low=0.5, high=0.5),
    "a fault that is said": lambda r: r["validity"][0].update(
        status="failed", evidence={**r["validity"][0]["evidence"], "estimate": 0.5, "low": 0.5, "high": 0.5}
    ),
    "a broken sample ratio": lambda r: r["sample_ratio"].update(broken=True),
    "a sample ratio that was broken": lambda r: r["sample_ratio"].update(broken_before=True),
    "units of an arm": lambda r: r["sample_ratio"].update(challengers=r["sample_ratio"]["challengers"] // 2),
    "an end of the sample ratio": lambda r: r["sample_ratio"].update(low=0.4),
    "another share that is due": lambda r: r["sample_ratio"].update(expected=0.4),
    "another error": lambda r: _outcome(r)["limit"].update(alpha=0.2),
    "an unknown key": lambda r: r.update(more=1),
    "a missing key": lambda r: r.pop("since"),
    "another schema": lambda r: r.update(schema="weighin/ab/v2"),
    "a moment": lambda r: r.update(cutoff="yesterday"),
    "no evaluations": lambda r: r.update(evaluations=[]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_record_is_refused(record: dict[str, Any], tmp_path: Path, name: str) -> None:
    changed = json.loads(json.dumps(record))
    CHANGES[name](changed)
    with pytest.raises(RecordRefused):
        read(changed, tmp_path)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"NaN", b"[" * 100_000, b'{"schema": "weighin/ab/v1"}'])
def test_what_is_no_record_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "ab.json").write_bytes(data)
    with pytest.raises(RecordRefused):
        read_record(tmp_path / "ab.json")


def test_a_link_is_refused(record: dict[str, Any], tmp_path: Path) -> None:
    read(record, tmp_path)
    (tmp_path / "link.json").symlink_to(tmp_path / "ab.json")
    with pytest.raises(RecordRefused, match="no regular file"):
        read_record(tmp_path / "link.json")


def test_a_damaged_record_stops_an_evaluation_and_stays(tmp_path: Path) -> None:
    trial = Trial(tmp_path).write()
    trial.out.mkdir()
    (trial.out / "ab.json").write_text("{")
    assert trial.command() == 1
    assert (trial.out / "ab.json").read_text() == "{"


def test_a_statement_about_something_else_is_refused(record: dict[str, Any], tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    by, keys = signer({KEY: str(tmp_path / "key")}), [trusted_key(tmp_path / "key.pub")]
    assert by is not None
    path = tmp_path / "ab.dsse.json"
    write_json(path, envelope(record, by))
    assert read_signed(path, keys) == (record, by.key_id)
    statement, _ = unsealed(path.read_bytes(), keys, "")
    for change in ({"subject": []}, {"predicateType": "other"}, {"predicate": 1}, {"predicate": {**record, "more": 1}}):
        write_json(path, signed(statement | change, by))
        with pytest.raises(RecordRefused):
            read_signed(path, keys)
