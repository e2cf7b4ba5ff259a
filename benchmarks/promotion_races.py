"""Promotion under contention, killed at every step, and evidence that was tampered with.

    python benchmarks/promotion_races.py [--quick] [--promoters N] [--runs N] [--state FILE]

Races: processes without a shared lock promote different candidates of one model, all against the champion that they
saw; of each baseline exactly one must win. Kills: a promotion and a rollback are killed at every call to the database
(before and after each statement, before each commit) and at every request to the server (before it arrives and after
it was carried out), then the next commands must put it right. Both on SQLite and on an MLflow server with PostgreSQL;
`--quick` on SQLite only, and at some of the calls. With --state every part, and every slice of the calls, is kept when
it is done: a run that was stopped goes on where it was. Mutations: one byte of a file that a promotion rests on, or one
value under the signature of a record. Rollback: the command as people type it, from its start to its end. Last line:
JSON.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from monitored.kept import Kept

from support.evidence_files import Case
from support.forked import Child, in_child
from support.interruptions import Tally, in_database, over_http, shared
from support.mlflow_server import mlflow_server
from support.promotion_trials import CALM, DEEDS, Stock, Trial, warmed_up
from weighin.canonical import canonical, write_json
from weighin.errors import EvidenceError, PromotionError, WeighinError
from weighin.record.decision import verdict_file
from weighin.record.signature import KEY, envelope, make_key, opened, signer, trusted_key
from weighin.record.verify import verify
from weighin.release.promote import checked_record
from weighin.verdict.conclude import decide_again

QUICK_KILLS = 6
"""Calls, evenly spread, at which each deed is killed in quick mode."""
ROLLBACKS = 3
SLICES = 24
"""In which the kills at all calls to a database are kept."""
ROLLBACK_SECONDS = {"SQLite": 10, "server": 30}


@dataclass
class Races:
    """What came of the races: wins of each baseline, entries that nobody finds again, and what ended otherwise."""

    wins: list[int] = field(default_factory=list)
    lost: int = 0
    errors: list[str] = field(default_factory=list)


def promoter(trial: Trial, number: int, champion: int, ready: int, go: int) -> str:
    """One of many: the evidence is there, everybody waits, then everybody promotes."""
    trial.case(number, champion)
    os.write(ready, b"r")
    os.read(go, 1)
    try:
        trial.promote(number, champion)
    except PromotionError:
        return "lost"
    except Exception as error:  # noqa: BLE001 - counted, not raised: it is another's process
        return f"error {type(error).__name__}: {error}"
    return "won"


def races(uri: str, folder: Path, promoters: int, runs: int) -> Races:
    """So many promoters of as many versions, in so many runs, each against the champion that the last run left."""
    found = Races()
    trial = Trial(Stock.of(uri, folder, promoters + 1), "races")
    in_child(trial.set_up)
    champion = 1
    for run in range(1, runs + 1):
        (ready, readied), (waits, go) = os.pipe(), os.pipe()
        numbers = [n for n in range(1, promoters + 2) if n != champion]
        children = [Child(promoter, trial, n, champion, readied, waits).start() for n in numbers]
        waiting = 0
        while waiting < promoters:
            waiting += len(os.read(ready, promoters))
        began = time.monotonic()
        os.write(go, b"g" * promoters)
        said = [child.result(900) for child in children]
        for end in (ready, readied, waits, go):
            os.close(end)
        found.wins.append(said.count("won"))
        found.errors += [s for s in said if s.startswith("error")]
        print(
            f"  run {run}: {said.count('won')} won, {said.count('lost')} lost, {len(found.errors)} errors so far, "
            f"{time.monotonic() - began:.1f} s",
            flush=True,
        )
        now, alias = in_child(trial.settled)
        state = in_child(trial.state)
        # The adoption, and a promotion for each run; every entry follows the one before.
        befores, afters = [e[1] for e in state["entries"]], [e[2] for e in state["entries"]]
        found.lost += abs(len(afters) - 1 - sum(found.wins)) + (befores[1:] != afters[:-1]) + (now != alias)
        champion = int(now)
    for sentence in sorted(set(found.errors))[:5]:
        print(f"  {sentence[:300]}", flush=True)
    return found


def shown(name: str, began: float, tally: Tally) -> Tally:
    """Print what came of kills."""
    ended = ", ".join(f"{k} {v}" for k, v in sorted(tally.ended.items()))
    print(
        f"{name}: killed {tally.killed} times at {tally.steps} calls, recovered {tally.recovered} ({ended}), "
        f"{time.monotonic() - began:.0f} s",
        flush=True,
    )
    for wrong in tally.wrong[:5]:
        print(f"  WRONG {wrong[:300]}", flush=True)
    return tally


def fields_of(tally: Tally) -> dict[str, Any]:
    """Return what is kept of a tally."""
    return {**vars(tally), "ended": dict(tally.ended)}


def kills_in_database(folder: Path, kept: Kept, *, quick: bool) -> list[Tally]:
    """Both deeds, killed at every call to a SQLite file; in quick mode at some."""
    found, slices = [], 1 if quick else SLICES
    for deed in DEEDS:
        began, total = time.monotonic(), Tally()
        for number in range(slices):

            def work(part: int, parts: int, deed: str = deed, number: int = number) -> Tally:
                home = folder / f"{deed}-{number}-{part}"
                home.mkdir()
                stock = Stock.of(f"sqlite:///{home}/mlflow.db", home)
                most = QUICK_KILLS if quick else 0
                return in_database(stock, deed, part=number * parts + part, parts=slices * parts, at_most=most)

            name = f"{deed}, SQLite, slice {number + 1} of {slices}"
            total += tally_of(kept.result(name, lambda work=work: fields_of(shared(work, seconds=3600))))
        found.append(shown(f"{deed}, SQLite", began, total))
    return found


def kills_over_http(server: str, folder: Path, kept: Kept) -> list[Tally]:
    """Both deeds, killed at every request to a server."""
    stock, found = Stock.of(server, folder), []
    for deed in DEEDS:
        began = time.monotonic()

        def work(part: int, parts: int, deed: str = deed) -> Tally:
            return over_http(stock, deed, ["before", "after"], part, parts)

        name = f"{deed}, server"
        found.append(
            shown(name, began, tally_of(kept.result(name, lambda work=work: fields_of(shared(work, seconds=6 * 3600)))))
        )
    return found


def tally_of(fields: dict[str, Any]) -> Tally:
    """Return a tally that was kept."""
    return Tally(**{**fields, "ended": Counter(fields["ended"])})


def rollback_seconds(uri: str, folder: Path, name: str, runs: int = ROLLBACKS) -> float:
    """The longest of some runs of the command, from its start to its end."""
    trial = Trial(Stock.of(uri, folder), "rollbacks")
    in_child(trial.set_up, 2, 3)
    contract = folder / "model_contract.yaml"
    contract.write_text((ROOT / "model_contract.yaml").read_text().replace("name: flight-delay", "name: rollbacks"))
    command = [sys.executable, "-m", "weighin", "rollback", "--contract", str(contract)]
    command += ["--owner", CALM["owner"], "--reason", CALM["reason"]]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PYTHONPATH": str(ROOT)}
    taken = []
    for _ in range(runs):
        began = time.monotonic()
        subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True, timeout=120)
        taken.append(time.monotonic() - began)
    print(f"rollback as a command, {name}: {', '.join(f'{t:.1f}' for t in taken)} s", flush=True)
    return max(taken)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all single values."""
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in leaves(v, (*path, k))]
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in leaves(v, (*path, i))]
    return [path]


