"""A version that is registered in MLflow becomes a `repository_dispatch`; what is not MLflow's becomes nothing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from support import registry_server

ROOT = Path(__file__).resolve().parent.parent
SECRET = "a secret of more than sixteen characters"
NOW = 1_800_000_000


def _relay_module() -> Any:
    spec = importlib.util.spec_from_file_location("webhook_relay", ROOT / "examples/webhook/relay.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["webhook_relay"] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


relay = _relay_module()


def event(**data: str) -> dict[str, Any]:
    return {"entity": "model_version", "action": "created", "data": {"name": "flight-delay", "version": "3", **data}}


def delivery(value: Any, secret: str = SECRET, moment: int = NOW, number: str = "d1") -> tuple[dict[str, str], bytes]:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    signed = hmac.new(secret.encode(), f"{number}.{moment}.".encode() + body, hashlib.sha256).digest()
    signature = "v1," + base64.b64encode(signed).decode()
    headers = {"X-MLflow-Delivery-Id": number, "X-MLflow-Timestamp": str(moment), "X-MLflow-Signature": signature}
    return headers, body


@pytest.fixture
def sent() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def ours(sent: list[dict[str, Any]]) -> Any:
    return relay.Relay(SECRET.encode(), sent.append, now=lambda: NOW)


def test_a_new_version_is_sent_on_by_name_and_version_alone(ours: Any, sent: list[dict[str, Any]]) -> None:
    assert "is to be validated" in ours.receive(*delivery(event(description="$(id)", source="s3://x")))
    payload = {"name": "flight-delay", "version": "3"}
    assert sent == [{"event_type": "validate-registered-version", "client_payload": payload}]


def test_the_event_is_the_one_that_the_release_workflow_waits_for() -> None:
    text = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    assert text[True]["repository_dispatch"]["types"] == [relay.EVENT]


def test_a_delivery_that_came_before_is_sent_once(ours: Any, sent: list[dict[str, Any]]) -> None:
    ours.receive(*delivery(event()))
    assert ours.receive(*delivery(event())) == "came before"
    assert len(sent) == 1


@pytest.mark.parametrize("moment", [NOW - 301, NOW + 301])
def test_an_old_delivery_is_refused(moment: int, ours: Any, sent: list[dict[str, Any]]) -> None:
    with pytest.raises(relay.RefusedError, match="too old"):
        ours.receive(*delivery(event(), moment=moment))
    assert sent == []


def test_a_delivery_that_is_signed_with_another_secret_is_refused(ours: Any, sent: list[dict[str, Any]]) -> None:
    with pytest.raises(relay.RefusedError, match="not signed"):
        ours.receive(*delivery(event(), secret="another secret of that length"))
    assert sent == []


@pytest.mark.parametrize("header", ["X-MLflow-Delivery-Id", "X-MLflow-Timestamp", "X-MLflow-Signature"])
@pytest.mark.parametrize("value", [None, "", "1", "é"])
def test_a_delivery_with_one_header_changed_is_refused(
    header: str, value: str | None, ours: Any, sent: list[Any]
) -> None:
    headers, body = delivery(event())
    if value is None:
        del headers[header]
    else:
        headers[header] = value
    with pytest.raises(relay.RefusedError):
        ours.receive(headers, body)
    assert sent == []


def test_a_delivery_with_one_byte_changed_is_refused(ours: Any, sent: list[dict[str, Any]]) -> None:
    headers, body = delivery(event())
    with pytest.raises(relay.RefusedError, match="not signed"):
        ours.receive(headers, body.replace(b'"3"', b'"4"'))
    assert sent == []


@pytest.mark.parametrize(
    "data", [{"version": "3; id"}, {"version": "0"}, {"name": "../x"}, {"name": "a\nb"}, {"name": "$(id)"}]
)
def test_a_hostile_name_or_version_is_refused_although_it_is_signed(
    data: dict[str, str], ours: Any, sent: list[Any]
) -> None:
    with pytest.raises(relay.RefusedError, match="no registry gives"):
        ours.receive(*delivery(event(**data)))
    assert sent == []


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b"\xff", {"entity": "model_version", "action": "created"}])
def test_what_is_no_event_is_refused_although_it_is_signed(value: Any, ours: Any, sent: list[dict[str, Any]]) -> None:
    with pytest.raises(relay.RefusedError, match="no event"):
        ours.receive(*delivery(value))
    assert sent == []


@pytest.mark.parametrize(
    "value",
    [{**event(), "entity": "registered_model"}, {**event(), "action": "deleted"}, event(name="flight-delay.ledger")],
)
def test_other_events_are_taken_and_not_sent_on(value: dict[str, Any], ours: Any, sent: list[dict[str, Any]]) -> None:
    ours.receive(*delivery(value))
    assert sent == []


def test_where_github_is_away_the_delivery_may_come_again(sent: list[dict[str, Any]]) -> None:
    away = [urllib.error.URLError("away")]

    def send(value: dict[str, Any]) -> None:
        if away:
            raise away.pop()
        sent.append(value)

    ours = relay.Relay(SECRET.encode(), send, now=lambda: NOW)
    with pytest.raises(relay.RefusedError) as refused:
        ours.receive(*delivery(event()))
    assert refused.value.code == 502
    ours.receive(*delivery(event()))
    assert len(sent) == 1


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def github() -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    """A stand-in for the platform: path, authorization and body of each request."""
    asked: list[tuple[str, str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, asked


def test_what_is_too_long_is_not_read() -> None:
    ours = relay.Relay(SECRET.encode(), lambda _: None)
    with running(relay.server(ours, 0)) as url:
        request = urllib.request.Request(url, data=b"x" * (relay.LARGEST + 1))  # noqa: S310 - our own
        with pytest.raises((urllib.error.HTTPError, urllib.error.URLError)) as refused:
            urllib.request.urlopen(request, timeout=10)  # noqa: S310
        assert getattr(refused.value, "code", 413) == 413


@pytest.mark.exhaustive
def test_a_version_in_a_real_registry_arrives_at_github(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    settings = {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": base64.urlsafe_b64encode(b"k" * 32).decode(),
    }
    with github() as (api, asked):
        ours = relay.Relay(SECRET.encode(), relay.dispatch("team/models", "token", api))
        with running(relay.server(ours, 0)) as url, registry_server.served(tmp_path / "server", **settings) as uri:
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            client.create_webhook(name="weigh-in", url=url, events=["model_version.created"], secret=SECRET)
            client.create_registered_model("flight-delay")
            run = client.create_run("0")
            source = f"{run.info.artifact_uri}/model"
            version = client.create_model_version("flight-delay", source, run_id=run.info.run_id)
            deadline = time.monotonic() + 30
            while not asked and time.monotonic() < deadline:
                time.sleep(0.1)
    payload = {"name": "flight-delay", "version": str(version.version)}
    body = {"event_type": "validate-registered-version", "client_payload": payload}
    assert asked == [("/repos/team/models/dispatches", "Bearer token", body)]
