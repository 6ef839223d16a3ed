"""--subpath: the server behind a reverse proxy, which may pass the prefix on or take it off."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class Subpath:
    """ASGI middleware: puts the prefix back where the proxy took it off, as Starlette's mounts expect it."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app = app
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and not self._has_prefix(scope["path"]):
            raw = scope.get("raw_path")
            raw = raw if raw is None else self.prefix.encode() + raw
            scope = {**scope, "path": self.prefix + scope["path"], "raw_path": raw}
        await self.app(scope, receive, send)

    def _has_prefix(self, path: str) -> bool:
        return path == self.prefix or path.startswith(f"{self.prefix}/")


def prefix_of(subpath: str | None) -> str:
    """--subpath as it stands before a path: "/sd", or nothing."""
    name = (subpath or "").strip("/")
    return f"/{name}" if name else ""
