"""Predictions that were given in place of a model: a folder that is read where a model would be loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

from weighin.errors import NotEvaluated

MARK = "weighin-predictions.json"
"""A folder with this file, and without an MLmodel, holds a file of predictions for each dataset."""


def is_given(folder: Path) -> bool:
    """Whether a folder of `models/` holds predictions, and no model."""
    return (folder / MARK).is_file() and not (folder / "MLmodel").exists()


def copy_given(folder: Path, features: Path, out: Path) -> None:
    """Leave the predictions for every `features/*.parquet` in `out`, as a model that was asked does.

    Errors: `NotEvaluated` where there are none for one of them.
    """
    out.mkdir(parents=True, exist_ok=True)
    for asked in sorted(features.glob("*.parquet")):
        found = folder / f"{asked.stem}.arrow"
        if not found.is_file():
            raise NotEvaluated(f"no predictions were given for {asked.stem}", "", "Give them, or a model.")
        shutil.copyfile(found, out / found.name)
