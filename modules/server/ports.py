"""The port: bound before anything slow is imported, so that a second start fails at once and says why."""

from __future__ import annotations

import socket
import sys
from typing import Final

# Gradio's habit, and so A1111's: without --port, a taken 7860 is no error and the next free one is used.
TRIES: Final = 100


class PortInUse(RuntimeError):
    """No port could be bound. The message is one sentence for the person who started the server."""


def bind(host: str, port: int, *, fixed: bool) -> socket.socket:
    """A listening socket on `host`; `fixed` says that the person chose exactly this port. Raises PortInUse."""
    for candidate in [port] if fixed else range(port, port + TRIES):
        listener = _listener(host)
        try:
            listener.bind((host, candidate))
        except OSError as error:
            listener.close()
            if fixed:
                raise PortInUse(_sentence(host, port, error)) from error
            continue
        listener.listen(2048)
        return listener
    raise PortInUse(f"No port from {port} to {port + TRIES - 1} on {host} is free: give another one with --port.")


def _listener(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once (TCP_NODELAY) only on sockets that say they are TCP; else an answer's second half waits some
    # 40 ms for the acknowledgement of its first.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":
        # On Windows this option would let two servers share the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return listener


def _sentence(host: str, port: int, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"Port {port} may not be used without more rights: choose one from 1024 up with --port."
    if isinstance(error, socket.gaierror) or "assign" in str(error):
        return f"The address {host} is not one of this machine's: check --server-name."
    return f"Port {port} on {host} is in use, perhaps by another web UI: stop that one or give another --port."
