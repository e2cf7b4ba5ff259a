"""Faults of serving: the runner starts the real server behind a proxy (weighin/drill/proxy.py), and load is sent."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from weighin.contract.checks import LoadRule
from weighin.drill.fault import Fault
from weighin.drill.inputs import NotApplicable
from weighin.drill.judge import Judge, Judged
from weighin.outcome import Outcome
from weighin.runner import local
from weighin.runner.plan import LoadPlan, Plan

KEPT = ("models", "features", "data", "predictions", "profiles", "requests")
"""Folders of the work folder that are shown as they are."""


class Serving:
    """The server of a validation behind a proxy. What it does without a fault is measured first, once."""

    def __init__(self, judge: Judge, load: Callable[[Path], None] = local.load) -> None:
        self.judge = judge
        self._load = load
        self._sound: dict[str, Outcome] | None = None

    def judged(self, kind: str, size: float) -> Judged:
        """Return the verdict with a fault of serving. Errors: `NotApplicable` where no proxy can stand.

        A check that blocks behind a proxy without a fault gets no credit.
        """
        if self._sound is None:
            self._sound = self._measured("none", 0.0)
        before = self.judge.verdict(self._sound)
        found = self.judge.verdict(self._measured(kind, size))
        return Judged(found.status, {c: s for c, s in found.by.items() if before.by.get(c) != s})

    def _measured(self, kind: str, size: float) -> dict[str, Outcome]:
        judge = self.judge
        ids = [
            i for i, c in judge.checks.items() if isinstance(c.rule, LoadRule) and c.rule.kind != "clean_environment"
        ]
        if not ids:
            raise NotApplicable("the contract has no load gate")
        with tempfile.TemporaryDirectory(prefix="weighin-drill-") as scratch:
            work = Path(scratch)
            source = judge.base.work
            for name in KEPT:
                if (source / name).is_dir():
                    (work / name).symlink_to((source / name).resolve(), target_is_directory=True)
            for name in ("subject.json", "locustfile.py"):
                if (source / name).is_file():
                    (work / name).write_bytes((source / name).read_bytes())
            plan = Plan.read(source / "plan.json")
            behind(plan, kind, size).write(work / "plan.json")
            self._load(work)
            return judge.outcomes(replace(judge.base, work=work), ids)


def behind(plan: Plan, kind: str, size: float) -> Plan:
    """Return a plan whose server stands behind the proxy. Errors: `NotApplicable`."""
    load = plan.load
    if load is None:
        raise NotApplicable("the contract has no load gate")
    if load.interface.stream:
        raise NotApplicable("the server streams, and the proxy passes answers on as a whole")
    if kind == "wrong" and plan.answers.kind == "text":
        raise NotApplicable("the model answers texts, and this fault changes numbers")
    if load.url or load.image:
        raise NotApplicable("the server runs elsewhere (gates.load.server), and no proxy can be put before it here")
    if "candidate" in plan.own_environments and not load.command:
        raise NotApplicable("the model is served with packages of its own, which the proxy does not start")
    proxy = (sys.executable, "-P", "-m", "weighin.drill.proxy", "--port", "{port}", "--model", "{model}")
    command = (*proxy, "--kind", kind, "--size", f"{size:g}", "--", *_real(load))
    sessions = tuple(s for s in load.sessions if s.role != "clean")
    return replace(plan, load=replace(load, command=command, sessions=sessions))


def _real(load: LoadPlan) -> tuple[str, ...]:
    """Return what starts the real server, with the port that the proxy chooses."""
    if load.command:
        return tuple(part.replace("{port}", "{inner}") for part in load.command)
    return (*local.WEIGHIN, "step", "serve", "--model", "{model}", "--port", "{inner}")


def slow(serving: Serving, size: float) -> Judged:
    """Let a share of the requests take one second longer.

    Seen: one of several replicas on an overloaded machine.
    """
    return serving.judged("slow", size)


def stall(serving: Serving, size: float) -> Judged:
    """Let the server stand still for `size` seconds, every four seconds.

    Seen: garbage collection, a noisy neighbour; closed-loop load tools do not see it at all.
    """
    return serving.judged("stall", size)


def wrong(serving: Serving, size: float) -> Judged:
    """Answer a share of the requests with other numbers than the model's.

    Seen: columns of a request that are read in another order than in training.
    """
    return serving.judged("wrong", size)


def cached(serving: Serving, size: float) -> Judged:
    """Answer a share of the requests with the answer to an earlier one.

    Seen: a cache whose key leaves out a feature.
    """
    return serving.judged("cached", size)


def errors(serving: Serving, size: float) -> Judged:
    """Answer a share of the requests with status 500.

    Seen: one worker of several whose model did not load.
    """
    return serving.judged("errors", size)


def memory(serving: Serving, size: float) -> Judged:
    """Leave `size` MB behind with each prediction.

    Seen: explainers and data frames that are kept in a list "for the log".
    """
    return serving.judged("memory", size)


def late_load(serving: Serving, size: float) -> Judged:
    """Let the first prediction take `size` seconds, with all others waiting: the worker loads its model only then.

    Seen: lazy loading, which health checks do not notice.
    """
    return serving.judged("late-load", size)


FAULTS = (
    Fault("serving-slow", "serving", slow, 0.3, (0.3,), "share of the requests"),
    Fault("serving-stall", "serving", stall, 2.5, (2.5,), "seconds"),
    Fault("serving-wrong-answers", "serving", wrong, 0.05, (0.05,), "share of the requests"),
    Fault("serving-cached-answers", "serving", cached, 0.2, (0.2,), "share of the requests"),
    Fault("serving-errors", "serving", errors, 0.2, (0.2,), "share of the requests"),
    Fault("serving-memory", "serving", memory, 10.0, (10.0,), "MB for each prediction"),
    Fault("serving-late-load", "serving", late_load, 12.0, (12.0,), "seconds"),
)
