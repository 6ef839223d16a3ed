"""Extras jobs from the page's values to the files, with the real queue and an engine that needs no torch."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from modules.jobs import services as real
from modules.jobs.engine_command import engine_launch
from modules.jobs.job import Job
from modules.page.extras_events import extras_request, labels_of, submitter
from modules.page.extras_tab import build_extras
from modules.page.job_pictures import pictures
from modules.page.listing import upscalers_note
from modules.page.uploads import UploadStore
from modules.parameters import RequestError, parse_infotext
from modules.parameters.extras_request import OPERATIONS
from modules.pictures import read_metadata
from modules.settings import parse_flags
from tests.server import fake_engine_server

# Event loops that Gradio leaves open.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

INFOTEXT = "a cat\nSteps: 4, Sampler: Euler, CFG scale: 7, Seed: 1, Size: 20x12"
PLACES = {"files": None, "input_dir": "", "output_dir": "", "show": True}


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[real.Services]:
    monkeypatch.setattr(real, "engine_launch", engine_launch)
    monkeypatch.setenv("FAKE_ENGINE_FOLDER", str(tmp_path))
    opened = fake_engine_server.open_services(parse_flags(["--data-dir", str(tmp_path / "data")], {}))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def tab() -> tuple[dict[str, Any], dict[str, str]]:
    """The controls' values at the start, and their labels."""
    with gr.Blocks():
        built = build_extras(["None", "Lanczos", "Nearest"], folder_button=False)
    values = {name: getattr(control, "value", None) for name, control in built.controls.items()}
    return values | PLACES, labels_of(built)


def test_the_lists_say_how_to_get_upscalers_while_there_are_none(services: real.Services) -> None:
    folder = services.paths.upscaler_dirs[0]
    note = upscalers_note(services)
    assert str(folder) in note and "reload the page" in note
    with gr.Blocks() as page:
        build_extras(["None", "Lanczos"], folder_button=False, note=note)
    assert [one for one in page.blocks.values() if getattr(one, "value", None) == note]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "4x_any.pth").write_bytes(b"")
    assert upscalers_note(services) == ""


def saved(path: Path, size: tuple[int, int] = (20, 12)) -> Path:
    info = PngInfo()
    info.add_text("parameters", INFOTEXT)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 90).convert("RGB").save(path, pnginfo=info)
    return path


class Page:
    def __init__(self, services: real.Services, tab: tuple[dict[str, Any], dict[str, str]], folder: Path) -> None:
        self.services = services
        self.uploads = UploadStore(folder / "uploads")
        self.values, labels = tab
        self.submit = submitter(tuple(self.values), labels, services, self.uploads)

    def generate(self, source: dict[str, Any], **changed: Any) -> dict[str, str]:
        answer: dict[str, str] = json.loads(
            self.submit(gr.Request(username=None), *(self.values | changed).values(), "me", json.dumps(source))
        )
        return answer

    def job(self, source: dict[str, Any], **changed: Any) -> Job:
        job = self.services.jobs.wait(self.generate(source, **changed)["id"], 60)
        assert job.ended
        return job


@pytest.fixture
def page(services: real.Services, tab: tuple[dict[str, Any], dict[str, str]], tmp_path: Path) -> Page:
    return Page(services, tab, tmp_path)


def test_a_single_picture(page: Page, tmp_path: Path) -> None:
    digest = page.uploads.put(saved(tmp_path / "cat.png").read_bytes()).id
    source = {"tab": "single", "picture": digest}
    jobs = [page.job(source, upscaling_resize=2) for _ in range(2)]
    paths = [job.images[0].path for job in jobs]
    assert [path.name for path in paths] == ["00000.png", "00001.png"]
    assert paths[0].parent == page.services.gallery.folder("extras")
    found = read_metadata(paths[0])
    assert found.infotext == INFOTEXT and (found.width, found.height) == (40, 24)
    assert found.items["postprocessing"] == "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"
    # Sent on to another tab, it is still an infotext.
    shown = parse_infotext(jobs[0].images[0].infotext)
    assert (shown["Prompt"], shown["Steps"], shown["Postprocess upscaler"]) == ("a cat", "4", "Lanczos")
    page.services.options.update({"use_upscaler_name_as_suffix": True})
    shown_now = pictures(page.job(source, upscaler_1="Nearest", flips=["Both"]))
    assert [image.path.name for image in shown_now] == ["00003-Nearest.png", "00002-Nearest-both.png"]


def test_operations_that_the_settings_leave_out_are_not_done(page: Page, tmp_path: Path) -> None:
    digest = page.uploads.put(saved(tmp_path / "cat.png").read_bytes()).id
    page.services.options.update({"postprocessing_disable_in_extras": ["Upscale", "GFPGAN", "Caption"]})
    job = page.job({"tab": "single", "picture": digest}, upscaling_resize=2, gfpgan_visibility=1, flips=["Both"])
    assert [(image.width, image.height) for image in pictures(job)] == [(20, 12), (20, 12)]
    assert read_metadata(job.images[0].path).items.get("postprocessing") is None


