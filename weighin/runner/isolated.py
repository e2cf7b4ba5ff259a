"""The environment of an interpreter that takes nothing from its surroundings. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping

STEERING = ("PYTHON", "PYTEST_")
"""Begin of the names of variables that change what Python or pytest loads."""
KEPT = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONUTF8", "PYTHONHASHSEED")


def isolated(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those that name code to load, for a Python that does not look into its current
    folder.

    Source: Python's documentation, `PYTHONSAFEPATH` (3.11); pytest's, `PYTEST_DISABLE_PLUGIN_AUTOLOAD`.

    >>> isolated({"PATH": "/bin", "PYTHONPATH": "x", "PYTEST_ADDOPTS": "-p evil"})["PYTHONSAFEPATH"]
    '1'
    """
    kept = {k: v for k, v in environment.items() if k in KEPT or not k.startswith(STEERING)}
    return {**kept, "PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
