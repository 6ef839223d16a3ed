"""Ways between tabs, "upscale this one" and Extras, without a browser."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from PIL import Image

from modules.jobs.job import Job, SavedImage
from modules.page.detail_events import detailed, detailed_of_gallery
from modules.page.folder_routes import folder_routes
from modules.page.form import RESIZE_TO, SIZE_FROM
from modules.page.hires_events import upscaled
from modules.page.paste import form_values
from modules.page.send_to import picture_of_gallery, sent_values
from modules.page.uploads import Upload, UploadStore
from modules.parameters import GenerationRequest, RequestError, resolve
from modules.pictures import PictureError
from modules.settings import parse_flags
from tests.page.fakes import open_services
from tests.pictures.test_opening import encoded

HIRES = (
    "a barn\nSteps: 12, Sampler: Euler, Schedule type: Karras, CFG scale: 7, Seed: 5, Size: 512x384, "
    "Denoising strength: 0.6, Hires upscale: 2, Hires steps: 9, Hires upscaler: Lanczos, Hires prompt: a red barn"
)


@pytest.fixture
def services(tmp_path: Path) -> Any:
    return open_services(parse_flags(["--data-dir", str(tmp_path)], {}))


def finished(tmp_path: Path, request: GenerationRequest, count: int = 2) -> Job:
    resolved = resolve(request, options={}, rng=random.Random(1), checkpoint="x")
    images = []
    for index in range(count):
        path = tmp_path / f"{index}.png"
        path.write_bytes(encoded(Image.new("RGB", (64, 72))))
        images.append(SavedImage(index, "image", path, "", resolved.seeds[index], resolved.subseeds[index], 64, 72))
    return Job("id", "finished", request, resolved, images=tuple(images), created=time.time())


def test_an_infotext_of_a_hires_picture_fills_the_hires_controls(services: Any) -> None:
    values, notices = form_values(services, HIRES)
    assert values["enable_hr"] is True and values["hr_upscaler"] == "Lanczos"
    assert (values["hr_scale"], values["hr_second_pass_steps"], values["denoising_strength"]) == (2, 9, 0.6)
    assert values["hr_prompt"] == "a red barn"
    assert any("Hires prompt" in notice for notice in notices)


def test_a_sent_picture_brings_its_own_size_and_leaves_the_strength_of_a_hires_pass(services: Any) -> None:
    values, _ = sent_values(services, HIRES, Upload("0" * 64, 1024, 770))
    assert (values["width"], values["height"], values[SIZE_FROM]) == (1024, 768, RESIZE_TO)
    assert values["prompt"] == "a barn" and values["seed"] == "5"
    assert "denoising_strength" not in values


def test_settings_decide_whether_seed_and_size_are_sent(services: Any) -> None:
    services.options.update({"send_seed": False, "send_size": False})
    values, _ = sent_values(services, HIRES, Upload("0" * 64, 1024, 768))
    assert {"seed", "width", "height"}.isdisjoint(values)
    services.options.update({"send_size": True})
    values, _ = sent_values(services, "", Upload("0" * 64, 8000, 4000))
    assert (values["width"], values["height"]) == (2048, 1024)


def test_upscaling_one_of_a_batch_goes_on_from_its_picture_with_its_seed(tmp_path: Path) -> None:
    job = finished(tmp_path, GenerationRequest(prompt="x", seed=70, n_iter=2, steps=9))
    hires = GenerationRequest(hr_upscaler="Nearest", hr_scale=1.5, denoising_strength=0.3, prompt="other", seed=1)
    shown = [(job, image) for image in job.images]
    request, inputs = upscaled(shown, 1, hires)
    assert inputs == {request.firstpass_image: job.images[1].path.read_bytes()}
    assert (request.width, request.height) == (job.images[1].width, job.images[1].height)
    assert (request.seed, request.n_iter, request.batch_size, request.enable_hr) == (71, 1, 1, True)
    assert (request.prompt, request.steps) == ("x", 9)
    assert (request.hr_upscaler, request.hr_scale, request.denoising_strength) == ("Nearest", 1.5, 0.3)
    for missing, index in (([], 0), (shown, 2), (shown, -1)):
        with pytest.raises(RequestError, match="no picture to enlarge"):
            upscaled(missing, index, hires)


def test_painting_over_one_of_a_batch_starts_from_it_as_it_is(tmp_path: Path) -> None:
    job = finished(tmp_path, GenerationRequest(prompt="x", seed=70, n_iter=2, steps=9, enable_hr=True))
    shown = [(job, image) for image in job.images]
    tabs: Any = [{"ad_model": "face.onnx", "ad_tab_enable": True}]
    form = GenerationRequest(prompt="other", scripts={"ADetailer": {"ad_enable": True, "tabs": tabs}})
    request, inputs = detailed(shown, 1, form)
    assert inputs == {request.init_images[0]: job.images[1].path.read_bytes()}
    assert (request.mode, request.enable_hr, request.n_iter, request.seed) == ("img2img", False, 1, 71)
    assert (request.prompt, request.steps) == ("x", 9)
    values = request.scripts["ADetailer"]
    assert values["ad_enable"] and values["ad_skip_img2img"]
    assert values["tabs"] == form.scripts["ADetailer"]["tabs"]
    with pytest.raises(RequestError, match="no picture to paint over"):
        detailed(shown, 2, form)
    with pytest.raises(RequestError, match="Choose a detector"):
        detailed(shown, 1, GenerationRequest())


def test_painting_over_a_picture_of_the_gallery_goes_by_its_parameters(services: Any, tmp_path: Path) -> None:
    uploads = UploadStore(tmp_path / "uploads")
    picture = encoded(Image.new("RGB", (64, 72)))
    sent = {"picture": uploads.put(picture).id, "infotext": "a cat\nSteps: 7, Sampler: Euler, CFG scale: 3, Seed: 9"}
    tabs: Any = [{"ad_model": "face.onnx", "ad_tab_enable": True}]
    form = GenerationRequest(prompt="other", steps=3, scripts={"ADetailer": {"ad_enable": True, "tabs": tabs}})
    request, inputs = detailed_of_gallery(services, uploads, json.dumps(sent), form)
    assert (request.mode, request.prompt, request.steps, request.seed) == ("img2img", "a cat", 7, 9)
    assert list(inputs) == list(request.init_images) and request.scripts["ADetailer"]["ad_skip_img2img"]
    bare, _ = detailed_of_gallery(services, uploads, json.dumps({**sent, "infotext": ""}), form)
    assert (bare.prompt, bare.steps) == ("other", 3), "the form says what the picture doesn't"
    for missing in ("{}", "{", "[]", json.dumps({"picture": "0" * 64})):
        with pytest.raises(RequestError):
            detailed_of_gallery(services, uploads, missing, form)


def test_a_picture_of_the_gallery_is_sent_with_what_its_index_knows(services: Any, tmp_path: Path) -> None:
    uploads = UploadStore(tmp_path / "uploads")
    digest = uploads.put(encoded(Image.new("RGB", (64, 72)))).id
    found = picture_of_gallery(json.dumps({"picture": digest, "infotext": HIRES}), uploads)
    assert found == (uploads.path(digest), HIRES)
    for broken in ("{", "{}x", "[1]", '"x"'):
        assert picture_of_gallery(broken, uploads) is None
    for unknown in ("{}", json.dumps({"picture": "../../etc/passwd"}), json.dumps({"picture": "0" * 64})):
        with pytest.raises(PictureError):
            picture_of_gallery(unknown, uploads)


def anybody(request: Request) -> None:
    """A door that is open to all."""


def test_a_pictures_folder_is_opened_for_the_person_at_this_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []

    def note(folder: Path) -> str:
        opened.append(folder)
        return ""

    monkeypatch.setattr("modules.page.folder_routes.open_folder", note)
    picture = tmp_path / "outputs" / "a" / "1.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(encoded(Image.new("RGB", (64, 72))))
    for flags, status in (([], 200), (["--listen"], 403)):
        services = open_services(parse_flags(["--data-dir", str(tmp_path), *flags], {}))
        services.index.start()
        assert services.index.wait_until_settled()
        [shot] = services.index.search.page("", "newest").pictures
        app = FastAPI()
        app.include_router(folder_routes(services, anybody))
        client = TestClient(app)
        answer = client.post("/internal/folders/open", json={"picture": services.index.id_of(shot.row)})
        assert answer.status_code == status
        services.index.close()
    assert opened == [picture.parent]
