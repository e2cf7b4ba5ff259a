"""A record, signed and not: what holds is accepted, and of a thousand changes not one."""

from __future__ import annotations

import base64
import contextlib
import copy
import json
import os
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from support.evidence_files import Case, interval
from weighin.canonical import canonical, digest
from weighin.contract.models import TimeBlock
from weighin.errors import ContractError, EvidenceError, RecordRefused
from weighin.model.subject import ReservedUse
from weighin.outcome import Unmeasured
from weighin.record.signature import KEY, Signer, envelope, make_key, opened, signer, statement, trusted_key
from weighin.record.verify import verify


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A record with every kind of outcome."""
    case = Case(tmp_path_factory.mktemp("case") / "reports")
    temp, auc = case.check("drift/temp"), case.check("performance/roc_auc")
    case.evidence["drift/temp"] = interval(temp, temp.limit.value, 0.01)
    case.evidence["performance/roc_auc"] = interval(auc, auc.limit.value - 0.1, 0.01)
    case.evidence["load/errors"] = Unmeasured("load/errors", "the server ended by itself")
    found = json.loads(canonical(case.write().record()))
    statuses = {o["status"] for s in found["suites"] for o in s["outcomes"]}
    assert statuses == {"passed", "failed", "inconclusive", "not_evaluated"}
    return found


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Signer, Ed25519PublicKey]:
    path = tmp_path_factory.mktemp("keys") / "key"
    made = make_key(path)
    found = signer({KEY: str(path)})
    assert found is not None
    assert found.key_id == made
    return found, trusted_key(path.with_name("key.pub"))


def written(folder: Path, data: bytes) -> Path:
    path = folder / "record.json"
    path.write_bytes(data)
    return path


def test_a_record_that_says_what_its_numbers_say_holds(record: dict[str, Any], tmp_path: Path) -> None:
    found = verify(written(tmp_path, canonical(record)))
    assert (found.signed_by, found.digest) == ("", digest(canonical(record)))
    assert verify(tmp_path / "record.json", expected=found.digest).record == record


def test_a_signed_record_holds_for_who_trusts_its_key(record, keys, tmp_path: Path) -> None:
    by, public = keys
    path = written(tmp_path, canonical(envelope(record, by)))
    found = verify(path, [public])
    assert (found.record, found.signed_by) == (record, by.key_id)


def test_nobody_is_trusted_by_default(record, keys, tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="not signed by a key that is trusted"):
        verify(written(tmp_path, canonical(envelope(record, keys[0]))))


def test_a_record_signed_again_by_somebody_else_is_refused(record, keys, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    other = signer({KEY: str(tmp_path / "other")})
    assert other is not None
    path = written(tmp_path, canonical(envelope(record, other)))
    with pytest.raises(EvidenceError, match="not signed by a key that is trusted"):
        verify(path, [keys[1]])


def test_an_unsigned_record_is_refused_where_a_signature_is_asked_for(record, keys, tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="not signed"):
        verify(written(tmp_path, canonical(record)), [keys[1]])


def test_two_records_swapped_are_told_by_their_digest(record, tmp_path: Path) -> None:
    other = copy.deepcopy(record)
    other["run"]["created"] = "2020-01-01T00:00:00+00:00"
    with pytest.raises(EvidenceError, match="its digest is"):
        verify(written(tmp_path, canonical(other)), expected=digest(canonical(record)))


def test_other_bytes_for_the_same_values_are_refused(record, tmp_path: Path) -> None:
    good = canonical(record)
    for data in (
        json.dumps(record).encode(),
        good + b"\n",
        good.replace(b":", b": ", 1),
        good.replace(b"{", b'{"run":1,', 1),
    ):
        with pytest.raises(EvidenceError, match="not the canonical form"):
            verify(written(tmp_path, data))


@pytest.mark.exhaustive
def test_of_six_hundred_changed_bytes_of_a_signed_record_none_is_accepted(record, keys, tmp_path: Path) -> None:
    by, public = keys
    data = canonical(envelope(record, by))
    rng = random.Random(5)  # noqa: S311 - no secret
    # The short fields around the payload in full, and a sample of the rest.
    edges = [i for i in range(len(data)) if i < 60 or i > len(data) - 240]
    places = edges + rng.sample(range(60, len(data) - 240), 400)
    assert len(places) >= 600
    for place in places:
        mutant = bytearray(data)
        mutant[place] ^= rng.choice((1, 2, 4, 8, 16, 32, 64, 128))
        with pytest.raises(EvidenceError):
            verify(written(tmp_path, bytes(mutant)), [public])


DERIVED = ("status", "blocks", "reason", "n_required")


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all single values."""
    if isinstance(value, dict):
        for k, v in value.items():
            yield from leaves(v, (*path, k))
    elif isinstance(value, list):
        for i, v in enumerate(value):
            yield from leaves(v, (*path, i))
    else:
        yield path


