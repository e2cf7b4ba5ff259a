"""MLflow's client, with errors as ours: every call is made here, and again where a SQLite file was too busy."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from weighin.errors import RegistryError, without_password
from weighin.registry.location import (
    REGISTRY,
    TRACKING,
    artifact_location,
    registry_beside,
    registry_uri,
    tracking_beside,
    tracking_uri,
)
from weighin.registry.remedies import explained, must_have_a_scheme, version_of
from weighin.registry.stores import store_of

BUSY_STORE: Mapping[str, Any] = {"attempts": 6, "timeout": None, "wait_initial": 0.2, "wait_max": 4.0}
"""How often, and after how many seconds, a store that is busy is asked again; see `stamina.retry_context`."""
T = TypeVar("T")
LOCKED = "database is locked"
BUSY = (LOCKED, "Giving up after")  # what SQLite says, and MLflow when others took its number


class Client:
    """MLflow's client for one registry. Every error arrives as `RegistryError` with the address as its place.

    uri       where registered models live
    tracking  where runs and their files live
    store     what the registry can hold
    """

    def __init__(self, uri: str | None = None, tracking: str | None = None) -> None:
        """Take the addresses; without any, those of the environment. With one of them the other is what MLflow takes
        beside it.
        """
        self.tracking = tracking or (tracking_beside(uri) if uri else tracking_uri())
        self.uri = registry_beside(uri) if uri else registry_uri(self.tracking)
        must_have_a_scheme(self.tracking, TRACKING)
        must_have_a_scheme(self.uri, REGISTRY)
        self.store = store_of(self.uri)
        from mlflow import MlflowClient

        # Its own addresses, and not those of the process: several registries may be used side by side.
        self._client = self._call(lambda: MlflowClient(tracking_uri=self.tracking, registry_uri=self.uri))

    def _call(self, what: Callable[[], T]) -> T:
        """Return what a call to MLflow returns; one that a SQLite file was too busy for is tried again.

        Errors: `RegistryError`, without a password.
        """
        from mlflow.exceptions import MlflowException
        from requests.exceptions import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        def locked(error: Exception) -> bool:
            # SQLite says so before it commits anything.
            known = isinstance(error, (MlflowException, RequestException, SQLAlchemyError, OSError))
            return known and LOCKED in str(error)

        try:
            return again(what, locked)
        except (MlflowException, RequestException, SQLAlchemyError, OSError, NotImplementedError) as error:
            raise self._said(error) from _shown(error)

    def _set(self, what: Callable[[], object]) -> None:
        """`_call` for what sets a value: where another set it first at the same moment, it is set again.

        MLflow looks whether it is there, and then inserts it; of two the second is refused by the database.
        """

        def set_first_by_another(error: Exception) -> bool:
            return isinstance(error, RegistryError) and "unique constraint" in error.fact.lower()

        again(lambda: self._call(what), set_first_by_another)

    def _said(self, error: Exception) -> RegistryError:
        lines = str(error).splitlines() or [type(error).__name__]
        fact = next((line for line in lines if LOCKED in line), lines[0])
        code = "NOT_IMPLEMENTED" if isinstance(error, NotImplementedError) else str(getattr(error, "error_code", ""))
        server = version_of(self.uri) if code == "ENDPOINT_NOT_FOUND" else ""
        return explained(fact, code, self.uri, server)

    @property
    def artifact_location(self) -> str | None:
        """Where a new experiment keeps its files; None where the server decides."""
        return artifact_location(self.tracking)


def again(what: Callable[[], T], when: Callable[[Exception], bool]) -> T:
    """Return what a call returns; after an error that `when` accepts it is made again, as BUSY_STORE says."""
    import stamina

    for attempt in stamina.retry_context(on=when, **BUSY_STORE):
        with attempt:
            return what()
    raise AssertionError("the last attempt returns or raises")


def _shown(error: Exception) -> Exception | None:
    """Return an error as the cause of another, or None where a traceback of it would show a password."""
    text = "".join(traceback.format_exception(error))
    return error if without_password(text) == text else None
