"""A program for tests: a tiny application on an inherited socket, served by our worker's server or by plain uvicorn.

python draining_server.py ours|plain asyncio|uvloop FD STATE GRACE
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn

from weighin.serving.worker import ClosingAnswers, DrainingServer


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer each request with the process's number, after as many seconds as the path says."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                (Path(sys.argv[4]) / "application-ended").touch()
                return
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await asyncio.sleep(float(scope["path"].lstrip("/") or 0))
    body = str(os.getpid()).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    kind, loop, descriptor, state, grace = sys.argv[1:]
    listening = socket.socket(fileno=int(descriptor))
    if kind == "ours":
        answers = ClosingAnswers(application)
        config = uvicorn.Config(answers, loop=loop, log_level="warning", timeout_graceful_shutdown=1)
        DrainingServer(config, listening, answers, Path(state), float(grace)).run()
    else:
        config = uvicorn.Config(application, loop=loop, log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])
