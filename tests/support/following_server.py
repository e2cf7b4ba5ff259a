"""`weighin serve` of a test's own: the scoring server of whichever version is champion."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from weighin.contract.release import Deploy, Identity


class FollowingServer:
    """Started, and answering; `end` it."""

    def __init__(self, folder: Path, contract: Path) -> None:
        command = [sys.executable, "-m", "weighin", "serve", "--contract", str(contract)]
        self.pid_file = folder / "server.pid"
        self.log = (folder / "server.log").open("wb")
        self.process = subprocess.Popen(
            [*command, "--port", "0", "--pid-file", str(self.pid_file)],
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, "MLFLOW_TRACKING_PASSWORD": "a-secret", "WEIGHIN_SIGNING_KEY": "another"},
            text=True,
        )
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()
        self.url = self.first.split()[0]

    @property
    def spec(self) -> Deploy:
        """How it is told to load another champion, and asked what it serves. A busy machine takes its time to load."""
        reload = ("pkill", "--signal", "HUP", "--pidfile", str(self.pid_file))
        return Deploy(reload=reload, identity=Identity(url=f"{self.url}/ping"), seconds_at_most=120)

    def ask(
        self, columns: Sequence[str] = ("a",), rows: Sequence[Sequence[object]] = ((1,),)
    ) -> tuple[list[object], str, str]:
        """What it predicts for these rows, the version that it names, and the id of the request."""
        body = json.dumps({"dataframe_split": {"columns": list(columns), "data": [list(r) for r in rows]}}).encode()
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/invocations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            said = json.loads(answer.read())["predictions"]
            return said, answer.headers["weighin-model-version"], answer.headers.get("x-request-id", "")

    def end(self) -> None:
        """It ends when it is asked to, and cleans up."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(120) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()
        assert not self.pid_file.exists()
