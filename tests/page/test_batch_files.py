"""A batch of files as jobs: which are made, what is taken from their texts, and which are reported and left out."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.gallery.allowed_folders import AllowedFolders, FolderError
from modules.jobs.access import ANYONE, Viewer
from modules.jobs.job import JobError
from modules.page.batch_files import NO_FILES, BatchRequest, read_batch_request, submit_batch, submit_form
from modules.page.form import RESIZE_BY, SCALE, SIZE_FROM, request_from
from modules.page.uploads import UploadStore
from modules.parameters import GenerationRequest, RequestError
from modules.settings import Flags, OptionStore, Paths
from tests.page.fakes import FakeCatalogue

INFOTEXT = (
    "a barn\nNegative prompt: fog\n"
    "Steps: 12, Sampler: Euler Karras, CFG scale: 5.5, Seed: 77, Size: 512x512, Model hash: 0123456789"
)
NAMED: dict[str, Any] = {"prompt": "oil painting", "negative_prompt": "", "steps": 20, "seed": "-1", "mask_blur_x": 4}


class Queue:
    """Takes jobs down; `waiting` others are in it already."""

    def __init__(self) -> None:
        self.taken: list[tuple[GenerationRequest, dict[str, Any]]] = []
        self.waiting = 0

    def submit(self, request: GenerationRequest, **more: Any) -> Any:
        self.taken.append((request, more))
        return SimpleNamespace(id=f"job-{len(self.taken)}", task_id=more.get("task_id"))

    def count(self, state: str) -> int:
        return self.waiting


@pytest.fixture
def services(tmp_path: Path) -> Any:
    paths = Paths.from_flags(Flags(data_dir=tmp_path))
    options = OptionStore(paths.config_file)
    folders = AllowedFolders.at_start(paths, options)
    uploads = UploadStore(tmp_path / "uploads")
    return SimpleNamespace(options=options, folders=folders, catalogue=FakeCatalogue(), jobs=Queue(), uploads=uploads)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    texts = PngInfo()
    texts.add_text("parameters", INFOTEXT)
    Image.new("RGB", (128, 64)).save(folder / "a.png", pnginfo=texts)
    Image.new("RGB", (64, 128)).save(folder / "b.jpg")
    (folder / "c.png").write_bytes(b"no picture")
    return folder


def batch_of(services: Any, **named: Any) -> BatchRequest:
    fields = {"input_dir": "inputs", "output_dir": "", "mask_dir": "", "use": False, "info_dir": "", "properties": []}
    return read_batch_request(services, [None, *(fields | named).values()], upload=False)


def test_each_file_is_a_job_and_a_bad_one_is_named(services: Any, inputs: Path, tmp_path: Path) -> None:
    answer = json.loads(
        submit_batch(
            services, NAMED, batch_of(services, output_dir="outputs/painted"), services.uploads, Viewer(client="me")
        )
    )
    assert answer["notice"].startswith("1 file was skipped:\nc.png: The picture can't be read as a picture")
    (first, earlier), (second, later) = services.jobs.taken
    assert [request.batch.name for request in (first, second)] == ["a.png", "b.jpg"]
    assert first.batch.folder == str(tmp_path / "outputs" / "painted")
    assert earlier["inputs"] == {first.init_images[0]: (inputs / "a.png").read_bytes()}
    assert earlier["task_id"] == later["task_id"] == answer["id"] and earlier["client"] == "me"
    # Reported once, with the first job, so that a page that is reloaded shows it as well.
    assert earlier["notices"] == (answer["notice"],) and later["notices"] == ()


def test_the_size_may_follow_each_picture(services: Any, inputs: Path) -> None:
    submit_batch(services, NAMED | {SIZE_FROM: RESIZE_BY, SCALE: 2.0}, batch_of(services), services.uploads, ANYONE)
    assert [(r.width, r.height) for r, _ in services.jobs.taken] == [(256, 128), (128, 256)]


def test_masks_are_found_by_name_or_are_the_only_one(services: Any, inputs: Path) -> None:
    masks = inputs / "masks"
    masks.mkdir()
    with pytest.raises(FolderError, match="has no pictures in it"):
        batch_of(services, mask_dir="inputs/masks")
    Image.new("L", (128, 64), 255).save(masks / "any.png")
    batch = batch_of(services, mask_dir="inputs/masks")
    submit_batch(services, NAMED, batch, services.uploads, ANYONE)
    assert all(request.mask for request, _ in services.jobs.taken) and len(services.jobs.taken) == 2
    assert services.jobs.taken[0][1]["inputs"][services.jobs.taken[0][0].mask] == (masks / "any.png").read_bytes()
    Image.new("L", (64, 128), 200).save(masks / "b.webp", lossless=True)
    services.jobs.taken.clear()
    answer = json.loads(
        submit_batch(services, NAMED, batch_of(services, mask_dir="inputs/masks"), services.uploads, ANYONE)
    )
    assert [request.batch.name for request, _ in services.jobs.taken] == ["b.jpg"]
    assert "a.png: there is no mask of its name" in answer["notice"]


def test_what_is_taken_from_a_picture_and_nothing_else(services: Any, inputs: Path) -> None:
    batch = batch_of(
        services, use=True, properties=["Prompt", "Negative prompt", "Seed", "Sampler", "Steps", "CFG scale"]
    )
    submit_batch(services, NAMED, batch, services.uploads, ANYONE)
    (taken, _), (plain, _) = services.jobs.taken
    assert (taken.prompt, taken.negative_prompt) == ("oil painting a barn", "fog")
    assert (taken.seed, taken.steps, taken.cfg_scale) == (77, 12, 5.5)
    assert (taken.sampler_name, taken.scheduler) == ("Euler", "Karras")
    # b.jpg says nothing: the page's own values stand.
    assert (plain.prompt, plain.seed, plain.steps) == ("oil painting", -1, 20)
    services.jobs.taken.clear()
    submit_batch(services, NAMED, replace(batch, properties=["Seed", "Model hash"]), services.uploads, ANYONE)
    (only, _), *_ = services.jobs.taken
    assert (only.prompt, only.seed, only.steps) == ("oil painting", 77, 20)
    assert only.override_settings["sd_model_checkpoint"] == "demo-emoji.safetensors [0123456789]"


def test_png_info_of_another_folder(services: Any, inputs: Path) -> None:
    texts = PngInfo()
    texts.add_text("parameters", INFOTEXT.replace("a barn", "a mill"))
    (inputs / "infos").mkdir()
    Image.new("RGB", (8, 8)).save(inputs / "infos" / "a.png", pnginfo=texts)
    batch = batch_of(services, use=True, properties=["Prompt"], info_dir="inputs/infos")
    submit_batch(services, NAMED, batch, services.uploads, ANYONE)
    assert [request.prompt for request, _ in services.jobs.taken] == ["oil painting a mill", "oil painting"]


def test_a_batch_that_cannot_be_queued_is_a_sentence_and_nothing_is_queued(services: Any, inputs: Path) -> None:
    with pytest.raises(FolderError, match="Input directory is empty"):
        batch_of(services, input_dir=" ")
    with pytest.raises(FolderError, match=r"Output directory .* is not among the folders"):
        batch_of(services, output_dir="/etc")
    batch = batch_of(services)
    with pytest.raises(RequestError, match=re.escape(NO_FILES)):
        submit_batch(services, NAMED, replace(batch, files=[]), services.uploads, ANYONE)
    with pytest.raises(RequestError, match=r"1 file was skipped:\nc\.png"):
        submit_batch(services, NAMED, replace(batch, files=batch.files[-1:]), services.uploads, ANYONE)
    services.jobs.waiting = services.options.whole("queue_waiting_limit") - 1
    with pytest.raises(JobError, match="has 2 files and the queue has room for 1"):
        submit_batch(services, NAMED, batch, services.uploads, ANYONE)
    assert services.jobs.taken == []


def test_only_what_gradio_uploaded_counts_as_uploaded(
    services: Any, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    there = tmp_path / "uploads" / "x.png"
    files = [{"path": str(there), "orig_name": "../a b.png"}, {"path": str(inputs / "a.png"), "orig_name": "a.png"}]
    read = read_batch_request(services, [files, "", "", "", False, "", []], upload=True)
    assert read.files == [("a b.png", there)]


def unit(**values: Any) -> dict[str, Any]:
    return {"enabled": True, "module": "canny", "model": "some", "input_mode": "Batch", **values}


def with_units(*units: dict[str, Any]) -> dict[str, Any]:
    return {**NAMED, "script/controlnet/units": json.dumps(units)}


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Three pictures of another colour each, in a folder of its own."""
    folder = tmp_path / "inputs" / "maps"
    folder.mkdir(parents=True)
    for name, colour in (("1.png", "red"), ("2.png", "lime"), ("3.png", "blue")):
        Image.new("RGB", (64, 64), colour).save(folder / name)
    return folder


