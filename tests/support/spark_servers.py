"""Spark's own servers on loopback, each with a port that the system chose: a cluster of two workers, and Connect."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"
START_SECONDS = 90
"""In which a server has said where it listens; about five on an idle machine."""


@contextlib.contextmanager
def cluster(folder: Path, memory: str = "1g") -> Iterator[str]:
    """A standalone master and two workers of one core each; yields the master's address.

    folder  for logs and what the workers write
    memory  of each worker
    """
    deploy, place = "org.apache.spark.deploy", ["--host", LOOPBACK, "--port", "0", "--webui-port", "0"]
    with contextlib.ExitStack() as running:
        log = running.enter_context(_server([f"{deploy}.master.Master", *place], folder / "master.log"))
        address = _said(log, rf"Starting Spark master at (spark://{LOOPBACK}:\d+)")
        for i in range(2):
            size = ["--cores", "1", "--memory", memory, "--work-dir", str(folder / f"worker{i}")]
            command = [f"{deploy}.worker.Worker", *place, *size, address]
            _said(running.enter_context(_server(command, folder / f"worker{i}.log")), "Successfully registered")
        yield address


@contextlib.contextmanager
def connect(folder: Path) -> Iterator[str]:
    """A Spark Connect server that works on this machine; yields its address."""
    settings = {
        "spark.connect.grpc.binding.address": LOOPBACK,
        "spark.connect.grpc.binding.port": "0",
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.host": LOOPBACK,
        "spark.ui.enabled": "false",
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
    }
    given = [part for key, value in settings.items() for part in ("--conf", f"{key}={value}")]
    command = ["org.apache.spark.deploy.SparkSubmit", "--master", "local[2]", *given]
    command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
    with _server(command, folder / "connect.log") as log:
        yield "sc://" + _said(log, rf"Spark Connect server started at: ({LOOPBACK}:\d+)")


@contextlib.contextmanager
def _server(command: Sequence[str], log: Path) -> Iterator[Path]:
    """One process of Spark's, ended with the block; yields its log."""
    import pyspark

    home = Path(pyspark.__file__).parent
    environment = {**os.environ, "SPARK_HOME": str(home), "SPARK_LOCAL_IP": LOOPBACK}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [str(home / "bin/spark-class"), *command], env=environment, stdout=sink, stderr=sink, cwd=log.parent
        )
        log.with_suffix(".pid").write_text(str(process.pid))
        try:
            yield log
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(20)


def _said(log: Path, pattern: str) -> str:
    """Wait for a line of a log; its first group, or all of it. Errors: `TimeoutError` with the last lines."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        found = re.search(pattern, log.read_text(errors="replace"))
        if found:
            return found[found.re.groups and 1]
        time.sleep(0.1)
    raise TimeoutError(f"{log.name} lacks {pattern!r} after {START_SECONDS} s: {log.read_text()[-1500:]}")
