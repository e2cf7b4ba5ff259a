"""A chain that only grows, kept in the registry itself: compare-and-swap from nothing but numbers that MLflow assigns.

A link is one version of a companion registered model, written in one call: a kill leaves a whole link or none. MLflow
assigns version numbers atomically, and nothing else here is atomic: so every link names the one that its writer saw as
the last (`parent`), and whoever reads replays the numbers in order. A link counts if its parent is the last that
counted; of two that name the same parent the lower number counts, and the other has lost.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from weighin.canonical import canonical, digest
from weighin.errors import PromotionError, RegistryError, without_password
from weighin.registry.mlflow import Registry


class Link(Protocol):
    """What stands in a chain."""

    @property
    def parent(self) -> str:
        """`sum` of the link that its writer saw as the last; empty for the first."""

    @property
    def number(self) -> int:
        """Version of the companion model; 0 before it is written."""

    @property
    def run_id(self) -> str:
        """Of the run that keeps its files; empty before it is written."""

    @property
    def sum(self) -> str:
        """`sha256:<hex>` of what is written, the parent's sum included."""

    @property
    def content_hash(self) -> str:
        """`sha256:<hex>` of all but who wrote it and when: the same wish again has the same."""

    def tags(self) -> dict[str, str]:
        """Return what is written."""


DESCRIPTION = 4000
"""Letters of a version's description; MLflow's tables hold 5,000, and PostgreSQL refuses more."""
L = TypeVar("L", bound=Link)


class Chain(Generic[L]):
    """One chain of a registry.

    name        of the companion model
    experiment  in which the files of its links are kept
    read        a version of the registry as a link; `KeyError` for a missing tag, `ValueError` for edited ones
    """

    def __init__(self, registry: Registry, name: str, experiment: str, read: Callable[[Any], L]) -> None:
        self._registry = registry
        self.name = name
        self._experiment = experiment
        self._read = read

    def entries(self) -> list[L]:
        """All links that count, in order. Errors: `RegistryError` when one is missing or was changed."""
        return self._replayed(self._all())

    def head(self) -> L | None:
        """Return the last that counts."""
        entries = self.entries()
        return entries[-1] if entries else None

    def append(self, candidate_entry: L, evidence: Path) -> L:
        """Write a link; returns it as it stands, which it may have done already.

        evidence  folder of the files that speak for it; they are kept in a run of their own
        Errors: `PromotionError` when another came first, `RegistryError`.
        """
        written, chain = self._find(candidate_entry)
        # Who has lost already need not leave a link that everybody has to read from then on.
        if written is None and (chain[-1].sum if chain else "") == candidate_entry.parent:
            location = self._registry.artifact_location
            kept = {"model": self.name, "sum": candidate_entry.sum}
            run_id = self._registry.log_run(self._experiment, location, evidence, kept)
            # What arrived twice does no harm: the second names a parent that is no longer the last.
            there = lambda: self._find(candidate_entry)[0] is not None  # noqa: E731 - shorter than a function
            self._registry.append(self.name, run_id, candidate_entry.tags(), there, str(candidate_entry)[:DESCRIPTION])
            written, chain = self._find(candidate_entry)
            if written is None:
                raise RegistryError("the ledger does not show the entry that was written", self.name, "Run it again.")
        if written is None or written.number not in {e.number for e in chain}:
            first = next((e for e in chain if e.parent == candidate_entry.parent), None)
            if first is None:
                raise RegistryError("the entry that was the last does not count any more", self.name, TAMPERED)
            raise self._lost(first)
        return written

    def kept(self, entry: L, name: str, folder: Path) -> Path:
        """Return a file that is kept for a link, copied into `folder`. Errors: `RegistryError`."""
        return self._registry.fetch(entry.run_id, name, folder)

    def _lost(self, first: L) -> PromotionError:
        return PromotionError(f"another came first: entry {first.number}", self.name)

    def _find(self, candidate_entry: L) -> tuple[L | None, list[L]]:
        """Return the link of a wish, and those that count."""
        every = self._all()
        chain = self._replayed(every)
        counted = {e.number for e in chain}
        same = [e for e in every if e.content_hash == candidate_entry.content_hash]
        return next((e for e in same if e.number in counted), same[0] if same else None), chain

    def _replayed(self, entries: list[L]) -> list[L]:
        chain: list[L] = []
        for entry in entries:
            if entry.parent == (chain[-1].sum if chain else ""):
                chain.append(entry)
        return chain

    def _all(self) -> list[L]:
        where = f"{self.name}, {without_password(self._registry.uri)}"
        found: dict[int, L] = {}  # pages that are read while others write repeat an entry
        for version in self._registry.entries(self.name):
            try:
                found[int(version.version)] = self._read(version)
            except (KeyError, ValueError) as error:
                why = f"no tag {error.args[0]}" if isinstance(error, KeyError) else str(error)
                raise RegistryError(f"entry {version.version} was changed: {why}", where, TAMPERED) from error
        missing = sorted(set(range(1, max(found, default=0))) - set(found))
        if missing:
            raise RegistryError(f"entry {missing[0]} is missing", where, TAMPERED)
        return [found[number] for number in sorted(found)]


def summed(values: dict[str, str], prefix: str) -> dict[str, str]:
    """Tags that hold values and the digest of them all."""
    return {prefix + k: v for k, v in {**values, "sum": digest(canonical(values))}.items()}


TAMPERED = "Somebody changed the ledger. Restore the registry's database, or go on under a new model name."
