"""What one check of a repository found."""

from __future__ import annotations

from dataclasses import dataclass

from weighin.github.escape import plain_line

OK, MISSING, CANNOT_TELL = "ok", "missing", "cannot tell"


@dataclass(frozen=True)
class Finding:
    """One line.

    check   stable name
    status  OK, MISSING or CANNOT_TELL
    said    what was found, or why it could not be
    remedy  what to do; empty only for OK
    """

    check: str
    status: str
    said: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if (self.status == OK) == bool(self.remedy):
            raise AssertionError(f"{self.check}: a remedy is for what is not ok, and is never left out there")

    def __str__(self) -> str:
        text = f"{self.said}. {self.remedy}" if self.remedy else self.said
        return f"{self.status:<11}  {self.check:<23}  {plain_line(text, 600)}"


def ok(check: str, said: str) -> Finding:
    """Found as it should be."""
    return Finding(check, OK, said)


def missing(check: str, said: str, remedy: str) -> Finding:
    """Found otherwise."""
    return Finding(check, MISSING, said, remedy)


def cannot_tell(check: str, said: str, remedy: str) -> Finding:
    """Not found out. The remedy names what would be needed."""
    return Finding(check, CANNOT_TELL, said, remedy)
