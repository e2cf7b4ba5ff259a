"""A team's own server, in the standard library: `own_server.py PORT MODE`. It answers with the first feature of a row.

Modes: right, dies (at the 20th request), leaks (1 MB a request), sick (never ready), slow (0.4 s), one (one row only).
"""

from __future__ import annotations

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODE = sys.argv[-1]
HELD: list[bytes] = []
ASKED = [0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.reply(503 if MODE == "sick" else 200)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        ASKED[0] += 1
        if MODE == "dies" and ASKED[0] == 20:
            print("out of luck", file=sys.stderr, flush=True)
            os._exit(3)
        if MODE == "leaks":
            HELD.append(os.urandom(2**20))
        if MODE == "slow":
            time.sleep(0.4)
        try:
            rows = [float(row["row"]) for row in json.loads(body)["inputs"]["rows"]]
        except (ValueError, KeyError, TypeError):
            self.reply(422)
            return
        self.reply(200, json.dumps({"data": [{"outputs": rows}]}).encode())

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = False


if __name__ == "__main__":
    print("serving", flush=True)
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
