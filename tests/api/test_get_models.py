"""/v1/downloads: looked up, fetched, paused, refused; tokens that are never answered."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from modules.api.get_models import get_model_routes
from modules.downloads.offered import offered_models
from modules.jobs.services import Services
from modules.settings import parse_flags
from tests.downloads import models
from tests.downloads.site import Hosted, Site, model_site
from tests.server.fake_engine_server import open_services

PATH = "/v1/downloads"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with model_site() as running:
        yield running


class Desk:
    """A server's routes over folders of its own."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.folder = folder
        self.services: Services = open_services(
            parse_flags(["--data-dir", str(folder), "--skip-load-model-at-start", "--no-hashing", *flags], {})
        )
        app = FastAPI()
        app.include_router(get_model_routes(self.services))
        self.client = TestClient(app)

    def wait(self) -> Any:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            listed = self.client.get(PATH).json()["downloads"]
            if all(one["state"] in {"finished", "failed"} for one in listed):
                return listed
            time.sleep(0.02)
        raise AssertionError("that took too long")


@pytest.fixture
def desk(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    site.files.clear()
    monkeypatch.setenv("HF_ENDPOINT", f"{site.url}/")
    monkeypatch.setenv("CIVITAI_ENDPOINT", site.url)
    for name in ("HF_TOKEN", "CIVITAI_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    opened = Desk(tmp_path)
    yield opened
    opened.services.close()


def test_a_file_is_looked_up_fetched_and_listed(desk: Desk, site: Site) -> None:
    data = models.lora()
    site.put("org/name/a.safetensors", Hosted(data))
    site.put("org/name/notes.md", Hosted(b"text"))
    found = desk.client.post(f"{PATH}/look", json={"address": "org/name"}).json()
    assert found["files"] == [{"number": 0, "name": "a.safetensors", "size": len(data), "kind": ""}]
    assert "detector" in found["kinds"] and found["page"] == "https://huggingface.co/org/name"
    (row,) = desk.client.post(PATH, json={"address": "org/name", "file": 0}).json()
    assert row["state"] in {"waiting", "running", "checking", "finished"}
    (done,) = desk.wait()
    assert (done["state"], done["kind"], done["received"], done["left"]) == ("finished", "lora", len(data), None)
    assert Path(done["path"]).read_bytes() == data
    assert [card.name for card in desk.services.cards.of("lora").cards] == ["a.safetensors"], "the lists know it"
    assert desk.client.delete(f"{PATH}/{done['id']}").status_code == 200
    assert desk.client.get(PATH).json()["downloads"] == []
    assert Path(done["path"]).is_file()


@pytest.mark.parametrize(
    ("call", "body", "sentence"),
    [
        ("/look", {"address": "nonsense"}, "no address of a model"),
        ("/look", {"address": "org/missing"}, "127.0.0.1 has nothing at this address (it answers 404)"),
        ("/look", {"address": "org/pages"}, "org/pages has no model file"),
        ("", {"address": "org/name", "file": 7}, "There is no file 7 at this address; there are 1."),
        ("", {"address": "org/name", "kind": "cake"}, "'cake' is no kind of model; there are checkpoint,"),
        ("", {"offered": "cake"}, "'cake' is not on the list of models."),
        ("/zzz/resume", {}, "That download is not on the list any more."),
        ("/tokens", {"site": "civitai", "token": "two words"}, "That is no access token"),
    ],
)
def test_refusals(desk: Desk, site: Site, call: str, body: dict[str, Any], sentence: str) -> None:
    site.put("org/name/a.safetensors", Hosted(models.lora()))
    site.put("org/pages/readme.md", Hosted(b"text"))
    answer = desk.client.post(PATH + call, json=body)
    assert answer.status_code == 422 and sentence in answer.json()["detail"], answer.text
    assert desk.client.get(PATH).json()["downloads"] == []


def test_a_token_opens_a_gated_file_and_is_never_answered(desk: Desk, site: Site) -> None:
    site.put("org/gated/a.safetensors", Hosted(models.lora(), token="hf_secret"))
    desk.client.post(PATH, json={"address": "org/gated"})
    (failed,) = desk.wait()
    assert "accept its terms on its page there" in failed["cause"]
    answer = desk.client.post(f"{PATH}/tokens", json={"site": "hugging_face", "token": " hf_secret\n"})
    assert answer.json() == {"hugging_face": True, "civitai": False}
    desk.client.post(f"{PATH}/{failed['id']}/resume")
    (done,) = desk.wait()
    assert done["state"] == "finished"
    held = desk.folder / "tokens.json"
    assert stat.S_IMODE(held.stat().st_mode) == 0o600
    everything = desk.client.get(PATH).text + answer.text + (desk.folder / "downloads.json").read_text()
    assert "hf_secret" not in everything
    assert (
        desk.client.post(f"{PATH}/tokens", json={"site": "hugging_face", "token": ""}).json()["hugging_face"] is False
    )
    assert "hf_secret" not in held.read_text()


def test_all_files_of_a_suggestion_are_fetched_but_those_that_are_there(desk: Desk, site: Site) -> None:
    taesd = next(one for one in offered_models() if one.id == "taesd")
    for file in taesd.files:
        site.put(file.address, Hosted(models.tiny_autoencoder()))
    folder = desk.services.paths.vae_approx_dir
    folder.mkdir(parents=True)
    (folder / "taesd_encoder.safetensors").write_bytes(b"mine")
    (row,) = desk.client.post(PATH, json={"offered": "taesd"}).json()
    assert row["name"] == "taesd_decoder.safetensors"
    assert desk.wait()[0]["state"] == "finished"
    assert (folder / "taesd_encoder.safetensors").read_bytes() == b"mine"
    offered = {one["id"]: one for one in desk.client.get(f"{PATH}/offered").json()}
    assert offered["taesd"]["there"] and not offered["sdxl"]["there"]
    assert desk.client.post(PATH, json={"offered": "taesd"}).json()["detail"] == "TAESD is there already."


def test_the_list_of_suggestions_is_whole() -> None:
    for model in offered_models():
        assert model.page.startswith("https://") and model.licence and model.card and model.files
        for file in model.files:
            assert file.size > 1000 and (file.sha256 == "" or len(file.sha256) == 64)
            assert "://" not in file.address or file.sha256, "an address that states no hash needs one here"
    assert len({one.id for one in offered_models()}) == len(offered_models())


@pytest.mark.parametrize(("flags", "sentence"), [(["--offline"], "--offline"), (["--listen"], "with a login only")])
def test_where_nothing_is_fetched_it_is_said(tmp_path: Path, flags: list[str], sentence: str) -> None:
    desk = Desk(tmp_path, *flags)
    for answer in (desk.client.get(PATH), desk.client.post(PATH, json={"offered": "sd15"})):
        assert answer.status_code == 403 and sentence in answer.json()["detail"]
    desk.services.close()
