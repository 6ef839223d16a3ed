"""The routes of the tabs of cards: lists, pictures, a person's notes, new previews; and A1111's own routes for them."""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from safetensors.torch import save_file

from modules.api.extra_networks import card_html, extra_network_routes
from modules.api.lists import list_routes
from modules.catalogue.card_facts import expanded
from modules.families import FLUX2_KLEIN_4B, FLUX2_KLEIN_9B, SD1, Z_IMAGE
from modules.page.card_previews import preview_target
from modules.page.card_routes import card_routes
from modules.pictures import read_metadata
from modules.settings import parse_flags
from tests.catalogue.files import write_header, write_model
from tests.checkpoints import write_lora
from tests.page.fakes import any_visitor, open_services
from tests.z_image_files import z_image_lora


def picture_bytes(kind: str = "PNG", size: tuple[int, int] = (600, 300), colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, kind)
    return buffer.getvalue()


class House:
    """A client of the routes, over model folders that tests fill."""

    def __init__(self, data: Path, *flags: str) -> None:
        self.data = data
        self.services: Any = open_services(parse_flags(["--data-dir", str(data), *flags]))
        app = FastAPI()
        app.include_router(card_routes(self.services, any_visitor))
        app.include_router(extra_network_routes(self.services))
        app.include_router(list_routes(self.services))
        self.client = TestClient(app)

    def lora(self, name: str, metadata: dict[str, str] | None = None, **noted: object) -> Path:
        path = write_model(self.data / "models" / "Lora" / f"{name}.safetensors", metadata)
        if noted:
            path.with_suffix(".json").write_text(json.dumps(noted))
        return path

    def cards(self, **query: Any) -> dict[str, Any]:
        answer = self.client.get("/internal/cards", params={"kind": "lora", "newest": True, **query})
        assert answer.status_code == 200, answer.text
        assert self.services.cards.wait(60)
        again = self.client.get("/internal/cards", params={"kind": "lora", **query})
        found: dict[str, Any] = again.json()
        return found

    def details(self, name: str, **query: Any) -> Any:
        return self.client.get("/internal/cards/details", params={"kind": "lora", "name": name, **query}).json()

    def save(self, name: str, weight: float | None = None, **texts: str) -> Any:
        body = {"kind": "lora", "name": name, "texts": texts, "weight": weight}
        return self.client.post("/internal/cards/details", json=body)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    one = House(tmp_path)
    yield one
    one.services.cards.close()
    one.services.jobs.close()


def test_a_list_comes_in_stretches(house: House) -> None:
    for number in range(7):
        house.lora(f"n{number}")
    found = house.cards(offset=2, limit=3)
    assert (found["total"], found["all"], [card["title"] for card in found["cards"]]) == (7, 7, ["n2", "n3", "n4"])
    assert house.cards(offset=50)["cards"] == []
    for bad in ({"limit": 201}, {"offset": -1}, {"kind": "secrets"}, {"sort": "size"}):
        assert house.client.get("/internal/cards", params={"kind": "lora", **bad}).status_code == 422


def test_a_card_has_what_a_click_inserts(house: House) -> None:
    house.lora("cat", {"ss_output_name": "Tom"}, **{"activation text": "tomcat", "negative text": "dog"})
    house.lora("dog", None, **{"preferred weight": 0.6})
    cat, dog = house.cards()["cards"]
    assert (cat["prompt_name"], cat["names"], cat["weight"]) == ("Tom", ["cat", "Tom"], 1.0)
    assert (cat["activation"], cat["negative"], dog["weight"]) == ("tomcat", "dog", 0.6)
    house.services.options.update({"lora_preferred_name": "Filename", "extra_networks_default_multiplier": 0.8})
    cat, dog = house.cards()["cards"]
    assert (cat["prompt_name"], cat["weight"], dog["weight"]) == ("cat", 0.8, 0.6)


def test_a_click_inserts_a_name_that_a_tag_can_hold(house: House) -> None:
    house.lora("a", {"ss_output_name": "Ink: wet"})
    house.lora("b=c", {"ss_output_name": "paper"})
    assert [card["prompt_name"] for card in house.cards()["cards"]] == ["a", "paper"]
    house.services.options.update({"lora_preferred_name": "Filename"})
    assert [card["prompt_name"] for card in house.cards()["cards"]] == ["a", "paper"]


