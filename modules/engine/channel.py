"""The engine's end of the line to the server: frames in, frames out, from any thread."""

from __future__ import annotations

import os
import threading
from multiprocessing.connection import Client, Connection
from typing import Protocol

from modules.protocol import AUTHKEY_VARIABLE, decode, encode
from modules.protocol.messages import Message


class Closed(Exception):
    """The server is gone: there is nobody left to make pictures for."""


class Emit(Protocol):
    """Somewhere an event can be sent to."""

    def __call__(self, event: Message) -> None: ...


class Channel:
    """A connection to the server. Sending is serialised, because previews and pictures come from other threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sending = threading.Lock()

    def receive(self) -> Message:
        """The next command. Raises Closed when the server has hung up."""
        try:
            return decode(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise Closed from error

    def emit(self, event: Message) -> None:
        """Send one event. Raises Closed when the server has hung up."""
        try:
            with self._sending:
                self._connection.send_bytes(encode(event))
        except OSError as error:
            raise Closed from error


def connect(address: str) -> Channel:
    """Call the server at `address`, `host:port` or a socket path, with the key it put into our environment."""
    key = bytes.fromhex(os.environ.pop(AUTHKEY_VARIABLE))
    host, separator, port = address.rpartition(":")
    target = (host, int(port)) if separator and port.isdigit() else address
    return Channel(Client(target, authkey=key))
