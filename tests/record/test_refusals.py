"""Each refusal of a record says what does not hold, and of which file: one thing is broken at a time."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from support.evidence_files import DRILLED, RUN, Case
from weighin.canonical import canonical, digest
from weighin.contract.models import Waiver
from weighin.errors import RecordRefused
from weighin.model.subject import ReservedUse
from weighin.record.decision import decision_record
from weighin.record.form import ENVELOPE_BYTES
from weighin.record.verify import verify

IMAGE = "sha256:" + "a" * 64
BUILT = {
    "image": IMAGE,
    "digest": "sha256:" + "b" * 64,
    "issuer": "https://issuer.example",
    "workflow": "w.yml",
    "repository": "o/r",
    "bundle": "sha256:" + "c" * 64,
}
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A pass of an image whose provenance was verified, that knows of a drill, on a sealed holdout."""
    case = Case(tmp_path_factory.mktemp("case") / "reports", drill=DRILLED)
    case.subject = replace(case.subject, sealed=ReservedUse("2013", 2, 3, "1"))
    case.binding = replace(case.binding, image=IMAGE, subject=case.subject.digest)
    made = decision_record(case.write().decision(), case.file, case.subject, case.binding, RUN, BUILT, DRILLED)
    found: dict[str, Any] = json.loads(canonical(made))
    return found


def written(folder: Path, record: dict[str, Any]) -> Path:
    path = folder / "record.json"
    path.write_bytes(canonical(record))
    return path


