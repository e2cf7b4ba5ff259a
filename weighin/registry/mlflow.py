"""The MLflow registry: which version an alias names, its files, and the alias moved as the last step."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weighin.errors import ContractError, RegistryError
from weighin.registry.location import tracking_uri
from weighin.subject import ModelVersion, artifact_digest


@dataclass(frozen=True)
class Address:
    """A parsed `models:/name/3` or `models:/name@alias`."""

    name: str
    version: str = ""
    alias: str = ""

    @staticmethod
    def parse(uri: str) -> Address:
        """Errors: `ContractError` for anything else."""
        rest = uri.removeprefix("models:/")
        name, _, alias = rest.partition("@")
        if alias:
            return Address(name, alias=alias)
        name, _, version = rest.rpartition("/")
        if rest == uri or not name or not version.isdigit():
            raise ContractError(
                f"`{uri}` names no model version", "", "Write models:/NAME/VERSION or models:/NAME@ALIAS."
            )
        return Address(name, version)


class Registry:
    """One MLflow registry. Every error of it arrives as `RegistryError` with the address as its place."""

    def __init__(self, uri: str | None = None) -> None:
        self.uri = uri or tracking_uri()
        import mlflow
        from mlflow import MlflowClient

        # The artifact download reads the process-wide address, the client would not be enough.
        mlflow.set_tracking_uri(self.uri)
        self._client = self._call(lambda: MlflowClient(tracking_uri=self.uri))

    def _call(self, what: Any) -> Any:
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            return what()
        except (MlflowException, RequestException, SQLAlchemyError, OSError) as error:
            first = without_password((str(error).splitlines() or [type(error).__name__])[0])[:300]
            raise RegistryError(first, without_password(self.uri), "Check the address and that it answers.") from error

    def aliased(self, name: str, alias: str) -> str | None:
        """The version that an alias names now, or None when the model or the alias does not exist."""
        models = self._call(lambda: self._client.search_registered_models(f"name = '{_quoted(name)}'"))
        version = dict(models[0].aliases).get(alias) if models else None
        return None if version is None else str(version)  # MLflow says an int or a str, depending on its store

    def resolve(self, uri: str, destination: Path) -> ModelVersion:
        """Copy a version's files to `destination` and say what they are.

        Errors: `RegistryError` when the registry is away or has no such version, `ContractError` for a bad address.
        """
        address = Address.parse(uri)
        version = address.version or self.aliased(address.name, address.alias)
        if version is None:
            raise RegistryError(
                f"no alias `{address.alias}` of `{address.name}`",
                without_password(self.uri),
                "Train and register one first.",
            )
        found = self._call(lambda: self._client.get_model_version(address.name, version))
        self._download(address.name, version, destination)
        return ModelVersion(address.name, version, found.run_id or "", artifact_digest(destination), uri)

    def digest(self, name: str, version: str, scratch: Path) -> str:
        """The digest of what the registry holds for a version at this moment, through a copy in `scratch`."""
        self._download(name, version, scratch)
        return artifact_digest(scratch)

    def _download(self, name: str, version: str, destination: Path) -> None:
        from mlflow.artifacts import download_artifacts

        if destination.exists():
            shutil.rmtree(destination)
        destination.mkdir(parents=True)
        uri = self._call(lambda: self._client.get_model_version_download_uri(name, version))
        self._call(lambda: download_artifacts(artifact_uri=uri, dst_path=str(destination)))
        if not (destination / "MLmodel").is_file():
            _unnest(destination)

    def move_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias name a version. MLflow's call is an unconditional upsert: compare before."""
        self._call(lambda: self._client.set_registered_model_alias(name, alias, version))

    def tag(self, name: str, version: str, tags: dict[str, str]) -> None:
        """Set tags on a version."""
        for key, value in tags.items():
            self._call(lambda key=key, value=value: self._client.set_model_version_tag(name, version, key, value))


def _unnest(folder: Path) -> None:
    """Some stores put a model into a folder of its own below the destination."""
    inner = [p for p in folder.iterdir() if p.is_dir() and (p / "MLmodel").is_file()]
    if len(inner) == 1:
        aside = folder.with_name(folder.name + ".unnested")
        inner[0].rename(aside)
        shutil.rmtree(folder)
        aside.rename(folder)


def _quoted(name: str) -> str:
    return name.replace("'", "\\'")


def without_password(text: str) -> str:
    """An address, or a message that holds one, as it may be shown: what stands before `@` of a host is a secret.

    >>> without_password("GET http://user:secret@host/x failed")
    'GET http://host/x failed'
    """
    return re.sub(r"://[^/\s@]*@", "://", text)
