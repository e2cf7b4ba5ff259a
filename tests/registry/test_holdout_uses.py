"""The budget of uses of a sealed holdout: real MLflow stores, every refusal, a broken ledger, and writers who race.

Run as a program, this file is the writers: several processes with several threads, which all reserve at once.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from weighin.errors import HoldoutUseRefused, RegistryError
from weighin.model.subject import ModelVersion
from weighin.registry.holdout_uses import HoldoutUse, HoldoutUses, row_hashes
from weighin.registry.mlflow import Registry

ROWS = np.arange(1, 1001, dtype=np.uint64)
FRESH = ROWS + np.uint64(5000)


def candidate(number: int) -> ModelVersion:
    return ModelVersion("flights", str(number), f"run{number}", f"sha256:{number:064x}", f"models:/flights/{number}")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real SQLite store, one for all: every test has a ledger of its own in it."""
    # Here, since this file is also a program of its own (`race`), which finds no other module of the tests.
    from support.empty_store import empty_store

    return empty_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def registry(store: str) -> Registry:
    return Registry(store)


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    return re.sub(r"\W+", "-", request.node.name)


@pytest.fixture
def ledger(registry: Registry, model: str) -> HoldoutUses:
    return HoldoutUses(registry, model)


def refused(ledger: HoldoutUses, *arguments: Any) -> str:
    """What is said instead of a use: one line with fact, place and remedy."""
    before = ledger.all()
    with pytest.raises(HoldoutUseRefused) as caught:
        ledger.reserve(*arguments)
    error = caught.value
    assert (error.exit_code, str(error).count("\n")) == (1, 0)
    assert error.fact
    assert error.place.startswith("epoch ")
    assert error.remedy
    assert ledger.all() == before, "a refusal holds no use"
    return str(error)


def test_looks_are_numbered_in_their_epoch_and_every_one_is_listed(ledger: HoldoutUses) -> None:
    assert ledger.all() == []
    assert not ledger.closed("spring")
    first = ledger.reserve("spring", 3, candidate(1), ROWS)
    other = ledger.reserve("summer", 2, candidate(1), FRESH)
    second = ledger.reserve("spring", 3, candidate(2), ROWS[::-1])
    created = datetime.fromisoformat(first.created)
    assert created.utcoffset() == timedelta(0)
    assert first == HoldoutUse("spring", 1, 3, candidate(1).digest, "1", first.created, "reserved", "1")
    assert (other.epoch, other.number, other.holdout_uses, other.ledger_version) == ("summer", 1, 2, "2")
    assert (second.number, second.ledger_version) == (2, "3")
    assert ledger.all() == [first, other, second]
    assert ledger.all("spring") == [first, second]
    assert ledger.all("autumn") == []


def test_the_rows_of_an_epoch_are_stored_once(ledger: HoldoutUses, registry: Registry, model: str) -> None:
    for number in (1, 2, 3):
        ledger.reserve("spring", 3, candidate(number), ROWS)
    assert len({entry.run_id for entry in registry.entries(f"{model}.holdout-uses")}) == 1


def test_a_pass_closes_the_epoch_and_no_other(ledger: HoldoutUses) -> None:
    use = ledger.reserve("spring", 3, candidate(1), ROWS)
    ledger.record(use, passed=False)
    assert not ledger.closed("spring")
    ledger.record(ledger.reserve("spring", 3, candidate(2), ROWS), passed=True)
    assert ledger.closed("spring")
    assert [held.result for held in ledger.all("spring")] == ["not passed", "passed"]
    assert "closed: use 2 passed, version 2" in refused(ledger, "spring", 3, candidate(3), ROWS)
    assert not ledger.closed("summer")
    assert ledger.reserve("summer", 3, candidate(3), FRESH).number == 1


