"""What a promotion leaves in a registry, and whether the registry can hold it: asked before anything is written."""

from __future__ import annotations

from weighin.errors import PromotionError, without_password
from weighin.registry.companions import companion
from weighin.registry.mlflow import Registry

PAGE = "docs/reference/registries.md"
LOST = {
    "aliases": "no alias can say who is champion, and `rollback` could not move it back",
    "tags of a version": "no ledger can say who was champion, so there would be no history",
}
"""What is lacking, and what a promotion could not promise without it."""


def demand_promises(registry: Registry, model: str, champion: str, ledger: str = "") -> None:
    """Demand that a registry can hold the champion's alias, the ledger and the tags. It only reads.

    champion  the alias
    ledger    the name that the contract gives the ledger, if it does
    Errors: `PromotionError` that says what could not be promised, `RegistryError`.
    """
    store, place = registry.store, without_password(registry.uri)
    if store.levels and model.count(".") != store.levels - 1:
        raise PromotionError(
            f"`{model}` is no name in {store.title}, where a name has {store.levels} levels",
            place,
            "Write catalog.schema.model as `model.name` of the contract.",
        )
    companion(model, "ledger", store, ledger)
    lacking = list(store.lacks)
    if not lacking and not registry.has_aliases(model, champion):
        lacking.append("aliases")
    if lacking:
        promises = "; ".join(LOST[what] for what in lacking)
        raise PromotionError(
            f"{store.title} has no {' and no '.join(lacking)}: {promises}",
            place,
            f"Nothing was written. {PAGE} says which registries hold them.",
        )
