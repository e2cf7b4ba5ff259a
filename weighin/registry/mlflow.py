"""The MLflow registry: which version an alias names, its files, and the alias moved as the last step."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from weighin.errors import ContractError, RegistryError, without_password
from weighin.model.subject import ModelVersion, artifact_digest
from weighin.registry import entry_model
from weighin.registry.client import BUSY, again
from weighin.registry.listing import Listing, Version
from weighin.registry.location import is_embedded
from weighin.registry.remedies import Absent, NotSupported
from weighin.registry.runs import Runs
from weighin.registry.tag_names import meant, stored, stored_key

MODEL, KEPT = "model", "weighin"
"""Folders in a run: the model's files, and what weighin keeps with them."""


@dataclass(frozen=True)
class Address:
    """A parsed `models:/name/3` or `models:/name@alias`."""

    name: str
    version: str = ""
    alias: str = ""

    @staticmethod
    def parse(uri: str) -> Address:
        """Take a name apart from what follows it. A name may hold `@`, and neither `/` nor `:`.

        Errors: `ContractError` for anything else.

        >>> Address.parse("models:/a@b@champion"), Address.parse("models:/prod.risk.fraud/3")
        (Address(name='a@b', version='', alias='champion'), Address(name='prod.risk.fraud', version='3', alias=''))
        """
        rest = uri.removeprefix("models:/")
        if rest != uri and (numbered := re.fullmatch(r"([^/]+)/([0-9]+)", rest)):
            return Address(numbered[1], numbered[2])
        name, _, alias = rest.rpartition("@")
        if rest == uri or not name or not alias or "/" in rest:
            raise ContractError(
                f"`{uri}` names no model version", "", "Write models:/NAME/VERSION or models:/NAME@ALIAS."
            )
        return Address(name, alias=alias)