def test_half_a_character_in_one_file_spoils_no_list(house: House) -> None:
    half = json.loads('"x\\ud800"')
    house.lora("cat", {"ss_output_name": half, half: "y", "ss_tag_frequency": '{"1_\\ud800": {"tail": 2}}'})
    house.lora("dog", None, description=half, **{"activation text": half})
    (house.data / "models" / "Lora" / "dog.civitai.info").write_text('{"trainedWords": ["\\ud800"], "name": "\\ud800"}')
    cat, dog = house.cards()["cards"]
    assert (cat["prompt_name"], dog["description"], dog["activation"]) == ("x\ufffd", "x\ufffd", "x\ufffd")
    for name in ("cat.safetensors", "dog.safetensors"):
        assert house.details(name)["table"]
    answer = house.client.get("/sd_extra_networks/metadata", params={"page": "lora", "item": "cat"})
    assert "ss_output_name" in answer.json()["metadata"]
    assert expanded({"x": '{"a": "\\ud800"}'}) == {"x": '{"a": "\\ud800"}'}


@pytest.mark.skipif(os.name == "nt", reason="names are UTF-16 there")
def test_a_file_whose_name_is_no_text_spoils_no_list(house: House) -> None:
    path = house.lora("cat")
    try:
        os.link(path, os.fsencode(path.parent) + b"/\xff.safetensors")
    except OSError:
        pytest.skip("this file system takes no such names")
    assert [card["title"] for card in house.cards()["cards"]] == ["cat"]


def test_settings_say_how_cards_are_listed(house: House) -> None:
    house.lora("a/b", description="Words")
    house.lora(".c/d")
    options = house.services.options
    assert (house.cards()["folders"], house.cards()["cards"][0]["description"]) == ([".c/", "a/"], "Words")
    options.update(
        {
            "extra_networks_show_hidden_directories": False,
            "extra_networks_hidden_models": "Always",
            "extra_networks_card_order_field": "Name",
            "extra_networks_card_order": "Descending",
            "extra_networks_card_show_desc": False,
            "extra_networks_card_width": 111,
            "extra_networks_card_height": 222,
            "extra_networks_card_text_scale": 1.5,
            "extra_networks_tree_view_style": "Tree",
            "extra_networks_tree_view_default_width": 99,
            "extra_networks_add_text_separator": ", ",
        }
    )
    found = house.cards()
    assert (found["folders"], [card["title"] for card in found["cards"]]) == (["a/"], ["d", "b"])
    assert found["query"] == {"sort": "name", "descending": True, "fitting": True}
    assert found["cards"][1]["description"] == ""
    look = {"width": 111, "height": 222, "scale": 1.5, "tree": True, "tree_width": 99, "separator": ", "}
    assert found["look"] == look


def test_loras_of_another_family_are_left_out_unless_a_setting_or_the_page_shows_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.lora("one", {"ss_base_model_version": "sd_v1"})
    house.lora("xl", {"ss_base_model_version": "sdxl_base_v1-0"})
    house.lora("unknown")
    # Of a checkpoint of unknown family everything fits.
    assert house.cards()["total"] == 3
    monkeypatch.setattr(house.services.catalogue, "architecture", lambda checkpoint: SimpleNamespace(family=SD1))
    assert [card["title"] for card in house.cards()["cards"]] == ["one", "unknown"]
    assert house.cards(fitting=False)["total"] == 3
    house.services.options.update({"lora_hide_unknown_for_versions": ["SD1"]})
    assert [card["title"] for card in house.cards()["cards"]] == ["one"]
    house.services.options.update({"lora_show_all": True})
    assert house.cards()["total"] == 3
    assert house.cards(fitting=True)["total"] == 1


def test_the_filter_tells_loras_of_transformers_by_their_shapes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = house.data / "models" / "Lora"
    folder.mkdir(parents=True, exist_ok=True)
    save_file(z_image_lora(), folder / "z.safetensors", {"ss_base_model_version": "sd_v1"})
    for name, width in (("klein4", 3072), ("klein9", 4096)):
        stem = "diffusion_model.double_blocks.0.img_mlp.0"
        down, up = torch.zeros(1, width), torch.zeros(6 * width, 1)
        save_file({f"{stem}.lora_A.weight": down, f"{stem}.lora_B.weight": up}, folder / f"{name}.safetensors")
    write_lora(folder / "old.safetensors", metadata={"ss_base_model_version": "sd_v1"})
    fitting = {}
    for family in (Z_IMAGE, FLUX2_KLEIN_4B, FLUX2_KLEIN_9B, SD1):
        loaded = SimpleNamespace(family=family)
        monkeypatch.setattr(house.services.catalogue, "architecture", lambda checkpoint, loaded=loaded: loaded)
        fitting[family.name] = [card["title"] for card in house.cards()["cards"]]
    assert fitting == {"Z-Image": ["z"], "Flux.2 klein 4B": ["klein4"], "Flux.2 klein 9B": ["klein9"], "SD1": ["old"]}


