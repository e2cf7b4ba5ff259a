"""Which variables reach the step that reads data and registry, and no other container. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping

JUDGING = ("WEIGHIN_ATTEMPT", "WEIGHIN_RUN_URL", "WEIGHIN_COMMIT", "WEIGHIN_SIGNING_KEY")
DATA = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
    *("AWS_ENDPOINT_URL", "WEIGHIN_SPARK", "WEIGHIN_MEMORY"),
)
"""What reading data may need, where it is set."""
REGISTRY = (
    *("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "WEIGHIN_EXPERIMENT_FOLDER"),
    *("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET"),
    *("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"),
)
"""What a client of a registry may need, where it is set."""
SERVER = ("WEIGHIN_SERVER_TOKEN", "WEIGHIN_SERVER_HEADERS")
"""What a server of the team's own asks for; only the generator of a load that is sent to one gets it."""
ENDPOINT = ("WEIGHIN_CANDIDATE_URL", "WEIGHIN_CANDIDATE_KEY")
"""Where a language model answers, and with which key; only the step that puts the questions gets them."""
NETWORK = "WEIGHIN_ENDPOINT_NETWORK"
"""Environment variable: Docker's network of that step's container; `host` where the model answers on this machine."""
ADDRESSES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
LINES = "WEIGHIN_REGISTRY_VARIABLES"
"""Environment variable: lines NAME=VALUE, each NAME of `REGISTRY`, for workflows, which cannot name a variable for each
store.
"""
FORWARD = "WEIGHIN_FORWARD_ENV"
"""Environment variable: names of further ones, such as those of a contract's connections."""


def from_lines(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the lines of `LINES` set. Errors: `ValueError`, without a value, for another form or name."""
    found = {}
    for number, line in enumerate(environment.get(LINES, "").splitlines(), 1):
        if not line.strip():
            continue
        name, equals, value = line.strip().partition("=")
        if not equals or name not in REGISTRY:
            raise ValueError(f"line {number} of {LINES} is not NAME=VALUE with one of {', '.join(REGISTRY)}")
        found[name] = value
    return found


def masked(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the lines set, and let GitHub hide each value in the log: it knows the secret only as a whole.

    Errors: `ValueError`.
    """
    found = from_lines(environment)
    if environment.get("GITHUB_ACTIONS") == "true":
        for value in found.values():
            print(f"::add-mask::{value.replace('%', '%25')}", flush=True)
    return found


def of_server(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of what the generator passes on to a server of the team's own, where they are set."""
    return tuple(name for name in SERVER if environment.get(name))


def of_endpoint(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of what the step that asks a language model is told, where they are set."""
    return tuple(name for name in ENDPOINT if environment.get(name))


def passed_on(environment: Mapping[str, str], *, embedded: bool) -> list[str]:
    """Return the names of the variables to pass on, each of which is set to something.

    embedded  whether the registry is a folder of this machine, so that no address counts
    """
    named = environment.get(FORWARD, "").replace(",", " ").split()
    names = (*JUDGING, *DATA, *REGISTRY, *named, *(() if embedded else ADDRESSES))
    return [name for name in dict.fromkeys(names) if environment.get(name)]
