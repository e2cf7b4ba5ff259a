"""Drift of free text: its length, its words, words that the reference does not have, and a classifier of both.

No word stands in a message or a report.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.contract import Check
from weighin.contract.checks import KS_CELLS, TextDriftRule
from weighin.data.typed import file_type
from weighin.errors import NotEvaluated
from weighin.outcome import Measurement
from weighin.scores.style import words_of
from weighin.stats.domain_classifier import apart
from weighin.stats.drift import edges, jensen_shannon, psi, total_variation
from weighin.stats.intervals import Codes, Floats, Interval, difference_of_samples, from_influence
from weighin.stats.kolmogorov import kolmogorov_smirnov
from weighin.suites.evidence import Evidence
from weighin.suites.joint_drift import DATASETS, drawn
from weighin.suites.sample import of_distance, sample

CELLS = 30
"""Into which words are hashed, so that their shares can be compared with an interval."""
FEATURES = 64
"""Cells of a row's words that the classifier sees."""
DISTANCES = {
    "psi": psi,
    "jensen_shannon": jensen_shannon,
    "total_variation": total_variation,
    "kolmogorov_smirnov": kolmogorov_smirnov,
}
WORDS = {"psi": "PSI", "jensen_shannon": "JS distance", "total_variation": "TV", "kolmogorov_smirnov": "KS distance"}


def measure(check: Check, rule: TextDriftRule, evidence: Evidence) -> Measurement:
    """Return how far the texts of current rows lie from the reference's. Errors: `NotEvaluated`, `Undefined`."""
    gate = evidence.contract.gates.drift
    assert gate is not None
    most = gate.texts[rule.column].rows_at_most
    (before, first), (after, second) = (_texts(evidence, dataset, rule.column, most) for dataset in DATASETS)
    level, unit = 1 - check.limit.alpha, evidence.contract.sampling_unit
    detail = {"rows": [len(before), len(after)]}
    match rule.kind:
        case "length":
            lengths = [np.array([len(t) for t in texts], dtype=np.float64) for texts in (before, after)]
            bins = KS_CELLS if gate.measure == "kolmogorov_smirnov" else gate.bins
            cut = edges(np.quantile(lengths[0], np.arange(1, bins) / bins))
            cells = [np.searchsorted(cut, values, side="right") for values in lengths]
            counts = [_table(c, g, len(cut) + 1) for c, g in zip(cells, (first, second), strict=True)]
            grouped = (first is not None, second is not None)
            moved = DISTANCES[gate.measure](counts[0], counts[1], level, *grouped)
            units = len(counts[1]) if grouped[1] else len(after)
            return of_distance(check, moved, units, WORDS[gate.measure], "number of characters", unit, detail)
        case "words":
            tables = [_hashed(texts, group) for texts, group in ((before, first), (after, second))]
            variation = total_variation(tables[0], tables[1], level, True, True)
            method = f"debiased total variation of words in {CELLS} cells"
            return of_distance(check, variation, len(tables[1]), "TV", method, unit, detail)
        case "unknown_words":
            more = _unknown(before, after, first, second, level)
            more = replace(more, method="share of words that no other row of the reference has")
            return sample(check, more, "share", unit, detail)
        case "auc":
            rows = np.concatenate([_features(texts) for texts in (before, after)])
            group = None if first is None or second is None else np.concatenate([first, first.max() + 1 + second])
            current, category = np.arange(len(rows)) >= len(before), np.zeros(rows.shape[1], dtype=bool)
            told = apart(rows, current, category, group, level)
            return sample(check, replace(told.interval, method="classifier of hashed words"), "AUC", unit, detail)


def _texts(evidence: Evidence, dataset: str, column: str, most: int) -> tuple[list[str], Codes | None]:
    """Return the texts of some rows, missing ones as empty, and their groups. Errors: `NotEvaluated`."""
    table, groups = drawn(evidence, dataset, [column], most)
    if file_type(table[column].type) != "string":
        raise NotEvaluated(f"column {column} holds no text", f"data.{dataset}", "Correct gates.drift.texts.")
    return [t or "" for t in table[column].cast(pa.string()).to_pylist()], groups


def _table(cells: NDArray[np.int64], group: Codes | None, width: int) -> Floats:
    """Return counts by group and cell, or by cell alone."""
    if group is None:
        return np.asarray(np.bincount(cells, minlength=width), dtype=np.float64)
    flat = np.bincount(group * width + cells, minlength=(int(group.max()) + 1) * width)
    return np.asarray(flat.reshape(-1, width), dtype=np.float64)


def _hashed(texts: Sequence[str], group: Codes | None) -> Floats:
    """(units, CELLS) words of each unit by their hash; a unit is a group, or a row, whose words go together."""
    found = np.zeros((len(texts), CELLS))
    for row, text in enumerate(texts):
        for word in words_of(text):
            found[row, zlib.crc32(word.encode()) % CELLS] += 1
    if group is None:
        return np.asarray(found[found.sum(axis=1) > 0])
    by = np.zeros((int(group.max()) + 1, CELLS))
    np.add.at(by, group, found)
    return np.asarray(by[by.sum(axis=1) > 0])


def _unknown(
    before: Sequence[str], after: Sequence[str], first: Codes | None, second: Codes | None, level: float
) -> Interval:
    """Return by how much the mean share of a row's words grows that no other row of the reference has."""
    sets = [set(words_of(t)) for t in before]
    rows_with = Counter(word for words in sets for word in words)
    was = np.array([_share([rows_with[w] == 1 for w in words]) for words in sets])
    now = np.array([_share([w not in rows_with for w in set(words_of(t))]) for t in after])
    return difference_of_samples(_mean(now, second, level), _mean(was, first, level))


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def _mean(values: Floats, group: Codes | None, level: float) -> Interval:
    mean = float(values.mean())
    return from_influence(mean, (values - mean) / len(values), group, level)


def _features(texts: Sequence[str]) -> Floats:
    """(n, FEATURES + 1) how often words of each hash stand in a row, and its length."""
    found = np.zeros((len(texts), FEATURES + 1))
    for row, text in enumerate(texts):
        found[row, FEATURES] = len(text)
        for word in words_of(text):
            found[row, zlib.crc32(word.encode()) % FEATURES] += 1
    return found
