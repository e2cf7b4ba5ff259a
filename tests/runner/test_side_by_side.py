"""Starts of a server side by side: they start together, and are asked one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.pyfunc.scoring_server import get_cmd

from support import load_work
from weighin.runner import local, sessions
from weighin.runner.plan import Phase, Session
from weighin.runner.sessions import Turn, batches
from weighin.serving import mlflow_server


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "side_by_side", lambda plan, cores, memory_mb: 2)


def test_two_servers_start_together_and_are_asked_one_after_the_other(tmp_path: Path) -> None:
    work = load_work.write(tmp_path)
    local.load(work)
    assert load_work.problems(work) == {}
    first, second = (load_work.facts(work, f"candidate-{n}/session.json") for n in (0, 1))
    servers = [load_work.facts(work, f"candidate-{n}.server.json") for n in (0, 1)]
    # The second server is started before anything is sent to the first, and asked when the first has ended.
    assert servers[1]["started_at"] < first["began_at"]
    assert second["healthy_at"] < first["began_at"]
    assert second["began_at"] > first["began_at"] + sum(first["phases"])
    assert second["began_at"] >= servers[0]["samples"][-1]["at"]
    # Nothing is measured between the start of a server and its turn: the samples are of its own start and load.
    between = [s["at"] for s in servers[1]["samples"] if first["began_at"] + 0.5 < s["at"] < second["began_at"] - 0.5]
    assert between == []


def test_without_room_for_two_the_second_server_starts_when_the_first_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "side_by_side", lambda plan, cores, memory_mb: 1)
    brief = tuple(Session("candidate", n, (Phase("load", 30, 0.5),)) for n in (0, 1))
    work = load_work.write(tmp_path, sessions=brief)
    local.load(work)
    assert load_work.problems(work) == {}
    first, second = (load_work.facts(work, f"candidate-{n}.server.json") for n in (0, 1))
    assert second["started_at"] >= first["samples"][-1]["at"]


def test_a_server_that_never_gets_healthy_does_not_keep_the_next_from_its_turn(tmp_path: Path) -> None:
    work = load_work.write(tmp_path, "sick", start_seconds=1)
    local.load(work)
    said = load_work.problems(work)
    assert set(said) == {"candidate-0", "candidate-1"}
    assert all("did not get healthy in 1 s (status 503)" in s for s in said.values()), said


def test_an_error_of_one_start_ends_the_other_and_leaves_no_half_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = local._start

    def broken(work, plan, session, *more, **named):
        if session.start == 0:
            raise ZeroDivisionError
        return real(work, plan, session, *more, **named)

    monkeypatch.setattr(local, "_start", broken)
    long = tuple(Session("candidate", n, (Phase("load", 5, 60),)) for n in (0, 1))
    work = load_work.write(tmp_path, sessions=long)
    with pytest.raises(ZeroDivisionError):
        local.load(work)
    assert load_work.problems(work) == {f"candidate-{n}": "the load step was interrupted" for n in (0, 1)}


def test_servers_of_the_team_without_a_port_of_their_own_start_one_after_the_other() -> None:
    plan = load_work.PLAN
    assert local._together(plan) == 2
    fixed = tuple(part.replace("{port}", "8080") for part in plan.command)
    assert local._together(sessions.LoadPlan(**{**vars(plan), "command": fixed})) == 1


def names(roles: str, number: int = 2) -> list[list[str]]:
    order = [Session(role, n, ()) for n, role in enumerate(roles.split())]
    return [[s.name for s in batch] for batch in batches(order, number)]


def test_a_model_that_waits_is_never_beside_the_one_that_it_is_compared_with() -> None:
    """It could take the processors while the other one is measured."""
    assert names("candidate champion candidate") == [["candidate-0"], ["champion-1"], ["candidate-2"]]
    assert names("candidate candidate champion champion") == [
        ["candidate-0", "candidate-1"],
        ["champion-2", "champion-3"],
    ]


def test_a_clean_environment_is_built_when_nothing_else_runs() -> None:
    assert names("candidate candidate clean clean") == [["candidate-0", "candidate-1"], ["clean-2"], ["clean-3"]]


def test_a_turn_comes_when_all_are_ready_and_those_before_are_over(tmp_path: Path) -> None:
    turns: list[Turn] = []
    for _ in range(2):
        turns.append(Turn(tuple(turns), turns))
    ready, go = ([tmp_path / f"{name}{n}" for n in (0, 1)] for name in ("ready", "go"))
    ready[0].touch()
    assert turns[0].waits(ready[0], go[0])
    assert not go[0].exists(), "the other one has not started yet"
    ready[1].touch()
    assert turns[1].waits(ready[1], go[1])
    assert turns[1].rests
    assert not turns[0].waits(ready[0], go[0])
    assert (go[0].exists(), go[1].exists()) == (True, False)
    turns[0].over.set()
    assert not turns[1].waits(ready[1], go[1])
    assert go[1].exists()


def test_our_server_is_the_one_that_mlflow_starts() -> None:
    command, environment = get_cmd("/model", port=1, host=mlflow_server.HOST, nworkers=1)
    assert command == f"uvicorn --host {mlflow_server.HOST} --port 1 --workers 1 {mlflow_server.APPLICATION}"
    assert environment[mlflow_server.MODEL] == Path("/model").as_uri()