def test_a_result_stays_as_it_was_written(ledger: HoldoutUses) -> None:
    use = ledger.reserve("spring", 3, candidate(1), ROWS)
    ledger.record(use, passed=False)
    ledger.record(use, passed=False)
    ledger.record(ledger.all()[0], passed=False)
    with pytest.raises(HoldoutUseRefused, match="its result is `not passed` already, not `passed`"):
        ledger.record(use, passed=True)
    assert [held.result for held in ledger.all()] == ["not passed"]
    for stranger in (replace(use, ledger_version="7"), replace(use, candidate=candidate(2).digest)):
        with pytest.raises(HoldoutUseRefused, match="nobody holds it"):
            ledger.record(stranger, passed=True)


@pytest.mark.parametrize("passed", [None, False])
def test_a_candidate_has_one_look_whatever_came_of_it(passed: bool | None, ledger: HoldoutUses) -> None:
    use = ledger.reserve("spring", 3, candidate(1), ROWS)
    if passed is not None:
        ledger.record(use, passed=passed)
    # The same files under another version are the same candidate.
    again = replace(candidate(2), digest=candidate(1).digest)
    said = refused(ledger, "spring", 3, again, ROWS)
    assert "version 2 has had its use, number 1: " + ("reserved" if passed is None else "not passed") in said


def test_no_look_beyond_the_budget(ledger: HoldoutUses) -> None:
    for number in (1, 2):
        assert ledger.reserve("spring", 2, candidate(number), ROWS).number == number
    assert "all 2 uses are spent" in refused(ledger, "spring", 2, candidate(3), ROWS)


@pytest.mark.parametrize("holdout_uses", [2, 4])
def test_the_budget_is_fixed_before_the_first_look(holdout_uses: int, ledger: HoldoutUses) -> None:
    ledger.reserve("spring", 3, candidate(1), ROWS)
    assert f"opened with 3 uses, not {holdout_uses}" in refused(ledger, "spring", holdout_uses, candidate(2), ROWS)


def test_the_rows_of_an_epoch_do_not_change(ledger: HoldoutUses) -> None:
    ledger.reserve("spring", 3, candidate(1), ROWS)
    assert "opened with other rows" in refused(ledger, "spring", 3, candidate(2), ROWS[:-1])


def test_rows_belong_to_the_epoch_that_looked_at_them_first(registry: Registry, model: str) -> None:
    HoldoutUses(registry, model).reserve("spring", 3, candidate(1), ROWS)
    HoldoutUses(registry, model).reserve("summer", 3, candidate(1), FRESH)
    mixed = np.concatenate([ROWS[:7], ROWS + np.uint64(9000)])
    said = refused(HoldoutUses(registry, model), "autumn", 3, candidate(2), mixed)
    assert "7 of its rows were looked at in epoch spring" in said
    assert HoldoutUses(registry, model).reserve("autumn", 3, candidate(2), mixed[7:]).number == 1
    assert HoldoutUses(registry, model).reserve("spring", 3, candidate(2), ROWS).number == 2


def test_a_candidate_without_a_version_and_a_budget_of_nothing_are_refused(ledger: HoldoutUses) -> None:
    local = ModelVersion("flights", "", "", candidate(1).digest, "models/here")
    assert "models/here is no registered version" in refused(ledger, "spring", 3, local, ROWS)
    refused(ledger, "spring", 0, candidate(1), ROWS)
    refused(ledger, "spring", 3, candidate(1), ROWS[:0])


# A broken ledger


def broken(ledger: HoldoutUses, words: str) -> None:
    """Nothing goes on with this ledger, and the error names what is wrong with it."""
    use = HoldoutUse("spring", 1, 3, candidate(1).digest, "1", "", "reserved", "1")
    calls: list[Callable[[], Any]] = [
        ledger.all,
        lambda: ledger.closed("spring"),
        lambda: ledger.record(use, True),
        lambda: ledger.reserve("spring", 3, candidate(9), ROWS),
    ]
    for call in calls:
        with pytest.raises(RegistryError) as caught:
            call()
        assert words in str(caught.value)


