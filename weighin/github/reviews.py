"""Who reviewed the environment of this run, by GitHub's own account. Standard library only.

    python3 -I HOST/weighin/runner reviews --out reports/reviews.json

Source: REST API, "Get the review history for a workflow run".
The token, which needs `actions: read`, stays in this process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from weighin.github.client import GitHub, Unanswered, quoted

SCHEMA = "weighin/reviews/v1"


def reviews(environment: Mapping[str, str]) -> list[dict[str, str]]:
    """One entry for each environment and reviewer: `login`, `state`, `environment`, `comment`.

    Errors: `ValueError` when the platform does not say.
    """
    for name in ("GITHUB_REPOSITORY", "GITHUB_RUN_ID"):
        if not environment.get(name):
            raise ValueError(f"{name} is not set: the reviews can be read in a workflow run only")
    repository, run = environment["GITHUB_REPOSITORY"], environment["GITHUB_RUN_ID"]
    try:
        listed = GitHub.of(environment).get(f"/repos/{repository}/actions/runs/{quoted(run)}/approvals")
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
    except Unanswered as error:
        raise ValueError(f"{error}: `actions: read` is needed") from None
    except (KeyError, TypeError) as error:
        raise ValueError(f"GitHub did not say who reviewed run {run} ({type(error).__name__})") from None


def main() -> int:
    """Write the reviews; returns the exit code."""
    parser = argparse.ArgumentParser(prog="weighin-runner reviews", description=__doc__)
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
