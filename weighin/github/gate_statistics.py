"""What the gate itself did in a week: runs, verdicts, what was red, how long suites took. Standard library only.

    python3 -I HOST/weighin/runner gate-statistics --workflow pull-request.yml --out gate-statistics

leaves `gate-statistics.md` and `gate-statistics.json` there. Source: REST API, "List workflow runs for a workflow" and
"List jobs for a workflow run". The token, which needs `actions: read`, stays in this process. What could not be read is
an error: a page with half the runs would look like a quiet week.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from weighin.github.client import GitHub, Unanswered, quoted
from weighin.github.escape import plain_line, text
from weighin.untrusted import JsonDict, JsonObject

SCHEMA = "weighin/gate-statistics/v1"
GATE = "gate"
SUITE, SUITES = "suite ", ("suites", "load", "sealed")
"""Jobs that measure: of one suite each, or of several."""
MOST_AT_ONCE = 1000
"""GitHub lists no more runs for one question."""
ROWS = 20
NOT_EVALUATED = 7
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_WORKFLOW = re.compile(r"[\w.-]+\.ya?ml")


@dataclass(frozen=True)
class Job:
    """One job in one attempt of a run.

    part        its name without the caller's job: `gate`, `suites`, `suite drift`
    seconds     from start to end; None while it runs, or where it never ran
    conclusion  GitHub's word; empty while it runs
    hosted      whether GitHub's own machines ran it, which is what is billed
    """

    part: str
    attempt: int
    conclusion: str
    seconds: float | None
    hosted: bool


@dataclass(frozen=True)
class Run:
    """One run with the jobs of all its attempts; without them where only so many were asked for."""

    id: int
    workflow: str
    branch: str
    event: str
    attempts: int
    conclusion: str
    jobs: tuple[Job, ...] | None

    @property
    def last(self) -> tuple[Job, ...]:
        """The jobs as the last attempt left them: those that were not run again keep their earlier result."""
        newest: dict[str, Job] = {}
        for job in self.jobs or ():
            if job.part not in newest or newest[job.part].attempt <= job.attempt:
                newest[job.part] = job
        return tuple(newest.values())

    @property
    def verdict(self) -> str:
        """By the gate's job: `passed`, `blocked`, or `none` where it came to no end or there is none."""
        words = {"success": "passed", "failure": "blocked", "timed_out": "blocked"}
        return next((words.get(job.conclusion, "none") for job in self.last if job.part == GATE), "none")

    @property
    def red(self) -> tuple[str, ...]:
        """The jobs that failed. The gate fails with every other one, and counts where it alone did."""
        parts = tuple(job.part for job in self.last if job.conclusion in ("failure", "timed_out"))
        return tuple(p for p in parts if p != GATE) or parts


