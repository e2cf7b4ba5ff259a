"""`outcomes.json`: what one suite found, bound to the contract, the subject, the image and the attempt it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from weighin.canonical import canonical, plain, read_json, write_json
from weighin.errors import EvidenceError
from weighin.outcome import Outcome
from weighin.record.outcomes import decode_outcome, encode_outcome
from weighin.untrusted import JsonDict

SCHEMA = "weighin/outcomes/v1"
FILE = "outcomes.json"


@dataclass(frozen=True)
class Binding:
    """What a piece of evidence is about. Evidence of another binding proves nothing.

    contract, subject  `sha256:<hex>` of the contract file and of subject.json
    image              identity of the judging image; empty where the suites ran in a local environment
    attempt            the attempt of the run, as its caller counts; "1" for a run by hand
    """

    contract: str
    subject: str
    image: str
    attempt: str


@dataclass(frozen=True)
class SuiteOutcomes:
    """One suite's outcomes, in the order in which its tests ran.

    information  tables and plots for readers, plain values; no outcome rests on them
    """

    suite: str
    binding: Binding
    outcomes: tuple[Outcome, ...]
    seconds: float
    waivers: Mapping[str, str] = field(default_factory=dict)
    information: tuple[Mapping[str, Any], ...] = ()

    def write(self, folder: Path) -> None:
        """Write `outcomes.json` into the suite's report folder."""
        write_json(folder / FILE, self._value())

    def _value(self) -> JsonDict:
        return {
            "schema": SCHEMA,
            "suite": self.suite,
            "binding": asdict(self.binding),
            "seconds": round(self.seconds, 3),
            "outcomes": [encode_outcome(o, self.waivers.get(o.check, "")) for o in self.outcomes],
            "information": plain(self.information),
        }

    @staticmethod
    def read(folder: Path) -> SuiteOutcomes:
        """Read what `write` wrote, byte for byte. Errors: `EvidenceError`."""
        path = folder / FILE
        value = read_json(path, SCHEMA)
        try:
            left = SuiteOutcomes(
                str(value["suite"]),
                Binding(**value["binding"]),
                tuple(decode_outcome(o) for o in value["outcomes"]),
                float(value["seconds"]),
                {o["check"]: o["waiver"] for o in value["outcomes"] if o["waiver"]},
                tuple(value.get("information", ())),
            )
            as_written = canonical(left._value()) == path.read_bytes()
        except (KeyError, TypeError, ValueError) as error:
            raise EvidenceError(f"damaged ({type(error).__name__})", str(path), "Run the suite again.") from error
        if not as_written:
            raise EvidenceError(
                "its bytes are not the canonical form of what they say", str(path), "Run the suite again."
            )
        return left
