"""Whether the load generator finds the latencies that a server is known to have, and what others find.

    python benchmarks/load_truth.py [--quick] [--keep FOLDER]

Small servers (tests/support/load_servers.py), each in a process of its own on the second core, get the load of `weighin
step load` on the first one. Every server answers by a rule that depends on the moment and the number of a request only.
The truth is this rule, applied to the very arrivals that were sent, one after the other (for the server that works on
one request at a time this is the simulation of its queue), plus how late the server itself was by its own clock. No
chance is left in it, so that every quantile must be within 2 % or 2 ms of it, without the help of an interval. Failures
count as slower than any limit. What the rule gives in the long run, where there is a formula, stands beside it.
Milliseconds cannot be measured while something else wants the same two cores: a setting during which other processes
used more than a twentieth of a core is run again, a few times at most, and what they used is printed. A thread that
only sleeps tells a machine that stands still from a slow server (weighin/load/heartbeat.py): seconds in which it woke
late are void, for the truth as well, and their number is printed.

Beside it, on the server that is frozen for one second in every five: Locust as people use it (ten users, constant
throughput), hey and wrk, at 100 requests per second where they can be told. The last part is the rate that one core
sends. Without --quick also Locust's loop under our schedule, and its workers. The last line is one JSON object; exit
code 1 when a quantile is outside.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import math
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support import load_servers as servers
from weighin.load import LoadLog, read_log
from weighin.runner.plan import Answers, Interface, LoadPlan, Phase, Plan, Session

SHARE, MILLISECONDS = 0.02, 2.0
LATENESS_MS = 3
DISTURBED = 0.05
ENOUGH = 0.5
"""Share of the requests that must not be void."""
NEAR = 0.2
"""Seconds before and after a pause that are void with it."""
T = TypeVar("T")
FEATURES = 28
GENERATOR, SERVER = 0, min(1, (os.cpu_count() or 1) - 1)
"""Cores."""
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@dataclass(frozen=True)
class Setting:
    """One server at one rate. `quantiles` are none that lie in a gap of its latencies."""

    server: str
    rate: int
    seconds: int
    quantiles: tuple[float, ...] = (0.5, 0.9, 0.95, 0.99)

    @property
    def service(self) -> float:
        """5 ms; where requests are served one at a time, 500 a second of 5 ms would be more than there is time for."""
        return 0.001 if self.server == "serial" and self.rate > 100 else servers.FAST


def settings(quick: bool) -> list[tuple[Setting, ...]]:
    """Groups that run side by side: each server alone, but quickly those together that have nothing small to tell."""
    quantiles = {"slow": (0.5, 0.9, 0.985, 0.995), "failing": (0.5, 0.9, 0.95, 0.99)}
    seconds = dict.fromkeys(("frozen", "serial"), 10 if quick else 25)

    def at(server: str, rate: int) -> Setting:
        return Setting(
            server, rate, seconds.get(server, 3 if quick else 10), *(q for q in [quantiles.get(server)] if q)
        )

    if quick:
        alone = (("constant", 500), ("exponential", 100), ("slow", 500), ("failing", 500))
        return [*((at(*each),) for each in alone), (at("frozen", 100), at("serial", 500))]
    names = ("constant", "exponential", "frozen", "serial", "slow", "failing")
    return [(at(name, rate),) for rate in (100, 500) for name in names]


def long_run(server: str, q: float) -> float | None:
    """The quantile in seconds over all arrivals there could be; None where no formula is at hand."""
    frozen, fast = servers.FROZEN / servers.EVERY, servers.FAST
    match server:
        case "constant":
            return fast
        case "exponential":
            return -servers.MEAN * math.log(1 - q)
        case "frozen":
            return fast + max(0.0, q - (1 - frozen)) / frozen * servers.FROZEN
        case "slow":
            return servers.SLOW if q > 0.99 else fast
        case "failing":
            return math.inf if q > 0.96 else fast
    return None


@dataclass(frozen=True)
class Run:
    """What `weighin step load` left.

    intended  of all requests, also those of the warm-up
    counted   which of these are none of the warm-up
    quiet     which of those that are counted lie in no second in which the machine stood still
    """

    log: LoadLog
    intended: np.ndarray
    counted: np.ndarray
    quiet: np.ndarray

    def quantile(self, q: float) -> float:
        """Of the latencies in seconds, as the gate counts them."""
        return quantile(np.where(self.log.ok, self.log.latency, np.inf)[self.quiet], q)

    @property
    def lateness_ms(self) -> float:
        return float(np.quantile(self.log.lateness, 0.99) * 1000)


class Others:
    """What processes that are not ours use of the machine, in cores, since this was made."""

    def __init__(self) -> None:
        self.busy, self.own, self.moment = *self._used(), time.monotonic()

    @staticmethod
    def _used() -> tuple[float, float]:
        """CPU seconds of the machine, and of this process and the children that it has waited for."""
        times = psutil.cpu_times()
        return sum(times) - times.idle - times.iowait, sum(os.times()[:4])

    def cores(self) -> float:
        busy, own = self._used()
        return max(0.0, (busy - self.busy - own + self.own) / (time.monotonic() - self.moment))


def quantile(values: np.ndarray, q: float) -> float:
    return float(np.quantile(values, q, method="higher"))


def ask(url: str, phases: Sequence[Phase], folder: Path, locustfile: str = "", workers: int = 0) -> Run | None:
    """Let `weighin step load` send these phases, from one core, or by workers from both; None when it gave up."""
    work = Path(tempfile.mkdtemp(dir=folder))
    (work / "features").mkdir()
    (work / "features/holdout.parquet").symlink_to(folder / "features.parquet")
    plan = LoadPlan(
        tuple(phases),
        "poisson",
        batch_rows=(1,),
        timeout_seconds=10,
        server_cpus=1,
        server_memory_mb=1000,
        start_seconds=20,
        interface=Interface(),
        break_ms=1000,
        break_share=0.5,
        lateness_ms=1000,
        sessions=(Session("candidate", 0, tuple(phases)),),
    )
    Plan(("load",), ("candidate",), Answers((0,)), 60, 1000, plan).write(work / "plan.json")
    command = [sys.executable, "-m", "weighin", "step", "load", "--work", str(work), "--url", url]
    port = str(free_port())
    worker = [*command[:4], "--worker", "127.0.0.1", "--port", port, "--locustfile", locustfile]
    command += ["--locustfile", locustfile] if locustfile else []
    command += ["--master", str(workers), "--port", port] if workers else []
    with contextlib.ExitStack() as stack:
        for number in range(workers):
            process = stack.enter_context(subprocess.Popen(pinned(worker, number % 2), env=ENVIRONMENT))
            stack.callback(process.kill)
        timeout = plan.most_seconds + 60
        ran = subprocess.run(pinned(command), env=ENVIRONMENT, timeout=timeout, check=False)
    if ran.returncode:
        return None
    path = work / "load/candidate-0/responses-candidate-0.arrow"
    with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as reader:
        table = reader.read_all()
    counted = np.array(table["phase"].to_pylist()) != "warm_up"
    log = read_log([path])
    paused = json.loads((path.parent / "session.json").read_text()).get("pauses", [])
    seconds = {int(s) for at, late in paused for s in (at - NEAR, at + late + NEAR)}
    quiet = ~np.isin(np.floor(log.intended).astype(int), list(seconds))
    return Run(log, table["intended"].to_numpy(), counted, quiet)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def pinned(command: list[str], core: int = GENERATOR) -> list[str]:
    return ["taskset", "--cpu-list", str(core), *command]


def phases(rate: float, seconds: float) -> tuple[Phase, Phase]:
    return Phase("warm_up", rate, 1), Phase("load", rate, seconds)


@dataclass(frozen=True)
class Row:
    """One quantile of one setting, in milliseconds."""

    setting: Setting
    q: float
    ours: float
    truth: float
    always: float | None

    @property
    def error(self) -> float:
        return 0.0 if self.ours == self.truth else abs(self.ours - self.truth)

    @property
    def outside(self) -> bool:
        """Whether it is further from the truth than it may be."""
        return self.error > max(MILLISECONDS, SHARE * self.truth) if math.isfinite(self.truth) else self.error > 0


def compare(setting: Setting, folder: Path) -> list[Row]:
    """Run one setting; one row for each quantile."""
    with servers.running(setting.server, SERVER, setting.service) as url:
        run = ask(url, phases(setting.rate, setting.seconds), folder)
        if run is None:
            raise SystemExit(f"{setting}: the generator gave up")
        with urllib.request.urlopen(f"{url}/late", timeout=10) as late:  # noqa: S310 - our own server
            truth = servers.latency(setting.server, run.intended, setting.service) + np.array(json.load(late))
    if not run.quiet.all():
        print(f"the machine stood still: {1 - run.quiet.mean():.0%} of the requests of {setting} are void", flush=True)
    if run.quiet.mean() < ENOUGH:
        raise SystemExit(f"{setting}: the machine stood still too often")
    rows = []
    for q in setting.quantiles:
        always = long_run(setting.server, q)
        true = quantile(truth[run.counted][run.quiet], q)
        rows.append(Row(setting, q, run.quantile(q) * 1000, true * 1000, None if always is None else always * 1000))
    return rows


def undisturbed(run: Callable[[], T], until: float) -> T:
    """What a run gives; it is run again, at most three times and before this moment, while something else disturbs."""
    attempts = 0
    while True:
        others, attempts = Others(), attempts + 1
        found, used = run(), others.cores()
        if used <= DISTURBED:
            return found
        print(f"others used {used:.2f} cores meanwhile", flush=True)
        if attempts == 4 or time.monotonic() > until:
            return found
        time.sleep(3)


def side_by_side(group: tuple[Setting, ...], folder: Path) -> list[Row]:
    with ThreadPoolExecutor(len(group)) as pool:
        return [row for found in pool.map(lambda each: compare(each, folder), group) for row in found]


def say(row: Row) -> None:
    always = "" if row.always is None else f"{row.always:.1f}"
    name = f"{row.setting.server:12} {row.setting.rate:4}/s  p{row.q * 100:<5g}"
    outside = "OUTSIDE" if row.outside else ""
    print(f"{name} {row.ours:9.1f} {row.truth:9.1f} {always:>9} {outside}", flush=True)


LOCUSTFILE = """
from locust import FastHttpUser, HttpUser, constant_throughput, task

