"""Whether load may be sent to a server that is not ours. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

HOSTS = "WEIGHIN_LOAD_HOSTS"
"""Environment variable, set by the protected environment: hosts to which load may be sent, separated by commas."""
PULL_REQUESTS = ("pull_request", "pull_request_target", "merge_group")


def refusal(url: str, environment: Mapping[str, str]) -> str:
    """Why no load is sent to this address, in a sentence; empty when it may be.

    >>> refusal("http://staging.example.org:8080", {HOSTS: "staging.example.org"})
    ''
    """
    event = environment.get("GITHUB_EVENT_NAME", "")
    if event in PULL_REQUESTS:
        return f"no load is sent to {url} from a {event}: whoever writes one would choose whom it hits"
    allowed = [h.strip().lower() for h in environment.get(HOSTS, "").split(",") if h.strip()]
    host = (urlsplit(url).hostname or "").lower()
    if not host or host not in allowed:
        return f"no load is sent to {host or url}: {HOSTS} does not list it"
    return ""
