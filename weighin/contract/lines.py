"""Where in its file a check of a contract has its limit, so that a reader is led to the line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from weighin.contract.checks import Check
from weighin.untrusted.bounded import Unreadable, content, yaml_nodes


def lines(path: Path, checks: Iterable[Check]) -> dict[str, int]:
    """Return check id -> line, counted from 1, of its limit or else of its gate. An unreadable file has no lines."""
    try:
        root = yaml_nodes(content(path))
    except (OSError, Unreadable):
        return {}
    return {check.id: _line(root, check.path) for check in checks} if root is not None else {}


def key_line(path: Path, *keys: str) -> int:
    """Return the line, counted from 1, of a key of the contract; of what encloses it where it is absent."""
    try:
        return _line(yaml_nodes(content(path)), keys)
    except (OSError, Unreadable):
        return 1


def _line(node: yaml.Node | None, path: tuple[str | int, ...]) -> int:
    """Return the line of the last part of a path that is there."""
    line = 1
    for part in path:
        at: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            at, node = next(((k, v) for k, v in node.value if k.value == part), (None, None))
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            at = node = node.value[part]
        if at is None:
            break
        line = int(at.start_mark.line) + 1
    return line
