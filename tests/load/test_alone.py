"""What the load generator brings along stays where it is used."""

from __future__ import annotations

import subprocess
import sys


def test_nothing_but_a_locustfile_lets_gevent_patch_the_process() -> None:
    code = "import sys, weighin.load, weighin.cli.steps; print('gevent' in sys.modules, 'locust' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "False False\n"


def test_a_generator_writes_and_reads_tables_without_pandas_which_is_there_for_who_asks() -> None:
    code = "import sys; from weighin.load.no_pandas import leave_out_pandas; leave_out_pandas(); import pyarrow as pa; "
    code += "made = pa.table({'a': [[1.5], None], 'b': ['x', '']}); print('pandas' in sys.modules, made.to_pylist()); "
    code += "print(made.to_pandas().b.tolist())"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "False [{'a': [1.5], 'b': 'x'}, {'a': None, 'b': ''}]\n['x', '']\n"


def test_this_test_run_is_not_patched() -> None:
    # Doctests import every module of the package; Locust's would change sockets and threads for all tests.
    assert "gevent" not in sys.modules