class Evidence:
    """Files of a green decision, and whether they would still be promoted."""

    def __init__(self, folder: Path) -> None:
        make_key(folder / "key")
        by = signer({KEY: str(folder / "key")})
        assert by is not None
        self.by, self.public = by, trusted_key(folder / "key.pub")
        self.case, self.work = Case(folder / "reports").write(), folder / "work"
        self.record = json.loads(canonical(self.case.record()))
        write_json(self.case.reports / "record.json", self.record)
        write_json(self.case.reports / "record.dsse.json", envelope(self.record, by))
        write_json(self.case.reports / "verdict.json", verdict_file(self.record))
        self.case.subject.write(self.work / "subject.json")
        self.files = sorted(p for home in (self.case.reports, self.work) for p in home.rglob("*") if p.is_file())

    def refused(self, path: Path) -> bool:
        """What `weighin promote` asks before it moves anything, and `weighin verify` of the signed record."""
        try:
            if path.name == "record.dsse.json":
                verify(path, [self.public])
            else:
                file = self.case.file
                subject, _, decision = decide_again(file, self.work, self.case.reports, (), {})
                checked_record(file, subject, decision, self.case.reports, work=self.work)
        except WeighinError:
            return True
        return False

    @contextmanager
    def changed(self, path: Path, rng: random.Random) -> Iterator[str]:
        """One bit of a file is another."""
        before = path.read_bytes()
        after = bytearray(before)
        place = rng.randrange(len(after))
        after[place] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(after))
        try:
            yield f"{path.name} byte {place}: {bytes(after)[max(0, place - 30) : place + 10]!r}"
        finally:
            path.write_bytes(before)

    def value_refused(self, rng: random.Random, paths: list[tuple[Any, ...]]) -> bool:
        """One value of the record is another, under the signature of the right one."""
        other = copy.deepcopy(self.record)
        place: Any = other
        path = rng.choice(paths)
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = f"{place[path[-1]]}x"
        signed = envelope(self.record, self.by)["signatures"]
        try:
            opened(canonical({**envelope(other, self.by), "signatures": signed}), [self.public], "record")
        except EvidenceError:
            return True
        return False


