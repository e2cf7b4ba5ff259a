"""Every test here may have a log in each kind of place."""

from support.log_places import add, label, server, sink, tables

__all__ = ["add", "label", "server", "sink", "tables"]
