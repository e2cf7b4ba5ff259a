"""Who built the image that judges: verified before it judges, and in the record only for that very image."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from support.evidence_files import RUN, Case
from support.private_sigstore import OWN, Sigstore, write
from weighin.canonical import canonical
from weighin.cli import main
from weighin.errors import EvidenceError
from weighin.record.attestation import BUILT, GITHUB
from weighin.record.decision import decision_record
from weighin.record.provenance import DIGESTS, FILE, Provenance, proven
from weighin.record.signature import STATEMENT
from weighin.record.suite import Binding
from weighin.record.verify import verify
from weighin.verdict.conclude import conclude

IMAGE = "sha256:" + "1" * 64
DIGEST = "sha256:" + "d" * 64
BUILDER = OWN + "/.github/workflows/image.yml@refs/heads/main"
NAME = "ghcr.io/example/model@" + DIGEST


@pytest.fixture(scope="module")
def sigstore() -> Sigstore:
    return Sigstore()


def built(digest: str = DIGEST, kind: str = BUILT) -> dict[str, Any]:
    about = [{"name": "ghcr.io/example/model", "digest": {"sha256": digest.removeprefix("sha256:")}}]
    return {"_type": STATEMENT, "subject": about, "predicateType": kind, "predicate": {"buildDefinition": {}}}


def ask(folder: Path, sigstore: Sigstore, statement: dict[str, Any], image: str = NAME, workflow: str = BUILDER) -> int:
    bundle = write(folder / "bundle.json", sigstore.attest(statement, workflow=BUILDER))
    root = write(folder / "root.json", sigstore.root())
    options = ["--attestation", bundle, "--issuer", GITHUB, "--workflow", workflow, "--trusted-root", root]
    return main(["step", "provenance", image, "--work", str(folder), *map(str, options)])


@pytest.fixture(autouse=True)
def judged_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the runner tells it inside a container."""
    monkeypatch.setenv("WEIGHIN_IMAGE", IMAGE)
    monkeypatch.setenv(DIGESTS, f"sha256:{'e' * 64},{DIGEST}")


def test_the_workflow_that_built_the_image_is_left_for_the_decision(
    sigstore: Sigstore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(tmp_path, sigstore, built()) == 0
    assert f"built by {BUILDER} in {OWN}" in capsys.readouterr().out
    found = Provenance.read(tmp_path)
    assert found is not None
    assert (found.image, found.digest, found.workflow) == (IMAGE, DIGEST, BUILDER)
    assert proven(tmp_path, IMAGE) == asdict(found)
    assert proven(tmp_path, "sha256:" + "2" * 64) is None
    assert proven(tmp_path, "") is None


def test_an_engine_that_knows_images_by_their_digest_needs_no_second_name(
    sigstore: Sigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHIN_IMAGE", DIGEST)
    monkeypatch.delenv(DIGESTS)
    assert ask(tmp_path, sigstore, built(), DIGEST) == 0


@pytest.mark.parametrize(
    ("statement", "image", "workflow", "code"),
    [
        (built(kind="https://example.org/x"), NAME, BUILDER, 1),
        (built("sha256:" + "c" * 64), NAME, BUILDER, 1),
        (built("sha256:" + "c" * 64), "x@sha256:" + "c" * 64, BUILDER, 1),
        (built(), NAME, BUILDER.replace("main", "dev"), 1),
        (built(), "ghcr.io/example/model:latest", BUILDER, 4),
        (built(), NAME, "", 4),
    ],
    ids=["kind", "subject", "an image that is not here", "workflow", "a tag", "no workflow"],
)
def test_an_image_that_somebody_else_built_or_that_does_not_judge_is_refused(
    statement: dict[str, Any], image: str, workflow: str, code: int, sigstore: Sigstore, tmp_path: Path
) -> None:
    assert ask(tmp_path, sigstore, statement, image, workflow) == code
    assert not (tmp_path / FILE).exists()
    assert proven(tmp_path, IMAGE) is None


def test_without_an_attestation_or_an_engine_nothing_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["step", "provenance", NAME, "--work", str(tmp_path)]) == 4
    monkeypatch.delenv("WEIGHIN_IMAGE")
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "bundle.json").write_text("{}")
    options = ["--attestation", str(tmp_path / "bundle.json"), "--issuer", GITHUB, "--workflow", BUILDER]
    assert main(["step", "provenance", NAME, "--work", str(tmp_path), *options]) == 7


