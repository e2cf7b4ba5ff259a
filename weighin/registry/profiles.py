"""The profile of a model's reference data, stored with its version in the registry."""

from __future__ import annotations

import tempfile
from pathlib import Path

from weighin.data.profile import Profile
from weighin.errors import NotEvaluated, RegistryError
from weighin.model.subject import ModelVersion
from weighin.registry.mlflow import Registry

STORED = "weighin/profile/reference.json"
"""Where in a model's run the profile of its reference data lies."""


def stored_profile(model: ModelVersion | None, role: str) -> Profile:
    """Return the reference profile that is stored with a model version. Errors: `WeighinError` when there is none."""
    if model is None or not model.run_id:
        raise NotEvaluated(f"there is no {role} in the registry whose profile could be used", "data.reference")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return Profile.read(Registry().fetch(model.run_id, STORED, Path(scratch)))
        except RegistryError as error:
            remedy = "Promotion stores one; `weighin profile --store` does for a model that was not promoted by it."
            raise NotEvaluated(f"no profile is stored with {model} ({error.fact})", "data.reference", remedy) from error
