"""Drift of free text: its length, words, language, words that the reference does not have, and a classifier.

No word stands in a message or a report.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from weighin.contract import Check
from weighin.contract.checks import KS_CELLS, TextDriftRule
from weighin.contract.gates import Drift
from weighin.data.typed import file_type
from weighin.errors import NotEvaluated
from weighin.outcome import Measurement
from weighin.scores.language import language
from weighin.scores.style import words_of
from weighin.stats.domain_classifier import apart
from weighin.stats.drift import edges, jensen_shannon, psi, total_variation
from weighin.stats.intervals import Codes, Floats
from weighin.stats.kolmogorov import kolmogorov_smirnov
from weighin.stats.vocabulary import Vocabulary, unknown_words
from weighin.suites.evidence import Evidence
from weighin.suites.joint_drift import DATASETS, drawn
from weighin.suites.sample import of_distance, sample

CELLS = 30
"""Into which words are hashed, so that their shares can be compared with an interval."""
LANGUAGES = 8
"""Languages of the reference that are told from each other; the rest of them are one."""
FEATURES = 64
"""Cells of a row's words that the classifier sees."""
DISTANCES = {
    "psi": psi,
    "jensen_shannon": jensen_shannon,
    "total_variation": total_variation,
    "kolmogorov_smirnov": kolmogorov_smirnov,
}
WORDS = {"psi": "PSI", "jensen_shannon": "JS distance", "total_variation": "TV", "kolmogorov_smirnov": "KS distance"}


@dataclass(frozen=True)
class Texts:
    """The texts of some rows.

    texts  (n,) missing ones are empty
    group  (n,) codes 0..G-1 of rows that depend on each other, or None
    """

    texts: Sequence[str]
    group: Codes | None


def measure(check: Check, rule: TextDriftRule, evidence: Evidence) -> Measurement:
    """Return how far the texts of current rows lie from the reference's. Errors: `NotEvaluated`, `Undefined`."""
    gate = evidence.contract.gates.drift
    assert gate is not None
    before, after = (_read(evidence, d, rule.column, gate.texts[rule.column].rows_at_most) for d in DATASETS)
    return compare(check, rule, before, after, gate, evidence.contract.sampling_unit)


def compare(check: Check, rule: TextDriftRule, before: Texts, after: Texts, gate: Drift, unit: str) -> Measurement:
    """Return how far current texts lie from the reference's.

    unit  what repeats independently, in words
    Errors: `NotEvaluated`, `Undefined`.
    """
    level, grouped = 1 - check.limit.alpha, (before.group is not None, after.group is not None)
    detail = {"rows": [len(before.texts), len(after.texts)]}
    match rule.kind:
        case "length":
            lengths = [np.array([len(t) for t in side.texts], dtype=np.float64) for side in (before, after)]
            bins = KS_CELLS if gate.measure == "kolmogorov_smirnov" else gate.bins
            cut = edges(np.quantile(lengths[0], np.arange(1, bins) / bins))
            cells = [np.searchsorted(cut, values, side="right") for values in lengths]
            counts = [_table(c, s.group, len(cut) + 1) for c, s in zip(cells, (before, after), strict=True)]
            moved = DISTANCES[gate.measure](counts[0], counts[1], level, *grouped)
            units = len(counts[1]) if grouped[1] else len(after.texts)
            return of_distance(check, moved, units, WORDS[gate.measure], "number of characters", unit, detail)
        case "words":
            tables = [_hashed(side) for side in (before, after)]
            variation = total_variation(tables[0], tables[1], level, True, True)
            method = f"debiased total variation of words in {CELLS} cells"
            return of_distance(check, variation, len(tables[1]), "TV", method, unit, detail)
        case "language":
            was, now = _languages(before, after)
            variation = total_variation(was, now, level, *grouped)
            units = len(now) if grouped[1] else len(after.texts)
            method = "debiased total variation of the languages of rows"
            return of_distance(check, variation, units, "TV", method, unit, detail)
        case "unknown_words":
            whose = "group" if grouped[0] else "row"
            more = unknown_words(*_vocabularies(before, after), level)
            more = replace(more, method=f"share of words that no other {whose} of the reference has")
            return sample(check, more, "share", unit, detail)
        case "auc":
            rows = np.concatenate([_features(side.texts) for side in (before, after)])
            group = None
            if before.group is not None and after.group is not None:
                group = np.concatenate([before.group, before.group.max() + 1 + after.group])
            current, category = np.arange(len(rows)) >= len(before.texts), np.zeros(rows.shape[1], dtype=bool)
            told = apart(rows, current, category, group, level)
            return sample(check, replace(told.interval, method="classifier of hashed words"), "AUC", unit, detail)


