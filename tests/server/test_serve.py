"""The server process: its port, its flags, its login, and what it must never import."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from modules.jobs.lock import FolderLock
from modules.jobs.store import JobStore
from modules.server.ports import PortInUse, bind
from modules.server.serve import announcement, bind_address, main
from modules.settings import FlagError, parse_flags
from modules.settings.logins import logins
from tests.amounts import some
from tests.jobs.helpers import eventually
from tests.server.server import ROOT, Server


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_given_port_in_use_is_one_sentence(taken: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", str(taken)]) == 1
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert f"Port {taken} on 127.0.0.1 is in use" in printed and "--port" in printed


def test_without_a_port_the_next_free_one_is_taken(taken: int) -> None:
    with bind("127.0.0.1", taken, fixed=False) as listener:
        assert taken < listener.getsockname()[1] < taken + 100
    with pytest.raises(PortInUse):
        bind("127.0.0.1", taken, fixed=True)


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(PortInUse, match=r"192\.0\.2\.1 is not one of this machine's"):
        bind("192.0.2.1", 0, fixed=True)


def test_an_unknown_flag_ends_with_its_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--prot", "7860"]) == 1
    assert "--port" in capsys.readouterr().err


def test_what_is_exposed_is_said_at_start() -> None:
    lines = list(announcement(parse_flags(["--listen"], {}), 7860, protected=False))
    assert lines[0] == "Running on local URL:  http://127.0.0.1:7860"
    assert "WARNING" in lines[1] and "outputs/" in lines[1] and "--gradio-auth" in lines[1]
    assert len(list(announcement(parse_flags(["--listen"], {}), 7860, protected=True))) == 1
    assert len(list(announcement(parse_flags([], {}), 7860, protected=False))) == 1
    assert bind_address(parse_flags([], {})) == "127.0.0.1"
    assert bind_address(parse_flags(["--listen"], {})) == "0.0.0.0"


def test_logins_come_from_flag_and_file_and_a_bad_one_shows_no_password(tmp_path: Path) -> None:
    file = tmp_path / "logins"
    file.write_text("bob:x:y\n\ncarol:z\n")
    flags = parse_flags(["--gradio-auth", "alice:secret", "--gradio-auth-path", str(file)], {})
    assert logins(flags) == [("alice", "secret"), ("bob", "x:y"), ("carol", "z")]
    with pytest.raises(FlagError) as refusal:
        logins(parse_flags(["--gradio-auth", "hunter2"], {}))
    assert "hunter2" not in str(refusal.value)
    with pytest.raises(FlagError, match="can't be read"):
        logins(parse_flags(["--gradio-auth-path", str(tmp_path / "none")], {}))


@pytest.mark.server
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_server_says_where_it_is_and_stops_on_a_signal(tmp_path: Path) -> None:
    """How soon it answers is measured by benchmarks/start_up.py; the bound here only catches a start gone wrong."""
    with Server(tmp_path, fresh=True) as server:
        assert server.cpu_seconds() <= 12.0
        assert f"Running on local URL:  {server.url}" in server.log.read_text()
        assert server.stop() in {0, -15}


@pytest.mark.server
def test_sysinfo_is_written_and_the_server_stops(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.server.fake_engine_server", "--data-dir", str(tmp_path), "--dump-sysinfo"]
    done = subprocess.run(
        [*command, "--gradio-auth", "alice:secret"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (written,) = tmp_path.glob("sysinfo-*.json")
    assert done.stdout.strip() == str(written)
    report = written.read_text("utf-8")
    assert "secret" not in report and json.loads(report)["Flags"]["dump_sysinfo"] is True


@pytest.mark.server
def test_the_server_never_imports_torch() -> None:
    heavy = "torch diffusers transformers accelerate safetensors.torch"
    code = (
        "import sys, modules.server.serve, modules.server.app, modules.jobs.services, modules.server.door\n"
        f"print([name for name in '{heavy}'.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.server
def test_a_password_protects_page_routes_and_files(tmp_path: Path) -> None:
    with Server(tmp_path, "--gradio-auth", "alice:secret") as server:
        assert server.request("GET", "/internal/page?client=x")[0] == 401
        assert server.request("POST", "/v1/jobs/none/interrupt")[0] == 401
        assert server.request("GET", "/config")[0] == 401
        assert server.request("GET", f"/gradio_api/file={tmp_path / 'outputs'}/x.png")[0] == 401
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert server.request("POST", "/login", form, b"username=alice&password=wrong")[0] == 400
        cookie = _log_in(server)
        status, _, body = server.request("GET", "/internal/page?client=x", {"Cookie": cookie})
        assert status == 200 and json.loads(body)["engine"]["state"] == "ready"


def _log_in(server: Server) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login", b"username=alice&password=secret", form)
    answer = connection.getresponse()
    assert answer.status == 200
    cookies = [value.split(";")[0] for name, value in answer.getheaders() if name.lower() == "set-cookie"]
    connection.close()
    return "; ".join(cookies)


def test_the_page_starts_at_the_size_that_the_checkpoint_states(tmp_path: Path) -> None:
    """In the page as it is served, before any script has run: who is quick must not draw at another size."""
    with Server(tmp_path, module="tests.server.fake_engine_server") as server:
        components = server.json("/config")["components"]
    values = {one["props"].get("elem_id"): one["props"].get("value") for one in components}
    assert [values[f"{tab}_{side}"] for tab in ("txt2img", "img2img") for side in ("width", "height")] == [128] * 4


@pytest.mark.server
@pytest.mark.parametrize("prompt", some(["hang", "slow"], 1))
def test_sigterm_ends_the_server_in_five_seconds_and_puts_the_running_job_back(tmp_path: Path, prompt: str) -> None:
    """Whoever waits for a picture or for events doesn't hold it up, nor does an engine that no longer answers."""
    body = json.dumps({"prompt": prompt, "steps": 400, "force_task_id": "mine"}).encode()
    head = f"POST /sdapi/v1/txt2img HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    server = Server(tmp_path, "--nowebui", module="tests.server.fake_engine_server")
    with server, socket.create_connection(("127.0.0.1", server.port)) as waits, httpx.Client(verify=False) as client:
        waits.sendall(head + body)
        eventually(lambda: server.json("/sdapi/v1/progress")["current_task"] == "mine")
        with client.stream("GET", f"{server.url}/v1/jobs/mine/events") as events:
            assert next(events.iter_lines()) == "event: state"
            assert server.process is not None
            server.process.terminate()
            server.process.wait(5)
    store = JobStore(tmp_path / "webui.db")
    try:
        job = store.of_task("mine")
        assert job is not None and (job.state, job.images) == ("waiting", ())
    finally:
        store.close()
    FolderLock(tmp_path / "webui.lock").release()