def test_a_deleted_entry_blocks(ledger: HoldoutUses, registry: Registry, model: str) -> None:
    for number in (1, 2, 3):
        ledger.reserve("spring", 5, candidate(number), ROWS)
    registry._client.delete_model_version(f"{model}.holdout-uses", "2")
    broken(ledger, f"entry 2 of {model}.holdout-uses is missing")


def test_a_deleted_last_entry_blocks_from_the_next_reservation_on(
    ledger: HoldoutUses, registry: Registry, model: str
) -> None:
    for number in (1, 2):
        ledger.reserve("spring", 3, candidate(number), ROWS)
    registry._client.delete_model_version(f"{model}.holdout-uses", "2")
    with pytest.raises(RegistryError, match=rf"entry 2 of {model}.holdout-uses is missing"):
        ledger.reserve("spring", 3, candidate(2), ROWS)
    broken(ledger, "is missing")


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("holdout_uses", "50"),
        ("holdout_uses", "many"),
        ("candidate", candidate(7).digest),
        ("epoch", "winter"),
        ("rows", "sha256:0"),
        ("created", "yesterday"),
        ("schema", "weighin/holdout-use/v9"),
        ("result", "maybe"),
        ("key", None),
        ("sum", None),
    ],
)
def test_an_edited_tag_blocks(tag: str, value: str | None, ledger: HoldoutUses, registry: Registry, model: str) -> None:
    ledger.reserve("spring", 3, candidate(1), ROWS)
    if value is None:
        registry._client.delete_model_version_tag(f"{model}.holdout-uses", "1", f"weighin.holdout-use.{tag}")
    else:
        registry.tag(f"{model}.holdout-uses", "1", {f"weighin.holdout-use.{tag}": value})
    broken(ledger, f"entry 1 of {model}.holdout-uses is damaged")


@pytest.mark.parametrize("how", ["other rows", "no array", "empty", "deleted"])
def test_rows_that_were_changed_in_the_registry_block(how: str, registry: Registry, model: str) -> None:
    HoldoutUses(registry, model).reserve("spring", 3, candidate(1), ROWS)
    (entry,) = registry.entries(f"{model}.holdout-uses")
    path = Path(registry._client.get_run(entry.run_id).info.artifact_uri.removeprefix("file://")) / "rows.npy"
    path.write_bytes({"no array": b"rows", "empty": b""}.get(how, path.read_bytes()))
    if how == "other rows":
        np.save(path, FRESH)
    if how == "deleted":
        path.unlink()
    with pytest.raises(RegistryError, match=rf"rows\.npy of entry 1 of {model}.holdout-uses"):
        HoldoutUses(registry, model).reserve("summer", 3, candidate(1), ROWS[:5])


# Others who come meanwhile, and answers that are lost


class Interrupted(Registry):
    """A real registry in which something happens just before (or to) the one call that reserves."""

    def __init__(self, uri: str, meanwhile: Callable[[], Any]) -> None:
        super().__init__(uri)
        self.meanwhile = meanwhile

    def add_entry(self, name: str, run_id: str, tags: dict[str, str], description: str = "") -> int:
        happens, self.meanwhile = self.meanwhile, lambda: None
        happens()
        return super().add_entry(name, run_id, tags, description)


def test_the_same_candidate_reserved_meanwhile_takes_no_second_look(
    store: str, ledger: HoldoutUses, model: str
) -> None:
    slow = Interrupted(store, lambda: ledger.reserve("spring", 3, candidate(1), ROWS))
    with pytest.raises(HoldoutUseRefused, match="version 1 has had its use, number 1: reserved"):
        HoldoutUses(slow, model).reserve("spring", 3, candidate(1), ROWS)
    second = ledger.reserve("spring", 3, candidate(2), ROWS)
    assert (second.number, second.ledger_version) == (2, "3")
    assert [use.ledger_version for use in ledger.all()] == ["1", "3"]


