"""One list of logins for page, API, files and docs: every route against strangers, foreign pages and rubbish."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from modules.server.auth import matches
from modules.settings import FlagError, parse_flags
from modules.settings.logins import logins
from tests.amounts import some
from tests.jobs.helpers import eventually
from tests.server.server import Server

FAKE = "tests.server.fake_engine_server"
PASSWORDS = ("on-the-page", "of-the-api", "from-a-file", "from-the-environment", "pässwörd")
LOGINS = tuple(zip(("page", "api", "file", "env", "käthe"), PASSWORDS, strict=True))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("auth")
    secret = data / "logins.txt"
    secret.write_text("file:from-a-file\nkäthe:pässwörd\n", "utf-8")
    flags = ("--gradio-auth", "page:on-the-page", "--api-auth", "api:of-the-api", "--gradio-auth-path", str(secret))
    env = {"WEBUI_AUTH": "env:from-the-environment"}
    with Server(data, *flags, "--api-log", module=FAKE, env=env) as running:
        yield running


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture(scope="module")
def routes(server: Server) -> list[tuple[str, str]]:
    """Every method and path of the API's description, and those that are not in it."""
    described = httpx.get(f"{server.url}/openapi.json", headers=basic("api", "of-the-api")).json()
    listed = [(method.upper(), path) for path, methods in described["paths"].items() for method in methods]
    filled = [
        (method, path.replace("{job_id}", "x").replace("{number}", "0").replace("{again}", "retry"))
        for method, path in listed
    ]
    hidden = [
        "/openapi.json",
        "/docs",
        "/redoc",
        "/docs/assets/swagger-ui.css",
        "/internal/page",
        "/internal/preview/x",
    ]
    return [*filled, *(("GET", path) for path in hidden)]


@pytest.mark.server
def test_there_are_routes_to_try(routes: list[tuple[str, str]]) -> None:
    assert len(routes) > 60
    assert {"/sdapi/v1/txt2img", "/v1/jobs", "/internal/sysinfo", "/docs"} <= {path for _, path in routes}


@pytest.mark.server
@pytest.mark.parametrize(
    "headers",
    some(
        [
            {},
            {"Authorization": ""},
            basic("page", "wrong"),
            basic("page", "of-the-api"),
            basic("", ""),
            {"Authorization": "Basic"},
            {"Authorization": "Basic %%%"},
            {"Authorization": "Basic /////w=="},
            {"Authorization": "Bearer on-the-page"},
            {"Authorization": "Basic " + "A" * 20_000},
            {"Cookie": "access-token-unsecure-x=page"},
        ],
        4,
    ),
    ids=lambda headers: str(headers)[:60],
)
def test_no_route_lets_a_stranger_in(server: Server, routes: list[tuple[str, str]], headers: Mapping[str, str]) -> None:
    for method, path in routes:
        status, answered, body = server.request(method, path, headers, b"{}" if method == "POST" else None)
        assert status == 401, (method, path, body[:200])
        assert answered["www-authenticate"] == "Basic"


@pytest.mark.server
@pytest.mark.parametrize(
    "headers",
    some(
        [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Host": "evil.example"},
            {"Host": "evil.example:7860", "Origin": "http://evil.example:7860"},
        ],
        3,
    ),
    ids=str,
)
def test_no_route_lets_a_foreign_page_in_though_it_knows_a_login(
    server: Server, routes: list[tuple[str, str]], headers: dict[str, Any]
) -> None:
    for method, path in routes:
        status, answered, _ = server.request(method, path, {**basic(*LOGINS[0]), **headers}, b"")
        assert status == 403, (method, path)
        assert "access-control-allow-origin" not in answered


@pytest.mark.server
@pytest.mark.parametrize(
    ("body", "kind"),
    some(
        [
            (b"", "application/json"),
            (b"5", "application/json"),
            (b'"x"', "application/json"),
            (b"[1, 2]", "application/json"),
            (b"\xff\xfe", "application/json"),
            (b"[" * 10_000, "application/json"),
            (b'{"a":' * 5000 + b"1" + b"}" * 5000, "application/json"),
            (
                json.dumps({key: [{}] for key in ("prompt", "image", "position", "steps", "seed")}).encode(),
                "application/json",
            ),
            (b"a=1", "application/x-www-form-urlencoded"),
            (b"x" * 1_000_000, "text/plain"),
        ],
        5,
    ),
    ids=lambda value: str(value)[:30],
)
def test_no_route_breaks_on_what_is_no_request(
    server: Server, routes: list[tuple[str, str]], body: bytes, kind: str
) -> None:
    for method, path in routes:
        headers = {**basic(*LOGINS[1]), "Content-Type": kind}
        status, _, answer = server.request(method, path, headers, body)
        assert status < 500, (method, path, answer[:300])


