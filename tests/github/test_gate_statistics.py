"""The week's figures count everything or are an error, and show nothing that a stranger wrote as anything but text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.github_server import TOKEN, Answers, github, listed
from weighin.github import gate_statistics
from weighin.github.client import GitHub, Unanswered

UNTIL = date(2026, 11, 23)
RUNS = "/repos/o/r/actions/workflows/pull-request.yml/runs"


def run(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": "pull request",
        "head_branch": "topic",
        "event": "pull_request",
        "run_attempt": 1,
        "status": "completed",
        "conclusion": "success",
    } | more


def job(name: str, seconds: int = 60, **more: Any) -> dict[str, Any]:
    first, last = f"2026-11-20T10:{0:02}:00Z", f"2026-11-20T10:{seconds // 60:02}:{seconds % 60:02}Z"
    return {
        "name": f"validate / {name}",
        "run_attempt": 1,
        "status": "completed",
        "conclusion": "success",
        "started_at": first,
        "completed_at": last,
        "labels": ["ubuntu-24.04"],
    } | more


def week(own: dict[int, list[dict[str, Any]]]) -> dict[str, Any]:
    """Day before UNTIL (1 to 7) -> its runs; days without one answer with an empty list."""
    found = {}
    for before in range(1, 8):
        day = UNTIL - timedelta(days=before)
        found[f"{RUNS}?created={day}..{day}"] = listed("workflow_runs", own.get(before, []))
    return found


def jobs(number: int, *own: dict[str, Any]) -> dict[str, Any]:
    return {f"/repos/o/r/actions/runs/{number}/jobs": listed("jobs", list(own))}


WEEK = (
    week({1: [run(4, run_attempt=2), run(3, conclusion="failure")], 5: [run(2, conclusion="cancelled")], 7: [run(1)]})
    | jobs(1, job("gate"), job("suite drift", 100), job("suite load", 241), job("suites", 70), job("load", 50))
    | jobs(2, job("suite drift", 10, conclusion="cancelled"), job("gate", conclusion="skipped"))
    | jobs(
        3,
        job("suite drift", 20, conclusion="failure"),
        job("suite load", 30, labels=["self-hosted", "big"]),
        job("gate", conclusion="failure"),
    )
    | jobs(
        4,
        job("suite drift", 40, conclusion="failure"),
        job("gate", conclusion="failure"),
        job("suite drift", 60, run_attempt=2),
        job("gate", run_attempt=2),
    )
)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    with github(WEEK) as answers:
        for name, value in {
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_API_URL": answers.address,
            "WEIGHIN_GITHUB_TOKEN": TOKEN,
            "GITHUB_SERVER_URL": "https://github.example",
        }.items():
            monkeypatch.setenv(name, value)
        yield answers


def count(out: Path, *more: str) -> int:
    return gate_statistics.main(["--workflow", "pull-request.yml", "--until", str(UNTIL), "--out", str(out), *more])


def made(out: Path) -> dict[str, Any]:
    return json.loads((out / "gate-statistics.json").read_text())


def test_a_week_is_counted(there: Answers, tmp_path: Path) -> None:
    assert count(tmp_path) == 0
    found = made(tmp_path)
    assert (found["first"], found["last"], found["runs"]) == ("2026-11-16", "2026-11-22", 4)
    assert found["conclusions"] == {"cancelled": 1, "failure": 1, "success": 2}
    assert found["verdicts"] == {"passed": 2, "blocked": 1, "none": 1}
    assert found["red"] == {"suite drift": 1}
    assert (found["again"], found["attempts_again"]) == (1, 1)
    assert found["suites"]["suite drift"] == {"runs": 4, "median_seconds": 40, "slowest_seconds": 100}
    assert found["suites"]["suite load"] == {"runs": 2, "median_seconds": 135.5, "slowest_seconds": 241}
    assert found["suites"]["suites"] == {"runs": 1, "median_seconds": 70, "slowest_seconds": 70}
    assert found["suites"]["load"] == {"runs": 1, "median_seconds": 50, "slowest_seconds": 50}
    # Run 1: 1 + 2 + 5 + 2 + 1; run 2: 1; run 3: 1 + 1 without the machine of their own; run 4: 1 + 1 + 1 + 1.
    assert found["billed_minutes"] == 18
    page = (tmp_path / "gate-statistics.md").read_text()
    assert "[3](https://github.example/o/r/actions/runs/3)" in page
    assert "| suite drift | 4 | 40 s | 100 s |" in page


def test_every_page_is_read(there: Answers, tmp_path: Path) -> None:
    there.paths |= week({2: [run(n) for n in range(100, 351)]})
    for number in range(100, 351):
        there.paths |= jobs(number, job("gate"))
    there.paths |= jobs(350, *(job(f"suite s{n}") for n in range(105)), job("gate"))
    assert count(tmp_path, "--most", "2") == 0
    found = made(tmp_path)
    assert (found["runs"], found["looked_into"], len(found["suites"])) == (251, 2, 105)
    page = (tmp_path / "gate-statistics.md").read_text()
    assert "Only the newest 2 of 251 runs were looked into" in page
    assert "and 85 more, in gate-statistics.json" in page


def test_an_empty_week_says_so_and_is_no_pass(there: Answers, tmp_path: Path) -> None:
    there.paths |= week({})
    assert count(tmp_path) == 0
    assert made(tmp_path)["runs"] == 0
    assert "**Nothing ran in these days.** That is no pass" in (tmp_path / "gate-statistics.md").read_text()


HOSTILE = "a|b`[x](javascript:1)<img src=x onerror=1>@team#1\n::error::http://evil.example\x1b[31m"


def test_names_of_strangers_are_text(there: Answers, tmp_path: Path) -> None:
    there.paths |= week({1: [run(3, head_branch=HOSTILE, event=HOSTILE, conclusion=HOSTILE)]})
    there.paths |= jobs(3, job(f"suite {HOSTILE}", conclusion="failure"), job(HOSTILE, conclusion="failure"))
    assert count(tmp_path) == 0
    page = (tmp_path / "gate-statistics.md").read_text()
    for bad in ("<img", "[x](", "@team", "#1", "::error", "http://", "\x1b", "\\|b`"):
        assert bad not in page, bad
    rows = [line for line in page.splitlines() if line.startswith("| [3]")]
    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 5


@pytest.mark.parametrize(
    ("path", "said", "says"),
    [
        (RUNS, (403, {"message": f"Resource not accessible {TOKEN}"}), "GitHub answered 403 for"),
        (RUNS, (500, {"message": "x"}), "GitHub answered 500 for"),
        (RUNS, (302, {"to": "http://127.0.0.1:1/"}), "GitHub answered 302 for"),
        (RUNS, b"<html>", "did not answer for"),
        (RUNS, {"message": "x"}, "no list of workflow_runs"),
        (RUNS, {"total_count": 3, "workflow_runs": [run(9)]}, "it announced 3 workflow_runs and listed 1"),
        (RUNS, listed("workflow_runs", [{"id": 1}]), "in a form that can be read"),
        (RUNS, listed("workflow_runs", [run(n) for n in range(1000)]), "ran 1000 times"),
        ("/repos/o/r/actions/runs/3/jobs", (404, {"message": "Not Found"}), "GitHub answered 404 for"),
        ("/repos/o/r/actions/runs/3/jobs", listed("jobs", [{"name": "x"}]), "in a form that can be read"),
    ],
)
def test_what_cannot_be_read_is_an_error_and_leaves_nothing(
    there: Answers, path: str, said: Any, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if path == RUNS:
        there.paths = {k: v for k, v in there.paths.items() if not k.startswith(RUNS)}
    there.paths[path] = said
    assert count(tmp_path / "out") == 7
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert TOKEN not in error
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_away_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:9")
    assert count(tmp_path / "out") == 7
    assert "did not answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("repository", "more"),
    [("", []), ("o/r/x", []), ("o/r", ["--days", "0"]), ("o/r", ["--workflow", "../x.yml"]), ("o/r", ["--most", "0"])],
)
def test_usage_errors_are_4(repository: str, more: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", repository)
    assert count(tmp_path, *more) == 4


def test_the_token_goes_to_the_named_address_and_stands_nowhere(there: Answers, tmp_path: Path) -> None:
    assert count(tmp_path) == 0
    assert {token for _, token in there.asked} == {f"Bearer {TOKEN}"}
    assert all(TOKEN not in p.read_text() for p in tmp_path.iterdir())
    assert TOKEN not in repr(GitHub.of({"GITHUB_TOKEN": TOKEN}))


def test_a_redirect_takes_no_token_along(there: Answers) -> None:
    with github({"/there": {}}) as other:
        there.paths["/moved"] = (302, {"to": f"{other.address}/there"})
        with pytest.raises(Unanswered, match="answered 302"):
            GitHub(there.address, TOKEN).get("/moved")
        assert other.asked == []


@pytest.mark.parametrize(
    "address",
    ["http://api.example.org", "ftp://127.0.0.1", "https://u:p@api.example.org", "https://", "api.example.org"],
)
def test_no_token_goes_to_an_address_without_encryption(address: str) -> None:
    with pytest.raises(ValueError, match="GITHUB_API_URL"):
        GitHub.of({"GITHUB_API_URL": address, "GITHUB_TOKEN": TOKEN})


def test_pages_that_never_end_are_given_up(there: Answers) -> None:
    there.paths["/endless"] = [0] * 6000
    with pytest.raises(Unanswered, match="more than 50 pages"):
        GitHub(there.address).listed("/endless", "")
