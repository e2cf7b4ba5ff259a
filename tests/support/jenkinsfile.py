"""Reads a Jenkinsfile as what it is, nested calls with arguments and blocks, by a grammar of Groovy.

Whether Jenkins knows the calls, only Jenkins can say. tree-sitter repairs what it cannot read: `read` refuses that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import tree_sitter_groovy
from tree_sitter import Language, Node, Parser

CALLS = ("method_invocation", "juxt_function_call")


@dataclass(frozen=True)
class Call:
    """A call in a Jenkinsfile.

    name       what is called
    arguments  those without a name: the text of a string, else the source
    named      those with a name
    inner      calls in its arguments and in its block, in their order
    assigned   name -> text of each assignment in its block
    """

    name: str
    arguments: tuple[str, ...]
    named: dict[str, str]
    inner: tuple[Call, ...]
    assigned: dict[str, str]

    def all(self, name: str) -> tuple[Call, ...]:
        """Return the calls of this name anywhere in it."""
        found: list[Call] = []
        for call in self.inner:
            found += [call] if call.name == name else []
            found += call.all(name)
        return tuple(found)

    def one(self, *names: str) -> Call:
        """Return the one call of a name, and in it the one of the next. Errors: `ValueError`."""
        call = self
        for name in names:
            (call,) = call.all(name)
        return call


def read(source: str) -> Call:
    """Return the whole file as one call. Errors: `ValueError` with the line that is no Groovy."""
    tree = Parser(Language(tree_sitter_groovy.language())).parse(source.encode())
    for node in _nodes(tree.root_node):
        if node.is_error or node.is_missing:
            raise ValueError(f"line {node.start_point.row + 1} is no Groovy")
    return Call("", (), {}, tuple(_calls(tree.root_node)), {})


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _nodes(child)


def _calls(node: Node) -> Iterator[Call]:
    for child in node.children:
        if child.type in CALLS:
            yield _call(child)
        else:
            yield from _calls(child)


def _call(node: Node) -> Call:
    positional, named, assigned = [], {}, {}
    for group in (c for c in node.children if c.type == "argument_list"):
        for argument in group.named_children:
            if argument.type == "map_item":
                key, value = argument.named_children
                named[_text(key)] = _text(value)
            else:
                positional.append(_text(argument))
    for block in (c for c in node.children if c.type == "closure"):
        for statement in block.named_children:
            for assignment in (c for c in statement.named_children if c.type == "assignment_expression"):
                key, value = assignment.named_children
                assigned[_text(key)] = _text(value)
    return Call(_text(node.named_children[0]), tuple(positional), named, tuple(_calls(node)), assigned)


def _text(node: Node) -> str:
    """Return the text of a string, without its quotes; else the source."""
    source = (node.text or b"").decode()
    for quote in ("'''", '"""', "'", '"'):
        if source.startswith(quote) and source.endswith(quote) and len(source) >= 2 * len(quote):
            return source[len(quote) : -len(quote)]
    return source
