"""One line in the log for each API call, with --api-log."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator

from fastapi import Request

log = logging.getLogger(__name__)


async def log_call(request: Request) -> AsyncIterator[None]:
    """A dependency that logs method, path, client and seconds once the call is answered; bodies are never logged."""
    began = time.perf_counter()
    try:
        yield
    finally:
        client = request.client.host if request.client else "unknown"
        seconds = time.perf_counter() - began
        # A path is percent-encoded by the client: repr keeps a line break in it from forging a second line.
        log.info("API %s %r from %s in %.4f s", request.method, request.url.path, client, seconds)
