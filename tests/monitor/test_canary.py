"""A canary goes on, goes back, or waits: by a real log, with a real command, and with the error that it states."""

from __future__ import annotations

import contextlib
import functools
import json
import sqlite3
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from support.contract_texts import watched
from weighin.cli import main
from weighin.contract import Check, read_contract
from weighin.contract.checks import ChangedRule
from weighin.errors import ContractError, NotEvaluated
from weighin.monitor.canary import SETTLED, Answer, Canaried, canary, point, point_alpha
from weighin.outcome import Direction, Limit, Status, decide
from weighin.prediction_log.reader import Log
from weighin.prediction_log.sinks import sink_for
from weighin.prediction_log.tables import LogTables
from weighin.stats.intervals import clopper_pearson, difference_of_shares
from weighin.suites.sample import sample

NOW = datetime.now(UTC)
HOURS = 4.0
SINCE = NOW - timedelta(hours=HOURS)
MOVE = "import json, os, sys; json.dump({'argv': sys.argv[2:], 'env': dict(os.environ)}, open(sys.argv[1], 'w'))"
GOES_ON = {"error_rate_increase_at_most": 0.03, "latency_ratio_at_most": 1.5, "latency_ms_at_most": 100}


@dataclass
class Step:
    """A step of a canary, four hours in which version 2 has a fifth of the traffic. Change limits or rows."""

    folder: Path
    path: str
    limits: dict[str, Any] = field(default_factory=lambda: dict(GOES_ON))
    command: tuple[str, ...] = (sys.executable, "-c", MOVE, "{moved}", "{share}", "{version}", "{model}")

    @property
    def moved(self) -> Path:
        return self.folder / "moved.json"

    @property
    def contract(self) -> Path:
        canary = {
            "steps": [0.05, 0.2, 0.5, 1],
            "command": [w.replace("{moved}", str(self.moved)) for w in self.command],
            "rows_at_least": 600,
            **self.limits,
        }
        given = watched(self.path, canary=canary)
        path = self.folder / "model_contract.yaml"
        path.write_text(yaml.safe_dump(given))
        return path

    def log(self, requests: int = 1000, seed: int = 0, **given: Any) -> None:
        """Log a fifth of them for version 2; `canary_*` of `given` are shares, or latency_ms, of it alone."""
        rng = np.random.default_rng(seed)
        tables = LogTables.of(read_contract(self.contract))
        champion = requests * 4
        with contextlib.closing(sink_for(tables)) as sink:
            for role, version, n in (("canary", "2", requests), ("champion", "1", champion)):
                mine = {k.removeprefix(f"{role}_"): v for k, v in given.items() if k.startswith(role)}
                label = (rng.random(n) < 0.4).astype(int)
                score = np.clip(0.5 * label + rng.normal(0.25, 0.2, n), 0, 1)
                score = np.where(rng.random(n) < mine.get("useless", 0), rng.random(n), score)
                failed = rng.random(n) < mine.get("errors", 0.01)
                at = [SINCE + timedelta(hours=HOURS) * float(u) for u in np.linspace(0.001, 0.98, n)]
                names = [f"{role}-{seed}-{i}" for i in range(n)]
                rows = {
                    "at": at,
                    "request": names,
                    "row": [0] * n,
                    "model": ["m"] * n,
                    "version": [str(mine.get("version", version))] * n,
                    "digest": ["sha256:d"] * n,
                    "role": [role] * n,
                    "status": np.where(failed, 500, 200).tolist(),
                    "latency_ms": (rng.gamma(4, 2.5, n) + mine.get("slower", 0)).tolist(),
                    "prediction": pa.array(score, mask=failed),
                    "f_a": pa.array(score, mask=failed),
                }
                sink.write(tables.predictions, pa.table(rows, schema=tables.schema))
                labels = {"at": at, "request": names, "row": [0] * n, "label": label.tolist()}
                sink.write(tables.labels, pa.table(labels, schema=tables.label_schema))

    def execute(self, statement: str) -> None:
        """Change a log in SQLite by hand."""
        with contextlib.closing(sqlite3.connect(self.folder / self.path)) as log, log:
            log.execute(statement)

    def evaluate(
        self, share: float = 0.2, now: datetime = NOW, version: str = "2", since: datetime = SINCE
    ) -> Canaried:
        file = read_contract(self.contract)
        return canary(file.contract, Log.of(file), version, share, since, now)

    def run(self, *more: str, share: str = "0.2") -> int:
        line = ["canary", "--contract", str(self.contract), "--version", "2", "--share", share]
        return main([*line, "--since", SINCE.isoformat(), *more])

    def notified(self) -> list[str]:
        """The words that the command was given."""
        return json.loads(self.moved.read_text())["argv"]


