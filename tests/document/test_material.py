"""What documents are made of: one thing is wrong, and there is no document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.documents import CARD, CONTRACT, case, drill, material, recorded, write_drill
from weighin.canonical import digest, write_json
from weighin.contract import read_contract
from weighin.document.material import read_material
from weighin.errors import RecordRefused
from weighin.record.signature import KEY, SIGNED, Witness, envelope, key_id, make_key, signer, trusted_key
from weighin.release.approval import FOLDER


def test_a_record_that_holds_is_read_with_its_contract_and_digest(tmp_path: Path) -> None:
    made = case(tmp_path)
    found = material(made)
    assert found.digest == digest((made.reports / "record.json").read_bytes())
    assert found.card.owner == "operations research"
    assert (found.drill, found.approvals, found.history, found.signed_by) == (None, (), None, "")


def test_a_record_whose_numbers_say_something_else_gives_no_document(tmp_path: Path) -> None:
    made = case(tmp_path)
    record = recorded(made)
    outcome = record["suites"][2]["outcomes"][1]
    outcome["evidence"]["low"] -= 1
    write_json(made.reports / "record.json", record)
    with pytest.raises(RecordRefused, match=outcome["check"]):
        read_material(made.file, made.reports)


def test_another_contract_is_refused_although_it_differs_in_a_comment(tmp_path: Path) -> None:
    made = case(tmp_path)
    recorded(made)
    made.file.path.write_text(CONTRACT + CARD + "# later\n", encoding="utf-8")
    with pytest.raises(RecordRefused, match="of another contract"):
        read_material(read_contract(made.file.path), made.reports)


def test_without_a_record_there_is_no_document(tmp_path: Path) -> None:
    made = case(tmp_path)
    with pytest.raises(RecordRefused, match="no record"):
        read_material(made.file, made.reports)


def test_a_trusted_key_demands_the_signed_record(tmp_path: Path) -> None:
    made = case(tmp_path)
    record = recorded(made)
    make_key(tmp_path / "release.key")
    keys = [trusted_key(tmp_path / "release.key.pub")]
    with pytest.raises(RecordRefused, match="no record"):
        read_material(made.file, made.reports, keys)
    by = signer({KEY: str(tmp_path / "release.key")})
    assert by is not None
    write_json(made.reports / SIGNED, envelope(record, by, Witness("ledger", "", "")))
    assert read_material(made.file, made.reports, keys).signed_by == key_id(keys[0])


def test_an_approval_by_nobody_whom_the_contract_names_is_refused(tmp_path: Path) -> None:
    made = case(tmp_path)
    recorded(made)
    (made.reports / FOLDER).mkdir()
    (made.reports / FOLDER / "x.dsse.json").write_text("{}")
    with pytest.raises(RecordRefused):
        read_material(made.file, made.reports)


def test_a_drill_beside_the_record_is_read(tmp_path: Path) -> None:
    made = case(tmp_path)
    write_drill(made, drill(recorded(made)))
    found = read_material(made.file, made.reports).drill
    assert found is not None
    assert (found.summary.killed, found.faults[0].name) == (1, "model-worse")


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("about", "contract"), "sha256:0", "another contract"),
        (("about", "subject"), "sha256:0", "another subject"),
        (("summary", "killed"), 2, "summary"),
        (("summary", "missed"), 0, "summary"),
        (("summary", "false_alarms"), 0, "summary"),
        (("faults", 0, "answer"), "fine", "faults/0/answer"),
        (("faults", 1, "answer"), "blocked", "summary"),
        (("faults", 0, "size"), float("nan"), "not JSON"),
        (("schema",), "weighin/drill/v2", "schema"),
    ],
)
def test_a_drill_that_is_not_whole_is_refused(
    tmp_path: Path, place: tuple[str | int, ...], value: Any, said: str
) -> None:
    made = case(tmp_path)
    whole = drill(recorded(made))
    part: Any = whole
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    write_drill(made, whole)
    with pytest.raises(RecordRefused, match=said):
        read_material(made.file, made.reports)


def test_a_link_in_the_place_of_a_drill_is_refused(tmp_path: Path) -> None:
    made = case(tmp_path)
    path = write_drill(made, drill(recorded(made)))
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(RecordRefused, match="no regular file"):
        read_material(made.file, made.reports)
