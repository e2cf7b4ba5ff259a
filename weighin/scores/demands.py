"""What a contract demands of each answer: texts that it holds, a pattern, a JSON schema, documents that it names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weighin.scores.style import json_of

if TYPE_CHECKING:
    # Every command reads a contract, and few contracts need these.
    import jsonschema_rs

Floats = NDArray[np.float64]
Texts = Sequence[str]


class Unscored(ValueError):
    """Why nothing can be scored; the message holds nothing of a text."""


def contains(answers: Texts, wanted: Sequence[str], *, every: bool) -> Floats:
    """1 where an answer holds one of the texts (all of them where `every`), in any case, else 0."""
    of = all if every else any
    lowered = [w.casefold() for w in wanted]
    return np.array([of(w in a for w in lowered) for a in (a.casefold() for a in answers)], dtype=np.float64)


def matches(answers: Texts, pattern: str) -> Floats:
    """1 where a part of an answer matches a regular expression, else 0. RE2: in time linear in the answer's length.

    Errors: `Unscored` for a pattern that RE2 does not read.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        found = pc.match_substring_regex(pa.array(answers, pa.large_string()), pattern)
    except pa.ArrowInvalid as error:
        said = "no regular expression that RE2 reads: it knows no look-around and no back-references"
        raise Unscored(said) from error
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.float64)


def json_schema(answers: Texts, schema: Mapping[str, object]) -> Floats:
    """1 where an answer is JSON that a JSON Schema allows, else 0. Errors: as for `schema_of`."""
    form = schema_of(schema)

    def fits(answer: str) -> bool:
        found = json_of(answer)
        return found is not None and bool(form.is_valid(found[0]))

    return np.array([fits(a) for a in answers], dtype=np.float64)


def schema_of(schema: Mapping[str, object]) -> jsonschema_rs.Validator:
    """Return what compares values with a JSON Schema.

    Errors: `Unscored` for what is no schema, or refers to another one.
    """

    import jsonschema_rs

    def refuse(uri: str) -> Any:
        raise ValueError(uri)

    try:
        return jsonschema_rs.validator_for(dict(schema), retriever=refuse)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise Unscored("no JSON Schema by itself") from error


def retrieval(answers: Texts, references: Texts, kind: str, k: int) -> Floats:
    """How well the first `k` documents of an answer are those of its reference, in [0, 1].

    answers, references  JSON lists of names of documents, the best first; the order of a reference does not count
    kind   `precision` (of k, also where fewer were named), `recall`, `ndcg` (each relevant document counts the same;
           Jarvelin and Kekalainen 2002), `reciprocal_rank` of the first relevant one
    An answer that is no such list scores 0; a document that is named twice counts once.
    Errors: `Unscored` where a reference is no such list, or is empty.

    >>> retrieval(['["a", "b"]'], ['["b"]'], "reciprocal_rank", 5).tolist()
    [0.5]
    """
    of: Mapping[str, Callable[[list[bool], int], float]] = {
        "precision": lambda hits, _: sum(hits) / k,
        "recall": lambda hits, relevant: sum(hits) / relevant,
        "ndcg": lambda hits, relevant: _gain(hits) / _gain([True] * min(k, relevant)),
        "reciprocal_rank": lambda hits, _: 1 / (hits.index(True) + 1) if any(hits) else 0.0,
    }
    values = []
    for answer, reference in zip(answers, references, strict=True):
        relevant = names(reference)
        if not relevant:
            raise Unscored("a reference is no JSON list of names")
        ranked = names(answer) or []
        values.append(of[kind]([n in relevant for n in ranked[:k]], len(relevant)))
    return np.array(values, dtype=np.float64)


def _gain(hits: Sequence[bool]) -> float:
    return sum(1 / math.log2(rank + 2) for rank, hit in enumerate(hits) if hit)


def names(text: str) -> list[str] | None:
    """Return the different names of a JSON list of texts or whole numbers, in order; None where it is none.

    >>> names('["a", 1, "a"]'), names("a")
    (['a', '1'], None)
    """
    found = json_of(text)
    if found is None or not isinstance(found[0], list):
        return None
    if not all(isinstance(n, (str, int)) and not isinstance(n, bool) for n in found[0]):
        return None
    return list(dict.fromkeys(str(n) for n in found[0]))