def changed(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    return "x" if value is None else f"{value}x"


@contextlib.contextmanager
def mutant(record: dict[str, Any], path: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    """The record with one value changed, for as long as the block lasts: a copy of it takes longer than the test."""
    place = record
    for key in path[:-1]:
        place = place[key]
    before = place[path[-1]]
    place[path[-1]] = changed(before)
    try:
        yield record
    finally:
        place[path[-1]] = before


@pytest.mark.exhaustive
def test_no_value_of_a_signed_record_can_be_changed_under_its_signature(record, keys) -> None:
    by, public = keys
    good = envelope(record, by)
    assert base64.b64decode(good["payload"]) == canonical(statement(record))
    every = list(leaves(record))
    rng = random.Random(7)  # noqa: S311 - no secret
    paths = rng.sample(every, 500)
    for path in paths:
        with mutant(record, path) as other:
            forged = {**good, "payload": base64.b64encode(canonical(statement(other))).decode()}
        with pytest.raises(EvidenceError, match="not signed by a key that is trusted"):
            opened(canonical(forged), [public], "x")


@pytest.mark.exhaustive
def test_without_a_signature_what_follows_from_the_measurements_cannot_be_changed(record, tmp_path: Path) -> None:
    derived = [
        p
        for p in leaves(record)
        if p[0] in ("verdict", "policy_inputs", "first_release", "schema")
        or (p[0] == "suites" and len(p) == 3 and p[2] == "status")
        or (p[0] == "suites" and len(p) > 4 and p[4] in DERIVED)
    ]
    assert len(derived) >= 1000
    rng = random.Random(3)  # noqa: S311 - no secret
    small = [p for p in derived if p[0] != "suites"] + rng.sample([p for p in derived if p[0] == "suites"], 120)
    for path in small:
        with mutant(record, path) as other:
            data = canonical(other)
        with pytest.raises(EvidenceError):
            verify(written(tmp_path, data))


def test_a_measurement_that_would_turn_the_outcome_is_noticed(record, tmp_path: Path) -> None:
    forged = copy.deepcopy(record)
    failed = next(o for s in forged["suites"] for o in s["outcomes"] if o["status"] == "failed")
    failed["evidence"] |= {"estimate": 0.99, "low": 0.98, "high": 0.995}
    with pytest.raises(EvidenceError, match=f"{failed['check']}: its numbers do not say"):
        verify(written(tmp_path, canonical(forged)))


# --- the published form, and what follows from the record's own parts


def forged(record: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    found = copy.deepcopy(record)
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return found


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("approved",), True, "the record has the unknown key `approved`"),
        (("run", "note"), "x", "run has the unknown key `note`"),
        (("suites", 0, "outcomes", 0, "limit", "severity"), "ignore", 'severity is not "block" or "warn"'),
        (("suites", 0, "outcomes", 0, "limit", "alpha"), 0.9, "limit/alpha breaks exclusiveMaximum 0.5"),
        (("suites", 0, "outcomes", 0, "limit", "value"), "0.7", "limit/value is of another type than number"),
        (("suites", 0, "outcomes", 0, "status"), "fine", "outcomes/0/status is not"),
        (("contract", "alpha"), 0, "contract/alpha breaks exclusiveMinimum 0"),
        (("candidate", "digest"), "sha256:" + "2" * 64 + "\n", "candidate/digest breaks"),
        (("image",), "weighin:local", "image"),
        (("risk",), "No risk at all.", "its sentence about the risk is not that of its contract"),
        (("contract", "alpha"), 0.01, "sentence about the risk"),
        (("contract", "group"), "", "sentence about the risk"),
        (("contract", "block_hours"), 6, "sentence about the risk"),
    ],
    ids=lambda v: "".join(c for c in str(v) if c.isalnum())[:40],  # mutmut asks for each test by its name
)
def test_a_record_of_another_form_or_risk_is_refused(
    path: tuple[Any, ...], value: Any, sentence: str, record, tmp_path: Path
) -> None:
    with pytest.raises(RecordRefused, match=sentence) as refused:
        verify(written(tmp_path, canonical(forged(record, path, value))))
    assert "\n" not in str(refused.value)


