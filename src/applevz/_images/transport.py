# SPDX-License-Identifier: Apache-2.0
"""One request by HTTP: redirects, time-outs, and an end from another thread.

It is urllib's, of the standard library: that finds the proxies of the environment and the system's certificates, takes
nothing apart that a server packed, and is there. What it does not have is here: it reads the whole body of a redirect,
knows redirects to FTP, and can be waited for only.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..errors import DownloadError, Error, InvalidArgumentError, make
from .task import Task

__all__ = [
    "WITHOUT_DOWNLOAD", "Response", "UnreachableError", "check_url", "nobody_gives", "redirected", "request",
]  # fmt: skip

_REDIRECTS: Final = 10
_CHUNK: Final = 256 << 10
# A server that sends less than that, over the time that it may be silent, is given up.
_LEAST_BYTES_A_SECOND: Final = 1024
# The ways to an image where a server does not give it. The command line says them in its own words.
WITHOUT_DOWNLOAD: Final = (
    "Without that server: images.of(file) takes an image that is here, images.build_debian() makes a Debian of a "
    "mirror's packages, and images.pull(address, checksum=…) takes the file of a mirror."
)


class UnreachableError(Exception):
    """A server did not give what it was asked for; the text says why. It may have given a part of it."""

    def __init__(self, words: str, is_final: bool = False, is_silent: bool = False) -> None:
        super().__init__(words)
        self.is_final = is_final
        """Whether asking it again is of no use."""
        self.is_silent = is_silent
        """Whether it took its time, so that another one is asked soon."""


def check_url(field: str, url: str) -> str:
    """Raises `InvalidArgumentError` unless that is an address that can be asked by HTTP."""
    try:
        parts = urllib.parse.urlsplit(url)
        is_right = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        parts.port  # noqa: B018  # raises for what is no number
    except ValueError:
        is_right = False
    if not is_right or not url.isascii() or not url.isprintable() or " " in url:
        raise make(
            InvalidArgumentError,
            f"{field} is {url[:200]!r}, which cannot be downloaded from.",
            "It is no address of http or https with a host, and without a user's name.",
            'Give an address like "https://host/folder/disk.qcow2", with all else in it encoded by %.',
        )
    return url


class Response:
    """What a server answers. `read` gives parts of the body, and b"" at its end, which may be too early."""

    def __init__(self, task: Task, response: Any, url: str, silence: float) -> None:
        self.status: int = response.status
        self.url = url
        self._task = task
        self._response = response
        self._silence = silence
        self._window = time.monotonic(), 0

    def header(self, name: str) -> str | None:
        value: str | None = self._response.headers.get(name)
        return value

    @property
    def length(self) -> int | None:
        """The length of the body, if it is told and is a number."""
        value = (self.header("Content-Length") or "").strip()
        return int(value) if value.isascii() and value.isdecimal() and len(value) < 16 else None

    def read(self) -> bytes:
        self._task.check()
        try:
            data: bytes = self._response.read1(_CHUNK)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._task.check()
            if isinstance(error, TimeoutError):
                raise UnreachableError(f"it sent nothing for {self._silence:g} s", is_silent=True) from error
            raise UnreachableError(f"the connection broke: {_words(error)}") from error
        self._task.check()  # its end may be that of the call
        begin, count = self._window
        if time.monotonic() - begin < self._silence:
            self._window = begin, count + len(data)
        elif count < self._silence * _LEAST_BYTES_A_SECOND:
            raise UnreachableError(f"it sent {count} bytes in {self._silence:g} s", is_silent=True)
        else:
            self._window = time.monotonic(), len(data)
        return data


@contextlib.contextmanager
def request(task: Task, url: str, headers: Mapping[str, str], silence: float) -> Iterator[Response]:
    """Asks for an address, and for those that it is redirected to. Raises `UnreachableError`."""
    from .. import __version__

    sent = {"User-Agent": f"applevz/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity", **headers}
    sockets = _Sockets()
    with task.woken_by(sockets.shut_down), contextlib.closing(sockets):
        seen = [url]
        while True:
            answer, target = _ask(task, seen[-1], sent, silence, sockets)
            with contextlib.closing(answer):
                if target is None:
                    encoding = answer.headers.get("Content-Encoding", "identity")
                    if encoding != "identity":
                        raise UnreachableError(f"it sent the encoding {encoding[:40]!r} unasked", is_final=True)
                    yield Response(task, answer, seen[-1], silence)
                    return
            if target in seen:
                raise UnreachableError(f"it redirects in a circle, to {target}", is_final=True)
            if len(seen) > _REDIRECTS:
                raise UnreachableError(f"it redirects more than {_REDIRECTS} times", is_final=True)
            seen.append(target)


def _ask(
    task: Task, url: str, headers: Mapping[str, str], silence: float, sockets: _Sockets
) -> tuple[Any, str | None]:
    """The answer, and where it redirects to. Nothing is read of its body."""
    task.check()
    # Headers may come byte by byte, each in time.
    late = threading.Event()

    def give_up() -> None:
        late.set()
        sockets.shut_down()

    watch = threading.Timer(silence, give_up)
    watch.daemon = True
    watch.start()
    try:
        opener = urllib.request.OpenerDirector()
        opener.add_handler(urllib.request.ProxyHandler())
        opener.add_handler(_HTTPHandler(sockets))
        opener.add_handler(_HTTPSHandler(sockets))
        opener.addheaders = []
        wanted = urllib.request.Request(url, headers=dict(headers))  # noqa: S310  # its scheme was looked at
        answer: Any = opener.open(wanted, timeout=max(task.remaining(silence), 0.001))
    except (OSError, http.client.HTTPException, ValueError) as error:
        task.check()
        is_silent = late.is_set() or isinstance(_cause(error), TimeoutError)
        raise UnreachableError(_words(error), is_silent=is_silent) from error
    finally:
        watch.cancel()
    if answer is None:
        raise UnreachableError(f"nobody serves {url[:200]}", is_final=True)
    if late.is_set():  # the connection's end looks like that of the headers
        answer.close()
        raise UnreachableError(f"it did not answer in {silence:g} s", is_silent=True)
    status = answer.status
    if status in (301, 302, 303, 307, 308):
        try:
            return answer, redirected(url, answer.headers.get("Location"))
        except UnreachableError:
            answer.close()
            raise
    # 416 is of interest: what is asked for behind the end is no error of the server's.
    if status not in (200, 206, 416):
        answer.close()
        reason = http.client.responses.get(status, "")
        is_final = status < 500 and status not in (408, 429)
        raise UnreachableError(f"it answered with the status {status} {reason}".rstrip(), is_final)
    return answer, None


def redirected(url: str, location: str | None) -> str:
    """Where a redirect leads to. Raises `UnreachableError` for one that leads away from HTTP, or to less protection."""
    if not location:
        raise UnreachableError("it redirects to nowhere", is_final=True)
    try:
        target = urllib.parse.urldefrag(urllib.parse.urljoin(url, location.strip())).url
        check_url("location", target)
    except (ValueError, Error):
        words = f"it redirects to {location[:200]!r}, which is no address of http"
        raise UnreachableError(words, is_final=True) from None
    if url.startswith("https:") and not target.startswith("https:"):
        raise UnreachableError(f"it redirects from https to {target}, which anybody could change", is_final=True)
    return target


def _cause(error: Exception) -> Exception:
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        return error.reason
    return error


def _words(error: Exception) -> str:
    error = _cause(error)
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


class _Sockets:
    """The sockets of a request, which another thread may shut down: whoever waits for one then goes on.

    Each is a second descriptor of the socket, since one that is wrapped for TLS gives up its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []

    def connect(self, address: tuple[str, int], timeout: float | None, source: object = None) -> socket.socket:
        """As `socket.create_connection`, but each socket can be shut down while it connects."""
        last: OSError | None = None
        for family, kind, protocol, _, place in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
            try:
                made = socket.socket(family, kind, protocol)
            except OSError as error:
                last = error
                continue
            with self._lock:
                self._sockets.append(made.dup())
            try:
                made.settimeout(timeout)
                made.connect(place)
                return made
            except OSError as error:
                made.close()
                last = error
        raise last or OSError(f"{address[0]} has no address")

    def shut_down(self) -> None:
        with self._lock:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            for one in self._sockets:
                one.close()
            self._sockets.clear()


class _HTTPHandler(urllib.request.HTTPHandler):
    def __init__(self, sockets: _Sockets) -> None:
        super().__init__()
        self._sockets = sockets

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_connections(http.client.HTTPConnection, self._sockets), request)


class _HTTPSHandler(urllib.request.HTTPSHandler):
    def __init__(self, sockets: _Sockets) -> None:
        super().__init__()
        self._sockets = sockets

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_connections(http.client.HTTPSConnection, self._sockets), request)


def _connections(kind: type[http.client.HTTPConnection], sockets: _Sockets) -> Any:
    def make_connection(host: str, **options: Any) -> http.client.HTTPConnection:
        connection = kind(host, **options)
        # Where the standard library has it replaced, too; without it nobody could wake a connection while it is made.
        connection._create_connection = sockets.connect  # type: ignore[attr-defined]
        return connection

    return make_connection


def nobody_gives(what: str, words: list[str]) -> Error:
    """The error for what no server gave: `words` are what each did."""
    return make(
        DownloadError,
        f"{what} cannot be downloaded.",
        "; ".join(words) + ".",
        "Look whether this host reaches the server. What was downloaded is kept, and gone on with by the next call. "
        f"{WITHOUT_DOWNLOAD}",
    )
