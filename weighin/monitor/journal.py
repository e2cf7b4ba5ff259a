"""What a monitor found and did: a chain of events (weighin/registry/chain.py), `<model>.monitor`, in the registry.

A monitor keeps nothing on its own disk: whoever looks next reads here what is open, what was done and what was told.
Of two monitors at once one writes an event, the other finds it and goes on from there.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from weighin.canonical import canonical, digest
from weighin.contract.monitor import Action
from weighin.errors import PromotionError
from weighin.monitor.detectors import Position
from weighin.registry.chain import Chain, summed
from weighin.registry.mlflow import Registry

SCHEMA = "weighin/monitor-event/v1"
EXPERIMENT = "weighin-monitor-events"
PREFIX = "weighin.monitor."
Kind = Literal[
    "alarm", "signal", "recovered", "rollback", "verified", "escalated", "asking", "asked", "telling", "told"
]
FACTS = ("alarm", "signal", "recovered", "rollback", "verified", "escalated")
"""What people are told of; the other kinds say how far that, and asking for a training, has come."""
WRITTEN_LATER = ("number", "run_id")


@dataclass(frozen=True)
class Event:
    """One thing that was found or done.

    kind     `alarm`: checks broke their limit; `recovered`: they keep it again; `signal`: the mean of a stream has
             changed; `rollback`; `verified`, `escalated`: fresh traffic passes after it, or people have to decide;
             `asking`, `asked`: for a training; `telling`, `told`: people, of all facts up to `about`
    version, reign  the champion, and the number of the ledger's entry by which it is champion
    checks   ids
    then     what the contract says is to be done
    said     for people
    about    number of the event that it follows from; 0 where there is none
    place    of a signal the row at which it was found: `moment request row`
    key      tells the wish of one monitor from the same wish of another
    """

    kind: Kind
    version: str
    reign: int
    checks: tuple[str, ...] = ()
    then: Action = "alert"
    said: str = ""
    about: int = 0
    place: str = ""
    who: str = ""
    created: str = ""
    parent: str = ""
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    number: int = 0
    run_id: str = ""

    @property
    def sum(self) -> str:
        """`sha256:<hex>` of what is written, the parent's sum included."""
        return digest(canonical(self._values()))

    @property
    def essence(self) -> str:
        """The same: one wish of one monitor."""
        return self.sum

    @property
    def moment(self) -> datetime:
        """When it was written."""
        return datetime.fromisoformat(self.created)

    def _values(self) -> dict[str, str]:
        own = {k: v for k, v in asdict(self).items() if k not in WRITTEN_LATER}
        own |= {"checks": " ".join(self.checks), "reign": str(self.reign), "about": str(self.about)}
        return {"schema": SCHEMA, **own}

    def tags(self) -> dict[str, str]:
        """What is written."""
        return summed(self._values(), PREFIX)

    @staticmethod
    def of(version: Any) -> Event:
        """Errors: `KeyError` for a missing tag, `ValueError` for tags that were edited."""
        tags = {k.removeprefix(PREFIX): v for k, v in dict(version.tags).items() if k.startswith(PREFIX)}
        values: dict[str, Any] = {k: v for k, v in tags.items() if k not in ("schema", "sum")}
        values |= {"checks": tuple(tags["checks"].split()), "reign": int(tags["reign"]), "about": int(tags["about"])}
        event = Event(**values)
        if {PREFIX + k: v for k, v in tags.items()} != event.tags():
            raise ValueError("its tags do not add up")
        return replace(event, number=int(version.version), run_id=str(version.run_id or ""))

    def __str__(self) -> str:
        """For people who read the registry's own pages."""
        said = "".join(c if c.isprintable() and c != "`" else " " for c in self.said)
        return f"{self.kind}, version {self.version}: `{' '.join(said.split())}`"


class Journal(Chain[Event]):
    """The events of one model."""

    def __init__(self, registry: Registry, model: str) -> None:
        super().__init__(registry, f"{model}.monitor", EXPERIMENT, Event.of)

    def add(self, event: Event, after: Sequence[Event], who: str, now: datetime, evidence: Path) -> bool:
        """Write an event after those that were read; False where another monitor wrote one first.

        Errors: `RegistryError`.
        """
        parent = after[-1].sum if after else ""
        wish = replace(event, parent=parent, who=who, created=now.astimezone(UTC).isoformat(timespec="milliseconds"))
        try:
            self.append(wish, evidence)
        except PromotionError:
            return False
        return True


@dataclass(frozen=True)
class State:
    """What the events say of the champion of now.

    reign  number of the ledger's entry by which it is champion
    """

    events: tuple[Event, ...]
    reign: int

    def of_now(self, *kinds: Kind) -> list[Event]:
        """Events of this reign."""
        return [e for e in self.events if e.reign == self.reign and e.kind in kinds]

    @property
    def open(self) -> Mapping[str, Event]:
        """Check -> its alarm, of all that have not recovered."""
        found: dict[str, Event] = {}
        for event in self.of_now("alarm", "recovered"):
            for check in event.checks:
                if event.kind == "alarm":
                    found[check] = event
                else:
                    found.pop(check, None)
        return found

    @property
    def signals(self) -> Mapping[str, Position]:
        """Check -> the last of its signals of this reign."""
        return {e.checks[0]: _position(e.place) for e in self.of_now("signal")}

    def unanswered(self, then: Action, *answers: Kind) -> list[Event]:
        """Open alarms, and signals of this reign, that ask for something and have none of these answers."""
        asked = {e.number: e for e in (*self.open.values(), *self.of_now("signal")) if e.then == then}
        done = {e.about for e in self.events if e.kind in answers}
        return [e for number, e in sorted(asked.items()) if number not in done]

    @property
    def unverified(self) -> Event | None:
        """The rollback by which this reign began, until it is verified or people were told that it is not."""
        done = {e.about for e in self.of_now("verified", "escalated")}
        found = [e for e in self.of_now("rollback") if e.number not in done]
        return found[-1] if found else None

    @property
    def untold(self) -> list[Event]:
        """Facts that people have not been told of, or not all of them: what failed has no `told`."""
        told = max((e.about for e in self.events if e.kind == "told"), default=0)
        return [e for e in self.events if e.kind in FACTS and e.number > told and e.then != "nothing"]

    def root(self, event: Event) -> Event:
        """The first of the events that an event follows from."""
        by_number = {e.number: e for e in self.events}
        while event.about in by_number and by_number[event.about].number < event.number:
            event = by_number[event.about]
        return event

    def last(self, kinds: Iterable[Kind], about: int) -> tuple[int, Event | None]:
        """How many events of these kinds are about another one, and the newest of them."""
        found = [e for e in self.events if e.kind in kinds and e.about == about]
        return len(found), found[-1] if found else None


def place(of: Position) -> str:
    """As an event has it."""
    return f"{of.moment.astimezone(UTC).isoformat(timespec='microseconds')} {of.request} {of.row}"


def _position(text: str) -> Position:
    moment, request, row = text.split(" ")
    return Position(datetime.fromisoformat(moment), request, int(row))