def test_a_pass_at_a_weaker_level_than_its_sentence_promises_is_refused(tmp_path: Path) -> None:
    record = json.loads(canonical(Case(tmp_path / "reports").write().record()))
    assert verify(written(tmp_path, canonical(record))).record["verdict"]["status"] == "passed"
    sample = next(o for s in record["suites"] for o in s["outcomes"] if o["evidence"]["kind"] == "sample")
    sample["limit"]["alpha"] = 0.2
    with pytest.raises(RecordRefused, match="a weaker level than its sentence about the risk promises"):
        verify(written(tmp_path, canonical(record)))


def test_more_looks_than_there_are_are_refused(tmp_path: Path) -> None:
    case = Case(tmp_path / "reports").write()
    for use, holds in ((3, True), (4, False)):
        case.subject = replace(case.subject, sealed=ReservedUse("2013", use, 3, "1"))
        path = written(tmp_path, canonical(case.record()))
        if holds:
            assert "number 3" in verify(path).record["risk"]
        else:
            with pytest.raises(RecordRefused, match="more uses"):
                verify(path)


def test_the_risk_of_blocks_of_time_is_told_and_derived_again(tmp_path: Path) -> None:
    case = Case(tmp_path / "reports")
    contract = case.file.contract.model_copy(update={"group": TimeBlock(column="day", hours=6)})
    case.file = replace(case.file, contract=contract)
    record = case.write().record()
    assert (record["contract"]["group"], record["contract"]["block_hours"]) == ("day", 6)
    assert f"for samples of {contract.sampling_unit}. " in record["risk"]
    assert verify(written(tmp_path, canonical(record))).record == record


@pytest.mark.exhaustive
def test_a_hostile_file_is_refused_quickly_and_in_one_sentence(record, keys, tmp_path: Path) -> None:
    good = canonical(record)

    def holding(value: bytes) -> bytes:
        return good.replace(b'"data":{', b'"data":{"a":{"b":' + value + b"},", 1)

    assert verify(written(tmp_path, holding(b"1"))).record["data"]["a"] == {"b": 1}
    files = {
        "larger than 24 MiB": good + b" " * 60 * 2**20,
        "not JSON, or nested too deeply": b"[" * 100_000,
        "nested more than 64 deep": holding(b"[" * 200 + b"]" * 200),
        "more than 500,000 values": holding(b"[0" + b",0" * 600_000 + b"]"),
        "more than 500,000 value": b"[" + b"0," * 3_000_000 + b"0]",
        "not JSON": holding(b"9" * 100_000),
        "no canonical form": holding(b"1e999"),
        "no canonical for": holding(b"9007199254740993"),
        "not JSO": holding(b"NaN"),
        # Half a pair of surrogates in a value is written as an escape, so that this is not its canonical form.
        "its bytes are not the canonical for": holding(b'"\\ud800"'),
        "no canonical f": holding(b'{"\\ud800":1}'),
        "its bytes are not the canonical form": good.replace(b'"attempt":"1"', b'"attempt":"1","attempt":"1"', 1),
        "its bytes are not the canonical": good.replace(b'"attempt":"1"', b'"attempt":"\\u0031"', 1),
    }

    def refused(content: bytes, trusted: list[Ed25519PublicKey]) -> str:
        path, started = written(tmp_path, content), time.monotonic()
        with pytest.raises(RecordRefused) as told:
            verify(path, trusted)
        # It takes less than one; tests share the machine with others.
        assert time.monotonic() - started < 10
        assert "\n" not in str(told.value)
        return told.value.fact

    for sentence, data in files.items():
        assert sentence in refused(data, [])
        # The same under a signature of somebody who is trusted, as the statement.
        signature = base64.b64encode(keys[0].sign(data)).decode()
        signed = {**envelope(record, keys[0]), "payload": base64.b64encode(data).decode()}
        signed["signatures"] = [{"keyid": keys[0].key_id, "sig": signature}]
        refused(json.dumps(signed, separators=(",", ":"), sort_keys=True).encode(), [keys[1]])


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"null", b'{"payloadType":1}', b"\xff", b'{"schema":"weighin/decision/v1"}'],
    ids=["empty", "list", "object", "null", "envelope", "no-utf8", "schema"],
)
def test_what_is_no_record_is_refused(data: bytes, keys, tmp_path: Path) -> None:
    for trusted in ([], [keys[1]]):
        with pytest.raises(EvidenceError):
            verify(written(tmp_path, data), trusted)
    with pytest.raises(EvidenceError, match="no record"):
        verify(tmp_path / "absent.json")


