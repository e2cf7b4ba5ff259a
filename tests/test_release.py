"""A release of our own is refused in one sentence for each thing that is wrong, and is else what the commit holds."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.documentation import script

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "weighin"
version = "0.2.0"

[tool.setuptools.packages.find]
include = ["weighin*"]

[tool.setuptools.package-data]
weighin = ["*.json"]
"""
CHANGELOG = """\
# Changelog

Newest first.

## 0.2.0 - 2026-11-29

### Added

- A thing that users notice.

## 0.1.0 - 2026-10-01

- The first.
"""


release = script("release")


def commit(folder: Path) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for words in (["add", "--all"], [*identity, "commit", "--quiet", "--allow-empty", "--message", "a"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True, timeout=60)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout of a tiny project of the same form, without changes."""
    folder = tmp_path / "project"
    (folder / "weighin").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "CHANGELOG.md").write_text(CHANGELOG)
    (folder / "weighin/__init__.py").write_text('"""A tour."""\n\n__version__ = "0.2.0"\n')
    (folder / "weighin/facts.json").write_text("{}\n")
    (folder / ".gitignore").write_text("dist/\n")
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True, timeout=60)
    commit(folder)
    return folder


def edited(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))
        commit(folder)

    return edit


def test_a_commit_whose_tag_version_and_changelog_agree_can_be_released(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert release.main(["check", "--tag", "v0.2.0"], project) == 0
    assert capsys.readouterr().out == "version 0.2.0 can be released\n"


UNRELEASED = edited("CHANGELOG.md", "## 0.2.0 - 2026-11-29", "## Unreleased")


@pytest.mark.parametrize(
    ("breaks", "arguments", "says"),
    [
        (lambda _: None, ["--tag", "v0.2.1"], "The tag is v0.2.1, pyproject.toml has the version 0.2.0: tag v0.2.0"),
        (lambda _: None, ["--tag", "0.2.0"], "The tag is 0.2.0, pyproject.toml has the version 0.2.0: tag v0.2.0"),
        (lambda _: None, [], "No tag was named: give --tag, or --dry-run."),
        (UNRELEASED, ["--tag", "v0.2.0"], "The newest section of CHANGELOG.md is Unreleased"),
        (
            edited("CHANGELOG.md", "## 0.2.0 - 2026-11-29\n", ""),
            ["--tag", "v0.2.0"],
            "The newest section of CHANGELOG.md is 0.1.0, pyproject.toml has the version 0.2.0: name the section",
        ),
        (
            edited("CHANGELOG.md", "2026-11-29", "2026-11-31"),
            ["--tag", "v0.2.0"],
            "The section 0.2.0 of CHANGELOG.md has no date",
        ),
        (
            edited("CHANGELOG.md", " - 2026-11-29", ""),
            ["--tag", "v0.2.0"],
            "The section 0.2.0 of CHANGELOG.md has no date",
        ),
        (
            edited("CHANGELOG.md", "- A thing that users notice.\n", ""),
            ["--tag", "v0.2.0"],
            "The section 0.2.0 of CHANGELOG.md is empty",
        ),
        (
            edited("weighin/__init__.py", "0.2.0", "0.1.9"),
            ["--tag", "v0.2.0"],
            "weighin/__init__.py has the version 0.1.9, pyproject.toml has 0.2.0",
        ),
        (
            lambda folder: void((folder / "weighin/facts.json").write_text("[]")),
            ["--tag", "v0.2.0"],
            "The checkout differs from its commit in 1 files (weighin/facts.json): commit or remove them.",
        ),
        (
            lambda folder: void((folder / "new.py").write_text("")),
            ["--dry-run"],
            "The checkout differs from its commit in 1 files (new.py)",
        ),
    ],
)
def test_what_does_not_agree_is_refused_in_one_sentence(
    project: Path, breaks: Callable[[Path], None], arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    breaks(project)
    assert release.main(["check", *arguments], project) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(says)
    assert said.err.count("\n") == 1


def void(_: object) -> None:
    return None


def test_a_version_that_is_no_version_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited("pyproject.toml", "0.2.0", "0.2")(project)
    assert release.main(["check", "--tag", "v0.2"], project) == 1
    assert "the version 0.2, which is not X.Y.Z" in capsys.readouterr().err


def test_several_reasons_are_all_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    UNRELEASED(project)
    (project / "new.py").touch()
    assert release.main(["check", "--tag", "v9.0.0"], project) == 1
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_dry_run_needs_neither_a_tag_nor_a_dated_section(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    UNRELEASED(project)
    assert release.main(["check", "--dry-run"], project) == 0
    assert release.main(["notes", "--dry-run"], project) == 0
    assert "- A thing that users notice." in capsys.readouterr().out


def test_no_checkout_is_no_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["check", "--tag", "v0.2.0"], tmp_path) == 1
    assert "git status failed" in capsys.readouterr().err


def test_the_notes_are_the_newest_section_and_nothing_else(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert release.main(["notes"], project) == 0
    assert capsys.readouterr().out == "### Added\n\n- A thing that users notice.\n"
    UNRELEASED(project)
    assert release.main(["notes"], project) == 1


def test_what_is_built_is_what_the_commit_holds(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = project / "dist"
    assert release.main(["build", "--out", str(out)], project) == 0
    names = ["weighin-0.2.0-py3-none-any.whl", "weighin-0.2.0.tar.gz"]
    assert sorted(p.name for p in out.iterdir()) == names
    assert {line.split()[1] for line in capsys.readouterr().out.splitlines()} == set(names)
    assert release.git(project, "status", "--porcelain") == ""
    assert not (project / "build").exists()


def test_a_dry_run_builds_and_leaves_nothing(project: Path) -> None:
    assert release.main(["build", "--dry-run", "--out", str(project / "dist")], project) == 0
    assert not (project / "dist").exists()


def test_a_wheel_that_lacks_a_file_of_the_package_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "weighin/style.css").write_text("p {}\n")
    commit(project)
    assert release.main(["build", "--out", str(project / "dist")], project) == 1
    assert "lacks weighin/style.css: add it to package-data" in capsys.readouterr().err


def test_a_dirty_checkout_is_not_built(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "weighin/facts.json").write_text("[]")
    assert release.main(["build", "--dry-run"], project) == 1
    assert "commit or remove the changes" in capsys.readouterr().err


def test_our_own_version_is_the_same_in_both_places_and_our_changelog_has_a_newest_section() -> None:
    assert release.project_version(ROOT) == release.package_version(ROOT)
    assert release.VERSION.fullmatch(release.project_version(ROOT))
    assert release.newest(ROOT).name in (release.UNRELEASED, release.project_version(ROOT))
    assert release.newest(ROOT).text