@pytest.mark.server
def test_no_route_takes_what_is_announced_huge(server: Server, routes: list[tuple[str, str]]) -> None:
    host = f"Host: 127.0.0.1:{server.port}\r\nAuthorization: {basic(*LOGINS[0])['Authorization']}\r\n"
    for method, path in routes:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as line:
            line.sendall(f"{method} {path} HTTP/1.1\r\n{host}Content-Length: {2**40}\r\n\r\n".encode())
            assert b" 413 " in line.recv(100).split(b"\r\n")[0], (method, path)


@pytest.mark.server
@pytest.mark.parametrize("login", LOGINS, ids=str)
def test_every_login_opens_page_and_api(server: Server, login: tuple[str, str]) -> None:
    user, password = login
    assert server.request("GET", "/sdapi/v1/options", basic(user, password))[0] == 200
    assert server.request("GET", "/docs", basic(user, password))[0] == 200
    assert server.request("GET", "/internal/page", basic(user, password))[0] == 200
    form = urlencode({"username": user, "password": password}).encode()
    with httpx.Client(base_url=server.url, verify=False) as browser:
        assert browser.get("/config").status_code == 401
        answer = browser.post("/login", content=form, headers={"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status_code == 200, answer.text
        for path in ("/config", "/internal/page", "/sdapi/v1/options", "/openapi.json"):
            assert browser.get(path).status_code == 200, path


@pytest.mark.server
@pytest.mark.parametrize("path", ["/config", "/gradio_api/info", "/gradio_api/queue/status"])
def test_gradios_own_routes_want_a_login_too(server: Server, path: str) -> None:
    assert server.request("GET", path)[0] == 401
    wrong = urlencode({"username": "page", "password": "wrong"}).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert server.request("POST", "/login", form, wrong)[0] == 400


@pytest.mark.server
def test_files_and_uploads_want_a_login(server: Server) -> None:
    outputs = server.data_dir / "outputs"
    outputs.mkdir(exist_ok=True)
    (outputs / "a.png").write_bytes(b"picture")
    assert server.request("GET", f"/gradio_api/file={outputs}/a.png")[0] == 401
    upload = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nhello\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    assert server.request("POST", "/gradio_api/upload", kind, upload)[0] == 401


ANN, BOB = basic(*LOGINS[0]), basic(*LOGINS[1])


def sent(server: Server, method: str, path: str, who: Mapping[str, str], body: object = None) -> tuple[int, Any]:
    """Status and JSON, or bytes where it is none."""
    data = None if body is None else json.dumps(body).encode()
    status, headers, content = server.request(method, path, {**who, "Content-Type": "application/json"}, data)
    return status, json.loads(content) if headers.get("content-type") == "application/json" else content


@pytest.mark.server
def test_of_several_logins_each_sees_and_changes_its_own_jobs_alone(server: Server) -> None:
    """Page and API once checked no login: one read the other's requests and pictures, and stopped their jobs."""
    secret = {"prompt": "ann's slow secret", "steps": 400, "force_task_id": "ann-1"}
    running = sent(server, "POST", "/v1/jobs/txt2img", ANN, secret)[1]["id"]
    waiting = sent(server, "POST", "/v1/jobs/txt2img", ANN, {"prompt": "ann's second secret"})[1]["id"]
    his = sent(server, "POST", "/v1/jobs/txt2img", BOB, {"prompt": "bob's"})[1]["id"]

    def seen_by(who: Mapping[str, str]) -> set[str]:
        return {job["id"] for job in sent(server, "GET", "/v1/jobs", who)[1]}

    eventually(lambda: bool(sent(server, "GET", "/sdapi/v1/progress", ANN)[1]["current_image"]))
    assert (seen_by(ANN), seen_by(BOB)) == ({running, waiting}, {his})
    for job in (running, waiting, "ann-1"):
        for method, path in (
            ("GET", f"/v1/jobs/{job}"),
            ("GET", f"/v1/jobs/{job}/events"),
            ("GET", f"/v1/jobs/{job}/images/0"),
            ("GET", f"/internal/preview/{job}"),
            ("GET", f"/internal/thumbnail/{job}"),
            *(("POST", f"/v1/jobs/{job}/{what}") for what in ("cancel", "interrupt", "skip", "retry", "duplicate")),
        ):
            assert sent(server, method, path, BOB)[0] == 404, path
        assert sent(server, "POST", f"/v1/jobs/{job}/move", BOB, {"position": 1})[0] == 404
    for path in ("/sdapi/v1/interrupt", "/sdapi/v1/skip", "/sdapi/v1/interrupt?id_task=ann-1"):
        assert sent(server, "POST", path, BOB)[0] == 200
    assert sent(server, "GET", f"/v1/jobs/{running}", ANN)[1]["state"] == "running"
    for path in ("/internal/page?client=api", "/v1/jobs/overview", "/sdapi/v1/progress"):
        answer = sent(server, "GET", path, BOB)[1]
        assert "secret" not in json.dumps(answer), path
        assert answer.get("current_image") is None and answer.get("current_task") is None
    assert sent(server, "POST", "/internal/progress", BOB, {"id_task": "ann-1"})[1]["live_preview"] is None
    assert sent(server, "GET", "/internal/pending-tasks", BOB)[1] == {"size": 1, "tasks": [his]}
    page = sent(server, "GET", "/internal/page?client=api", BOB)[1]
    assert (page["running"]["mine"], page["running"]["visible"], page["running"]["preview"]) == (False, False, 0)

    assert sent(server, "GET", f"/internal/preview/{running}", ANN)[0] == 200
    assert sent(server, "GET", "/v1/jobs/ann-1", ANN)[1]["id"] == running
    assert sent(server, "POST", f"/v1/jobs/{waiting}/move", ANN, {"position": 2})[0] == 200
    assert sent(server, "POST", "/v1/jobs/ann-1/interrupt", ANN)[1]["id"] == running
    eventually(lambda: sent(server, "GET", f"/v1/jobs/{waiting}", ANN)[1]["state"] == "finished")
    assert [sent(server, "GET", f"/v1/jobs/{waiting}/images/0", who)[0] for who in (ANN, BOB)] == [200, 404]
    assert [sent(server, "GET", f"/internal/thumbnail/{waiting}", who)[0] for who in (ANN, BOB)] == [200, 404]


@pytest.mark.server
def test_a_job_of_the_page_is_of_the_login_of_the_page(server: Server) -> None:
    """What Generate queues and what the gallery shows pass through Gradio, which knows the login by its cookie."""
    form = urlencode({"username": LOGINS[4][0], "password": LOGINS[4][1]}).encode()
    with httpx.Client(base_url=server.url, verify=False) as browser:
        browser.post("/login", content=form, headers={"Content-Type": "application/x-www-form-urlencoded"})
        config = browser.get("/config").json()
        ids = {one["props"].get("elem_id"): one["id"] for one in config["components"]}
        values = {one["id"]: one["props"].get("value") for one in config["components"]}

        def press(elem_id: str, given: Mapping[str, object]) -> list[Any]:
            named = {ids[name]: value for name, value in given.items()}
            event = next(
                one for one in config["dependencies"] if [ids[elem_id], "click"] in one["targets"] and one["backend_fn"]
            )
            data = [named.get(number, values[number]) for number in event["inputs"]]
            answer = browser.post("/gradio_api/run/predict", json={"data": data, "fn_index": event["id"]})
            assert answer.status_code == 200, answer.text
            outputs: list[Any] = answer.json()["data"]
            return outputs

        job = json.loads(press("txt2img_generate", {"txt2img_client": "a", "txt2img_prompt": "of the page"})[0])["id"]
        eventually(lambda: browser.get(f"/v1/jobs/{job}").json()["state"] == "finished")
        assert sent(server, "GET", f"/v1/jobs/{job}", ANN)[0] == 404
        assert [one["id"] for one in browser.get("/internal/page?client=a").json()["recent"]] == [job]
        assert sent(server, "GET", "/internal/page?client=a", ANN)[1]["recent"] == []
        anns = next(one for one in sent(server, "GET", "/v1/jobs", ANN)[1] if one["images"])["id"]
        for shown, there in ((job, True), (anns, False)):
            gallery = press("txt2img_show", {"txt2img_shown": shown})
            assert bool(gallery[0]["value"]) is there, gallery
            assert bool(press("save_txt2img", {"txt2img_shown": shown})[0].get("value")) is there


@pytest.mark.server
def test_no_answer_and_no_log_shows_a_password(server: Server) -> None:
    disclosed = b""
    for path in (
        "/sdapi/v1/cmd-flags",
        "/internal/sysinfo",
        "/internal/sysinfo-download",
        "/sdapi/v1/options",
        "/docs",
    ):
        status, _, body = server.request("GET", path, basic(*LOGINS[0]))
        assert status == 200
        disclosed += body
    disclosed += server.log.read_bytes()
    assert "API GET '/sdapi/v1/cmd-flags'" in server.log.read_text("utf-8")
    for password in PASSWORDS:
        assert password.encode() not in disclosed
        assert password.encode("unicode_escape") not in disclosed


@pytest.mark.server
def test_a_script_of_the_page_is_refused_without_a_box_of_the_browser(server: Server) -> None:
    status, headers, _ = server.request("GET", "/internal/page", {"Sec-Fetch-Dest": "empty"})
    assert status == 401
    assert "www-authenticate" not in headers


@pytest.mark.server
def test_without_the_page_the_api_is_served_alone(tmp_path: Path) -> None:
    with Server(tmp_path, "--nowebui", "--api-auth", "api:secret", module=FAKE) as server:
        assert server.request("GET", "/")[0] == 404
        assert server.request("GET", "/sdapi/v1/options")[0] == 401
        assert server.request("GET", "/sdapi/v1/options", basic("api", "secret"))[0] == 200
        assert server.request("GET", "/docs", basic("api", "secret"))[0] == 200
    assert parse_flags(["--nowebui"]).effective_port == 7861


def test_without_the_page_gradio_is_not_imported() -> None:
    """It is three quarters of a start."""
    completed = subprocess.run(
        [sys.executable, "-c", "import sys, modules.server.app as app; print(app.__name__, 'gradio' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert completed.stdout.split() == ["modules.server.app", "False"]


@pytest.mark.server
def test_an_allowed_origin_gets_answers_its_browser_may_show(tmp_path: Path) -> None:
    plugin = "http://plugin.example"
    with Server(tmp_path, "--api", "--cors-allow-origins", plugin, module=FAKE) as server:
        ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        status, headers, _ = server.request("OPTIONS", "/sdapi/v1/txt2img", {"Origin": plugin, **ask})
        assert (status, headers["access-control-allow-origin"]) == (200, plugin)
        status, headers, _ = server.request(
            "GET", "/sdapi/v1/options", {"Origin": plugin, "Sec-Fetch-Site": "cross-site"}
        )
        assert (status, headers["access-control-allow-origin"]) == (200, plugin)
        for other in ("http://plugin.example.evil", "https://plugin.example", "null"):
            status, headers, _ = server.request("OPTIONS", "/sdapi/v1/txt2img", {"Origin": other, **ask})
            assert status == 403
            assert "access-control-allow-origin" not in headers


def test_logins_are_gathered_from_flags_file_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "logins").write_text("c:3\n\nd:4,e:5:with:colons\n", "utf-8")
    monkeypatch.setenv("WEBUI_AUTH", "f:6")
    flags = parse_flags(["--gradio-auth", "a:1", "--api-auth", "b:2", "--gradio-auth-path", str(tmp_path / "logins")])
    expected = [("a", "1"), ("b", "2"), ("f", "6"), ("c", "3"), ("d", "4"), ("e", "5:with:colons")]
    assert logins(flags) == expected
    monkeypatch.delenv("WEBUI_AUTH")
    assert logins(parse_flags([])) == []


@pytest.mark.parametrize("entry", ["nocolon", ":secret", "somebody:", "a:1,b"])
def test_a_login_that_is_none_is_refused_without_showing_it(entry: str) -> None:
    with pytest.raises(FlagError) as refused:
        logins(parse_flags(["--api-auth", entry]))
    assert "password" in str(refused.value)
    assert entry not in str(refused.value)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(FlagError, match="can't be read"):
        logins(parse_flags(["--gradio-auth-path", str(tmp_path / "none")]))
    (tmp_path / "odd").write_bytes(b"\xff\xfe")
    with pytest.raises(FlagError, match="UTF-8"):
        logins(parse_flags(["--gradio-auth-path", str(tmp_path / "odd")]))


@pytest.mark.parametrize(
    ("user", "password", "right"),
    [("a", "1", True), ("b", "2", True), ("a", "2", False), ("", "", False), ("ä", "ö", False), ("\udc80", "x", False)],
)
def test_a_pair_matches_only_as_a_whole(user: str, password: str, right: bool) -> None:
    known: Any = [("a", "1"), ("b", "2")]
    assert matches(known, user, password) is right
