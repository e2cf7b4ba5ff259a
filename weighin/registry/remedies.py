"""What an error of the registry means, and what to do about it: one sentence for each cause."""

from __future__ import annotations

import re

from weighin.errors import RegistryError, without_password

LETTERS = 300
LOOK = "Check the address and that it answers."
BY_CODE = {
    "UNAUTHENTICATED": "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
    "PERMISSION_DENIED": "This user needs another permission: docs/how-to/access.md says which.",
    "RESOURCE_DOES_NOT_EXIST": "Name one that is registered there; `weighin history` lists those that were champion.",
    "ENDPOINT_NOT_FOUND": "No MLflow answers there: give the address with the path that it has behind a proxy.",
}
HOST = re.compile(r"(localhost|[\w-]+(\.[\w-]+)+)(:\d{1,5})?(/.*)?$|[\w.-]+:\d{1,5}(/.*)?$")
"""An address without a scheme, as a browser takes it."""
_PAGE = re.compile(r"Response body: '\s*<|not in a valid JSON format", re.IGNORECASE)
_CAUSES = (
    (
        re.compile(r"Invalid Host header", re.IGNORECASE),
        "the server refuses requests under this host name",
        "Name the host in the server's --allowed-hosts (MLFLOW_SERVER_ALLOWED_HOSTS), or use a name that it allows.",
    ),
    (
        _PAGE,
        "a page was answered in place of JSON: a sign-in page, or no MLflow",
        "Set MLFLOW_TRACKING_TOKEN for the proxy before it, or give an address that needs no sign-in page.",
    ),
    (
        re.compile(r"filesystem tracking backend", re.IGNORECASE),
        "a folder of files, which MLflow no longer keeps a registry in",
        "Move it with `mlflow migrate-filestore`, and set MLFLOW_TRACKING_URI to a server or sqlite:///PATH.",
    ),
    (
        re.compile(r"unsupported URI"),
        "no address of a registry",
        "Write http://HOST:PORT, https://HOST, or sqlite:///PATH.",
    ),
)


def explained(text: str, code: str, uri: str) -> RegistryError:
    """Return an error of MLflow's client as one with the remedy of its cause.

    text, code  what it says, and its `error_code`
    """
    place = without_password(uri)
    for cause, fact, remedy in _CAUSES:
        if cause.search(text):
            return RegistryError(fact, place, remedy)
    return RegistryError(without_password(text)[:LETTERS], place, BY_CODE.get(code, LOOK))


def must_have_a_scheme(uri: str) -> None:
    """Errors: `RegistryError` for a host without a scheme, which MLflow takes for a folder.

    >>> must_have_a_scheme("127.0.0.1:5000")
    Traceback (most recent call last):
    weighin.errors.RegistryError: MLFLOW_TRACKING_URI: `127.0.0.1:5000` has no scheme. Write http://127.0.0.1:5000.
    """
    if HOST.fullmatch(uri):
        raise RegistryError(f"`{uri}` has no scheme", "MLFLOW_TRACKING_URI", f"Write http://{uri}.")