def unit_pictures(services: Any, number: int = 0) -> list[bytes]:
    """What unit `number` of each job begins with."""
    units = [(request.scripts["ControlNet"]["units"][number], more["inputs"]) for request, more in services.jobs.taken]
    assert all(one["input_mode"] == "Single Image" and one["batch_images"] == "" for one, _ in units)
    return [inputs[one["image"]] for one, inputs in units]


def form_submitted(services: Any, *units: dict[str, Any], **more: Any) -> Any:
    request = request_from("txt2img", {"prompt": "a", **with_units(*units), **more})
    return json.loads(submit_form(services, request, {}, services.uploads, ANYONE, lambda job: "plain"))


def test_a_unit_with_a_folder_is_a_job_for_each_of_its_files(services: Any, maps: Path, tmp_path: Path) -> None:
    single = services.uploads.put((maps / "3.png").read_bytes()).id
    answer = form_submitted(
        services,
        {**unit(), "input_mode": "Single Image", "image": single},
        unit(batch_images="inputs/maps", output_dir="outputs/controlled"),
    )
    assert answer["notice"] == ""
    requests = [request for request, _ in services.jobs.taken]
    assert [one.batch.name for one in requests] == ["1.png", "2.png", "3.png"]
    assert {one.batch.folder for one in requests} == {str(tmp_path / "outputs" / "controlled")}
    assert {more["task_id"] for _, more in services.jobs.taken} == {answer["id"]} and answer["id"].startswith("batch-")
    assert unit_pictures(services, 1) == [(maps / name).read_bytes() for name in ("1.png", "2.png", "3.png")]
    assert unit_pictures(services, 0) == [(maps / "3.png").read_bytes()] * 3


