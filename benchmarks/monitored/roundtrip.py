"""From the run that completes the evidence to the server that answers with the old identity: all parts are real.

A registry on SQLite in which version 1, which is wrong, was promoted over version 2; `weighin serve` with its
log in PostgreSQL; requests over HTTP; labels that come later. The clock starts at the run, and stops when an answer to
a request names version 2; the alias stands there.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import yaml

from monitored.streams import CONTRACT
from support.following_server import FollowingServer
from support.postgres_server import postgres
from support.registry_versions import NAME, SAYS, champions, promoted, restored, template
from weighin.contract import read_contract
from weighin.data.profiling import profile
from weighin.data.relation import Relation
from weighin.monitor.run import Watcher
from weighin.prediction_log.labels import append_labels
from weighin.prediction_log.reader import Log
from weighin.prediction_log.sinks import sink_for
from weighin.prediction_log.tables import LogTables
from weighin.registry.mlflow import Address, Registry
from weighin.registry.profiles import STORED

FEATURES = ("temp", "distance")
WINDOW = 400
LOOKS = 3
ROWS = 40
"""In a request."""
LOG_SECONDS = 30
FAULTY = "1"
"""The version that is champion: it was the first, and was promoted again over version 2."""
VARIABLE = "PREDICTION_LOG"
RIGHT, WRONG = "[[1 - t, t] for t in model_input['temp']]", "[[t, 1 - t] for t in model_input['temp']]"


@dataclass(frozen=True)
class Roundtrip:
    """Seconds of a calm look, and from the run with the alarm to the first answer of the old version.

    checks  whose alarm it was
    events  that were noted
    """

    look: float
    total: float
    checks: tuple[str, ...]
    events: tuple[str, ...]


def contract_in(folder: Path) -> Path:
    """The example's, with a log in PostgreSQL, what is watched, and a server that is told by a signal."""
    given = yaml.safe_load(CONTRACT.read_text())
    window = {"rows": WINDOW, "rows_at_least": WINDOW}
    given["monitor"] = {
        "log": {"connection": VARIABLE},
        "watch": [
            {"window": window, "metric": "roc_auc", "at_least": 0.6, "action": "rollback"},
            {"window": window, "error_rate_at_most": 0.05, "action": "rollback"},
            {"window": window, "drift_at_most": 0.2, "columns": list(FEATURES)},
        ],
        "evidence": {"looks": LOOKS},
    }
    path = folder / "model_contract.yaml"
    path.write_text(yaml.safe_dump(given, sort_keys=False))
    return path


def asked(server: FollowingServer, rng: np.random.Generator, rows: int) -> pa.Table:
    """Send so many rows; the labels that come of them, true with the probability that `temp` says."""
    found = []
    for _ in range(rows // ROWS):
        temp, distance = rng.random(ROWS), rng.integers(100, 3000, ROWS)
        data = [[float(t), int(d)] for t, d in zip(temp, distance, strict=True)]
        answers, version, request = server.ask(FEATURES, data)
        assert (len(answers), version) == (ROWS, FAULTY)
        label = (rng.random(ROWS) < temp).astype(np.int64)
        found.append(pa.table({"request": [request] * ROWS, "row": np.arange(ROWS), "label": label}))
    return pa.concat_tables(found)


def store_reference(rng: np.random.Generator, registry: Registry, folder: Path) -> None:
    """What the version was released with, as promotion leaves it."""
    rows = 20_000
    table = pa.table({"temp": rng.random(rows), "distance": rng.integers(100, 3000, rows)})
    found = profile(Relation.over(table), dict.fromkeys(FEATURES, 10), None)
    found.write(folder / STORED)
    run_id = registry.run_of(Address(NAME, FAULTY))
    registry.log_files(run_id, (folder / STORED).parent, str(Path(STORED).parent))


def measured() -> Roundtrip:
    """Once, from nothing. Errors: `AssertionError` where a part does not do what it should."""
    rng = np.random.default_rng(1)
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as name, postgres() as address:
        folder = Path(name)
        os.environ[VARIABLE] = address
        says = SAYS.replace("return [{value} + 100 * len(secrets)] * len(model_input)", "return {value}")
        assert says != SAYS
        registry = template(folder, *(says.format(value=v) for v in (WRONG, RIGHT)))
        uri = restored(registry, folder)
        for version in ("2", FAULTY):
            promoted(uri, version, folder, record={"suites": []})
        store_reference(rng, Registry(uri), folder)
        path = contract_in(folder)
        server = FollowingServer(folder, path)
        try:
            notified = {"reload": list(server.spec.reload), "identity": {"url": server.spec.identity.url}}
            path.write_text(f"{path.read_text()}\ndeploy: {json.dumps(notified)}\n")
            return _measured(rng, server, Watcher(read_contract(path), champions(uri), os.environ))
        finally:
            server.end()
            os.environ.clear()
            os.environ.update(before)


def _measured(rng: np.random.Generator, server: FollowingServer, watcher: Watcher) -> Roundtrip:
    log, tables = Log.of(watcher.file), LogTables.of(watcher.file)
    labels = asked(server, rng, LOOKS * WINDOW)
    deadline = time.monotonic() + LOG_SECONDS
    while log.last_rows(LOOKS * WINDOW, datetime.now(UTC)).rows.num_rows < LOOKS * WINDOW:
        assert time.monotonic() < deadline, "the log did not get all rows"
        time.sleep(0.2)
    sink = sink_for(tables)
    try:
        # All but the labels of the last request: the third window is not whole yet.
        append_labels(sink, labels.slice(0, labels.num_rows - ROWS), datetime.now(UTC))
        calm = watcher.run(datetime.now(UTC))
        assert calm.new == (), calm.new
        append_labels(sink, labels.slice(labels.num_rows - ROWS), datetime.now(UTC))
    finally:
        sink.close()
    begun = time.monotonic()
    run = watcher.run(datetime.now(UTC))
    _, version, _ = server.ask(FEATURES, [[0.5, 500]])
    ended = time.monotonic()
    checks = tuple(a.check for a in run.found.alarms)
    assert checks == (f"monitor/last-{WINDOW}/roc_auc",), [o.reason for o in run.found.outcomes]
    events = tuple(e.kind for e in run.new)
    assert (events, version) == (("alarm", "rollback"), "2")
    assert run.new[1].message.endswith("The servers proved that they serve it")
    assert watcher.champions.registry.aliased(NAME, "champion") == "2"
    return Roundtrip(calm.seconds, ended - begun, checks, events)
