"""Tags as a registry accepts them: keys without `. -`, and long values in parts, where it demands that.

Our keys begin with `weighin.`; what others have tagged is left as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from weighin.registry.stores import Store

OURS, PLAIN = "weighin.", "weighin__"
DOT, DASH = "__", "___"
PART = re.compile(r"(.*)__part([0-9]+)")


def stored_key(key: str, store: Store) -> str:
    """Return the key under which a registry keeps a tag.

    >>> from weighin.registry.stores import UNITY_CATALOG
    >>> stored_key("weighin.holdout-use.result", UNITY_CATALOG)
    'weighin__holdout___use__result'
    """
    if not store.plain_keys or not key.startswith(OURS):
        return key
    return re.sub(r"[^\w]", "_", key.replace("-", DASH).replace(".", DOT))


def stored(tags: Mapping[str, str], store: Store) -> dict[str, str]:
    """Return tags as a registry keeps them: a value that is too long goes on in tags of its own.

    >>> from dataclasses import replace
    >>> from weighin.registry.stores import UNITY_CATALOG
    >>> stored({"weighin.x": "abcde"}, replace(UNITY_CATALOG, value_letters=2))
    {'weighin__x': 'ab', 'weighin__x__part2': 'cd', 'weighin__x__part3': 'e'}
    """
    if not store.plain_keys:
        return dict(tags)
    found, letters = {}, store.value_letters
    for name, value in tags.items():
        key = stored_key(name, store)
        found[key] = value[:letters]
        for number, start in enumerate(range(letters, len(value), letters), 2):
            found[f"{key}__part{number}"] = value[start : start + letters]
    return found


def meant(tags: Mapping[str, str], store: Store) -> dict[str, str]:
    """Return the tags that `stored` made these of; a part without what it goes on from stays a tag of its own."""
    if not store.plain_keys:
        return dict(tags)
    whole = {key: value for key, value in tags.items() if not _is_part(key, tags)}
    for key in list(whole):
        number = 2
        while (part := f"{key}__part{number}") in tags and key.startswith(PLAIN):
            whole[key] += tags[part]
            number += 1
    return {_meant_key(key): value for key, value in whole.items()}


def _is_part(key: str, tags: Mapping[str, str]) -> bool:
    found = PART.fullmatch(key)
    return found is not None and key.startswith(PLAIN) and found[1] in tags


def _meant_key(key: str) -> str:
    return key.replace(DASH, "-").replace(DOT, ".") if key.startswith(PLAIN) else key
