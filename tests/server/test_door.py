"""The attacks measured against Gradio and A1111, tried on a real server process of ours, and the door's rules."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from modules.server.door import Door, DoorRules, door_rules, host_name, same_origin
from modules.server.proxies import TrustedProxies
from modules.settings import FlagError
from tests.server.server import Server

EVIL = "http://evil.example"
BOUNDARY = "x"
UPLOAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n'
    f"Content-Type: text/plain\r\n\r\nhello\r\n--{BOUNDARY}--\r\n"
).encode()
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
JSON = {"Content-Type": "application/json"}
JOIN = json.dumps({"data": [], "fn_index": 0, "session_hash": "attack", "event_data": None}).encode()

# Method, path, headers, body: everything that changes something, and the streams.
CHANGING: tuple[tuple[str, str, Mapping[str, str], bytes | None], ...] = (
    ("POST", "/v1/jobs/none/interrupt", {}, None),
    ("POST", "/v1/jobs/none/skip", {}, b""),
    ("POST", "/v1/jobs/none/cancel", {}, None),
    ("POST", "/gradio_api/upload", MULTIPART, UPLOAD),
    ("POST", "/gradio_api/queue/join", JSON, JOIN),
    ("POST", "/gradio_api/run/predict", JSON, JOIN),
    ("POST", "/gradio_api/call/predict", {"Content-Type": "text/plain"}, b'{"data": []}'),
    ("POST", "/login", {"Content-Type": "application/x-www-form-urlencoded"}, b"username=a&password=b"),
    ("PUT", "/v1/jobs/none/skip", {}, None),
    ("DELETE", "/v1/jobs/none/skip", {}, None),
    ("GET", "/gradio_api/queue/data?session_hash=attack", {}, None),
    ("GET", "/gradio_api/heartbeat/attack", {}, None),
    ("GET", "/internal/page?client=x", {}, None),
    ("GET", "/config", {}, None),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("door")) as running:
        yield running


def ask(server: Server, attack: tuple[str, str, Mapping[str, str], bytes | None], headers: Mapping[str, str]) -> int:
    method, path, own, body = attack
    status, answered, _ = server.request(method, path, {**own, **headers}, body)
    assert "access-control-allow-origin" not in answered
    return status


@pytest.mark.server
@pytest.mark.parametrize("attack", CHANGING, ids=lambda attack: f"{attack[0]} {attack[1].split('?')[0]}")
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {"Host": "evil.example", "Origin": EVIL},
        {"Host": "evil.example:7860"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost@evil.example"},
        {"Host": ""},
    ],
    ids=lambda headers: ",".join(f"{name}={value}" for name, value in headers.items()),
)
def test_a_foreign_page_is_refused_on_every_route(server: Server, attack: Any, headers: Mapping[str, str]) -> None:
    assert ask(server, attack, headers) in {400, 403}


@pytest.mark.server
def test_a_refused_upload_leaves_no_file(server: Server) -> None:
    status, _, body = server.request("POST", "/gradio_api/upload", {**MULTIPART, "Origin": EVIL}, UPLOAD)
    assert status == 403
    assert b"evil.example" in body and b"--cors-allow-origins" in body


@pytest.mark.server
@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST:{port}", "[::1]:{port}"])
def test_our_own_page_is_served_under_every_loopback_name(server: Server, host: str) -> None:
    name = host.format(port=server.port)
    own = {"Host": name, "Origin": f"http://{name.lower()}", "Sec-Fetch-Site": "same-origin"}
    status, headers, _ = server.request("GET", "/", own)
    assert status == 200
    assert server.request("POST", "/v1/jobs/none/interrupt", own)[0] == 404
    assert server.request("POST", "/gradio_api/upload", {**own, **MULTIPART}, UPLOAD)[0] == 200
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.server
def test_programs_and_followed_links_come_in(server: Server) -> None:
    assert server.request("GET", "/")[0] == 200
    assert server.request("POST", "/v1/jobs/none/interrupt")[0] == 404
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert server.request("GET", "/", link)[0] == 200


@pytest.mark.server
def test_only_pictures_are_served_and_they_never_run(server: Server, tmp_path: Path) -> None:
    outputs = server.data_dir / "outputs"
    outputs.mkdir(exist_ok=True)
    page = outputs / "page.html"
    page.write_text("<script>alert(1)</script>")
    status, headers, _ = server.request("GET", f"/gradio_api/file={page}")
    assert status == 200
    assert headers["content-security-policy"].startswith("sandbox;")
    secret = server.data_dir / "config.json"
    secret.write_text("{}")
    for path in ("/etc/passwd", "/proc/self/environ", str(secret), f"{outputs}/../config.json"):
        assert server.request("GET", f"/gradio_api/file={path}")[0] in {403, 404}, path


@pytest.mark.server
def test_a_link_in_the_outputs_leads_nowhere_else(server: Server) -> None:
    outputs = server.data_dir / "outputs"
    outputs.mkdir(exist_ok=True)
    (server.data_dir / "secret.txt").write_text("a secret")
    (outputs / "link.png").symlink_to(server.data_dir / "secret.txt")
    (outputs / "folder").symlink_to(server.data_dir)
    for name in ("link.png", "folder/secret.txt", "folder/../secret.txt"):
        status, _, body = server.request("GET", f"/gradio_api/file={outputs}/{name}")
        assert status in {403, 404} and b"a secret" not in body, name


@pytest.mark.server
def test_under_a_subpath_both_kinds_of_proxy_are_served(tmp_path: Path) -> None:
    with Server(tmp_path, "--subpath", "/sd/", module="tests.server.fake_engine_server") as behind:
        for path in ("/", "/config", "/docs", "/sdapi/v1/options", "/internal/page", "/internal/assets/main.js"):
            assert behind.request("GET", path)[0] == 200, path
            assert behind.request("GET", f"/sd{path}")[0] == 200, path
        assert b'"/sd/openapi.json' in behind.request("GET", "/docs")[2].replace(b"'", b'"')
        assert b"/sd/openapi.json" in behind.request("GET", "/sd/redoc")[2]
        assert behind.request("GET", "/sd/sdapi/v1/options", {"Origin": EVIL})[0] == 403


@pytest.mark.server
def test_two_hosts_in_one_request_are_refused(server: Server) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
        line.sendall(
            f"GET /internal/page HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nHost: evil.example\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        answer = line.recv(100)
    assert answer.split()[1] in {b"400", b"403"}


@pytest.mark.server
def test_a_websocket_from_elsewhere_is_refused(server: Server) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Origin": EVIL,
    }
    assert server.request("GET", "/queue/join", upgrade)[0] in {400, 403}


def refused(rules: DoorRules, method: str = "POST", **headers: str) -> bool:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return rules.refusal("http", method, named) is not None


def test_listening_opens_addresses_and_this_machines_names_but_no_others() -> None:
    rules = door_rules(server_name=None, listen=True, machine_names=["Workshop"])
    for host in ("192.168.1.20:7860", "[fe80::1]:7860", "workshop:7860", "workshop.local", "localhost"):
        assert not refused(rules, host=host), host
    assert refused(rules, host="evil.example:7860")
    assert refused(rules, host="192.168.1.20.evil.example")
    assert not refused(door_rules(server_name="sd.home", listen=False), host="sd.home:7860")
    assert refused(door_rules(server_name="0.0.0.0", listen=False), host="evil.example")


@pytest.mark.parametrize(
    "host", ["host.docker.internal:7860", "nas.local", "sd.home.arpa", "pc.localhost", "webui:7860", "open_webui:80"]
)
def test_listening_answers_to_names_that_public_dns_cannot_hold(host: str) -> None:
    listening = door_rules(server_name=None, listen=True)
    assert not refused(listening, host=host)
    assert not refused(listening, host=host, origin=f"http://{host}")
    assert refused(listening, host=host, origin=EVIL)
    assert refused(door_rules(server_name=None, listen=False), host=host)
    for end in ("example.com", "co", "box", "lan"):
        assert refused(listening, host=f"internal.{end}") and refused(listening, host=f"myinternal.{end}:7860")
    assert refused(listening, host="notinternal.evil.example") and refused(listening, host="docker.notinternal")


def test_hosts_are_allowed_by_name_and_by_the_name_above() -> None:
    for listen in (False, True):
        rules = door_rules(server_name=None, listen=listen, allowed_hosts="SD.example.com, *.tail1.ts.net")
        for host in (
            "sd.example.com",
            "sd.example.com:7860",
            "sd.example.com.",
            "box.tail1.ts.net",
            "a.b.tail1.ts.net",
        ):
            assert not refused(rules, host=host), host
        for host in (
            "example.com",
            "a.sd.example.com",
            "tail1.ts.net",
            "eviltail1.ts.net",
            "box.tail1.ts.net.evil.com",
        ):
            assert refused(rules, host=host), host
    sentence = rules.refusal("http", "GET", {"host": "evil.example"})
    assert sentence is not None and "--allowed-hosts" in sentence


@pytest.mark.parametrize("listed", ["*", "*.*", "a b", "http://a.example", "*.1.2.3.4", "a.example,*"])
def test_an_allowed_host_that_would_open_everything_is_refused_at_start(listed: str) -> None:
    with pytest.raises(FlagError, match="--allowed-hosts"):
        door_rules(server_name=None, listen=True, allowed_hosts=listed)


def status_of(peer: str, headers: Mapping[str, str], **flags: Any) -> int:
    """The status of a GET from `peer` through proxies, door and a route that answers 200."""
    named = {"server_name": None, "listen": False} | flags
    trusted = named.pop("trusted", None)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(scope["scheme"])(scope, receive, send)

    client = TestClient(TrustedProxies(Door(app, door_rules(**named)), trusted), client=(peer, 50000))
    return client.post("/", headers=headers).status_code


def test_a_trusted_proxy_says_by_which_name_it_was_reached() -> None:
    proxied = {"Host": "127.0.0.1:7860", "X-Forwarded-Host": "sd.example.com", "Origin": "https://sd.example.com"}
    known = {"allowed_hosts": "sd.example.com"}
    assert status_of("127.0.0.1", proxied, **known) == 200
    assert status_of("127.0.0.1", proxied, server_name="sd.example.com") == 200
    # The proxy's own address in X-Forwarded-For does not hide that it is trusted.
    assert status_of("127.0.0.1", {**proxied, "X-Forwarded-For": "203.0.113.9"}, **known) == 200
    assert status_of("172.18.0.5", proxied, **known) == 403
    assert status_of("172.18.0.5", proxied, **known, trusted="172.18.0.0/16") == 200


def test_rebinding_is_refused_through_a_proxy_as_well() -> None:
    known = {"allowed_hosts": "sd.example.com"}
    evil = {"X-Forwarded-Host": "evil.example", "Origin": "http://evil.example"}
    assert status_of("127.0.0.1", {"Host": "127.0.0.1:7860", **evil}, **known) == 403
    assert status_of("127.0.0.1", {"Host": "127.0.0.1:7860", "X-Forwarded-Host": "evil.example"}, **known) == 403
    both = {"Host": "127.0.0.1:7860", "X-Forwarded-Host": "sd.example.com, evil.example"}
    assert status_of("127.0.0.1", both, **known) == 403
    # A page on a name that was rebound may write any header but Host.
    rebound = {"Host": "evil.example:7860", "X-Forwarded-Host": "sd.example.com"}
    assert status_of("127.0.0.1", {**rebound, "Origin": "http://evil.example:7860"}, **known) == 403
    foreign = {"Host": "127.0.0.1:7860", "X-Forwarded-Host": "sd.example.com", "Origin": "http://evil.example"}
    assert status_of("127.0.0.1", foreign, **known) == 403


def test_allowed_origins_are_exact_and_a_star_is_none() -> None:
    rules = door_rules(server_name=None, listen=False, origins="http://a.example, https://b.example/,*")
    assert not refused(rules, host="localhost", origin="http://a.example")
    assert not refused(rules, host="localhost", origin="https://b.example")
    for origin in ("http://c.example", "http://a.example.evil", "https://a.example", "*", "null"):
        assert refused(rules, host="localhost", origin=origin), origin
    pattern = door_rules(server_name=None, listen=False, origin_pattern=r"https://[a-z]+\.example")
    assert not refused(pattern, host="localhost", origin="https://abc.example")
    assert refused(pattern, host="localhost", origin="https://abc.example.evil")
    assert refused(door_rules(server_name=None, listen=False, origin_pattern=".*"), host="localhost", origin="null")


@pytest.mark.parametrize(
    ("origin", "host", "same"),
    [
        ("http://127.0.0.1:7860", "127.0.0.1:7860", True),
        ("http://LOCALHOST:7860", "localhost:7860", True),
        ("https://sd.example", "sd.example", True),
        ("https://sd.example:443", "sd.example", True),
        ("http://[::1]:7860", "[::1]:7860", True),
        ("http://localhost:3000", "localhost:7860", False),
        ("http://127.0.0.1:7860", "localhost:7860", False),
        ("file://127.0.0.1:7860", "127.0.0.1:7860", False),
        ("null", "127.0.0.1:7860", False),
        ("http://127.0.0.1:99999", "127.0.0.1:7860", False),
        ("", "", False),
    ],
)
def test_an_origin_is_ours_only_with_name_and_port(origin: str, host: str, same: bool) -> None:
    assert same_origin(origin, host) is same


@given(st.text(alphabet=string.printable, max_size=60))
def test_no_host_header_breaks_the_door(host: str) -> None:
    name = host_name(host)
    assert name is None or ("@" not in name and "/" not in name)
    assert isinstance(DoorRules().knows_host(host), bool)
    assert isinstance(same_origin(host, host), bool)


@given(st.text(alphabet="abcdefghij.-0123456789", min_size=1, max_size=30))
def test_no_name_but_ours_gets_in(name: str) -> None:
    known = DoorRules().knows_host(f"{name}:7860")
    assert known is (name.rstrip(".") in {"localhost", "127.0.0.1"})