class Asks({user}):
    wait_time = constant_throughput(10)

    @task
    def ask(self):
        self.client.post("/invocations", data={body!r}, headers={{"Content-Type": "application/json"}})
"""
WRK = """
wrk.method, wrk.body = "POST", {body}
wrk.headers["Content-Type"] = "application/json"
function done(_, latency) io.write("p95 " .. latency:percentile(95) / 1000 .. "\\n") end
"""


def body(folder: Path) -> str:
    frame = pd.read_parquet(folder / "features.parquet").head(1)
    return json.dumps({"dataframe_split": json.loads(frame.to_json(orient="split", index=False))})


def others(tool: str, seconds: int, folder: Path) -> float | None:
    """p95 in milliseconds of another tool, ten users, 100 requests per second if it can; None when not installed."""
    program = shutil.which(tool, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        print(f"{tool}: not installed, skipped (Debian has it: apt-get install {tool})")
        return None
    place = Path(tempfile.mkdtemp(dir=folder))
    with servers.running("frozen", SERVER) as url:
        match tool:
            case "locust":
                command = ["--headless", "-f", written(folder, "HttpUser"), "-u", "10", "-r", "10", "--host", url]
                command += ["-t", f"{seconds}s", "--csv", str(place / "locust"), "--loglevel", "ERROR"]
            case "hey":
                command = ["-z", f"{seconds}s", "-c", "10", "-q", "10", "-m", "POST", "-T", "application/json"]
                command += ["-d", body(folder), f"{url}/invocations"]
            case _:
                (place / "post.lua").write_text(WRK.format(body=json.dumps(body(folder))))
                command = ["-t1", "-c10", f"-d{seconds}s", "-s", str(place / "post.lua"), f"{url}/invocations"]
        ran = subprocess.run(
            pinned([program, *command]), capture_output=True, text=True, timeout=seconds + 60, check=False
        )
    if tool == "locust":
        with (place / "locust_stats.csv").open() as file:
            return float(next(row["95%"] for row in csv.DictReader(file) if row["Name"] == "Aggregated"))
    found = re.search(r"95%+ in ([\d.]+) secs" if tool == "hey" else r"p95 ([\d.]+)", ran.stdout)
    if found is None:
        raise SystemExit(f"{tool} printed no p95: {ran.stdout[-500:]} {ran.stderr[-500:]}")
    return float(found[1]) * (1000 if tool == "hey" else 1)


def written(folder: Path, user: str) -> str:
    """A locustfile with a user of this class."""
    path = folder / f"{user}.py"
    path.write_text(LOCUSTFILE.format(user=user, body=body(folder)))
    return str(path)


def send(rate: int, seconds: int, folder: Path, locustfile: str = "", workers: int = 0) -> dict[str, float]:
    """How late so many requests per second are sent, one prediction each, to a server that answers after 5 ms."""
    with servers.running("constant", SERVER) as url:
        run = ask(url, phases(rate, seconds), folder, locustfile, workers)
    if run is None:
        return {"rate": rate, "lateness_p99_ms": math.inf, "p95_ms": math.inf}
    sent = len(run.log.ok) / seconds
    return {
        "rate": round(sent),
        "lateness_p99_ms": round(run.lateness_ms, 2),
        "p95_ms": round(run.quantile(0.95) * 1000, 2),
    }


def by_locust(folder: Path) -> None:
    """Whether Locust's loop keeps our schedule, in one process and by workers."""
    for user in ("HttpUser", "FastHttpUser"):
        for rate in (100, 500, 1_500):
            print(f"{user} by our schedule: {send(rate, 6, folder, written(folder, user))}", flush=True)
    for workers in (1, 2):
        sustained = 0
        for rate in (250, 500, 750, 1_000, 1_250, 1_500, 2_000):
            found = send(rate, 6, folder, written(folder, "FastHttpUser"), workers)
            print(f"FastHttpUser, {workers} worker(s): {found}", flush=True)
            if found["lateness_p99_ms"] > LATENESS_MS:
                break
            sustained = rate
        print(f"{workers} worker(s) sustain {sustained} requests per second, p99 at most {LATENESS_MS} ms late")


