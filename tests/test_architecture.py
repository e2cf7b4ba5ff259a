"""What the design promises about the code itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "weighin"
ORDER = {
    "errors": 0,
    "bounded": 0,
    "redact": 0,
    "outcome": 0,
    "stats": 1,
    "contract": 2,
    "runner": 2,
    "data": 3,
    "record.encode": 3,
    "subject": 4,
    "datasets": 4,
    "explain": 4,
    "predict": 5,
    "load": 5,
    "serve": 5,
    "registry": 5,
    "resolve": 6,
    "record": 6,
    "suites": 7,
    "approval": 7,
    "policy": 7,
    "serving": 7,
    "deploy": 7,
    "monitor": 8,
    "monitor.log": 4,
    "monitor.stores": 4,
    "shadow": 5,
    "accept": 8,
    "promote": 8,
    "rollback": 8,
    "report": 7,
    "report.monitor": 8,
    "changes": 7,
    "judge": 8,
    "doctor": 8,
    "cli": 9,
}


def modules() -> list[Path]:
    return [p for p in PACKAGE.rglob("*.py") if p.name not in ("__init__.py", "__main__.py")]


def layer(name: str) -> int:
    """Of the longest listed prefix of a dotted name without `weighin.`."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in ORDER:
            return ORDER[".".join(parts[:length])]
    raise AssertionError(f"{name} has no place in the order of imports")


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path: Path) -> None:
    own = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("weighin."):
            target = node.module.removeprefix("weighin.")
            if target.split(".")[0] != own.split(".")[0]:
                assert layer(target) <= layer(own), f"{own} imports {target}"


def test_nothing_but_decide_compares_with_the_value_of_a_limit() -> None:
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                text = ast.unparse(node)
                if "limit.value" in text and any(isinstance(o, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for o in node.ops):
                    found.append((path.relative_to(PACKAGE).as_posix(), text))
    assert {name for name, _ in found} == {"outcome.py"}, found


def test_the_runner_needs_nothing_but_python() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import weighin.runner.docker; print('ok')"
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(ROOT)], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout == "ok\n", ran.stderr


def test_a_model_is_loaded_in_one_place_and_served_in_one() -> None:
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        for words in ("load_model", "mlflow.pyfunc", "mlflow.sklearn", '"models", "serve"'):
            if words in text:
                found.setdefault(path.relative_to(PACKAGE).as_posix(), set()).add(words)
    assert found == {
        "predict.py": {"load_model", "mlflow.pyfunc", "mlflow.sklearn"},
        "serve.py": {'"models", "serve"', "mlflow.pyfunc"},
        "serving/scoring.py": {"load_model", "mlflow.pyfunc"},
        # Wraps predictions that were left, so that MLflow can draw them.
        "suites/mlflow_evaluation.py": {"mlflow.pyfunc", "mlflow.sklearn"},
    }


def test_statistics_know_no_tables_and_no_files() -> None:
    for path in (PACKAGE / "stats").glob("*.py"):
        names = {
            (n.module or "") if isinstance(n, ast.ImportFrom) else a.name
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.Import | ast.ImportFrom)
            for a in n.names
        }
        assert not {n.split(".")[0] for n in names} & {"pandas", "pyarrow", "ibis", "pathlib", "os", "io"}, path


def test_great_expectations_is_a_folder_of_data() -> None:
    assert not list((ROOT / "great_expectations").rglob("*.py"))


def test_no_locked_file_names_an_index() -> None:
    for name in (
        "requirements.txt",
        "requirements-dev.txt",
        "requirements-moto.txt",
        "tests/workflows/actions/package-lock.json",
    ):
        text = (ROOT / name).read_text()
        assert "index-url" not in text
        assert "://" not in "\n".join(line for line in text.splitlines() if '"url"' not in line), name
