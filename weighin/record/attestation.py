"""What the platform attested: a Sigstore bundle, verified without a network and against a workflow that is named.

An attestation is an in-toto statement about a file or an image, by its digest. It is signed with a key that lived for
minutes; a certificate says which workflow of which repository held it. Nobody is trusted by default: whoever verifies
names the issuer of that workflow's identity, the workflow, and the repository in which it ran.

A public repository's bundle proves its time by an entry in a public log; that of a private repository by a time stamp
of GitHub's own authority (`weighin.record.timestamped`), whose root is not bundled and has to be given.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from weighin.canonical import digest
from weighin.errors import ContractError, RecordRefused
from weighin.record.signature import PAYLOAD_TYPE, STATEMENT
from weighin.untrusted import JsonDict, JsonObject

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore.models import TrustedRoot

ATTESTED = "record.sigstore.json"
"""The platform's attestation of `record.json`, in the reports, with the ledger's entry and with the candidate's run."""
GITHUB = "https://token.actions.githubusercontent.com"
"""The issuer of the identities of workflows on github.com."""
RECORD = "https://weigh-in.dev/attested-decision/v1"
"""What is attested of a record: its head (`predicate`), about the digest of the whole."""
BUILT = "https://slsa.dev/provenance/v1"
"""What actions/attest-build-provenance says of an image."""
BYTES = 32 * 2**20
WORKFLOW = re.compile(
    r"(?P<host>https://[^/\s]+/)?(?P<repository>[^/\s@]+/[^/\s@]+)/\.github/workflows/[^/\s@]+\.ya?ml@\S+"
)


class AnotherSigner(Exception):
    """A certificate of the platform for something else than was asked for."""


@dataclass(frozen=True)
class Identity:
    """Who must have signed, exactly.

    issuer      who issued the workflow's identity, for instance `GITHUB`
    workflow    the workflow file as an address, with the ref by which it was called
    repository  the repository in which it ran, as an address: not the one that the file lies in, where it is reusable
    """

    issuer: str
    workflow: str
    repository: str

    @staticmethod
    def of(issuer: str, workflow: str, repository: str = "") -> Identity:
        """From what people type: `OWNER/REPO/.github/workflows/FILE.yml@REF`, and `OWNER/REPO`.

        repository  default: that of the workflow, so that a reusable one counts only where it was asked for
        Errors: `ContractError` for less than issuer and workflow, or for another form.
        """
        if not issuer or not workflow:
            raise ContractError(
                "an attestation is trusted for an issuer and a workflow, and one of them is missing",
                "--issuer, --workflow",
                f"On github.com the issuer is {GITHUB}.",
            )
        found = WORKFLOW.fullmatch(workflow)
        if not found:
            raise ContractError(
                f"no workflow identity: {workflow}",
                "--workflow",
                "Its form is OWNER/REPO/.github/workflows/FILE.yml@REF, the ref in full: refs/heads/main, or a SHA.",
            )
        if not issuer.startswith("https://"):
            raise ContractError(f"no issuer: {issuer}", "--issuer", f"On github.com it is {GITHUB}.")
        host = found["host"] or "https://github.com/"
        where = repository or found["repository"]
        if "://" not in where:
            where = host + where
        if not re.fullmatch(r"https://[^/\s]+/[^/\s@]+/[^/\s@]+", where):
            raise ContractError(f"no repository: {repository}", "--repository", "Its form is OWNER/REPO.")
        return Identity(issuer, workflow if found["host"] else host + workflow, where)

    def verify(self, cert: Certificate) -> None:
        """Compare a certificate's identity with this one; called by the library when the chain of trust holds."""
        from sigstore.errors import VerificationError
        from sigstore.verify import policy

        for rule in (
            policy.OIDCIssuerV2(self.issuer),
            policy.Identity(identity=self.workflow),
            policy.OIDCSourceRepositoryURI(self.repository),
        ):
            try:
                rule.verify(cert)
            except VerificationError as error:
                raise AnotherSigner(f"signed by another identity than the one that is trusted: {error}") from error


@dataclass(frozen=True)
class Attestation:
    """A bundle, who must have signed it, and a trusted root; without one, that of public Sigstore."""

    bundle: Path
    by: Identity
    trusted_root: Path | None = None

    def attests_record(self, record: JsonObject, found: str) -> None:
        """Errors: `RecordRefused` unless it is about the record with this digest, and says what the record says."""
        if attests(self.bundle, found, RECORD, self.by, self.trusted_root) != predicate(record):
            raise RecordRefused("what it says of the record is not what the record says", str(self.bundle))


def predicate(record: JsonObject) -> JsonDict:
    """Return the head of a record, for who looks at attestations; its digest, the subject, holds everything else."""
    return {
        "schema": record["schema"],
        "model": record["model"],
        "candidate": record["candidate"],
        "champion": record["champion"],
        "contract": record["contract"]["digest"],
        "image": record["image"],
        "verdict": record["verdict"]["status"],
    }


