"""The text of a draft: YAML with a comment beside what was guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import yaml

from weighin.github.escape import visible
from weighin.init.columns import Draft

PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
WIDTH = 118


@dataclass(frozen=True)
class Contract:
    """Everything that a draft says.

    model      keys below `model`
    data       dataset -> what the contract says of it
    gates      suite -> its keys; a list of mappings has a line for each
    notes      path such as `model.positive` -> the comment beside it
    questions  section (`data`, `performance` ...) -> lines that are left as comments
    head       lines at the top, as comments
    """

    model: Mapping[str, object]
    data: Mapping[str, object]
    columns: Sequence[Draft]
    gates: Mapping[str, Mapping[str, object]]
    group: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    questions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    head: Sequence[str] = ()

    def text(self) -> str:
        """Return the YAML."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield from (f"# {line}".rstrip() for line in self.head)
        yield "version: 1"
        yield ""
        yield "model:"
        yield from self._keys(self.model, "model", 2)
        yield from self._asked("model", 2)
        yield ""
        grouped = [f"group: {flow(self.group)}"] if self.group else []
        grouped += self._asked("group", 0)
        yield from [*grouped, ""] if grouped else []
        yield "data:"
        yield from self._keys(self.data, "data", 2)
        yield from self._asked("data", 2)
        yield "  columns:"
        for column in self.columns:
            if column.out:
                yield f"    # {flow(column.name)} is left out: {column.out}"
            else:
                yield _noted(f"    {flow(column.name)}: {flow(column.keys)}", column.note)
        yield ""
        yield "gates:"
        for suite, keys in self.gates.items():
            yield f"  {suite}:"
            yield from self._keys(keys, suite, 4)
            yield from self._asked(suite, 4)
        for suite in ("performance", "drift", "explainability", "load"):
            if suite not in self.gates:
                yield from self._asked(suite, 2)

    def _asked(self, section: str, indent: int) -> Iterator[str]:
        # A reason may come from a model: an end of line in it would be a key of the contract.
        yield from (f"{' ' * indent}# {visible(line)}" for line in self.questions.get(section, ()))

    def _keys(self, keys: Mapping[str, object], path: str, indent: int) -> Iterator[str]:
        space = " " * indent
        for key, value in keys.items():
            note = self.notes.get(f"{path}.{key}", "")
            if isinstance(value, (list, tuple)) and value and all(isinstance(v, Mapping) for v in value):
                yield _noted(f"{space}{key}:", note)
                for number, item in enumerate(value):
                    yield _noted(f"{space}  - {flow(item)}", self.notes.get(f"{path}.{key}.{number}", ""))
            elif isinstance(value, Mapping) and value and all(isinstance(v, Mapping) for v in value.values()):
                yield _noted(f"{space}{key}:", note)
                for name, item in value.items():
                    yield _noted(f"{space}  {flow(name)}: {flow(item)}", self.notes.get(f"{path}.{key}.{name}", ""))
            else:
                yield _noted(f"{space}{key}: {flow(value)}", note)


def _noted(line: str, note: str) -> str:
    if not note:
        return line
    note = visible(note)
    if len(line) + len(note) + 4 <= WIDTH:
        return f"{line}  # {note}"
    indent = len(line) - len(line.lstrip())
    return f"{' ' * indent}# {note}\n{line}"


def flow(value: object) -> str:
    """Return a value as YAML on one line, as a person would write it.

    >>> flow({"type": "integer", "allowed": ["yes", "a: b", 1]})
    '{type: integer, allowed: ["yes", "a: b", 1]}'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (int, float)):
        number = repr(int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value)
        # YAML 1.1 takes 1e-09 for text.
        return number.replace("e", ".0e") if "e" in number and "." not in number else number
    text = str(value)
    if PLAIN.fullmatch(text) and yaml.safe_load(text) == text:
        return text
    # Of what cannot be printed the number of the character: YAML takes no pairs of surrogates, as JSON writes them.
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)
