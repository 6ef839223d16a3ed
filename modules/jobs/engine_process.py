"""One engine as a child process: started by name, heard on one thread, spoken to from another."""

from __future__ import annotations

import os
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import IO, Final, Protocol

from modules.protocol import AUTHKEY_VARIABLE, DEVICE_LOST, ProtocolError, Shutdown, decode, encode
from modules.protocol.messages import Message

# How long an engine that hung up may take to end before it is killed.
LINGER_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class EngineSaid:
    """Engine number `engine` sent an event."""

    engine: int
    event: Message


@dataclass(frozen=True, slots=True)
class EngineEnded:
    """Engine number `engine` is gone; everything it sent was reported before. `cause` says how, in words."""

    engine: int
    cause: str


EngineNews = EngineSaid | EngineEnded


class EngineHandle(Protocol):
    """Something that runs jobs: commands go in by `send`, news comes by the callback it was launched with."""

    @property
    def pid(self) -> int | None: ...

    def send(self, command: Message) -> None:
        """Hand over a command without waiting for it to arrive."""

    def kill(self) -> None:
        """End it at once. Its `EngineEnded` still comes."""

    def close(self, timeout: float) -> None:
        """Ask it to end, kill it after `timeout` seconds."""


Launch = Callable[[int, Callable[[EngineNews], None]], EngineHandle]


class EngineProcess:
    """A child that runs `command` in `folder`, with the address to call as its last argument.

    `environment` holds for it unless the server's own says otherwise. Raises OSError if it can't be started.
    """

    def __init__(
        self,
        number: int,
        post: Callable[[EngineNews], None],
        command: Sequence[str],
        output: Callable[[IO[bytes]], None],
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._number = number
        self._post = post
        self._key = secrets.token_bytes(32)
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._connected = threading.Event()
        self._socket_folder = _private_folder()
        self._listener = Listener(str(self._socket_folder / "line") if self._socket_folder else None, authkey=self._key)
        try:
            self._process = subprocess.Popen(
                [*command, str(self._listener.address)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**(environment or {}), **os.environ, AUTHKEY_VARIABLE: self._key.hex(), "PYTHONUNBUFFERED": "1"},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                # Ctrl+C in the terminal is for the server, which then ends its engine in good order.
                start_new_session=True,
            )
        except OSError:
            self._stop_listening()
            raise
        assert self._process.stdout is not None
        self._copying = self._thread("output", output, self._process.stdout)
        self._thread("exit", self._release_listener)
        self._hearing = self._thread("events", self._hear)

    @property
    def pid(self) -> int | None:
        return self._process.pid

    def send(self, command: Message) -> None:
        self._outbox.put(encode(command))

    def kill(self) -> None:
        with suppress(OSError):
            self._process.kill()

    def close(self, timeout: float) -> None:
        self.send(Shutdown())
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        self.kill()
        self._hearing.join(LINGER_SECONDS)

    def _thread(self, name: str, target: Callable[..., None], *arguments: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=arguments, name=f"engine-{self._number}-{name}", daemon=True)
        thread.start()
        return thread

    def _hear(self) -> None:
        """Report every event until the engine hangs up, then report how it ended."""
        complaint = None
        connection = self._accept()
        self._stop_listening()
        if connection is not None:
            sending = self._thread("commands", self._speak, connection)
            try:
                complaint = self._receive(connection)
            finally:
                self._outbox.put(None)
                self._await_exit()
                sending.join()
                connection.close()
        self._await_exit()
        # The last lines of output often say why: they are in the log before the end is reported.
        self._copying.join(LINGER_SECONDS)
        self._post(EngineEnded(self._number, complaint or cause_of(self._process.returncode)))

    def _accept(self) -> Connection | None:
        while True:
            try:
                connection = self._listener.accept()
            except (AuthenticationError, EOFError, ConnectionError):
                continue  # Somebody without the key called; ours is still to come.
            except OSError:
                return None
            if self._process.poll() is not None:
                connection.close()
                return None
            self._connected.set()
            return connection

    def _release_listener(self) -> None:
        """Wake the thread that waits in `accept` when the child ends without ever calling."""
        self._process.wait()
        if not self._connected.is_set():
            with suppress(OSError, EOFError, AuthenticationError):
                Client(self._listener.address, authkey=self._key).close()

    def _stop_listening(self) -> None:
        self._listener.close()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)

    def _receive(self, connection: Connection) -> str | None:
        while True:
            try:
                event = decode(connection.recv_bytes())
            except (EOFError, OSError):
                return None
            except ProtocolError as error:
                self.kill()
                return f"it spoke another protocol. {error}"
            self._post(EngineSaid(self._number, event))

    def _speak(self, connection: Connection) -> None:
        while (frame := self._outbox.get()) is not None:
            with suppress(OSError):
                connection.send_bytes(frame)

    def _await_exit(self) -> None:
        try:
            self._process.wait(LINGER_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self._process.wait()


def _private_folder() -> Path | None:
    # A socket in a folder of our own: the file system keeps other users out before the key does.
    # Windows has named pipes instead.
    return None if sys.platform == "win32" else Path(tempfile.mkdtemp(prefix="webui-"))


def cause_of(returncode: int) -> str:
    """How a process ended, in words a person can act on."""
    if returncode == 0:
        return "it ended by itself"
    if returncode == DEVICE_LOST:
        return "the graphics card refused all further work (details in the engine's log)"
    if returncode == -getattr(signal, "SIGKILL", 9):
        return "it was killed (out of memory?)"
    if returncode < 0:
        try:
            name = signal.Signals(-returncode).name
        except ValueError:
            name = f"signal {-returncode}"
        crashed = name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT")
        return f"it crashed in native code ({name})" if crashed else f"it was ended by {name}"
    if returncode >= 0xC0000000:
        return f"it crashed in native code (Windows error 0x{returncode:08X})"
    return f"it ended with exit code {returncode}"
