"""Attestations of a Sigstore of our own: what holds is accepted, and with one thing broken the answer is red."""

from __future__ import annotations

import copy
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from support.evidence_files import Case
from support.private_sigstore import NOW, OWN, WORKFLOW, Sigstore, write
from weighin.canonical import canonical, digest
from weighin.cli import main
from weighin.errors import ContractError, EvidenceError
from weighin.record.attestation import GITHUB, RECORD, Attestation, Identity, predicate, statement, trusted_roots
from weighin.record.signature import STATEMENT, Signer, envelope
from weighin.record.verify import verify

KINDS = ("logged", "stamped")
ANOTHER = "https://github.com/example/another"


@pytest.fixture(scope="module")
def sigstore() -> Sigstore:
    return Sigstore()


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    case = Case(tmp_path_factory.mktemp("case") / "reports").write()
    found: dict[str, Any] = json.loads(canonical(case.record()))
    return found


def said(record: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """The statement that actions/attest makes of `record.json` and `predicate.json`."""
    about = [{"name": "record.json", "digest": {"sha256": digest(canonical(record)).removeprefix("sha256:")}}]
    right = {"_type": STATEMENT, "subject": about, "predicateType": RECORD, "predicate": predicate(record)}
    return right | changed


class Files:
    """A record, its bundle and a trusted root on disk, and what `weighin verify` says of them."""

    def __init__(self, folder: Path, record: dict[str, Any], bundle: Any, *roots: Any) -> None:
        self.record, self.bundle, self.root = folder / "record.json", folder / "bundle.json", folder / "root.jsonl"
        self.record.write_bytes(canonical(record))
        write(self.bundle, bundle)
        write(self.root, *roots)

    def verify(self, **other: str) -> int:
        given = {"issuer": GITHUB, "workflow": WORKFLOW, "trusted-root": str(self.root)} | other
        options = [part for name, value in given.items() if value for part in (f"--{name}", value)]
        return main(["verify", str(self.record), "--attestation", str(self.bundle), *options])


@pytest.fixture(params=KINDS)
def logged(request: pytest.FixtureRequest) -> bool:
    return request.param == "logged"


@pytest.fixture
def files(sigstore: Sigstore, record: dict[str, Any], logged: bool, tmp_path: Path) -> Files:
    """All as it should be."""
    return Files(tmp_path, record, sigstore.attest(said(record), logged=logged), sigstore.root(logs=logged))


def test_an_attested_record_holds_for_who_trusts_its_workflow(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    assert files.verify() == 0
    out, err = capsys.readouterr()
    assert f"attested by {WORKFLOW}; sha256:" in out
    assert err == ""


def test_of_several_roots_and_bundles_one_must_hold(
    files: Files, sigstore: Sigstore, record: dict[str, Any], logged: bool
) -> None:
    write(files.root, Sigstore().root(), sigstore.root(logs=logged), Sigstore().root(logs=False))
    foreign = Sigstore().attest(said(record), logged=logged)
    write(files.bundle, foreign, json.loads(files.bundle.read_text()))
    assert files.verify() == 0
    write(files.bundle, foreign)
    assert files.verify() == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("issuer", "https://token.actions.example.ghe.com"),
        ("workflow", WORKFLOW.replace("attest.yml", "other.yml")),
        ("workflow", WORKFLOW.replace("release/1", "main")),
        ("workflow", WORKFLOW.replace("example/model", "example/another")),
        ("repository", "example/another"),
    ],
)
def test_another_identity_than_the_one_that_is_trusted_is_refused(
    option: str, value: str, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    assert files.verify(**{option: value}) == 1
    err = capsys.readouterr().err
    assert "signed by another identity than the one that is trusted" in err
    assert err.count("\n") == 1


def test_a_reusable_workflow_that_somebody_else_called_is_refused(
    sigstore: Sigstore, record: dict[str, Any], logged: bool, tmp_path: Path
) -> None:
    bundle = sigstore.attest(said(record), logged=logged, repository=ANOTHER)
    files = Files(tmp_path, record, bundle, sigstore.root(logs=logged))
    assert files.verify() == 1
    assert files.verify(repository="example/another") == files.verify(repository=ANOTHER) == 0


BROKEN: dict[str, tuple[Callable[[Sigstore, dict[str, Any], bool], Any], str]] = {
    "another predicate type": (
        lambda s, r, logged: s.attest(said(r, predicateType="https://example.org/x"), logged=logged),
        "attests https://example.org/x, expected",
    ),
    "a predicate that says otherwise": (
        lambda s, r, logged: s.attest(said(r, predicate=predicate(r) | {"verdict": "failed"}), logged=logged),
        "is not what the record says",
    ),
    "another subject": (
        lambda s, r, logged: s.attest(
            said(r, subject=[{"name": "record.json", "digest": {"sha256": "0" * 64}}]), logged=logged
        ),
        "is about sha256:000",
    ),
    "no subject": (lambda s, r, logged: s.attest(said(r, subject=[]), logged=logged), "is about"),
    "another kind of statement": (
        lambda s, r, logged: s.attest(said(r, _type="https://in-toto.io/Statement/v0.1"), logged=logged),
        "no in-toto statement",
    ),
    "no statement at all": (lambda s, r, logged: s.attest(b"[]", logged=logged), "does not hold"),
    "another Sigstore": (lambda s, r, logged: Sigstore().attest(said(r), logged=logged), "does not hold"),
    "signed after the certificate ended": (
        lambda s, r, logged: s.attest(said(r), logged=logged, at=NOW + timedelta(minutes=6)),
        "does not hold",
    ),
    "signed before the certificate began": (
        lambda s, r, logged: s.attest(said(r), logged=logged, at=NOW - timedelta(minutes=6)),
        "does not hold",
    ),
    "a certificate for something else": (
        lambda s, r, logged: s.attest(said(r), logged=logged, purpose=ExtendedKeyUsageOID.SERVER_AUTH),
        "does not hold",
    ),
    "a record signed with a key": (lambda s, r, logged: envelope(r, Signer(Ed25519PrivateKey.generate())), "hold"),
    "neither log nor time stamp": (lambda s, r, logged: bare(s.attest(said(r), logged=logged)), "does not hold"),
    "nothing": (lambda s, r, logged: {}, "does not hold"),
}


def bare(bundle: dict[str, Any]) -> dict[str, Any]:
    for key in ("tlogEntries", "timestampVerificationData"):
        bundle["verificationMaterial"].pop(key, None)
    return bundle


@pytest.mark.parametrize("name", BROKEN)
def test_with_one_thing_broken_the_attestation_is_refused(
    name: str,
    sigstore: Sigstore,
    record: dict[str, Any],
    logged: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make, words = BROKEN[name]
    assert Files(tmp_path, record, make(sigstore, record, logged), sigstore.root(logs=logged)).verify() == 1
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1


def test_other_bytes_of_a_record_are_refused(files: Files, record: dict[str, Any]) -> None:
    files.record.write_bytes(canonical(record | {"ephemeral_registry": not record["ephemeral_registry"]}))
    assert files.verify() == 1


def test_two_attestations_swapped_are_refused(
    sigstore: Sigstore, record: dict[str, Any], logged: bool, tmp_path: Path
) -> None:
    other = record | {"run": record["run"] | {"created": "2020-01-01T00:00:00+00:00"}}
    found = {}
    for name, one in (("a", record), ("b", other)):
        (tmp_path / name).mkdir()
        bundle = sigstore.attest(said(one), logged=logged)
        found[name] = Files(tmp_path / name, one, bundle, sigstore.root(logs=logged))
    assert found["a"].verify() == found["b"].verify() == 0
    found["a"].bundle, found["b"].bundle = found["b"].bundle, found["a"].bundle
    assert found["a"].verify() == found["b"].verify() == 1


def test_a_truncated_bundle_and_one_that_is_no_file_are_refused(files: Files) -> None:
    whole = files.bundle.read_bytes()
    for part in (b"", whole[:1], whole[: len(whole) // 2], whole[:-2], whole + b"{", b"\xff"):
        files.bundle.write_bytes(part)
        assert files.verify() == 1
    files.bundle.unlink()
    assert files.verify() == 1


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for k, v in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(v, (*path, k))
    else:
        yield path


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_of_a_bundle_can_be_changed(
    kind: str, sigstore: Sigstore, record: dict[str, Any], tmp_path: Path
) -> None:
    bundle = sigstore.attest(said(record), logged=kind == "logged")
    files = Files(tmp_path, record, bundle, sigstore.root(logs=kind == "logged"))
    attestation = Attestation(files.bundle, Identity.of(GITHUB, WORKFLOW), files.root)
    survived = []
    for path in leaves(bundle):
        forged = copy.deepcopy(bundle)
        place = forged
        for key in path[:-1]:
            place = place[key]
        old = place[path[-1]]
        # In the middle: the last letters of base64 and the name of a log hold bits that mean nothing.
        middle = len(old) // 2
        place[path[-1]] = old[:middle] + ("B" if old[middle] != "B" else "C") + old[middle + 1 :]
        write(files.bundle, forged)
        try:
            verify(files.record, attestation=attestation)
        except EvidenceError:
            continue
        survived.append(path[-1])
    assert survived == []


def test_a_root_that_no_longer_trusts_the_time_stamps_is_enough_to_refuse(
    sigstore: Sigstore, record: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = sigstore.root(logs=False, stamps_end=NOW - timedelta(days=1))
    assert Files(tmp_path, record, sigstore.attest(said(record), logged=False), root).verify() == 1
    assert "not of an authority that the root trusts" in capsys.readouterr().err


def test_the_root_of_public_sigstore_is_the_default_and_needs_neither_network_nor_home(
    files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_network(*_: Any) -> None:
        raise AssertionError("a connection was opened")

    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setattr(socket.socket, "connect", no_network)
    roots = trusted_roots()
    assert len(roots) == 1
    assert [c.issuer.rfc4514_string() for c in roots[0].get_fulcio_certs()][-1] == "CN=sigstore,O=sigstore.dev"
    assert files.verify() == 0
    assert files.verify(**{"trusted-root": ""}) == 1
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "{}", "[]", "null", '{"mediaType": "text/plain"}'])
def test_a_root_that_cannot_be_read_is_a_usage_error(
    content: str, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    files.root.write_text(content)
    assert files.verify() == 4
    assert "gh attestation trusted-root" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    [
        {"issuer": ""},
        {"workflow": ""},
        {"issuer": "token.actions.githubusercontent.com"},
        {"workflow": "attest.yml"},
        {"workflow": WORKFLOW.partition("@")[0]},
        {"workflow": "example/model/attest.yml@refs/heads/main"},
        {"repository": "model"},
    ],
    ids=str,
)
def test_an_identity_that_is_not_told_in_full_is_a_usage_error(
    option: dict[str, str], files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    assert files.verify(**option) == 4
    assert capsys.readouterr().err.count("\n") == 1


def test_who_must_have_attested_means_nothing_without_a_bundle(files: Files) -> None:
    for option in (["--issuer", GITHUB], ["--workflow", WORKFLOW], ["--trusted-root", str(files.root)]):
        assert main(["verify", str(files.record), *option]) == 4


def test_an_identity_is_completed_from_what_people_type() -> None:
    short = WORKFLOW.removeprefix("https://github.com/")
    assert Identity.of(GITHUB, short) == Identity.of(GITHUB, WORKFLOW) == Identity(GITHUB, WORKFLOW, OWN)
    assert Identity.of(GITHUB, short, "example/another").repository == ANOTHER
    elsewhere = Identity.of("https://token.actions.a.ghe.com", WORKFLOW.replace("github.com", "a.ghe.com"), "b/c")
    assert elsewhere.repository == "https://a.ghe.com/b/c"
    with pytest.raises(ContractError, match="one of them is missing"):
        Identity.of("", "")


def test_a_statement_is_returned_as_it_was_signed(files: Files, record: dict[str, Any]) -> None:
    assert statement(files.bundle, Identity.of(GITHUB, WORKFLOW), files.root) == said(record)


def test_the_library_is_loaded_only_where_an_attestation_is_looked_at() -> None:
    code = (
        "import sys, weighin.cli.release, weighin.cli.verify, weighin.record.verify, weighin.release.promote\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('sigstore', 'tuf', 'rfc3161_client')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert ran.stdout == "[]\n", ran.stderr
