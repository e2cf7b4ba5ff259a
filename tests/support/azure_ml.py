"""Answers of Azure Machine Learning in the place of an MLflow server's: no `/logged-models`, no filters, or no aliases.

Sources: Azure/azure-sdk-for-python issue 44896 (404 with an empty body for `/logged-models`) and issue 42155 (400,
`INVALID_PARAMETER_VALUE`, for a filter); learn.microsoft.com "Manage models registry in Azure Machine Learning with
MLflow" (its table names stages, and no aliases).
"""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

FILTER = {
    "error_code": "INVALID_PARAMETER_VALUE",
    "message": "Response: {'Error': {'Code': 'UserError', 'Message': 'Currently unsupported filter string format "
    "(we currently do not support OR). Provided filter string: name'}}",
}
NOTHING = (404, b"")


def like_azure(method: str, path: str) -> tuple[int, bytes] | None:
    """Refuse what Azure Machine Learning refuses."""
    place, query = urlsplit(path).path, parse_qs(urlsplit(path).query)
    if "/logged-models" in place:
        return NOTHING
    searched = place.endswith(("/model-versions/search", "/registered-models/search"))
    if searched and ("filter" in query or "order_by" in query):
        return 400, json.dumps(FILTER).encode()
    return None


def without_aliases(method: str, path: str) -> tuple[int, bytes] | None:
    """Refuse aliases as well."""
    return NOTHING if urlsplit(path).path.endswith("/registered-models/alias") else like_azure(method, path)


def register() -> None:
    """Let MLflow find the scheme `azureml`, as Azure's own plugin does; the rest of an address is host and port."""
    from functools import partial

    from mlflow.store.model_registry.rest_store import RestStore
    from mlflow.tracking._model_registry.utils import _get_store_registry
    from mlflow.utils.credentials import get_default_host_creds

    def store(store_uri: str, tracking_uri: str | None = None) -> RestStore:
        return RestStore(partial(get_default_host_creds, store_uri.replace("azureml://", "http://")))

    _get_store_registry().register("azureml", store)
