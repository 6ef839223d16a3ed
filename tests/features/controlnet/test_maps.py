"""Maps that units share between pictures and jobs: one is made anew where anything that it depends on has changed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

from modules.catalogue import ModelFolders
from modules.features.controlnet.arrays import RgbArray
from modules.features.controlnet.declare import CONTROLNET
from modules.features.controlnet.hint import fit_map
from modules.features.controlnet.preprocessors.declare import find_preprocessor
from modules.features.controlnet.preprocessors.run import Preprocessors, Settings
from modules.features.controlnet.run import ControlNet
from modules.features.declaration import checked_arguments
from modules.features.running import FeatureJob
from modules.features.shared import SharedCache, in_place
from modules.generation.finishing import Finished
from modules.generation.init_picture import InitPicture
from modules.generation.pipeline import Pass, PassContext, Pipeline
from modules.generation.resizing import CROP_AND_RESIZE, RESIZE_AND_FILL
from modules.parameters import RequestError
from modules.prompt import clip_tokenizer
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from modules.weights.model import Model
from tests.checkpoints import write_tiny_checkpoint
from tests.control_models import controlnet_tensors, make_controlnet, write_control
from tests.features.controlnet import layouts
from tests.features.controlnet.test_networks import saved
from tests.generation.test_against_pipelines import request

CPU = torch.device("cpu")


class Room:
    """A checkpoint and a control model, and preprocessors whose weights lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model: Model = load_checkpoint(write_tiny_checkpoint(folder / "model.safetensors"))
        self.control = write_control(folder / "edges.safetensors", controlnet_tensors(make_controlnet()))
        self.made = 0

    def map(self, shared: SharedCache, module: str, *, mask: Image.Image | None = None, **job: Any) -> RgbArray:
        """The map of a unit with its own picture in a job of img2img; `mask` is that of img2img."""
        unit: Any = {"enabled": True, "image": "own", "module": module, "model": "edges", "processor_res": 64}
        scripts = {CONTROLNET.title: checked_arguments(CONTROLNET, {"units": [unit | job.pop("unit", {})]})}
        resolved, given = request(scripts=scripts, **job), cast(Any, SimpleNamespace())
        tools = (lambda name: painted(), given, given, ModelFolders(annotators=(self.folder,)), in_place)
        files = {"control/edges": str(self.control)}
        feature = ControlNet(FeatureJob(resolved, *tools, files, shared, lambda: False, lambda said: None))
        pipeline = Pipeline(self.model, PromptEncoder(self.model, clip_tokenizer()), CPU, False)
        source = InitPicture(Image.new("RGB", (64, 64), "red"), mask)
        work = Pass(resolved.passes[0], source=source)
        feature.before_pass(PassContext(pipeline, resolved, range(1), work, cast(Any, SimpleNamespace(steps=4))))
        (found,) = feature.after_picture(Finished(painted(), {}), 0).beside.values()
        return np.asarray(found)


def painted() -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8), "RGB")


def mask_of(left: int, right: int) -> Image.Image:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (left, 0, right, 64))
    return mask


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Room:
    made = Room(tmp_path_factory.mktemp("maps"))
    saved("inpaint_only+lama", made.folder)
    saved("hed", made.folder)
    return made


@pytest.fixture
def room(files: Room, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Counts the maps that are made."""
    run = Preprocessors.run

    def counted(*given: Any) -> RgbArray:
        files.made += 1
        return run(*given)

    monkeypatch.setattr(Preprocessors, "run", counted)
    return files


def test_another_mask_of_img2img_makes_another_map(room: Room) -> None:
    """A unit's own picture has no mask of its own, so that of img2img is filled in."""
    shared, left, right = SharedCache(), mask_of(0, 32), mask_of(32, 64)
    first = room.map(shared, "inpaint_only+lama", mask=left)
    other = room.map(shared, "inpaint_only+lama", mask=right)
    assert (other == room.map(SharedCache(), "inpaint_only+lama", mask=right)).all()
    assert (other[:, :32] == np.asarray(painted())[:, :32]).all() and (first != other).any()
    made = room.made
    assert (room.map(shared, "inpaint_only+lama", mask=left) == first).all() and room.made == made


def test_a_new_seed_makes_a_new_map_where_it_is_drawn_at_random_alone(room: Room) -> None:
    shared, before = SharedCache(), room.made
    for seed in (1, 2, 3):
        room.map(shared, "hed", seed=seed)
    assert room.made == before + 1
    first, other = (room.map(shared, "shuffle", seed=seed) for seed in (1, 2))
    assert (first != other).any() and room.made == before + 3
    assert (room.map(shared, "shuffle", seed=1) == first).all() and room.made == before + 3


def test_numbers_that_a_map_does_not_depend_on_make_no_new_one(room: Room) -> None:
    shared, before = SharedCache(), room.made
    room.map(shared, "canny")
    # As far as its sliders reach nothing is said: these are the defaults, in other words.
    room.map(shared, "canny", unit={"threshold_a": 100, "threshold_b": -1})
    assert room.made == before + 1
    room.map(shared, "canny", unit={"threshold_a": 101})
    assert room.made == before + 2
    room.map(shared, "invert", unit={"processor_res": 128})
    room.map(shared, "invert", unit={"processor_res": 256, "threshold_a": 5})
    assert room.made == before + 3


def test_the_resolution_is_a_sliders_unless_the_pass_says_it() -> None:
    canny, invert = find_preprocessor("canny"), find_preprocessor("invert")
    for given in (None, -1, 0, 63, 2049):
        assert Settings(resolution=given).resolution_of(canny) == 512
    assert [Settings(resolution=given).resolution_of(canny) for given in (64, 2048)] == [64, 2048]
    # Pixel perfect: as many pixels as the pass has, however many these are.
    assert [Settings(resolution=given, pixel_perfect=True).resolution_of(canny) for given in (40, 3072)] == [40, 3072]
    assert Settings(resolution=64).resolution_of(invert) is None
    assert Settings(resolution=512).acting_on(canny) == Settings(resolution=512, pixel_perfect=True).acting_on(canny)


def test_a_strip_is_not_enlarged_beyond_measure() -> None:
    """It would take gigabytes, of a file of a few bytes."""
    strip = np.zeros((1, 3000, 3), np.uint8)
    with pytest.raises(RequestError, match=r"3000x1 would be enlarged to 1536000x512, more than 64 megapixels"):
        Preprocessors([], SharedCache()).run(find_preprocessor("canny"), strip, Settings())
    with pytest.raises(RequestError, match=r"3000x1 would be enlarged to 1536000x512"):
        fit_map(strip, (512, 512), CROP_AND_RESIZE)
    assert fit_map(strip, (512, 512), RESIZE_AND_FILL).shape == (512, 512, 3)


def test_a_map_of_img2imgs_own_picture_is_shared_too(room: Room) -> None:
    shared, before = SharedCache(), room.made
    first = room.map(shared, "canny", unit={"image": ""})
    assert (room.map(shared, "canny", unit={"image": ""}) == first).all() and room.made == before + 1


def test_a_file_of_weights_that_changed_makes_a_new_map(room: Room) -> None:
    shared, first = SharedCache(), room.map(SharedCache(), "hed")
    assert (room.map(shared, "hed") == first).all()
    torch.save(layouts.weights(layouts.hed(), seed=9), room.folder / "hed" / "ControlNetHED.pth")
    assert (room.map(shared, "hed") != first).any()
