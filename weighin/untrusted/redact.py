"""Errors of models and libraries as they may be shown: a type, names of columns, and a code. Standard library only.

The text of such an error holds what the model or the library was looking at: rows of the data. A summary, a record, a
log of a job and an artifact are read by more people than the data, so none of them gets the text. It is kept in a file
of this machine that no job uploads, `weighin-logs-<user>` in the temporary folder, or where WEIGHIN_LOGS says.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from pathlib import Path

LOGS = "WEIGHIN_LOGS"
FILES = 50
"""Logs that are kept; the oldest make room."""
BYTES = 2**20
"""Of one log, its end."""
COLUMNS = 5
READ = 100_000
_NAME = re.compile(r"[A-Za-z_]\w{0,59}")
_FRAME = re.compile(r'^\s*File "[^"\n]*?([^"/\n]+)", line (\d+), in (\w+)', re.MULTILINE)


def reduced(error: BaseException, columns: Iterable[object] = ()) -> str:
    """Return an error that was raised over data, in a form that holds none; its text is kept on this machine.

    columns  names that may be shown, where they occur in the text
    The code is the same for the same cause: it is made of types and of places in programs, and of no text.

    >>> try:
    ...     raise ValueError("row 7: Jane Doe, age 41")
    ... except ValueError as error:
    ...     shown = reduced(error, ["age", "height"])
    >>> shown.replace(shown[17:23], "3fa2c1")
    'ValueError, code 3fa2c1, about the columns ["age"]'
    """
    keep("".join(traceback.format_exception(error)))
    return f"{cause(error)}{_about(str(error), columns)}"


def cause(error: BaseException) -> str:
    """Type and code alone, where there may be too many errors for the text of each to be kept."""
    why = f" ({os.strerror(error.errno)})" if isinstance(error, OSError) and isinstance(error.errno, int) else ""
    return f"{type_of(error)}{why}, code {code_of(error)}"


def reduced_text(text: str, trace: str = "", columns: Iterable[object] = ()) -> str:
    """Return the same for an error of which another tool left only the text and the traceback."""
    keep(f"{trace}\n{text}")
    last = next((line for line in reversed(trace.splitlines()) if line.strip()), "")
    kind = last.partition(":")[0].strip().rpartition(".")[2]
    shown = kind if _NAME.fullmatch(kind) else "an error"
    places = "\n".join(f"{name}:{line}:{function}" for name, line, function in _FRAME.findall(trace))
    return f"{shown}, code {_code(shown + places)}{_about(text, columns)}"


def type_of(error: BaseException) -> str:
    """Return the name of the error's type."""
    name = type(error).__name__
    return name if _NAME.fullmatch(name) and name.isascii() else "an exception"


def code_of(error: BaseException) -> str:
    """Six digits that tell two causes apart: types, and functions with their lines, down to where it was raised."""
    parts: list[str] = []
    seen: set[int] = set()
    this: BaseException | None = error
    while this is not None and id(this) not in seen:
        seen.add(id(this))
        parts.append(type_of(this))
        for frame, line in traceback.walk_tb(this.__traceback__):
            parts.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}:{line}")
        this = this.__cause__ or this.__context__
    return _code("\n".join(parts))


def keep(text: str | bytes) -> Path | None:
    """Put a text that may hold data into a file of this machine, which is returned. Where that fails, it is lost."""
    data = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
    if not data.strip():
        return None
    with contextlib.suppress(OSError):
        folder = _folder()
        old = sorted(p for p in folder.iterdir() if p.suffix == ".log")
        for path in old[: max(0, len(old) - FILES + 1)]:
            path.unlink(missing_ok=True)
        name = f"{time.strftime('%Y%m%dT%H%M%S')}-{time.monotonic_ns()}-{os.getpid()}.log"
        made = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(made, "wb") as file:
            file.write(" ".join(sys.argv[:2]).encode("utf-8", "backslashreplace") + b"\n" + data[-BYTES:])
        return folder / name
    return None


def _folder() -> Path:
    """Return a folder that belongs to this user and is closed to others. Errors: `OSError`."""
    named = os.environ.get(LOGS)
    folder = Path(named) if named else Path(tempfile.gettempdir()) / f"weighin-logs-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=bool(named), exist_ok=True)
    known = os.lstat(folder)
    if not stat.S_ISDIR(known.st_mode) or known.st_uid != os.getuid():
        raise PermissionError(str(folder))
    return folder


def _code(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:6]


def _about(text: str, columns: Iterable[object]) -> str:
    """Return the columns whose names occur in a text, each as a word of its own."""
    text = text[:READ]
    names = [str(c) for c in columns if str(c) in text]
    found = [n for n in names if re.search(rf"(?<!\w){re.escape(n)}(?!\w)", text)]
    return f", about the columns {listed(found)}" if found else ""


def listed(names: list[str]) -> str:
    """Names of columns in a sentence: a JSON list, in which no name can be taken for words of the sentence."""
    more = f" and {len(names) - COLUMNS} more" if len(names) > COLUMNS else ""
    return json.dumps(names[:COLUMNS]) + more
