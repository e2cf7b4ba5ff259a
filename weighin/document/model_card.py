"""The model card: sections as Mitchell et al. (2019) name them, below the metadata that model hubs read.

The metadata are YAML between two lines of dashes, with the keys of Hugging Face's model cards. A metric of
`model-index` has no place for an interval there, so its name carries it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import yaml

from weighin.document.blocks import Section
from weighin.document.markdown import joined, rendered
from weighin.document.material import Material
from weighin.github.escape import plain_line, text
from weighin.record.metrics import ALONE, COMPARED, NO_METRIC
from weighin.report.markdown import code, inline
from weighin.report.numbers import percent
from weighin.report.sentences import metric_name, numbers
from weighin.report.view import CheckView
from weighin.untrusted import JsonDict

HUB_LICENCES = frozenset(
    {
        *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause"),
        *("gpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0"),
        *("mpl-2.0", "epl-2.0", "cc0-1.0", "cc-by-4.0"),
        *("cc-by-sa-4.0", "cc-by-nc-4.0", "unlicense", "isc"),
    }
)
"""Identifiers that the hub knows, and that are SPDX's in small letters; any other licence is `other` with its name."""
TASKS = {
    "binary": "tabular-classification",
    "multiclass": "tabular-classification",
    "regression": "tabular-regression",
    "text": "text-generation",
    "ranking": "text-ranking",
    "forecast": "time-series-forecasting",
}
TITLES = {
    "purpose": "Model details and intended use",
    "limits": "Out-of-scope use and limitations",
    "performance": "Metrics and quantitative analyses",
    "data": "Evaluation and training data",
    "fairness": "Ethical considerations: fairness",
    "robustness": "Robustness",
    "explainability": "Explainability",
    "monitoring": "Monitoring",
    "evidence": "Evidence",
}
"""Sections of the card, in its order, as cards name them."""


def model_card(of: Material, sections: Sequence[Section]) -> str:
    """`model-card.md`, made of the sections of the validation report."""
    by_key = {s.key: s for s in sections}
    shown = [replace(by_key[key], title=title, names=()) for key, title in TITLES.items()]
    lines = ["---", _metadata(of), "---", "", f"# {text(of.record['model'])}", ""]
    lines += [f"{of.answer.mark} {inline(of.answer.sentence, 1_000)}. Record `{code(of.digest)}`."]
    return joined([*lines, *rendered(shown)])


def _metadata(of: Material) -> str:
    """Return the metadata. Texts stand on one line, so that none of them ends the block."""
    card, task = of.card, TASKS[of.contract.model.task]
    results = list(_results(of))
    values: JsonDict = {}
    if card.licence:
        known = card.licence.lower() in HUB_LICENCES
        values |= {"license": card.licence.lower()} if known else {"license": "other", "license_name": card.licence}
    values |= {"pipeline_tag": task, "tags": ["weighin", of.contract.model.task]}
    values["metrics"] = list(dict.fromkeys(str(m["type"]) for m in results))
    if results:
        holdout = of.record["data"].get("holdout", {})
        dataset = {"type": "holdout", "name": "holdout", "split": "holdout", "revision": str(holdout.get("sha256", ""))}
        result = {"task": {"type": task}, "dataset": dataset, "metrics": results}
        values["model-index"] = [{"name": of.record["model"], "results": [result]}]
    return yaml.safe_dump(_one_line(values), sort_keys=False, allow_unicode=True, width=10_000).rstrip()


def _results(of: Material) -> Iterator[JsonDict]:
    """Yield the candidate's own metrics on all rows: with their interval where they have a check of their own."""
    done = set()
    level = percent(1 - float(of.record["contract"]["alpha"]))
    views = of.suite("performance")
    for v in views:
        alone, evidence = ALONE.fullmatch(v.check), v.outcome["evidence"]
        if alone and alone[1] != NO_METRIC and _finite(evidence.get("estimate")):
            done.add(alone[1])
            said = f"{metric_name(alone[1])} {numbers(v, '')}, each end with {level}"
            yield {"type": alone[1], "name": said, "value": evidence["estimate"]}
    for v in views:
        value = _compared(v)
        compared = COMPARED.fullmatch(v.check)
        if compared and compared[4] is None and compared[1] not in done and value is not None:
            done.add(compared[1])
            said = f"{metric_name(compared[1])}, whose interval is that of the difference to the {compared[2]}"
            yield {"type": compared[1], "name": said, "value": value}


def _compared(view: CheckView) -> float | None:
    """Return the candidate's own value in a comparison."""
    value = view.detail.get("candidate")
    return float(value) if isinstance(value, int | float) and _finite(value) else None


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _one_line(value: object) -> object:
    """Return values whose texts are one line without characters that are not seen."""
    if isinstance(value, dict):
        return {k: _one_line(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_one_line(v) for v in value]
    return plain_line(value, 500) if isinstance(value, str) else value