@pytest.mark.skipif(sys.platform != "linux", reason="Linux counts what a process reads")
def test_of_a_lora_of_2_gb_only_its_head_is_read(house: House) -> None:
    def read_so_far() -> int:
        return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])

    size, layer = 2**31, "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
    tensor = {"dtype": "F16", "shape": [size // 2 // 768, 768], "data_offsets": [0, size // 1536 * 1536]}
    document = {"__metadata__": {"ss_output_name": "large"}, layer: tensor}
    for name, length in (("whole", size), ("cut", size // 2)):
        path = write_header(house.data / "models" / "Lora" / f"{name}.safetensors", document)
        os.truncate(path, length + 1000)
    before = read_so_far()
    cards = {card["title"]: card for card in house.cards()["cards"]}
    assert json.loads(house.details("whole")["metadata"]) == {"ss_output_name": "large"}
    assert house.client.get("/sdapi/v1/loras").status_code == 200
    assert read_so_far() - before < 20 * 2**20
    assert set(cards) == {"whole", "cut"}
    assert "is truncated: it has 1,073,742,824 bytes" in cards["cut"]["problem"]


# Pictures


def test_a_preview_is_a_small_copy_made_once(house: House) -> None:
    path = house.lora("cat")
    path.with_suffix(".jpg").write_bytes(picture_bytes("JPEG"))
    (card,) = house.cards()["cards"]
    answer = house.client.get(f"/internal/{card['picture']}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert Image.open(io.BytesIO(answer.content)).size == (384, 192)
    assert len(list((house.data / "cache" / "thumbnails").rglob("*.webp"))) == 1
    house.client.get(f"/internal/{card['picture']}")
    assert len(list((house.data / "cache" / "thumbnails").rglob("*.webp"))) == 1


def test_a_preview_that_is_a_bomb_or_no_picture_is_not_decoded(house: House) -> None:
    bomb = bytearray(picture_bytes())
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    for name, data in (("bomb", bytes(bomb)), ("text", b"not a picture")):
        house.lora(name).with_suffix(".png").write_bytes(data)
    for card in house.cards()["cards"]:
        assert house.client.get(f"/internal/{card['picture']}").status_code == 404


def test_a_picture_inside_a_model_is_shown_where_there_is_none_beside_it(house: House) -> None:
    cover = base64.b64encode(picture_bytes("JPEG")).decode()
    house.lora("cat", {"ssmd_cover_images": json.dumps([cover, "x"])})
    house.lora("dog", {"modelspec.thumbnail": f"data:image/png;base64,{base64.b64encode(picture_bytes()).decode()}"})
    house.lora("page", {"ssmd_cover_images": json.dumps([base64.b64encode(b"<script>").decode()])})
    cat, dog, page = house.cards()["cards"]
    assert house.client.get(f"/internal/{cat['picture']}").headers["content-type"] == "image/jpeg"
    assert house.client.get(f"/internal/{dog['picture']}").headers["content-type"] == "image/png"
    assert house.client.get(f"/internal/{page['picture']}").status_code == 404
    covers = "/sd_extra_networks/cover-images"
    assert house.client.get(covers, params={"page": "Lora", "item": "cat"}).content == picture_bytes("JPEG")
    for item, index in (("cat", 1), ("cat", 7), ("page", 0), ("nobody", 0)):
        assert house.client.get(covers, params={"page": "lora", "item": item, "index": index}).status_code == 404


# Notes


def test_notes_are_saved_and_unknown_keys_stay(house: House) -> None:
    path = house.lora("cat", None, **{"description": "Old", "theirs": {"deep": [1]}, "sd version": "Unknown"})
    house.cards()
    answer = house.save("cat.safetensors", 0.75, **{"description": "Größe", "activation text": "tom", "evil": "x"})
    assert answer.status_code == 200
    assert answer.json()["values"]["preferred weight"] == 0.75
    text = path.with_suffix(".json").read_text("utf-8")
    assert json.loads(text) == {
        "description": "Größe",
        "theirs": {"deep": [1]},
        "sd version": "Unknown",
        "activation text": "tom",
        "preferred weight": 0.75,
    }
    assert text.startswith('{\n    "description": "Größe"')
    (card,) = house.cards()["cards"]
    assert (card["description"], card["activation"], card["weight"]) == ("Größe", "tom", 0.75)


def test_notes_never_replace_a_file_that_cannot_be_read(house: House) -> None:
    path = house.lora("cat").with_suffix(".json")
    path.write_text("{mine, but no JSON")
    house.cards()
    assert "holds no JSON" in house.details("cat")["problem"]
    answer = house.save("cat.safetensors", description="x")
    assert (answer.status_code, "nothing was saved" in answer.json()["detail"]) == (422, True)
    assert path.read_text() == "{mine, but no JSON"


def test_only_cards_can_be_noted(house: House) -> None:
    (house.data / "secret.safetensors").write_bytes(b"x")
    for name in ("../secret.safetensors", "/etc/passwd", str(house.data / "secret.safetensors"), "nobody"):
        assert house.save(name, description="x").status_code == 404
    assert not (house.data / "secret.json").exists()


# Previews


def result(house: House, monkeypatch: pytest.MonkeyPatch, kind: str = "PNG", suffix: str = ".png") -> Path:
    path = house.data / f"result{suffix}"
    path.write_bytes(picture_bytes(kind))
    shown = [SimpleNamespace(path=path, infotext="a cat\nSteps: 3")]
    monkeypatch.setattr("modules.page.card_routes.shown_pictures", lambda services, viewer, job: shown if job else [])
    return path


def test_the_picture_on_display_becomes_the_preview(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    path = result(house, monkeypatch)
    house.lora("cat")
    house.cards()
    body = {"kind": "lora", "name": "cat.safetensors", "job": "job", "picture": 0}
    answer = house.client.post("/internal/cards/preview", json=body)
    assert answer.status_code == 200
    assert (house.data / "models" / "Lora" / "cat.png").read_bytes() == path.read_bytes()
    assert parse_qs(urlsplit(answer.json()["picture"]).query)["name"] == ["cat.safetensors"]
    for wrong in ({"job": ""}, {"picture": 1}):
        assert house.client.post("/internal/cards/preview", json=body | wrong).status_code == 422
    assert house.client.post("/internal/cards/preview", json=body | {"name": "../x"}).status_code == 404


def test_a_new_preview_takes_the_place_of_the_one_that_is_shown(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    result(house, monkeypatch)
    preview = house.lora("cat").with_name("cat.preview.webp")
    preview.write_bytes(picture_bytes("WEBP", colour="blue"))
    house.cards()
    body = {"kind": "lora", "name": "cat.safetensors", "job": "job"}
    assert house.client.post("/internal/cards/preview", json=body).status_code == 200
    written = read_metadata(preview)
    assert written.infotext == "a cat\nSteps: 3"
    with Image.open(preview) as image:
        assert image.format == "WEBP"
    assert sorted(one.name for one in preview.parent.iterdir()) == ["cat.preview.webp", "cat.safetensors"]


def test_previews_get_a1111s_names(house: House) -> None:
    house.lora("cat").with_suffix(".gif").write_bytes(picture_bytes("GIF"))
    house.lora("dog")
    write_model(house.data / "embeddings" / "smile.safetensors")
    house.cards()
    cards = house.services.cards
    names = [
        (kind, stem, preview_target(cards.find(kind, stem), form).name)
        for kind, stem, form in (
            ("lora", "cat", "jpg"),
            ("lora", "dog", "jpg"),
            ("lora", "dog", "exe"),
            ("textual inversion", "smile", "png"),
        )
    ]
    assert [name for *_, name in names] == ["cat.png", "dog.jpg", "dog.png", "smile.preview.png"]


# A1111's routes


def test_thumb_shows_pictures_of_cards_alone(house: House) -> None:
    path = house.lora("cat")
    (path.with_suffix(".png")).write_bytes(picture_bytes())
    (path.with_name("other.png")).write_bytes(picture_bytes())
    path.with_suffix(".json").write_text("{}")
    (house.data / "models" / "Lora" / "dog.safetensors").write_bytes(path.read_bytes())
    (house.data / "models" / "Lora" / "dog.png").symlink_to("/etc/hostname")
    house.cards()
    thumb = "/sd_extra_networks/thumb"
    assert house.client.get(thumb, params={"filename": str(path.with_suffix(".png"))}).content == picture_bytes()
    for other in (
        path,
        path.with_suffix(".json"),
        path.with_name("other.png"),
        path.with_name("dog.png"),
        "/etc/passwd",
    ):
        assert house.client.get(thumb, params={"filename": str(other)}).status_code == 404


def test_metadata_and_card_come_in_a1111s_shapes(house: House) -> None:
    house.lora("<b>", {"ss_output_name": "x", "ssmd_cover_images": "[]"}, description='"><script>x</script>')
    house.cards()
    query = {"page": "lora", "item": "<b>"}
    metadata = house.client.get("/sd_extra_networks/metadata", params=query).json()
    assert json.loads(metadata["metadata"]) == {"ss_output_name": "x"}
    assert house.client.get("/sd_extra_networks/metadata", params={"page": "lora", "item": "none"}).json() == {}
    html = house.client.get("/sd_extra_networks/get-single-card", params={"page": "lora", "name": "<b>"}).json()["html"]
    assert "<script" not in html and "<b>" not in html
    assert html == card_html(house.services.cards.find("lora", "<b>"))
    assert 'data-name="&lt;b&gt;"' in html
