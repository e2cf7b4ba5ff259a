"""What a run said, as Prometheus reads it: a text, in a file for node_exporter or pushed to a Pushgateway.

Whatever goes wrong here is returned in words, and stops nothing.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import threading
import urllib.error
import urllib.parse
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import basic_auth_handler, default_handler, push_to_gateway

from weighin.errors import without_password
from weighin.monitor.result import EXIT_CODES
from weighin.outcome import Status
from weighin.untrusted import JsonObject

PREFIX = "weighin_monitor_"
SECONDS = 10
"""That a Pushgateway has, all in all."""


def exposition(document: JsonObject) -> str:
    """Return the metrics of a run, in the text format.

    document  as `weighin.monitor.result.document` makes it
    What was not measured has no value, which is not the same as zero; an end of an interval may be infinite.
    """
    return generate_latest(_Collected(document)).decode()


class _Collected:
    """A registry that holds one run."""

    def __init__(self, document: JsonObject) -> None:
        self._document = document

    def collect(self) -> Iterator[Metric]:
        document = self._document
        own = {"model": str(document["model"]), "version": str(document["version"])}

        def gauge(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(PREFIX + name, help_text, labels=[*own, *labels])

        def one(name: str, help_text: str, value: float) -> GaugeMetricFamily:
            family = gauge(name, help_text)
            family.add_metric([*own.values()], value)
            return family

        moment = datetime.fromisoformat(document["timestamp"]).timestamp()
        yield one("last_run_timestamp_seconds", "When the last run was.", moment)
        yield one("last_run_duration_seconds", "How long the last run took.", float(document["seconds"]))
        states = gauge("state", "1 for the state that the last run found.", "state")
        for state in EXIT_CODES:
            states.add_metric([*own.values(), state], float(state == document["state"]))
        yield states
        codes = EXIT_CODES[document["state"]]
        yield one("exit_code", "The exit code of the last run: 0 ok, 1 alarm, 6 inconclusive, 7 no data.", codes)
        yield from self._checks(own)
        yield from self._events(own)

    def _checks(self, own: Mapping[str, str]) -> Iterator[Metric]:
        def family(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
            return GaugeMetricFamily(PREFIX + name, help_text, labels=[*own, "check", *labels])

        values = {
            "estimate": family("check_estimate", "What was measured."),
            "low": family("check_low", "Lower end of its interval."),
            "high": family("check_high", "Upper end of its interval."),
        }
        limits = family("check_limit", "What the contract allows.")
        statuses = family("check_status", "1 for what was decided in the newest window.", "status")
        alarms = family("alarm_open", "1 where an alarm is open.")
        opened = set(self._document["alarms"])
        for check in self._document["checks"]:
            labels = [*own.values(), str(check["check"])]
            for end, metric in values.items():
                if end in check["evidence"]:
                    metric.add_metric(labels, float(check["evidence"][end]))
            limits.add_metric(labels, float(check["limit"]["value"]))
            for status in Status:
                statuses.add_metric([*labels, status.value], float(status.value == check["status"]))
        # An alarm may be about the log itself, which is no check.
        for name in sorted({str(c["check"]) for c in self._document["checks"]} | opened):
            alarms.add_metric([*own.values(), name], float(name in opened))
        yield from (*values.values(), limits, statuses, alarms)

    def _events(self, own: Mapping[str, str]) -> Iterator[Metric]:
        """Yield the events. The journal is the model's, so its number has no version; each event has its champion's."""
        events = sorted((*self._document["recent"], *self._document["events"]), key=lambda e: int(e["number"]))
        total = CounterMetricFamily(PREFIX + "events", "Events of the model so far.", labels=["model"])
        total.add_metric([own["model"]], float(events[-1]["number"]) if events else 0.0)
        last = GaugeMetricFamily(
            PREFIX + "last_event_timestamp_seconds", "When the newest event of a kind was.", labels=[*own, "kind"]
        )
        for kind, event in {e["kind"]: e for e in events}.items():
            moment = datetime.fromisoformat(event["created"]).timestamp()
            last.add_metric([own["model"], str(event["version"]), str(kind)], moment)
        yield from (total, last)


def write_textfile(path: Path, text: str) -> str:
    """Write the metrics where node_exporter's textfile collector reads `*.prom`; returns what went wrong, or nothing.

    Nobody reads half a file: it is written beside its place and renamed, in a name of this process' own.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        return f"{path}: the metrics were not written ({error.strerror or type(error).__name__})"
    return ""


def push(url: str, document: JsonObject, job: str, seconds: float = SECONDS) -> str:
    """Replace what a Pushgateway holds of this job; returns what went wrong, or nothing.

    url      http(s)://[user:password@]host[:port][/path]; http is what a gateway inside a cluster speaks
    job      one for each model, or they replace each other
    seconds  for all of it, however slowly the gateway answers
    """
    problem = [f"the gateway did not answer within {seconds:g} s"]

    def ask() -> None:
        problem[0] = _put(url, document, job, seconds)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    return f"the metrics were not pushed to {_shown(url)} ({problem[0]})" if problem[0] else ""


def _put(url: str, document: JsonObject, job: str, seconds: float) -> str:
    """Return why it did not succeed, or nothing."""
    try:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return "its address is not http://host or https://host"
        address = urllib.parse.urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        handler = default_handler
        if parts.username is not None:
            user, password = urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
            handler = partial(basic_auth_handler, username=user, password=password)
        # Collectors are what it takes for a registry.
        push_to_gateway(address, job, _Collected(document), timeout=seconds, handler=handler)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read(200).decode("utf-8", "replace")
        return f"it answered {error.code}: {' '.join(''.join(c if c.isprintable() else ' ' for c in text).split())}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return without_password(f"{type(reason).__name__}: {reason}")
    return ""


def _shown(url: str) -> str:
    return without_password(url.split("?")[0])[:200]
