"""The runner of a workflow's host, started by its path in an isolated interpreter, which looks into no other folder.

    python3 -I HOST/weighin/runner docker|collect|comment|reviews|heartbeat|gate-statistics ...

`python3 -m` would put the current folder, a checkout of somebody's pull request, before the standard library. Here the
package is loaded from the folder that this file lies in, and every other module from the interpreter's own.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

PROGRAMS = {
    "docker": "weighin.runner.docker",
    "collect": "weighin.runner.collect",
    "comment": "weighin.github.comment",
    "reviews": "weighin.github.reviews",
    "heartbeat": "weighin.github.monitor_summary",
    "gate-statistics": "weighin.github.gate_statistics",
}


def _load_package() -> None:
    folder = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location(
        "weighin", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules["weighin"] = package
    spec.loader.exec_module(package)


def main() -> int:
    """Run one of the programs; returns the exit code."""
    if len(sys.argv) < 2 or sys.argv[1] not in PROGRAMS:
        print(f"weighin: name one of {', '.join(PROGRAMS)}", file=sys.stderr)
        return 4
    # The folder of this file comes first where Python was started with its path: nothing is to be found in it.
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != Path(__file__).resolve().parent]
    _load_package()
    program = importlib.import_module(PROGRAMS[sys.argv.pop(1)])
    code: int = program.main()
    return code


if __name__ == "__main__":
    sys.exit(main())
