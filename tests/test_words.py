"""Words that were replaced do not come back, and the list of them is read as it stands."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from support.documentation import script

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def words() -> ModuleType:
    return script("banned_words")


def test_no_word_of_the_list_stands_anywhere(words: ModuleType) -> None:
    assert words.found_words() == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("run `weighin looks`\n", "a.md:1: weighin looks: write weighin holdout"),
        ("x\nerrors_at_most: 0.1\n", "a.md:2: errors_at_most: write error_rate_at_most"),
        ("the slackers_at_most\n", None),
    ],
)
def test_a_word_is_found_with_its_place_and_its_remedy(
    words: ModuleType, tmp_path: Path, text: str, found: str | None
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, timeout=60)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/words.txt").write_text((ROOT / "docs/words.txt").read_text())
    (tmp_path / "a.md").write_text(text)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True, timeout=60)
    assert words.found_words(tmp_path) == ([found] if found else [])


def test_a_line_without_a_remedy_is_refused(words: ModuleType) -> None:
    with pytest.raises(ValueError, match="no remedy in the line"):
        words.rules("lonely\n")
