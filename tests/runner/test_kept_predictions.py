"""Predictions of an earlier run are used for the same files, rows and engine, and for nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from weighin.runner import kept, local
from weighin.runner.artifact import manifest_digest
from weighin.runner.plan import Answers, Plan

PLAN = Plan(("performance",), ("candidate", "champion"), Answers(), 60, 1000, None)
ANSWER = b"answers of the champion"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A work folder with two models and one file of features; the champion's answers are kept."""
    folder = tmp_path / "work"
    for role in ("candidate", "champion"):
        (folder / "models" / role).mkdir(parents=True)
        (folder / "models" / role / "MLmodel").write_text(role)
    (folder / "features").mkdir()
    (folder / "features/holdout.parquet").write_bytes(b"rows")
    for role in ("candidate", "champion"):
        answered = folder / "predictions" / role
        answered.mkdir(parents=True)
        (answered / "holdout.arrow").write_bytes(ANSWER)
        kept.keep(folder, role, PLAN, answered)
    return folder


def used(work: Path, plan: Plan = PLAN, role: str = "champion") -> bool:
    out = work / "fresh"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    found = kept.use(work, role, plan, out)
    # What is not used leaves nothing behind that could be taken for an answer.
    assert [p.read_bytes() for p in out.iterdir()] == ([ANSWER] if found else [])
    return found


def the_folder(work: Path) -> Path:
    (folder,) = (work / kept.FOLDER).iterdir()
    return folder


def test_the_same_model_and_rows_are_not_asked_again(work: Path) -> None:
    assert used(work)


def test_an_endpoint_is_always_asked(work: Path) -> None:
    assert not used(work, replace(PLAN, behind_endpoint=("champion",)))


def test_the_candidate_is_always_asked(work: Path) -> None:
    assert not used(work, role="candidate")
    assert len(list((work / kept.FOLDER).iterdir())) == 1
    # Also where it is, file by file, the champion.
    shutil.copy(work / "models/champion/MLmodel", work / "models/candidate/MLmodel")
    assert not used(work, role="candidate")


def rewrite(path: Path, data: bytes) -> None:
    path.write_bytes(data)


CHANGES: dict[str, Callable[[Path], object]] = {
    "another model": lambda w: rewrite(w / "models/champion/MLmodel", b"other"),
    "one more file of the model": lambda w: rewrite(w / "models/champion/code.py", b""),
    "other features": lambda w: rewrite(w / "features/holdout.parquet", b"other rows"),
    "one more dataset": lambda w: rewrite(w / "features/current.parquet", b"rows"),
    "a file that was cut": lambda w: rewrite(the_folder(w) / "holdout.arrow", ANSWER[:-1]),
    "an empty file": lambda w: rewrite(the_folder(w) / "holdout.arrow", b""),
    "a forged file": lambda w: rewrite(the_folder(w) / "holdout.arrow", b"answers of the attacker"),
    "a file that is missing": lambda w: (the_folder(w) / "holdout.arrow").unlink(),
    "one file too many": lambda w: rewrite(the_folder(w) / "current.arrow", b""),
    "no key": lambda w: (the_folder(w) / kept.KEY).unlink(),
    "a key that is not JSON": lambda w: rewrite(the_folder(w) / kept.KEY, b"{"),
    "a key of another form": lambda w: rewrite(the_folder(w) / kept.KEY, b"[1]"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_nothing_is_used_after_a_change(change: Callable[[Path], object], work: Path) -> None:
    assert used(work)
    change(work)
    assert not used(work)


def test_other_columns_and_other_explained_rows_are_other_predictions(work: Path) -> None:
    assert not used(work, replace(PLAN, answers=Answers((0,))))
    assert not used(work, replace(PLAN, shap_rows=5))


def test_another_engine_asks_again(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "engine", lambda: "another")
    assert not used(work)


def test_a_folder_that_was_moved_to_the_name_of_other_predictions_is_not_used(work: Path) -> None:
    old = the_folder(work)
    rewrite(work / "models/champion/MLmodel", b"other")
    old.rename(old.with_name(kept._text_digest(kept.key_of(work, "champion", PLAN))))
    assert not used(work)


def test_a_link_is_not_followed(work: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (the_folder(work) / "holdout.arrow").rename(elsewhere)
    (the_folder(work) / "holdout.arrow").symlink_to(elsewhere)
    assert not used(work)


def test_what_a_model_left_out_is_not_kept(work: Path) -> None:
    shutil.rmtree(work / kept.FOLDER)
    (work / "features/current.parquet").write_bytes(b"rows")
    kept.keep(work, "champion", PLAN, work / "predictions/champion")
    assert not (work / kept.FOLDER).exists()


def test_few_models_are_kept(work: Path) -> None:
    for number in range(kept.MODELS + 3):
        rewrite(work / "models/champion/MLmodel", str(number).encode())
        kept.keep(work, "champion", PLAN, work / "predictions/champion")
    assert len(list((work / kept.FOLDER).iterdir())) == kept.MODELS
    assert used(work)


def test_a_model_that_is_not_the_resolved_one_is_neither_asked_nor_answered_for(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(arguments: list[str], *more: object, **options: object) -> str:
        asked.append(arguments)
        Path(arguments[arguments.index("--out") + 1], "holdout.arrow").write_bytes(ANSWER)
        return ""

    monkeypatch.setattr(local, "_run", run)
    PLAN.write(work / "plan.json")
    resolved = {r: {"digest": manifest_digest(work / "models" / r)} for r in PLAN.roles}
    (work / "subject.json").write_text(json.dumps(resolved))
    assert local.predict(work) == ("champion",)
    assert [Path(a[a.index("--model") + 1]).name for a in asked] == ["candidate"]
    assert (work / "predictions/champion/holdout.arrow").read_bytes() == ANSWER
    rewrite(work / "models/champion/MLmodel", b"other")
    assert local.predict(work) == ()
    assert not list((work / "predictions/champion").iterdir())
    assert "was resolved" in (work / "predictions/champion.problem").read_text()


def test_the_container_runner_knows_no_kept_predictions() -> None:
    source = Path(local.__file__).with_name("docker.py").read_text()
    assert "kept" not in source
