"""Pictures named by an address, fetched from loopback servers only: names and addresses are faked."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.api.base64_pictures import fetcher, picture_bytes
from modules.api.fetch import Fetcher, FetchSome
from modules.downloads import is_public
from modules.parameters import RequestError
from modules.settings import OptionStore
from tests.api.conftest import png

PUBLIC = "93.184.216.34"


class PagesServer(ThreadingHTTPServer):
    """Remembers the Host and User-Agent headers of each request."""

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self.seen: list[tuple[str, str]] = []


class Pages(BaseHTTPRequestHandler):
    """/picture, /big, /endless, /drip, /short, /gone and /to?<where>."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path == "/to":
            self.send_response(302)
            self.send_header("Location", query)
            self.end_headers()
            return
        self.send_response(404 if path == "/gone" else 200)
        if path == "/big":
            self.send_header("Content-Length", str(2**30))
        if path == "/short":
            self.send_header("Content-Length", "500000")
        self.end_headers()
        assert isinstance(self.server, PagesServer)
        self.server.seen.append((self.headers["Host"], self.headers["User-Agent"]))
        try:
            if path in ("/endless", "/drip"):
                while True:
                    self.wfile.write(b"x" * (65536 if path == "/endless" else 1))
                    time.sleep(0 if path == "/endless" else 0.05)
            self.wfile.write(png())
        except OSError:
            pass

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[PagesServer]:
    with PagesServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def pages() -> Iterator[PagesServer]:
    with serving() as server:
        yield server


class Net:
    """A made-up internet: what names resolve to, and every public address leads to our loopback server."""

    def __init__(self, pages: PagesServer, **names: list[str]) -> None:
        self.names = {name.replace("_", "."): list(addresses) for name, addresses in names.items()}
        self.port = pages.server_address[1]
        self.resolved: list[str] = []
        self.connected: list[str] = []

    def resolve(self, host: str, port: int) -> list[str]:
        self.resolved.append(host)
        found = self.names.get(host, [host])
        # The second answer of a rebinding name is another one than the first.
        return [found.pop(0)] if host == "rebinds" and len(found) > 1 else found

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        self.connected.append(address)
        return socket.create_connection(("127.0.0.1", self.port), seconds)

    def fetcher(self, **more: Any) -> Fetcher:
        return Fetcher(resolve=self.resolve, connect=self.connect, **more)


def test_a_public_picture_is_fetched_from_the_address_that_was_checked(pages: PagesServer) -> None:
    net = Net(pages, rebinds=[PUBLIC, "127.0.0.1"])
    assert net.fetcher(user_agent="me")("http://rebinds/picture", "init_images") == png()
    assert (net.resolved, net.connected) == (["rebinds"], [PUBLIC])
    assert pages.seen[-1] == ("rebinds", "me")


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::", "64:ff9b::7f00:1"),
        *("2001:0:4136:e378:8000:63bf:3fff:fdd2", "fe80::1%eth0", "2606:4700::1111%1", "not an address", ""),
    ],
)
def test_no_address_of_the_own_network_is_connected_to(pages: PagesServer, address: Any) -> None:
    net = Net(pages, somewhere=[address])
    with pytest.raises(RequestError, match="own network"):
        net.fetcher()("http://somewhere/picture", "mask")
    assert net.connected == []
    assert net.fetcher(allow_local=True)("http://somewhere/picture", "mask") == png()


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "2002:808:808::"])
def test_public_addresses_are_public(address: Any) -> None:
    assert is_public(address)


@given(st.ip_addresses())
def test_every_address_has_an_answer(address: Any) -> None:
    public = is_public(str(address))
    assert not (public and (address.is_private or address.is_loopback or address.is_link_local))


def test_one_private_address_among_public_ones_is_enough_to_refuse(pages: PagesServer) -> None:
    with pytest.raises(RequestError, match="own network"):
        Net(pages, mixed=[PUBLIC, "10.0.0.1"]).fetcher()("http://mixed/picture", "mask")


