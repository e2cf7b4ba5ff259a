"""YAML and JSON that a stranger wrote: read within bounds, so that a small file costs no minutes and no traceback.

Aliases let a few hundred bytes of YAML stand for a billion nodes, and brackets let them nest deeper than a reader can
follow. So the events of the text are counted first; only what stays within the bounds is built.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from weighin.untrusted import JsonValue

BYTES = 2**20
DEPTH = 40
NODES = 100_000
"""Values and keys, with those that an alias repeats."""
ALIASES = 200

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML was built with it: ten times as fast, with the same answers."""


class Unreadable(ValueError):
    """A text that is not read. `line` counts from 1; the message quotes nothing of the text."""

    def __init__(self, fact: str, line: int = 1) -> None:
        self.line = line
        super().__init__(fact)


def content(path: Path, most: int = BYTES) -> bytes:
    """Return the bytes of a file, of which no more are read than it may have. Errors: `Unreadable`; `OSError`."""
    with path.open("rb") as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise Unreadable(f"larger than {most:,} bytes")
    return raw


def yaml_nodes(raw: bytes) -> yaml.Node | None:
    """Return the nodes of a YAML document; None for an empty one. Errors: `Unreadable`."""
    _must_be_bounded(raw)
    node: yaml.Node | None = _read(raw, lambda loader: loader.get_single_node())
    return node


def yaml_value(raw: bytes) -> JsonValue:
    """Return the value of a YAML document, of plain types only. Errors: `Unreadable`."""
    _must_be_bounded(raw)
    return _read(raw, lambda loader: loader.get_single_data())


def json_value(raw: bytes | str) -> JsonValue:
    """Return the value of a JSON text. Errors: `Unreadable`."""
    try:
        return json.loads(raw)
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    except ValueError as error:
        raise Unreadable("not JSON", getattr(error, "lineno", 1)) from None


def _read(raw: bytes, what: Any) -> Any:
    loader = LOADER(raw)
    try:
        return what(loader)
    except yaml.YAMLError as error:
        raise _said(error) from None
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        # A date in month 13, a number of ten thousand digits.
        raise Unreadable(f"a value is not what it looks like ({type(error).__name__})") from None
    finally:
        loader.dispose()


def _said(error: yaml.YAMLError) -> Unreadable:
    line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
    return Unreadable(getattr(error, "problem", None) or "not UTF-8 text", line)


@dataclass
class _Count:
    """What a text has come to so far. `open` are the anchors and the counts at which the open collections began."""

    nodes: int = 0
    aliases: int = 0
    open: list[tuple[str | None, int]] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)


def _must_be_bounded(raw: bytes) -> None:
    if len(raw) > BYTES:
        raise Unreadable(f"larger than {BYTES:,} bytes")
    count, line = _Count(), 1
    loader = LOADER(raw)
    try:
        while loader.check_event():
            event = loader.get_event()
            line = event.start_mark.line + 1 if event.start_mark else line
            _counted(count, event, line)
    except yaml.YAMLError as error:
        raise _said(error) from None
    except UnicodeDecodeError:
        raise Unreadable("not UTF-8 text") from None
    finally:
        loader.dispose()


def _counted(count: _Count, event: yaml.Event, line: int) -> None:
    """Count one event. Errors: `Unreadable` when a bound is passed."""
    match event:
        case yaml.AliasEvent():
            if event.anchor not in count.sizes:
                raise Unreadable("an alias of nothing that ends before it", line)
            count.aliases += 1
            count.nodes += count.sizes[event.anchor]
        case yaml.ScalarEvent():
            count.nodes += 1
            if event.anchor:
                count.sizes[event.anchor] = 1
        case yaml.CollectionStartEvent():
            count.open.append((event.anchor, count.nodes))
            count.nodes += 1
        case yaml.CollectionEndEvent():
            anchor, before = count.open.pop()
            if anchor:
                count.sizes[anchor] = count.nodes - before
    if count.nodes > NODES:
        raise Unreadable(f"more than {NODES:,} values, with those that aliases repeat", line)
    if count.aliases > ALIASES:
        raise Unreadable(f"more than {ALIASES} aliases", line)
    if len(count.open) > DEPTH:
        raise Unreadable(f"nested more than {DEPTH} deep", line)
