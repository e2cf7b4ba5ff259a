"""The wheel holds every file of the package, and works from an environment of its own, outside of the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from support.suite_work import Work
from test_release import ROOT, commit, release
from weighin.canonical import canonical

pytestmark = pytest.mark.exhaustive

SECONDS = 600


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout as it stands, built from a copy, so that nothing is left in it."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        if name and (name.startswith("weighin/") or name in ("pyproject.toml", "README.md", "LICENSE")):
            if not (ROOT / name).is_file():
                continue  # removed, and not committed yet
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(["git", "init", "--quiet", str(copy)], check=True, timeout=60)
    commit(copy)
    _, made = release.build(copy, out)
    return made


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, which sees the dependencies of this one and not the checkout."""
    packages = Path(sysconfig.get_path("purelib"))
    found = release.try_wheel(ROOT, wheel, tmp_path_factory.mktemp("trial"), packages)
    assert isinstance(found, Path)
    return found


def run(environment: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST_"))}
    return subprocess.run(
        [str(environment / "bin" / command[0]), *command[1:]],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_the_package_is_not_that_of_the_checkout(environment: Path, tmp_path: Path) -> None:
    ran = run(environment, tmp_path, "python", "-c", "import weighin, sys; print(weighin.__file__); print(*sys.path)")
    assert ran.stdout.startswith(str(environment)), ran.stdout + ran.stderr
    assert str(ROOT) not in ran.stdout.splitlines()[1].split()


def test_the_schema_that_it_prints_is_that_of_the_checkout(environment: Path, tmp_path: Path) -> None:
    ran = run(environment, tmp_path, "weighin", "contract", "schema")
    own = subprocess.run(
        [sys.executable, "-m", "weighin", "contract", "schema"], capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(ran.stdout) == json.loads(own.stdout)


def test_it_verifies_a_record_and_refuses_one_of_another_form(environment: Path, tmp_path: Path) -> None:
    golden, path = ROOT / "tests/record/golden/decision-v1.json", tmp_path / "record.json"
    path.write_bytes(golden.read_bytes())
    assert run(environment, tmp_path, "weighin", "verify", str(path)).returncode == 0
    path.write_bytes(canonical({**json.loads(golden.read_text()), "extra": 1}))
    ran = run(environment, tmp_path, "weighin", "verify", str(path))
    assert ran.returncode != 0
    assert "extra" in ran.stderr


def test_the_doctor_knows_the_workflows(environment: Path, tmp_path: Path) -> None:
    (tmp_path / ".github/workflows").mkdir(parents=True)
    caller = (
        "on: pull_request\njobs:\n  validate:\n    permissions: {contents: read, packages: write}\n"
        "    uses: O/weigh-in/.github/workflows/validate.yml@" + "1" * 40 + "\n"
    )
    (tmp_path / ".github/workflows/a.yml").write_text(caller)
    ran = run(environment, tmp_path, "weighin", "doctor", "--json")
    found = {f["check"]: f for f in json.loads(ran.stdout)["findings"]}
    assert found["permissions"]["status"] == "missing", "it needs to know what validate.yml asks for"


def test_a_suite_judges_with_the_files_of_the_wheel(environment: Path, tmp_path: Path) -> None:
    work = Work(tmp_path).write()
    place = ["--contract", str(tmp_path / "model_contract.yaml"), "--work", str(tmp_path / "work")]
    ran = run(
        environment, tmp_path, "weighin", "step", "judge", "data_quality", *place, "--out", str(tmp_path / "reports")
    )
    left = sorted(p.name for p in (tmp_path / "reports").rglob("*"))
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    assert any(name.endswith(".html") for name in left), left
    assert work.folder == tmp_path


def test_a_data_file_that_is_not_declared_would_be_missed(tmp_path: Path) -> None:
    """The comparison with the commit notices it: without this, the tests above could pass on half a wheel."""
    wheel = tmp_path / "weighin-0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("weighin/__init__.py", "")
        file.writestr("weighin-0.dist-info/METADATA", "")
    expected = {"weighin/__init__.py", "weighin/py.typed"}
    assert release.differences(wheel, expected) == [
        f"{wheel.name} lacks weighin/py.typed: add it to package-data in pyproject.toml."
    ]
    assert release.differences(wheel, set())[0].startswith(f"{wheel.name} holds weighin/__init__.py")