@pytest.mark.parametrize(
    "where", ["http://127.0.0.1/picture", "http://inner/picture", "//[::1]/picture", "http://[::ffff:7f00:1]/"]
)
def test_a_redirect_into_the_own_network_is_refused(pages: PagesServer, where: str) -> None:
    net = Net(pages, outer=[PUBLIC], inner=["192.168.0.1"])
    with pytest.raises(RequestError, match="own network"):
        net.fetcher()(f"http://outer/to?{where}", "mask")
    assert net.connected == [PUBLIC]


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://outer/x", "gopher://outer/", "http://user:pw@outer/"])
def test_a_redirect_to_another_scheme_is_refused(pages: PagesServer, where: str) -> None:
    with pytest.raises(RequestError, match="http"):
        Net(pages, outer=[PUBLIC]).fetcher()(f"http://outer/to?{where}", "mask")


def test_redirects_are_followed_but_not_for_ever(pages: PagesServer) -> None:
    net = Net(pages, outer=[PUBLIC])
    assert net.fetcher()("http://outer/to?/picture", "mask") == png()
    with pytest.raises(RequestError, match="redirected more than"):
        net.fetcher()("http://outer/to?/to?/to?/to?/to?/to?/to?/picture", "mask")


@pytest.mark.parametrize(
    "url",
    ["http://", "http://:80/", "http://a b/", "http://a\r\nHost: b/", "http://a:0/", "http://a:99999/", "http://ä/"],
)
def test_what_is_no_address_is_refused_before_anything_is_requested(pages: PagesServer, url: str) -> None:
    net = Net(pages)
    with pytest.raises(RequestError, match="address"):
        net.fetcher()(url, "mask")
    assert net.resolved == []


@pytest.mark.parametrize("path", ["/big", "/endless"])
def test_too_much_is_cut_off(pages: PagesServer, path: str) -> None:
    with pytest.raises(RequestError, match="larger than 1 MiB"):
        Net(pages, outer=[PUBLIC]).fetcher(largest=2**20)(f"http://outer{path}", "mask")


def test_a_server_that_drips_is_left(pages: PagesServer) -> None:
    began = time.monotonic()
    # What came by then is no picture; where the system says of the line that it was reset, that is the reason.
    with pytest.raises(RequestError, match=r"be read as a picture|Connection reset"):
        picture_bytes("http://outer/drip", "mask", Net(pages, outer=[PUBLIC]).fetcher(seconds=0.4))
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(("path", "word"), [("/gone", "404"), ("/short", "early")])
def test_what_does_not_arrive_is_said(pages: PagesServer, path: str, word: str) -> None:
    with pytest.raises(RequestError, match=word):
        Net(pages, outer=[PUBLIC]).fetcher()(f"http://outer{path}", "mask")


def test_a_name_without_an_address_is_said() -> None:
    def nowhere(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(RequestError, match="Name or service not known"):
        Fetcher(resolve=nowhere)("http://nowhere/", "mask")


def test_one_request_names_only_so_many_addresses(pages: PagesServer) -> None:
    some = FetchSome(Net(pages, outer=[PUBLIC]).fetcher(), most=2)
    for _ in range(2):
        assert some("http://outer/picture", "mask")
    with pytest.raises(RequestError, match="at most 2"):
        some("http://outer/picture", "mask")


def test_the_settings_decide_and_are_off_at_first(tmp_path: Path) -> None:
    options = OptionStore(tmp_path / "config.json")
    assert fetcher(options) is None
    with pytest.raises(RequestError, match="api_enable_requests"):
        picture_bytes("https://example.com/x.png", "mask", fetcher(options))
    options.update({"api_enable_requests": True})
    assert fetcher(options) is not None
    with pytest.raises(RequestError, match="own network"):
        picture_bytes("http://127.0.0.1:1/x.png", "mask", fetcher(options))
