"""Servers of a team's own: who is there, tensors of the V2 protocol, workers that load late, and gRPC."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from support.asking_server import asking_server, grpc_port
from support.load_plans import PLAN, features
from weighin.errors import NotEvaluated
from weighin.load import LoadLog, generate, read_log
from weighin.load.credentials import HEADERS, TOKEN
from weighin.load.log import read_warm_ups
from weighin.runner.plan import Answers, Interface, LoadPlan, Phase

SECRET, KEY = "made-up-bearer-93c1", "made-up-key-7be0"
INTERFACE = Interface("/v2/health/ready", "/v2/models/m/infer", "v2", "", "/outputs")
WANTED = {"Authorization": f"Bearer {SECRET}", "X-Api-Key": KEY}
FLAT = '{"inputs": [{"name": "input__0", "shape": [{{count}}, 2], "datatype": "FP32", "data": {{values}}}]}'


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    monkeypatch.setenv(HEADERS, json.dumps({"X-Api-Key": KEY}))


def planned(url: str, **changes: object) -> LoadPlan:
    """A plan for a server that the contract names by its address: ten requests, unless told otherwise."""
    given = {"phases": (Phase("load", 40, 0.25),), "start_seconds": 2, **changes}
    return replace(PLAN, url=url, interface=INTERFACE, **given)


def loaded(plan: LoadPlan, url: str, folder: Path, *, probes: bool = False) -> LoadLog:
    generate(url, features(folder), plan, Answers((0,)), folder / "load", probes=probes)
    return read_log([folder / "load/responses-candidate-0.arrow"])


@pytest.mark.usefixtures("credentials")
def test_every_request_says_who_is_there_and_nothing_that_is_left_holds_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with asking_server(WANTED) as server:
        log = loaded(planned(server.url), server.url, tmp_path, probes=True)
    assert set(log.errors) == {""}
    assert all(head.items() >= WANTED.items() for head in server.heads)
    facts = json.loads((tmp_path / "load/session.json").read_text())
    assert [p["kept"] for p in facts["probes"]["malformed"]] == [True] * 5
    left = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    printed = "".join(capfd.readouterr()).encode()
    for secret in (SECRET, KEY):
        assert not any(secret.encode() in content for content in (*left, printed))


@pytest.mark.usefixtures("credentials")
def test_a_server_that_was_started_for_the_candidate_is_told_nothing(tmp_path: Path) -> None:
    with asking_server() as server:
        loaded(planned(""), server.url, tmp_path)
        loaded(planned("http://staging.example.org"), server.url, tmp_path)
    assert server.heads
    assert not any({"Authorization", "X-Api-Key"} & set(head) for head in server.heads)


def test_a_server_that_asks_in_vain_is_not_evaluated_and_the_variables_are_named(tmp_path: Path) -> None:
    with (
        asking_server(WANTED) as server,
        pytest.raises(NotEvaluated, match=rf"status 401.*set {TOKEN} or {HEADERS} where the generator runs"),
    ):
        loaded(planned(server.url, start_seconds=0.5), server.url, tmp_path)


@pytest.mark.parametrize(
    ("variable", "text", "why"),
    [
        (TOKEN, "a\r\nHost: evil", "what no header may hold"),
        (TOKEN, "schlüssel", "what no header may hold"),
        (HEADERS, "X-Api-Key: made-up", "no JSON"),
        (HEADERS, '["made-up"]', "no JSON object of texts"),
        (HEADERS, '{"X-Api-Key": 7}', "no JSON object of texts"),
        (HEADERS, '{"a b": "made-up"}', "what no header may hold"),
        (HEADERS, '{"X": "made-up\\nHost: evil"}', "what no header may hold"),
        (HEADERS, '{"host": "made-up"}', "set by the load generator"),
    ],
)
def test_what_is_no_header_is_said_without_its_text(
    variable: str, text: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(NotEvaluated, match=f"^{variable}: .*{why}") as caught:
        loaded(planned("http://127.0.0.1:1"), "http://127.0.0.1:1", tmp_path)
    assert "made-up" not in str(caught.value)
    assert "evil" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_tensor_for_each_column_is_sent_and_tensors_come_back(tmp_path: Path) -> None:
    with asking_server() as server:
        log = loaded(planned(server.url, batch_rows=(1, 3)), server.url, tmp_path)
    assert log.answers == tuple(tuple(float(row) for row in rows) for rows in log.rows)
    asked = next(body for body in server.bodies if body["inputs"][0]["shape"] == [3, 1])
    assert [(t["name"], t["datatype"], t["shape"], len(t["data"])) for t in asked["inputs"]] == [
        ("row", "FP64", [3, 1], 3),
        ("other", "FP64", [3, 1], 3),
    ]


def test_one_flat_tensor_for_all_columns_is_sent(tmp_path: Path) -> None:
    interface = replace(INTERFACE, form="template", template=FLAT)
    with asking_server() as server:
        log = loaded(replace(planned(server.url, batch_rows=(1, 3)), interface=interface), server.url, tmp_path)
    assert log.answers == tuple(tuple(float(row) for row in rows) for rows in log.rows)
    assert {tuple(b["inputs"][0]["shape"]) for b in server.bodies} == {(1, 2), (3, 2)}
    assert all(len(b["inputs"][0]["data"]) == 2 * b["inputs"][0]["shape"][0] for b in server.bodies)


def test_workers_that_load_at_their_first_request_are_slow_in_the_warm_up_alone(tmp_path: Path) -> None:
    phases = (Phase("warm_up", 20, 1), Phase("load", 20, 1))
    with asking_server(late=(0.4, 0.7, 0.5)) as server:
        log = loaded(planned(server.url, phases=phases), server.url, tmp_path)
    (warm_up,) = read_warm_ups([tmp_path / "load/responses-candidate-0.arrow"])
    assert (warm_up.requests, warm_up.failed) == (20, 0)
    # The last of the list is the first that is asked.
    assert warm_up.first >= 0.5
    assert warm_up.slowest >= 0.7
    assert log.latency.max() < warm_up.slowest


def test_a_server_that_drops_a_connection_after_a_refusal_is_healthy_all_the_same(tmp_path: Path) -> None:
    with asking_server(drops=True) as server:
        loaded(planned(server.url), server.url, tmp_path, probes=True)
    facts = json.loads((tmp_path / "load/session.json").read_text())
    malformed = facts["probes"]["malformed"][:-1]
    assert [p["said"] for p in malformed] == ["status 400"] * 4
    assert all(p["kept"] for p in malformed)


def test_grpc_is_told_apart_and_its_remedy_named(tmp_path: Path) -> None:
    with grpc_port() as url, pytest.raises(NotEvaluated, match=r"HTTP/2 in the answer, as of gRPC.*port for HTTP/1\.1"):
        loaded(planned(url, start_seconds=0.5), url, tmp_path)
