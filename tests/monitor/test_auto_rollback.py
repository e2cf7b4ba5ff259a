"""A monitor goes back once, to a version that was gated and never left, and never over somebody else's change."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from support.registry_versions import SAYS, champions, promoted, restored, template
from weighin.data.profile import Profile
from weighin.errors import PromotionError
from weighin.monitor.auto_rollback import OWNER, go_back, target
from weighin.monitor.evaluate import Champion, Evaluation
from weighin.release.rollback import rollback

EMPTY = Profile(0, None, "none", True, {}, {})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return template(tmp_path_factory.mktemp("registry"), *(SAYS.format(value=v) for v in (0.1, 0.2, 0.3, 0.4)))


@pytest.fixture
def uri(registry: Path, tmp_path: Path) -> str:
    """Versions 2 and then 3 were promoted over the first champion, which was never gated."""
    return restored(registry, tmp_path, "2", "3")


def seen(version: str) -> Evaluation:
    from datetime import UTC, datetime

    return Evaluation(datetime.now(UTC), Champion(version, "sha256:x", EMPTY, {}), (), (), ())


def test_it_goes_to_the_version_before_and_says_why(uri: str) -> None:
    done = go_back(champions(uri), seen("3"), ["monitor/b", "monitor/a"], None)
    assert (done.before, done.after) == ("3", "2")
    assert done.entry is not None
    assert (done.entry.owner, done.entry.reason) == (OWNER, "monitor/a, monitor/b broke their limits")
    assert not done.entry.emergency


def test_a_second_monitor_finds_another_champion_and_does_nothing(uri: str) -> None:
    go_back(champions(uri), seen("3"), ["monitor/a"], None)
    with pytest.raises(PromotionError, match="version 2 is champion now, the run was at version 3"):
        go_back(champions(uri), seen("3"), ["monitor/a"], None)
    assert len(champions(uri).ledger.entries()) == 4


def test_it_never_goes_in_circles_nor_to_what_was_never_gated(uri: str) -> None:
    go_back(champions(uri), seen("3"), ["monitor/a"], None)
    # Version 2 fails as well: before it was the first, which was adopted and never gated.
    with pytest.raises(PromotionError, match="People have to decide"):
        go_back(champions(uri), seen("2"), ["monitor/a"], None)
    entries = champions(uri).ledger.entries()
    assert target(entries, "2") == ""
    # And where somebody goes forward to 3 again, a monitor does not undo it.
    rollback(champions(uri), "3", owner="a", reason="it was the data")
    assert target(champions(uri).ledger.entries(), "3") == ""


def test_a_version_that_was_left_is_none_to_go_back_to_until_it_is_promoted_again(uri: str, tmp_path: Path) -> None:
    go_back(champions(uri), seen("3"), ["monitor/a"], None)
    rollback(champions(uri), "3", owner="a", reason="forward again")
    promoted(uri, "4", tmp_path)
    entries = champions(uri).ledger.entries()
    assert target(entries, "4") == ""  # its predecessor, version 3, was rolled back from
    gated = [replace(e, action="promote") if e is entries[-2] else e for e in entries]
    assert target(gated, "4") == "3"


def test_the_first_champion_has_nothing_before_it(uri: str) -> None:
    assert target(champions(uri).ledger.entries(), "1") == ""
    assert target([], "1") == ""
