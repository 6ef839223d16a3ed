"""A real server process for tests: started on a free port, killed, started again on the same port and data."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# A machine that runs other tests beside this one needs a minute to import what takes two seconds alone.
START_SECONDS = 180


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """`python -m <module>` with its own data folder. Use as a context manager."""

    def __init__(
        self, data_dir: Path, *flags: str, module: str = "tests.page.fakes", env: Mapping[str, str] | None = None
    ) -> None:
        self.data_dir = data_dir
        self.flags = flags
        self.module = module
        self.env = dict(env or {})
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None
        self.log = data_dir / "server.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Start and wait for the page; returns the seconds until the port was bound."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", self.module, "--port", str(self.port), "--data-dir", str(self.data_dir)]
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "PYTHONUNBUFFERED": "1", **self.env}
        begun = time.monotonic()
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*command, *self.flags], cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True
            )
        bound = START_SECONDS + 0.0
        while time.monotonic() - begun < START_SECONDS:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log.read_text()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                bound = min(bound, time.monotonic() - begun)
                self.request("GET", "/")
                return bound
            except OSError:
                time.sleep(0.05)
        self.kill()
        raise AssertionError(f"the server did not answer:\n{self.log.read_text()}")

    def cpu_seconds(self) -> float:
        """What the server has computed so far: the start's own cost, however busy the machine is."""
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """As `kill -9` does it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request with exactly these headers; Host may be given."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            sent = {"Host": f"127.0.0.1:{self.port}", **(headers or {})}
            if body is not None:
                sent["Content-Length"] = str(len(body))
            for name, value in sent.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        status, _, body = self.request("GET", path)
        assert status == 200, body
        return json.loads(body)

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
