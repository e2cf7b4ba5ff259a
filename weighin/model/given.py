"""What stands in place of a model: a folder with predictions, or with what a language model is told."""

from __future__ import annotations

import shutil
from pathlib import Path

from weighin.errors import NotEvaluated

MARK = "weighin-predictions.json"
"""A folder with this file, and without an MLmodel, holds a file of predictions for each dataset."""
BEHIND_ENDPOINT = "weighin-endpoint.json"
"""A folder with this file, and without an MLmodel, says what a language model is told."""


def is_given(folder: Path) -> bool:
    """Whether a folder of `models/` holds predictions, and no model."""
    return (folder / MARK).is_file() and not (folder / "MLmodel").exists()


def is_behind_endpoint(folder: Path) -> bool:
    """Whether a folder of `models/` says what a language model is told, and holds no model."""
    return (folder / BEHIND_ENDPOINT).is_file() and not (folder / "MLmodel").exists()


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
