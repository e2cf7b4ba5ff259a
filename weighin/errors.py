"""Errors that a person can act on: fact, place, remedy, on one line."""

from __future__ import annotations

import errno
import os
import re

INTERNAL_ERROR = 3
"""Exit code of what should not have happened; pytest uses the same."""


class WeighinError(Exception):
    """Root of everything this package raises on purpose.

    `fact` says what is wrong, `place` where (file, line, column, address), `remedy` what to do about it.
    The command line prints the three on one line and exits with `exit_code`.
    """

    exit_code = 4

    def __init__(self, fact: str, place: str = "", remedy: str = "") -> None:
        self.fact, self.place, self.remedy = fact, place, remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.place}: {self.fact}" if self.place else self.fact
        text = f"{text}. {self.remedy}" if self.remedy else text
        return " ".join(text.split())


class ContractError(WeighinError):
    """The contract, or an argument, cannot be used as written."""


class RegistryError(WeighinError):
    """The model registry is away, or does not hold what was asked for."""

    exit_code = 7


class EvidenceError(WeighinError):
    """A file that a suite should have left is missing, damaged or belongs to something else."""

    exit_code = 7


class RecordRefused(EvidenceError):
    """A record that does not hold: changed, signed by nobody who is trusted, or not what its numbers say."""

    exit_code = 1


class PromotionError(WeighinError):
    """The registry was not changed, because something that must hold does not."""

    exit_code = 1


class DeployError(WeighinError):
    """The registry says one thing, and the servers another."""

    exit_code = 1


class HoldoutUseRefused(WeighinError):
    """No use of the sealed holdout for this candidate."""

    exit_code = 1


class SystemFault(WeighinError):
    """The machine did not do what was asked of it: no room, no right, no such path."""

    exit_code = 7


def system_fault(error: OSError) -> SystemFault:
    """Return an error of the operating system with its path and a remedy.

    >>> str(system_fault(OSError(28, "No space left on device", "reports/record.json")))
    'reports/record.json: No space left on device. Make room there.'
    """
    remedies = {
        **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Make room there."),
        **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "Let this user write there, or name another folder."),
        errno.EMFILE: "Raise the limit of open files (ulimit -n).",
    }
    place = error.filename if isinstance(error.filename, str) else os.fsdecode(error.filename or b"")
    # The system's own words for a number: a library may put any text into its error.
    if not isinstance(error.errno, int):
        return SystemFault(type(error).__name__)
    return SystemFault(os.strerror(error.errno), place, remedies.get(error.errno, ""))


class NotEvaluated(WeighinError):
    """Something could not be measured. Never a pass."""

    exit_code = 7


def without_password(text: str) -> str:
    """Return an address, or a message that holds one, as it may be shown: what stands before `@` of a host is a secret.

    >>> without_password("GET http://user:secret@host/x failed")
    'GET http://host/x failed'
    """
    return re.sub(r"://\S*@", "://", text)