class Registry(Runs):
    """One MLflow registry, with the runs beside it."""

    def __init__(self, uri: str | None = None, tracking: str | None = None) -> None:
        """Take the addresses; without any, those of the environment. With one of them the other is what MLflow takes
        beside it.
        """
        super().__init__(uri, tracking)
        self._listing = Listing(self._client, self._call, self.store, self.uri)

    def aliases(self, name: str) -> dict[str, str]:
        """Alias -> version that it names now; empty when the model does not exist."""
        try:
            # Not by a search: some registries have no filters, and others leave out what this user may not read.
            held = self._call(lambda: self._client.get_registered_model(name)).aliases
        except Absent:
            return {}
        # MLflow says an int or a str, depending on its store.
        return {alias: str(version) for alias, version in dict(held).items()}

    def has_aliases(self, name: str, alias: str) -> bool:
        """Return whether this registry knows aliases at all. Nothing is written for that."""
        try:
            self._call(lambda: self._client.get_model_version_by_alias(name, alias))
        except NotSupported:
            return False
        except RegistryError:
            # No such alias yet, no such model, or none that this user may read: that is said where it matters.
            return True
        return True

    def _nothing_registered(self) -> bool:
        return is_embedded(self.uri) and not self._call(lambda: self._client.search_registered_models(max_results=1))

    def aliased(self, name: str, alias: str) -> str | None:
        """Return the version that an alias names now, or None when the model or the alias does not exist."""
        return self.aliases(name).get(alias)

    def resolve(self, uri: str, destination: Path) -> ModelVersion:
        """Copy a version's files to `destination` and say what they are.

        Errors: `RegistryError` when the registry is away or has no such version, `ContractError` for a bad address.
        """
        address = Address.parse(uri)
        version = address.version or self.aliased(address.name, address.alias)
        if version is None:
            fact, remedy = f"no alias `{address.alias}` of `{address.name}`", "Train and register one first."
            if self._nothing_registered():
                fact = f"the embedded registry is empty: {fact}"
                remedy += (
                    " Where one is registered elsewhere, run this beside the contract, or set MLFLOW_TRACKING_URI."
                )
            raise RegistryError(fact, without_password(self.uri), remedy)
        found = self._call(lambda: self._client.get_model_version(address.name, version))
        self._download(address.name, version, destination)
        return ModelVersion(address.name, version, self._run_here(found), artifact_digest(destination), uri)

    def digest(self, name: str, version: str, scratch: Path) -> str:
        """Return the digest of what the registry holds for a version at this moment, through a copy in `scratch`."""
        self._download(name, version, scratch)
        return artifact_digest(scratch)

    def _download(self, name: str, version: str, destination: Path) -> None:
        if destination.exists():
            shutil.rmtree(destination)
        destination.mkdir(parents=True)
        uri = f"models:/{name}/{version}"
        if not self.store.by_address:
            uri = self._call(lambda: self._client.get_model_version_download_uri(name, version))
        self._call(lambda: self._download_all(uri, destination))
        if not (destination / "MLmodel").is_file():
            _unnest(destination)

    def _download_all(self, uri: str, destination: Path) -> None:
        from mlflow.artifacts import download_artifacts

        place = str(destination)
        download_artifacts(artifact_uri=uri, dst_path=place, tracking_uri=self.tracking, registry_uri=self.uri)

    def move_alias(self, name: str, alias: str, version: str) -> None:
        """Let an alias name a version. MLflow's call is an unconditional upsert: compare before."""
        self._call(lambda: self._client.set_registered_model_alias(name, alias, version))

    def tags(self, name: str, version: str) -> dict[str, str]:
        """Return the tags of a version."""
        return meant(dict(self._call(lambda: self._client.get_model_version(name, version)).tags), self.store)

    def tag(self, name: str, version: str, tags: dict[str, str]) -> None:
        """Set tags on a version."""
        for key, value in stored(tags, self.store).items():
            self._set(partial(self._client.set_model_version_tag, name, version, key, value))

    def untag(self, name: str, version: str, tags: Iterable[str]) -> None:
        """Delete tags of a version."""
        for key in tags:
            held = stored_key(key, self.store)
            self._call(partial(self._client.delete_model_version_tag, name, version, held))

    def entries(self, name: str) -> list[Version]:
        """Return all versions of a model, in no order; none where there is no such model."""
        return self._listing.versions(name)

    def add_entry(self, name: str, run_id: str, tags: dict[str, str], description: str = "") -> int:
        """Append to a ledger: one version with all of its tags in one call; returns the number that MLflow gave it."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                self._call(lambda: self._client.get_registered_model(name))
        source = self._call(lambda: self._client.get_run(run_id)).info.artifact_uri
        if self.store.holds_models_only:
            with tempfile.TemporaryDirectory() as scratch:
                entry_model.write_entry_model(Path(scratch))
                self.log_files(run_id, Path(scratch), entry_model.FOLDER)
            source = f"{source}/{entry_model.FOLDER}"
        held = stored(tags, self.store)
        made = self._call(
            lambda: self._client.create_model_version(name, source, run_id, held, description=description or None)
        )
        return int(made.version)

    def append(
        self, name: str, run_id: str, tags: dict[str, str], there: Callable[[], bool], description: str = ""
    ) -> None:
        """`add_entry`, again where the store was busy, and not again where the entry is there after all.

        there        whether the ledger shows the entry: an answer can be lost after its request succeeded
        description  Markdown for the registry's own pages
        Errors: `RegistryError`.
        """

        def add() -> None:
            try:
                self.add_entry(name, run_id, tags, description)
            except RegistryError:
                if not there():
                    raise

        def busy(error: Exception) -> bool:
            return isinstance(error, RegistryError) and any(words in error.fact for words in BUSY)

        again(add, busy)

    def copy_version(self, address: Address, name: str) -> str:
        """Copy a version to another registered model of this registry; returns its number there.

        Without its tags, which MLflow's own copy takes along: they say what that version is in the other model.
        """
        from mlflow.exceptions import MlflowException

        found = self._call(lambda: self._client.get_model_version(address.name, address.version))
        # It may exist, and who may only copy into it cannot create it.
        with contextlib.suppress(MlflowException):
            self._client.create_registered_model(name)
        source = f"models:/{address.name}/{address.version}"
        if re.search(r"[#?%;@]", address.name):
            # MLflow reads that as an address, where these letters mean something else.
            source = self._call(lambda: self._client.get_model_version_download_uri(address.name, address.version))
        copied = self._call(
            lambda: self._client.create_model_version(
                name, source, found.run_id, description=found.description, model_id=found.model_id
            )
        )
        return str(copied.version)

    def run_of(self, address: Address) -> str:
        """Return the run that a version came from; empty where there is none."""
        return self._run_here(self._call(lambda: self._client.get_model_version(address.name, address.version)))

    def _run_here(self, version: Any) -> str:
        """Return the run of a version; empty where it came from none, or from one that this server does not have (any
        more), as after an export and import.
        """
        run_id = str(version.run_id or "")
        try:
            found = self._call(lambda: self._client.get_run(run_id)) if run_id else None
        except Absent:
            return ""
        return run_id if found is not None and found.info.lifecycle_stage == "active" else ""

    def add_version(self, name: str, run_id: str, folder: Path, source: Registry) -> str:
        """Register a model's files that came from another registry; returns the number of the version.

        run_id, source  the run there that it came from: the profile that is stored with it comes along
        """
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copytree(folder, Path(scratch) / MODEL)
            if run_id:
                # Not every run has one.
                with contextlib.suppress(RegistryError):
                    source.fetch(run_id, KEPT, Path(scratch))
            where = self.artifact_location
            run = self.log_run("weighin-imported", where, Path(scratch), {"model": name})
        with contextlib.suppress(RegistryError):
            self._call(lambda: self._client.create_registered_model(name))
        root = self._call(lambda: self._client.get_run(run)).info.artifact_uri
        made = self._call(lambda: self._client.create_model_version(name, f"{root}/{MODEL}", run))
        return str(made.version)


def _unnest(folder: Path) -> None:
    """Move a model up that a store has put into a folder of its own below the destination."""
    inner = [p for p in folder.iterdir() if p.is_dir() and (p / "MLmodel").is_file()]
    if len(inner) == 1:
        aside = folder.with_name(folder.name + ".unnested")
        inner[0].rename(aside)
        shutil.rmtree(folder)
        aside.rename(folder)
