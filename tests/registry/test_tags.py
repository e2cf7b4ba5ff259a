"""Who sets a tag or logs a point at the very moment at which another does is not refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support import processes
from support.empty_store import empty_store
from weighin.registry.mlflow import Registry

PROCESSES, ROUNDS = 4, 15


def _set(uri: str, run_id: str, number: int, barrier: Any) -> None:
    registry = Registry(uri)
    for turn in range(ROUNDS):
        barrier.wait(60)
        registry.tag_run(run_id, {f"turn-{turn}": str(number)})
        registry.log_points(run_id, {f"metric-{turn}": number}, turn, 0)


def test_tags_and_points_set_at_once_are_all_set(tmp_path: Path) -> None:
    uri = empty_store(tmp_path)
    registry = Registry(uri)
    run_id = registry.run_named("experiment", "run")
    context = processes.context()
    with context.Manager() as manager, context.Pool(PROCESSES) as pool:
        barrier = manager.Barrier(PROCESSES)
        given = [(uri, run_id, number, barrier) for number in range(PROCESSES)]
        pool.starmap_async(_set, given).get(timeout=240)
    (run,) = registry.runs_of("experiment", {})
    assert {k for k in run.data.tags if k.startswith("turn-")} == {f"turn-{turn}" for turn in range(ROUNDS)}
    assert {v for k, v in run.data.tags.items() if k.startswith("turn-")} <= {str(n) for n in range(PROCESSES)}
    assert len(run.data.metrics) == ROUNDS


def test_two_registries_in_one_process_keep_their_own_addresses(tmp_path: Path) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    places = [tmp_path / name for name in ("one", "other")]
    for place in places:
        place.mkdir()
    one, other = (Registry(empty_store(place)) for place in places)
    assert mlflow.get_tracking_uri() == before
    (tmp_path / "files").mkdir()
    (tmp_path / "files/said.txt").write_text("of one")
    run_id = one.log_run("experiment", str(places[0] / "artifacts"), tmp_path / "files", {})
    assert other.runs_of("experiment", {}) == []
    assert one.fetch(run_id, "said.txt", tmp_path).read_text() == "of one"
