"""While an environment is built no code of a package runs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from weighin.runner import prepare
from weighin.runner.environments import interpreter


def test_what_a_package_would_run_at_the_start_of_python_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, about = tmp_path / "ran", "evil-1.0.dist-info"
    with zipfile.ZipFile(tmp_path / "evil-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("evil.pth", f"import pathlib; pathlib.Path({str(ran)!r}).touch()\n")
        wheel.writestr("evil.py", "x = 1\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("UV_OFFLINE", "1")
    (tmp_path / "requirements.txt").write_text("evil==1.0\n")
    (tmp_path / "made").mkdir()
    prepare.build(tmp_path / "requirements.txt", tmp_path / "made", prepare.found_uv(), sys.executable, completed=False)
    assert not ran.exists()
    assert list((tmp_path / "made/env").rglob("__pycache__/evil.*.pyc"))
    subprocess.run([str(interpreter(tmp_path / "made")), "-I", "-c", ""], check=True, timeout=60)
    assert ran.exists(), "the package would have run nothing"
