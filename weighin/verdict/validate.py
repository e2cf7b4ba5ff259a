"""Validation: every step from the models in a registry to a verdict with its reports."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

from weighin.contract.own import own_suites, runs_own_code
from weighin.contract.reading import ContractFile, read_contract
from weighin.errors import ContractError, NotEvaluated, WeighinError
from weighin.runner import docker, local
from weighin.runner.finished import Finished
from weighin.runner.warm import Warm, warm
from weighin.verdict.conclude import Verdict, conclude, judged_by, or_not_evaluated
from weighin.verdict.judge import decide_again
from weighin.verdict.preflight import preflight

ORDER = ("data_quality", "drift", "performance", "explainability", "load", "shadow", "sealed")
"""The suites by how long they take, their pages included; the longest last."""


def validate(
    contract: Path | str,
    *,
    candidate: str | None = None,
    champion: str | None = None,
    runner: Literal["local", "docker"] = "local",
    image: str = "weighin:local",
    suites: Sequence[str] | None = None,
    sealed: bool = False,
    train: Sequence[str] = (),
    work: Path | str = ".weighin/work",
    reports: Path | str = "reports",
    as_artifact: bool = False,
    in_process: bool = False,
    resume: bool = False,
    drill: Path | str | None = None,
) -> Verdict:
    """Judge a candidate by a contract, and leave record, summary and pages in `reports`.

    contract    path of model_contract.yaml
    candidate, champion  `models:/NAME/VERSION`, a version, `models:/NAME@ALIAS` or a folder; default: the contract's
                aliases
    runner      `local`: processes of this machine, for models that are trusted; `docker`: containers of `image`
    suites      only these, which is never a pass; default: all that the contract has
    sealed      reserve a use of the sealed holdout, for a release
    train       a Python file with its arguments, which is run first
    work        folder of intermediate files; its earlier content is replaced
    resume      take up predictions and load that an earlier run left there, where all they depend on has the same
                digests; suites are run again
    as_artifact  refuse a contract that does not allow work and reports to become artifacts
    drill       the `drill.json` of the last drill, for the record; default `drill/drill.json` of the reports, if any
    in_process  run the local steps without a warm process, and keep tracebacks
    Progress is printed to standard error.
    Errors: `WeighinError` where there is no decision; the reports say `not_evaluated`, and why.
    """
    last = Path(drill) if drill else found if (found := Path(reports) / "drill/drill.json").is_file() else None
    given = _Given(
        Path(contract),
        candidate,
        champion,
        runner,
        image,
        sealed,
        tuple(train),
        Path(work),
        Path(reports),
        last,
        resume,
    )
    with or_not_evaluated(given.reports):
        file = read_contract(given.contract)
        if as_artifact:
            file.demand_public_data()
        chosen = tuple(suites or (*file.contract.gates.names, *own_suites(file.folder)))
        absent = [s for s in suites or () if s not in file.contract.gates.names]
        if absent:
            raise ContractError(f"no limits for suite {', '.join(absent)}", str(contract), "Add them under `gates`.")
        if sealed and suites:
            raise ContractError("the sealed holdout is for a whole release", "--sealed", "Leave --suite out.")
        if resume and (sealed or train):
            other = "--sealed reserves a use of the sealed holdout" if sealed else "--train registers another model"
            raise ContractError(f"{other} in each run", "--resume", "Leave one of them out.")
        # A training may write the data.
        preflight(file, chosen, files=not train)
        if runner == "docker":
            judged_by(image, file.folder)
            return _Steps(given, file, chosen, None).run()
        if in_process:
            return _Steps(given, file, chosen, None).run()
        gates = sorted((s for s in (*chosen, *(["sealed"] if sealed else [])) if s in ORDER), key=ORDER.index)
        with warm(("judge", "models", *gates), {**local.PATIENT, **local.variables()}) as forks:
            return _Steps(given, file, chosen, forks).run()


@dataclass(frozen=True)
class _Given:
    contract: Path
    candidate: str | None
    champion: str | None
    runner: Literal["local", "docker"]
    image: str
    sealed: bool
    train: tuple[str, ...]
    work: Path
    reports: Path
    drill: Path | None
    resume: bool


@dataclass(frozen=True)
class _Steps:
    """All steps, each in a process or a container of its own.

    forks  the warm process of the local runner
    """

    given: _Given
    file: ContractFile
    suites: tuple[str, ...]
    forks: Warm | None

    @cached_property
    def finished(self) -> Finished:
        """The long steps that have ended, in this run or in the one that it takes up."""
        return Finished(self.given.work, os.environ.get("WEIGHIN_IMAGE", "") if self.in_docker else "")

    @property
    def in_docker(self) -> bool:
        return self.given.runner == "docker"

    def run(self) -> Verdict:
        work, reports = self.given.work, self.given.reports
        if self.given.train:
            with _step("train"):
                problem = local.train(list(self.given.train))
            if problem:
                raise NotEvaluated(f"there is nothing to judge: {problem}", "", "Read what it printed.")
            preflight(self.file, self.suites)
        if self.given.resume:
            self.finished.set_aside()
        else:
            self.finished.forget()
        with _step("resolve candidate and champion"):
            self._resolve()
        early = () if self.in_docker else self._before_models()
        _two_at_a_time([self._predict, *(partial(self._judge, suite) for suite in early)])
        if self.forks is not None:
            # Load is alone on the machine while it measures.
            self.forks.rest()
        for step, title in (("load", "serve and send load"), ("shadow", "serve both and send what was logged")):
            if step in self.suites and not self._taken_up(step):
                with _step(title):
                    docker.load(self.given.image, work, step) if self.in_docker else local.load(work, step)
                self.finished.note(step)
        self.finished.drop()
        # Suites only read, and each leaves a folder of its own. What takes longest begins first.
        later = sorted((s for s in self.suites if s not in early), key=lambda s: ORDER.index(s) if s in ORDER else -1)
        _two_at_a_time([partial(self._judge, suite) for suite in later])
        suites = self._with_sealed() if self.given.sealed else self.suites
        with _step("decide"):
            return conclude(self.file, work, reports, suites, {}, drill=self.given.drill)

    def _resolve(self) -> None:
        """Resolve in a fork, which has imported the registry's client, or here. Errors: `WeighinError`."""
        given = self.given
        if self.forks is not None:
            arguments = ["--contract", str(given.contract), "--work", str(given.work)]
            for option, value in (("candidate", given.candidate), ("champion", given.champion)):
                arguments += [f"--{option}", value] if value else []
            done = local.resolve([*arguments, *(["--sealed"] if given.sealed else [])], self.forks)
            if done is not None:
                code, told = done
                if code:
                    error = WeighinError(told["fact"], told.get("place", ""), told.get("remedy", ""))
                    error.exit_code = code
                    raise error
                return
        from weighin.resolve.models import resolve

        resolve(self.file, given.work, given.candidate, given.champion, given.sealed)

    def _taken_up(self, step: str) -> bool:
        if not self.given.resume or not self.finished.take_up(step):
            return False
        print(f"{step}: taken up from the run before, with the same digests", file=sys.stderr)
        return True

    def _predict(self) -> None:
        if self._taken_up("predict"):
            return
        used: tuple[str, ...] = ()
        with _step("predict"):
            if self.in_docker:
                docker.predict(self.given.image, self.given.work)
                docker.predict(self.given.image, self.given.work, endpoint=True)
            else:
                used = local.predict(self.given.work, self.forks)
        self.finished.note("predict")
        for role in used:
            print(f"predict: those of the {role} are of an earlier run: same files, rows and engine", file=sys.stderr)

    def _judge(self, suite: str) -> None:
        given, file = self.given, self.file
        with _step(f"suite {suite}"):
            if self.in_docker:
                place = file.path.resolve().relative_to(file.folder.resolve())
                docker.judge(suite, given.image, docker.Checkout(file.folder, place), given.work, given.reports)
            else:
                local.judge(suite, file.path, given.work, given.reports, self.forks)

    def _before_models(self) -> tuple[str, ...]:
        """Return the suites that need nothing of a model, and run while the models predict: data quality without own
        tests.
        """
        free = "data_quality" in self.suites
        free = free and not runs_own_code(self.file.folder, self.file.contract, "data_quality")
        return ("data_quality",) if free else ()

    def _with_sealed(self) -> tuple[str, ...]:
        """Judge on the sealed rows what passes everything else: a pass there is then a pass of the whole."""
        decision = decide_again(self.file, self.given.work, self.given.reports, self.suites, {})[2]
        if decision.messages_without("sealed"):
            print("suite sealed: not run, since another suite does not pass", file=sys.stderr)
            shutil.rmtree(self.given.reports / "sealed", ignore_errors=True)
        else:
            self._judge("sealed")
        return (*self.suites, "sealed")


def _two_at_a_time(steps: Sequence[Callable[[], None]]) -> None:
    """Run steps, two side by side; where one raises, or Ctrl-C comes, what the others started is ended."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        try:
            for future in [pool.submit(step) for step in steps]:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            local.end_all()
            raise


@contextlib.contextmanager
def _step(name: str) -> Iterator[None]:
    """Print a line before and a line after, with the time the step took: the same on a terminal and in a log."""
    started = time.monotonic()
    # Each in one piece: two steps may print at the same moment.
    sys.stderr.write(f"{name} ...\n")
    sys.stderr.flush()
    yield
    sys.stderr.write(f"{name}: {time.monotonic() - started:.1f} s\n")
    sys.stderr.flush()
