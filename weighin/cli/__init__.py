"""The command line: arguments become objects, objects become exit codes. It knows everything, nobody knows it."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from weighin import __version__
from weighin.cli.parser import Parser
from weighin.errors import INTERNAL_ERROR, SystemFault, WeighinError, system_fault
from weighin.github.escape import visible
from weighin.untrusted.redact import reduced

KEPT = "\n"
COMMANDS = {
    "init": ("init", "draft a contract from data and model, or a whole repository"),
    "check-model": ("init", "load a model, and ask it five rows"),
    "validate": ("validate", "predict, run the suites, print the verdict"),
    "ask": ("ask", "ask a language model for answers, or a judge for their points"),
    "promote": ("release", "move the champion's alias, if everything passed"),
    "rollback": ("release", "make an earlier version champion again"),
    "history": ("release", "show who was champion, since when, by whom, on what evidence"),
    "approve": ("release", "sign that a record may be acted on"),
    "import": ("release", "make a version champion here that was promoted elsewhere"),
    "deploy": ("release", "let the servers load the champion, and verify that they do"),
    "verify": ("verify", "check whether a record holds; needs no network"),
    "document": ("document", "write model card, ML-BOM and report from a record"),
    "keygen": ("verify", "make a key to sign records with"),
    "contract": ("contract", "check a contract, print its schema, sync Great Expectations"),
    "drift": ("drift", "compare two tables, or the contract's, without a model"),
    "profile": ("drift", "count the contract's reference once, for later drift checks"),
    "serve": ("serve", "serve the champion, and log its predictions"),
    "monitor": ("monitor", "evaluate the prediction log, and alert, request a training, or roll back"),
    "canary": ("canary", "evaluate a canary once: move on, go back, or wait"),
    "slack": ("slack", "answer /weighin status, history and rollback in a chat"),
    "ab": ("ab", "evaluate an A/B test, or assign units"),
    "log": ("serve", "append labels to the prediction log"),
    "labels": ("labels", "plan which rows to label, show what they decide"),
    "holdout": ("holdout", "show the uses of the sealed holdout: taken, left, closed"),
    "drill": ("drill", "put faults into copies, and see which the gate blocks"),
    "doctor": ("doctor", "check a repository against docs/how-to/adopting.md"),
    "step": ("steps", "one step of a validation, for workflows"),
}
"""Command -> module of this package, and help. Only the module of the command that runs is imported."""


def parser(argv: Sequence[str]) -> Parser:
    """Return the parser of a command line, with the arguments of the one command that it names."""
    top = Parser(prog="weighin", description="Decide, with evidence, whether a model version may become champion.")
    top.add_argument("--version", action="version", version=f"weighin {__version__}")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    named = next((word for word in argv if not word.startswith("-")), "")
    for name, (module, what) in COMMANDS.items():
        command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        if name == named:
            import_module(f"weighin.cli.{module}").COMMANDS[name](command)
    return top


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

    0 passed · 1 failed · 4 usage or contract error · 5 nothing evaluated · 6 inconclusive · 7 not evaluated, also where
    the operating system refuses; 2 and 3 are pytest's own: interrupted, internal error.
    """
    environment()
    must_be_encodable(sys.stdout, sys.stderr)
    given = parser(sys.argv[1:] if argv is None else argv).parse_args(argv)
    try:
        code = int(given.run(given))
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read the output has enough of it. What Python would still write at its end goes nowhere.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SystemFault.exit_code
    except (WeighinError, OSError) as raised:
        if given.debug:
            raise
        error = system_fault(raised) if isinstance(raised, OSError) else raised
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