def test_operations_that_the_settings_leave_out_are_not_seen() -> None:
    def unseen(without: tuple[str, ...]) -> tuple[set[str], list[str]]:
        with gr.Blocks() as blocks:
            built = build_extras(["None", "Lanczos"], without, folder_button=False)
        folds = [str(one.elem_id) for one in blocks.blocks.values() if "unseen" in (one.elem_classes or ())]
        return {name for name, control in built.controls.items() if control.visible == "hidden"}, folds

    assert unseen(()) == (set(), [])
    hidden, folds = unseen(("Upscale", "CodeFormer"))
    assert {"upscaler_1", "resize_mode", "max_side_length", "codeformer_weight"} <= hidden and folds == []
    assert not {"gfpgan_visibility", "upscaling_resize_w", "split"} & hidden, "Split works towards that width"
    hidden, folds = unseen(tuple(OPERATIONS))
    assert folds == ["extras_faces", "extras_cutting"] and "upscaling_resize_w" in hidden and "files" not in hidden


def test_a_batch_keeps_names_and_skips_what_is_no_picture(page: Page) -> None:
    from gradio.utils import get_upload_folder

    uploads = Path(get_upload_folder()) / "test-extras"
    files = [saved(uploads / "1" / "cat.png"), saved(uploads / "2" / "cat.png"), uploads / "3" / "notes.png"]
    files[2].parent.mkdir(exist_ok=True)
    files[2].write_text("no picture")
    try:
        listed = [{"path": str(path), "orig_name": path.name} for path in files]
        listed.append({"path": "/etc/hostname", "orig_name": "secret.png"})
        job = page.job({"tab": "batch"}, files=listed, upscaling_resize=2)
    finally:
        for path in files:
            path.unlink()
    assert job.state == "finished"
    assert [image.path.name for image in pictures(job)] == ["cat.png", "cat-1.png"]
    assert any(notice.startswith("notes.png") for notice in job.notices)
    assert not any("secret" in notice for notice in job.notices)
    page.services.options.update({"use_original_name_batch": False})
    assert "choose some" in page.generate({"tab": "batch"}, files=[])["error"]


def test_a_directory_of_this_machine(page: Page, tmp_path: Path) -> None:
    outputs = page.services.paths.outputs_dir
    for name in ("b.png", "a.png", "c.txt"):
        saved(outputs / "mine" / name.replace(".txt", ".png"))
    (outputs / "mine" / "d.png").write_text("no picture")
    source = {"tab": "directory"}
    into = outputs / "larger"
    job = page.job(source, input_dir="outputs/mine", output_dir=str(into), upscaling_resize=2, show=False)
    assert sorted(path.name for path in into.iterdir()) == ["a.png", "b.png", "c.png"]
    assert pictures(job) == [] and len(job.images) == 3
    assert any(notice.startswith("d.png") for notice in job.notices)
    # Nothing beyond the allowed folders is read or written, and nothing is overwritten.
    again = page.job(source, input_dir="outputs/mine", output_dir=str(into))
    assert {image.path.name for image in pictures(again)} == {"a-1.png", "b-1.png", "c-1.png"}
    saved(tmp_path / "elsewhere" / "a.png")
    for changed in ({"input_dir": str(tmp_path / "elsewhere")}, {"input_dir": "outputs/mine", "output_dir": "/etc"},
                    {"input_dir": "outputs/none"}, {"input_dir": ""}):  # fmt: skip
        assert "directory" in page.generate(source, **changed)["error"]


@pytest.mark.long
def test_an_engine_that_dies_in_a_batch_is_started_anew_and_goes_on(page: Page) -> None:
    """What it has delivered is not made again, and no file is lost or doubled."""
    folder = page.services.paths.outputs_dir / "mine"
    for name in ("a", "crashonce", "z"):
        saved(folder / f"{name}.png")
    job = page.job({"tab": "directory"}, input_dir="outputs/mine")
    assert (job.state, job.attempts) == ("finished", 1)
    assert [image.path.name for image in pictures(job)] == ["a.png", "crashonce.png", "z.png"]
    (folder / "crashonce.png").rename(folder / "crash.png")
    twice = page.job({"tab": "directory"}, input_dir="outputs/mine")
    assert twice.state == "failed" and "ended twice" in str(twice.cause)
    assert [image.path.name for image in pictures(twice)] == ["a-1.png"]


def test_what_cannot_be_requested_is_said(page: Page, tab: tuple[dict[str, Any], dict[str, str]]) -> None:
    values, labels = tab
    assert "no picture on the Extras tab" in page.generate({"tab": "single"})["error"]
    assert page.generate({"error": "It broke."}) == {"error": "It broke."}
    digest = page.uploads.put(_png((4, 4))).id
    gone = page.generate({"picture": digest}, upscaler_1="Remacri")
    assert "'Remacri' is not here" in gone["error"]
    assert "put its file into models/GFPGAN" in page.generate({"picture": digest}, gfpgan_visibility=1)["error"]
    for name, value, words in (
        ("upscaling_resize", None, "Resize is empty"),
        ("upscaling_resize_w", 10**7, "Width is 10000000: input should be less"),
        ("extras_upscaler_2_visibility", 3, "Upscaler 2 visibility is 3"),
        ("upscaling_resize", "x", "Resize is 'x'"),
    ):
        with pytest.raises(RequestError, match=words):
            extras_request({**values, name: value}, labels)
    assert page.services.jobs.count("waiting") == 0


def _png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    return buffer.getvalue()