def runs(github: GitHub, repository: str, workflow: str, days: Sequence[date], most: int) -> list[Run]:
    """All runs of a workflow that were created on these days, newest first; of the newest `most` the jobs as well.

    Errors: `Unanswered`; `ValueError` for a day of more runs than GitHub lists.
    """
    path = f"/repos/{repository}/actions"
    found: list[Any] = []
    for day in days:
        own = github.listed(f"{path}/workflows/{quoted(workflow)}/runs", "workflow_runs", created=f"{day}..{day}")
        if len(own) >= MOST_AT_ONCE:
            raise ValueError(f"{workflow} ran {len(own)} times on {day}, and GitHub lists {MOST_AT_ONCE} at most")
        found += own
    try:
        found.sort(key=lambda r: int(r["id"]), reverse=True)
        return [
            Run(
                id=int(run["id"]),
                workflow=workflow,
                branch=str(run["head_branch"] or ""),
                event=str(run["event"]),
                attempts=int(run["run_attempt"]),
                conclusion=str(run["conclusion"] or ""),
                jobs=_jobs(github, f"{path}/runs/{int(run['id'])}/jobs") if number < most else None,
            )
            for number, run in enumerate(found)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise Unanswered(path, 0, why=f" in a form that can be read ({type(error).__name__})") from error


def _jobs(github: GitHub, path: str) -> tuple[Job, ...]:
    return tuple(
        Job(
            part=str(job["name"]).split(" / ")[-1],
            attempt=int(job["run_attempt"]),
            conclusion=str(job["conclusion"] or ""),
            seconds=_seconds(job),
            hosted="self-hosted" not in job["labels"],
        )
        for job in github.listed(path, "jobs", filter="all")
    )


def _seconds(job: JsonObject) -> float | None:
    if job["conclusion"] in (None, "skipped") or not job["started_at"] or not job["completed_at"]:
        return None
    first, last = (datetime.fromisoformat(job[key]) for key in ("started_at", "completed_at"))
    return max(0.0, (last - first).total_seconds())


def summarized(found: Sequence[Run], repository: str, workflows: Sequence[str], days: Sequence[date]) -> JsonDict:
    """Return the statistics as plain values.

    Times are seconds; `median_seconds` and `slowest_seconds` are of jobs that ended, whatever they said.
    `billed_minutes` counts each job of GitHub's own machines, in every attempt, up to a full minute, at the rate of
    Linux: an estimate, and nothing is billed in public repositories.
    """
    looked = [run for run in found if run.jobs is not None]
    times: dict[str, list[float]] = {}
    for run in looked:
        for job in run.last:
            if job.seconds is not None and (job.part.startswith(SUITE) or job.part in SUITES):
                times.setdefault(job.part, []).append(job.seconds)
    every = [job for run in looked for job in run.jobs or ()]
    return {
        "schema": SCHEMA,
        "repository": repository,
        "workflows": list(workflows),
        "first": str(days[0]),
        "last": str(days[-1]),
        "runs": len(found),
        "looked_into": len(looked),
        "again": sum(run.attempts > 1 for run in found),
        "attempts_again": sum(run.attempts - 1 for run in found),
        "conclusions": dict(sorted(Counter(run.conclusion or "still running" for run in found).items())),
        "verdicts": {word: sum(run.verdict == word for run in looked) for word in ("passed", "blocked", "none")},
        "red": dict(sorted(Counter(part for run in looked for part in run.red).items(), key=lambda i: (-i[1], i[0]))),
        "suites": {
            part: {"runs": len(own), "median_seconds": statistics.median(own), "slowest_seconds": max(own)}
            for part, own in sorted(times.items())
        },
        "billed_minutes": sum(math.ceil(job.seconds / 60) for job in every if job.hosted and job.seconds),
        "blocked": [
            {key: value for key, value in asdict(run).items() if key != "jobs"} | {"red": list(run.red)}
            for run in looked
            if run.red
        ],
    }


def page(of: JsonObject, server: str = "https://github.com") -> str:
    """Return the statistics as Markdown. Names of branches, workflows and jobs are strangers' texts."""
    lines = [f"## The gate from {of['first']} to {of['last']}", ""]
    lines.append(f"{text(of['repository'])}: {', '.join(text(w) for w in of['workflows'])}; days are UTC.")
    if not of["runs"]:
        return "\n".join(
            [*lines, "", "**Nothing ran in these days.** That is no pass: look whether it should have.", ""]
        )
    if of["looked_into"] < of["runs"]:
        lines += [
            "",
            f"Only the newest {of['looked_into']} of {of['runs']} runs were looked into; the rest is counted.",
        ]
    verdicts = of["verdicts"]
    ended = ", ".join(f"{n} {text(word.replace('_', ' '))}" for word, n in of["conclusions"].items())
    lines += [
        "",
        "| what | how many |",
        "|---|---|",
        f"| runs | {of['runs']}: {ended} |",
        f"| the gate let pass | {verdicts['passed']} |",
        f"| the gate blocked | {verdicts['blocked']} |",
        f"| came to no verdict | {verdicts['none']} |",
        f"| runs that were run again | {of['again']}, {of['attempts_again']} more attempts |",
        f"| minutes, as they would be billed | {of['billed_minutes']}, an estimate: Linux, each job a full minute |",
    ]
    if of["red"]:
        lines += ["", "| red because of | runs |", "|---|---|"]
        lines += [f"| {text(part)} | {n} |" for part, n in list(of["red"].items())[:ROWS]]
        lines += _more(len(of["red"]))
    if of["suites"]:
        lines += ["", "| job | runs | median | slowest |", "|---|---|---|---|"]
        for part, own in list(of["suites"].items())[:ROWS]:
            lines.append(
                f"| {text(part)} | {own['runs']} | {own['median_seconds']:.0f} s | {own['slowest_seconds']:.0f} s |"
            )
        lines += _more(len(of["suites"]))
    if of["blocked"]:
        lines += ["", "| run | on | branch | red |", "|---|---|---|---|"]
        for run in of["blocked"][:ROWS]:
            address = f"{server}/{of['repository']}/actions/runs/{run['id']}"
            red = ", ".join(text(part, 60) for part in run["red"][:5])
            lines.append(f"| [{run['id']}]({address}) | {text(run['event'], 40)} | {text(run['branch'], 80)} | {red} |")
        lines += _more(len(of["blocked"]))
    lines += ["", "`failed`, `inconclusive` and `not_evaluated` stand in the records; GitHub knows red and green.", ""]
    return "\n".join(lines)


def _more(number: int) -> list[str]:
    return ["", f"and {number - ROWS} more, in gate-statistics.json"] if number > ROWS else []


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and the statistics; returns the exit code: 0, 4 for a usage error, 7 where GitHub did not say."""
    parser = argparse.ArgumentParser(prog="weighin-runner gate-statistics", description=__doc__)
    parser.add_argument("--workflow", action="append", required=True, metavar="FILE", help="pull-request.yml (repeat)")
    parser.add_argument("--until", type=date.fromisoformat, help="the first day that no longer counts; default today")
    parser.add_argument("--days", type=int, default=7, help="how many (%(default)s)")
    parser.add_argument(
        "--most", type=int, default=300, help="runs whose jobs are read, of each workflow (%(default)s)"
    )
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    given = parser.parse_args(arguments)
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    wrong = [w for w in given.workflow if not _WORKFLOW.fullmatch(w)]
    if not _REPOSITORY.fullmatch(repository):
        return _error("GITHUB_REPOSITORY is not OWNER/REPO: set it, as a workflow run does", 4)
    if wrong or not 1 <= given.days <= 31 or given.most < 1:
        return _error(f"{wrong or given.days}: give names of workflow files, 1 to 31 days, and at least one run", 4)
    until = given.until or datetime.now(UTC).date()
    days = [until - timedelta(days=n) for n in range(given.days, 0, -1)]
    try:
        github = GitHub.of(os.environ)
        found = [run for w in given.workflow for run in runs(github, repository, w, days, given.most)]
    except Unanswered as error:
        return _error(f"{error}: `actions: read` is needed, and a workflow of that name; no statistics are written")
    except ValueError as error:
        return _error(f"{error}; no statistics are written")
    made = summarized(found, repository, given.workflow, days)
    given.out.mkdir(parents=True, exist_ok=True)
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    (given.out / "gate-statistics.md").write_text(page(made, server))
    (given.out / "gate-statistics.json").write_text(json.dumps(made, indent=2, sort_keys=True) + "\n")
    return 0


def _error(sentence: str, code: int = NOT_EVALUATED) -> int:
    print(f"weighin: {plain_line(sentence, 500)}.", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
