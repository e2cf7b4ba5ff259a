"""What documents are made of: a record that holds, the contract that it names, and what was left beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from weighin.contract.card import Card
from weighin.contract.models import Contract
from weighin.contract.reading import ContractFile
from weighin.errors import RecordRefused
from weighin.record.drilled import REMEDY, Drill, read_drill
from weighin.record.history import Checked
from weighin.record.signature import SIGNED
from weighin.record.verify import verify
from weighin.release.approval import Approval, approvals
from weighin.report.answer import Answer, answer
from weighin.report.view import CheckView
from weighin.untrusted import JsonObject

DRILL = Path("drill/drill.json")
"""Beside the record."""


@dataclass(frozen=True)
class Material:
    """Everything that a document may say something of.

    digest     of the record
    signed_by  id of the trusted key that signed it; empty where none was asked for
    answer     what the record answers, in words
    drill      None where there was none
    approvals  of this record, with their signatures checked
    history    of the registry, oldest first; None where it was not asked for
    """

    record: JsonObject
    digest: str
    signed_by: str
    contract: Contract
    answer: Answer
    drill: Drill | None
    approvals: tuple[Approval, ...]
    history: tuple[Checked, ...] | None

    @property
    def card(self) -> Card:
        """What people say of the model; empty where the contract has no card."""
        return self.contract.card or Card()

    @property
    def name(self) -> str:
        """Model and version."""
        return f"{self.record['model']}, {self.answer.candidate}"

    @property
    def views(self) -> tuple[CheckView, ...]:
        """All checks, in the order of the contract."""
        return tuple(v for group in self.answer.groups for v in group.views)

    def suite(self, *names: str) -> tuple[CheckView, ...]:
        """Return the checks of suites."""
        return tuple(v for group in self.answer.groups if group.suite in names for v in group.views)

    def information(self, name: str) -> Sequence[JsonObject]:
        """Return the tables that a suite has left for information."""
        return [t for s in self.record["suites"] if s["suite"] == name for t in s.get("information", ())]


def read_material(
    file: ContractFile,
    reports: Path,
    trusted: Iterable[Ed25519PublicKey] = (),
    history: Sequence[Checked] | None = None,
) -> Material:
    """Read and check what the documents about the record in `reports` are made of.

    trusted  public keys, one of which must have signed; with any, `record.dsse.json` is read
    Errors: `RecordRefused` for a record that does not hold or is of another contract, and for a drill or an approval
    of something else; `ContractError` for a key that cannot be read.
    """
    keys = tuple(trusted)
    path = reports / (SIGNED if keys else "record.json")
    found = verify(path, keys)
    record = found.record
    if record["contract"]["digest"] != file.digest:
        raise RecordRefused(
            f"it is of another contract ({record['contract']['digest']}) than {file.path.name} ({file.digest})",
            str(path),
            "Give the contract as it was judged, with --contract.",
        )
    return Material(
        record,
        found.digest,
        found.signed_by,
        file.contract,
        answer(record),
        _drill_of(record, reports / DRILL),
        tuple(approvals(file, reports, found.digest)),
        None if history is None else tuple(history),
    )


def _drill_of(record: JsonObject, path: Path) -> Drill | None:
    """Return the drill of a record's contract and subject; None where there is no file.

    Errors: `RecordRefused` for a file that is damaged, does not add up, or is about something else.
    """
    if not path.exists() and not path.is_symlink():
        return None
    drill, _ = read_drill(path)
    for what, held, expected in (
        ("contract", drill.about.contract, record["contract"]["digest"]),
        ("subject", drill.about.subject, record["subject"]),
    ):
        if held != expected:
            raise RecordRefused(f"it is of another {what} than the record", str(path), REMEDY)
    return drill