def _read(evidence: Evidence, dataset: str, column: str, most: int) -> Texts:
    """Return the texts of some rows. Errors: `NotEvaluated`."""
    table, groups = drawn(evidence, dataset, [column], most)
    if file_type(table[column].type) != "string":
        raise NotEvaluated(f"column {column} holds no text", f"data.{dataset}", "Correct gates.drift.texts.")
    return Texts([t or "" for t in table[column].cast(pa.string()).to_pylist()], groups)


def _table(cells: NDArray[np.int64], group: Codes | None, width: int, groups: int = 0) -> Floats:
    """Return counts by group and cell, or by cell alone."""
    if group is None:
        return np.asarray(np.bincount(cells, minlength=width), dtype=np.float64)
    groups = groups or int(group.max()) + 1
    flat = np.bincount(group * width + cells, minlength=groups * width)
    return np.asarray(flat.reshape(-1, width), dtype=np.float64)


def _hashed(side: Texts) -> Floats:
    """(units, CELLS) words of each unit by their hash; a unit is a group, or a row, whose words go together."""
    found = _cells(side.texts, CELLS)
    if side.group is not None:
        by = np.zeros((int(side.group.max()) + 1, CELLS))
        np.add.at(by, side.group, found)
        found = by
    return np.asarray(found[found.sum(axis=1) > 0])


def _cells(texts: Sequence[str], cells: int) -> Floats:
    """(n, cells) how often words of each hash stand in a row."""
    listed = [words_of(text) for text in texts]
    row = np.repeat(np.arange(len(texts)), [len(words) for words in listed])
    cell = np.array([zlib.crc32(word.encode()) % cells for words in listed for word in words], dtype=np.int64)
    return _table(cell, row, cells, len(texts))


def _vocabularies(before: Texts, after: Texts) -> tuple[Vocabulary, Vocabulary]:
    """Return the different words of the rows of each side, by codes that both share."""
    codes: dict[str, int] = {}
    found = []
    for side in (before, after):
        listed = [list(dict.fromkeys(words_of(text))) for text in side.texts]
        row = np.repeat(np.arange(len(listed)), [len(words) for words in listed])
        word = np.array([codes.setdefault(w, len(codes)) for words in listed for w in words], dtype=np.int64)
        found.append(Vocabulary(word, row, np.arange(len(listed)) if side.group is None else side.group))
    return found[0], found[1]


def _languages(before: Texts, after: Texts) -> tuple[Floats, Floats]:
    """Return rows of both sides by language: the commonest of the reference, any other, and too short to tell."""
    named = [[language(text) for text in side.texts] for side in (before, after)]
    common = [name for name, _ in Counter(n for n in named[0] if n).most_common(LANGUAGES)]
    cell = {name: number for number, name in enumerate(["", *common])}
    one, other = (
        _table(np.array([cell.get(n, len(cell)) for n in names]), side.group, len(cell) + 1)
        for names, side in zip(named, (before, after), strict=True)
    )
    return one, other


def _features(texts: Sequence[str]) -> Floats:
    """(n, FEATURES + 1) how often words of each hash stand in a row, and its length."""
    return np.column_stack([_cells(texts, FEATURES), [len(text) for text in texts]])
