"""What an error of the registry means, and what to do about it: one sentence for each cause."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from weighin.errors import RegistryError, without_password

LETTERS = 300
LOOK = "Check the address and that it answers."
TOO_OLD = "The server is too old: update it to MLflow 2.22 or newer. docs/reference/registries.md says what is tested."
PLACE = re.compile(r"/api/\d\.\d/mlflow/[\w/-]+")
RELEASE = re.compile(r"\d{1,4}(\.\d{1,4}){1,2}[\w.+-]{0,20}")
SECONDS = 5.0
SEARCHLESS = "This registry does not offer that: docs/reference/registries.md says what works with which."
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
        re.compile(r"unsupported URI 'azureml", re.IGNORECASE),
        "MLflow does not know addresses of Azure Machine Learning here",
        "Install azureml-mlflow beside weighin, in the image as well: docs/reference/registries.md.",
    ),
    (
        re.compile(r"out-of-date database schema", re.IGNORECASE),
        "the tables of this database are those of another release of MLflow",
        "Run `mlflow db upgrade` with MLflow 3.17 after a backup, or set MLFLOW_TRACKING_URI to the server before it.",
    ),
    (
        re.compile(r"did not contain any signature|signature that includes only inputs", re.IGNORECASE),
        "the model has no signature with inputs and outputs, and this registry takes none without",
        "Log it with `signature=infer_signature(features, predictions)`: docs/how-to/log-a-model.md.",
    ),
    (
        re.compile(r"unsupported URI"),
        "no address of a registry",
        "Write http://HOST:PORT, https://HOST, or sqlite:///PATH.",
    ),
)


class Absent(RegistryError):
    """The registry answers, and has nothing of that name."""


class NotSupported(RegistryError):
    """The registry answers, and refuses this kind of request from everybody."""


_REFUSED = re.compile(
    r"unsupported|(is|are|not yet|currently) not supported|(do|does) not support|not implemented", re.I
)


def explained(text: str, code: str, uri: str, server: str = "") -> RegistryError:
    """Return an error of MLflow's client as one with the remedy of its cause.

    text, code  what it says, and its `error_code`
    server      the release of MLflow that answers there, where it was asked for
    """
    place = without_password(uri)
    if server:
        lacking = PLACE.search(text)
        fact = f"MLflow {server} answers there, and has no {lacking[0] if lacking else 'such request'}"
        return NotSupported(fact, place, TOO_OLD)
    for cause, fact, remedy in _CAUSES:
        if cause.search(text):
            return RegistryError(fact, place, remedy)
    kind = _kind(text, code)
    remedy = SEARCHLESS if kind is NotSupported and code not in BY_CODE else BY_CODE.get(code, LOOK)
    return kind(without_password(text)[:LETTERS], place, remedy)


def _kind(text: str, code: str) -> type[RegistryError]:
    if code == "RESOURCE_DOES_NOT_EXIST":
        return Absent
    if code in ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "FEATURE_DISABLED") or _REFUSED.search(text):
        return NotSupported
    return RegistryError


def version_of(uri: str) -> str:
    """Return the release of MLflow that a server says it is; empty where it says none. No password is sent."""
    if urlsplit(uri).scheme not in ("http", "https"):
        return ""
    import requests

    try:
        with requests.get(f"{without_password(uri).rstrip('/')}/version", timeout=SECONDS, stream=True) as answer:
            said = next(answer.iter_content(64), b"").decode(errors="replace").strip()
    except (requests.RequestException, OSError):
        return ""
    return said if answer.status_code == 200 and RELEASE.fullmatch(said) else ""


def must_have_a_scheme(uri: str, variable: str) -> None:
    """Errors: `RegistryError` for a host without a scheme, which MLflow takes for a folder.

    variable  where the address stands

    >>> must_have_a_scheme("127.0.0.1:5000", "MLFLOW_TRACKING_URI")
    Traceback (most recent call last):
    weighin.errors.RegistryError: MLFLOW_TRACKING_URI: `127.0.0.1:5000` has no scheme. Write http://127.0.0.1:5000.
    """
    if HOST.fullmatch(uri):
        raise RegistryError(f"`{uri}` has no scheme", variable, f"Write http://{uri}.")
