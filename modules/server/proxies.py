"""Reverse proxies before this server: what they say of the browser counts when they are trusted, and only then."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

LOOPBACK_PROXIES: Final = ("127.0.0.1", "::1")
_KEY: Final = "webui.forwarded_hosts"


class TrustedProxies:
    """ASGI middleware around the door: applies X-Forwarded-For, -Proto and -Host of trusted peers.

    uvicorn replaces the peer's address by the browser's, so whether the peer is trusted is decided before that.
    `addresses` are addresses or networks of proxies beside loopback.
    """

    def __init__(self, app: ASGIApp, addresses: str | None = None) -> None:
        named = [address.strip() for address in (addresses or "").split(",") if address.strip()]
        # uvicorn's types of an ASGI application are narrower than Starlette's.
        self._app = ProxyHeadersMiddleware(app, [*LOOPBACK_PROXIES, *named])  # type: ignore[arg-type]  # uvicorn's own ASGI type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            client = scope.get("client")
            trusted = client is not None and client[0] in self._app.trusted_hosts
            listed = Headers(scope=scope).getlist("x-forwarded-host") if trusted else []
            hosts = tuple(host.strip() for line in listed for host in line.split(",") if host.strip())
            scope = {**scope, _KEY: hosts}
        await self._app(scope, receive, send)  # type: ignore[arg-type]  # as above


def forwarded_hosts(scope: Scope) -> tuple[str, ...]:
    """The X-Forwarded-Host of trusted proxies: the name in the browser's address bar first. Empty without a proxy."""
    hosts: tuple[str, ...] = scope.get(_KEY, ())
    return hosts
