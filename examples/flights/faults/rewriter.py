"""Predicts badly and tries to rewrite what decides: the rule in this process, and results wherever it may write."""

import contextlib
import json
import os
import sys
from pathlib import Path

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel

PLACES = (".", "/out", "/work", "/repo", "/reports", "/features", "/model", "/weighin", "/work/load")
FILES = ("outcomes.json", "verdict.json", "record.json", "subject.json", "junit.xml")
SUITES = ("", "data_quality", "performance", "drift", "load")


class Rewriter(PythonModel):
    def predict(self, context, model_input, params=None):
        patch_the_rule()
        rewrite_results()
        late = np.random.default_rng(0).random(len(model_input))
        return np.column_stack([1 - late, late])


def patch_the_rule():
    with contextlib.suppress(Exception):
        from weighin import outcome

        def always(evidence, limit):
            return outcome.Outcome(evidence.check, outcome.Status.PASSED, "of course", limit, evidence)

        outcome.decide = always
        for module in list(sys.modules.values()):
            if getattr(module, "decide", None) is not None:
                module.decide = always


def rewrite_results():
    passed = json.dumps({"schema": "weighin/verdict/v1", "status": "passed", "exit_code": 0, "messages": []})
    for place in PLACES:
        for suite in SUITES:
            for name in FILES:
                with contextlib.suppress(OSError):
                    path = Path(place, "reports", suite, name) if place == "." else Path(place, suite, name)
                    os.makedirs(path.parent, exist_ok=True)
                    path.write_text(passed)


mlflow.models.set_model(Rewriter())
