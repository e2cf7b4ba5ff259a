"""A team's own locustfile by our schedule: in one process, and by Locust's master and workers."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.load_plans import PLAN
from support.load_servers import latency, running
from weighin.cli import main
from weighin.load import LoadLog, read_log
from weighin.load.schedule import arrivals
from weighin.runner.local import _free_port
from weighin.runner.plan import Answers, Phase, Plan, Session

LOCUSTFILE = """
    import gevent
    from locust import HttpUser, constant, events, task

    BODY = '{"dataframe_split": {"columns": ["a"], "data": [[1.5]]}}'

    class Asks(HttpUser):
        wait_time = constant(3600)

        @task
        def ask(self):
            with self.client.post("/invocations", data=BODY, catch_response=True) as response:
                if response.status_code == 200 and response.json()["predictions"] != [1.5]:
                    response.failure("wrong")
"""


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`weighin step load ...`, ended when we are."""
    line = [sys.executable, "-m", "weighin", "step", "load", *arguments]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def planned(folder: Path, locustfile: str = LOCUSTFILE, **changes: object) -> Path:
    """A locustfile, and the plan of a load step that runs it."""
    path = folder / "locustfile.py"
    path.write_text(textwrap.dedent(locustfile))
    plan = replace(PLAN, **changes)
    plan = replace(plan, sessions=(Session("candidate", 0, plan.phases),))
    Plan(("load",), ("candidate",), Answers((0,)), 60, 1000, plan).write(folder / "plan.json")
    return path


def ran(folder: Path, server: str, locustfile: str = LOCUSTFILE, service: float = 0.005, **changes: object) -> LoadLog:
    path = planned(folder, locustfile, **changes)
    with (
        running(server, service=service) as url,
        command("--work", str(folder), "--url", url, "--locustfile", str(path)) as process,
    ):
        said, _ = process.communicate(timeout=90)
        assert process.returncode == 0, said
    return read_log([folder / "load/candidate-0/responses-candidate-0.arrow"])


def test_tasks_are_run_at_the_moments_of_the_schedule(tmp_path: Path) -> None:
    log = ran(tmp_path, "constant", arrivals="poisson")
    due = arrivals(replace(PLAN, arrivals="poisson"), (0, 0))[1] + 0.25
    assert len(log.ok) == len(due)
    assert set(log.errors) == {""}
    assert log.intended == pytest.approx(due, abs=0.05)
    assert np.all(log.latency >= 0.005)
    assert set(log.rows) == {()}


def test_a_stall_is_charged_to_every_task_that_was_due_meanwhile(tmp_path: Path) -> None:
    # As in the test of the plain sender: the last request waits for what was asked before.
    log = ran(tmp_path, "serial", service=0.04)
    truth = latency("serial", np.arange(40) / 40, 0.04)[10:]
    assert truth[-1] > 0.6
    # A busy machine adds to a wait and takes nothing from it; benchmarks/load_truth.py looks at both sides.
    assert np.all(log.latency > truth - 0.05)


def test_what_goes_wrong_in_a_task_is_an_error_of_its_arrival(tmp_path: Path) -> None:
    short = (Phase("load", 40, 0.25),)
    assert set(ran(tmp_path, "hangs", phases=short, timeout_seconds=0.5).errors) == {"no answer in time"}
    assert all("500" in error for error in ran(tmp_path, "error", phases=short).errors)
    raises = LOCUSTFILE + "            raise ValueError('odd')\n"
    errors = ran(tmp_path, "constant", raises, phases=short).errors
    assert len(set(errors)) == 2
    assert {e.rpartition(" ")[0] for e in errors} == {"", "the task raised ValueError, code"}


def test_a_ramp_of_tasks_ends_with_the_step_that_breaks(tmp_path: Path) -> None:
    ramp = tuple(Phase("stress", rate, 0.5) for rate in (20, 200, 400))
    log = ran(tmp_path, "serial", service=0.02, phases=(*ramp, Phase("recovery", 20, 0.5)), timeout_seconds=10)
    assert len(log.of("stress").ok) == 110
    assert len(log.of("recovery").ok) == 10


