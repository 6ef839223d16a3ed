"""Every route of the mounted Gradio application, requested with somebody's web page: it is never run, nor fetched."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from httpx2 import Response
from PIL import Image
from starlette.testclient import TestClient

from modules.page.uploads import UploadStore
from modules.server.door import Door, DoorRules
from modules.server.gradio_files import OWN_ROUTES
from modules.server.page_app import page_host
from modules.server.page_host import PageHost
from modules.settings import parse_flags
from tests.gallery.pictures import write_picture
from tests.page.fakes import open_services

SCRIPT = b"<script>parent.ran = 1</script>"
# Streams of events without an end; they hold no file.
ENDLESS = ("/heartbeat/", "{event_id}", "/upload_progress", "/queue/data", "/dev/reload")
EVIL = "https://evil.example/page.html"


@pytest.fixture(scope="module")
def host() -> Iterator[PageHost]:
    with tempfile.TemporaryDirectory() as folder:
        flags = parse_flags(["--data-dir", folder])
        services = open_services(flags)
        services.paths.outputs_dir.mkdir(parents=True)
        yield page_host(services, flags, UploadStore(Path(folder) / "uploads"))


@pytest.fixture(scope="module")
def page(host: PageHost) -> Iterator[TestClient]:
    # Not entered: Gradio's own start and end are not looked at here.
    yield TestClient(Door(host, DoorRules()), base_url="http://127.0.0.1:7860", raise_server_exceptions=False)


@pytest.fixture
def outputs(host: PageHost) -> Path:
    return next(Path(str(path)) for path in host.page.get_blocks().allowed_paths if str(path).endswith("outputs"))


def got(page: TestClient, path: str, method: str = "GET", **more: Any) -> Response:
    return page.request(method, path, follow_redirects=False, **more)


def routes_of(host: PageHost) -> list[tuple[str, str]]:
    """Method and template of every route of Gradio, those of routers inside it included."""
    return sorted(
        (method, context.path)
        for context in iter_route_contexts(host.page.routes)
        for method in context.methods or ()
        if context.path
    )


def with_path(template: str, value: str) -> str:
    return re.sub(r"\{\w+(:path)?\}", value, template)


def is_harmless(answer: Response) -> bool:
    return (
        "sandbox" in answer.headers["content-security-policy"]
        and "allow-" not in answer.headers["content-security-policy"]
        and answer.headers["x-content-type-options"] == "nosniff"
        and answer.headers["content-disposition"].startswith("attachment")
    )


def test_no_route_serves_somebodys_web_page_as_ours(host: PageHost, page: TestClient, outputs: Path) -> None:
    file = outputs / "page.html"
    file.write_bytes(SCRIPT)
    served = set()
    for method, template in routes_of(host):
        for value in (str(file), str(file).lstrip("/"), f"{outputs}/./page.html", "../outputs/page.html"):
            if method == "GET" and "{" in template:
                answer = got(page, with_path(template, value))
                if SCRIPT in answer.content:
                    served.add(template)
                    assert is_harmless(answer), template
    assert {"/gradio_api/file={path_or_url:path}", "/gradio_api/file/{path:path}"} <= served
    assert not served & OWN_ROUTES


def test_what_no_one_looked_at_is_sandboxed(host: PageHost, page: TestClient) -> None:
    looked_at = 0
    for method, template in routes_of(host):
        if method == "GET" and template not in OWN_ROUTES and not any(name in template for name in ENDLESS):
            answer = got(page, with_path(template, "none"))
            assert "sandbox" in answer.headers["content-security-policy"], template
            assert "html" not in answer.headers.get("content-type", "") or is_harmless(answer), template
            looked_at += 1
    assert looked_at > 10


def test_no_route_fetches_an_address(host: PageHost, page: TestClient) -> None:
    for method, template in routes_of(host):
        for value in (EVIL, EVIL.upper(), "http:/evil.example/a", "//evil.example/share", " https://evil.example"):
            if method in {"GET", "HEAD"} and "/file" in template and "{" in template:
                assert got(page, with_path(template, value), method).status_code == 403, (template, value)
            elif method == "GET" and ":path}" in template and "//evil" not in value:
                assert got(page, with_path(template, value)).status_code in {403, 404}, (template, value)


@pytest.mark.parametrize("route", ["queue/join", "call/x", "run/x", "api/x"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_an_event_that_names_an_address_as_its_file_is_refused(page: TestClient, route: str, kind: str) -> None:
    file = '{"path": "\\u0068ttps://evil.example/a.png", "meta": {"_type": "gradio.FileData"}}'
    body = f'{{"data": [[{{"image": {file}}}]], "fn_index": 0, "session_hash": "a"}}'
    answer = got(page, f"/gradio_api/{route}", "POST", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, "fetches no addresses" in answer.text) == (403, True)
    own = body.replace("\\u0068ttps://evil.example", "/outputs").replace('"meta"', '"url": "http://127.0.0.1/", "meta"')
    assert got(page, f"/gradio_api/{route}", "POST", content=own, headers={"Content-Type": kind}).status_code != 403


@pytest.mark.parametrize("form", ["/gradio_api/file={}", "/gradio_api/file/{}"])
def test_pictures_are_shown_and_the_rest_is_downloaded(page: TestClient, outputs: Path, form: str) -> None:
    Image.new("RGB", (8, 8)).save(outputs / "a.png")
    Image.new("RGB", (8, 8)).save(outputs / "a.webp")
    for name in ("a.svg", "a.xml", "a.txt", "a.json", "a.js", "a.pdf", "noending"):
        (outputs / name).write_bytes(SCRIPT)
        assert is_harmless(got(page, form.format(outputs / name))), name
    for name in ("a.png", "a.webp"):
        answer = got(page, form.format(outputs / name))
        assert answer.status_code == 200 and answer.content == (outputs / name).read_bytes()
        assert answer.headers["content-disposition"].startswith("inline")
        assert answer.headers["content-security-policy"].startswith("sandbox;")


def test_a_range_shows_nothing_of_the_request(page: TestClient, outputs: Path) -> None:
    (outputs / "b.html").write_bytes(SCRIPT)
    headers = {"Range": "bytes=0-9", "Content-Security-Policy": "default-src *", "Cookie": "secret=1"}
    answer = got(page, f"/gradio_api/file={outputs}/b.html", headers=headers)
    assert is_harmless(answer)
    assert "cookie" not in answer.headers and answer.content == SCRIPT


def test_the_page_itself_runs(page: TestClient) -> None:
    for path in ("/", "/theme.css", "/gradio_api/theme.css", "/static/img/logo.svg"):
        answer = got(page, path)
        assert answer.status_code == 200, path
        assert "sandbox" not in answer.headers["content-security-policy"]
        assert "attachment" not in answer.headers.get("content-disposition", "")
    config = got(page, "/config")
    assert config.status_code == 200 and "attachment" not in config.headers.get("content-disposition", "")


def test_a_script_that_a_browser_has_is_never_fetched_again(page: TestClient) -> None:
    script = re.search(r'src="\./(assets/index-[\w-]+\.js)"', got(page, "/").text)
    assert script is not None
    assert "immutable" in got(page, f"/{script[1]}").headers["cache-control"]
    # Others may come out of date, or are somebody's.
    for path in ("/", "/theme.css", "/config", "/assets/index-none.js"):
        assert "immutable" not in got(page, path).headers.get("cache-control", ""), path


def test_a_picture_of_another_login_is_shown_on_no_route(tmp_path: Path) -> None:
    flags = parse_flags(["--data-dir", str(tmp_path), "--gradio-auth", "ann:1,bob:2"])
    services = open_services(flags)
    folder = services.paths.outputs_dir / "txt2img-images"
    hers, nobodys = write_picture(folder / "her own.png", "hers"), write_picture(folder / "old.png", "nobody's")
    services.index.start()
    services.index.saved(hers, "ann")
    assert services.index.wait_until_settled()
    host = page_host(services, flags, UploadStore(tmp_path / "uploads"))
    ann, bob = (TestClient(Door(host, DoorRules()), base_url="http://127.0.0.1:7860") for _ in range(2))
    for page, name, password in ((ann, "ann", "1"), (bob, "bob", "2")):
        assert page.post("/login", data={"username": name, "password": password}).status_code == 200
    around = f"{folder}/../{folder.name}/{hers.name}"
    forms = (str(hers), around, around.replace(" ", "%20"), around.replace(" ", "%2520"), f"{folder}/./{hers.name}")
    for route in ("file=", "file/"):
        assert got(ann, f"/gradio_api/{route}{hers}").content == hers.read_bytes()
        assert got(bob, f"/gradio_api/{route}{nobodys}").content == nobodys.read_bytes()
        for form in forms:
            answer = got(bob, f"/gradio_api/{route}{form}")
            assert answer.content != hers.read_bytes(), form
        assert got(bob, f"/gradio_api/{route}{hers}").json() == {"detail": "This is a picture of another login."}
    for method, template in routes_of(host):
        if method == "GET" and ":path}" in template:
            for form in forms:
                assert got(bob, with_path(template, form)).content != hers.read_bytes(), (template, form)
    (picture,) = services.index.search.page("name:own").pictures
    services.index.actions.trash([picture])
    (trashed,) = services.index.search.page("in:trash").pictures
    assert got(bob, f"/gradio_api/file={trashed.path}").status_code == 403
    services.options.update({"gallery_of_others": True})
    services.index.actions.restore([trashed])
    assert got(bob, f"/gradio_api/file={hers}").content == hers.read_bytes()
    services.index.close()
