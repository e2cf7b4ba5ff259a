"""The budget of uses of a sealed holdout, kept in the registry that everybody shares.

A use is one version of a companion registered model: MLflow assigns version numbers atomically,
and everything about a reservation is in the one call that creates it, so that a kill leaves all of it or none.
Who holds which use is read from the ledger and from nothing else: it is replayed by the rule that also answers a new
wish, and the k-th distinct candidate of an epoch holds use k. However many writers come at once, they cannot hold more
than the budget, and no candidate can hold two uses.

What it does not withstand: a person who may delete the whole companion model, or who rewrites a result.
"""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from weighin.canonical import canonical, digest
from weighin.errors import HoldoutUseRefused, RegistryError, without_password
from weighin.model.subject import ModelVersion
from weighin.registry.companions import companion
from weighin.registry.mlflow import Registry

SCHEMA = "weighin/holdout-use/v1"
EXPERIMENT = "weighin-holdout-uses"
FILE = "rows.npy"
PREFIX = "weighin.holdout-use."
RESULT = "weighin.holdout-use.result"
TEXTS = ("epoch", "candidate", "version", "rows", "created", "key")
RESERVED, PASSED, NOT_PASSED = "reserved", "passed", "not passed"
FRESH = "Name a new epoch with rows that nobody has looked at."

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class HoldoutUse:
    """One use that is held.

    number          1-based among the distinct candidates of its epoch
    holdout_uses   how many the epoch was opened with
    candidate       digest of the candidate's files; `version` is its registered version
    created         when it was reserved, ISO 8601, UTC
    result          `reserved` (nothing recorded), `passed` or `not passed`
    ledger_version  version of the companion model that is this reservation
    """

    epoch: str
    number: int
    holdout_uses: int
    candidate: str
    version: str
    created: str
    result: str
    ledger_version: str


@dataclass(frozen=True)
class _Entry:
    """A reservation, as it is written (`tags`) and as it is read back; held or not is for `Looks` to say."""

    epoch: str
    holdout_uses: int
    candidate: str
    version: str
    rows: str
    created: str
    key: str  # tells a reservation that arrived twice from two reservations
    number: int = 0
    run_id: str = ""
    result: str = RESERVED

    def tags(self) -> dict[str, str]:
        values = {"schema": SCHEMA, "holdout_uses": str(self.holdout_uses), **{n: getattr(self, n) for n in TEXTS}}
        return {PREFIX + k: v for k, v in {**values, "sum": digest(canonical(values))}.items()}

    @staticmethod
    def of(version: Any) -> _Entry:
        """Errors: `KeyError` for a missing tag, `ValueError` for tags that were edited."""
        tags = {k.removeprefix(PREFIX): v for k, v in dict(version.tags).items() if k.startswith(PREFIX)}
        texts, result = {n: tags[n] for n in TEXTS}, tags.get("result", RESERVED)
        entry = _Entry(**texts, holdout_uses=int(tags["holdout_uses"]))
        if {PREFIX + k: v for k, v in tags.items() if k != "result"} != entry.tags():
            raise ValueError("its tags do not add up")
        if result not in (RESERVED, PASSED, NOT_PASSED):
            raise ValueError(f"no such result as {result!r}")
        return replace(entry, number=int(version.version), run_id=str(version.run_id), result=result)


def row_hashes(table: pa.Table) -> Hashes:
    """Sorted 64-bit hashes of the distinct rows of a table, whatever the order of rows and columns; shape `(n,)`.

    Cells are hashed as text by pandas' vectorised hash (SipHash with a fixed key): the same rows have the same hashes
    in every process, on every machine, and in whatever width of integers, unit of time or dictionary a file keeps them.
    Missing is missing, whether null or NaN. Two different rows share a hash with probability 2**-64.

    >>> import pyarrow as pa
    >>> row_hashes(pa.table({"a": [1, 2, 2], "b": ["x", "y", "y"]}))
    array([4969073292335518484, 5977021642985501879], dtype=uint64)
    """
    import pandas as pd

    texts = {name: _text(table[name]).to_pandas().fillna("\0") for name in sorted(table.column_names)}
    hashes = pd.util.hash_pandas_object(pd.DataFrame(texts), index=False).to_numpy().astype(np.uint64)
    return np.unique(hashes)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), None, pc.add(column, pa.scalar(0.0, column.type)))  # -0 becomes 0
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return column.cast(pa.string())


