"""The pages of the documentation, their headings and links, and the scripts that write some of them."""

from __future__ import annotations

import importlib.util
import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?: \"[^\"]*\")?\)")
HEADING = re.compile(r"^#+ (.+?)\s*$", re.MULTILINE)


def pages() -> list[Path]:
    """Return the pages of docs/, and what else of ours readers meet first."""
    other = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/RESULTS.md", "examples/flights/data/README.md")
    return [*(ROOT / name for name in other), *sorted(DOCS.rglob("*.md"))]


def links(path: Path) -> Iterator[str]:
    """Return the targets of a page's links."""
    yield from LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8")))


@cache
def anchors(path: Path) -> frozenset[str]:
    """Return the anchors of a page that GitHub and the builder of the site both make of its headings."""
    found: dict[str, int] = {}
    for heading in HEADING.findall(FENCE.sub("", path.read_text(encoding="utf-8"))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
        hub = re.sub(r"[^\w\s-]", "", text.lower()).replace(" ", "-")
        plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
        site = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        if hub == site:
            found[hub] = found.get(hub, 0) + 1
    return frozenset(name for name, times in found.items() if times == 1)


def script(name: str) -> ModuleType:
    """Return a script as a module."""
    spec = importlib.util.spec_from_file_location(f"weighin_{name}", ROOT / f"scripts/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
