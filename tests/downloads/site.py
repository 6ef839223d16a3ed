"""A model site on this machine that speaks Hugging Face's and Civitai's API, and misbehaves where a test wants it."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Hosted:
    """A file as the site has it. `cut` ends each answer after so many bytes, `busy` answers 503 so many times first."""

    data: bytes
    sha256: str | None = None
    size: int | None = None
    cut: int = 0
    busy: int = 0
    html: bool = False
    ranges: bool = True
    redirect: str = ""
    token: str = ""
    etag: str = ""
    extra: bytes = b""
    chunked_pause: threading.Event | None = None
    ranges_wanted: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    @property
    def mark(self) -> str:
        return self.etag or f'"{hashlib.sha256(self.data).hexdigest()[:16]}"'


@dataclass
class Site:
    """The site's address, its files by repository and path, and its answers about Civitai's versions and models."""

    url: str
    files: dict[str, Hosted] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def put(self, path: str, hosted: Hosted) -> Hosted:
        """Host a file under `repository/path`, or under any path that begins with a slash."""
        self.files[path] = hosted
        return hosted


@contextmanager
def model_site() -> Iterator[Site]:
    """A site that runs while the context does."""
    site = Site("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *given: object) -> None:
            """Nothing to the console."""

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            site.calls.append(self.path)
            if path in site.answers:
                return self._json(site.answers[path])
            if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/tree/[^/]+(/.*)?", path):
                below = (found[2] or "/")[1:]
                return self._tree(found[1], below)
            if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
                path = f"{found[1]}/{found[2]}"
            hosted = site.files.get(path)
            return self._plain(404, b"") if hosted is None else self._file(hosted)

        def _tree(self, repository: str, below: str) -> None:
            listed = [
                {
                    "type": "file",
                    "path": path.removeprefix(f"{repository}/"),
                    "size": len(one.data) if one.size is None else one.size,
                    "lfs": {
                        "oid": hashlib.sha256(one.data).hexdigest() if one.sha256 is None else one.sha256,
                        "size": len(one.data) if one.size is None else one.size,
                    },
                }
                for path, one in site.files.items()
                if path.startswith(f"{repository}/") and path.removeprefix(f"{repository}/").startswith(below)
            ]
            return self._json(listed) if listed else self._plain(404, b"")

        def _json(self, value: object) -> None:
            self._plain(200, json.dumps(value).encode(), "application/json")

        def _plain(self, status: int, data: bytes, kind: str = "text/plain", **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(data)

        def _file(self, hosted: Hosted) -> None:
            hosted.ranges_wanted.append(self.headers.get("Range", ""))
            hosted.tokens.append(self.headers.get("Authorization", ""))
            if hosted.token and self.headers.get("Authorization") != f"Bearer {hosted.token}":
                return self._plain(401, b"gated")
            if hosted.busy:
                hosted.busy -= 1
                return self._plain(503, b"", Retry_After="0")
            if hosted.redirect:
                return self._plain(302, b"", Location=hosted.redirect)
            if hosted.html:
                return self._plain(200, b"<!doctype html><p>Log in</p>", "text/html; charset=utf-8")
            start, whole = 0, len(hosted.data)
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if wanted and hosted.ranges and self.headers.get("If-Range", hosted.mark) == hosted.mark:
                start = int(wanted[1])
                if start >= whole:
                    return self._plain(416, b"", Content_Range=f"bytes */{whole}")
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(whole - start + len(hosted.extra)))
            self.send_header("ETag", hosted.mark)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
            self.end_headers()
            rest = hosted.data[start:] + hosted.extra
            half = hosted.cut or len(rest)
            self.wfile.write(rest[:half])
            self.wfile.flush()
            if hosted.chunked_pause is not None:
                hosted.chunked_pause.wait(20)
                self.wfile.write(rest[half:])
            elif half < len(rest):
                self.close_connection = True
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
