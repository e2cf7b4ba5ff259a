"""Keep one comment on a pull request up to date, or write the text of a release. Standard library only.

    python3 -I HOST/weighin/runner comment --file comment.md --number 7
    python3 -I HOST/weighin/runner comment --file comment.md --commit SHA    # the pull requests of a commit
    python3 -I HOST/weighin/runner comment --file comment.md --commit SHA --release TAG

Source: GitHub's REST API for issue comments and releases. The token, which needs `pull-requests: write` or, for a
release, `contents: write`, stays in this process.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from weighin.github.client import TOKENS, GitHub, Unanswered, quoted

LETTERS = 65_536
REFUSED = (401, 403, 404)
"""How the platform answers a token that may not write, as on pull requests from forks."""
AUTHOR = "github-actions[bot]"


def put(text: str, number: int, github: GitHub, repository: str) -> str:
    """Make the comment, or update the one whose first line is the same; returns its address.

    Errors: `Unanswered`; `ValueError` for a text that is no comment of ours.
    """
    marker = text.split("\n", 1)[0]
    if not marker.startswith("<!--") or len(text) > LETTERS:
        raise ValueError(f"a comment begins with its marker and has at most {LETTERS} letters")
    place = f"/repos/{repository}/issues"
    for one in github.listed(f"{place}/{number}/comments", ""):
        # Somebody else may quote the marker: only what this very account wrote is rewritten.
        if str(one.get("body", "")).startswith(marker) and one["user"]["login"] == AUTHOR:
            return str(github.send("PATCH", f"{place}/comments/{int(one['id'])}", {"body": text})["html_url"])
    return str(github.send("POST", f"{place}/{number}/comments", {"body": text})["html_url"])


def release(text: str, tag: str, commit: str, github: GitHub, repository: str) -> str:
    """Make a release with a tag at a commit, or rewrite the text of the one there is; returns its address."""
    place = f"/repos/{repository}/releases"
    try:
        there = github.get(f"{place}/tags/{quoted(tag)}")
    except Unanswered as error:
        if error.status != 404:
            raise
        said = {"tag_name": tag, "target_commitish": commit, "name": tag, "body": text}
        return str(github.send("POST", place, said)["html_url"])
    return str(github.send("PATCH", f"{place}/{int(there['id'])}", {"body": text})["html_url"])


def main() -> int:
    """Write; returns the exit code. A comment that is refused is no error: the check says what counts."""
    parser = argparse.ArgumentParser(prog="weighin-runner comment", description=__doc__)
    parser.add_argument("--file", type=Path, required=True)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--number", type=int, help="of the pull request")
    where.add_argument("--commit", help="whose pull requests get it")
    parser.add_argument("--release", metavar="TAG", help="make a release of --commit with this text instead")
    given = parser.parse_args()
    try:
        for url in _written(given):
            print(url)
    except Unanswered as error:
        if given.release or error.status not in REFUSED:
            print(f"weighin: nothing was written: {error}", file=sys.stderr)
            return 7
        print(f"::notice::no comment was made: {error}")
    except (ValueError, KeyError, TypeError, OSError) as error:
        print(f"weighin: nothing was written: {error}", file=sys.stderr)
        return 7
    return 0


def _written(given: argparse.Namespace) -> list[str]:
    github, repository = GitHub.of(os.environ), os.environ.get("GITHUB_REPOSITORY", "")
    if not github.token or not repository:
        raise ValueError(f"{TOKENS[0]} and GITHUB_REPOSITORY are needed: this is for a workflow run")
    text = given.file.read_text(encoding="utf-8")
    if given.release:
        return [release(text, given.release, given.commit or "", github, repository)]
    numbers = [given.number]
    if given.commit:
        found = github.get(f"/repos/{repository}/commits/{quoted(given.commit)}/pulls")
        numbers = [int(one["number"]) for one in found]
    return [put(text, number, github, repository) for number in numbers]


if __name__ == "__main__":
    sys.exit(main())
