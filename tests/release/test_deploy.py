"""A rollback reaches the servers, and is not believed before they say so: a real scoring server that follows."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.following_server import FollowingServer
from support.loopback import Answer, listening
from support.registry_versions import BROKEN, NAME, SAYS, champions, entered, promoted, restored, template
from weighin.cli import main
from weighin.contract import read_contract
from weighin.contract.release import Deploy, Identity
from weighin.errors import DeployError
from weighin.prediction_log.reader import Log
from weighin.release.deploy import deploy, served, verify_served_model
from weighin.release.rollback import rollback

ROOT = Path(__file__).resolve().parents[2]
CALM = {"owner": "team-a", "reason": "it answers wrongly"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return template(tmp_path_factory.mktemp("registry"), *(SAYS.format(value=v) for v in (0.1, 0.2, 0.3)), BROKEN)


@pytest.fixture
def uri(registry: Path, tmp_path: Path) -> str:
    """Version 3 is champion, version 2 was before."""
    return restored(registry, tmp_path, "2", "3")


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    path = tmp_path / "model_contract.yaml"
    path.write_text((ROOT / "model_contract.yaml").read_text())
    return path


class Server(FollowingServer):
    """One row in, one number out."""

    def answer(self) -> tuple[float, str]:
        """What it predicts for one row, and the version that it names."""
        (value,), version, _ = self.ask()
        assert isinstance(value, float)
        return value, version


@pytest.fixture
def server(uri: str, tmp_path: Path, contract: Path) -> Iterator[Server]:
    found = Server(tmp_path, contract)
    try:
        yield found
    finally:
        if found.process.poll() is None:
            found.end()


def test_a_rollback_is_proven_by_the_server(uri: str, server: Server, contract: Path) -> None:
    assert server.answer() == (0.3, "3")
    answers: list[tuple[float, str]] = []
    failed: list[str] = []
    done = threading.Event()

    def keep_asking() -> None:
        while not done.is_set():
            try:
                answers.append(server.answer())
            except OSError as error:
                failed.append(repr(error))
            done.wait(0.01)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        back = rollback(champions(uri), spec=server.spec, **CALM)
    finally:
        done.set()
        asking.join(30)
    assert (back.before, back.after) == ("3", "2")
    assert back.proof is not None
    assert back.entry is not None
    assert back.proof.digest == back.entry.artifact == served(server.spec.identity)
    assert server.answer() == (0.2, "2")
    # Nobody noticed, but for the answers; and neither model saw a secret.
    assert failed == []
    assert set(answers) <= {(0.3, "3"), (0.2, "2")}
    head = champions(uri).ledger.head()
    assert head is not None
    assert head.served.endswith("5 answers in a row")
    # Each answer is logged under the version that gave it.
    server.end()
    rows = Log.of(read_contract(contract)).last_rows(10_000, datetime.now(UTC)).rows
    logged = list(zip(rows["prediction"].to_pylist(), rows["version"].to_pylist(), strict=True))
    assert set(logged) == {(0.3, "3"), (0.2, "2")}
    assert len(logged) == len(answers) + 2


@pytest.mark.exhaustive
def test_a_server_that_does_not_follow_is_noticed_and_told_again(uri: str, server: Server) -> None:
    deaf = server.spec.model_copy(update={"reload": ("true",), "seconds_at_most": 1.0})
    with pytest.raises(DeployError, match=r"the server says sha256:\w+, expected sha256:\w+, 1 s after"):
        rollback(champions(uri), spec=deaf, **CALM)
    of = champions(uri)
    head, champion = of.reconcile()
    assert head is not None
    assert (champion, of.registry.aliased(NAME, "champion")) == ("2", "2")
    assert head.served.startswith("no: the server says")
    # The same command again tells the servers again, and adds no entry.
    again = rollback(champions(uri), "2", spec=server.spec, **CALM)
    assert again.entry is None
    assert again.proof is not None
    assert len(of.ledger.entries()) == 4
    assert server.answer() == (0.2, "2")


@pytest.mark.exhaustive
def test_a_champion_that_cannot_be_loaded_leaves_the_old_one_serving(uri: str, server: Server, tmp_path: Path) -> None:
    promoted(uri, "4", tmp_path)
    head = champions(uri).ledger.head()
    assert head is not None
    with pytest.raises(DeployError, match="the server says"):
        deploy(server.spec.model_copy(update={"seconds_at_most": 3.0}), NAME, "4", head.artifact, "champion")
    assert server.answer() == (0.3, "3")
    deadline = time.monotonic() + 60
    while "still version 3: " not in (tmp_path / "server.log").read_text() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert "still version 3: " in (tmp_path / "server.log").read_text()
    assert rollback(champions(uri), spec=server.spec, **CALM).proof is not None
    assert server.answer() == (0.3, "3")


@pytest.mark.exhaustive
def test_a_champion_whose_files_have_changed_is_not_served(uri: str, tmp_path: Path, contract: Path) -> None:
    entry = promoted(uri, "2", tmp_path)
    of = champions(uri)
    of.sync_aliases(entered(of, "promote", entry, "2", "3", "sha256:other", tmp_path / "evidence", record="sha256:r"))
    command = [sys.executable, "-m", "weighin", "serve", "--port", "0", "--contract", str(contract)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 7
    assert "version 3 has other files" in ran.stderr


@pytest.mark.exhaustive
def test_deploy_and_rollback_from_the_command_line(
    uri: str, server: Server, contract: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--contract", str(contract)]
    assert main(["deploy", *place]) == 4
    assert "the contract has no `deploy`" in capsys.readouterr().err
    said = {"reload": list(server.spec.reload), "identity": {"url": f"{server.url}/ping"}}
    contract.write_text(contract.read_text() + f"\ndeploy: {json.dumps(said)}\n")
    assert main(["deploy", *place, "--check"]) == 0
    assert "version 3 sha256:" in capsys.readouterr().out
    assert main(["rollback", *place, "--owner", "team-a", "--reason", "slow"]) == 0
    assert "The servers serve it: 5 answers in a row" in capsys.readouterr().out
    # 1, since the promotions that were set up have no record of their own.
    assert main(["history", *place, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[-1]["served"].endswith("5 answers in a row")


# --- servers of any kind


@pytest.fixture
def says() -> Iterator[Callable[[int, dict[str, str], bytes], str]]:
    """A server on loopback that answers as it is told; gives its address."""
    answer: list[Answer] = []
    with listening(lambda _: answer[0]) as address:

        def tell(status: int, headers: dict[str, str], body: bytes) -> str:
            answer[:] = [Answer(status, body, headers)]
            return f"{address}/"

        yield tell


@pytest.mark.parametrize(
    ("status", "headers", "body", "pointer", "says_it"),
    [
        (200, {"weighin-model-digest": "sha256:a"}, b"", None, "sha256:a"),
        (200, {}, b"", None, "nothing in its header weighin-model-digest"),
        (500, {"weighin-model-digest": "sha256:a"}, b"", None, "HTTP 500"),
        (200, {}, b'{"model": {"digest": "sha256:b"}}', "/model/digest", "sha256:b"),
        (200, {}, b'{"model": {"digest": 7}}', "/model/digest", "no text at /model/digest"),
        (200, {}, b'{"model": {}}', "/model/digest", "nothing (KeyError)"),
        (200, {}, b"<html>", "/model/digest", "nothing (JSONDecodeError)"),
    ],
)
def test_what_a_server_says_of_itself(says, status, headers, body, pointer, says_it) -> None:
    url = says(status, headers, body)
    assert served(Identity(url=url, pointer=pointer) if pointer else Identity(url=url)) == says_it


def test_nobody_there_is_no_proof() -> None:
    spec = Deploy(identity=Identity(url="http://127.0.0.1:9/"), seconds_at_most=0.5)
    with pytest.raises(DeployError, match=r"the server says nothing \(URLError\), expected sha256:a"):
        verify_served_model(spec, "sha256:a")


def test_one_right_answer_among_others_is_no_proof(says, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["sha256:a", "sha256:a", "sha256:b"] * 100)
    monkeypatch.setattr("weighin.release.deploy.served", lambda _: next(answers))
    spec = Deploy(identity=Identity(url="http://127.0.0.1:9/"), seconds_at_most=0.5, answers=3)
    with pytest.raises(DeployError):
        verify_served_model(spec, "sha256:a")
    assert verify_served_model(spec.model_copy(update={"answers": 2}), "sha256:a").answers == 2


@pytest.mark.parametrize(
    ("command", "says_it"),
    [
        (("sh", "-c", "echo it is locked >&2; exit 3"), "`reload` ended with code 3: it is locked"),
        (("no-such-program",), r"`reload` did not end \(FileNotFoundError\)"),
        (("sleep", "30"), r"`reload` did not end \(TimeoutExpired\)"),
    ],
)
def test_a_reload_that_goes_wrong_is_said(command: tuple[str, ...], says_it: str) -> None:
    spec = Deploy(reload=command, identity=Identity(url="http://127.0.0.1:9/"), seconds_at_most=1)
    with pytest.raises(DeployError, match=says_it):
        deploy(spec, NAME, "1", "sha256:a", "champion")


def test_a_reload_is_told_what_to_load_and_gets_no_signing_key(
    says, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHIN_SIGNING_KEY", "a-secret")
    url = says(200, {"weighin-model-digest": "sha256:a"}, b"")
    words = 'echo "$0 $1 $2 $3 ${WEIGHIN_SIGNING_KEY:-none}" > ' + str(tmp_path / "said")
    spec = Deploy(reload=("sh", "-c", words, "{model}", "{version}", "{digest}", "{alias}"), identity=Identity(url=url))
    started = time.monotonic()
    assert deploy(spec, NAME, "7", "sha256:a", "champion").answers == 5
    assert time.monotonic() - started < 20
    assert (tmp_path / "said").read_text() == f"{NAME} 7 sha256:a champion none\n"