UNUSABLE = {
    "": "no user class",
    "from locust import HttpUser\nclass Idle(HttpUser): pass": "Idle has no tasks",
    "from locust import HttpUser, TaskSet, task\nclass Nested(HttpUser):\n"
    "    @task\n    class Inner(TaskSet):\n"
    "        @task\n        def ask(self): pass": "Nested has no tasks, or a TaskSet",
}
SAYS_WHY = """
import sys
from dataclasses import replace
from pathlib import Path
from weighin.errors import NotEvaluated
from weighin.load.locust import run
from weighin.runner.plan import Plan
plan = Plan.read(Path(sys.argv[1])).load
for path in sys.argv[2:]:
    try:
        run("http://127.0.0.1:9", replace(plan, locustfile=path), (0, 0))
    except NotEvaluated as error:
        print(error.fact)
"""


def test_a_locustfile_without_usable_tasks_is_said(tmp_path: Path) -> None:
    paths = [planned(tmp_path, text).rename(tmp_path / f"tasks_{n}.py") for n, text in enumerate(UNUSABLE)]
    # A program of its own, for all of them: Locust's import patches the process.
    line = [sys.executable, "-c", SAYS_WHY, tmp_path / "plan.json", *paths]
    ran = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    for said, wanted in zip(ran.stdout.splitlines(), UNUSABLE.values(), strict=True):
        assert wanted in said


def test_a_locustfile_that_does_not_load_is_said(tmp_path: Path) -> None:
    path = planned(tmp_path, "import nothing_of_this_name")
    arguments = ("--work", str(tmp_path), "--locustfile", str(path))
    with running("constant") as url, command("--url", url, *arguments) as process:
        said, _ = process.communicate(timeout=60)
    sentence = "the locustfile does not load, ModuleNotFoundError"
    assert (process.returncode, sentence in said) == (7, True), said


def test_a_master_and_two_workers_run_the_same_arrivals_as_one_process(tmp_path: Path) -> None:
    path = planned(tmp_path, arrivals="poisson", phases=(Phase("load", 60, 1), Phase("peak", 120, 0.5)))
    port = str(_free_port())
    worker = ("--worker", "127.0.0.1", "--port", port, "--locustfile", str(path))
    master = ("--master", "2", "--port", port, "--work", str(tmp_path), "--locustfile", str(path))
    with running("constant") as url, command(*worker) as one, command(*worker) as two:
        with command("--url", url, *master) as process:
            said, _ = process.communicate(timeout=90)
            assert process.returncode == 0, said
        # The master has ended them.
        assert [each.wait(timeout=30) for each in (one, two)] == [0, 0]
    log = read_log([tmp_path / "load/candidate-0/responses-candidate-0.arrow"])
    plan = Plan.read(tmp_path / "plan.json").load
    assert plan is not None
    first, second = arrivals(plan, (0, 0))
    assert len(log.of("load").ok) == len(first)
    assert len(log.of("peak").ok) == len(second)
    assert log.intended == pytest.approx(np.concatenate([first, second + 1]), abs=0.05)
    assert log.ok.all()


def test_a_master_without_workers_gives_up_in_time(tmp_path: Path) -> None:
    path = planned(tmp_path, start_seconds=1)
    arguments = ("--master", "2", "--port", str(_free_port()), "--work", str(tmp_path), "--locustfile", str(path))
    with running("constant") as url, command("--url", url, *arguments) as process:
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, "workers did not come in 1 s" in said) == (7, True), said


@pytest.mark.parametrize("arguments", [("--worker", "127.0.0.1"), ("--master", "2", "--url", "http://127.0.0.1:1"), ()])
def test_arguments_that_do_not_go_together_are_a_usage_error(arguments: tuple[str, ...], tmp_path: Path) -> None:
    planned(tmp_path)
    assert main(["step", "load", "--work", str(tmp_path), *arguments]) == 4
