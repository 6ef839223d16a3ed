"""The gallery over HTTP, in this process: search, files, marks, trash, moves, and who may see what."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from PIL import Image

from modules.api.boards import board_routes
from modules.api.picture_changes import picture_change_routes
from modules.api.pictures import picture_routes
from modules.api.routes import api_routes
from modules.gallery.index.service import PictureIndex
from modules.jobs import services as real
from modules.jobs.services import Services
from modules.server.auth import login_required
from modules.settings import OptionStore, Paths, parse_flags
from tests.api.conftest import SMALL
from tests.gallery.pictures import infotext, write_picture
from tests.server.fake_engine_server import fake_launch, write_checkpoint


@dataclass
class Library:
    """A server in this process over a small library."""

    client: TestClient
    services: Services
    data: Path

    def get(self, path: str, **params: Any) -> Any:
        answer = self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def found(self, q: str = "", **params: Any) -> list[dict[str, Any]]:
        pictures: list[dict[str, Any]] = self.get("/v1/pictures", q=q, **params)["pictures"]
        return pictures

    def names(self, q: str = "", **params: Any) -> list[str]:
        return [picture["name"] for picture in self.found(q, **params)]

    def ids(self, q: str = "") -> list[str]:
        return [picture["id"] for picture in self.found(q)]


def write_library(outputs: Path) -> None:
    texts = {
        "cat.png": infotext("a red cat, ink", "blurry", seed=1, Denoising_strength=0.4),
        "cat2.png": infotext("a red cat, ink", "blurry", seed=2, Denoising_strength=0.4),
        "dog.png": infotext("a dog in Köln <lora:pen:0.8>", seed=3, steps=30),
    }
    for number, (name, text) in enumerate(texts.items()):
        write_picture(outputs / "txt2img-images" / name, text, when=1_790_000_000 + 86_400 * number)
    write_picture(outputs / "extras-images" / "plain.png", size=(1200, 80), when=1_700_000_000)


def open_library(data: Path, monkeypatch: pytest.MonkeyPatch, *flags: str, user: Callable[[Request], Any]) -> Library:
    write_checkpoint(data / "models" / "Stable-diffusion" / "demo-emoji.safetensors", "128x128")
    monkeypatch.setattr(real, "engine_launch", fake_launch)
    services = real.open_services(parse_flags(["--data-dir", str(data), *flags]))
    app = FastAPI(openapi_url=None)
    app.include_router(api_routes(services, user))
    assert services.index.wait_until_settled()
    return Library(TestClient(app), services, data)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """The gallery's routes and what they need, without a queue."""
    write_library(tmp_path / "outputs")
    flags = parse_flags(["--data-dir", str(tmp_path)])
    paths = Paths.from_flags(flags)
    options = OptionStore(paths.config_file)
    index = PictureIndex(paths, options)
    services: Any = SimpleNamespace(flags=flags, paths=paths, options=options, index=index)
    index.start()
    assert index.wait_until_settled()
    app = FastAPI()
    for make in (picture_change_routes, picture_routes, board_routes):
        app.include_router(make(services))
    with TestClient(app) as client:
        yield Library(client, services, tmp_path)
    index.close()


def test_pictures_are_found_and_shown(library: Library) -> None:
    page = library.get("/v1/pictures", q="red CAT -dog")
    assert (page["total"], [one["name"] for one in page["pictures"]]) == (2, ["cat2.png", "cat.png"])
    assert (page["explained"], page["indexing"]["skipped"]) == (None, 0)
    assert library.names("köln lora:pen steps:>20") == ["dog.png"]
    assert library.names("size:>=1024") == ["plain.png"]
    assert library.names("stack:" + page["pictures"][0]["stack_key"], sort="oldest") == ["cat.png", "cat2.png"]
    stacked = library.get("/v1/pictures", stack=True)
    assert [(one["name"], one["stack"]) for one in stacked["pictures"]] == [
        ("dog.png", 1),
        ("cat2.png", 2),
        ("plain.png", 1),
    ]
    assert stacked["total"] == 3
    unread = library.get("/v1/pictures", q="modle:anime cat")
    assert unread["total"] == 2
    assert "did you mean model" in unread["explained"]
    first = library.get("/v1/pictures", limit=3)
    rest = library.get("/v1/pictures", limit=3, cursor=first["cursor"])
    assert [one["name"] for one in rest["pictures"]] == ["plain.png"] == library.names(offset=3)

    (dog,) = library.found("name:dog")
    detail = library.get(f"/v1/pictures/{dog['id']}")
    assert detail["prompt"] == "a dog in Köln <lora:pen:0.8>"
    assert list(detail["fields"])[:4] == ["Steps", "Sampler", "CFG scale", "Seed"]
    assert (detail["program"], detail["folder"]) == ("Web UI", "txt2img-images")
    assert detail["path"] == str(library.data / "outputs" / "txt2img-images" / "dog.png")
    file = library.client.get(f"/v1/pictures/{dog['id']}/file")
    assert file.content == (library.data / "outputs/txt2img-images/dog.png").read_bytes()
    assert file.headers["content-type"] == "image/png"
    assert file.headers["x-content-type-options"] == "nosniff"
    assert file.headers["content-security-policy"].startswith("sandbox")
    assert file.headers["content-disposition"].startswith("inline")
    download = library.client.get(f"/v1/pictures/{dog['id']}/file", params={"download": 1})
    assert download.headers["content-disposition"].startswith("attachment")
    small = library.client.get(dog["thumbnail"])
    assert "immutable" in small.headers["cache-control"]
    with Image.open(io.BytesIO(small.content)) as image:
        assert (image.format, image.size) == ("WEBP", (64, 64))


