"""Companion models: what weighin keeps in a registry about a model, as registered models of their own.

They are named `<model>.ledger`, `<model>.holdout-uses` and `<model>.monitor` where MLflow keeps them itself, and
`<model>_ledger`, `<model>_holdout_uses` and `<model>_monitor` elsewhere: each registry accepts letters, digits and `_`
within a name, and a dot would begin another level in Unity Catalog. A contract may name the ledger instead.
"""

from __future__ import annotations

from typing import Literal

from weighin.errors import RegistryError
from weighin.registry.stores import NAME_LETTERS, Store

Kind = Literal["ledger", "holdout-uses", "monitor"]


def companion(model: str, kind: Kind, store: Store, ledger: str = "") -> str:
    """Return the name of a companion model.

    ledger  the name that the contract gives the ledger (`model.ledger.name`); the others are then named after it
    Errors: `RegistryError` for a name that is too long to be derived.

    >>> from weighin.registry.stores import MLFLOW, UNITY_CATALOG
    >>> companion("fraud", "ledger", MLFLOW), companion("prod.risk.fraud", "holdout-uses", UNITY_CATALOG)
    ('fraud.ledger', 'prod.risk.fraud_holdout_uses')
    """
    if ledger and kind == "ledger":
        return ledger
    suffix = kind if store.joint == "." else kind.replace("-", "_")
    name = f"{ledger or model}{store.joint}{suffix}"
    # In Unity Catalog each level has so many letters.
    if len(name.rpartition(".")[2] if store.levels else name) > NAME_LETTERS:
        raise RegistryError(
            f"the name of its {kind} would have {len(name)} letters, and {store.title} allows {NAME_LETTERS}",
            model,
            "Name it in the contract: `model: {ledger: {name: ...}}`.",
        )
    return name
