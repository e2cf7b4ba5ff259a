"""A Prometheus and a Pushgateway of a test's own."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from support.postgres_server import free_port

PROGRAMS = ("prometheus", "promtool", "prometheus-pushgateway")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples/monitoring"
SECONDS = 40


def installed() -> bool:
    """Whether the programs are there: Debian's packages prometheus and prometheus-pushgateway."""
    return all(shutil.which(name) for name in PROGRAMS)


@dataclass(frozen=True)
class Prometheus:
    """Both, running: where to push, and where to ask."""

    gateway: str
    address: str

    def ask(self, path: str, **query: str) -> Any:
        """`data` of an answer of the HTTP API. Errors: `AssertionError` with what it refused."""
        address = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - loopback
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from error

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found

    def until(self, expression: str, value: float) -> None:
        """Wait until an expression has exactly this value. Errors: `AssertionError` after a while."""
        _wait(lambda: [float(s["value"][1]) for s in self.query(expression)] == [value], f"{expression} == {value}")


@contextlib.contextmanager
def prometheus(folder: Path) -> Iterator[Prometheus]:
    """Both on loopback, with the configuration and the rules of the examples, looking every half second."""
    gateway, own = free_port(), free_port()
    config = yaml.safe_load((EXAMPLES / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    config["rule_files"] = [str(EXAMPLES / "alerts.yml")]
    config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{gateway}"]}]
    place = folder / "prometheus.yml"
    place.write_text(yaml.safe_dump(config))
    pushed = ["prometheus-pushgateway", f"--web.listen-address=127.0.0.1:{gateway}", "--persistence.file="]
    scraped = [
        "prometheus",
        f"--config.file={place}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{own}",
    ]
    found = Prometheus(f"http://127.0.0.1:{gateway}", f"http://127.0.0.1:{own}")
    with _running(pushed, folder / "gateway.log"), _running(scraped, folder / "prometheus.log"):
        for address in (found.gateway, found.address):
            _wait(lambda address=address: _ready(f"{address}/-/ready"), f"{address}/-/ready")
        yield found


@contextlib.contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent) as process:
        try:
            yield
            assert process.poll() is None, log.read_text()[-2000:]
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except OSError:
        return False


def _wait(met: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not met():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.1)
