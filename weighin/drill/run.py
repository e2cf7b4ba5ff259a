"""The whole drill: judge without a fault, then each fault, on two processes; what was done is kept until the end."""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from types import FrameType

import numpy as np

from weighin.contract.reading import ContractFile
from weighin.drill.asked import Models
from weighin.drill.controls import CONTROLS
from weighin.drill.fault import Fault
from weighin.drill.inputs import Inputs, NotApplicable
from weighin.drill.journal import Journal
from weighin.drill.judge import Judge, Judged, decided
from weighin.drill.own import BadFaultError
from weighin.drill.process import GATE, case_of
from weighin.drill.result import Drill, FaultResult
from weighin.drill.search import Search, Settings
from weighin.drill.serving import Serving
from weighin.drill.suggest import suggestions
from weighin.errors import EvidenceError, NotEvaluated
from weighin.outcome import Status
from weighin.untrusted import JsonDict
from weighin.untrusted.redact import reduced

NEEDS = {"labels": "performance", "model": "performance", "data": "data_quality"}
"""Family of faults -> the gate that is there for them."""
CONTROLLED = {f"control-{make.__name__.replace('_', '-')}": make for make in CONTROLS}
"""Name -> control."""
SECONDS = 600
"""The longest that one fault may take."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class _Shared:
    """What the processes have in common; they are forks, so nothing of it is sent.

    asks     whether models are asked again where a fault changes what they are given; else checks that need answers are
             left out
    seconds  the longest that one fault may take; it is then no answer
    """

    judge: Judge
    faults: dict[str, Fault]
    settings: Settings
    asks: bool = True
    seconds: float = SECONDS


_SHARED: list[_Shared] = []
_MODELS: list[Models] = []


class TookTooLongError(Exception):
    """A fault that did not come to its end."""


def drill(
    file: ContractFile,
    work: Path,
    faults: Sequence[Fault],
    settings: Settings,
    *,
    dataset: str | None = None,
    workers: int = 2,
    journal: Path | None = None,
    say: Say = lambda line: None,
) -> Drill:
    """Judge every fault and the clean controls.

    work     what the last validation left
    dataset  that faults of data are put into, where a fault names none; default what arrives
    workers  processes; 1 works in this one
    journal  folder in which finished faults are kept until all are: a drill that was stopped goes on from there
    say      gets a line when a fault is done
    Errors: `EvidenceError`, `NotEvaluated` where there is nothing to drill.
    """
    started = time.monotonic()
    base = Inputs.read(file, work)
    if base.subject.contract != file.digest:
        raise EvidenceError(
            f"resolved under another contract ({base.subject.contract}, this is {file.digest})",
            str(work / "subject.json"),
            "Run `weighin validate` again.",
        )
    if dataset is not None:
        if dataset not in base.tables:
            raise NotEvaluated(f"there are no rows of data.{dataset}", "--dataset", "Name another dataset.")
        base = replace(base, dataset=dataset)
    judge = Judge.of(base)
    without = decided(judge.baseline.values(), judge.alpha)
    say(f"without a fault: {without.status.value}, {len(judge.baseline)} checks, {time.monotonic() - started:.0f} s")
    about = _about(judge, settings)
    kept = Journal.of(journal, about)
    shared = _Shared(judge, {f.name: f for f in faults}, settings)
    todo = [f.name for f in sorted(faults, key=lambda f: (not f.drawn, not f.asks)) if f.name not in kept.faults]
    served = [f.name for f in faults if f.family == "serving" and f.name in todo]
    todo = [name for name in todo if name not in served]
    names = [*(name for name in CONTROLLED if name not in kept.controls), *todo]
    # Serving comes last, with the machine to itself.
    every = chain(_all(shared, names, workers), _served(shared, served))
    for number, (name, value) in enumerate(every, len(kept.faults) + len(kept.controls) + 1):
        kept.add(name, value)
        say(f"{number}/{len(faults) + len(CONTROLS)} {_line(name, value)}")
    kept.remove()
    results = [kept.faults[f.name] for f in faults]
    controls = [c for name in CONTROLLED if (c := kept.controls[name]) is not None]
    suites = dict.fromkeys(c.suite for c in judge.checks.values())
    if any(f.family == "process" for f in faults):
        suites[GATE.partition("/")[0]] = None
    # Not part of what a journal must agree in.
    made = datetime.now(UTC).isoformat(timespec="seconds")
    about = {**about, "seconds": round(time.monotonic() - started, 1), "made": made}
    red = {"status": without.status.value, "blocking": sorted(judge.red)}
    return Drill(about, tuple(suites), red, results, controls)


def stated(judge: Judge, faults: Sequence[Fault], seconds: float, workers: int = 2) -> dict[str, FaultResult]:
    """Judge faults at their stated sizes, without asking models anew, within about so many seconds.

    A fault that there was no time for has no result.
    """
    until = time.monotonic() + seconds
    settings = Settings(quick=True)
    shared = _Shared(judge, {f.name: f for f in faults}, settings, asks=False, seconds=seconds)
    found: dict[str, FaultResult] = {}
    for name, value in _all(shared, [*shared.faults], workers):
        found[name] = FaultResult.from_json(value)
        if time.monotonic() > until:
            break
    return found


def _about(judge: Judge, settings: Settings) -> JsonDict:
    subject, file = judge.base.subject, judge.base.file
    champion = None if subject.champion is None else str(subject.champion)
    return {
        "model": file.contract.model.name,
        "candidate": str(subject.candidate),
        "champion": champion,
        "contract": file.digest,
        "subject": subject.digest,
        "alpha": file.contract.alpha,
        "sampling_unit": file.contract.sampling_unit,
        "dataset": judge.base.dataset,
        **asdict(settings),
    }


def _all(shared: _Shared, names: Sequence[str], workers: int) -> Iterator[tuple[str, JsonDict]]:
    _SHARED[:] = [shared]
    try:
        if workers == 1 or len(names) < 2:
            yield from ((name, _one(name)) for name in names)
            return
        # Forks: tables and libraries are there, and a fault that takes its process down takes no other.
        with ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), _as_worker) as pool:
            futures = {pool.submit(_one, name): name for name in names}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        _end_models()
        _SHARED.clear()


def _served(shared: _Shared, names: Sequence[str]) -> Iterator[tuple[str, JsonDict]]:
    """Judge faults of serving, one after the other."""
    serving = Serving(shared.judge)
    for name in names:
        fault, started = shared.faults[name], time.monotonic()
        yield name, _bounded(fault, lambda: _of_serving(serving, fault, started))  # noqa: B023 - called at once


def _of_serving(serving: Serving, fault: Fault, started: float) -> JsonDict:
    judged = fault.make(serving, fault.size)
    return FaultResult.of(fault, judged, None, (), time.monotonic() - started).to_json()


def _as_worker() -> None:
    """Leave Ctrl-C to the process that waits."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Of a worker of multiprocessing nothing else runs at its end.
    multiprocessing.util.Finalize(None, _end_models, exitpriority=10)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _one(name: str) -> JsonDict:
    """Judge one fault, or one control; whatever goes wrong in it is its result, and never a fault that was caught."""
    shared = _SHARED[0]
    if name in CONTROLLED:
        return _control(shared, name)
    fault = shared.faults[name]
    if fault.family == "process":
        return _bounded(fault, lambda: _of_process(shared, fault), shared.seconds)
    return _bounded(fault, lambda: _of_inputs(shared, fault), shared.seconds)


