"""An event loop for measuring. Standard library only: the small servers of the tests load this file by its path."""

from __future__ import annotations

import asyncio
import select
import selectors
import sys

if sys.platform == "linux":

    class _PreciseSelector(selectors.EpollSelector):
        """epoll waits in whole milliseconds, rounded up; `select` on epoll's own descriptor waits in microseconds."""

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if timeout is not None and timeout > 0:
                select.select([self], [], [], timeout)
                timeout = 0
            return super().select(timeout)


def precise_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop whose timers are exact to about a tenth of a millisecond."""
    return asyncio.SelectorEventLoop(_PreciseSelector() if sys.platform == "linux" else None)