@pytest.mark.parametrize("change", [{"image": ""}, {"workflow": 1}, {"more": "x"}, {"schema": "x"}], ids=str)
def test_a_damaged_file_is_an_error_and_no_silence(change: dict[str, Any], sigstore: Sigstore, tmp_path: Path) -> None:
    assert ask(tmp_path, sigstore, built()) == 0
    value = json.loads((tmp_path / FILE).read_text())
    (tmp_path / FILE).write_text(json.dumps(value | change))
    with pytest.raises(EvidenceError):
        proven(tmp_path, IMAGE)


# --- in the record

FOUND = Provenance(IMAGE, DIGEST, GITHUB, BUILDER, OWN, "sha256:" + "b" * 64)


def record(folder: Path, image: str, provenance: Provenance | None) -> dict[str, Any]:
    case = Case(folder / "reports")
    case.binding = Binding(case.file.digest, case.subject.digest, image, "1")
    stated = None if provenance is None else asdict(provenance)
    found = decision_record(case.write().decision(), case.file, case.subject, case.binding, RUN, stated)
    made: dict[str, Any] = json.loads(canonical(found))
    return made


def holds(folder: Path, value: dict[str, Any]) -> bool:
    (folder / "record.json").write_bytes(canonical(value))
    try:
        verify(folder / "record.json")
    except EvidenceError:
        return False
    return True


def test_the_record_says_whether_the_image_was_verified(tmp_path: Path) -> None:
    for image, provenance, expected in ((IMAGE, FOUND, True), (IMAGE, None, False), ("", None, False)):
        made = record(tmp_path, image, provenance)
        assert made["policy_inputs"]["image_provenance"] is expected
        assert holds(tmp_path, made)


def test_the_fact_cannot_be_had_without_its_evidence(tmp_path: Path) -> None:
    good, bad = record(tmp_path, IMAGE, FOUND), record(tmp_path, IMAGE, None)
    yes = bad["policy_inputs"] | {"image_provenance": True}
    assert not holds(tmp_path, bad | {"policy_inputs": yes})
    assert not holds(tmp_path, bad | {"policy_inputs": yes, "provenance": {"image": IMAGE}})
    assert not holds(tmp_path, good | {"image": "sha256:" + "2" * 64})
    assert not holds(tmp_path, good | {"provenance": None})
    assert not holds(tmp_path, good | {"provenance": asdict(replace(FOUND, workflow=""))})
    assert not holds(tmp_path, {k: v for k, v in good.items() if k != "provenance"})
    silent = {k: v for k, v in good["policy_inputs"].items() if k != "image_provenance"}
    assert not holds(tmp_path, good | {"policy_inputs": silent})


def test_a_record_that_does_not_speak_of_provenance_has_no_such_fact(tmp_path: Path) -> None:
    old = record(tmp_path, "", None)
    del old["provenance"], old["policy_inputs"]["image_provenance"]
    assert holds(tmp_path, old)
    old["policy_inputs"]["image_provenance"] = True
    assert not holds(tmp_path, old)


def test_the_decision_takes_it_from_the_work_folder(tmp_path: Path) -> None:
    work, reports = tmp_path / "work", tmp_path / "reports"
    for judged, expected in ((IMAGE, True), ("sha256:" + "2" * 64, False)):
        case = Case(reports)
        case.binding = Binding(case.file.digest, case.subject.digest, IMAGE, "1")
        case.write()
        case.subject.write(work / "subject.json")
        replace(FOUND, image=judged).write(work)
        conclude(case.file, work, reports, (), {})
        assert json.loads((reports / "record.json").read_text())["policy_inputs"]["image_provenance"] is expected


def test_outside_a_container_the_engine_says_what_the_image_is(
    sigstore: Sigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client is a script here: the id, and two registries that have the image."""
    client = tmp_path / "docker"
    client.write_text(
        f'#!/bin/sh\ncase "$4" in *Id*) echo {IMAGE};; *) printf "a/b@sha256:{"e" * 64}\\n{NAME}\\n";; esac\n'
    )
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("WEIGHIN_IMAGE")
    monkeypatch.delenv(DIGESTS)
    assert ask(tmp_path, sigstore, built()) == 0
    assert proven(tmp_path, IMAGE) is not None
    assert ask(tmp_path, sigstore, built("sha256:" + "c" * 64), "x@sha256:" + "c" * 64) == 1
