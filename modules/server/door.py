"""The door: which requests may reach the page and the API at all, decided before any route sees them.

A web page somewhere else can make this browser send requests here, and DNS can be made to point a foreign name at
127.0.0.1. Three checks close that, on every route alike: the Host must be a name of this server, an Origin must be this
server's own or one that was allowed, and a request that the browser itself labels as foreign is refused unless it is a
person following a link. Programs other than browsers send neither Origin nor Sec-Fetch-Site and are not concerned.
"""

from __future__ import annotations

import ipaddress
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modules.server.limits import BodyLimit
from modules.server.proxies import forwarded_hosts
from modules.settings import FlagError

LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# Ends of names that public DNS does not hold, so that no stranger can point one at this server: RFC 6761, 6762, 8375,
# and ICANN's decisions of 2018 (home, corp) and 2024 (internal). "lan" is not reserved, and "fritz.box" was sold once.
PRIVATE_ENDS: Final = ("localhost", "local", "internal", "home.arpa", "home", "corp", "test")
DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}

# Gradio's page needs inline scripts and evaluates the `js=` of events; nothing else may be loaded from other servers.
CONTENT_POLICY: Final = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'self'"
)
HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "SAMEORIGIN",
}


@dataclass(frozen=True, slots=True)
class DoorRules:
    """Who may come in.

    `hosts` are names of this server beside the loopback ones, lower case, without port; one that begins with a dot
    stands for every name that ends so. With `any_private`, every literal IP address is one too, and every name that
    public DNS can't hold: of one word, or below PRIVATE_ENDS. Strangers can point any other name here. `origins` are
    foreign origins that were allowed by name, `origin_pattern` the same as a regular expression for the whole origin.
    """

    hosts: frozenset[str] = frozenset()
    any_private: bool = False
    origins: frozenset[str] = frozenset()
    origin_pattern: re.Pattern[str] | None = field(default=None)

    def refusal(
        self, scope_type: str, method: str, headers: Mapping[str, str], forwarded: Sequence[str] = ()
    ) -> str | None:
        """Why a request may not come in, as one sentence, or None.

        Header names are lower case. `forwarded` are the host names that trusted proxies report, the browser's first.
        """
        host = headers.get("host", "")
        for name in (host, *forwarded):
            if not self.knows_host(name):
                return (
                    f"This server does not answer to the name {_shown(name)}: open the address it printed at start, or "
                    "allow the name with --allowed-hosts."
                )
        origin = headers.get("origin")
        if origin is not None:
            allowed = any(same_origin(origin, name) for name in (host, *forwarded[:1])) or self.allows_origin(origin)
            return None if allowed else f"The page {_shown(origin)} may not use this server: see --cors-allow-origins."
        if _foreign(scope_type, method, headers):
            return "Another web site made this request: this server answers only its own page and programs."
        return None

    def knows_host(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name = host_name(host)
        if name is None:
            return False
        if name in LOOPBACK_NAMES or name in self.hosts or any(name.endswith(end) for end in self._ends()):
            return True
        return self.any_private and (_is_address(name) or is_private_name(name))

    def _ends(self) -> Iterator[str]:
        return (name for name in self.hosts if name.startswith("."))

    def allows_origin(self, origin: str) -> bool:
        """Whether a foreign origin was allowed by a flag."""
        if origin.lower() == "null":
            return False
        return origin in self.origins or (
            self.origin_pattern is not None and self.origin_pattern.fullmatch(origin) is not None
        )


class Door:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, rules: DoorRules) -> None:
        self.app = _with_allowed_origins(BodyLimit(app), rules)
        self.rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        else:
            await _refuse(send, refusal)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        # A second Host or Origin could be read by us one way and by a route another way.
        for name in ("host", "origin"):
            if len(headers.getlist(name)) > 1:
                return f"The request carries more than one {name.title()} header."
        return self.rules.refusal(scope["type"], scope.get("method", "GET"), headers, forwarded_hosts(scope))


