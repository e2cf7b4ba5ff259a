"""One comment on a pull request, kept up to date, under a platform that answers as GitHub's documentation says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.loopback import Answer, Asked, listening
from weighin.github import comment
from weighin.github.client import TOKENS

TEXT = "<!-- weighin -->\n## passed\n"


class GitHub:
    """Comments of pull request 7, and what was asked; `refuse` is a status to answer everything with."""

    def __init__(self) -> None:
        self.comments: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.refuse = 0
        self.releases: dict[str, dict[str, Any]] = {}

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        self.asked.append(f"{method} {path}")
        if self.refuse:
            return self.refuse, {"message": "Resource not accessible by integration"}
        if path == "/repos/o/r/commits/abc/pulls":
            return 200, [{"number": 7}]
        if listed := re.fullmatch(r"/repos/o/r/issues/7/comments\?per_page=100&page=(\d+)", path):
            start = 100 * (int(listed[1]) - 1)
            return 200, self.comments[start : start + 100]
        if method == "POST" and path == "/repos/o/r/issues/7/comments":
            self.add(body["body"], "github-actions[bot]")
            return 201, self.comments[-1]
        if method == "GET" and path.startswith("/repos/o/r/releases/tags/"):
            tag = path.rpartition("/")[2]
            return (200, self.releases[tag]) if tag in self.releases else (404, {"message": "Not Found"})
        if method == "POST" and path == "/repos/o/r/releases":
            self.releases[body["tag_name"]] = {"id": 1, "html_url": "https://github.com/o/r/releases/1", **body}
            return 201, self.releases[body["tag_name"]]
        if method == "PATCH" and path == "/repos/o/r/releases/1":
            next(iter(self.releases.values()))["body"] = body["body"]
            return 200, next(iter(self.releases.values()))
        number = int(path.rpartition("/")[2])
        self.comments[number]["body"] = body["body"]
        return 200, self.comments[number]

    def add(self, body: str, login: str) -> None:
        number = len(self.comments)
        url = f"https://github.com/o/r/pull/7#{number}"
        self.comments.append({"id": number, "body": body, "user": {"login": login}, "html_url": url})


@pytest.fixture
def github(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    state = GitHub()

    def said(request: Asked) -> Answer:
        assert request.headers["Authorization"] == "Bearer a-secret"
        body = json.loads(request.body) if request.body else None
        status, value = state.answer(request.method, request.path, body)
        return Answer(status, json.dumps(value).encode())

    with listening(said) as address:
        monkeypatch.setenv("GITHUB_API_URL", address)
        monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
        monkeypatch.setenv(TOKENS[0], "a-secret")
        yield state


def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, *where: str) -> int:
    path = tmp_path / "comment.md"
    path.write_text(text)
    monkeypatch.setattr("sys.argv", ["comment", "--file", str(path), *(where or ("--number", "7"))])
    return comment.main()


def test_the_first_run_makes_it_and_the_next_ones_rewrite_it(github, monkeypatch, tmp_path: Path, capsys) -> None:
    github.add("hello", "octocat")
    assert run(monkeypatch, tmp_path, TEXT) == 0
    assert run(monkeypatch, tmp_path, TEXT + "again") == 0
    assert run(monkeypatch, tmp_path, TEXT + "a commit of it", "--commit", "abc") == 0
    assert [c["body"] for c in github.comments] == ["hello", TEXT + "a commit of it"]
    assert capsys.readouterr().out.splitlines() == ["https://github.com/o/r/pull/7#1"] * 3


def test_it_is_found_on_a_later_page(github, monkeypatch, tmp_path: Path) -> None:
    for _ in range(250):
        github.add("talk", "octocat")
    github.add(TEXT, "github-actions[bot]")
    assert run(monkeypatch, tmp_path, TEXT + "new") == 0
    assert len(github.comments) == 251
    assert github.comments[250]["body"] == TEXT + "new"


def test_what_somebody_else_wrote_is_never_rewritten(github, monkeypatch, tmp_path: Path) -> None:
    github.add(TEXT + "quoted", "mallory")
    assert run(monkeypatch, tmp_path, TEXT) == 0
    assert [c["body"] for c in github.comments] == [TEXT + "quoted", TEXT]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_fork_gets_no_comment_and_no_red_check(status: int, github, monkeypatch, tmp_path: Path, capsys) -> None:
    github.refuse = status
    assert run(monkeypatch, tmp_path, TEXT) == 0
    said = capsys.readouterr().out
    assert f"::notice::no comment was made: GitHub answered {status}" in said
    assert "a-secret" not in said


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        (TEXT, 500, "GitHub answered 500"),
        ("no marker", 0, "begins with its marker"),
        (TEXT + "x" * 65_536, 0, "at most 65536"),
    ],
)
def test_what_goes_wrong_is_said(text: str, status: int, says: str, github, monkeypatch, tmp_path, capsys) -> None:
    github.refuse = status
    assert run(monkeypatch, tmp_path, text) == 7
    assert says in capsys.readouterr().err


def test_nobody_there_is_said(monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    monkeypatch.setenv(TOKENS[0], "a-secret")
    assert run(monkeypatch, tmp_path, TEXT) == 7
    assert "did not answer" in capsys.readouterr().err
    monkeypatch.delenv(TOKENS[0])
    assert run(monkeypatch, tmp_path, TEXT) == 7
    assert f"{TOKENS[0]} and GITHUB_REPOSITORY are needed" in capsys.readouterr().err


def test_a_release_is_made_once_and_then_rewritten(github, monkeypatch, tmp_path: Path, capsys) -> None:
    where = ("--commit", "abc", "--release", "flight-delay-v2")
    assert run(monkeypatch, tmp_path, TEXT, *where) == 0
    assert run(monkeypatch, tmp_path, TEXT + "again", *where) == 0
    made = github.releases["flight-delay-v2"]
    assert (made["target_commitish"], made["body"]) == ("abc", TEXT + "again")
    assert capsys.readouterr().out.splitlines() == ["https://github.com/o/r/releases/1"] * 2
    github.refuse = 403
    assert run(monkeypatch, tmp_path, TEXT, *where) == 7
    assert "nothing was written: GitHub answered 403" in capsys.readouterr().err
