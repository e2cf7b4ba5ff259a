"""For all tests."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import validator_for

from support import postgres_server, proofs, quick_python
from support.guard import Guard
from support.needs import SYSTEM, marks

# Users do not set it, and what it hides they would meet: bytecode of a model's modules among the model's files.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# Several tests run at once: threads of one that wait for each other, spinning, take the processors from the rest.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# Spark's JVM lives for a minute here: its second compiler costs more than it gains.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")

# What a script starts in the background ignores Ctrl-C, and so would every program that a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

SCHEMA = Path(__file__).resolve().parent.parent / "docs/schema/decision-v1.schema.json"
GUARD = Guard()
COLLECTIONS = (20_000, 20, 100)
"""Thresholds of Python's garbage collector: it walks through a million objects of libraries, over and over, else."""


def pytest_configure(config: pytest.Config) -> None:
    """Start, for workers that do more than unit tests, the one process that they fork programs from."""
    workers = getattr(config.option, "numprocesses", None)
    if not workers or hasattr(config, "workerinput"):
        gc.disable()  # until the tests are collected, which the main process does not do where workers do
    more = not str(config.option.markexpr).startswith("unit")
    if more and getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        os.environ[quick_python.ADDRESS] = quick_python.start()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files without a test that was chosen: their imports take longer than the tests."""
    if not collection_path.name.endswith(".py"):
        return None
    match str(config.option.markexpr).split()[:1]:
        case ["unit"]:
            left_out = collection_path.name.startswith("test_") and "unit" not in marks(collection_path)
        case ["exhaustive"]:
            left_out = collection_path.name != "conftest.py" and not proofs.chosen(collection_path)
        case ["docker" | "workflow" as mark]:
            # Such a mark is written there, or comes with what the file imports.
            mentioned = mark in collection_path.read_text(encoding="utf-8") or mark in marks(collection_path)
            left_out = collection_path.name != "conftest.py" and not mentioned
        case _:
            left_out = False
    return left_out or None


LONGEST = (
    "verdict/test_validate",
    "registry/test_access",
    "init/test_init",
    "attacks/test_code",
    "release/test_deploy",
    "registry/test_ledger",
    "suites/test_shadow",
    "suites/test_data_quality_rules",
    "release/test_promote",
    "monitor/test_end_to_end",
)
"""Files of tests that take a minute or more, the longest first."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with what it needs, as its file, its parameters or its own marks show."""
    for item in items:
        own = {mark.name for mark in item.iter_markers()}
        found = frozenset({"unit"}) if isinstance(item, pytest.DoctestItem) else marks(item.path)
        if "integration" in found and asks_for_spark(item):
            found |= {"jvm"}
        if own & {"integration", *SYSTEM}:
            found = found - {"unit"} | {"integration"}
        if "exhaustive" in own and item.path not in proofs.chosen_of(""):
            raise pytest.UsageError(f"{item.nodeid} is exhaustive, and tests/support/proofs.py does not know its file")
        for name in found | ({"system"} if (own | found) & set(SYSTEM) else set()):
            item.add_marker(name)
    if str(config.option.markexpr).split()[:1] == ["exhaustive"]:
        # A file that the command line names is collected whatever the slice.
        chosen = [item for item in items if proofs.chosen(item.path)]
        config.hook.pytest_deselected(items=[item for item in items if not proofs.chosen(item.path)])
        items[:] = chosen
    # The longest files first, so that no process is busy with one when the others have nothing left.
    items.sort(key=lambda item: LONGEST.index(name) if (name := _file(item)) in LONGEST else len(LONGEST))


def _file(item: pytest.Item) -> str:
    return "/".join(item.path.with_suffix("").parts[-2:])


def asks_for_spark(item: pytest.Item) -> bool:
    """Return whether a test has Spark as a fixture, or as the engine or the kind of a table in its parameters."""
    given = getattr(getattr(item, "callspec", None), "params", {}).values()
    return "spark" in getattr(item, "fixturenames", ()) or any(
        isinstance(v, str) and v.startswith("spark") for v in given
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[Any]:
    """Guard a test with its fixtures."""
    GUARD.unit = item.get_closest_marker("unit") is not None
    GUARD.python_only = item.get_closest_marker("system") is None
    GUARD.broken.clear()
    try:
        return (yield)
    finally:
        GUARD.unit = GUARD.python_only = False


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[Any]:
    """Fail a test that broke the guard, whatever became of the error."""
    report = yield
    if GUARD.broken and report.passed:
        report.outcome, report.longrepr = "failed", "; ".join(GUARD.broken)
    return report


def pytest_collection_finish() -> None:
    """Leave what was imported out of the garbage collector's walks, which begin here."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTIONS)
    gc.enable()


def pytest_sessionfinish() -> None:
    """Leave what is in memory to the end of the process: pytest would walk through all of it five times."""
    gc.freeze()


def pytest_unconfigure() -> None:
    """Stop what the tests of this process shared: workers end without running what `atexit` knows."""
    postgres_server.stop()
    quick_python.stop()


@pytest.fixture(autouse=True, scope="module")
def environment() -> Iterator[None]:
    """Nothing that a module's tests do to the environment (MLflow keeps its address there) reaches the next module."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True, scope="session")
def every_record_has_the_published_form() -> Iterator[None]:
    """Whatever a test writes as a record is checked against the JSON Schema that is published."""
    from support import evidence_files
    from weighin.record import decision
    from weighin.verdict import conclude

    gc.freeze()  # what this has imported, too
    form, made = validator_for(json.loads(SCHEMA.read_text())), decision.decision_record

    def checked(*given: Any, **more: Any) -> dict[str, Any]:
        record = made(*given, **more)
        form.validate(json.loads(json.dumps(record)))
        return record

    with pytest.MonkeyPatch.context() as patch:
        for module in (decision, conclude, evidence_files):
            patch.setattr(module, "decision_record", checked)
        yield
