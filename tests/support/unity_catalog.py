"""A registry that refuses what Unity Catalog refuses, call by call; what it allows, MLflow's own store does.

The refusals are those of MLflow's client for Databricks (mlflow/store/_unity_catalog/registry/rest_store.py of 3.17)
and of Databricks' documentation: "Names" (no period, space, slash or control character within a level, 255 letters,
lower case) and "Apply tags to Unity Catalog securable objects" (50 tags, keys of 255 letters without `. , - = / :`,
values of 1,000 letters). Databricks copies the files of a version; so does this.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import mlflow.artifacts
from mlflow.entities.model_registry.model_version_search import ModelVersionSearch
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.store.entities.paged_list import PagedList
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

SCHEME = "like-unity-catalog"
FORBIDDEN = re.compile(r"[\x00-\x20\x7f./]")
BY_NAME = re.compile(r"name\s*=\s*'[^']*'|run_id\s*=\s*'[^']*'")


class UnityCatalogStore(SqlAlchemyStore):
    """Its address is the scheme and the path of a SQLite file: `like-unity-catalog:/path/uc.db`."""

    def __init__(self, store_uri: str, tracking_uri: str | None = None) -> None:
        self._path = Path(store_uri.partition(":")[2])
        self._tracking = tracking_uri
        super().__init__(f"sqlite:///{self._path}")

    def create_registered_model(self, name: str, tags: Any = None, *more: Any, **named: Any) -> Any:
        _demand_tags({}, tags)
        return super().create_registered_model(_checked(name), tags, *more, **named)

    def get_registered_model(self, name: str) -> Any:
        found = super().get_registered_model(_checked(name))
        # Databricks answers no versions with it.
        found._latest_version = []
        return found

    def search_registered_models(
        self, filter_string: Any = None, max_results: Any = None, order_by: Any = None, page_token: Any = None
    ) -> Any:
        if filter_string:
            _refuse("Argument 'filter_string'")
        if order_by:
            _refuse("Argument 'order_by'")
        return super().search_registered_models(None, max_results, None, page_token)

    def search_model_versions(
        self, filter_string: Any = None, max_results: Any = None, order_by: Any = None, page_token: Any = None
    ) -> Any:
        if order_by:
            _refuse("Argument 'order_by'")
        if not BY_NAME.fullmatch(filter_string or ""):
            raise MlflowException(f"Unsupported filter query : `{filter_string}`")
        # Pages of two, so that whoever reads one page only is found out.
        found = super().search_model_versions(filter_string.lower(), 2, None, page_token)
        return PagedList([_without_tags(v) for v in found], found.token)

    def get_latest_versions(self, name: str, stages: Any = None) -> NoReturn:
        _refuse("Method 'get_latest_versions'")

    def transition_model_version_stage(self, *given: Any, **named: Any) -> NoReturn:
        _refuse("Method 'transition_model_version_stage'")

    def get_model_version(self, name: str, version: str) -> Any:
        found = super().get_model_version(_checked(name), version)
        found._current_stage = None
        return found

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str | None = None,
        tags: Any = None,
        run_link: Any = None,
        description: str | None = None,
        **named: Any,
    ) -> Any:
        if run_link:
            _refuse("Argument 'run_link'")
        _demand_tags({}, tags)
        name, kept = _checked(name), Path(tempfile.mkdtemp(dir=self._path.parent, prefix="managed-"))
        arrived = Path(mlflow.artifacts.download_artifacts(artifact_uri=source, tracking_uri=self._tracking))
        _demand_signature(arrived)
        shutil.copytree(arrived, kept, dirs_exist_ok=True)
        return super().create_model_version(name, str(kept), run_id, tags, None, description)

    def set_model_version_tag(self, name: str, version: str, tag: Any) -> None:
        _demand_tags(self.get_model_version(name, version).tags, [tag])
        super().set_model_version_tag(_checked(name), version, tag)

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        super().delete_model_version_tag(_checked(name), version, key)

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        super().set_registered_model_alias(_checked(name), alias, version)

    def get_model_version_by_alias(self, name: str, alias: str) -> Any:
        return super().get_model_version_by_alias(_checked(name), alias)

    def get_model_version_download_uri(self, name: str, version: str) -> Any:
        return super().get_model_version_download_uri(_checked(name), version)


def _refuse(what: str) -> NoReturn:
    raise MlflowException(f"{what} is unsupported for models in the Unity Catalog.")


def _checked(name: str) -> str:
    levels = name.split(".")
    if len(levels) != 3 or any(not level or len(level) > 255 or FORBIDDEN.search(level) for level in levels):
        raise MlflowException(f"INVALID_PARAMETER_VALUE: Invalid name {name!r}", error_code=1000)
    return name.lower()


def _demand_tags(held: dict[str, str], tags: Iterable[Any] | None) -> None:
    for tag in tags or ():
        if re.search(r"[.,\-=/:]", tag.key) or tag.key != tag.key.strip() or len(tag.key) > 255:
            raise MlflowException(f"Tag key {tag.key!r} is not allowed", error_code=1000)
        if len(tag.value) > 1000:
            raise MlflowException(f"The value of tag {tag.key!r} is too long", error_code=1000)
    if len({*held, *(t.key for t in tags or ())}) > 50:
        raise MlflowException("More than 50 tags", error_code=1000)


def _demand_signature(folder: Path) -> None:
    try:
        signature = Model.load(str(folder)).signature
    except Exception as error:
        raise MlflowException(f"Unable to load model metadata: {error}") from error
    if signature is None or signature.outputs is None:
        raise MlflowException("Model passed for registration did not contain any signature metadata.")


def _without_tags(version: Any) -> ModelVersionSearch:
    names = ("name", "version", "creation_timestamp", "last_updated_timestamp", "description", "user_id", "source")
    told = {name: getattr(version, name) for name in (*names, "run_id", "status", "status_message")}
    return ModelVersionSearch(**told, aliases=[], tags=[])


def register() -> None:
    """Let MLflow find the store in this process and its forks, as an entry point of a plugin would."""
    from mlflow.tracking._model_registry.utils import _get_store_registry

    _get_store_registry().register(SCHEME, UnityCatalogStore)
