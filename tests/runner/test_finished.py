"""Long steps of a run that ended early: taken up where everything is the same, and run again where one thing is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from weighin.runner.finished import ASIDE, FILE, Finished


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def resolved(work: Path) -> None:
    """What `resolve` leaves, each time."""
    write(work / "models/candidate/MLmodel", "model")
    write(work / "features/holdout.parquet", "rows")
    write(work / "plan.json", json.dumps({"suites": ["load"], "own_code": [], "answers": {}}))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A run that has ended predict and load."""
    resolved(tmp_path)
    write(tmp_path / "predictions/candidate/holdout.arrow", "answers")
    write(tmp_path / "load/candidate-1/session.json", "{}")
    finished = Finished(tmp_path, "")
    finished.forget()
    finished.note("predict")
    finished.note("load")
    return tmp_path


def again(work: Path, image: str = "") -> set[str]:
    """Which steps the next run takes up."""
    finished = Finished(work, image)
    finished.set_aside()
    resolved(work)
    taken = {step for step in ("predict", "load", "shadow") if finished.take_up(step)}
    finished.drop()
    assert not (work / ASIDE).exists()
    return taken


def test_steps_that_ended_are_taken_up_again_and_again(work: Path) -> None:
    assert again(work) == again(work) == {"predict", "load"}
    assert (work / "predictions/candidate/holdout.arrow").read_text() == "answers"
    write(work / "plan.json", json.dumps({"suites": ["load", "drift"], "own_code": [], "answers": {}}))
    assert again(work) == {"predict", "load"}


def test_a_step_that_did_not_end_is_run_again(work: Path) -> None:
    noted = json.loads((work / FILE).read_text())
    del noted["steps"]["load"]
    (work / FILE).write_text(json.dumps(noted))
    assert again(work) == {"predict"}
    assert not (work / "load").exists()


def test_without_being_told_to_nothing_is_taken_up(work: Path) -> None:
    Finished(work, "").forget()
    assert again(work) == set()


BROKEN: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "an answer": (lambda w: write(w / "predictions/candidate/holdout.arrow", "other"), {"load"}),
    "a file more": (lambda w: write(w / "load/candidate-1/more", ""), {"predict"}),
    "a problem": (lambda w: write(w / "load/candidate-1.problem", "no server"), {"predict"}),
    "the note": (lambda w: write(w / FILE, "{"), set()),
    "its schema": (lambda w: write(w / FILE, (w / FILE).read_text().replace("/v1", "/v0")), set()),
    "a link": (lambda w: (w / "load/candidate-1/link").symlink_to(w), {"predict"}),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_not_as_it_was_left_is_run_again(broken: str, work: Path) -> None:
    change, rest = BROKEN[broken]
    change(work)
    assert again(work) == rest


@pytest.mark.parametrize("changed", ["models/candidate/MLmodel", "features/holdout.parquet", "locustfile.py"])
def test_other_inputs_are_another_step(changed: str, work: Path) -> None:
    finished = Finished(work, "")
    finished.set_aside()
    resolved(work)
    write(work / changed, "another")
    assert not finished.take_up("predict")
    assert not finished.take_up("load")


def test_another_image_or_plan_is_another_step(work: Path) -> None:
    assert again(work, "sha256:other") == set()
    Finished(work, "").forget()
    for step in ("predict", "load"):
        write(work / ("predictions" if step == "predict" else step) / "candidate.txt", "left")
    finished = Finished(work, "")
    finished.note("predict")
    finished.set_aside()
    resolved(work)
    write(work / "plan.json", json.dumps({"suites": ["load"], "own_code": [], "answers": {"repeats": 2}}))
    assert not finished.take_up("predict")
