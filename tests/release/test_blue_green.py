"""examples/blue-green as `deploy.reload`: traffic moves to a group that proves what it serves, and to no other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.loopback import Answer, Asked, listening
from weighin.contract.release import Deploy
from weighin.errors import DeployError
from weighin.release.deploy import deploy

SCRIPT = Path(__file__).resolve().parents[2] / "examples/blue-green/change-over"
OLD, NEW = ("sha256:" + letter * 64 for letter in "ab")
HEADER = "weighin-model-digest"


PROGRAMS = {
    "systemctl": 'touch "$GATEWAY/$2"',
    # It refuses a configuration that is no plain file without a word in it.
    "nginx": '[ -s "$GATEWAY/live.conf" ] && exit 1; [ "$1" = -t ] || touch "$GATEWAY/reload"',
}


@dataclass
class Groups:
    """Two groups of servers on loopback, and a gateway before them that follows live.conf when it is told to.

    champion  what a group loads when it is restarted
    broken    a group that does not load it
    status    of the answers of a group
    """

    folder: Path
    champion: str = NEW
    broken: str = ""
    status: dict[str, int] = field(default_factory=dict)
    serves: dict[str, str] = field(default_factory=lambda: {"blue": OLD, "green": OLD})
    live: str = "blue"

    def group(self, colour: str) -> Answer:
        """Answer as a group; it is restarted where `systemctl` said so since."""
        restarted = self.folder / f"weighin-{colour}"
        if restarted.exists():
            restarted.unlink()
            self.serves[colour] = OLD if colour == self.broken else self.champion
        return Answer(self.status.get(colour, 200), headers={HEADER: self.serves[colour]})

    def gateway(self, _: Asked) -> Answer:
        """Answer as the group of live.conf at the last reload."""
        reload = self.folder / "reload"
        if reload.exists():
            reload.unlink()
            self.live = (self.folder / "live.conf").resolve().stem
        return self.group(self.live)

    @property
    def link(self) -> str:
        return os.readlink(self.folder / "live.conf")


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[list[Groups], dict[str, str]]]:
    """Addresses of both groups and of the gateway, which answer for the last groups of a list."""
    now: list[Groups] = []
    with (
        listening(lambda _: now[-1].group("blue")) as blue,
        listening(lambda _: now[-1].group("green")) as green,
        listening(lambda asked: now[-1].gateway(asked)) as gateway,
    ):
        yield now, {"BLUE_PING": f"{blue}/ping", "GREEN_PING": f"{green}/ping", "gateway": f"{gateway}/ping"}


@pytest.fixture
def groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: tuple[list[Groups], dict[str, str]]
) -> tuple[Groups, Deploy]:
    found, (now, addresses) = Groups(tmp_path), servers
    now.append(found)
    for colour in ("blue", "green"):
        (tmp_path / f"{colour}.conf").write_text("")
    (tmp_path / "live.conf").symlink_to("blue.conf")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in PROGRAMS.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("GATEWAY", str(tmp_path))
    monkeypatch.setenv("PAUSE", "0.05")
    monkeypatch.setenv("TRIES", "5")
    for name in ("BLUE_PING", "GREEN_PING"):
        monkeypatch.setenv(name, addresses[name])
    plan = {
        "reload": [str(SCRIPT), "{version}", "{digest}"],
        "identity": {"url": addresses["gateway"]},
        "answers": 3,
        "seconds_at_most": 10,
    }
    return found, Deploy.model_validate(plan)


def test_the_idle_group_gets_the_traffic_and_the_other_one_takes_it_back(groups: tuple[Groups, Deploy]) -> None:
    found, plan = groups
    assert deploy(plan, "m", "8", NEW, "champion").digest == NEW
    assert (found.live, found.link, found.serves) == ("green", "green.conf", {"blue": OLD, "green": NEW})
    found.champion = OLD
    assert deploy(plan, "m", "7", OLD, "champion").digest == OLD
    assert (found.live, found.link, found.serves) == ("blue", "blue.conf", {"blue": OLD, "green": NEW})


def test_a_group_that_does_not_serve_the_champion_gets_no_traffic(groups: tuple[Groups, Deploy]) -> None:
    found, plan = groups
    found.broken = "green"
    with pytest.raises(DeployError, match="green does not serve the champion, and gets no traffic"):
        deploy(plan, "m", "8", NEW, "champion")
    assert (found.live, found.link) == ("blue", "blue.conf")


def test_a_group_that_answers_with_an_error_gets_no_traffic(groups: tuple[Groups, Deploy]) -> None:
    found, plan = groups
    found.status["green"] = 503
    with pytest.raises(DeployError, match="gets no traffic"):
        deploy(plan, "m", "8", NEW, "champion")
    assert (found.live, found.link) == ("blue", "blue.conf")


def test_where_the_gateway_refuses_the_link_goes_back_and_the_live_group_is_left_alone(
    groups: tuple[Groups, Deploy],
) -> None:
    found, plan = groups
    (found.folder / "green.conf").write_text("what nginx does not understand")
    for _ in range(2):
        with pytest.raises(DeployError, match=r"nginx refuses green\.conf, and blue keeps the traffic"):
            deploy(plan, "m", "8", NEW, "champion")
        assert (found.link, found.serves["blue"]) == ("blue.conf", OLD)
        assert not (found.folder / "weighin-blue").exists()
    (found.folder / "green.conf").write_text("")
    assert deploy(plan, "m", "8", NEW, "champion").digest == NEW


def test_a_part_of_the_digest_is_no_proof(groups: tuple[Groups, Deploy]) -> None:
    found, plan = groups
    found.champion = NEW + "0"
    with pytest.raises(DeployError, match="gets no traffic"):
        deploy(plan, "m", "8", NEW, "champion")


def test_a_group_that_is_away_gets_no_traffic(groups: tuple[Groups, Deploy], monkeypatch: pytest.MonkeyPatch) -> None:
    found, plan = groups
    with listening(lambda _: Answer()) as gone:
        pass
    monkeypatch.setenv("GREEN_PING", f"{gone}/ping")
    with pytest.raises(DeployError, match="gets no traffic"):
        deploy(plan, "m", "8", NEW, "champion")
    assert found.link == "blue.conf"


def test_a_gateway_of_another_kind_is_left_alone(groups: tuple[Groups, Deploy]) -> None:
    found, plan = groups
    (found.folder / "live.conf").unlink()
    (found.folder / "live.conf").write_text("")
    with pytest.raises(DeployError, match="no link to blue"):
        deploy(plan, "m", "8", NEW, "champion")
