"""All versions of a registered model, also where a registry has no search, or one that leaves tags out.

Three ways, each tried where the registry refuses the one before: a search with an order, which pages cannot disturb; a
search without; and each number up to the newest version, which the model itself names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from weighin.errors import RegistryError, without_password
from weighin.registry.queries import literal
from weighin.registry.remedies import Absent, NotSupported
from weighin.registry.stores import Store
from weighin.registry.tag_names import meant

if TYPE_CHECKING:
    from mlflow import MlflowClient

PAGE = 200
T = TypeVar("T")
Call = Callable[[Callable[[], Any]], Any]


@dataclass(frozen=True)
class Version:
    """One version, as the registry holds it at this moment.

    run_id         empty where it came from no run
    current_stage  one of MLflow's stages, empty where the registry has none
    """

    version: str
    tags: Mapping[str, str]
    run_id: str
    current_stage: str


class Listing:
    """How one registry lists versions. It remembers what the registry refused."""

    def __init__(self, client: MlflowClient, call: Call, store: Store, uri: str) -> None:
        """Take `Registry._call`, which makes errors of MLflow ours, as `call`."""
        self._client, self._call, self._store, self._uri = client, call, store, uri
        self._ways = [self._in_order] if store.ordered else []
        self._ways += [self._searched, self._one_by_one]

    def versions(self, name: str) -> list[Version]:
        """Return all versions of a model, in no order; none where there is no such model. Errors: `RegistryError`."""
        if literal(name) is None:
            return self._listed(self._one_by_one, name)
        while True:
            try:
                return self._listed(self._ways[0], name)
            except NotSupported:
                if len(self._ways) == 1:
                    raise
                self._ways = self._ways[1:]

    def _listed(self, way: Callable[[str], list[Any]], name: str) -> list[Version]:
        try:
            return [self._read(name, found) for found in way(name)]
        except Absent:
            return []

    def _in_order(self, name: str) -> list[Any]:
        return list(self._pages(name, order_by=["version_number ASC"]))

    def _searched(self, name: str) -> list[Any]:
        return list(self._pages(name))

    def _pages(self, name: str, **order: Any) -> Iterator[Any]:
        token = None
        while True:
            query = f"name = {literal(name)}"
            page = self._call(partial(self._client.search_model_versions, query, PAGE, page_token=token, **order))
            yield from page
            token = page.token
            if not token:
                return

    def _one_by_one(self, name: str) -> list[Any]:
        """Ask for each number up to the newest. Errors: `RegistryError` where the registry names no newest version."""
        model = self._call(lambda: self._client.get_registered_model(name))
        newest = max((int(v.version) for v in model.latest_versions or ()), default=0)
        if not newest:
            raise RegistryError(
                f"no search of versions is allowed, and the newest version of `{name}` is not named either",
                without_password(self._uri),
                "Without them nobody can tell whether its ledger is whole: docs/reference/registries.md.",
            )
        found = []
        for number in range(1, newest + 1):
            try:
                found.append(self._get(name, str(number)))
            except Absent:
                # Deleted: whoever needs all numbers notices.
                continue
        return found

    def _get(self, name: str, version: str) -> Any:
        return self._call(partial(self._client.get_model_version, name, version))

    def _read(self, name: str, found: Any) -> Version:
        from mlflow.entities.model_registry.model_version_search import ModelVersionSearch

        if isinstance(found, ModelVersionSearch):
            # Unity Catalog leaves the tags out of what a search finds.
            found = self._get(name, str(found.version))
        return Version(
            str(found.version), meant(dict(found.tags), self._store), str(found.run_id or ""), found.current_stage or ""
        )
