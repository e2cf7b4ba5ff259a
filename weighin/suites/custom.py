"""A team's own metric: a function that the contract names, asked by the judge of the repository's own code alone."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from weighin.contract.gates import CustomMetric
from weighin.errors import NotEvaluated
from weighin.stats.intervals import (
    Floats,
    Interval,
    Undefined,
    from_influence,
    must_be_carried_by_many,
    without_rounding,
)
from weighin.stats.resample import bootstrap
from weighin.stats.scored import Scored
from weighin.suites.rows import Rows
from weighin.untrusted.redact import cause, reduced


def measure_custom(
    metric: CustomMetric, folder: Path, rows: Rows, baseline: str | None, factor: float, level: float
) -> tuple[Interval, float, Callable[[Mapping[str, Scored]], Floats] | None]:
    """Return the interval of a custom metric, the candidate's own value, and how influence values of a mean are made.

    A function that answers with one number per row is a mean, with influence values; any other number is
    bootstrapped. Errors: `NotEvaluated` when the function cannot be found, raises, or answers with something else;
    `Undefined` where its interval does not exist.
    """
    function = own_function(metric.function, folder)
    candidate = rows.scored["candidate"]
    other = None if baseline is None else rows.scored[baseline]
    first = _ask(function, metric.function, candidate)
    if first.ndim == 1:

        def influences(scored: Mapping[str, Scored]) -> Floats:
            return _of_mean(function, metric.function, scored, baseline, factor)[1]

        estimate, influence = _of_mean(function, metric.function, rows.scored, baseline, factor)
        if not np.any(influence):
            raise Undefined(f"{metric.function} gives every row the same number: no interval exists")
        must_be_carried_by_many(influence, rows.group)
        found = from_influence(estimate, influence, rows.group, level)
        return found, float((candidate.share * first).sum()), influences
    if len(candidate.truth) > metric.rows_at_most:
        raise NotEvaluated(
            f"{len(candidate.truth):,} rows, a bootstrap is made of at most {metric.rows_at_most:,}",
            metric.function,
            "Return one number per row, or raise `rows_at_most` and wait.",
        )
    found = bootstrap(
        lambda part: float(_ask(function, metric.function, part)), candidate, other, rows.group, level, factor
    )
    return found, float(first), None


def _of_mean(
    function: Callable[..., Any], name: str, scored: Mapping[str, Scored], baseline: str | None, factor: float
) -> tuple[float, Floats]:
    """Return the mean of a number of each row, or its difference to the baseline's, and (n,) influence values."""
    values = _ask(function, name, scored["candidate"])
    size = float(np.abs(values).max(initial=0.0))
    if baseline is not None:
        other = factor * _ask(function, name, scored[baseline])
        values, size = values - other, size + float(np.abs(other).max(initial=0.0))
    share = scored["candidate"].share
    estimate = float((share * values).sum())
    return estimate, without_rounding(share * (values - estimate), size)


@functools.cache
def own_function(name: str, folder: Path) -> Callable[..., Any]:
    """Return a function of the repository, `module:name`. Errors: `NotEvaluated` where there is none."""
    module, _, attribute = name.partition(":")
    # Behind everything that is installed: a file of the repository hides no module of anybody's.
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    base = folder.joinpath(*module.split("."))
    path = next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)
    try:
        found: Callable[..., Any] = getattr(
            importlib.import_module(module) if path is None else _loaded(module, path), attribute
        )
    except (ImportError, AttributeError) as error:
        raise NotEvaluated(
            f"the function cannot be found ({reduced(error)})", name, f"Put it below {folder.name}/."
        ) from error
    return found


def _loaded(module: str, path: Path) -> ModuleType:
    """Return the module in a file, whatever else is called like it."""
    spec = importlib.util.spec_from_file_location("metric_" + module.replace(".", "_"), path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def _ask(function: Callable[..., Any], name: str, rows: Scored) -> np.ndarray:
    try:
        answer = np.asarray(function(rows.truth, rows.score, rows.weight), dtype=np.float64)
    except Exception as error:
        raise NotEvaluated(f"the metric raised {cause(error)}", name, "Ask it by hand.") from error
    if answer.shape not in ((), (len(rows.truth),)) or not np.isfinite(answer).all():
        raise NotEvaluated(
            f"the metric answered with shape {answer.shape}, or with what is not finite", name, "Return finite numbers."
        )
    return answer
