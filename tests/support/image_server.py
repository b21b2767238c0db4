# SPDX-License-Identifier: Apache-2.0
"""A server of files by HTTP that can do what servers should not: break off, lie, dawdle, and change its mind."""

from __future__ import annotations

import contextlib
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Served:
    """What stands at one path. Each knob is one way to go wrong."""

    data: bytes = b""
    status: int = 200
    tag: str | None = '"1"'
    ranges: bool = True
    heeds_if_range: bool = True
    # How many bytes of a body are sent before the connection is closed; one for each request, the last for all others.
    breaks_after: list[int | None] = field(default_factory=lambda: [None])
    # What the server says is the length, or the place in Content-Range.
    length: int | None = None
    content_range: str | None = None
    location: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    # Called before a body is sent, and with the bytes sent so far between its parts.
    before: Callable[[], object] | None = None
    between: Callable[[int], object] | None = None
    part: int = 64 << 10


@dataclass
class Asked:
    path: str
    headers: dict[str, str]


class ImageServer:
    """Serves `files` on this host, and notes in `asked` what was asked for."""

    def __init__(self, certificate: Path | None) -> None:
        self.files: dict[str, Served] = {}
        self.asked: list[Asked] = []
        self.sent = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError):  # a client that does not like the certificate
                    super().handle()

            def do_GET(self) -> None:
                with contextlib.suppress(OSError):
                    server._answer(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # The handshake is made by the thread of the connection.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{self._server.server_address[1]}/"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def asked_for(self, path: str) -> list[dict[str, str]]:
        return [asked.headers for asked in self.asked if asked.path == path]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.lstrip("/")
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.asked.append(Asked(path, headers))
        served = self.files.get(path)
        handler.close_connection = True
        if served is None:
            handler.send_error(404)
            return
        breaks_after = served.breaks_after[0] if len(served.breaks_after) == 1 else served.breaks_after.pop(0)
        data, status, begin = served.data, served.status, 0
        asked = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
        is_same = headers.get("if-range") in (None, served.tag) or not served.heeds_if_range
        if status == 200 and asked and served.ranges and is_same:
            begin = int(asked[1])
            status = 206 if begin < len(data) else 416
        handler.send_response(status)
        if status == 206:
            told = served.content_range or f"bytes {begin}-{len(data) - 1}/{len(data)}"
            handler.send_header("Content-Range", told)
            data = data[begin:]
        if status == 416:
            data = b""
        handler.send_header("Content-Length", str(len(data) if served.length is None else served.length))
        if served.tag:
            handler.send_header("ETag", served.tag)
        if served.location is not None:
            handler.send_header("Location", served.location)
        for name, value in served.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if served.before is not None:
            served.before()
        end = len(data) if breaks_after is None else min(breaks_after, len(data))
        for place in range(0, end, served.part):
            handler.wfile.write(data[place : min(place + served.part, end)])
            self.sent += min(place + served.part, end) - place
            if served.between is not None:
                served.between(min(place + served.part, end))


@contextlib.contextmanager
def image_server(certificate: Path | None = None) -> Iterator[ImageServer]:
    """The server, by https if it has a file with a key and its certificate."""
    server = ImageServer(certificate)
    try:
        yield server
    finally:
        server.close()
