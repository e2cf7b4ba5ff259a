"""What the load generator brings along stays where it is used."""

from __future__ import annotations

import subprocess
import sys


def test_nothing_but_a_locustfile_lets_gevent_patch_the_process() -> None:
    code = "import sys, weighin.load, weighin.cli.steps; print('gevent' in sys.modules, 'locust' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "False False\n"


def test_this_test_run_is_not_patched() -> None:
    # Doctests import every module of the package; Locust's would change sockets and threads for all tests.
    assert "gevent" not in sys.modules