class HoldoutUses:
    """The uses that were taken at sealed holdouts for one model."""

    def __init__(self, registry: Registry, model: str, ledger: str = "") -> None:
        """Take the name that the contract gives the ledger, if it does."""
        self._registry = registry
        self._name = companion(model, "holdout-uses", registry.store, ledger)
        self._known: dict[str, Hashes] = {}

    def reserve(self, epoch: str, holdout_uses: int, candidate: ModelVersion, rows: Hashes) -> HoldoutUse:
        """Reserve a use for a candidate, before anything is measured. It is never given back.

        holdout_uses  the budget of the epoch, fixed by its first use
        rows   `row_hashes` of the sealed holdout
        Errors: `HoldoutUseRefused` when the epoch is closed or spent, the candidate has had its use or is no registered
        version, the budget or the rows are not those that the epoch was opened with, or rows were looked at in another
        epoch. `RegistryError` for a registry that is away, where the use may be spent, and for a broken ledger.
        """
        place, rows = self._place(epoch), np.unique(np.asarray(rows, np.uint64))
        if not candidate.version:
            raise HoldoutUseRefused(
                f"the candidate from {candidate.source} is no registered version", place, "Register it."
            )
        if holdout_uses < 1 or not len(rows):
            raise HoldoutUseRefused(
                f"{holdout_uses} uses at {len(rows)} rows are no budget", place, "Declare at least one of each."
            )
        self._known[_digest(rows)] = rows
        now = datetime.now(UTC).isoformat(timespec="seconds")
        candidate_entry = _Entry(
            epoch, holdout_uses, candidate.digest, candidate.version, _digest(rows), now, uuid.uuid4().hex
        )
        held = self._held(self._entries())
        self._refuse(held, candidate_entry)
        run_id = next((e.run_id for e in held if e.epoch == epoch), None) or self._log_rows(epoch, rows)
        self._append(run_id, candidate_entry)
        # Others may have come meanwhile: who holds what is decided by what stands in the ledger before this one.
        entries = self._entries()
        mine = next((e for e in entries if e.key == candidate_entry.key), None)
        if mine is None:
            raise RegistryError("the ledger does not show the use that was reserved", place, "Look into the registry.")
        before = self._held([e for e in entries if e.number < mine.number])
        self._refuse(before, mine)
        return _uses([*before, mine])[-1]

    def record(self, use: HoldoutUse, passed: bool) -> None:
        """Write what came of a use; once more the same is no error.

        Errors: `HoldoutUseRefused` when the ledger has no such use or says something else already; `RegistryError`.
        """
        wanted, place = PASSED if passed else NOT_PASSED, f"use {use.number} in {self._place(use.epoch)}"
        now = [h.result for h in self.all() if replace(h, result=use.result) == use]
        if not now:
            raise HoldoutUseRefused("nobody holds it", place, "Reserve a use first.")
        if now[0] not in (RESERVED, wanted):
            raise HoldoutUseRefused(
                f"its result is `{now[0]}` already, not `{wanted}`", place, "A result stays as it is."
            )
        if now[0] == RESERVED:
            self._registry.tag(self._name, use.ledger_version, {RESULT: wanted})

    def all(self, epoch: str | None = None) -> list[HoldoutUse]:
        """Every use that is held, in order; of one epoch or of all. Errors: `RegistryError` for a broken ledger."""
        return [use for use in _uses(self._held(self._entries())) if epoch in (None, use.epoch)]

    def closed(self, epoch: str) -> bool:
        """Whether some use of the epoch passed. Errors: `RegistryError` for a broken ledger."""
        return any(use.result == PASSED for use in self.all(epoch))

    def _place(self, epoch: str) -> str:
        return f"epoch {epoch} of {self._name}"

    def _held(self, entries: list[_Entry]) -> list[_Entry]:
        """Return the ledger replayed: the entries that hold a use, also one whose epoch was closed in the same
        moment.
        """
        held: list[_Entry] = []
        for entry in entries:
            if self._objection(held, entry) is None:
                held.append(entry)
        return held

    def _refuse(self, held: list[_Entry], candidate_entry: _Entry) -> None:
        """Errors: `HoldoutUseRefused` when the uses that are held leave none for the wish."""
        for use in _uses(held):
            if use.epoch == candidate_entry.epoch and use.result == PASSED:
                fact = f"closed: use {use.number} passed, version {use.version}"
                raise HoldoutUseRefused(fact, self._place(candidate_entry.epoch), FRESH)
        objection = self._objection(held, candidate_entry)
        if objection is not None:
            raise HoldoutUseRefused(objection[0], self._place(candidate_entry.epoch), objection[1])

    def _objection(self, held: list[_Entry], candidate_entry: _Entry) -> tuple[str, str] | None:
        """Fact and remedy, where the uses that are held leave none for the wish."""
        own = [e for e in held if e.epoch == candidate_entry.epoch]
        for number, entry in enumerate(own, 1):
            if entry.candidate == candidate_entry.candidate:
                fact = f"version {candidate_entry.version} has had its use, number {number}: {entry.result}"
                return fact, "One use a candidate, and none is given back: train another."
        if own and own[0].holdout_uses != candidate_entry.holdout_uses:
            return (
                f"opened with {own[0].holdout_uses} uses, not {candidate_entry.holdout_uses}",
                "Declare the budget that it was opened with.",
            )
        if own and own[0].rows != candidate_entry.rows:
            return "opened with other rows than these", FRESH
        if own and len(own) >= own[0].holdout_uses:
            return f"all {own[0].holdout_uses} uses are spent", FRESH
        if own:
            return None  # compared with the older epochs when it opened, and the younger ones with it
        for other in {e.epoch: e for e in reversed(held)}.values():
            shared = len(np.intersect1d(self._rows(candidate_entry), self._rows(other), assume_unique=True))
            if shared:
                fact = f"{shared:,} of its rows were looked at in epoch {other.epoch}, whose budget applies to them"
                return fact, "Seal rows that nobody has looked at."
        return None

    def _entries(self) -> list[_Entry]:
        """Return the ledger in order. Errors: `RegistryError` when an entry is missing or damaged."""
        where = without_password(self._registry.uri)
        remedy = "Somebody changed it. Go on under a new model name, with fresh rows."
        found: dict[int, _Entry] = {}  # pages that are read while others write repeat an entry
        for version in self._registry.entries(self._name):
            try:
                found[int(version.version)] = _Entry.of(version)
            except (KeyError, ValueError) as error:
                why = f"no tag {PREFIX}{error.args[0]}" if isinstance(error, KeyError) else str(error)
                raise RegistryError(
                    f"entry {version.version} of {self._name} is damaged: {why}", where, remedy
                ) from error
        missing = sorted(set(range(1, max(found, default=0))) - set(found))
        if missing:
            raise RegistryError(f"entry {missing[0]} of {self._name} is missing", where, remedy)
        return [found[number] for number in sorted(found)]

    def _append(self, run_id: str, candidate_entry: _Entry) -> None:
        """Write a reservation. One that arrived twice does no harm: the second is a duplicate of its candidate."""
        there = lambda: any(e.key == candidate_entry.key for e in self._entries())  # noqa: E731 - shorter than a function
        self._registry.append(self._name, run_id, candidate_entry.tags(), there)

    def _log_rows(self, epoch: str, rows: Hashes) -> str:
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / FILE, rows)
            location = self._registry.artifact_location
            return self._registry.log_run(EXPERIMENT, location, Path(folder), {"epoch": epoch, "model": self._name})

    def _rows(self, entry: _Entry) -> Hashes:
        """Return the rows of an entry, from its run where they are not known. Errors: `RegistryError` for damaged
        ones.
        """
        if entry.rows in self._known:
            return self._known[entry.rows]
        place = f"{FILE} of entry {entry.number} of {self._name}"
        with tempfile.TemporaryDirectory() as folder:
            try:
                rows: Hashes = np.load(self._registry.fetch(entry.run_id, FILE, Path(folder)), allow_pickle=False)
            except RegistryError as error:
                raise RegistryError(f"cannot be fetched ({error.fact})", place, "Is it deleted?") from error
            except (OSError, ValueError, EOFError) as error:
                raise RegistryError("is damaged", place, "Somebody changed it.") from error
        if rows.dtype != np.uint64 or _digest(rows) != entry.rows:
            raise RegistryError("does not hold the rows that were recorded", place, "Somebody changed it.")
        self._known[entry.rows] = rows
        return rows


def _uses(held: list[_Entry]) -> list[HoldoutUse]:
    """Entries that hold a use, numbered within their epochs."""
    found: list[HoldoutUse] = []
    for e in held:
        number = 1 + sum(use.epoch == e.epoch for use in found)
        found.append(
            HoldoutUse(e.epoch, number, e.holdout_uses, e.candidate, e.version, e.created, e.result, str(e.number))
        )
    return found


def _digest(rows: Hashes) -> str:
    return "sha256:" + hashlib.sha256(rows.astype("<u8").tobytes()).hexdigest()
