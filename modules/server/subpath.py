"""--subpath: the server behind a reverse proxy, which may pass the prefix on or take it off."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send


class Subpath:
    """ASGI middleware around everything else: requests with the prefix and without it look the same from here on.

    The path carries the prefix, as Starlette's mounts expect it, and `root_path` is the prefix.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self.app = app
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"}:
            scope = {**scope, "root_path": self.prefix}
            if not self._has_prefix(scope["path"]):
                raw = scope.get("raw_path")
                scope["raw_path"] = raw if raw is None else self.prefix.encode() + raw
                scope["path"] = self.prefix + scope["path"]
        await self.app(scope, receive, send)

    def _has_prefix(self, path: str) -> bool:
        return path == self.prefix or path.startswith(f"{self.prefix}/")


def prefix_of(subpath: str | None) -> str:
    """--subpath as it stands before a path: "/sd", or nothing."""
    name = (subpath or "").strip("/")
    return f"/{name}" if name else ""


def path_within(scope: Scope) -> str:
    """The path of a request without the prefix, as routes and limits are declared."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
