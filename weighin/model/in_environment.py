"""Ask a model in an environment of its own: this file is run by the interpreter of that environment.

    ENV/bin/python -I -B .../weighin/model/in_environment.py --model DIR --features DIR --out DIR --answers JSON

The environment has what the model declares, and not weighin. Of weighin only modules are used that need NumPy, pandas
and Arrow, and they are found by their place, so that no package of the other environment is imported in place of the
model's.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path


def main() -> int:
    """Ask the model; returns the exit code."""
    parser = argparse.ArgumentParser()
    for name in ("model", "features", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--answers", default="{}")
    parser.add_argument("--shap", type=int, default=0)
    parser.add_argument("--survey", action="store_true")
    given = parser.parse_args()
    package = Path(__file__).resolve().parents[1]
    # Only this package by its place: its folder's neighbours are those of another environment.
    spec = importlib.util.spec_from_file_location(
        "weighin", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["weighin"] = module
    spec.loader.exec_module(module)
    # The folder of this file is the first that an interpreter looks into: `predict.py` must not be `predict`.
    sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != package / "model"]
    from weighin.errors import WeighinError
    from weighin.model.predict import look_at, predict
    from weighin.runner.plan import Answers
    from weighin.untrusted.redact import reduced

    try:
        if given.survey:
            look_at(given.model, given.features, given.out)
        else:
            predict(given.model, given.features, given.out, Answers.from_json(given.answers), given.shap)
    except WeighinError as error:
        print(f"weighin: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the same words as for any step
        print(f"weighin: internal error, {reduced(error)}. See it with --debug.", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
