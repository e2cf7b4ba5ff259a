"""Texts in MLflow's search language, which has two quotation marks and no escape (mlflow/utils/search_utils.py)."""

from __future__ import annotations

from collections.abc import Mapping


def literal(text: str) -> str | None:
    """Return a text in quotation marks; None for one that holds both kinds, which cannot be written.

    >>> literal("it's late"), literal("plain"), literal("it's \\"late\\"")
    ('"it\\'s late"', "'plain'", None)
    """
    if "'" not in text:
        return f"'{text}'"
    return None if '"' in text else f'"{text}"'


def tags_are(tags: Mapping[str, str]) -> str:
    """Return a query for runs with these tags. Where a text cannot be written, any letter stands for its quotation
    marks: whoever asks looks at what is found.

    >>> tags_are({"weighin.model": "fraud", "n": "it's \\"late\\""})
    "tags.`weighin.model` = 'fraud' and tags.`n` LIKE 'it_s _late_'"
    """
    parts = []
    for name, value in tags.items():
        written = literal(value)
        loose = value.replace("'", "_").replace('"', "_")
        parts.append(f"tags.`{name}` = {written}" if written else f"tags.`{name}` LIKE '{loose}'")
    return " and ".join(parts)