def test_what_a_search_can_be_narrowed_by(library: Library) -> None:
    assert library.get("/v1/pictures/timeline", q="has:prompt")[0]["count"] == 1
    facets = library.get("/v1/pictures/facets")
    assert {one["name"]: one["count"] for one in facets["folders"]} == {
        "outputs": 0,
        "extras-images": 1,
        "txt2img-images": 3,
    }
    assert facets["models"] == [{"name": "anime", "count": 3}]
    assert [one["text"] for one in library.get("/v1/pictures/fields", q="model:an", at=8)] == ["model:anime"]
    assert library.get("/v1/pictures/fields", q="cat Denois")[0] == {
        "text": "Denoising_strength:",
        "label": "Denoising strength:",
        "count": 1,
        "start": 4,
        "end": 10,
    }


def test_marks_boards_searches_and_prompts(library: Library) -> None:
    cats = library.ids("cat")
    marked = library.post("/v1/pictures/marks", {"ids": cats, "rating": 4, "favourite": True, "add_tags": ["Pets"]})
    assert [(one["rating"], one["favourite"], one["tags"]) for one in marked["pictures"]] == [(4, True, ["Pets"])] * 2
    library.post("/v1/pictures/marks", {"ids": cats[:1], "rating": 2, "remove_tags": ["pets"]})
    assert library.names("rating:>=4") == library.names("tag:pets") == ["cat.png"]
    assert library.names("is:favourite", sort="rating") == ["cat.png", "cat2.png"]
    board = library.post("/v1/boards", {"name": "For the wall"})
    library.post(f"/v1/boards/{board['id']}/pictures", {"ids": cats})
    assert library.get("/v1/boards") == [{"id": board["id"], "name": "For the wall", "count": 2}]
    library.post(f"/v1/boards/{board['id']}/pictures", {"ids": cats[:1], "remove": True})
    assert library.names('board:"the wall"') == ["cat.png"]
    assert library.get(f"/v1/pictures/{cats[1]}")["boards"] == [{"id": board["id"], "name": "For the wall"}]
    library.client.patch(f"/v1/boards/{board['id']}", json={"name": "Wall"})
    assert library.get("/v1/pictures/facets")["boards"][0]["name"] == "Wall"
    assert library.client.delete(f"/v1/boards/{board['id']}").status_code == 200
    assert library.client.delete(f"/v1/boards/{board['id']}").status_code == 404
    search = library.post("/v1/searches", {"name": "Cats", "q": "cat"})
    assert library.get("/v1/searches") == [search]
    assert library.client.delete(f"/v1/searches/{search['id']}").status_code == 200

    prompts = library.get("/v1/prompts")
    assert [(one["prompt"][:5], one["count"]) for one in prompts["prompts"]] == [("a dog", 1), ("a red", 2)]
    assert [one["name"] for one in prompts["prompts"][1]["pictures"]] == ["cat2.png", "cat.png"]
    library.post(f"/v1/prompts/{prompts['prompts'][1]['id']}", {"favourite": True})
    library.post("/v1/pictures/trash", {"ids": cats})
    (left,) = library.get("/v1/prompts", favourites=True)["prompts"]
    assert (left["prompt"], left["count"], left["last"]) == ("a red cat, ink", 0, None)


def test_the_trash_and_back(library: Library) -> None:
    cats, folder = library.ids("cat"), library.data / "outputs" / "txt2img-images"
    assert library.post("/v1/pictures/trash", {"ids": [*cats, "x-1"]}) == {
        "trashed": cats,
        "refused": {"x-1": "There is no such picture any more."},
    }
    assert sorted(path.name for path in folder.iterdir()) == ["dog.png"]
    assert (library.names("cat"), library.names("in:trash cat")) == ([], ["cat2.png", "cat.png"])
    write_picture(folder / "cat.png", infotext("another cat"))
    assert library.post("/v1/pictures/restore", {"ids": cats})["restored"] == cats
    assert sorted(path.name for path in folder.iterdir()) == ["cat-1.png", "cat.png", "cat2.png", "dog.png"]
    library.post("/v1/pictures/trash", {"ids": cats})
    emptied = library.post("/v1/pictures/empty-trash")
    assert (sorted(emptied["deleted"]), emptied["refused"], emptied["later"]) == (sorted(cats), {}, 0)
    assert list((library.data / "outputs" / ".gallery-trash").iterdir()) == []