def main() -> int:
    """Run all of it; 1 when a quantile is outside of what it may be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="within 60 seconds")
    parser.add_argument("--keep", type=Path, help="leave the logs in this folder")
    given = parser.parse_args()
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(0)
        frame = pd.DataFrame({f"feature_{i:02}": rng.normal(size=5_000) for i in range(FEATURES)})
        frame.to_parquet(folder / "features.parquet")
        print(f"load average {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")
        until = started + (12 if given.quick else 1_200)
        sending = undisturbed(lambda: send(1_500, 3 if given.quick else 10, folder), until)
        print(f"sending from one core: {sending}")
        print(f"{'server':12} {'rate':6}  {'':6} {'ours ms':>9} {'truth':>9} {'long run':>9}", flush=True)
        rows = []
        for group in settings(given.quick):
            found = undisturbed(partial(side_by_side, group, folder), until)
            rows += found
            for row in found:
                say(row)
        tools = ("locust", "hey", "wrk")
        with ThreadPoolExecutor(len(tools) if given.quick else 1) as pool:
            seconds = 10 if given.quick else 25
            p95 = dict(zip(tools, pool.map(lambda tool: others(tool, seconds, folder), tools), strict=True))
        if not given.quick:
            by_locust(folder)
    frozen = next(r for r in rows if (r.setting.server, r.setting.rate, r.q) == ("frozen", 100, 0.95))
    print(f"p95 on the frozen server: {p95}, weighin {frozen.ours:.0f}, truth {frozen.truth:.0f} ms")
    outside = sum(row.outside for row in rows)
    finite = [row for row in rows if math.isfinite(row.truth)]
    print(f"{time.monotonic() - started:.0f} s")
    result = {
        "rate": sending["rate"],
        "lateness_p99_ms": sending["lateness_p99_ms"],
        "worst_quantile_error_ms": round(max(row.error for row in finite), 2),
        "worst_quantile_error_share": round(max(row.error / row.truth for row in finite), 4),
        "outside_tolerance": outside,
        "locust_p95_ms": p95["locust"],
        "truth_p95_ms": round(frozen.truth, 1),
        "ours_p95_ms": round(frozen.ours, 1),
    }
    print(json.dumps(result))
    return 1 if outside else 0


if __name__ == "__main__":
    sys.exit(main())
