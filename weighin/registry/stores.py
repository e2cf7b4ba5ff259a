"""What a model registry can hold, by its address: names, tags, versions, aliases.

MLflow's client speaks with several registries, and each of them refuses something that another allows. What is known of
a registry stands here, with its source; what only the registry can say is asked (`weighin/registry/promises.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
NAME_LETTERS = 255
"""Letters of a registered model's name: 256 in MLflow's tables, 255 in Unity Catalog and Azure."""


@dataclass(frozen=True)
class Store:
    """A kind of registry.

    title       what people call it
    joint       what stands between a model's name and that of a companion model
    levels      how many parts, separated by dots, a name has; 0 for any number
    plain_keys  whether a tag's key must do without `. , - = / :`
    value_letters, most_tags  letters of a tag's value and tags of a version, where keys are plain
    holds_models_only  whether a version must be an MLflow model with a signature
    by_address  whether a version's files are fetched as models:/NAME/VERSION: the place that the registry names for
                them is not readable with the credentials of the user
    ordered     whether a search of versions may ask for an order
    lacks       what it cannot hold, in words; nothing is promoted there
    """

    title: str
    joint: str = "_"
    levels: int = 0
    plain_keys: bool = True
    value_letters: int = 1000
    most_tags: int = 50
    holds_models_only: bool = True
    by_address: bool = False
    ordered: bool = False
    lacks: tuple[str, ...] = ()


MLFLOW = Store(
    "MLflow",
    joint=".",
    plain_keys=False,
    holds_models_only=False,
    ordered=True,
)
"""MLflow's server, or its database."""
UNITY_CATALOG = Store("Unity Catalog", levels=3, by_address=True)
"""Databricks' models in Unity Catalog.

Sources: mlflow/store/_unity_catalog/registry/rest_store.py of MLflow 3.17 (no filter and no order in a search of
models, no order in one of versions, no stages, versions need a signature with inputs and outputs, versions that are
found have no tags); docs.databricks.com "Apply tags to Unity Catalog securable objects" (50 tags of an object, keys of
255 letters without `. , - = / :`, values of 1,000 letters) and "Names" (no period, space, slash or control character
within a level, 255 letters, kept in lower case).
"""
UNITY_CATALOG_SERVER = Store(
    "the Unity Catalog server (open source)", levels=3, by_address=True, lacks=("aliases", "tags of a version")
)
"""Source: mlflow/store/_unity_catalog/registry/uc_oss_rest_store.py of MLflow 3.17, whose calls for them raise."""
WORKSPACE = Store("Databricks' workspace registry", plain_keys=False, by_address=True)
"""Forbids dots in names."""
AZURE = Store("Azure Machine Learning")
"""Sources: learn.microsoft.com "Manage models registry in Azure Machine Learning with MLflow" (models in MLflow's
format only, stages, filters by name at most); Azure/azure-sdk-for-python issues 42155 (a filter is refused) and 44896
(no `/logged-models`)."""
OTHER = Store("a registry of another kind")
"""Known by nothing but its address, so it is given what each of the others accepts."""
_BY_SCHEME = {
    "http": MLFLOW,
    "https": MLFLOW,
    "databricks-uc": UNITY_CATALOG,
    "uc": UNITY_CATALOG_SERVER,
    "databricks": WORKSPACE,
    "azureml": AZURE,
}


def store_of(uri: str) -> Store:
    """Return the kind of registry that an address names.

    >>> [store_of(uri).title for uri in ("sqlite:////x.db", "postgresql+psycopg://h/db", "databricks-uc", "azureml://x")]
    ['MLflow', 'MLflow', 'Unity Catalog', 'Azure Machine Learning']
    """
    scheme = urlsplit(uri).scheme or uri.partition(":")[0]
    if scheme.split("+")[0] in DATABASES:
        return MLFLOW
    return _BY_SCHEME.get(scheme, OTHER)