def door_rules(
    *,
    server_name: str | None,
    listen: bool,
    allowed_hosts: str | None = None,
    machine_names: Iterable[str] = (),
    origins: str | None = None,
    origin_pattern: str | None = None,
) -> DoorRules:
    """The rules that the network flags ask for; `machine_names` are the host names of this machine.

    Raises FlagError for an entry of `allowed_hosts` that is no name.
    """
    hosts = {server_name.lower().rstrip(".")} if server_name and not _is_wildcard(server_name) else set()
    hosts |= set(_allowed(allowed_hosts or ""))
    open_to_network = listen or bool(server_name)
    if open_to_network:
        hosts.update(name.lower() for name in machine_names)
        hosts.update(f"{name.lower()}.local" for name in machine_names if "." not in name)
    listed = frozenset(origin.strip().rstrip("/") for origin in (origins or "").split(",") if origin.strip())
    return DoorRules(
        hosts=frozenset(hosts),
        any_private=open_to_network,
        # A wildcard would open the door to every page there is; it is not a name.
        origins=listed - {"*"},
        origin_pattern=re.compile(origin_pattern) if origin_pattern else None,
    )


def _allowed(listed: str) -> Iterator[str]:
    """The names of --allowed-hosts: "sd.example.com", or "*.example.com" for every name below that one."""
    for entry in filter(None, (entry.strip().lower() for entry in listed.split(","))):
        below = entry.startswith("*.")
        name = host_name(entry[2:] if below else entry)
        if name is None or "*" in name or (below and _is_address(name)):
            # A star alone would let every page in the world in, by DNS rebinding.
            raise FlagError(
                f"--allowed-hosts: {_shown(entry)} is no host name; name hosts as sd.example.com or *.example.com."
            )
        yield f".{name}" if below else name


def is_private_name(name: str) -> bool:
    """Whether a host name is one that public DNS can't hold: a single word, or below one of PRIVATE_ENDS."""
    return "." not in name or any(name.endswith(f".{end}") for end in PRIVATE_ENDS)


def host_name(host: str) -> str | None:
    """The name in a Host header, lower case, without port and brackets. None when it is no host at all."""
    if not host or any(character in host for character in "/\\@?# "):
        return None
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname.rstrip(".") if parts.hostname else None


def same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header is the server that a Host header names, default ports counted as written out."""
    try:
        parts = urlsplit(origin)
        default = DEFAULT_PORTS.get(parts.scheme)
        if default is None or parts.hostname is None:
            return False
        target = urlsplit(f"//{host}")
        # The scheme may differ behind a proxy that ends TLS, so the port left out of Host is the Origin's own default.
        return (parts.hostname, parts.port or default) == (target.hostname, target.port or default)
    except ValueError:
        return False


def _foreign(scope_type: str, method: str, headers: Mapping[str, str]) -> bool:
    site = headers.get("sec-fetch-site")
    if site is None or site.lower() in {"same-origin", "none"}:
        return False
    follows_link = (
        scope_type == "http"
        and method in {"GET", "HEAD"}
        and headers.get("sec-fetch-mode", "").lower() == "navigate"
        and headers.get("sec-fetch-dest", "").lower() == "document"
    )
    return not follows_link


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_wildcard(name: str) -> bool:
    return name in {"0.0.0.0", "::", "*"}


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


def _with_allowed_origins(app: ASGIApp, rules: DoorRules) -> ASGIApp:
    """Answers for the origins that were allowed: without these headers their browser would not show them an answer."""
    if not rules.origins and rules.origin_pattern is None:
        return app
    return CORSMiddleware(
        app,
        allow_origins=sorted(rules.origins),
        allow_origin_regex=rules.origin_pattern.pattern if rules.origin_pattern else None,
        allow_methods=["*"],
        allow_headers=["*"],
        allow_credentials=True,
    )


def _with_headers(send: Send) -> Send:
    began = time.perf_counter()

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            # Files that people brought have a stricter one.
            headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
            # A1111's clients read how long a call took.
            headers["X-Process-Time"] = f"{time.perf_counter() - began:.6f}"
        await send(message)

    return send_with_headers


async def _refuse(send: Send, sentence: str) -> None:
    body = json.dumps({"detail": sentence}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
