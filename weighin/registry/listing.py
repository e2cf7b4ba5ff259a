"""All versions of a registered model, also where a registry has no search, or one that leaves tags out.

Three ways, each tried where the registry refuses the one before: a search with an order, which pages cannot disturb; a
search without; and each number up to the newest version, which the model itself names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
AT_ONCE = 8
"""Versions that are asked for at once."""
T = TypeVar("T")
Call = Callable[[Callable[[], Any]], Any]


@dataclass(frozen=True)
class Version:
    """One version, as the registry holds it at this moment.

    run_id         empty where it came from no run
    current_stage  one of MLflow's stages, empty where the registry has none
    description    Markdown
    """

    version: str
    tags: Mapping[str, str]
    run_id: str
    current_stage: str
    description: str = ""


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
        from mlflow.entities.model_registry.model_version_search import ModelVersionSearch

        try:
            found = way(name)
            if any(isinstance(version, ModelVersionSearch) for version in found):
                # Unity Catalog leaves the tags out of what a search finds.
                found = self._each(name, [str(version.version) for version in found])
            return [self._read(version) for version in found]
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
        """Ask for each number up to the newest, which the model names where it has any version.

        Errors: `RegistryError` where there are versions, and the registry names none.
        """
        model = self._call(lambda: self._client.get_registered_model(name))
        newest = max((int(v.version) for v in model.latest_versions or ()), default=0)
        if not newest and self._get(name, "1") is not None:
            raise RegistryError(
                f"no search of versions is allowed, and the newest version of `{name}` is not named either",
                without_password(self._uri),
                "Without them nobody can tell whether its ledger is whole: docs/reference/registries.md.",
            )
        return self._each(name, [str(number) for number in range(1, newest + 1)])

    def _each(self, name: str, numbers: Sequence[str]) -> list[Any]:
        """Ask for each version; those that were deleted are left out, and whoever needs all numbers notices."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return [found for found in pool.map(partial(self._get, name), numbers) if found is not None]

    def _get(self, name: str, version: str) -> Any:
        try:
            return self._call(partial(self._client.get_model_version, name, version))
        except Absent:
            return None

    def _read(self, found: Any) -> Version:
        tags = meant(dict(found.tags), self._store)
        run_id, stage = str(found.run_id or ""), found.current_stage or ""
        return Version(str(found.version), tags, run_id, stage, found.description or "")
