"""Records and ledgers that say what they should not: another form, another risk, a history that was written again."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from support.attack import Attack, Result, replaced, test_the_wall_holds, test_without_the_wall_it_succeeds  # noqa: F401
from support.evidence_files import Case
from support.promotion_trials import Trial
from support.rewritten_ledger import (
    delete_ledger,
    files_of,
    kept_elsewhere,
    promoted_twice,
    rewrite,
    tamper_record,
    trusted,
)
from weighin.canonical import canonical, file_digest, write_json
from weighin.errors import EvidenceError, RecordRefused, RegistryError
from weighin.record.history import check_history, check_witness
from weighin.record.signature import KEY, SIGNED, SIGNER, signer
from weighin.record.verify import Verified, verify
from weighin.registry.ledger import MIRRORED, Entry
from weighin.registry.spent import RECORD


@cache
def a_pass() -> bytes:
    """A record of a pass that holds."""
    with TemporaryDirectory() as folder:
        return canonical(Case(Path(folder) / "reports").write().record())


def believed(place: Path, wall: bool, target: str, other: Any, record: bytes, harm: Result) -> Result:
    """What comes of giving a record to `verify`."""
    path = place / "record.json"
    path.write_bytes(record)
    with replaced(wall, target, other):
        try:
            verify(path)
        except RecordRefused:
            return Result.BLOCKED
    return harm


def nothing(*_: object, **__: object) -> None:
    """In place of a wall."""


def changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    """The record, changed, in its canonical form."""
    record = json.loads(a_pass())
    change(record)
    return canonical(record)


# --- the record


def an_approval_as_a_key(place: Path, wall: bool) -> Result:
    record = changed(lambda r: r.update(approved_by=["the risk committee"]))
    return believed(place, wall, "weighin.record.verify.demand_form", nothing, record, Result.MISLED)


def intervals_that_hold_one_time_in_ten(place: Path, wall: bool) -> Result:
    def weaken(record: dict[str, Any]) -> None:
        record["contract"]["alpha"] = 0.9
        record["risk"] = record["risk"].replace("at most 0.05", "at most 0.9")
        for outcome in (o for s in record["suites"] for o in s["outcomes"]):
            outcome["limit"]["alpha"] = 0.9
            if outcome["evidence"]["kind"] == "sample":
                outcome["evidence"]["level"] = 0.1

    return believed(place, wall, "weighin.record.verify.demand_form", nothing, changed(weaken), Result.FORGED)


def no_risk_at_all(place: Path, wall: bool) -> Result:
    record = changed(lambda r: r.update(risk="A candidate that breaks a limit cannot pass."))
    return believed(place, wall, "weighin.record.verify._risk_again", nothing, record, Result.MISLED)


def a_weaker_level_under_the_old_sentence(place: Path, wall: bool) -> Result:
    def weaken(record: dict[str, Any]) -> None:
        outcomes = [o for s in record["suites"] for o in s["outcomes"] if o["evidence"]["kind"] == "sample"]
        outcomes[0]["limit"]["alpha"], outcomes[0]["evidence"]["level"] = 0.4, 0.6

    return believed(place, wall, "weighin.record.verify._risk_again", nothing, changed(weaken), Result.FORGED)


def with_value(value: bytes) -> bytes:
    """The record with a value where the schema leaves it free, in its canonical form."""
    record = a_pass().replace(b'"data":{', b'"data":{"a":{"b":' + value + b"},", 1)
    assert json.loads(record)["data"]["a"]["b"]
    return record


def nested_beyond_the_stack(place: Path, wall: bool) -> Result:
    record = with_value(b"[" * 500 + b"]" * 500)
    try:
        return believed(place, wall, "weighin.record.form._bounded", nothing, record, Result.UNBOUNDED)
    except RecursionError:
        return Result.UNBOUNDED


def half_a_million_zeros(place: Path, wall: bool) -> Result:
    record = with_value(b"[0" + b",0" * 500_000 + b"]")
    return believed(place, wall, "weighin.record.form.VALUES", 10**9, record, Result.UNBOUNDED)


# --- the ledger


def told(of: Trial, wall: bool, target: str, other: Any, trust: Sequence[Any] = ()) -> Result:
    """Whether `history` says that something does not hold."""
    with replaced(wall, target, other):
        found = [p for c in check_history(of.champions(), trust) for p in c.problems]
    return Result.BLOCKED if found else Result.MISLED


def last_entry_again(of: Trial, **changes: Any) -> None:
    """Write the ledger again with another last entry."""
    rewrite(of.champions(), lambda entries: [*entries[:-1], replace(entries[-1], **changes)])


def signed_of_another_place(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    # The right record under the right key; what its promotion replaced was something else.
    rewrite(of.champions(), lambda entries: [replace(entries[0], reason="nobody knows"), *entries[1:]])

    def only_the_key(champions: Any, entry: Entry, found: Verified, keys: Any, folder: Path) -> str:
        return verify(folder / SIGNED, keys, expected=found.digest).signed_by

    return told(of, wall, "weighin.record.history._signed", only_the_key, trusted())


def signature_taken_away(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    for entry in of.champions().ledger.entries()[1:]:
        (files_of(of.champions(), entry) / SIGNED).unlink()
        (files_of(of.champions(), entry) / SIGNER).unlink()
    rewrite(of.champions(), lambda entries: entries)
    return told(of, wall, "weighin.record.history._signed", lambda *_: "", trusted())


def files_of_another_model(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    for name in (SIGNED, SIGNER):
        (files_of(of.champions(), of.champions().ledger.entries()[-1]) / name).unlink()
    last_entry_again(of, after="4", artifact=of.version(4).digest)
    return told(of, wall, "weighin.record.history._recorded", lambda *_: [])


def another_verdict_is_kept(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    folder = files_of(of.champions(), of.champions().ledger.entries()[-1])
    for name in (SIGNED, SIGNER):
        (folder / name).unlink()
    # Numbers that a reader looks up in the registry, better than they were.
    outcomes = json.loads((folder / RECORD).read_bytes())["suites"]
    outcomes[0]["outcomes"][0]["reason"] = "better than ever"
    tamper_record(folder / RECORD, suites=outcomes)
    last_entry_again(of, record=file_digest(folder / RECORD))

    def as_it_is_kept(path: Path, *given: Any, **more: Any) -> Verified:
        if path.name == SIGNED:
            return verify(path, *given, **more)
        return Verified(json.loads(path.read_bytes()), file_digest(path), "")

    return told(of, wall, "weighin.record.history.verify", as_it_is_kept)


def an_approval_put_beside(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    entries = of.champions().ledger.entries()
    (files_of(of.champions(), entries[-1]) / "approvals.json").write_text('[{"how":"key","name":"risk committee"}]')
    said = {e.record: e.evidence for e in entries}
    return told(of, wall, "weighin.record.history.manifest_digest", lambda folder: said[file_digest(folder / RECORD)])


def champion_by_who_may_not_promote(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    champions = of.champions()
    head = champions.ledger.entries()[-1]
    # Into the ledger, and no tag of the model. It claims that it has been mirrored, and lies in the middle.
    forged = replace(head, before="3", after="2", parent=head.sum, actor="mallory", action="rollback", emergency=True)
    forged = replace(forged, record="", artifact=of.version(2).digest, owner="x", reason="y")
    number = champions.registry.add_entry(champions.ledger.name, head.run_id, {**forged.tags(), MIRRORED: "now"})
    back = champions.planned("rollback", replace(forged, number=number), "2", "3", head.artifact)
    back = replace(back, record=head.record)
    champions.registry.add_entry(champions.ledger.name, head.run_id, {**back.tags(), MIRRORED: "now"})
    return told(of, wall, "weighin.record.history._tagged", lambda *_: [])


def who_did_it_is_rewritten(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    champions = of.champions()
    head = champions.ledger.entries()[-1]
    # By somebody who may write the ledger only: sums add up again, and the model's tags stay.
    champions.registry.tag(champions.ledger.name, str(head.number), replace(head, actor="somebody else").tags())
    with replaced(wall, "weighin.registry.champion.ChampionRegistry._is_the_one_meant", nothing):
        try:
            champions.reconcile(look_only=True)
        except RegistryError:
            return Result.BLOCKED
    return Result.MISLED


# --- the ledger, all of it, by somebody with every permission: only what was kept elsewhere tells


def noticed(of: Trial, witness: Path, wall: bool, other: Any) -> Result:
    """Whether a kept record tells that the ledger is another, which adds up by itself."""
    assert [p for c in check_history(of.champions()) for p in c.problems] == []
    of.champions().reconcile(look_only=True)
    with replaced(wall, "weighin.record.history.named_entry", other):
        try:
            check_witness(witness, of.champions(), trusted())
        except EvidenceError:
            return Result.BLOCKED
    return Result.MISLED


def a_promotion_that_never_was(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    kept = kept_elsewhere(of, 3, 2)
    rewrite(of.champions(), lambda entries: entries[:-1])
    return noticed(of, kept, wall, lambda found, ledger, entries, place: entries[-1])


def all_of_it_never_was(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    kept = kept_elsewhere(of, 3, 2)
    delete_ledger(of.champions())
    return noticed(of, kept, wall, lambda found, ledger, entries, place: None)


def another_past_under_the_same_record(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    kept = kept_elsewhere(of, 3, 2)
    by = signer({KEY: str(of.stock.folder / "key")})
    # Who has the key can sign again; the record that was kept elsewhere still names what there was.
    rewrite(of.champions(), lambda entries: [replace(entries[0], actor="nobody"), *entries[1:]], by)

    def by_its_record(found: Verified, ledger: str, entries: Sequence[Entry], place: str) -> Entry:
        return next(e for e in entries if e.record == found.digest)

    return noticed(of, kept, wall, by_its_record)


def a_witness_of_ones_own(place: Path, wall: bool) -> Result:
    of = promoted_twice()
    value = json.loads(kept_elsewhere(of, 3, 2).read_bytes())
    said = json.loads(base64.b64decode(value["payload"]))
    # The kept record itself is changed to fit what the ledger says now.
    rewrite(of.champions(), lambda entries: [replace(entries[0], actor="nobody"), *entries[1:]])
    entry = of.champions().ledger.entries()[-1]
    said["predicate"]["ledger"] |= {"head": entry.parent, "entry": entry.content_hash}
    value["payload"] = base64.b64encode(canonical(said)).decode()
    write_json(place / SIGNED, value)
    with replaced(wall, "weighin.record.signature.unsealed", lambda data, keys, where: (said, "sha256:key")):
        try:
            check_witness(place / SIGNED, of.champions(), trusted())
        except EvidenceError:
            return Result.BLOCKED
    return Result.MISLED


ATTACKS = [
    Attack("a record says in a key of its own who approved it", an_approval_as_a_key, Result.MISLED),
    Attack("a pass at a level of one in ten", intervals_that_hold_one_time_in_ten, Result.FORGED),
    Attack("the sentence about the risk is rewritten", no_risk_at_all, Result.MISLED),
    Attack("one limit is weaker than the sentence promises", a_weaker_level_under_the_old_sentence, Result.FORGED),
    Attack("a record is nested beyond the stack", nested_beyond_the_stack, Result.UNBOUNDED),
    Attack("a record has half a million zeros", half_a_million_zeros, Result.UNBOUNDED),
    Attack("a signed record is moved to another place in the ledger", signed_of_another_place, Result.MISLED),
    Attack("the signatures are taken away and all sums made again", signature_taken_away, Result.MISLED),
    Attack("an entry is made to promote another version", files_of_another_model, Result.MISLED),
    Attack("the record that is kept is replaced by a better one", another_verdict_is_kept, Result.MISLED),
    Attack("an approval is put beside a record that is kept", an_approval_put_beside, Result.MISLED),
    Attack("somebody who may not change the model writes entries", champion_by_who_may_not_promote, Result.MISLED),
    Attack("who may write the ledger only rewrites its last entry", who_did_it_is_rewritten, Result.MISLED),
    Attack("the last promotion is deleted with its tags", a_promotion_that_never_was, Result.MISLED),
    Attack("the whole ledger is deleted with tags and aliases", all_of_it_never_was, Result.MISLED),
    Attack("who holds the key signs another past", another_past_under_the_same_record, Result.MISLED),
    Attack("a kept record is changed to fit the ledger of now", a_witness_of_ones_own, Result.MISLED),
]
