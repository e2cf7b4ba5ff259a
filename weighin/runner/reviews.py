"""Who reviewed the environment of this run, by GitHub's own account. Standard library only.

    python3 -m weighin.runner.reviews --out reports/reviews.json

Source: REST API, "Get the review history for a workflow run".
The token, which needs `actions: read`, stays in this process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEMA = "weighin/reviews/v1"
TOKEN = "WEIGHIN_GITHUB_TOKEN"  # noqa: S105 - the name of a variable
SECONDS = 30
LARGEST = 2**20


def reviews(environment: Mapping[str, str]) -> list[dict[str, str]]:
    """One entry for each environment and reviewer: `login`, `state`, `environment`, `comment`.

    Errors: `ValueError` when the platform does not say.
    """
    try:
        repository, run = environment["GITHUB_REPOSITORY"], environment["GITHUB_RUN_ID"]
        token = environment[TOKEN]
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is not set: the reviews can be read in a workflow run only") from None
    base = environment.get("GITHUB_API_URL", "https://api.github.com")
    request = urllib.request.Request(  # noqa: S310 - the platform's own address
        f"{base}/repos/{repository}/actions/runs/{run}/approvals",
        headers={
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            listed: Any = json.loads(answer.read(LARGEST))
        return [
            {
                "login": str(one["user"]["login"]),
                "state": str(one["state"]),
                "environment": str(place["name"]),
                "comment": str(one.get("comment") or ""),
            }
            for one in listed
            for place in one["environments"]
        ]
    except urllib.error.HTTPError as error:
        raise ValueError(
            f"GitHub answered {error.code} for the reviews of run {run}: `actions: read` is needed"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"GitHub did not say who reviewed run {run} ({type(error).__name__})") from None


def main() -> int:
    """Write the reviews; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m weighin.runner.reviews", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        found = reviews(os.environ)
    except ValueError as error:
        print(f"weighin: {error}", file=sys.stderr)
        return 7
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps({"schema": SCHEMA, "reviews": found}, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
