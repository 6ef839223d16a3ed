"""Pictures named by an address: fetched once, from the place that was checked, and no more than is bearable.

Who can make this server fetch an address can reach what only this server can reach. So names are resolved once and the
connection goes to the address that was checked, redirects are checked anew, and size and time are bounded.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from modules.downloads import is_public
from modules.parameters import RequestError
from modules.version import VERSION

LARGEST_PICTURE: Final = 32 * 2**20
SECONDS: Final = 30.0
REDIRECTS: Final = 5
_CHUNK: Final = 2**16

Resolve = Callable[[str, int], list[str]]
Connect = Callable[[str, int, float], socket.socket]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, in the order of the system."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def connect(address: str, port: int, seconds: float) -> socket.socket:
    return socket.create_connection((address, port), seconds)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches pictures over http(s). `resolve` and `connect` are arguments so that tests need no network."""

    allow_local: bool = False
    user_agent: str = ""
    resolve: Resolve = resolve
    connect: Connect = connect
    largest: int = LARGEST_PICTURE
    seconds: float = SECONDS

    def __call__(self, url: str, what: str) -> bytes:
        """The bytes at `url`. Raises RequestError naming `what`, with why."""
        for _ in range(REDIRECTS + 1):
            parts = _checked(url, what)
            try:
                answer = self._get(parts, what)
            except (OSError, http.client.HTTPException) as error:
                raise RequestError(f"{what} can't be fetched: {_reason(error)}.") from error
            if isinstance(answer, bytes):
                return answer
            url = urljoin(url, answer)
        raise RequestError(f"{what} can't be fetched: it is redirected more than {REDIRECTS} times.")

    def _get(self, parts: SplitResult, what: str) -> bytes | str:
        """The body at an address, or where it redirects to."""
        with self._connection(parts, what) as connection:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            agent = self.user_agent or f"stable-diffusion-webui/{VERSION}"
            connection.request("GET", path, headers={"User-Agent": agent, "Accept": "image/*"})
            answer = connection.getresponse()
            location = answer.getheader("Location")
            if answer.status in {301, 302, 303, 307, 308} and location:
                return location
            if answer.status != 200:
                raise RequestError(f"{what} can't be fetched: the server answered {answer.status}.")
            return self._body(answer, what)

    @contextlib.contextmanager
    def _connection(self, parts: SplitResult, what: str) -> Iterator[http.client.HTTPConnection]:
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        lines = [self.connect(self._address(host, port, what), port, self.seconds)]
        # A socket's own timeout begins anew with every byte; this one ends a server that drips.
        watch = threading.Timer(self.seconds, _hang_up, (lines,))
        watch.daemon = True
        watch.start()
        try:
            if parts.scheme == "https":
                secure = ssl.create_default_context().wrap_socket(
                    lines[0], server_hostname=host, do_handshake_on_connect=False
                )
                lines.append(secure)
                secure.do_handshake()
            connection = http.client.HTTPConnection(host, port)
            connection.sock = lines[-1]
            yield connection
        finally:
            watch.cancel()
            lines[-1].close()

    def _address(self, host: str, port: int, what: str) -> str:
        addresses = self.resolve(host, port)
        if not addresses:
            raise RequestError(f"{what} can't be fetched: {host[:80]!r} has no address.")
        if not self.allow_local and not all(is_public(address) for address in addresses):
            raise RequestError(f"{what} can't be fetched: {host[:80]!r} is in the own network, which is not allowed.")
        return addresses[0]

    def _body(self, answer: http.client.HTTPResponse, what: str) -> bytes:
        too_large = f"{what} can't be fetched: it is larger than {self.largest // 2**20} MiB."
        if (answer.length or 0) > self.largest:
            raise RequestError(too_large)
        data = bytearray()
        while chunk := answer.read(_CHUNK):
            data += chunk
            if len(data) > self.largest:
                raise RequestError(too_large)
        if answer.length:
            raise RequestError(f"{what} can't be fetched: the connection ended too early.")
        return bytes(data)


class FetchSome:
    """A fetcher for one request: it may name only so many addresses, for each may hold a thread for SECONDS."""

    def __init__(self, fetcher: Fetcher, most: int = 8) -> None:
        self._fetcher = fetcher
        self._most = self._left = most

    def __call__(self, url: str, what: str) -> bytes:
        if self._left == 0:
            raise RequestError(f"{what}: at most {self._most} pictures of one request may be addresses.")
        self._left -= 1
        return self._fetcher(url, what)


def _checked(url: str, what: str) -> SplitResult:
    if any(ord(character) <= 32 or ord(character) > 126 for character in url) or len(url) > 8000:
        raise RequestError(f"{what} is no address that can be fetched.")
    try:
        parts = urlsplit(url)
        fine = parts.scheme in {"http", "https"} and parts.hostname and not parts.username and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise RequestError(f"{what} is no http(s) address that can be fetched.")
    return parts


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "the server took too long"
    return str(error.strerror if isinstance(error, OSError) and error.strerror else error)[:200] or "no answer"


def _hang_up(lines: list[socket.socket]) -> None:
    """End the line that is in use; a response holds it too, so that closing alone would not."""
    with contextlib.suppress(OSError):
        lines[-1].shutdown(socket.SHUT_RDWR)