def statement(bundle: Path, by: Identity, trusted_root: Path | None = None) -> JsonObject:
    """Return the in-toto statement in a bundle, after every signature, time and identity was verified.

    bundle        a Sigstore bundle, or several, one a line, as `gh attestation download` leaves them; one must hold
    trusted_root  as `gh attestation trusted-root` prints it; default: the root of public Sigstore, in the library
    Errors: `RecordRefused` with what does not hold; `ContractError` for a root that cannot be read.
    """
    place, roots = str(bundle), trusted_roots(trusted_root)
    refusals: list[str] = []
    for text in _values(_read(bundle), place):
        for root in roots:
            try:
                return _statement(text, root, by, place)
            except AnotherSigner as error:
                # With one root the chain of trust holds: what the others say of it is beside the point.
                refusals.insert(0, str(error))
            except RecordRefused as error:
                refusals.append(error.fact)
    raise RecordRefused(refusals[0] if refusals else "no bundle", place)


def attests(bundle: Path, subject: str, kind: str, by: Identity, trusted_root: Path | None = None) -> JsonObject:
    """Return the predicate of an attestation about `subject`, a digest `sha256:<hex>`. Errors: as for `statement`."""
    said, place = statement(bundle, by, trusted_root), str(bundle)
    if said["predicateType"] != kind:
        raise RecordRefused(f"attests {said['predicateType']}, expected {kind}", place)
    about = ["sha256:" + str(s.get("digest", {}).get("sha256", "")) for s in said["subject"]]
    if subject not in about:
        raise RecordRefused(f"is about {', '.join(about)[:200]}, not about {subject}", place)
    found: Mapping[str, Any] = said["predicate"]
    return found


def trusted_roots(path: Path | None = None) -> list[TrustedRoot]:
    """Return the roots in a file, one a line; without a file that of public Sigstore, as the library brought it.

    Errors: `ContractError`.
    """
    from sigstore.models import TrustedRoot

    place = str(path or "the root of public Sigstore")
    try:
        if path is None:
            # Not through the library's cache: that lies in a home folder, and a file there would win.
            folder = files("sigstore._store") / "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
            data = (folder / "trusted_root.json").read_bytes()
        else:
            data = _read(path)
        roots = []
        with tempfile.TemporaryDirectory() as scratch:
            for text in _values(data, place):
                one = Path(scratch) / "root.json"
                # Empty lists need not be written, and the library misses them.
                one.write_text(json.dumps({"tlogs": [], "ctlogs": []} | json.loads(text)), encoding="utf-8")
                roots.append(TrustedRoot.from_file(str(one)))
    except Exception as error:
        fact = error.fact if isinstance(error, RecordRefused) else f"no trusted root ({type(error).__name__})"
        raise ContractError(fact, place, "Make one where there is a network: gh attestation trusted-root.") from error
    return roots


def bundle_digest(bundle: Path) -> str:
    """`sha256:<hex>` of the bundle's bytes."""
    return digest(_read(bundle))


def _statement(text: bytes, root: TrustedRoot, by: Identity, place: str) -> JsonObject:
    """Errors: `RecordRefused`, or `AnotherSigner` where everything but the identity holds."""
    from weighin.record.timestamped import verified_payload

    try:
        bundle = json.loads(text)
        if bundle["verificationMaterial"].setdefault("tlogEntries", []):
            kind, payload = _logged_payload(text, root, by)
        else:
            kind, payload = verified_payload(json.dumps(bundle).encode(), root, by)
        said = json.loads(payload)
        form = kind == PAYLOAD_TYPE and said["_type"] == STATEMENT and isinstance(said["predicate"], dict)
        form = form and isinstance(said["predicateType"], str)
        form = form and all(isinstance(s, dict) and isinstance(s.get("digest"), dict) for s in said["subject"])
    except AnotherSigner:
        raise
    except Exception as error:
        # Whatever the library or the parser stumbles over: a bundle that cannot be verified proves nothing.
        raise RecordRefused(f"the attestation does not hold: {_one_line(error)}", place) from error
    if not form:
        raise RecordRefused("no in-toto statement", place)
    found: Mapping[str, Any] = said
    return found


def _logged_payload(text: bytes, root: TrustedRoot, by: Identity) -> tuple[str, bytes]:
    from sigstore.models import Bundle
    from sigstore.verify import Verifier

    return Verifier(trusted_root=root).verify_dsse(Bundle.from_json(text), by)


def _read(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > BYTES:
        raise RecordRefused("no bundle", str(path), "Give the bundle that the attestation left.")
    return path.read_bytes()


def _values(data: bytes, place: str) -> Iterator[bytes]:
    """Yield the JSON objects of a file that holds one, or one a line."""
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        lines = [line for line in data.splitlines() if line.strip()]
        for line in lines:
            try:
                json.loads(line)
            except (ValueError, RecursionError) as error:
                raise RecordRefused("not JSON", place) from error
        if not lines:
            raise RecordRefused("not JSON", place) from None
        yield from lines
        return
    yield data


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."