def test_an_envelope_with_a_second_signature_or_another_type_is_refused(record, keys) -> None:
    by, public = keys
    good = envelope(record, by)
    assert opened(canonical(good), [public], "x").by == by.key_id
    payload = base64.b64decode(good["payload"])
    # A signature over the payload alone, as if the type did not count.
    bare = base64.b64encode(by.key.sign(payload)).decode()
    for forged in (
        {**good, "signatures": good["signatures"] * 2},
        {**good, "signatures": []},
        {**good, "payloadType": "application/json"},
        {**good, "signatures": [{"keyid": by.key_id, "sig": bare}]},
        {**good, "signatures": [{**good["signatures"][0], "keyid": "sha256:0"}]},
        {**good, "extra": 1},
    ):
        with pytest.raises(EvidenceError):
            opened(canonical(forged), [public], "x")


# --- keys


def test_a_key_is_for_its_owner_only_and_never_overwritten(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    assert os.stat(tmp_path / "key").st_mode & 0o777 == 0o600
    before = (tmp_path / "key").read_bytes()
    with pytest.raises(ContractError, match="never overwritten"):
        make_key(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == before


def test_a_key_comes_from_the_environment_or_a_file_and_is_never_shown(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    pem = (tmp_path / "key").read_text()
    one, other = signer({KEY: pem}), signer({KEY: str(tmp_path / "key")})
    assert one is not None
    assert other is not None
    assert one.key_id == other.key_id
    assert signer({}) is signer({KEY: " "}) is None
    assert pem.splitlines()[1] not in repr(one)


def rsa() -> str:
    key = generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize("given", ["-----BEGIN SECRET-OF-OURS", "/no/such/file", "rsa"])
def test_a_key_that_cannot_be_used_is_an_error_that_does_not_quote_it(given: str) -> None:
    with pytest.raises(ContractError) as refused:
        signer({KEY: rsa() if given == "rsa" else given})
    assert "SECRET-OF-OURS" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_private_key_is_not_trusted_by_mistake(tmp_path: Path) -> None:
    make_key(tmp_path / "key")
    with pytest.raises(ContractError, match="not a readable public key"):
        trusted_key(tmp_path / "key")


# --- records of earlier releases

GOLDEN = Path(__file__).parent / "golden/decision-v1.json"
"""By the first release that wrote records of version 1. Not to be made again: a change of form is a new version."""


def test_a_record_of_an_earlier_release_still_holds() -> None:
    found = verify(GOLDEN)
    assert found.digest == "sha256:6dc0edff7c920ef42ac38b20a541a3d80b01b5db2dd455cdc870a6aafcb9163f"
    assert found.record["verdict"]["status"] == "failed"
    statuses = [o["status"] for s in found.record["suites"] for o in s["outcomes"]]
    assert {s: statuses.count(s) for s in set(statuses)} == {
        "passed": 42,
        "failed": 1,
        "inconclusive": 1,
        "not_evaluated": 1,
    }