@pytest.fixture(params=["log.sqlite", "log"])
def step(request: pytest.FixtureRequest, tmp_path: Path) -> Step:
    return Step(tmp_path, request.param)


@pytest.fixture
def quick(tmp_path: Path) -> Step:
    return Step(tmp_path, "log.sqlite")


# --- the three answers


def test_a_canary_that_keeps_its_limits_goes_on_to_the_next_step(
    step: Step, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a-secret")
    monkeypatch.setenv("WEIGHIN_SIGNING_KEY", "another")
    monkeypatch.setenv("OF_THE_TEAM", "kept")
    step.log()
    assert step.run() == 0
    assert step.notified() == ["0.5", "2", "m"]
    environment = json.loads(step.moved.read_text())["env"]
    assert "a-secret" not in environment.values()
    assert "another" not in environment.values()
    assert environment["OF_THE_TEAM"] == "kept"
    message = capsys.readouterr().out
    assert "moved to a share of 0.5" in message
    assert "Next: weighin canary --version 2 --share 0.5 --since " in message


def test_before_the_evidence_is_complete_it_waits(step: Step, capsys: pytest.CaptureFixture[str]) -> None:
    step.log(500)
    assert step.run() == 6
    assert not step.moved.exists()
    assert "the first decision needs 600" in capsys.readouterr().out


def test_a_canary_with_more_errors_goes_back(step: Step) -> None:
    step.log(canary_errors=0.15)
    assert step.run() == 1
    assert step.notified() == ["0", "2", "m"]


def test_a_canary_near_its_limit_is_undecided_and_moves_nothing(quick: Step) -> None:
    quick.log(canary_errors=0.04)
    found = quick.evaluate()
    assert (found.answer, found.next_share) == (Answer.INCONCLUSIVE, None)
    assert {o.check: o.status.value for o in found.outcomes}["canary/errors"] == "inconclusive"
    assert quick.run() == 6
    assert not quick.moved.exists()


# --- one thing broken


def test_a_slow_canary_fails(quick: Step) -> None:
    quick.log(canary_slower=20)
    found = quick.evaluate()
    assert (found.answer, found.next_share) == (Answer.FAIL, 0)
    assert {o.check for o in found.outcomes} == {"canary/p50/vs-champion"}


def test_a_canary_beyond_a_time_fails_though_the_champion_is_as_slow(quick: Step) -> None:
    quick.log(canary_slower=200, champion_slower=200)
    found = quick.evaluate()
    assert (found.answer, {o.check for o in found.outcomes}) == (Answer.FAIL, {"canary/p50"})


def test_a_champion_that_is_worse_is_no_fault_of_the_canary(quick: Step) -> None:
    quick.log(champion_errors=0.3, champion_slower=20)
    assert quick.evaluate().answer is Answer.PASS


METRIC = {"metric": "roc_auc", "metric_drop_at_most": 0.08}


def test_a_metric_decides_once_labels_have_come(step: Step) -> None:
    step.limits = METRIC
    step.log()
    assert step.evaluate().answer is Answer.PASS


def test_a_canary_whose_answers_are_worse_fails(quick: Step) -> None:
    quick.limits = METRIC
    quick.log(canary_useless=1)
    found = quick.evaluate()
    assert (found.answer, {o.check for o in found.outcomes}) == (Answer.FAIL, {"canary/roc_auc"})


def test_a_loss_is_worse_where_it_is_higher(quick: Step) -> None:
    quick.limits = {"metric": "log_loss", "metric_drop_at_most": 0.1}
    quick.log(canary_useless=1)
    assert quick.evaluate().answer is Answer.FAIL


def test_labels_that_have_not_come_are_waited_for(quick: Step) -> None:
    quick.limits = METRIC
    quick.log()
    quick.execute("DELETE FROM weighin_labels WHERE request LIKE 'canary-0-%' AND length(request) > 11")
    found = quick.evaluate()
    assert found.answer is Answer.INCONCLUSIVE
    # One of the hundred requests that are left was answered with an error.
    assert found.reason == "1,000 requests, 99 labels so far, the first decision needs 600"


def test_errors_in_two_of_three_windows_are_no_failure(quick: Step) -> None:
    quick.log()
    # Of the newest 600 requests two windows of 200 fail, and the newest does not.
    quick.execute("""UPDATE weighin_predictions SET status = 500 WHERE role = 'canary' AND rowid IN
        (SELECT rowid FROM weighin_predictions WHERE role = 'canary' ORDER BY at DESC LIMIT 400 OFFSET 200)""")
    assert quick.evaluate().answer is Answer.INCONCLUSIVE


# --- what cannot be judged


@pytest.mark.parametrize(
    ("given", "more", "says"),
    [
        ({}, {"version": "3"}, "no request of version 3 with the role canary"),
        ({"champion_version": "2"}, {}, "the champion was version 2 in this step"),
        ({}, {"share": 1}, "nobody is left to compare it with"),
        ({}, {"since": NOW}, "only just begun"),
    ],
)
def test_a_step_without_two_sides_is_not_evaluated(
    given: dict[str, Any], more: dict[str, Any], says: str, quick: Step
) -> None:
    quick.log(**given)
    with pytest.raises(NotEvaluated, match=says):
        quick.evaluate(**more)


def test_a_champion_that_changed_meanwhile_is_not_one_to_compare_with(quick: Step) -> None:
    quick.log()
    quick.log(seed=1, champion_version="4")
    with pytest.raises(NotEvaluated, match="the champion was version 1, 4 in this step"):
        quick.evaluate()


def test_a_log_that_is_away_has_its_own_exit_code(quick: Step) -> None:
    assert quick.run() == 7
    assert not quick.moved.exists()


@pytest.mark.parametrize("words", [["0.3"], ["yes"]])
def test_a_share_that_is_no_step_is_refused(words: list[str], quick: Step) -> None:
    quick.log(50)
    if words == ["yes"]:
        with pytest.raises(SystemExit, match="4"):
            quick.run(share=words[0])
    else:
        assert quick.run(share=words[0]) == 4


# --- the command


def test_a_dry_run_moves_nothing(quick: Step, capsys: pytest.CaptureFixture[str]) -> None:
    quick.log()
    assert quick.run("--dry-run") == 0
    assert not quick.moved.exists()
    assert "would move to a share of 0.5" in capsys.readouterr().out


def test_the_last_step_says_that_it_promotes_nobody(quick: Step, capsys: pytest.CaptureFixture[str]) -> None:
    quick.log()
    assert quick.run(share="0.5") == 0
    assert quick.notified()[0] == "1"
    assert "That was the last step: `weighin promote` makes it champion" in capsys.readouterr().out


def test_a_command_that_ends_badly_is_no_move(quick: Step, capsys: pytest.CaptureFixture[str]) -> None:
    quick.command = (sys.executable, "-c", "import sys; sys.exit('no such route {share}')")
    quick.log()
    assert quick.run() == 7
    message = capsys.readouterr()
    assert "the traffic was not moved" in message.err
    assert "no such route 0.5" in message.err
    assert "moved to" not in message.out


def test_a_canary_that_fails_and_cannot_be_moved_is_said_loudly(
    quick: Step, capsys: pytest.CaptureFixture[str]
) -> None:
    quick.command = (sys.executable, "-c", "import sys; sys.exit('no such route {share}')")
    quick.log(canary_errors=0.3)
    assert quick.run() == 1
    assert "The canary fails and still has its share." in capsys.readouterr().err


# --- many runs


def test_looks_between_two_points_see_the_same(quick: Step) -> None:
    quick.log(1100, canary_errors=0.03)
    consecutive_windows = [quick.evaluate(now=NOW - timedelta(minutes=m)) for m in (90, 60, 30, 0)]
    assert len({found.requests for found in consecutive_windows}) == 4
    first, *others = ([(o.check, o.evidence) for o in found.outcomes] for found in consecutive_windows)
    assert first
    assert all(other == first for other in others)


def test_rows_that_may_still_be_on_their_way_do_not_count(quick: Step) -> None:
    quick.log(700)
    last = SINCE + timedelta(hours=HOURS) * 0.98
    assert quick.evaluate(now=last + SETTLED + timedelta(seconds=60)).requests == 700
    assert quick.evaluate(now=last).requests < 700


def test_a_step_with_far_more_requests_is_decided_on_its_first_ones(quick: Step) -> None:
    # Labels lag behind: 700 of them, 5,000 requests.
    quick.limits = {**METRIC, "error_rate_increase_at_most": 0.03}
    quick.log(5000)
    quick.execute("""DELETE FROM weighin_labels WHERE request LIKE 'canary%' AND rowid NOT IN
        (SELECT rowid FROM weighin_labels WHERE request LIKE 'canary%' ORDER BY at LIMIT 700)""")
    found = {o.check: o.evidence for o in quick.evaluate().outcomes}
    assert found["canary/errors"].detail["canary"] == 600
    # The champion's, over the same span.
    assert found["canary/errors"].detail["champion"] == pytest.approx(2400, abs=10)


def test_a_canary_at_its_limit_passes_with_less_than_the_stated_error() -> None:
    alpha, limit, least, points, runs = 0.05, 0.02, 400, 7, 1200
    rng = np.random.default_rng(11)
    sizes = least * 2 ** np.arange(points)
    new = np.diff(sizes, prepend=0)
    # The truth is as bad as the limit allows.
    ours = np.cumsum(rng.binomial(new, 0.03 + limit, (runs, points)), axis=1)
    theirs = np.cumsum(rng.binomial(4 * new, 0.03, (runs, points)), axis=1)

    exact = functools.cache(clopper_pearson)

    def passes(run: int, k: int, error: float) -> bool:
        n = int(sizes[k])
        assert point(n, least) == k
        found = difference_of_shares(
            exact(int(ours[run, k]), n, 1 - error), exact(int(theirs[run, k]), 4 * n, 1 - error)
        )
        bound = Limit(Direction.AT_MOST, limit, error)
        check = Check("canary/errors", "canary", bound, ChangedRule())
        return decide(sample(check, found, "share", "rows", {}), bound).status is Status.PASSED

    def share(errors: list[float]) -> float:
        return sum(any(passes(run, k, e) for k, e in enumerate(errors)) for run in range(runs)) / runs

    assert share([point_alpha(alpha, k) for k in range(points)]) <= alpha
    # What it is for: looks that each take the whole of it.
    assert share([alpha] * points) > alpha


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({}, "give at least one of"),
        ({"steps": [0.5, 0.2], "error_rate_increase_at_most": 0.1}, "`steps` grow"),
        ({"steps": [0, 0.2], "error_rate_increase_at_most": 0.1}, "from above 0"),
        ({"command": ["move"], "error_rate_increase_at_most": 0.1}, "has no {share}"),
        ({"metric": "roc_auc"}, "go together"),
        ({"metric": "mae", "metric_drop_at_most": 0.1}, "`mae` of a binary task is not made from the log"),
    ],
)
def test_a_canary_that_makes_no_sense_is_refused(limits: dict[str, Any], says: str, quick: Step) -> None:
    quick.limits = limits
    with pytest.raises(ContractError, match=says):
        read_contract(quick.contract)
