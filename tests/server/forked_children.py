"""Children of a server that was forked itself: engines without the seconds that importing torch takes each time.

`ForkingPopen.install()` leaves a copy of this process behind, made before the server has any thread. When the server
then starts `python -m module …`, the copy forks a child that becomes that. It is the server's own child as in life (the
copy forks twice, and the server adopts the orphan), so signals, exit statuses and the parent's death are the real ones.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

_PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 15, 36
_LONGEST_MESSAGE = 1 << 20


class ForkingPopen(subprocess.Popen[bytes]):
    """`subprocess.Popen` for what `EngineProcess` starts: output in a pipe, a session of its own."""

    _line: socket.socket
    _turn: threading.Lock

    def __init__(
        self,
        args: Sequence[str],
        *,
        cwd: Path | None,
        env: Mapping[str, str],
        stdin: int,
        stdout: int,
        stderr: int,
        creationflags: int,
        start_new_session: bool,
    ) -> None:
        if list(args[:2]) != [sys.executable, "-m"]:
            super().__init__(
                args, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=start_new_session
            )
            return
        reading, writing = os.pipe()
        request = pickle.dumps((list(args[2:]), str(cwd or Path.cwd()), dict(env)))
        with self._turn:
            socket.send_fds(self._line, [request], [writing])
            pid = int(self._line.recv(64))
        os.close(writing)
        self._adopt(args, pid, os.fdopen(reading, "rb"))

    def _adopt(self, args: Sequence[str], pid: int, output: IO[bytes]) -> None:
        """What `Popen` notes of a child that it has started."""
        self.args, self.pid, self.returncode = args, pid, None
        self.stdin, self.stdout, self.stderr = None, output, None
        self.universal_newlines = False
        self.encoding = self.errors = None
        notes: dict[str, Any] = {
            "_waitpid_lock": threading.Lock(),
            "_input": None,
            "_communication_started": False,
            "_closed_child_pipe_fds": True,
            "_child_created": True,
            "_sigint_wait_secs": 0.25,
        }
        vars(self).update(notes)

    @classmethod
    def install(cls) -> None:
        """Make this process, a server to be, start its engines so. It must not have a second thread yet."""
        server = os.getpid()
        ours, theirs = _line()
        if os.fork() == 0:
            ours.close()
            _serve(theirs, server)
        theirs.close()
        cls._use(ours)

    @classmethod
    def install_beside(cls) -> None:
        """The same for a process with threads, such as that of the tests: the copy comes from the fork server."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.server.template"])
        ours, theirs = _line()
        context.Process(target=_serve, args=(theirs, os.getpid()), daemon=True).start()
        theirs.close()
        cls._use(ours)

    @classmethod
    def _use(cls, line: socket.socket) -> None:
        import modules.jobs.engine_process as starter

        # Orphans of our descendants become our children.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        cls._line, cls._turn = line, threading.Lock()
        vars(starter)["subprocess"] = _Subprocess()


def _line() -> tuple[socket.socket, socket.socket]:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LONGEST_MESSAGE)
    return ends


class _Subprocess:
    """The module `subprocess` with another `Popen`."""

    Popen = ForkingPopen

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)


def _serve(line: socket.socket, server: int) -> NoReturn:
    """Fork a child for each request until the server hangs up; say its number once the server has adopted it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        request, files, _, _ = socket.recv_fds(line, _LONGEST_MESSAGE, 1)
        if not request:
            os._exit(0)
        between = os.fork()
        if between == 0:
            if os.fork() == 0:
                while os.getppid() != server:
                    os.sched_yield()
                line.send(str(os.getpid()).encode())
                line.close()
                _become(request, files[0])
            os._exit(0)
        os.waitpid(between, 0)
        os.close(files[0])


def _become(request: bytes, output: int) -> NoReturn:
    """What `python -m module …` would have become."""
    status = 1
    try:
        (module, *arguments), folder, environment = pickle.loads(request)
        # What `ps` and /proc/PID/comm show: its command line is that of the process it was forked from.
        ctypes.CDLL(None).prctl(_PR_SET_NAME, module.encode()[:15])
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(nothing)
        os.close(output)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        sys.argv = [module, *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - the end of a process: what happened is in its output
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
