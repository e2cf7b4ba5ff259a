"""Promotion under contention, killed at every step, and records that were tampered with.

    python benchmarks/promotion_races.py [--quick] [--promoters N] [--runs N]

Races: processes without a shared lock promote different candidates of one model on SQLite, all against the champion
that they saw; of each baseline exactly one must win. Kills: a rollback is killed before and after every call to the
database (a hook counts them), then run again. Mutations: single bytes of a signed record, and single values under its
signature. Last line: JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from weighin.errors import EvidenceError, PromotionError
from weighin.record.encode import canonical
from weighin.record.signature import KEY, envelope, make_key, opened, signer, trusted_key
from weighin.registry.champion import Titles
from weighin.registry.mlflow import Registry
from weighin.rollback import rollback

ROOT = Path(__file__).resolve().parent.parent
MODEL = "m"
CONTEXT = multiprocessing.get_context("fork")


def titles(folder: Path) -> Titles:
    """The champion of the benchmark's model."""
    return Titles(Registry(f"sqlite:///{folder}/mlflow.db"), MODEL, "champion", "previous")


def prepared(folder: Path, versions: int) -> None:
    """A registry with so many versions, the first of which is champion by the ledger."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    client.create_registered_model(MODEL)
    for number in range(1, versions + 1):
        model = folder / f"model-{number}"
        model.mkdir()
        (model / "MLmodel").write_text(f"version: {number}")
        client.create_model_version(MODEL, str(model))
    promoted(folder, "1")


def promoted(folder: Path, version: str) -> None:
    """One promotion, with its mirrors."""
    of = titles(folder)
    head, before = of.settle()
    with tempfile.TemporaryDirectory() as scratch:
        artifact = of.registry.digest(MODEL, version, Path(scratch) / "model")
        entry = of.enter("promote", head, before, version, artifact, folder / "none", record=f"sha256:{version}")
    of.mirror(entry)


def promote_once(folder: Path, version: str, barrier: Any, queue: Any) -> None:
    """A promoter: everybody reads the champion, then everybody writes."""
    of = titles(folder)
    head, before = of.settle(look_only=True)
    barrier.wait(timeout=300)
    try:
        entry = of.enter(
            "promote", head, before, version, f"sha256:{version}", folder / "none", record=f"sha256:{version}"
        )
        of.mirror(entry)
        queue.put("won")
    except PromotionError:
        queue.put("lost")
    except Exception as error:  # noqa: BLE001 - counted, not raised: it is another's process
        queue.put(f"error {error}")


def races(promoters: int, runs: int) -> dict[str, Any]:
    """Wins of each baseline, entries that nobody finds again, and what ended otherwise."""
    wins, lost, errors = [], 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "none").mkdir()
        done = CONTEXT.Process(target=prepared, args=(folder, promoters + 1))
        done.start()
        done.join()
        for run in range(runs):
            barrier, queue = CONTEXT.Barrier(promoters), CONTEXT.Queue()
            workers = [
                CONTEXT.Process(target=promote_once, args=(folder, str(2 + (n + run) % promoters), barrier, queue))
                for n in range(promoters)
            ]
            for worker in workers:
                worker.start()
            said = [queue.get(timeout=600) for _ in workers]
            for worker in workers:
                worker.join(timeout=60)
            wins.append(said.count("won"))
            errors += sum(s.startswith("error") for s in said)
            for sentence in {s for s in said if s.startswith("error")}:
                print(f"run {run + 1}: {sentence[:150]}", flush=True)
            print(f"run {run + 1}: {said.count('won')} won, {said.count('lost')} lost", flush=True)
        found = CONTEXT.Queue()
        reader = CONTEXT.Process(target=count_entries, args=(folder, found))
        reader.start()
        chain, alias_agrees = found.get(timeout=120)
        reader.join()
        lost = sum(wins) + 1 - chain + (0 if alias_agrees else 1)
    return {
        "wins_per_baseline_max": max(wins),
        "wins_per_baseline_min": min(wins),
        "lost_entries": lost,
        "errors": errors,
    }


def count_entries(folder: Path, found: Any) -> None:
    """Length of the chain, and whether the alias says what it says."""
    of = titles(folder)
    chain = of.ledger.entries()
    of.settle()
    found.put((len(chain), of.registry.aliased(MODEL, "champion") == chain[-1].after))


def roll_back(folder: Path, kill_at: int, found: Any) -> None:
    """A rollback that kills itself at a call to the database; without, says how many there are."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    calls = [0]

    def count(*_: object) -> None:
        calls[0] += 1
        if calls[0] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    of = titles(folder)
    for moment in ("before_cursor_execute", "after_cursor_execute", "commit"):
        event.listen(Engine, moment, count)
    rollback(of, "2", owner="a", reason="b")
    found.put(calls[0])


