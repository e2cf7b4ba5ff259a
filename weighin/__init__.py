"""weighin: release gates for machine-learning models.

A suite *measures*; one function decides. The tour, in the order in which a decision is made:

    contract   what must hold, written by the team           (model_contract.yaml)
    resolve    candidate and champion, fixed once to version, run and digest; data to rows
    model      the only place that loads a model: features in, predictions out
    suites     contract, subject, data and predictions in, measurements out
    outcome    decide(measurement, limit) -> outcome; nothing else compares a number with a limit
    record     the decision, as canonical bytes that anyone can recompute
    verdict    evidence to outcomes, outcomes to a record and its reports
    release    the alias, moved only for a record that passed

Public names are those of `__all__`; docs/reference/api.md shows them. They are imported when they are used: what runs
on the host of a workflow has nothing but the standard library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weighin.contract import Contract, read_contract
    from weighin.errors import WeighinError
    from weighin.outcome import Direction, Limit, Measurement, Outcome, Status, decide
    from weighin.record.verify import Verified, verify
    from weighin.release.promote import Promotion
    from weighin.release.rollback import Rollback, rollback
    from weighin.verdict.conclude import Verdict
    from weighin.verdict.promote import promote
    from weighin.verdict.validate import validate

__version__ = "0.1.0"
__all__ = [
    "Contract",
    "Direction",
    "Limit",
    "Measurement",
    "Outcome",
    "Promotion",
    "Rollback",
    "Status",
    "Verdict",
    "Verified",
    "WeighinError",
    "decide",
    "promote",
    "read_contract",
    "rollback",
    "validate",
    "verify",
]
_PLACES = {
    "Contract": "contract",
    "read_contract": "contract",
    "WeighinError": "errors",
    **dict.fromkeys(("Direction", "Limit", "Measurement", "Outcome", "Status", "decide"), "outcome"),
    **dict.fromkeys(("Verified", "verify"), "record.verify"),
    "Promotion": "release.promote",
    **dict.fromkeys(("Rollback", "rollback"), "release.rollback"),
    "Verdict": "verdict.conclude",
    "promote": "verdict.promote",
    "validate": "verdict.validate",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is used first."""
    if name not in _PLACES:
        raise AttributeError(f"module 'weighin' has no attribute {name!r}")
    return getattr(import_module(f"weighin.{_PLACES[name]}"), name)
