"""What a monitor found and did: a chain of events (weighin/registry/chain.py), `<model>.monitor`, in the registry.

A monitor keeps nothing on its own disk: whoever looks next reads here what is open, what was done and what was told.
Of two monitors at once one writes an event, the other finds it and goes on from there.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from weighin.canonical import canonical, digest
from weighin.contract.monitor import Action
from weighin.errors import PromotionError
from weighin.monitor.detectors import Position
from weighin.registry.chain import Chain, summed
from weighin.registry.companions import companion
from weighin.registry.mlflow import Registry

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

SCHEMA = "weighin/monitor-event/v1"
EXPERIMENT = "weighin-monitor-events"
PREFIX = "weighin.monitor."
Kind = Literal[
    "alarm",
    "signal",
    "recovered",
    "rollback",
    "verified",
    "needs_human",
    "retrain_requesting",
    "retrain_requested",
    "notifying",
    "notified",
]
FACTS = ("alarm", "signal", "recovered", "rollback", "verified", "needs_human")
"""What people are told of; the other kinds say how far that, and asking for a training, has come."""
WRITTEN_LATER = ("number", "run_id")


@dataclass(frozen=True)
class Event:
    """One thing that was found or done.

    kind     `alarm`: checks broke their limit; `recovered`: they keep it again; `signal`: the mean of a stream has
             changed; `rollback`; `verified`, `needs_human`: fresh traffic passes after it, or people have to decide;
             `retrain_requesting`, `retrain_requested`: of a training; `notifying`, `notified`: people, of all facts
             up to `in_reply_to`
    version, promotion_id  the champion, and the number of the ledger's entry by which it is champion
    checks   ids
    action   what the contract says is to be done
    message  for people
    in_reply_to  number of the event that it follows from; 0 where there is none
    place    of a signal the row at which it was found: `moment request row`
    key      tells the wish of one monitor from the same wish of another
    """

    kind: Kind
    version: str
    promotion_id: int
    checks: tuple[str, ...] = ()
    action: Action = "alert"
    message: str = ""
    in_reply_to: int = 0
    place: str = ""
    actor: str = ""
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
    def content_hash(self) -> str:
        """The same: one wish of one monitor."""
        return self.sum

    @property
    def moment(self) -> datetime:
        """When it was written."""
        return datetime.fromisoformat(self.created)

    def _values(self) -> dict[str, str]:
        own = {k: v for k, v in asdict(self).items() if k not in WRITTEN_LATER}
        own |= {
            "checks": " ".join(self.checks),
            "promotion_id": str(self.promotion_id),
            "in_reply_to": str(self.in_reply_to),
        }
        return {"schema": SCHEMA, **own}

    def tags(self) -> dict[str, str]:
        """Return what is written."""
        return summed(self._values(), PREFIX)

    @staticmethod
    def of(version: ModelVersion) -> Event:
        """Errors: `KeyError` for a missing tag, `ValueError` for tags that were edited."""
        tags = {k.removeprefix(PREFIX): v for k, v in dict(version.tags).items() if k.startswith(PREFIX)}
        values: dict[str, Any] = {f.name: tags[f.name] for f in fields(Event) if f.name not in WRITTEN_LATER}
        numbers = {name: values[name] for name in ("promotion_id", "in_reply_to")}
        if not all(text.isdecimal() for text in numbers.values()):
            raise ValueError("its tags do not add up")
        values |= {"checks": tuple(values["checks"].split()), **{name: int(text) for name, text in numbers.items()}}
        event = Event(**values)
        if {PREFIX + k: v for k, v in tags.items()} != event.tags():
            raise ValueError("its tags do not add up")
        return replace(event, number=int(version.version), run_id=str(version.run_id or ""))

    def __str__(self) -> str:
        """For people who read the registry's own pages."""
        message = "".join(c if c.isprintable() and c != "`" else " " for c in self.message)
        return f"{self.kind}, version {self.version}: `{' '.join(message.split())}`"


class Journal(Chain[Event]):
    """The events of one model."""

    def __init__(self, registry: Registry, model: str, ledger: str = "") -> None:
        """Take the name that the contract gives the ledger, if it does."""
        super().__init__(registry, companion(model, "monitor", registry.store, ledger), EXPERIMENT, Event.of)

    def add(self, event: Event, after: Sequence[Event], actor: str, now: datetime, evidence: Path) -> bool:
        """Write an event after those that were read; False where another monitor wrote one first.

        Errors: `RegistryError`.
        """
        parent = after[-1].sum if after else ""
        candidate_entry = replace(
            event, parent=parent, actor=actor, created=now.astimezone(UTC).isoformat(timespec="milliseconds")
        )
        try:
            self.append(candidate_entry, evidence)
        except PromotionError:
            return False
        return True


@dataclass(frozen=True)
class State:
    """What the events say of the champion of now.

    promotion_id  number of the ledger's entry by which it is champion
    """

    events: tuple[Event, ...]
    promotion_id: int

    def of_now(self, *kinds: Kind) -> list[Event]:
        """Events of this promotion."""
        return [e for e in self.events if e.promotion_id == self.promotion_id and e.kind in kinds]

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
        """Check -> the last of its signals of this promotion."""
        return {e.checks[0]: _position(e.place) for e in self.of_now("signal")}

    def unanswered(self, then: Action, *answers: Kind) -> list[Event]:
        """Open alarms, and signals of this promotion, that ask for something and have none of these answers."""
        asked = {e.number: e for e in (*self.open.values(), *self.of_now("signal")) if e.action == then}
        done = {e.in_reply_to for e in self.events if e.kind in answers}
        return [e for number, e in sorted(asked.items()) if number not in done]

    @property
    def unverified(self) -> Event | None:
        """The rollback that made the present champion, until it is verified or people were notified."""
        done = {e.in_reply_to for e in self.of_now("verified", "needs_human")}
        found = [e for e in self.of_now("rollback") if e.number not in done]
        return found[-1] if found else None

    @property
    def untold(self) -> list[Event]:
        """Facts that people have not been told of, or not all of them: what failed has no `notified`."""
        notified = max((e.in_reply_to for e in self.events if e.kind == "notified"), default=0)
        return [e for e in self.events if e.kind in FACTS and e.number > notified and e.action != "nothing"]

    def root(self, event: Event) -> Event:
        """Return the first of the events that an event follows from."""
        by_number = {e.number: e for e in self.events}
        while event.in_reply_to in by_number and by_number[event.in_reply_to].number < event.number:
            event = by_number[event.in_reply_to]
        return event

    def last(self, kinds: Iterable[Kind], in_reply_to: int) -> tuple[int, Event | None]:
        """How many events of these kinds are about another one, and the newest of them."""
        found = [e for e in self.events if e.kind in kinds and e.in_reply_to == in_reply_to]
        return len(found), found[-1] if found else None


def place(of: Position) -> str:
    """As an event has it."""
    return f"{of.moment.astimezone(UTC).isoformat(timespec='microseconds')} {of.request} {of.row}"


def _position(text: str) -> Position:
    moment, request, row = text.split(" ")
    return Position(datetime.fromisoformat(moment), request, int(row))
