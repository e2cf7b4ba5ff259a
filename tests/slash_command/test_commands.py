"""What people read in the chat, and the one thing that it can do: dispatch the rollback's workflow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from support.loopback import Answer, Asked, listening
from weighin.contract.slash_command import SlashCommand
from weighin.errors import RegistryError
from weighin.github.client import GitHub
from weighin.registry.ledger import Entry
from weighin.slash_command.commands import PENDING_AT_MOST, Commands, State

ANN, BOB, EVE = "U00000ANN", "U00000BOB", "U00000EVE"
FIRST = Entry("promote", "", "1", "sha256:1", record="sha256:a", created="2026-01-01T00:00:00+00:00", number=1)
SECOND = replace(FIRST, before="1", after="2", created="2026-02-01T00:00:00+00:00", number=2, actor="<!channel> run")
THIRD = replace(FIRST, before="2", after="3", created="2026-03-01T00:00:00+00:00", number=3)
PATH = "/repos/team/model/actions/workflows/rollback.yml/dispatches"


class Chat:
    """Commands over a ledger that a test changes, and what GitHub was sent."""

    def __init__(self, address: str, asked: list[Asked]) -> None:
        self.address, self.asked, self.now = address, asked, 1000.0
        self.entries: tuple[Entry, ...] = (FIRST, SECOND)
        self.away = False
        self.commands = self.of()

    def of(self, **given: Any) -> Commands:
        spec = SlashCommand(allowed=(ANN, BOB), repository="team/model", **given)
        return Commands(spec, GitHub(self.address, "token"), self.look)

    def look(self) -> State:
        if self.away:
            raise RegistryError("the registry is away", "http://registry", "Start it.")
        return State("flight-delay", self.entries, "The monitor said ok at 2026-02-02T00:00:00+00:00.")

    def say(self, text: str, user: str = ANN) -> str:
        return self.commands.answer(user, text, self.now).text

    def code(self, text: str = "rollback it answers wrongly", user: str = ANN) -> str:
        found = re.search(r"`confirm ([0-9a-f]{8})`", self.say(text, user))
        assert found, text
        return found[1]

    @property
    def sent(self) -> list[Any]:
        assert {(a.method, a.path) for a in self.asked} <= {("POST", PATH)}
        return [json.loads(a.body) for a in self.asked]


@pytest.fixture
def chat() -> Iterator[Chat]:
    asked: list[Asked] = []
    with listening(lambda request: asked.append(request) or Answer(204)) as address:
        yield Chat(address, asked)


def test_status_and_history_mention_nobody_and_change_nothing(chat: Chat) -> None:
    said = chat.say("status")
    assert "version 2 is champion since 2026-02-01" in said
    assert "The monitor said ok" in said
    history = chat.say(" HISTORY ").splitlines()
    assert [line.split(".")[0] for line in history] == ["2", "1"]
    assert "<" not in said + "".join(history)
    assert not chat.sent


def test_a_confirmed_rollback_dispatches_one_workflow_with_who_and_why(chat: Chat) -> None:
    code = chat.code("rollback   errors <!channel>\x07 doubled")
    assert not chat.sent
    assert "was requested of rollback.yml in team/model" in chat.say(f"confirm {code}")
    inputs = {"version": "1", "from": "2", "owner": f"Slack {ANN}", "reason": "errors <!channel> doubled"}
    assert chat.sent == [{"ref": "main", "inputs": inputs}]
    assert "No rollback waits" in chat.say(f"confirm {code}")
    assert len(chat.sent) == 1


def test_a_version_can_be_named_if_it_was_gated(chat: Chat) -> None:
    chat.entries = (FIRST, SECOND, THIRD)
    chat.say(f"confirm {chat.code('rollback 1 it leaks')}")
    assert [s["inputs"]["version"] for s in chat.sent] == ["1"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rollback", "needs a reason"),
        ("rollback 1", "needs a reason"),
        ("rollback 2 why", "is champion already"),
        ("rollback 9 why", "was never gated"),
        ("confirm", "No rollback waits"),
        ("confirm 00000000", "No rollback waits"),
        ("", "Type `status`"),
        ("promote 3", "Type `status`"),
        ("rollback.yml", "Type `status`"),
    ],
)
def test_anything_else_is_a_sentence_and_nothing_is_done(chat: Chat, text: str, says: str) -> None:
    assert says in chat.say(text)
    assert not chat.sent


BACK = replace(FIRST, action="rollback", before="2", number=3)


@pytest.mark.parametrize(
    ("entries", "says"),
    [((), "nothing was promoted yet"), ((FIRST,), "Name the version"), ((SECOND, BACK), "Name the version")],
)
def test_where_the_ledger_names_no_version_before_nothing_is_planned(
    chat: Chat, entries: tuple[Entry, ...], says: str
) -> None:
    chat.entries = entries
    assert says in chat.say("rollback why")


@pytest.mark.parametrize("text", ["status", "history", "rollback why", "confirm 1"])
@pytest.mark.parametrize("user", [EVE, "", ANN.lower(), f"{ANN} "])
def test_a_stranger_learns_and_does_nothing(chat: Chat, user: str, text: str) -> None:
    said = chat.say(text, user)
    assert "You are not among those" in said
    assert "flight-delay" not in said


def test_a_code_has_an_end(chat: Chat) -> None:
    code = chat.code()
    chat.now += 121
    assert "its time is over" in chat.say(f"confirm {code}")
    chat.now -= 100
    assert "No rollback waits" in chat.say(f"confirm {code}")
    assert not chat.sent


def test_a_code_holds_for_the_person_who_has_it(chat: Chat) -> None:
    code = chat.code()
    assert "The person who requested it must confirm" in chat.say(f"confirm {code}", BOB)
    chat.say(f"confirm {code}")
    assert len(chat.sent) == 1


def test_a_contract_may_demand_another_person(chat: Chat) -> None:
    chat.commands = chat.of(confirmed_by="another")
    code = chat.code()
    assert "Another person must confirm" in chat.say(f"confirm {code}")
    assert "You are not among" in chat.say(f"confirm {code}", EVE)
    assert not chat.sent
    chat.say(f"confirm {code}", BOB)
    assert chat.sent[0]["inputs"]["owner"] == f"Slack {ANN}, confirmed by {BOB}"


def test_a_champion_that_changed_in_between_is_left_alone(chat: Chat) -> None:
    code = chat.code()
    chat.entries = (FIRST, SECOND, THIRD)
    assert "The champion has changed since" in chat.say(f"confirm {code}")
    assert not chat.sent


def test_nothing_is_dispatched_when_nobody_waits_for_the_answer_any_more(chat: Chat) -> None:
    code = chat.code()
    said = chat.commands.answer(ANN, f"confirm {code}", chat.now, lambda: False).text
    assert "took too long, and nothing was done" in said
    assert not chat.sent
    assert "No rollback waits" in chat.say(f"confirm {code}")


def test_a_registry_that_is_away_is_a_sentence(chat: Chat) -> None:
    code, chat.away = chat.code(), True
    for text in ("status", "history", "rollback why", f"confirm {code}"):
        assert chat.say(text) == "Nothing was changed. http: //registry: the registry is away. Start it."
    assert not chat.sent


def test_a_platform_that_refuses_is_said(chat: Chat) -> None:
    with listening(lambda _: Answer(403, b'{"message": "<!channel>"}')) as address:
        chat.address = address
        chat.commands = chat.of()
        said = chat.say(f"confirm {chat.code()}")
    assert "GitHub answered 403" in said
    assert "Look at the workflow's runs" in said


def test_the_oldest_of_too_many_is_given_up(chat: Chat) -> None:
    codes = [chat.code() for _ in range(PENDING_AT_MOST + 1)]
    assert "No rollback waits" in chat.say(f"confirm {codes[0]}")
    assert "was requested" in chat.say(f"confirm {codes[1]}")
