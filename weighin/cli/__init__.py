"""The command line: arguments become objects, objects become exit codes. It knows everything, nobody knows it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable

from weighin.cli.arguments import parser
from weighin.errors import INTERNAL_ERROR, WeighinError
from weighin.github.escape import visible
from weighin.untrusted.redact import reduced

KEPT = "\n"


def must_be_encodable(*streams: object) -> None:
    """Let a character that a stream's encoding lacks be written as its escape: a message must not end in an error."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def environment() -> None:
    """Set what libraries read when they are imported, where nobody has set it."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # MLflow's own defaults keep a caller of a registry that is away waiting for many minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")


def main(argv: list[str] | None = None, leave: Callable[[WeighinError], None] = lambda error: None) -> int:
    """Run one command; returns its exit code.

    leave  gets an error that was raised on purpose, besides the line that is printed of it

    0 passed · 1 failed · 4 usage or contract error · 5 nothing evaluated · 6 inconclusive · 7 not evaluated; 2 and 3
    are pytest's own: interrupted, internal error.
    """
    environment()
    must_be_encodable(sys.stdout, sys.stderr)
    given = parser().parse_args(argv)
    from weighin.cli import commands

    try:
        return int(getattr(commands, given.command.replace("-", "_"))(given))
    except WeighinError as error:
        if given.debug:
            raise
        leave(error)
        print(f"weighin: {visible(error, KEPT)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("weighin: interrupted", file=sys.stderr)
        return 2
    except Exception as error:
        if given.debug:
            raise
        print(f"weighin: internal error, {reduced(error)}. See it with --debug.", file=sys.stderr)
        return INTERNAL_ERROR
