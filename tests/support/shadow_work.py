"""A contract with a shadow gate, two models behind a server of a team's own, and a log that the real writer left."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from weighin.contract import checks, read_contract
from weighin.contract.reading import ContractFile
from weighin.outcome import Outcome, decide
from weighin.prediction_log.exchange import Exchange, Served, mlflow_features, mlflow_predictions
from weighin.prediction_log.sinks import sink_for
from weighin.prediction_log.tables import LogTables
from weighin.prediction_log.writer import LogWriter
from weighin.resolve.models import resolve
from weighin.runner import local
from weighin.suites import measured
from weighin.suites.evidence import Evidence

SERVER = """
import json, os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

says = json.load(open(sys.argv[2] + "/model.json"))
asked = [0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece, or each waits for an acknowledgement

    def reply(self, status, content=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        self.reply(200)

    def do_POST(self):
        split = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["dataframe_split"]
        rows = [dict(zip(split["columns"], row)) for row in split["data"]]
        asked[0] += 1
        if asked[0] == says.get("dies_at"):
            print("out of luck", file=sys.stderr, flush=True)
            os._exit(3)
        time.sleep(says.get("sleep", 0))
        if "question" in rows[0]:
            said = [row["question"] + says.get("adds", "") for row in rows]
            return self.reply(200, json.dumps({"predictions": said}).encode())
        if any(row["a"] > says.get("fails_above", 2) or not isinstance(row["count"], int | None) for row in rows):
            return self.reply(500)
        self.reply(200, json.dumps({"predictions": [row["a"] + says.get("shift", 0) for row in rows]}).encode())

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
CONTRACT: dict[str, Any] = {
    "version": 1,
    "model": {"name": "m", "task": "binary", "target": "late"},
    "data": {
        "holdout": "holdout.parquet",
        "columns": {
            "late": {"type": "integer", "role": "target"},
            "a": {"type": "float"},
            "count": {"type": "integer"},
        },
    },
    "gates": {
        "load": {
            "rate": 10,
            "seconds": 20,
            "within": {"latency_ms": 1000, "share_at_least": 0.5},
            "error_rate_at_most": 0.5,
            "memory_mb_at_most": 1000,
            "server": {"command": [sys.executable, "-c", SERVER, "{port}", "{model}"], "start_seconds": 30},
        },
        "shadow": {
            "requests": 200,
            "starts": 1,
            "disagreement_at_most": 0.1,
            "error_rate_at_most": 0.03,
            "latency_ratio_at_most": 4,
            "latency_ms_at_most": 1000,
        },
    },
    "monitor": {"log": {"path": "log.sqlite"}, "watch": [{"window": {"rows": 1000}, "error_rate_at_most": 0.1}]},
}
ROWS = 250
CHECKS = {"shadow/disagreement", "shadow/errors", "shadow/p50/vs-champion", "shadow/p50"}


@dataclass
class Work:
    """Change what a model says, the contract or the log; then `outcomes`."""

    folder: Path
    contract: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(CONTRACT)))
    candidate: dict[str, float] = field(default_factory=dict)
    champion: dict[str, float] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def frame(self) -> pd.DataFrame:
        """The holdout."""
        return pd.DataFrame({"late": [0, 1] * 50, "a": np.linspace(0, 1, 100), "count": range(100)})

    def bodies(self, rows: list[list[Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
        """A request of these rows, and its answer."""
        asked = {"dataframe_split": {"columns": ["a", "count"], "data": rows}}
        return asked, {"predictions": [[1 - row[0], row[0]] for row in rows]}

    @property
    def file(self) -> ContractFile:
        """The contract, written."""
        path = self.folder / "model_contract.yaml"
        path.write_text(yaml.safe_dump(self.contract, sort_keys=False))
        self.frame.to_parquet(self.folder / "holdout.parquet", index=False)
        return read_contract(path)

    def log(self, *requests: list[list[Any]], ago: float = 1.0, **given: Any) -> None:
        """Let the writer log requests, rows of [a, count] each, the newest `ago` minutes ago."""
        tables = LogTables.of(self.file)
        writer = LogWriter(sink_for(tables), batch_seconds=0.05, retain=False)
        served = Served("m", given.pop("digest", "sha256:before"), "1", given.pop("role", "champion"))
        newest = datetime.now(UTC) - timedelta(minutes=ago)
        for number, rows in enumerate(requests):
            at = newest - timedelta(seconds=len(requests) - 1 - number)
            request_body, response_body = (json.dumps(body).encode() for body in self.bodies(rows))
            about = {"status": 200, "request_body": request_body, "response_body": response_body, **given}
            name = f"r{at.timestamp():.6f}"
            exchange = {"content_type": "application/json", "whole": True, "latency_ms": 3.0, **about}
            how = {"features": mlflow_features, "predictions": mlflow_predictions}
            assert writer.enqueue(Exchange(at=at.timestamp(), request=name, served=served, **exchange, **how))
        deadline = time.monotonic() + 30
        while writer.state.waiting:
            assert time.monotonic() < deadline, writer.state
            time.sleep(0.02)
        state = writer.close()
        assert not state.error, state

    def traffic(self, rows: int = ROWS) -> list[list[list[Any]]]:
        """Requests of one row, evenly over what the models know."""
        return [[[a, None if i % 7 == 0 else i]] for i, a in enumerate(np.random.default_rng(3).random(rows).tolist())]

    def resolved(self, *, champion: bool = True) -> None:
        """Resolve two folders of models."""
        for role, says in (("candidate", self.candidate), ("champion", self.champion)):
            model = self.folder / role
            model.mkdir(exist_ok=True)
            (model / "MLmodel").write_text("flavors: {python_function: {loader_module: mlflow.sklearn}}\n")
            (model / "model.json").write_text(json.dumps(says))
        before = str(self.folder / "champion") if champion else None
        resolve(self.file, self.work, str(self.folder / "candidate"), before)

    def judged(self) -> dict[str, Outcome]:
        """What the suite finds in what was left."""
        file = self.file
        evidence = Evidence(file, self.work)
        return {c.id: decide(measured(c, evidence), c.limit) for c in checks(file.contract, "shadow")}

    def outcomes(self) -> dict[str, Outcome]:
        """Resolve, replay and judge."""
        self.resolved()
        local.load(self.work, "shadow")
        return self.judged()

    def red(self) -> dict[str, str]:
        """Check -> status, of all that did not pass."""
        return {name: o.status.value for name, o in self.outcomes().items() if o.status.value != "passed"}