def first(record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = record["suites"][0]
    return found


def sample(record: dict[str, Any]) -> dict[str, Any]:
    return next(o for s in record["suites"] for o in s["outcomes"] if o["evidence"]["kind"] == "sample")


def test_a_record_with_all_of_it_holds(record: dict[str, Any], tmp_path: Path) -> None:
    assert verify(written(tmp_path, record)).record == record


CHANGES: list[tuple[str, Change]] = [
    ("two outcomes for one check", lambda r: first(r)["outcomes"].append(first(r)["outcomes"][0])),
    ("two parts for one suite", lambda r: r["suites"].append({**first(r), "outcomes": []})),
    ("suite model: its outcomes do not say failed", lambda r: first(r).update(status="failed")),
    ("the verdict is not that of its suites", lambda r: r["verdict"].update(problems=["job predict ended as failure"])),
    ("its facts are not those of its outcomes", lambda r: r["policy_inputs"].update(fairness_checks=99)),
    ("its facts are not those of its outcomes", lambda r: r.update(first_release=True)),
    ("its sentence about the risk is not that of its contract and look", lambda r: r.update(risk="None.")),
    ("age and score of its drill are not those of its time and counts", lambda r: r["drill"].update(age_days=2.0)),
    ("age and score of its drill are not those of its time and counts", lambda r: r["drill"].update(score=0.9)),
    (
        "its provenance is not that of the image that judged",
        lambda r: (r.update(image="sha256:" + "9" * 64), r["policy_inputs"].update(image_provenance=False)),
    ),
]


@pytest.mark.parametrize(("fact", "change"), CHANGES, ids=[str(n) for n in range(len(CHANGES))])
def test_a_refusal_says_its_fact_and_its_place(
    fact: str, change: Change, record: dict[str, Any], tmp_path: Path
) -> None:
    forged = copy.deepcopy(record)
    change(forged)
    path = written(tmp_path, forged)
    with pytest.raises(RecordRefused) as refused:
        verify(path)
    assert (refused.value.fact, refused.value.place) == (fact, str(path))


def test_numbers_that_say_something_else_are_named_with_check_and_place(record: dict[str, Any], tmp_path: Path) -> None:
    forged = copy.deepcopy(record)
    outcome = sample(forged)
    outcome["status"] = "failed"
    path = written(tmp_path, forged)
    with pytest.raises(RecordRefused) as refused:
        verify(path)
    sentence = f"{outcome['check']}: its numbers do not say what it says"
    assert (refused.value.fact, refused.value.place) == (sentence, str(path))


def test_a_weaker_level_and_more_uses_than_there_are_name_their_place(record: dict[str, Any], tmp_path: Path) -> None:
    weaker = copy.deepcopy(record)
    outcome = sample(weaker)
    outcome["limit"]["alpha"] = 0.2
    path = written(tmp_path, weaker)
    with pytest.raises(RecordRefused) as refused:
        verify(path)
    sentence = f"{outcome['check']}: a weaker level than its sentence about the risk promises"
    assert (refused.value.fact, refused.value.place) == (sentence, str(path))
    case = Case(tmp_path / "reports").write()
    case.subject = replace(case.subject, sealed=ReservedUse("2013", 4, 3, "1"))
    path = written(tmp_path, case.record())
    with pytest.raises(RecordRefused) as refused:
        verify(path)
    sentence = "it says of more uses of the sealed holdout than there are"
    assert (refused.value.fact, refused.value.place) == (sentence, str(path))


def test_a_provenance_with_an_empty_field_is_refused_with_its_place(record: dict[str, Any], tmp_path: Path) -> None:
    forged = copy.deepcopy(record)
    forged["provenance"]["workflow"] = ""
    path = written(tmp_path, forged)
    with pytest.raises(RecordRefused) as refused:
        verify(path)
    assert refused.value.place == str(path)


def test_what_is_no_file_of_a_record_is_refused_with_place_and_remedy(record: dict[str, Any], tmp_path: Path) -> None:
    def refused(path: Path, *trusted: Ed25519PublicKey, expected: str = "") -> tuple[str, str, str]:
        with pytest.raises(RecordRefused) as found:
            verify(path, trusted, expected)
        return found.value.fact, found.value.place, found.value.remedy

    absent = tmp_path / "absent.json"
    give = "Give record.json, or record.dsse.json for a signed one."
    assert refused(absent) == ("no record", str(absent), give)
    path = written(tmp_path, record)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    assert refused(link) == ("no record", str(link), give)
    key = Ed25519PrivateKey.generate().public_key()
    assert refused(path, key) == ("not signed", str(path), "Give record.dsse.json.")
    found = digest(canonical(record))
    sentence = f"its digest is {found}, expected sha256:0"
    assert refused(path, expected="sha256:0")[:2] == (sentence, str(path))
    assert verify(path, expected=found).digest == found
    path.write_bytes(canonical(record) + b"\n")
    sentence = "its bytes are not the canonical form of what they say"
    assert refused(path)[:2] == (sentence, str(path))
    written(tmp_path, {**record, "schema": "weighin/decision/v0"})
    remedy = "Use the version of weighin that wrote it."
    assert refused(path) == ("not of schema weighin/decision/v1", str(path), remedy)
    path.write_text(json.dumps({**record, "data": {"holdout": {**record["data"]["holdout"], "rows": 2**60}}}))
    fact, place, _ = refused(path)
    assert (fact.partition(" (")[0], place) == ("no canonical form", str(path))
    assert "NoneType" not in fact
    for text in ("no JSON", '{"payloadType":1}'):
        path.write_text(text)
        assert refused(path, key)[1] == str(path)
    os.truncate(path, ENVELOPE_BYTES + 1)
    sentence = f"larger than {ENVELOPE_BYTES // 2**20} MiB, which no record is"
    assert refused(path)[:2] == (sentence, str(path))
    os.truncate(path, ENVELOPE_BYTES)
    assert refused(path)[0] != sentence


def test_what_was_measured_on_the_sealed_holdout_counts_where_a_use_was_reserved(
    record: dict[str, Any], tmp_path: Path
) -> None:
    text = json.dumps(record).replace('"performance/', '"sealed/').replace('"performance"', '"sealed"')
    sealed = json.loads(text)
    facts = sealed["policy_inputs"]
    facts.update(sealed_holdout=True, fairness_checks=0, suites=sorted(facts["suites"]))
    assert verify(written(tmp_path, sealed)).record == sealed
    facts.update(sealed_holdout=False)
    with pytest.raises(RecordRefused, match="its facts are not those of its outcomes"):
        verify(written(tmp_path, sealed))


def test_a_waiver_stands_in_its_outcome_and_in_no_other(tmp_path: Path) -> None:
    case = Case(tmp_path / "reports")
    waiver = Waiver(
        check="performance/roc_auc", limit=0.1, owner="owner", reason="a season", starts=None, expires=date.max
    )
    case.file = replace(case.file, contract=case.file.contract.model_copy(update={"waivers": (waiver,)}))
    record = json.loads(canonical(case.write().record()))
    outcomes = {o["check"]: o for s in record["suites"] for o in s["outcomes"]}
    assert "a season" in outcomes["performance/roc_auc"]["waiver"]
    assert verify(written(tmp_path, record)).record == record
    outcomes["performance/roc_auc"]["waiver"] = ""
    path = written(tmp_path, record)
    assert verify(path).record["verdict"]["status"] == "passed"