def recovered(folder: Path, found: Any) -> None:
    """Whether the next command leaves exactly one rollback, and the aliases with it."""
    of = titles(folder)
    of.settle()
    rollback(of, "2", owner="a", reason="b")
    actions = [e.action for e in of.ledger.entries()]
    aliases = (of.registry.aliased(MODEL, "champion"), of.registry.aliased(MODEL, "previous"))
    found.put(actions == ["promote"] * 3 + ["rollback"] and aliases == ("2", "3"))


def kills(seconds: float) -> dict[str, int]:
    """Kill at every call, or at as many, evenly spread, as the time allows."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "none").mkdir()
        for target, more in ((prepared, (3,)), (promoted, ("2",)), (promoted, ("3",))):
            process = CONTEXT.Process(target=target, args=(folder, *more))
            process.start()
            process.join()
        database = folder / "mlflow.db"
        shutil.copy(database, folder / "before.db")

        def child(target: Any, *arguments: Any) -> Any:
            queue = CONTEXT.Queue()
            process = CONTEXT.Process(target=target, args=(folder, *arguments, queue))
            process.start()
            process.join(timeout=120)
            return queue.get(timeout=10) if process.exitcode == 0 else process.exitcode

        began = time.monotonic()
        steps = int(child(roll_back, 0))
        each = max(0.1, time.monotonic() - began) * 2
        stride = max(1, round(steps * each / seconds))
        killed = well = 0
        for step in range(1, steps + 1, stride):
            for journal in folder.glob("mlflow.db-*"):
                journal.unlink()
            shutil.copy(folder / "before.db", database)
            killed += child(roll_back, step) == -signal.SIGKILL
            well += child(recovered) is True
        print(f"killed at {killed} of {steps} calls, recovered {well}", flush=True)
        return {"steps": steps, "killed": killed, "recovered": well}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all single values."""
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in leaves(v, (*path, k))]
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in leaves(v, (*path, i))]
    return [path]


def mutations(number: int) -> dict[str, int]:
    """Single bytes of a signed record, and single values under its signature; each must be refused."""
    sys.path.insert(0, str(ROOT / "tests"))
    from evidence_files import Case

    rng = random.Random(11)  # noqa: S311 - no secret
    refused = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_key(folder / "key")
        by, public = signer({KEY: str(folder / "key")}), trusted_key(folder / "key.pub")
        assert by is not None
        record = json.loads(canonical(Case(folder / "reports").write().record()))
        signed = envelope(record, by)
        data, paths = canonical(signed), leaves(record)
        for i in range(number):
            if i % 2:
                changed = bytearray(data)
                changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                mutant = bytes(changed)
            else:
                other = copy.deepcopy(record)
                place: Any = other
                path = rng.choice(paths)
                for key in path[:-1]:
                    place = place[key]
                place[path[-1]] = f"{place[path[-1]]}x"
                mutant = canonical({**envelope(other, by), "signatures": signed["signatures"]})
            try:
                opened(mutant, [public], "record")
            except EvidenceError:
                refused += 1
    print(f"{refused} of {number} mutations refused", flush=True)
    return {"mutations": number, "refused": refused}


def main() -> int:
    """Run all three and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="below 60 s: fewer promoters, runs and steps")
    parser.add_argument("--promoters", type=int, default=50)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument(
        "--kill-seconds", type=float, default=1800, help="time for the kills; all of them fit into this"
    )
    given = parser.parse_args()
    promoters, runs = (10, 2) if given.quick else (given.promoters, given.runs)
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - once, before the processes that need it

    # Processes are forked from one that has loaded everything and opened nothing.
    tampered = mutations(1000 if given.quick else 3000)
    raced = races(promoters, runs)
    stopped = kills(12 if given.quick else given.kill_seconds)
    print(json.dumps({"promoters": promoters, "runs": runs, **raced, **stopped, **tampered}))
    good = raced["wins_per_baseline_max"] == raced["wins_per_baseline_min"] == 1 and raced["lost_entries"] == 0
    good &= stopped["killed"] == stopped["recovered"] and tampered["refused"] == tampered["mutations"]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
