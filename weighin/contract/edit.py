"""Edit a contract's text in place: one scalar, one key, one item of a list; comments and the rest stay as they are."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from weighin.errors import ContractError
from weighin.untrusted.bounded import yaml_nodes

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Edit:
    """A change of the value at a path; what is not there is added to the mapping, or to the end of the list, above it.

    path   keys and numbers that lead to it
    value  its YAML, on one line
    """

    path: Path
    value: str

    def __str__(self) -> str:
        """Return the change as a reader finds it: `gates.performance.checks[4].margin: 0.005`."""
        return f"{dotted(self.path)}: {self.value}"


def dotted(path: Path) -> str:
    """Return a path in words.

    >>> dotted(("gates", "performance", "checks", 4, "margin"))
    'gates.performance.checks[4].margin'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def value_at(text: str, path: Path) -> str | None:
    """Return the text of a scalar; None where there is none."""
    node = _walk(yaml_nodes(text.encode()), path)
    return node.value if isinstance(node, yaml.ScalarNode) else None


def keys_at(text: str, path: Path) -> dict[str, str]:
    """Return the scalars of a mapping by key; nothing where there is no mapping."""
    node = _walk(yaml_nodes(text.encode()), path)
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {k.value: v.value for k, v in node.value if isinstance(v, yaml.ScalarNode)}


def edited(text: str, edit: Edit) -> str:
    """Return the text with one change. Errors: `ContractError` where the path leads nowhere that can be changed."""
    root = yaml_nodes(text.encode())
    node = _walk(root, edit.path)
    if isinstance(node, yaml.ScalarNode):
        return text[: node.start_mark.index] + edit.value + text[node.end_mark.index :]
    *above, last = edit.path
    parent = _walk(root, tuple(above))
    if node is None and isinstance(parent, yaml.MappingNode) and isinstance(last, str):
        return _added(text, parent, f"{last}: {edit.value}", above)
    if node is None and isinstance(parent, yaml.SequenceNode):
        return _added(text, parent, edit.value if parent.flow_style else f"- {edit.value}", above)
    if node is None and parent is None and above:
        return edited(text, Edit(tuple(above), f"{{{last}: {edit.value}}}"))
    raise ContractError("no value that can be changed in place", dotted(edit.path), "Change it by hand.")


def _added(text: str, parent: yaml.MappingNode | yaml.SequenceNode, added: str, above: list[str | int]) -> str:
    if parent.flow_style:
        place = parent.end_mark.index - 1
        # Positions are those of characters; the closing bracket is the last of them.
        return f"{text[:place].rstrip()}{', ' if parent.value else ''}{added}{text[place:]}"
    if not parent.value:
        raise ContractError("nothing stands there yet", dotted(tuple(above)), "Change it by hand.")
    last = parent.value[-1]
    first = parent.value[0][0] if isinstance(parent, yaml.MappingNode) else parent.value[0]
    key, end = (last[0], last[1].end_mark) if isinstance(parent, yaml.MappingNode) else (last, last.end_mark)
    column = first.start_mark.column - (0 if isinstance(parent, yaml.MappingNode) else 2)
    place = text.find("\n", max(_last_letter(text, end.index), key.start_mark.index))
    place = len(text) if place < 0 else place
    return f"{text[:place]}\n{' ' * column}{added}{text[place:]}"


def _last_letter(text: str, end: int) -> int:
    """Return the place of the last letter before an end: the mark of a block lies after the lines that follow it."""
    return len(text[:end].rstrip()) - 1


def _walk(node: yaml.Node | None, path: Path) -> yaml.Node | None:
    for part in path:
        if isinstance(node, yaml.MappingNode):
            node = next((v for k, v in node.value if k.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part] if 0 <= part < len(node.value) else None
        else:
            return None
    return node
