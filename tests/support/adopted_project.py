"""A repository set up as docs/how-to/adopting.md says, made from that page itself."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/how-to/adopting.md").read_text()
SHA, DIGEST = "1234567890" * 4, "ab" * 32


def filled(text: str) -> str:
    """The page's text with something real in the place of its placeholders."""
    return text.replace("@SHA", f"@{SHA}").replace("sha256:DIGEST", f"sha256:{DIGEST}")


def blocks(section: str) -> dict[str, str]:
    """Path -> text of the files that a section of the page shows."""
    found = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, section
    shown = re.findall(r"```(?:yaml)?\n# (\S+)\n(.*?)```", found[1], re.DOTALL)
    return {path: filled(text) for path, text in shown}


def adopt(folder: Path, way: str = "Call") -> Path:
    """Write the repository."""
    for name in ("model_contract.yaml", "validation_tests", "great_expectations"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "uncommitted"))
        else:
            shutil.copy(source, folder / name)
    for path, text in (blocks(way) | blocks("Code owners")).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder
