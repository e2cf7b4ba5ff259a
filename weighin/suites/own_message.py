"""The message of a failing test of the repository, as its author wrote it into the file.

The text of an assertion or an exception holds what was looked at, which may be rows of the data. What stands in the
test's own source is no value of the data: a literal is taken as it is, and of an f-string the places of its values.
"""

from __future__ import annotations

import ast
import traceback
from pathlib import Path

LETTERS = 300
ENDS = ("fail", "skip", "xfail")
"""Functions of pytest that end a test with a message."""


def written_message(error: BaseException, file: Path) -> str:
    """Return the message that stands where an error left a test's file; empty where none is written there.

    file  of the test
    """
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == file]
    if not frames or frames[-1].lineno is None:
        return ""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ""
    text = next((_text(node) for node in ast.walk(tree) if _ends_at(node, frames[-1].lineno)), "")
    return " ".join(text.split())[:LETTERS]


def _ends_at(node: ast.AST, line: int) -> bool:
    """Whether a statement that can end a test stands at a line."""
    if not isinstance(node, ast.Assert | ast.Raise | ast.Expr):
        return False
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _text(node: ast.AST) -> str:
    match node:
        case ast.Assert(msg=ast.expr() as message):
            return _literal(message)
        case ast.Raise(exc=ast.Call(args=[message, *_])):
            return _literal(message)
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=name), args=[message, *_])) if name in ENDS:
            return _literal(message)
    return ""


def _literal(message: ast.expr) -> str:
    """Return a string as it is written, with `{...}` for the values of an f-string."""
    match message:
        case ast.Constant(value=str() as text):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_literal(part) or "{…}" for part in parts)
    return ""
