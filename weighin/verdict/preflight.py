"""What can be known before anything slow: files, columns, and the Great Expectations suite."""

from __future__ import annotations

import sys

from weighin.contract.own import suite_file
from weighin.contract.reading import ContractFile
from weighin.data.fits import Fit, look
from weighin.errors import ContractError, NotEvaluated
from weighin.github.escape import visible


class NotReady(NotEvaluated):
    """Several things that stand in the way of a validation."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(p.rstrip(".") for p in problems), "before anything was run")


def preflight(file: ContractFile, suites: tuple[str, ...], *, files: bool = True) -> None:
    """Refuse what cannot come to a verdict; say at once which columns do not fit, which a suite will judge.

    files  whether the data are there already
    Errors: `NotReady` for a data file that is not there or not readable, a Great Expectations suite that is not what
    the contract says, and a suite of the team's own whose file is not there.
    """
    from weighin.contract.own import GATES

    fit = look(file) if files else Fit()
    problems = list(fit.absent)
    if "data_quality" in suites:
        from weighin.suites.expectations import write_suite

        try:
            write_suite(file.contract, file.folder, check=True)
        except ContractError as error:
            problems.append(str(error))
    problems += [
        f"no suite `{name}`: {suite_file(file.folder, name)} is not there"
        for name in suites
        if name not in GATES and not suite_file(file.folder, name).is_file()
    ]
    if problems:
        raise NotReady(problems)
    for said in fit.unfit:
        print(f"before anything runs: {visible(said)}", file=sys.stderr)
