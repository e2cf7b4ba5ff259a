"""An MLflow server of a test's own, on PostgreSQL, which hands out artifacts itself."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.postgres_server import free_port, postgres

START_SECONDS = 120
ADMIN = "admin"


@dataclass(frozen=True)
class Server:
    """A running server. `password` is that of the user `admin`, empty where everybody may do everything."""

    uri: str
    folder: Path
    password: str = ""

    @property
    def artifacts(self) -> Path:
        """Where it keeps them."""
        return self.folder / "artifacts"

    @property
    def log(self) -> str:
        """What it printed so far."""
        return (self.folder / "log").read_text(errors="replace")


@contextlib.contextmanager
def mlflow_server(*, users: bool = False, workers: int = 2) -> Iterator[Server]:
    """A server on loopback; with `users` it asks for a name and a password, and knows permissions."""
    with postgres() as database, tempfile.TemporaryDirectory(prefix="weighin-mlflow-") as name:
        folder = Path(name)
        server = Server(f"http://127.0.0.1:{free_port()}", folder, secrets.token_hex(8) if users else "")
        (folder / "artifacts").mkdir()
        command = [sys.executable, "-m", "mlflow", "server"]
        command += ["--backend-store-uri", database.replace("postgres://", "postgresql+psycopg://")]
        command += ["--serve-artifacts", "--artifacts-destination", str(server.artifacts)]
        command += ["--host", "127.0.0.1", "--port", server.uri.rpartition(":")[2], "--workers", str(workers)]
        own = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "WEIGHIN_"))}
        environment = own | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        # Work in the background is not asked for here, and its processes would outlive a kill of the group.
        environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        if users:
            command += ["--app-name", "basic-auth"]
            (folder / "users.ini").write_text(
                f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/users.db\n"
                f"admin_username = {ADMIN}\nadmin_password = {server.password}\n"
                # A password is made slow to try on purpose, and would be tried at every request.
                "auth_cache_ttl_seconds = 60\n"
            )
            environment |= {"MLFLOW_AUTH_CONFIG_PATH": str(folder / "users.ini")}
            environment |= {"MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(16)}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd=folder, env=environment, start_new_session=True
            )
        try:
            _wait(server, process)
            yield server
        finally:
            _end(process)


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{server.uri}/health", timeout=5):  # noqa: S310 - ours
            return
        time.sleep(0.1)
    raise TimeoutError(f"the MLflow server did not start: {server.log[-3000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the group that was started, and nothing else."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