def test_the_shortest_of_several_folders_decides_and_a_bad_file_is_named(services: Any, maps: Path) -> None:
    fewer = maps.parent / "fewer"
    fewer.mkdir()
    for name in ("x.png", "z.png"):
        Image.new("RGB", (64, 64)).save(fewer / name)
    (maps / "2.png").write_bytes(b"no picture")
    answer = form_submitted(services, unit(batch_images="inputs/maps"), unit(batch_images="inputs/fewer"))
    assert answer["notice"].startswith("1 file was skipped:\n2.png: The picture can't be read as a picture")
    assert unit_pictures(services, 0) == [(maps / "1.png").read_bytes()]
    assert unit_pictures(services, 1) == [(fewer / "x.png").read_bytes()]


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("", "ControlNet unit 0: input directory is empty: name a folder."),
        ("inputs/nowhere", r"ControlNet unit 0: input directory .*nowhere is no folder"),
        ("/etc", "ControlNet unit 0: input directory /etc is not among the folders"),
        ("inputs/empty", "ControlNet unit 0: input directory .*empty has no pictures in it"),
    ],
)
def test_a_folder_that_a_unit_can_t_use_is_one_sentence(services: Any, maps: Path, folder: str, said: str) -> None:
    (maps.parent / "empty").mkdir()
    with pytest.raises(FolderError, match=said):
        form_submitted(services, unit(batch_images=folder))
    assert services.jobs.taken == []
    # One that is off asks for nothing.
    form_submitted(services, {**unit(batch_images=folder), "enabled": False})
    assert len(services.jobs.taken) == 1


def test_files_of_the_batch_tab_go_with_units_and_their_folders(services: Any, inputs: Path, maps: Path) -> None:
    """The k-th picture of a unit's folder with the k-th file, also where one before it can't be used."""
    (inputs / "a.png").write_bytes(b"no picture")
    Image.new("RGB", (64, 64)).save(inputs / "d.png")
    single = services.uploads.put((maps / "3.png").read_bytes()).id
    units = (unit(batch_images="inputs/maps"), {**unit(), "input_mode": "Single Image", "image": single})
    answer = json.loads(submit_batch(services, with_units(*units), batch_of(services), services.uploads, ANYONE))
    assert [request.batch.name for request, _ in services.jobs.taken] == ["b.jpg"]
    assert unit_pictures(services, 0) == [(maps / "2.png").read_bytes()]
    assert unit_pictures(services, 1) == [(maps / "3.png").read_bytes()]
    assert "d.png: there is no picture left for it in the folder of a ControlNet unit." in answer["notice"]
