"""Regular expressions that mean the same to pandas, Spark and DuckDB; whatever the three read differently is refused.

Python, Java and RE2 disagree about `\\d` beyond ASCII, about `$` before a line end, about nested classes, look-around
and flags. A rule must not hold or break with the size of the data, so what is left is what all three agree on.
"""

from __future__ import annotations

import re

_TOKENS = re.compile(r"\\.|\(\?:?|\[\^?\]?|&&|.", re.DOTALL)


def portable(pattern: str) -> str:
    """Return the pattern itself. Errors: `ValueError` with what to write instead.

    >>> portable("[A-Z]{3}(-[0-9]+)?")
    '[A-Z]{3}(-[0-9]+)?'
    """
    inside = False
    for found in _TOKENS.finditer(pattern):
        part = found.group()
        if part[0] == "\\" and part[1:].isalnum():
            raise ValueError(f"`{part}` means different things to pandas and Spark: write a class such as [0-9]")
        if part == "(?" and not inside:
            raise ValueError("of the groups with `?` only `(?:...)` means the same to pandas and Spark")
        if part[0] == "[":
            if inside or part.endswith("]"):
                raise ValueError("a `[` or `]` inside a class needs a backslash before it")
            inside = True
        elif part == "]":
            inside = False
        elif part == "&&" and inside:
            raise ValueError("`&&` inside a class intersects in Spark: write one `&`")
        elif part == "^" and not inside and found.start() > 0:
            raise ValueError("`^` belongs to the start: a pattern is matched as a whole")
        elif part == "$" and not inside and found.end() < len(pattern):
            raise ValueError("`$` belongs to the end: a pattern is matched as a whole")
        elif part == "+" and not inside and found.start() > 0 and pattern[found.start() - 1] in "*+?}":
            raise ValueError("possessive quantifiers are not known everywhere: leave the second `+` out")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return pattern
