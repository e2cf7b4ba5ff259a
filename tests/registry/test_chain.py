"""Which entries of a ledger count, for whoever wrote first, second, late, twice or not at all, by the numbers alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any, cast

import pytest

from support.numbered_registry import NumberedRegistry
from weighin.errors import PromotionError, RegistryError
from weighin.registry.chain import Chain
from weighin.registry.ledger import MIRRORED, PREFIX, SERVED, Entry, Ledger

EVIDENCE = Path("evidence")
NAME = "fraud.ledger"
WHERE = "fraud.ledger, https://registry.example"
RESTORE = "Somebody changed the ledger. Restore the registry's database, or go on under a new model name."


def made() -> tuple[NumberedRegistry, Ledger]:
    registry = NumberedRegistry()
    return registry, Ledger(cast(Any, registry), "fraud")


def entry(after: str, parent: str = "", **said: Any) -> Entry:
    values = {"record": "sha256:r", "actor": "host/1", "created": "2026-01-02T03:04:05+00:00", **said}
    return Entry("promote", "", after, f"sha256:{after}", parent=parent, **values)


def refused(error: type[Exception], does: Callable[[], object]) -> str:
    with pytest.raises(error) as found:
        does()
    return str(found.value)


def test_a_ledger_that_nobody_wrote_has_no_entry_and_no_last_one() -> None:
    _, ledger = made()
    assert ledger.entries() == []
    assert ledger.head() is None
    assert ledger.name == NAME
    assert Ledger(cast(Any, NumberedRegistry()), "fraud", "ours").name == "ours"


def test_entries_are_returned_in_the_order_of_their_numbers_with_the_files_that_speak_for_them() -> None:
    registry, ledger = made()
    first = ledger.append(entry("1"), EVIDENCE)
    second = ledger.append(entry("2", first.sum), Path("more"))
    third = ledger.append(entry("3", second.sum), EVIDENCE)
    assert [(e.number, e.run_id, e.after) for e in (first, second)] == [(1, "run-1", "1"), (2, "run-2", "2")]
    assert ledger.entries() == [first, second, third]
    assert ledger.head() == third
    assert registry.runs[:2] == [
        ("weighin-ledger", "s3://kept", EVIDENCE, {"model": NAME, "sum": first.sum}),
        ("weighin-ledger", "s3://kept", Path("more"), {"model": NAME, "sum": second.sum}),
    ]
    assert ledger.kept(second, "record.json", Path("here")) == Path("here/run-2/record.json")


def test_the_registrys_own_page_of_an_entry_says_what_its_tables_can_hold() -> None:
    registry, ledger = made()
    long = entry("1", reason="x" * 5000)
    ledger.append(long, EVIDENCE)
    (version,) = registry.versions[NAME]
    assert version.description == str(long)[:4000]
    assert len(version.description) == 4000


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_of_those_who_saw_the_same_last_entry_the_lowest_number_counts(order: tuple[int, ...]) -> None:
    registry, ledger = made()
    last = ledger.append(entry("1"), EVIDENCE)
    wishes = [entry(after, last.sum) for after in ("2", "3", "4")]
    for i in order:
        registry.put(NAME, wishes[i].tags())
    late = entry("5", wishes[order[1]].sum)  # saw an entry that does not count
    registry.put(NAME, late.tags())
    on = entry("6", wishes[order[0]].sum)
    registry.put(NAME, on.tags())
    assert [e.after for e in ledger.entries()] == ["1", wishes[order[0]].after, "6"]


def test_who_saw_what_is_no_more_the_last_is_told_who_came_first_and_writes_nothing() -> None:
    registry, ledger = made()
    ledger.append(entry("1"), EVIDENCE)
    said = refused(PromotionError, lambda: ledger.append(entry("2"), EVIDENCE))
    assert said == (
        "fraud.ledger: another came first: promote to version 1 (entry 1, host/1, 2026-01-02T03:04:05+00:00). "
        "Validate again, against the champion of today."
    )
    assert (len(registry.versions[NAME]), len(registry.runs)) == (1, 1)


def test_another_chain_than_the_ledger_says_which_entry_came_first() -> None:
    chain = Chain(cast(Any, NumberedRegistry()), "fraud.monitor", "weighin-monitor", Entry.of)
    chain.append(entry("1"), EVIDENCE)
    said = refused(PromotionError, lambda: chain.append(entry("2"), EVIDENCE))
    assert said == "fraud.monitor: another came first: entry 1"


def test_who_is_overtaken_between_look_and_write_is_told_so_too() -> None:
    registry, ledger = made()
    last = ledger.append(entry("1"), EVIDENCE)
    registry.before_append = [lambda: registry.put(NAME, entry("3", last.sum).tags())]
    said = refused(PromotionError, lambda: ledger.append(entry("2", last.sum), EVIDENCE))
    assert "another came first: promote to version 3 (entry 2" in said
    assert [e.after for e in ledger.entries()] == ["1", "3"]
    assert len(registry.versions[NAME]) == 3  # what has lost stays, and counts for nobody


def test_the_same_wish_again_is_the_entry_that_stands_already() -> None:
    registry, ledger = made()
    first = ledger.append(entry("1"), EVIDENCE)
    ledger.append(entry("2", first.sum), EVIDENCE)
    again = entry("1", actor="host/2", created="2026-02-02T00:00:00+00:00", url="https://run", evidence="sha256:e")
    assert ledger.append(again, EVIDENCE) == first
    assert len(registry.versions[NAME]) == 2


def test_of_a_wish_that_arrived_twice_the_entry_that_counts_is_returned() -> None:
    registry, ledger = made()
    first = ledger.append(entry("1"), EVIDENCE)
    registry.put(NAME, entry("1").tags())
    assert ledger.append(entry("1"), EVIDENCE) == first


def test_a_wish_that_has_lost_once_has_lost() -> None:
    registry, ledger = made()
    for after in ("1", "2"):
        registry.put(NAME, entry(after).tags())
    assert "promote to version 1 (entry 1" in refused(PromotionError, lambda: ledger.append(entry("2"), EVIDENCE))


def test_an_entry_that_the_registry_does_not_show_afterwards_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    registry, ledger = made()
    monkeypatch.setattr(registry, "append", lambda *given: None)
    said = refused(RegistryError, lambda: ledger.append(entry("1"), EVIDENCE))
    assert said == "fraud.ledger: the ledger does not show the entry that was written. Run it again."


def test_a_last_entry_that_vanished_between_look_and_write_is_an_error() -> None:
    registry, ledger = made()
    first = ledger.append(entry("1"), EVIDENCE)
    last = ledger.append(entry("2", first.sum), EVIDENCE)
    registry.before_append = [lambda: registry.versions[NAME].pop()]
    said = refused(RegistryError, lambda: ledger.append(entry("3", last.sum), EVIDENCE))
    assert said == f"fraud.ledger: the entry that was the last does not count any more. {RESTORE}"


@pytest.mark.parametrize("gone", [0, 1])
def test_a_number_without_an_entry_is_an_error(gone: int) -> None:
    registry, ledger = made()
    last = ""
    for after in ("1", "2", "3"):
        last = ledger.append(entry(after, last), EVIDENCE).sum
    del registry.versions[NAME][gone]
    assert refused(RegistryError, ledger.entries) == f"{WHERE}: entry {gone + 1} is missing. {RESTORE}"
    assert refused(RegistryError, ledger.head) == f"{WHERE}: entry {gone + 1} is missing. {RESTORE}"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda tags: tags.pop(f"{PREFIX}emergency"), "no tag emergency"),
        (lambda tags: tags.pop(f"{PREFIX}action"), "no tag action"),
        (lambda tags: tags.pop(f"{PREFIX}owner"), "no tag owner"),
        (lambda tags: tags.pop(f"{PREFIX}sum"), "its tags do not add up"),
        (lambda tags: tags.update({f"{PREFIX}after": "9"}), "its tags do not add up"),
        (lambda tags: tags.update({f"{PREFIX}sum": "sha256:0"}), "its tags do not add up"),
        (lambda tags: tags.update({f"{PREFIX}schema": "weighin/ledger/v2"}), "its tags do not add up"),
        (lambda tags: tags.update({f"{PREFIX}emergency": "perhaps"}), "its tags do not add up"),
    ],
)
def test_an_entry_that_was_edited_is_an_error(change: Callable[[Any], Any], why: str) -> None:
    registry, ledger = made()
    ledger.append(entry("1"), EVIDENCE)
    change(registry.versions[NAME][0].tags)
    assert refused(RegistryError, ledger.entries) == f"{WHERE}: entry 1 was changed: {why}. {RESTORE}"


def test_a_tag_that_no_entry_has_is_an_error_and_a_tag_of_somebody_else_is_none() -> None:
    registry, ledger = made()
    first = ledger.append(entry("1"), EVIDENCE)
    registry.tag(NAME, "1", {"team": "risk"})
    assert ledger.entries() == [first]
    registry.tag(NAME, "1", {f"{PREFIX}colour": "red"})
    said = refused(RegistryError, ledger.entries)
    assert said == f"{WHERE}: entry 1 was changed: its tags do not add up. {RESTORE}"


def test_pages_that_repeat_an_entry_repeat_nothing() -> None:
    registry, ledger = made()
    first = ledger.append(entry("1"), EVIDENCE)
    registry.versions[NAME] *= 2
    assert ledger.entries() == [first]


def test_who_moves_the_aliases_says_so_before_and_after_under_a_tag_of_its_own() -> None:
    registry, ledger = made()
    first = ledger.append(entry("1"), EVIDENCE)
    second = ledger.append(entry("2", first.sum), EVIDENCE)
    tags = [ledger.begin_mirroring(second) for _ in range(2)]
    assert len(set(tags)) == 2
    untouched, begun = ledger.entries()
    assert untouched == first
    assert begun == replace(second, begun=tuple(sorted(tags)))
    ledger.end_mirroring(begun, tags[:1], "2026-01-02T03:05:00+00:00")
    assert ledger.entries() == [first, replace(second, begun=(tags[1],), mirrored=True)]
    noted = registry.versions[NAME][1].tags
    assert (noted[tags[0]], noted[tags[1]]) == ("2026-01-02T03:05:00+00:00", "begun")
    ledger.mark_served(second, "2026-01-02T03:06:00+00:00")
    assert ledger.entries()[1].served == "2026-01-02T03:06:00+00:00"
    assert ledger.entries()[0].served == ""
    assert (MIRRORED, SERVED) == ("weighin.ledger.mirrored", "weighin.ledger.served")
