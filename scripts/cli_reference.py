"""Write docs/reference/cli.md from the parsers of the command line: `... [--check]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from weighin.cli import COMMANDS, parser

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path("docs/reference/cli.md")
HEAD = """# The command line

This page is made from the parsers by `python scripts/cli_reference.py`; edit the parsers, not this page.

| exit code | meaning |
|---|---|
| 0 | passed, or done |
| 1 | failed |
| 2 | interrupted |
| 3 | internal error; `weighin --debug COMMAND` shows it |
| 4 | the command line, the contract or a setting cannot be used |
| 5 | nothing was evaluated |
| 6 | inconclusive |
| 7 | not evaluated, also where the operating system refuses |

What goes wrong is one line on the standard error: the fact, the place, and the remedy.
"""
"""What every command has in common."""


def commands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Return each command and each of its subcommands, with its parser."""
    for name in COMMANDS:
        command = _subparsers(parser([name]))[name]
        inner = _subparsers(command)
        if not inner:
            yield name, command
        for sub, found in inner.items():
            yield f"{name} {sub}", found


def _subparsers(of: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the commands below one, with what each is for as its description."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                inner = action.choices[choice.dest]
                inner.description = inner.description or f"{(choice.help or '')[:1].upper()}{(choice.help or '')[1:]}."
                found[choice.dest] = inner
    return found


def rows(command: argparse.ArgumentParser) -> Iterator[list[str]]:
    """Return the cells of each argument: its name with the value that it takes, its default, what it is."""
    for action in command._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        value = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
        if action.choices:
            value = "{" + ",".join(str(c) for c in action.choices) + "}"
        takes = not isinstance(action, argparse._StoreTrueAction)
        name = ", ".join(action.option_strings)
        text = (f"{name} {value}" if takes else name) if name else str(value)
        yield [f"`{text}`", _default(action), _help(action)]


def _default(action: argparse.Action) -> str:
    if action.required and action.nargs != "?":
        return "required"
    given: Any = action.default
    return "" if given in (None, "", [], False, argparse.SUPPRESS) else f"`{given}`"


def _help(action: argparse.Action) -> str:
    """Return the help of an argument, without its default, which has a column of its own."""
    text = " ".join((action.help or "").split())
    for form in ("default: %(default)s", "(%(default)s)"):
        text = text.replace(form, "").strip()
    return text.replace("|", "\\|")


def page() -> str:
    """Return the page."""
    parts = [HEAD]
    for name, command in commands():
        parts.append(f"\n## weighin {name}\n\n{command.description or ''}\n")
        table = list(rows(command))
        if table:
            parts.append("\n| argument | default | what it is |\n|---|---|---|\n")
            parts += ["| " + " | ".join(cells) + " |\n" for cells in table]
        if command.epilog:
            examples = [part.strip() for part in command.epilog.splitlines()[1:]]
            parts.append("\n```shell\n" + "\n".join(examples) + "\n```\n")
    return "".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or say with --check that it differs; returns the exit code."""
    options = argparse.ArgumentParser(description="Write the reference of the command line.")
    options.add_argument("--check", action="store_true", help="write nothing, and fail where the page differs")
    check = options.parse_args(arguments).check
    text = page()
    if (ROOT / PAGE).is_file() and (ROOT / PAGE).read_text(encoding="utf-8") == text:
        return 0
    if not check:
        (ROOT / PAGE).write_text(text, encoding="utf-8")
    print(f"{PAGE}: " + ("not what the parsers say. Run it without --check." if check else "written"))
    return int(check)


if __name__ == "__main__":
    sys.exit(main())
