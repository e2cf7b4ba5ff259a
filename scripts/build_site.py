"""Build the documentation site: `python scripts/build_site.py [FOLDER]`, default `site`.

The pages are staged in .weighin/site, so that they read well on GitHub, too. A link to a file outside of docs/ becomes
an address in the repository (`extra.repository` of mkdocs.yml), and a paragraph that is nothing but a link to a YAML
file becomes the text of the file. Then Zensical builds the pages; every warning is an error.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".weighin/site"
SHOWN = re.compile(r"^\[([^\]]+)\]\(([\w./-]+\.yaml)\)$", re.MULTILINE)
LINK = re.compile(r"(\]\()([^)\s#]+)")


def staged(text: str, page: str, repository: str) -> str:
    """Return a page with the links that leave docs/ as addresses in the repository.

    >>> staged("[a](../README.md) [b](how-to/x.md) [c](https://example.org)", "docs/index.md", "https://host/o/r")
    '[a](https://host/o/r/blob/main/README.md) [b](how-to/x.md) [c](https://example.org)'
    """

    def address(match: re.Match[str]) -> str:
        if ":" in match[2]:
            return match[0]
        place = posixpath.normpath(posixpath.join(posixpath.dirname(page), match[2]))
        return match[0] if place.startswith("docs/") else f"{match[1]}{repository}/blob/main/{place}"

    return LINK.sub(address, text)


def shown(name: str, path: Path) -> str:
    """Return a block with the text of a file."""
    return f'```yaml title="{name}"\n{path.read_text(encoding="utf-8")}```'


def stage(repository: str) -> None:
    """Copy docs/ to where the builder reads it."""
    shutil.rmtree(WORK, ignore_errors=True)
    shutil.copytree(ROOT / "docs", WORK / "docs")
    for path in (WORK / "docs").rglob("*.md"):
        page = path.relative_to(WORK)
        text = SHOWN.sub(lambda match, at=path.parent: shown(match[1], at / match[2]), path.read_text(encoding="utf-8"))
        path.write_text(staged(text, str(page), repository), encoding="utf-8")


def build(out: Path) -> int:
    """Build the site into a folder; returns the exit code of the builder."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    stage(yaml.safe_load(text)["extra"]["repository"])
    (WORK / "mkdocs.yml").write_text(text.replace("paths: [.]", f"paths: [{ROOT}]"), encoding="utf-8")
    program = Path(sys.executable).with_name("zensical")
    code = subprocess.run([program, "build", "--strict", "--clean"], cwd=WORK, check=False).returncode
    if code == 0:
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(WORK / "site", out)
    return code


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "site"))
