"""Approvals: who says that a record may be acted on, under a signature, or in the platform's own words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from weighin.canonical import read_json, write_json
from weighin.contract.reading import ContractFile
from weighin.errors import ContractError, EvidenceError, RecordRefused
from weighin.github.reviews import SCHEMA as REVIEWS
from weighin.record.signature import STATEMENT, Signer, key_id, signed, trusted_key, unsealed
from weighin.record.verify import verify
from weighin.untrusted import JsonDict, JsonObject

PREDICATE = "https://weigh-in.dev/approval/v1"
LARGEST = 2**20
"""Bytes of an approval."""
FOLDER = "approvals"
"""Beside the record."""


@dataclass(frozen=True)
class Approval:
    """One person's word for one record.

    name     of the contract's approver, or the account on the platform
    how      "key": signed with the approver's key; "review": the platform says so of a review of the environment
    said     the moment of a signature; the environment of a review
    comment  in the approver's words
    """

    name: str
    how: str
    said: str
    comment: str


def approve(record: Path, by: Signer, comment: str) -> Path:
    """Sign that a record may be acted on; returns the file, in the folder `approvals` beside the record.

    Errors: `RecordRefused` for a record that does not hold or is no pass: nobody can approve that.
    """
    found = verify(record)
    status = found.record["verdict"]["status"]
    if status != "passed":
        raise RecordRefused(f"its verdict is {status}", str(record), "An approval does not make it a pass.")
    moment = datetime.now(UTC).isoformat(timespec="seconds")
    said = statement(found.digest, {"comment": " ".join(comment.split()), "timestamp": moment})
    path = record.parent / FOLDER / f"{by.key_id.removeprefix('sha256:')[:16]}.dsse.json"
    write_json(path, signed(said, by))
    return path


def statement(record: str, predicate: Mapping[str, str]) -> JsonDict:
    """Return the in-toto statement about the record with a digest `sha256:<hex>`."""
    subject = {"name": "record.json", "digest": {"sha256": record.removeprefix("sha256:")}}
    return {"_type": STATEMENT, "subject": [subject], "predicateType": PREDICATE, "predicate": dict(predicate)}


def approvals(contract_file: ContractFile, reports: Path, record: str) -> list[Approval]:
    """All approvals of a record: signed ones in `reports/approvals`, and the reviews in `reports/reviews.json`.

    record  its digest
    Errors: `RecordRefused` for a signed approval by nobody whom the contract names, or of another record;
    `ContractError` for a key that cannot be read; `EvidenceError` for reviews that cannot be.
    """
    keys: dict[str, tuple[Ed25519PublicKey, str]] = {}
    for approver in contract_file.contract.promotion.approvers:
        key = trusted_key(contract_file.folder / approver.key)
        if key_id(key) in keys:
            raise ContractError(f"{approver.name} has the key of {keys[key_id(key)][1]}", str(contract_file.path))
        keys[key_id(key)] = (key, approver.name)
    found = []
    folder = reports / FOLDER
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_symlink() or not path.is_file():
            raise RecordRefused("no regular file", str(path), "Remove it.")
        if path.stat().st_size > LARGEST:
            raise RecordRefused(f"larger than {LARGEST:,} bytes", str(path), "It is not one that weighin wrote.")
        said, by = unsealed(path.read_bytes(), [key for key, _ in keys.values()], str(path))
        found.append(_signed(said, keys[by][1], record, str(path)))
    return [*found, *_reviews(reports / "reviews.json")]


def _signed(said: JsonObject, name: str, record: str, place: str) -> Approval:
    try:
        moment, comment = str(said["predicate"]["timestamp"]), str(said["predicate"]["comment"])
    except (KeyError, TypeError) as error:
        raise RecordRefused(f"no approval ({type(error).__name__})", place) from error
    if said != statement(record, {"comment": comment, "timestamp": moment}):
        raise RecordRefused("an approval of another record", place, "Ask again, for this one.")
    return Approval(name, "key", moment, comment)


def _reviews(path: Path) -> list[Approval]:
    if not path.exists():
        return []
    try:
        listed = read_json(path, REVIEWS)["reviews"]
        return [
            Approval(str(r["login"]), "review", str(r["environment"]), str(r["comment"]))
            for r in listed
            if r["state"] == "approved"
        ]
    except (KeyError, TypeError) as error:
        raise EvidenceError(f"damaged ({type(error).__name__})", str(path), "Fetch the reviews again.") from error


def listed(found: Iterable[Approval]) -> list[dict[str, str]]:
    """As plain values, in one order."""
    return sorted((asdict(a) for a in found), key=json.dumps)
