"""What the performance suite shows besides its outcomes: classical tests, calibration, least favourable slice.

None of it decides. A table is {title, columns, rows, note, plot?}: plain values, drawn by the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from weighin.contract import checks
from weighin.contract.checks import MetricRule
from weighin.errors import NotEvaluated
from weighin.outcome import Measurement
from weighin.stats.classical import Test, bonferroni, mcnemar, paired_t, wilcoxon
from weighin.stats.intervals import Floats, Undefined
from weighin.stats.metrics import calibration, row_loss
from weighin.stats.scored import Scored
from weighin.suites.at_scale import sampled
from weighin.suites.evidence import Evidence
from weighin.suites.performance import measure_rows
from weighin.suites.rows import Rows

Table = Mapping[str, Any]


def information(evidence: Evidence) -> list[Table]:
    """All tables that can be made of the holdout. Errors: `NotEvaluated`, `Undefined`."""
    evidence = sampled(evidence)
    rows = evidence.rows("holdout")
    if rows.pool is not None and rows.pool.design != "random":
        return _environments(evidence)  # tests and curves would be those of the rows that the plan has drawn
    kind = evidence.contract.model.prediction.kind
    lossless = kind in ("score", "text", "interval")
    found = [_classical(evidence, rows)] if "champion" in rows.scored and not lossless else []
    if kind == "probability":
        found += [_calibration(rows)]
    slices = _least_favourable(evidence, rows)
    return [*found, *([slices] if slices else []), *_environments(evidence)]


def _environments(evidence: Evidence) -> list[Table]:
    """Return what was installed where a model was asked in an environment of its own."""
    found: list[Table] = []
    for role in evidence.subject.roles:
        packages = evidence.packages(role)
        if packages:
            note = "Made of what the model declares, wheels only, resolved with hashes. The model was asked with these."
            rows = [[name, version] for name, version in sorted(packages.items())]
            title = f"Environment of the {role}"
            found.append({"title": title, "columns": ["package", "version"], "rows": rows, "note": note})
    return found


def _classical(evidence: Evidence, rows: Rows) -> Table:
    candidate, champion = rows.scored["candidate"], rows.scored["champion"]
    tests: list[Test] = []
    if not evidence.contract.model.numeric:
        tests.append(mcnemar(_right(candidate), _right(champion)))
    if evidence.contract.model.prediction.kind != "label":
        difference = _loss(candidate) - _loss(champion)
        tests += [paired_t(difference), wilcoxon(difference)]
    adjusted = bonferroni(tests)
    loss = "squared error" if evidence.contract.model.numeric else "log loss"
    note = (
        f"Two-sided, on rows as if they were independent; t and Wilcoxon on the difference of the {loss} by row. "
        "They ask whether the models differ at all, not what a release needs to know. No outcome rests on them."
    )
    if rows.group is not None:
        note += f" These rows are not independent ({rows.sampling_unit}), so the p-values are too small."
    listed = [[t.name, _n(t.statistic), _p(t.p), _p(a), _n(t.effect)] for t, a in zip(tests, adjusted, strict=True)]
    columns = ["test", "statistic", "p", "p, Bonferroni", "effect size"]
    return {"title": "Classical tests against the champion", "columns": columns, "rows": listed, "note": note}


def _calibration(rows: Rows) -> Table:
    listed, errors, series = [], [], {}
    for role, scored in rows.scored.items():
        curve = calibration(scored)
        error = sum(abs(mean - hit) * share for mean, hit, share in curve)
        errors.append(f"{role} {error:.4f}")
        series[role] = [[round(mean, 5), round(hit, 5)] for mean, hit, _ in curve]
        if role == "candidate":
            listed = [[_n(mean), _n(hit), f"{share:.1%}"] for mean, hit, share in curve]
    note = f"Expected calibration error: {', '.join(errors)}. It is biased upwards and never zero, so it is no gate."
    return {
        "title": "Calibration of the candidate",
        "columns": ["mean probability", "share of positives", "rows"],
        "rows": listed,
        "note": note,
        "plot": {"kind": "calibration", "series": series},
    }


def _least_favourable(evidence: Evidence, rows: Rows) -> Table | None:
    """Return the slices in the order of how far each lies on the wrong side of no difference, the worst first."""
    gate = evidence.contract.gates.performance
    assert gate is not None
    found = []
    for check in checks(evidence.contract, "performance"):
        if not isinstance(check.rule, MetricRule) or check.rule.slice is None or check.expired:
            continue
        if any(_sensitive(evidence, name) for name in (check.rule.slice.of.column,)):
            continue
        try:
            measured = measure_rows(check, rows, gate, evidence.file.folder)
        except (NotEvaluated, Undefined):
            continue
        if isinstance(measured, Measurement) and measured.kind == "sample":
            metric = rows.known(check.rule.metric)
            lower = metric is not None and metric.lower_is_better
            bad = measured.estimate if lower else -measured.estimate
            interval = f"{measured.low:.4f} to {measured.high:.4f}"
            row = [
                check.id.removeprefix("performance/"),
                _n(measured.estimate),
                interval,
                f"{measured.detail['rows']:,}",
            ]
            found.append((bad, row))
    if not found:
        return None
    found.sort(key=lambda pair: -pair[0])
    note = f"Least favourable: {found[0][1][0]}. The worst of many noisy numbers looks worse than it is."
    columns = ["slice", "difference", "interval", "rows"]
    return {
        "title": "Slices, the least favourable first",
        "columns": columns,
        "rows": [r for _, r in found[:10]],
        "note": note,
    }


def _sensitive(evidence: Evidence, column: str | None) -> bool:
    known = evidence.contract.data.columns.get(column or "")
    return known is not None and known.sensitive


def _right(rows: Scored) -> np.ndarray:
    return np.asarray(rows.decision == rows.truth)


def _loss(rows: Scored) -> Floats:
    return row_loss(rows, "squared" if rows.truth.dtype == np.float64 else "log_loss")


def _n(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"
