"""The champion, served as in production."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from weighin.contract.release import Deploy, Identity


class Server:
    """`weighin serve --follow`."""

    def __init__(self, folder: Path, contract: Path) -> None:
        command = [sys.executable, "-m", "weighin", "serve", "--follow", "--contract", str(contract)]
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
        reload = ("pkill", "--signal", "HUP", "--pidfile", str(self.pid_file))
        return Deploy(reload=reload, identity=Identity(url=f"{self.url}/ping"), seconds_at_most=25)

    def ask(self) -> tuple[float, str]:
        """What it predicts for one row, and the version that it names."""
        body = json.dumps({"dataframe_split": {"columns": ["a"], "data": [[1]]}}).encode()
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/invocations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return json.loads(answer.read())["predictions"][0], answer.headers["weighin-model-version"]

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        self.log.close()
        assert not self.pid_file.exists()
