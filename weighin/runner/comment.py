"""Keep one comment on a pull request up to date, or write the text of a release. Standard library only.

    python3 -m weighin.runner.comment --file comment.md --number 7
    python3 -m weighin.runner.comment --file comment.md --commit SHA      # the pull requests that the commit belongs to
    python3 -m weighin.runner.comment --file comment.md --commit SHA --release TAG

Source: GitHub's REST API for issue comments and releases. The token, which needs `pull-requests: write` or, for a
release, `contents: write`, stays in this process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weighin.runner.reviews import TOKEN

SECONDS = 30
LARGEST = 8 * 2**20
PAGES = 30
LETTERS = 65_536
AUTHOR = "github-actions[bot]"


class RefusedError(Exception):
    """The platform does not let this token write, as on pull requests from forks, or does not show what is there."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"GitHub answered {code}: the token may not write here")


def put(text: str, number: int, environment: Mapping[str, str]) -> str:
    """Make the comment, or update the one whose first line is the same; returns its address.

    Errors: `RefusedError`, and `ValueError` where the platform cannot be asked.
    """
    marker = text.split("\n", 1)[0]
    if not marker.startswith("<!--") or len(text) > LETTERS:
        raise ValueError(f"a comment begins with its marker and has at most {LETTERS} letters")
    place = f"issues/{number}/comments"
    for page in range(1, PAGES + 1):
        found = _ask("GET", f"{place}?per_page=100&page={page}", None, environment)
        for one in found:
            # Somebody else may quote the marker: only what this very account wrote is rewritten.
            if str(one.get("body", "")).startswith(marker) and one["user"]["login"] == AUTHOR:
                return str(_ask("PATCH", f"issues/comments/{int(one['id'])}", {"body": text}, environment)["html_url"])
        if len(found) < 100:
            break
    return str(_ask("POST", place, {"body": text}, environment)["html_url"])


def pull_requests(commit: str, environment: Mapping[str, str]) -> list[int]:
    """The pull requests that a commit belongs to."""
    return [int(one["number"]) for one in _ask("GET", f"commits/{commit}/pulls", None, environment)]


def release(text: str, tag: str, commit: str, environment: Mapping[str, str]) -> str:
    """Make a release with a tag at a commit, or rewrite the text of the one there is; returns its address."""
    try:
        there = _ask("GET", f"releases/tags/{urllib.parse.quote(tag, safe='')}", None, environment)
    except RefusedError as error:
        if error.code != 404:
            raise
        said = {"tag_name": tag, "target_commitish": commit, "name": tag, "body": text}
        return str(_ask("POST", "releases", said, environment)["html_url"])
    return str(_ask("PATCH", f"releases/{int(there['id'])}", {"body": text}, environment)["html_url"])


def _ask(method: str, path: str, body: Any, environment: Mapping[str, str]) -> Any:
    try:
        repository, token = environment["GITHUB_REPOSITORY"], environment[TOKEN]
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is not set: comments can be made in a workflow run only") from None
    base = environment.get("GITHUB_API_URL", "https://api.github.com")
    request = urllib.request.Request(  # noqa: S310 - the platform's own address
        f"{base}/repos/{repository}/{path}",
        None if body is None else json.dumps(body).encode(),
        {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
            return json.loads(answer.read(LARGEST))
    except urllib.error.HTTPError as error:
        if error.code in (401, 403, 404):
            raise RefusedError(error.code) from None
        raise ValueError(f"GitHub answered {error.code}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"GitHub did not answer ({type(error).__name__})") from None


def main() -> int:
    """Make or update the comment; returns the exit code. A refusal is no error: the check says what counts."""
    parser = argparse.ArgumentParser(prog="python3 -m weighin.runner.comment", description=__doc__)
    parser.add_argument("--file", type=Path, required=True)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--number", type=int, help="of the pull request")
    where.add_argument("--commit", help="whose pull requests get it")
    parser.add_argument("--release", metavar="TAG", help="make a release of --commit with this text instead")
    given = parser.parse_args()
    if given.release:
        return _released(given)
    try:
        numbers = [given.number] if given.number else pull_requests(given.commit, os.environ)
        for number in numbers:
            print(put(given.file.read_text(encoding="utf-8"), number, os.environ))
    except RefusedError as error:
        print(f"::notice::no comment was made: {error}")
    except (ValueError, KeyError, TypeError, OSError) as error:
        print(f"weighin: no comment was made: {error}", file=sys.stderr)
        return 7
    return 0


def _released(given: argparse.Namespace) -> int:
    try:
        print(release(given.file.read_text(encoding="utf-8"), given.release, given.commit or "", os.environ))
    except (RefusedError, ValueError, KeyError, TypeError, OSError) as error:
        print(f"weighin: no release was made: {error}", file=sys.stderr)
        return 7
    return 0


if __name__ == "__main__":
    sys.exit(main())