def _bounded(fault: Fault, judge: Callable[[], JsonDict], seconds: float = SECONDS) -> JsonDict:
    """Return a fault's result within so many seconds; where it goes wrong, why."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TookTooLongError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return judge()
    except NotApplicable as error:
        return FaultResult.without(fault, "not_applicable", str(error)).to_json()
    except BadFaultError as error:
        return FaultResult.without(fault, "error", str(error)).to_json()
    except TookTooLongError:
        return FaultResult.without(fault, "error", f"it did not end within {seconds:g} s").to_json()
    except Exception as error:  # noqa: BLE001 - a fault that crashes is no answer of the gate
        return FaultResult.without(fault, "error", f"the fault raised {reduced(error)}").to_json()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _of_inputs(shared: _Shared, fault: Fault) -> JsonDict:
    """Judge a fault of what the gate reads: at its stated size, by draws, and under other lines of the contract."""
    started, base = time.monotonic(), shared.judge.base
    models = _models(shared) if fault.asks and shared.asks else None
    search = Search(shared.judge, fault, shared.settings, lambda s, rng: fault.make(base, s, rng), models)
    inputs = search.at_stated()
    judged = shared.judge.judged(inputs, asked=shared.asks)
    curve = None if shared.settings.quick else search.curve()
    gate = NEEDS.get(fault.family, "")
    # Of a contract beside another one a gate that is absent is one that was removed.
    if shared.asks and judged.answer == "missed" and gate and getattr(base.file.contract.gates, gate) is None:
        raise NotApplicable(f"the contract has no {gate} gate, and no other check notices it")
    found = FaultResult.of(fault, judged, curve, search.sizes(), time.monotonic() - started)
    if shared.settings.suggest and not judged.killed:
        listed = suggestions(shared.judge, inputs, shared.settings.seed)
        edits = [(list(e.path), e.value) for s in listed for e in s.edits]
        found = replace(found, suggestion=[str(s) for s in listed], edits=edits)
    return found.to_json()


def _of_process(shared: _Shared, fault: Fault) -> JsonDict:
    """Show a fault of the evidence to the code that has to notice it."""
    started = time.monotonic()
    with case_of(shared.judge) as case:
        said = fault.make(case).replace(f"{case.folder}/", "").replace(f"{case.file.folder}/", "")
    by = {GATE: Status.NOT_EVALUATED.value} if said else {}
    judged = Judged(Status.NOT_EVALUATED if said else Status.PASSED, by)
    found = FaultResult.of(fault, judged, None, (), time.monotonic() - started)
    return replace(found, reason=said).to_json()


def _models(shared: _Shared) -> Models:
    """Return the models of this process, started with the first fault that needs them."""
    if not _MODELS:
        _MODELS.append(Models(shared.judge.base))
    return _MODELS[0]


def _end_models() -> None:
    while _MODELS:
        _MODELS.pop().close()


def _control(shared: _Shared, name: str) -> JsonDict:
    make, settings = CONTROLLED[name], shared.settings
    rng = np.random.default_rng([settings.seed, zlib.crc32(make.__name__.encode())])
    try:
        return asdict(make(shared.judge, settings.controls, rng))
    except NotApplicable as error:
        return {"not_applicable": str(error)}


def _line(name: str, value: JsonDict) -> str:
    if "not_applicable" in value:
        return f"{name}: not applicable: {value['not_applicable']}"
    if "predicted" in value:
        return f"{value['name']}: {value['blocked']} of {value['draws']} draws blocked"
    at = f", 80 % at {value['curve']['size']:.3g} {value['unit']}" if value["curve"] else ""
    by = f" by {next(iter(value['by']))}" if value["by"] else ""
    why = f" ({value['reason']})" if value["reason"] else ""
    return f"{name} {value['size']:g}: {value['answer'].replace('_', ' ')}{by}{at}{why}"