def test_moving_copying_renaming_packing(library: Library) -> None:
    folders = {one["name"]: one["id"] for one in library.get("/v1/pictures/facets")["folders"]}
    outputs = library.data / "outputs"
    (dog,) = library.ids("dog")
    assert library.post("/v1/pictures/move", {"ids": [dog], "folder": folders["extras-images"]})["moved"] == [dog]
    assert (outputs / "extras-images" / "dog.png").is_file()
    assert not (outputs / "txt2img-images" / "dog.png").exists()
    library.post("/v1/pictures/copy", {"ids": [dog], "folder": folders["txt2img-images"]})
    assert [one["folder"] for one in library.found("dog", sort="name")] == ["extras-images", "txt2img-images"]
    library.post("/v1/pictures/rename", {"ids": [dog], "pattern": "[seed]-[basename]"})
    assert library.get(f"/v1/pictures/{dog}")["name"] == "3-dog.png"
    assert library.client.post("/v1/pictures/rename", json={"ids": [dog], "pattern": "../x"}).status_code == 409
    gone = library.client.post("/v1/pictures/move", json={"ids": [dog], "folder": "x-1"})
    assert (gone.status_code, gone.json()["detail"]) == (404, "There is no such folder in the gallery any more.")
    packed = library.client.post("/v1/pictures/zip", json={"ids": library.ids()})
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert sorted(archive.namelist()) == ["3-dog.png", "cat.png", "cat2.png", "dog.png", "plain.png"]


def test_nothing_outside_the_roots_is_served(library: Library, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = write_picture(tmp_path_factory.mktemp("outside") / "secret.png", infotext("a secret"))
    folder = library.data / "outputs" / "txt2img-images"
    (folder / "link.png").symlink_to(outside)
    (folder / "linked").symlink_to(outside.parent)
    (folder / "around").symlink_to(folder)
    assert library.services.index.wait_until_settled()
    assert library.names("secret") == []
    # A file that was indexed, and whose folder has become a link since.
    (dog,) = library.ids("dog")
    moved = folder.rename(outside.parent / "moved")
    folder.symlink_to(moved)
    refused = library.client.get(f"/v1/pictures/{dog}/file")
    assert (refused.status_code, refused.json()["detail"]) == (409, "dog.png lies outside the gallery's folders.")
    assert library.post("/v1/pictures/trash", {"ids": [dog]})["trashed"] == []
    for picture_id in ("/etc/passwd", "..", "x", "1", f"{dog}9999", f"{dog}'"):
        assert library.client.get(f"/v1/pictures/{picture_id}/file").status_code == 404, picture_id


def test_a_new_picture_is_there_at_once_with_its_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [("ann", "1"), ("bob", "2")]
    flags = ("--gradio-auth", "ann:1,bob:2")
    library = open_library(tmp_path, monkeypatch, *flags, user=login_required(people, lambda request: None))
    client = library.client
    with client:
        assert client.get("/v1/pictures").status_code == 401
        made = client.post("/sdapi/v1/txt2img", json=SMALL | {"save_images": True}, auth=("ann", "1"))
        assert made.status_code == 200
        library.services.index.wait_until_settled()
        (picture,) = client.get("/v1/pictures", auth=("ann", "1")).json()["pictures"]
        assert client.get(f"/v1/pictures/{picture['id']}", auth=("ann", "1")).json()["path"] is None
        assert client.get("/v1/pictures", auth=("bob", "2")).json()["total"] == 0
        for what in ("", "/file", "/thumbnail", "/similar"):
            refused = client.get(f"/v1/pictures/{picture['id']}{what}", auth=("bob", "2"))
            assert refused.status_code == 404, what
        trash = client.post("/v1/pictures/trash", json={"ids": [picture["id"]]}, auth=("bob", "2")).json()
        assert trash["trashed"] == []
        library.services.options.update({"gallery_of_others": True})
        assert client.get("/v1/pictures", auth=("bob", "2")).json()["total"] == 1
    library.services.close()


def test_similar_pictures_and_duplicates(library: Library) -> None:
    folder = library.data / "outputs" / "txt2img-images"
    (folder / "copy.png").write_bytes((folder / "dog.png").read_bytes())
    library.services.index.wait_until_settled()
    while library.services.index.similar.more(now=True):
        pass
    (dog,) = library.ids("name:dog")
    similar = library.get(f"/v1/pictures/{dog}/similar", limit=1)
    assert similar[0]["distance"] == 0
    assert {"dog.png", "copy.png"} <= {one["name"] for group in library.get("/v1/pictures/duplicates") for one in group}
