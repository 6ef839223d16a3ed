"""Requests to the model sites: whose certificates, proxies and addresses are looked at before anything is sent.

httpx, which Gradio brings, because it knows proxies of the environment and checks certificates; huggingface_hub would
serve one site only and is switched off in this process, which must never look for anything by itself.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from modules.downloads.errors import ConnectionLost, DownloadError
from modules.downloads.public_addresses import is_public
from modules.version import VERSION

REDIRECTS: Final = 8
LARGEST_ANSWER: Final = 16 * 2**20
_TIMEOUT: Final = httpx.Timeout(30.0, read=60.0)
# The bytes as they are stored: a length that was announced, and a part that was wanted, are those of the file.
_HEADERS: Final = {"User-Agent": f"stable-diffusion-webui/{VERSION}", "Accept-Encoding": "identity"}
_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_MOVED: Final = frozenset({301, 302, 303, 307, 308})


def _resolve(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(frozen=True, slots=True)
class Web:
    """Opens addresses. `trusted` are the sites that the person configured, as scheme and host; the others have to be
    https and public. `token_for` gives the token that a site's own host, and no other, is sent."""

    trusted: frozenset[str] = frozenset()
    token_for: Callable[[str], str] = lambda host: ""
    resolve: Callable[[str, int], list[str]] = _resolve
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=_TIMEOUT, follow_redirects=False))

    @contextlib.contextmanager
    def open(self, address: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Response]:
        """The answer at `address` behind all redirects, its body not yet read.

        Raises:
            DownloadError: the address may not be fetched, or the server refuses.
            ConnectionLost: no answer, or the server is busy.
        """
        for _ in range(REDIRECTS + 1):
            origin = self._checked(address)
            sent = _HEADERS | dict(headers or {})
            if token := self.token_for(origin):
                sent["Authorization"] = f"Bearer {token}"
            try:
                answer = self.client.send(self.client.build_request("GET", address, headers=sent), stream=True)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise ConnectionLost(f"{_host(address)} can't be reached: {_reason(error)}") from error
            try:
                if answer.status_code in _MOVED and (further := answer.headers.get("location")):
                    address = urljoin(address, further)
                    continue
                _check_status(answer, address)
                yield answer
                return
            finally:
                answer.close()
        raise DownloadError(f"{_host(address)} sends from one address to the next without end.")

    def json(self, address: str) -> object:
        """The JSON at `address`. Raises DownloadError, also for what is no JSON, and ConnectionLost."""
        try:
            return json.loads(self.read(address, LARGEST_ANSWER))
        except (ValueError, RecursionError) as error:
            raise DownloadError(f"{_host(address)} answers with something that is no list of files.") from error

    def read(self, address: str, largest: int) -> bytes:
        """At most `largest` bytes at `address`. Raises DownloadError and ConnectionLost."""
        with self.open(address) as answer:
            data = bytearray()
            try:
                for piece in answer.iter_raw():
                    data += piece
                    if len(data) > largest:
                        raise DownloadError(f"The answer of {_host(address)} is too large.")
            except httpx.HTTPError as error:
                raise ConnectionLost(f"{_host(address)} broke off: {_reason(error)}") from error
            return bytes(data)

    def close(self) -> None:
        """Close the connections that are kept open for the next request."""
        self.client.close()

    def _checked(self, address: str) -> str:
        """Scheme and host, once it is clear that they may be reached."""
        try:
            parts = urlsplit(address)
            host, port = (parts.hostname or "").lower(), parts.port
        except ValueError:
            raise DownloadError("The server sends to something that is no address.") from None
        origin = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
        if origin in self.trusted:
            return origin
        if parts.scheme != "https" or not host or parts.username:
            raise DownloadError(f"{host[:80] or 'The server'} is not contacted: files are fetched over https only.")
        proxied = "https" in getproxies() and not proxy_bypass(host)
        if not self._is_public(host, port or 443, proxied=proxied):
            raise DownloadError(f"{host[:80]} is not contacted: it is in the own network, where no model site is.")
        return origin

    def _is_public(self, host: str, port: int, *, proxied: bool) -> bool:
        # A proxy looks names up itself, but a bare address is judged all the same.
        if proxied and not host.replace(".", "").isdigit() and ":" not in host:
            return host != "localhost" and not host.endswith((".localhost", ".local", ".internal"))
        try:
            addresses = self.resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise ConnectionLost(f"{host[:80]} can't be found; check the internet connection") from error
        return bool(addresses) and all(map(is_public, addresses))


def _check_status(answer: httpx.Response, address: str) -> None:
    status, host = answer.status_code, _host(address)
    if status in {200, 206, 416}:
        return
    if status in _BUSY:
        after = answer.headers.get("retry-after", "")
        raise ConnectionLost(f"{host} is busy (it answers {status})", float(after) if after.isdecimal() else 0.0)
    if status in {401, 403}:
        raise DownloadError(
            f"{host} gives this file to known people only: accept its terms on its page there, then enter an access "
            "token of yours under Access tokens."
        )
    if status in {404, 410}:
        raise DownloadError(f"{host} has nothing at this address (it answers {status}): it was moved, or is private.")
    raise DownloadError(f"{host} refuses: it answers {status}.")


def _host(address: str) -> str:
    return (urlsplit(address).hostname or "The server")[:80]


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "it takes too long to answer"
    return str(error)[:160] or "the connection broke"
