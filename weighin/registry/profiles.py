"""The profile of a model's reference data, stored with its version in the registry."""

from __future__ import annotations

import tempfile
from pathlib import Path

from weighin.data.profile import Profile
from weighin.errors import NotEvaluated, RegistryError
from weighin.model.subject import ModelVersion
from weighin.registry.champion import ChampionRegistry

STORED = "weighin/profile/reference.json"
"""Where in a model's run the profile of its reference data lies."""
BESIDE = "profile.json"
"""Its name among the files of a ledger's entry: there it is kept for a version that came from no run."""


def stored_profile(champions: ChampionRegistry, model: ModelVersion | None, role: str) -> Profile:
    """Return the reference profile that is stored with a model version: in its run, or beside its ledger entry.

    Errors: `WeighinError` when there is none.
    """
    if model is None or not model.version:
        raise NotEvaluated(f"there is no {role} in the registry whose profile could be used", "data.reference")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return Profile.read(_fetched(champions, model, Path(scratch)))
        except RegistryError as error:
            remedy = "Promotion stores one; `weighin profile --store` does for a model that was not promoted by it."
            raise NotEvaluated(f"no profile is stored with {model} ({error.fact})", "data.reference", remedy) from error


def _fetched(champions: ChampionRegistry, model: ModelVersion, folder: Path) -> Path:
    """Return the profile in the model's run, or the one beside its entry. Errors: `RegistryError`."""
    if not model.run_id:
        return _beside(champions, model.version, folder)
    try:
        return champions.registry.fetch(model.run_id, STORED, folder)
    except RegistryError as error:
        # A version that was imported has a run that holds its files alone.
        try:
            return _beside(champions, model.version, folder)
        except RegistryError:
            raise error from error.__cause__


def _beside(champions: ChampionRegistry, version: str, folder: Path) -> Path:
    """Return the profile beside the entry with which a version was promoted last. Errors: `RegistryError`."""
    promoted = [e for e in champions.ledger.entries() if e.after == version and e.action == "promote"]
    if not promoted:
        raise RegistryError("it came from no run, and no entry of the ledger promoted it", champions.ledger.name)
    return champions.ledger.kept(promoted[-1], BESIDE, folder)
