"""Say on the page of a run what a monitor found, and fail where people have to look. Standard library only.

    python3 -I HOST/weighin/runner heartbeat reports/monitor.json --code 1 --said out.txt --summary PAGE

The document was written in a container, about a log that strangers write: all of it is shown as text.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from weighin.github.escape import plain_line, text
from weighin.untrusted import JsonObject

SCHEMA = "weighin/monitor/v1"
MEANING = {
    0: "Nothing has to be done.",
    1: "People have to look: an alarm is open, something was done, or the last run was too long ago.",
    4: "The contract, or an argument, cannot be used as written.",
    6: "Not enough evidence: no alarm, and no all-clear.",
    7: "The log or the registry could not be read.",
}
"""Of the exit codes of `weighin monitor`."""
FINE = (0, 6)
SHOWN = 20
LARGEST = 16 * 2**20


def summary(value: JsonObject | None, said: str, code: int) -> str:
    """Markdown: the state and when the last run was, then what does not pass.

    value  the run's document; None where none was made
    said   the last line that the command printed
    """
    meaning = MEANING.get(code, f"Something that should not happen: exit code {code}.")
    if value is None:
        return f"## Monitor\n\n{meaning}\n\n{text(said, 600)}\n"
    lines = [f"## {text(value['model'])} version {text(value['version'])}: {text(value['state'])}", ""]
    lines += [f"Last run: **{text(value['timestamp'])}**, in {text(value['seconds'])} s. {meaning}", ""]
    opened = [str(name) for name in value["alarms"]]
    lines += [f"- alarm open: {text(name)}" for name in opened[:SHOWN]]
    rest = [c for c in value["checks"] if c["status"] != "passed" and c["check"] not in opened]
    lines += [f"- {text(c['status'])}: {text(c['check'])}: {text(c['reason'], 400)}" for c in rest[:SHOWN]]
    lines += [f"- {text(e['kind'])}: {text(e['message'], 400)}" for e in value["events"][:SHOWN] if e["message"]]
    lines += [f"- {text(problem, 400)}" for problem in value["problems"][:SHOWN]]
    left = sum(max(0, len(part) - SHOWN) for part in (opened, rest, value["events"], value["problems"]))
    lines += [f"- and {left} more, in monitor.html"] if left else []
    passed = sum(c["status"] == "passed" for c in value["checks"])
    return "\n".join([*lines, f"- {passed} of {len(value['checks'])} checks pass", ""])


def read(path: Path) -> JsonObject | None:
    """Return the document of the run, if there is one in which all that is shown stands."""
    try:
        value = json.loads(_text(path))
        if value["schema"] == SCHEMA:
            summary(value, "", 0)
            return dict(value)
    except (ValueError, LookupError, TypeError, AttributeError):
        pass
    return None


def last_line(path: Path) -> str:
    """Return what the command printed."""
    lines = [line for line in _text(path).splitlines() if line.strip()]
    return lines[-1] if lines else "It said nothing here; the log of the step has its error."


def _text(path: Path) -> str:
    """Of a regular file that is not too large; empty otherwise."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
        return ""
    return path.read_text(encoding="utf-8", errors="replace")


def main(arguments: list[str] | None = None) -> int:
    """Write the summary and one annotation; returns the exit code that the step is to have."""
    parser = argparse.ArgumentParser(prog="weighin-runner heartbeat", description=__doc__)
    parser.add_argument("document", type=Path, help="what the run left")
    parser.add_argument("--code", type=int, required=True, help="exit code of the run")
    parser.add_argument("--said", type=Path, required=True, help="what it printed")
    parser.add_argument("--summary", type=Path, help="file at whose end the summary is written")
    given = parser.parse_args(arguments)
    value, said = read(given.document), last_line(given.said)
    words = summary(value, said, given.code)
    print(plain_line(words.replace("\n", " "), 2_000).replace("::", ":\u200b:"))
    if given.summary:
        with given.summary.open("a", encoding="utf-8") as file:
            file.write(words)
    if given.code:
        kind = "notice" if given.code in FINE else "error"
        what = f"{value['state']}, looked at {value['timestamp']}" if value else said
        message = f"{MEANING.get(given.code, f'Exit code {given.code}.')} {plain_line(what)}"
        print(f"::{kind} title=weigh-in monitor::{message.replace('%', '%25')}")
    return 0 if given.code in FINE else given.code


if __name__ == "__main__":
    sys.exit(main())
