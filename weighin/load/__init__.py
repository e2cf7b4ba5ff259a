"""Open-loop load: every request has its moment, whatever became of the ones before it.

Latency counts from the intended start, so that a server which stalls is charged for everything that queued up
meanwhile (what is left out otherwise is called coordinated omission, after Tene). The generator judges nothing: it
leaves one row per request in `responses-<role>-<start>.arrow`, and says how late it was itself.

    schedule  phases become requests: a moment, rows of the data, a body
    bodies    rows as the body of a request
    credentials  headers for a server that asks who is there
    send      asks a server by that schedule
    replay    asks it logged requests instead, one by one
    answer    what an answer says, or what is wrong with it
    log       the file of what was seen
    locust    the same schedule for tasks of a team's own locustfile
    precise_loop  an event loop whose timers are exact
    no_pandas  a process in which pyarrow does without pandas
"""

from __future__ import annotations

from weighin.load.generate import generate
from weighin.load.log import SCHEMA, LoadLog, read_log
from weighin.load.schedule import Workers

__all__ = ["SCHEMA", "LoadLog", "Workers", "generate", "read_log"]
