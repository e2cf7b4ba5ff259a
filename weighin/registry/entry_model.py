"""The model that a companion version holds where a registry takes nothing but MLflow models with a signature.

It has no flavour, so nothing can load or serve it: what an entry says stands in its tags.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = "weighin-entry"
"""Folder of a run that holds it; it is no part of the evidence."""


def write_entry_model(folder: Path) -> None:
    """Write the files of the model into a folder."""
    from mlflow.models import Model, ModelSignature
    from mlflow.types.schema import ColSpec, DataType, Schema

    text = Schema([ColSpec(DataType.string, "entry")])
    folder.mkdir(parents=True, exist_ok=True)
    Model(signature=ModelSignature(text, text), metadata={"weighin": "an entry, no model"}).save(folder / "MLmodel")