def test_the_last_look_taken_meanwhile_is_not_taken_twice(store: str, ledger: HoldoutUses, model: str) -> None:
    slow = Interrupted(store, lambda: ledger.reserve("spring", 1, candidate(1), ROWS))
    with pytest.raises(HoldoutUseRefused, match="all 1 uses are spent"):
        HoldoutUses(slow, model).reserve("spring", 1, candidate(2), ROWS)
    assert [use.version for use in ledger.all()] == ["1"]


def test_an_epoch_closed_meanwhile_is_closed(store: str, ledger: HoldoutUses, model: str) -> None:
    first = ledger.reserve("spring", 3, candidate(1), ROWS)
    slow = Interrupted(store, lambda: ledger.record(first, passed=True))
    with pytest.raises(HoldoutUseRefused, match="closed: use 1 passed"):
        HoldoutUses(slow, model).reserve("spring", 3, candidate(2), ROWS)


def test_of_two_who_open_an_epoch_the_first_sets_budget_and_rows(store: str, ledger: HoldoutUses, model: str) -> None:
    slow = Interrupted(store, lambda: ledger.reserve("spring", 2, candidate(1), ROWS))
    with pytest.raises(HoldoutUseRefused, match="opened with 2 uses, not 9"):
        HoldoutUses(slow, model).reserve("spring", 9, candidate(2), ROWS)
    slow = Interrupted(store, lambda: ledger.reserve("summer", 2, candidate(1), FRESH))
    with pytest.raises(HoldoutUseRefused, match="opened with other rows"):
        HoldoutUses(slow, model).reserve("summer", 2, candidate(2), FRESH[:-1])
    assert [(use.epoch, use.holdout_uses) for use in ledger.all()] == [("spring", 2), ("summer", 2)]


def test_an_epoch_opened_on_the_rows_of_another_never_was(store: str, ledger: HoldoutUses, model: str) -> None:
    slow = Interrupted(store, lambda: ledger.reserve("spring", 3, candidate(1), ROWS))
    with pytest.raises(HoldoutUseRefused, match="10 of its rows were looked at in epoch spring"):
        HoldoutUses(slow, model).reserve("summer", 3, candidate(2), np.concatenate([ROWS[:10], FRESH]))
    # It blocks neither the epoch whose rows they are nor its own name.
    assert ledger.reserve("spring", 3, candidate(2), ROWS).number == 2
    assert ledger.reserve("summer", 3, candidate(2), FRESH).number == 1
    assert [(use.epoch, use.version) for use in ledger.all()] == [("spring", "1"), ("spring", "2"), ("summer", "2")]


class Lossy(Registry):
    """A real registry whose reserving call goes through `times`, and then answers with an error or not."""

    def __init__(self, uri: str, times: int, says: str) -> None:
        super().__init__(uri)
        self.times, self.says, self.calls = times, says, 0

    def add_entry(self, name: str, run_id: str, tags: dict[str, str], description: str = "") -> int:
        self.calls += 1
        if self.calls > 1:
            return super().add_entry(name, run_id, tags, description)
        number = [super(Lossy, self).add_entry(name, run_id, tags, description) for _ in range(self.times)]
        if self.says:
            raise RegistryError(self.says, "here", "Wait.")
        return number[-1]


@pytest.mark.parametrize(
    ("times", "says", "calls"),
    [(2, "", 1), (1, "the connection was lost", 1), (0, "database is locked", 2), (1, "database is locked", 1)],
)
def test_a_reservation_that_arrives_twice_or_answers_badly_is_one_look(
    times: int, says: str, calls: int, store: str, ledger: HoldoutUses, model: str
) -> None:
    lossy = Lossy(store, times, says)
    use = HoldoutUses(lossy, model).reserve("spring", 2, candidate(1), ROWS)
    assert (use.number, use.ledger_version, lossy.calls) == (1, "1", calls)
    assert ledger.reserve("spring", 2, candidate(2), ROWS).number == 2
    assert len(ledger.all()) == 2


