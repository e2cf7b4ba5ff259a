"""No container and no process gets a model whose files are not those that were resolved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support import load_work
from weighin.canonical import canonical, digest, file_digest
from weighin.runner import docker, local
from weighin.runner.artifact import changed, manifest_digest


def test_the_digest_is_that_of_the_canonical_manifest(tmp_path: Path) -> None:
    for name in (
        "MLmodel",
        "a/b.bin",
        "a b",
        'quote".txt',
        "umlaut-\u00fc",
        "\U0001f600",
        "\uffee",
        "back\\slash",
        "tab\t",
    ):
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    files = [p for p in (tmp_path / "model").rglob("*") if p.is_file()]
    manifest = {p.relative_to(tmp_path / "model").as_posix(): file_digest(p) for p in files}
    assert len(manifest) == 9
    assert manifest_digest(tmp_path / "model") == digest(canonical(manifest))
    (tmp_path / "model/registered_model_meta").write_text("added by a download")
    assert manifest_digest(tmp_path / "model") == digest(canonical(manifest))


def test_a_link_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "weights").symlink_to("/etc/hostname")
    with pytest.raises(ValueError, match="`weights` is a link"):
        manifest_digest(tmp_path)


@pytest.mark.parametrize("runner", [local, docker], ids=["processes", "containers"])
@pytest.mark.parametrize("what", ["a file more", "no subject", "no such role"])
def test_what_is_not_what_was_resolved_is_not_started(what: str, runner: Any, tmp_path: Path) -> None:
    """The engine is not even asked: where it is away, the sentence is the same."""
    image = ("no-such-image",) if runner is docker else ()
    work = load_work.write(tmp_path)
    assert changed(work, "candidate") == ""
    match what:
        case "a file more":
            (work / "models/candidate/added").write_text("x")
        case "no subject":
            (work / "subject.json").unlink()
        case "no such role":
            (work / "subject.json").write_text(json.dumps({"candidate": None}))
    runner.load(*image, work)
    said = load_work.problems(work)
    assert set(said) == {"candidate-0", "candidate-1"}
    assert all("the files of the candidate" in s for s in said.values())
    assert not list((work / "load").glob("*/requests.*"))
    runner.predict(*image, work)
    assert "the files of the candidate" in "".join(p.read_text() for p in (work / "predictions").rglob("*.problem"))
