"""Headers for a server that runs already and asks who is there: from the environment, and never shown.

They are sent to the address that the contract names (`server: {url: ...}`) and to no other: a server that was started
for the candidate runs the candidate's code, which must not read them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping

from weighin.errors import NotEvaluated
from weighin.runner.plan import LoadPlan

TOKEN, HEADERS = "WEIGHIN_SERVER_TOKEN", "WEIGHIN_SERVER_HEADERS"
"""Variables: a bearer token; a JSON object of headers."""
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110, 5.6.2."""
_VALUE = re.compile(r"[\x20-\x7e\t]*")
OURS = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "accept", "expect"})


def headers_for(url: str, plan: LoadPlan, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return lines of a request's head, for the server of the contract's `url`; none for others.

    Errors: `NotEvaluated` for what is no header. The texts are not shown.
    """
    if not plan.url or url != plan.url:
        return ()
    found = _named(environment.get(HEADERS, "").strip())
    token = environment.get(TOKEN, "").strip()
    if token:
        found["Authorization"] = f"Bearer {token}"
    for name, value in found.items():
        variable = TOKEN if token and name == "Authorization" else HEADERS
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise NotEvaluated("it holds what no header may hold", variable, "Write one line of ASCII for each header.")
        if name.casefold() in OURS:
            raise NotEvaluated(f"`{name}` is set by the load generator", variable, "Leave it out.")
    return tuple(f"{name}: {value}" for name, value in found.items())


def _named(text: str) -> dict[str, str]:
    """Return the headers of a JSON object. Errors: `NotEvaluated`."""
    remedy = 'Write {"X-Api-Key": "..."}.'
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        # Without its cause: the error of a JSON parser holds the text.
        raise NotEvaluated("no JSON", HEADERS, remedy) from None
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise NotEvaluated("no JSON object of texts", HEADERS, remedy)
    return value