def test_an_error_that_is_no_matter_of_waiting_is_not_tried_again(store: str, ledger: HoldoutUses, model: str) -> None:
    lossy = Lossy(store, 0, "permission denied")
    with pytest.raises(RegistryError, match="permission denied"):
        HoldoutUses(lossy, model).reserve("spring", 2, candidate(1), ROWS)
    assert lossy.calls == 1
    assert ledger.all() == []


# Writers who race


def race(uri: str, model: str, processes: int, threads: int, candidates: int) -> dict[str, list[Any]]:
    """Let `processes` times `threads` writers reserve one of three uses at once; what they got."""
    # Here, for the same reason as above.
    from support import quick_python

    program = [__file__, uri, model, str(processes), str(threads), str(candidates)]
    run = quick_python.run(program, Path.cwd(), timeout=120)
    assert run.returncode == 0, run.stderr[-3000:]
    return dict(json.loads(run.stdout.splitlines()[-1]))  # MLflow greets on stdout when it ends a run of a server


def judge(uri: str, model: str, got: dict[str, list[Any]], writers: int, expected: int) -> None:
    """Exactly so many uses are held, by those who were told so, and everybody else was refused."""
    assert got["errors"] == []
    held = HoldoutUses(Registry(uri), model).all("spring")
    assert len(held) == expected
    assert [use.number for use in held] == list(range(1, expected + 1))
    assert len({use.candidate for use in held}) == expected
    assert sorted((use.candidate, use.ledger_version) for use in held) == sorted(map(tuple, got["held"]))
    assert len(got["refused"]) == writers - expected


def test_many_writers_in_two_processes_hold_three_looks(store: str, registry: Registry, model: str) -> None:
    judge(store, model, race(store, model, 2, 8, 8), 16, 3)


def test_six_processes_hold_one_look_for_one_candidate(store: str, registry: Registry, model: str) -> None:
    judge(store, model, race(store, model, 6, 1, 1), 6, 1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server on loopback, over SQLite."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        f"{folder}/artifacts",
    ]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (folder / "log").open("wb") as log:
        run = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=environment
        )
    try:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and run.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        else:
            pytest.fail((folder / "log").read_text()[-2000:])
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(run.pid, signal.SIGTERM)
        run.wait(timeout=30)


@pytest.mark.exhaustive
def test_a_server_keeps_the_same_ledger(server: str, model: str) -> None:
    judge(server, f"{model}-many", race(server, f"{model}-many", 2, 5, 8), 10, 3)
    judge(server, f"{model}-one", race(server, f"{model}-one", 6, 1, 1), 6, 1)
    ledger = HoldoutUses(Registry(server), f"{model}-many")
    first = ledger.all()[0]
    ledger.record(first, passed=True)
    assert ledger.all()[0] == replace(first, result="passed")
    fresh = HoldoutUses(Registry(server), f"{model}-many")
    assert "closed: use 1 passed" in refused(fresh, "spring", 3, candidate(20), ROWS)
    assert "5 of its rows were looked at in epoch spring" in refused(fresh, "summer", 3, candidate(20), ROWS[:5])
    assert fresh.reserve("summer", 3, candidate(20), FRESH).number == 1


# The hashes of rows


def table(rows: int = 1000) -> pa.Table:
    random = np.random.default_rng(3)
    return pa.table(
        {
            "delay": random.normal(size=rows),
            "carrier": random.choice(["AA", "UA", None], rows),
            "day": random.integers(0, 1000, rows),
            "when": pa.array(random.integers(0, 10**9, rows), pa.timestamp("s")),
        }
    )


def test_hashes_do_not_depend_on_the_order_of_rows_and_columns() -> None:
    rows = table()
    shuffled = rows.take(np.random.default_rng(1).permutation(rows.num_rows)).select(
        ["when", "day", "delay", "carrier"]
    )
    assert row_hashes(shuffled).tolist() == row_hashes(rows).tolist()
    assert row_hashes(pa.concat_tables([rows, rows[:10]])).tolist() == row_hashes(rows).tolist()
    assert len(row_hashes(rows)) == rows.num_rows


