"""The journal: what is written comes back whole, however long, and one of two wishes loses."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from support.empty_store import empty_store
from weighin.errors import RegistryError
from weighin.monitor.detectors import Position
from weighin.monitor.journal import Event, Journal, State, place
from weighin.registry.mlflow import Registry

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
LONGEST_DESCRIPTION = 5000
"""Of a version, in MLflow's tables; PostgreSQL refuses what is longer."""


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    """A folder without evidence."""
    folder = tmp_path / "evidence"
    folder.mkdir()
    return folder


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(Registry(empty_store(tmp_path)), "flight-delay")


def test_an_event_of_many_checks_is_kept_whole(journal: Journal, nothing: Path) -> None:
    checks = tuple(f"monitor/last-1000/drift/column-{i}" for i in range(200))
    message = "; ".join(f"{check}: 0.31 [0.26, 0.36] is beyond the limit ≤ 0.2" for check in checks)
    position = place(Position(NOW, "request-1", 3))
    assert journal.add(Event("signal", "3", 7, checks, message=message, place=position), [], "host/1", NOW, nothing)
    (event,) = journal.entries()
    assert (event.checks, event.message, event.number) == (checks, message, 1)
    assert State((event,), 7).signals == {checks[0]: Position(NOW, "request-1", 3)}
    (version,) = journal._registry.entries(journal.name)
    assert 0 < len(version.description) < LONGEST_DESCRIPTION < len(message)


def test_of_two_wishes_after_the_same_event_one_is_written(journal: Journal, nothing: Path) -> None:
    wishes = [Event("notifying", "3", 7, in_reply_to=1), Event("notifying", "3", 7, in_reply_to=1)]
    assert [journal.add(candidate_entry, [], "host/1", NOW, nothing) for candidate_entry in wishes] == [True, False]
    assert len(journal.entries()) == 1


@pytest.mark.parametrize("tag", ["message", "colour"])
def test_an_event_that_somebody_changed_is_an_error(tag: str, journal: Journal, nothing: Path) -> None:
    journal.add(Event("needs_human", "3", 7, message="people have to decide"), [], "host/1", NOW, nothing)
    journal._registry.tag(journal.name, "1", {f"weighin.monitor.{tag}": "nothing to see"})
    with pytest.raises(RegistryError, match="entry 1 was changed: its tags do not add up"):
        journal.entries()


def test_an_event_that_lacks_a_tag_is_an_error(journal: Journal, nothing: Path) -> None:
    journal.add(Event("needs_human", "3", 7), [], "host/1", NOW, nothing)
    journal._registry.untag(journal.name, "1", ["weighin.monitor.place"])
    with pytest.raises(RegistryError, match="entry 1 was changed: no tag place"):
        journal.entries()


@pytest.mark.parametrize("number", ["", "-1", "@team see `https://elsewhere.example`", "1" * 5_000])
def test_what_somebody_wrote_for_a_number_is_not_repeated(number: str, journal: Journal, nothing: Path) -> None:
    journal.add(Event("needs_human", "3", 7), [], "host/1", NOW, nothing)
    journal._registry.tag(journal.name, "1", {"weighin.monitor.promotion_id": number})
    with pytest.raises(RegistryError, match="entry 1 was changed") as said:
        journal.entries()
    assert "elsewhere" not in str(said.value)
