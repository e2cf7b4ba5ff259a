"""What a record says of the last drill: its digest, score and age, none of which can be made up in the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.documents import drill
from support.evidence_files import Case
from weighin.canonical import canonical, file_digest
from weighin.errors import RecordRefused
from weighin.record.drilled import drilled
from weighin.record.verify import verify
from weighin.report.answer import answer

CREATED = "2026-11-04T12:00:00+00:00"


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path / "reports").write()


def left(folder: Path, value: dict[str, Any]) -> Path:
    path = folder / "drill.json"
    path.write_text(json.dumps(value))
    return path


def recorded(case: Case, folder: Path, drill: dict[str, Any]) -> Path:
    """Write a record of the case that says this of the last drill."""
    case.drill = drill
    record = case.record()
    record["run"]["created"] = CREATED
    path = folder / "record.json"
    path.write_bytes(canonical(record))
    return path


def test_digest_score_and_age_are_those_of_the_file_and_the_record_holds(case: Case, tmp_path: Path) -> None:
    path = left(tmp_path, drill(case.record(), ml_test_score={"total": 2.5}))
    found = drilled(path, case.file.digest, CREATED)
    assert found == {
        "digest": file_digest(path),
        "made": "2026-11-01T00:00:00+00:00",
        "age_days": 3.5,
        "same_contract": True,
        "faults": 2,
        "killed": 1,
        "score": 0.5,
        "ml_test_score": 2.5,
    }
    held = verify(recorded(case, tmp_path, found)).record
    assert ("last drill of this gate", "1 of 2 faults blocked, 3.5 days ago") in answer(held).facts
    assert drilled(path, "sha256:" + "0" * 64, CREATED)["same_contract"] is False


@pytest.mark.parametrize(
    "change",
    [{"age_days": 0.5}, {"score": 1.0}, {"killed": 2}, {"made": "2026-11-05T00:00:00+00:00"}, {"made": "yesterday"},
     {"faults": 0}],
)  # fmt: skip
def test_a_record_whose_drill_does_not_add_up_is_refused(case: Case, tmp_path: Path, change: dict[str, Any]) -> None:
    sound = drilled(left(tmp_path, drill(case.record())), case.file.digest, CREATED)
    with pytest.raises(RecordRefused):
        verify(recorded(case, tmp_path, {**sound, **change}))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda v: v["summary"].update(killed=2, missed=0), "its summary is not that of its faults"),
        (lambda v: v["about"].update(made="2026-11-05T00:00:00+00:00"), "of a later time"),
        (lambda v: v["about"].update(made="2026-11-01T00:00:00"), "not of the form of a drill"),
        (lambda v: v["about"].pop("made"), "not of the form of a drill"),
        (lambda v: v.update(schema="weighin/drill/v2"), "not of the form of a drill"),
        (lambda v: v.update(ml_test_score={"total": "7"}), "not of the form of a drill"),
    ],
)
def test_a_drill_that_does_not_add_up_or_is_of_the_future_is_refused(
    case: Case, tmp_path: Path, change: Any, says: str
) -> None:
    value = drill(case.record())
    change(value)
    with pytest.raises(RecordRefused, match=says):
        drilled(left(tmp_path, value), case.file.digest, CREATED)
    with pytest.raises(RecordRefused, match="no regular file"):
        drilled(tmp_path / "absent.json", case.file.digest, CREATED)