def test_hashes_do_not_depend_on_how_a_file_keeps_the_same_values() -> None:
    plain = pa.table({"n": [0, 1, 2], "c": ["a", "b", None], "t": pa.array([0, 1, None], pa.timestamp("s"))})
    wide = {
        "n": pa.array([-0.0, 1.0, 2.0]),
        "c": pa.array(["a", "b", None]).dictionary_encode(),
        "t": pa.array([0, 10**9, None], pa.timestamp("ns")),
    }
    assert row_hashes(pa.table(wide)).tolist() == row_hashes(plain).tolist()
    missing = [pa.table({"x": pa.array([1.5, nothing], from_pandas=False)}) for nothing in (None, float("nan"))]
    assert row_hashes(missing[0]).tolist() == row_hashes(missing[1]).tolist()


def test_every_cell_counts() -> None:
    rows = table(50)
    for name in rows.column_names:
        frame = rows.to_pandas()
        frame.loc[7, name] = {"delay": 0.25, "carrier": "ZZ", "day": 5000, "when": pd.Timestamp("2030-01-01")}[name]
        changed = row_hashes(pa.Table.from_pandas(frame, preserve_index=False))
        assert len(np.setdiff1d(changed, row_hashes(rows))) == 1, name


def test_hashes_are_what_they_were_when_the_first_ledgers_were_written() -> None:
    rows = pa.table(
        {"b": [1, 2], "a": ["x", None], "f": [0.5, 1e300], "t": pa.array([0, 1], pa.timestamp("ms", "UTC"))}
    )
    assert row_hashes(rows).tolist() == [15811836109575564565, 17761469397589157652]
    assert row_hashes(rows[:0]).dtype == np.uint64
    assert row_hashes(rows[:0]).tolist() == []


def test_a_hundred_thousand_rows_take_seconds_at_most() -> None:
    rows = table(100_000)
    start = time.process_time()
    assert len(row_hashes(rows)) == 100_000
    assert time.process_time() - start < 5


# The program that races


def _reserve(uri: str, model: str, numbers: list[int], together: Any, results: Any) -> None:
    registry = Registry(uri)

    def one(number: int) -> None:
        together.wait(timeout=90)
        try:
            use = HoldoutUses(registry, model).reserve("spring", 3, candidate(number), ROWS)
            results.put(("held", (use.candidate, use.ledger_version)))
        except HoldoutUseRefused as error:
            results.put(("refused", str(error)))
        except Exception as error:  # noqa: BLE001 - told to the test, which demands that there is none
            results.put(("errors", repr(error)))

    threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=100)


def _main(uri: str, model: str, processes: int, threads: int, candidates: int) -> None:
    # Once, before the fork, what every process would load for itself.
    import mlflow.artifacts
    import mlflow.store.model_registry.rest_store
    import mlflow.store.model_registry.sqlalchemy_workspace_store
    import mlflow.store.tracking.rest_store
    import mlflow.store.tracking.sqlalchemy_workspace_store  # noqa: F401

    context = multiprocessing.get_context("fork")
    together, results = context.Barrier(processes * threads), context.Queue()
    numbers = [1 + k % candidates for k in range(processes * threads)]
    running = [
        context.Process(
            target=_reserve, args=(uri, model, numbers[k * threads : (k + 1) * threads], together, results), daemon=True
        )
        for k in range(processes)
    ]
    for process in running:
        process.start()
    got: dict[str, list[Any]] = {"held": [], "refused": [], "errors": []}
    for _ in numbers:
        kind, what = results.get(timeout=100)
        got[kind].append(what)
    for process in running:
        process.join(timeout=10)
    print(json.dumps(got))


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
