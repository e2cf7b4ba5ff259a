"""Several suites of one job: what is run at once, what their artifact may hold, and which contract they see."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from weighin.runner import collect, docker
from weighin.runner.docker import BASE_CONTRACT, JUDGE_MB, Checkout


@pytest.mark.parametrize(
    ("machine", "most"), [((4.0, 64000.0), 3), ((2.0, 64000.0), 2), ((4.0, JUDGE_MB * 1.5), 1), ((0.0, 0.0), 1)]
)
def test_as_many_suites_run_at_once_as_the_machine_holds(
    machine: tuple[float, float], most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, running, seen = threading.Lock(), 0, []
    together = threading.Barrier(most)

    def judge(suite: str, *_: object) -> int:
        nonlocal running
        with lock:
            running += 1
            seen.append(running)
        if len(seen) <= most:
            together.wait(timeout=30)
        with lock:
            running -= 1
        return int(suite == "drift")

    monkeypatch.setattr(docker, "machine", lambda: machine)
    monkeypatch.setattr(docker, "judge", judge)
    assert docker.judge_beside(["load", "drift", "performance"], "image", Checkout(tmp_path), tmp_path, tmp_path) == 1
    assert max(seen) == most


def test_a_suite_of_a_pull_request_sees_the_contract_of_the_base_too(tmp_path: Path) -> None:
    for side in ("base", "head"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "c.yaml").write_text(side)
    mounts = {
        inside: path for path, inside, _ in Checkout(tmp_path / "base", Path("c.yaml"), tmp_path / "head").mounts()
    }
    assert mounts["/repo/c.yaml"].read_text() == "head"
    assert mounts[BASE_CONTRACT].read_text() == "base"
    assert BASE_CONTRACT not in {inside for _, inside, _ in Checkout(tmp_path / "base", Path("c.yaml")).mounts()}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}x", "null", "[1]", '[{"key": "a"}]', '[{"suites": []}]', '[{"key": "../a", "suites": []}]'),
        *('[{"key": "a", "suites": ["b/c"]}]', '[{"key": "a", "suites": [""]}]'),
    ],
)
def test_what_is_no_list_of_jobs_with_their_suites_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        collect.measured(text)


@pytest.mark.integration
def test_reports_of_several_suites_are_taken_from_the_artifact_of_their_job(tmp_path: Path) -> None:
    for suite in ("drift", "performance"):
        (tmp_path / "from/p-suites-1" / suite).mkdir(parents=True)
        (tmp_path / "from/p-suites-1" / suite / "outcomes.json").write_text(suite)
    jobs = collect.measured('[{"key": "suites", "suites": ["drift", "performance", "explainability"]}]')
    assert collect.take_suites(tmp_path / "from", tmp_path / "to", jobs, "p-", "-1") == []
    assert sorted(p.name for p in (tmp_path / "to").iterdir()) == ["drift", "performance"]


def test_an_artifact_with_anything_else_is_refused_as_a_whole(tmp_path: Path) -> None:
    for name in ("drift", "load"):
        (tmp_path / "from/p-suites-1" / name).mkdir(parents=True)
        (tmp_path / "from/p-suites-1" / name / "outcomes.json").write_text("{}")
    said = collect.take_suites(tmp_path / "from", tmp_path / "to", {"suites": ["drift"]}, "p-", "-1")
    assert said == ["suites: its reports were refused: it holds something else than the folders of its suites"]
    assert not (tmp_path / "to").exists()