def mutations(number: int) -> dict[str, int]:
    """Half of them bytes, in turn of each file of the evidence; half values. Each must be refused."""
    rng = random.Random(11)  # noqa: S311 - no secret
    refused = 0
    with tempfile.TemporaryDirectory() as scratch:
        evidence = Evidence(Path(scratch))
        assert not any(evidence.refused(path) for path in evidence.files), "refused before anything was changed"
        paths = leaves(evidence.record)
        for i in range(number):
            if i % 2:
                good = evidence.value_refused(rng, paths)
            else:
                path = evidence.files[(i // 2) % len(evidence.files)]
                with evidence.changed(path, rng) as said:
                    good = evidence.refused(path)
                if not good:
                    print(f"  NOT REFUSED {said}", flush=True)
            refused += good
        names = ", ".join(p.relative_to(scratch).as_posix() for p in evidence.files)
    print(f"{refused} of {number} mutations refused; bytes of {names}", flush=True)
    return {"mutations": number, "refused": refused}


def main() -> int:
    """Run everything and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="below 60 s, on SQLite: fewer promoters, runs and steps")
    parser.add_argument("--promoters", type=int, default=50)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--state", type=Path, help="where results are kept as they come")
    given = parser.parse_args()
    promoters, runs = (10, 2) if given.quick else (given.promoters, given.runs)
    os.environ |= {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    # As the command line has it, but that a request which waits for 50 others on two cores is slow, and no fault.
    os.environ |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "300"}
    warmed_up()
    home = Path(tempfile.mkdtemp(prefix="weighin-races-"))
    try:
        return report(home, promoters, runs, Kept(given.state, dict), quick=given.quick)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def report(home: Path, promoters: int, runs: int, kept: Kept, *, quick: bool) -> int:
    """All parts in turn; 0 where everything is as it must be."""

    def place(name: str) -> Path:
        (home / name).mkdir()
        return home / name

    def on(store: str, uri: Callable[[Path], str]) -> None:
        folder = place(f"rollback-{store}")
        times = 1 if quick else ROLLBACKS
        took = kept.result(f"rollback, {store}", lambda: {"s": rollback_seconds(uri(folder), folder, store, times)})
        slowest.append(took["s"] < ROLLBACK_SECONDS[store])
        races_folder = place(f"races-{store}")
        name = f"races of {promoters} in {runs} runs, {store}"
        print(name, flush=True)
        raced.append(Races(**kept.result(name, lambda: vars(races(uri(races_folder), races_folder, promoters, runs)))))

    slowest: list[bool] = []
    raced: list[Races] = []
    number = 1000 if quick else 3000
    tampered = kept.result(f"{number} mutations", lambda: mutations(number))
    on("SQLite", lambda folder: f"sqlite:///{folder}/mlflow.db")
    killed = kills_in_database(place("kills"), kept, quick=quick)
    if not quick:
        with mlflow_server() as server:
            on("server", lambda _: server.uri)
            killed += kills_over_http(server.uri, place("kills-server"), kept)
    wins = [n for r in raced for n in r.wins]
    said = {
        "promoters": promoters,
        "runs": runs,
        "wins_per_baseline_max": max(wins),
        "wins_per_baseline_min": min(wins),
        "lost_entries": sum(r.lost for r in raced),
        "errors": sum(len(r.errors) for r in raced),
        "steps": sum(t.steps for t in killed),
        "killed": sum(t.killed for t in killed),
        "recovered": sum(t.recovered for t in killed),
        **tampered,
    }
    print(json.dumps(said))
    good = max(wins) == min(wins) == 1 and not said["lost_entries"] and not any(t.wrong for t in killed)
    good &= said["killed"] == said["recovered"] and said["refused"] == said["mutations"] and all(slowest)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
