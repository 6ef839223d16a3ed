"""A real server process for tests: started on a port of its choice, killed, started again on the same port and data."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.server.forked import ROOT, Forked, start_module

__all__ = ["ROOT", "Server"]

# A machine that runs other tests beside this one needs a minute to import what takes two seconds alone.
START_SECONDS = 180


class Server:
    """`python -m <module>` with its own data folder. Use as a context manager.

    It is forked from a process that has imported Gradio and torch; `fresh` starts an interpreter instead.
    """

    def __init__(
        self,
        data_dir: Path,
        *flags: str,
        module: str = "tests.page.fakes",
        env: Mapping[str, str] | None = None,
        fresh: bool = False,
    ) -> None:
        self.data_dir = data_dir
        self.flags = flags
        self.module = module
        self.env = dict(env or {})
        self.fresh = fresh
        # 0 until the first start: the system chooses, and a later start takes the same one again.
        self.port = 0
        self.process: Forked | subprocess.Popen[bytes] | None = None
        self.log = data_dir / "server.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait for the first answer."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        arguments = ["--port", str(self.port), "--data-dir", str(self.data_dir), *self.flags]
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "PYTHONUNBUFFERED": "1", **self.env}
        before = self.log.stat().st_size if self.log.exists() else 0
        self.process = start_module(self.module, arguments, environment, self.log, self.fresh)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.log.read_text()}")
            # In the log, as a person learns it.
            said = re.search(rb"Running on local URL: +https?://[^/]*:(\d+)", self._log_from(before))
            if said:
                self.port = int(said[1])
                with contextlib.suppress(OSError):
                    self.request("GET", "/")
                    return
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"the server did not answer:\n{self.log.read_text()}")

    def _log_from(self, position: int) -> bytes:
        return self.log.read_bytes()[position:] if self.log.exists() else b""

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
