"""Where in its file a check of a contract has its limit, so that a reader is led to the line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from weighin.untrusted.bounded import Unreadable, content, yaml_nodes

Match = Callable[[yaml.Node], bool]


def lines(path: Path, checks: list[str]) -> dict[str, int]:
    """Check -> line, counted from 1: of its limit, or else of its gate. An unreadable file has no lines."""
    try:
        root = yaml_nodes(content(path))
    except (OSError, Unreadable):
        return {}
    return {check: _line(root, check) for check in checks} if root is not None else {}


def _line(root: yaml.Node, check: str) -> int:
    waiver = next((i for i in _items(root, "waivers") if _value(i, "check") == check), None)
    if waiver is not None:
        return _at(waiver)
    suite, _, rest = check.partition("/")
    for node in _places(root, suite, rest.split("/")):
        if node is not None:
            return _at(node)
    return 1


def _at(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _places(root: yaml.Node, suite: str, parts: list[str]) -> Iterator[yaml.Node | None]:
    """From the most to the least precise."""
    if suite == "data_quality" and len(parts) > 1:
        yield _key(root, "data", "columns", parts[1])
        named = {"rows": "rows_at_least", "rows_at_most": "rows_at_most", "training_rows": "training_rows"}
        renamed = {"reference": "references", "own": "own_expectations", "future": "fresh"}
        yield _key(root, "gates", suite, named.get(parts[1], renamed.get(parts[1], parts[1])))
    if suite == "performance":
        yield from _performance(root, parts)
    if suite == "drift":
        yield _key(root, "gates", suite, "columns", parts[0])
        ends = {"missing": "missing_at_most", "unseen": "unseen_at_most", "mean": "mean_shift_at_most"}
        whole = {"table": "table_as_reference", "drifted": "drifted_share_at_most"}
        yield _key(root, "gates", suite, ends.get(parts[-1], whole.get(parts[0], "at_most")))
    if suite == "explainability":
        named = {"forbidden": "forbidden", "share": "share_at_most", "rank-agreement": "rank_agreement_at_least"}
        yield _key(root, "gates", suite, named.get(parts[0], ""))
    if suite == "load":
        yield from _load(root, parts)
    if suite == "shadow":
        latency = "slower_at_most" if parts[-1] == "vs-champion" else "milliseconds_at_most"
        named = {"disagreement": "disagreement_at_most", "errors": "errors_at_most"}
        yield _key(root, "gates", suite, named.get(parts[0], latency))
    yield _key(root, "gates", suite)


def _performance(root: yaml.Node, parts: list[str]) -> Iterator[yaml.Node | None]:
    if parts[0] == "fairness":
        items = _items(root, "gates", "performance", "fairness")
        yield next((i for i in items if _value(i, "measure") == parts[1]), None)
        return
    against = parts[1].removeprefix("vs-") if len(parts) > 1 else None
    cut = parts[-1] if len(parts) > 2 and parts[-1] not in ("relative", "better") else ""
    if cut:
        column = cut.partition("=")[0]
        items = _items(root, "gates", "performance", "slices")
        yield next((i for i in items if column in (_value(i, "column"), _value(i, "name"))), None)
    items = [i for i in _items(root, "gates", "performance", "checks") if _value(i, "metric") == parts[0]]
    yield next((i for i in items if _value(i, "against") == against), None)


def _load(root: yaml.Node, parts: list[str]) -> Iterator[yaml.Node | None]:
    first = parts[0]
    if len(parts) > 1 and parts[1] == "vs-champion":
        yield _key(root, "gates", "load", "against_champion")
    if first[:1] == "p" and first[1:].replace(".", "").isdigit():
        wanted = float(first[1:]) / 100
        items = _items(root, "gates", "load", "quantiles")
        yield next((i for i in items if abs(float(_value(i, "quantile") or 0) - wanted) < 1e-9), None)
    named = {
        "throughput": "throughput_at_least",
        "errors": "errors_at_most",
        "wrong-answers": "tolerance",
        "malformed": "refuses_malformed",
        "input-example": "input_example",
        "knee": "stress",
        "recovery": "recovery_seconds_at_most",
        "start-up": "start_up_seconds_at_most",
        "peak-memory": "memory_mb_at_most",
        "memory-growth": "memory_growth_mb_at_most",
        "cpu": "cpu_seconds_at_most",
        "clean-environment": "clean_environment",
    }
    yield _key(root, "gates", "load", named.get(first, first.partition("-")[0]))


def _key(node: yaml.Node | None, *names: str) -> yaml.Node | None:
    """The key that a path of names leads to."""
    key: yaml.Node | None = None
    for name in names:
        if not isinstance(node, yaml.MappingNode):
            return None
        found = next(((k, v) for k, v in node.value if k.value == name), None)
        if found is None:
            return None
        key, node = found
    return key


def _items(node: yaml.Node | None, *names: str) -> list[yaml.Node]:
    for name in names:
        if not isinstance(node, yaml.MappingNode):
            return []
        node = next((v for k, v in node.value if k.value == name), None)
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _value(node: yaml.Node, name: str) -> str | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    found = next((v for k, v in node.value if k.value == name), None)
    return found.value if isinstance(found, yaml.ScalarNode) else None
