"""Kills at every call that a promotion or a rollback makes, over HTTP or to the database, and what comes of them."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from support.forked import Child, in_child
from support.promotion_trials import DEEDS, Stock, Trial, recovered
from support.registry_proxy import Fault, Proxy

Moment = Literal["before", "after"]


@dataclass
class Tally:
    """What came of the kills.

    steps    calls that the uninterrupted deed makes
    ended    how often the next command found it finished or not begun, or was the deed itself
    wrong    what was not as it must be, with the step
    """

    steps: int = 0
    killed: int = 0
    recovered: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            max(self.steps, other.steps),
            self.killed + other.killed,
            self.recovered + other.recovered,
            self.ended + other.ended,
            self.wrong + other.wrong,
        )


def note_recovery(tally: Tally, trial: Trial, deed: str, step: str, *, settle_first: bool) -> None:
    """Count whether the next commands put right what was interrupted."""
    try:
        tally.ended[in_child(lambda: recovered(trial, deed, settle_first=settle_first))] += 1
        tally.recovered += 1
    except Exception as error:  # noqa: BLE001 - all of them are shown at the end
        tally.wrong.append(f"{deed}, {step}: {type(error).__name__}: {error}")


def over_http(
    stock: Stock, deed: str, moments: Iterable[Moment], part: int = 0, parts: int = 1, *, every: bool = True
) -> Tally:
    """Kill at every request, before it arrives and after it was carried out.

    every        or only at those that write: before each of them the registry is in another state, and that is all that
                 a kill can make a difference to
    part, parts  of those who share the steps
    """
    set_up, do, *_ = DEEDS[deed]
    tally, steps = Tally(), list[int]()
    with Proxy(stock.uri).running() as proxy:

        def go(name: str, fault: Callable[[int], Fault] | None, step: str) -> None:
            trial = Trial(stock, f"{deed}-{part}-{name}")
            in_child(trial.set_up, *set_up)
            child = Child(do, trial.through(proxy.uri))
            proxy.plan(*([fault(child.pid)] if fault else []))
            child.start()
            if not fault:
                child.result()
                numbered = enumerate(proxy.requests, 1)
                steps.extend(n for n, line in numbered if every or not line.startswith("GET"))
                tally.steps = len(steps)
                return
            if child.was_killed():
                tally.killed += 1
            else:
                tally.wrong.append(f"{deed}, {step}: was not killed")
            proxy.plan()
            note_recovery(tally, trial, deed, step, settle_first=tally.killed % 2 == 0)

        go("whole", None, "")
        for moment in moments:
            for step in steps[part::parts]:
                go(
                    f"{moment}-{step}",
                    lambda pid, step=step, moment=moment: Fault(f"kill {moment}", step, pid),
                    f"{moment} request {step}",
                )
    return tally


def in_database(stock: Stock, deed: str, *, at_most: int = 0, part: int = 0, parts: int = 1) -> Tally:
    """Kill before and after every statement, and before every commit, of a registry that is a SQLite file.

    at_most  not at every call but at so many, evenly spread, of all who share the steps
    """
    set_up, do, *_ = DEEDS[deed]
    tally = Tally()

    def counted(trial: Trial, kill_at: int) -> int:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        calls = [0]

        def count(*_: object) -> None:
            calls[0] += 1
            if calls[0] == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        for moment in ("before_cursor_execute", "after_cursor_execute", "commit"):
            event.listen(Engine, moment, count)
        do(trial)
        return calls[0]

    def trial_of(step: int) -> Trial:
        return Trial(stock, f"{deed}-{part}-{step}")

    def set_all_up(steps: Iterable[int]) -> None:
        # Opening a SQLite file costs MLflow more than all else here.
        for step in steps:
            trial_of(step).set_up(*set_up)

    in_child(set_all_up, [0])
    tally.steps = in_child(counted, trial_of(0), 0)
    steps = range(1, tally.steps + 1, -(-tally.steps // at_most) if at_most else 1)
    in_child(set_all_up, steps[part::parts], seconds=1800)
    for number, step in enumerate(steps[part::parts]):
        trial = trial_of(step)
        if Child(counted, trial, step).start().was_killed():
            tally.killed += 1
        else:
            tally.wrong.append(f"{deed}, call {step}: was not killed")
        note_recovery(tally, trial, deed, f"call {step}", settle_first=number % 2 == 0)
    return tally


def shared(work: Callable[[int, int], Tally], parts: int = 2, seconds: float = 3600) -> Tally:
    """A piece of work split between processes, so that both cores are used."""
    children = [Child(work, part, parts).start() for part in range(parts)]
    total = Tally()
    for child in children:
        total += child.result(seconds)
    return total
