"""What the design promises about the code itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "weighin"
ORDER = re.findall(r"^\| `(\w+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
"""Packages and single modules, from the lowest to the highest."""
HOST = ("runner/__main__", "runner/docker", "runner/collect", "runner/reaper", "github/*", "untrusted/redact")
"""What runs on the host of a workflow, with nothing but Python."""


def modules() -> list[Path]:
    return [p for p in PACKAGE.rglob("*.py") if p.parent != PACKAGE or p.stem not in ("__init__", "__main__")]


def imported(path: Path) -> set[str]:
    """Return the dotted names of the modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports by a relative name"
            # `from weighin import x` imports the package x.
            found |= {f"weighin.{a.name}" for a in node.names} if node.module == "weighin" else {node.module or ""}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    for name in imported(path):
        target = name.split(".")[1] if name.startswith("weighin.") else own
        if target not in (own, "__version__"):
            assert ORDER.index(target) < ORDER.index(own), f"{path} imports {name}"


def test_every_package_has_its_place_in_the_order() -> None:
    assert {p.relative_to(PACKAGE).with_suffix("").parts[0] for p in modules()} == set(ORDER)
    assert len(set(ORDER)) == len(ORDER)


def test_nothing_but_decide_compares_with_the_value_of_a_limit() -> None:
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Compare):
                text = ast.unparse(node)
                if "limit.value" in text and any(isinstance(o, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for o in node.ops):
                    found.append((path.relative_to(PACKAGE).as_posix(), text))
    assert {name for name, _ in found} == {"outcome.py"}, found


def test_what_runs_on_a_host_needs_nothing_but_python() -> None:
    names = {
        "weighin." + p.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", ".")
        for pattern in HOST
        for p in PACKAGE.glob(f"{pattern}.py")
        if p.stem not in ("__init__", "__main__")
    }
    assert len(names) > 8
    code = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module(name)
print("ok")
"""
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(ROOT), *sorted(names)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
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
        # Makes a function for executors, and loads nothing itself.
        "model/on_spark.py": {"mlflow.pyfunc"},
        "model/predict.py": {"load_model", "mlflow.pyfunc", "mlflow.sklearn"},
        "serving/mlflow_server.py": {'"models", "serve"', "mlflow.pyfunc"},
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
        "requirements-airflow.txt",
        "requirements-feast.txt",
        "tests/workflows/actions/package-lock.json",
        "tests/support/argo/package-lock.json",
    ):
        text = (ROOT / name).read_text()
        assert "index-url" not in text
        assert "://" not in "\n".join(line for line in text.splitlines() if '"url"' not in line), name
