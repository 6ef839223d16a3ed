"""Units whose pictures an image encoder sees, in whole passes: IP-Adapters, styles, pictures for SDXL's whole text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from PIL import Image
from torch import Tensor

from modules.catalogue import ModelFolders
from modules.features.controlnet.declare import CONTROLNET
from modules.features.controlnet.run import ControlNet
from modules.features.declaration import checked_arguments
from modules.features.running import FeatureJob
from modules.features.shared import SharedCache, in_place
from modules.generation.pipeline import Pipeline
from modules.generation.txt2img import txt2img
from modules.parameters import RequestError
from modules.prompt import clip_tokenizer
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from modules.weights.model import Model
from tests.checkpoints import TINY_SDXL, Architecture, make_modules, write_tensors, write_tiny_checkpoint
from tests.control_models import write_control
from tests.generation.control.test_image_prompts import VIEW, adapter_tensors, make_encoder
from tests.generation.control.test_picture_texts import WIDTH, style_tensors
from tests.generation.test_against_pipelines import QUIET, request

COLOURS = {"red": (220, 30, 20), "blue": (10, 40, 230)}


class Room:
    """A checkpoint, control models, and an image encoder where A1111's extension downloads it."""

    def __init__(self, folder: Path, a: Architecture, vector: int = VIEW, states: int = 64) -> None:
        torch.set_num_threads(1)
        checkpoint = write_tiny_checkpoint(folder / "model.safetensors", architecture=a, dtype="fp32")
        self.model: Model = load_checkpoint(checkpoint)
        self.folder, self.said = folder, list[str]()
        self.annotators = folder / "downloads"
        encoder = self.annotators / "clip_vision" / "clip_h.pth"
        encoder.parent.mkdir(parents=True)
        write_control(encoder, dict(make_encoder(states, vector).state_dict()))
        write_tensors(encoder.with_name("another.safetensors"), {"something": torch.zeros(2)}, {})

    def drawn(self, *units: dict[str, Any], files: dict[str, str] | None = None, **fields: Any) -> Tensor:
        """The latent of a small picture; `fields` are of its request."""
        every: list[Any] = [{"enabled": True, "image": "red"} | unit for unit in units]
        scripts = {CONTROLNET.title: checked_arguments(CONTROLNET, {"units": every})} if units else {}
        resolved = request(mode="txt2img", scripts=scripts, **fields)
        given = cast(Any, SimpleNamespace())
        job = FeatureJob(
            resolved,
            lambda name: Image.new("RGB", (40, 30), COLOURS[name]),
            given,
            given,
            ModelFolders(annotators=(self.annotators,)),
            in_place,
            files or {},
            SharedCache(),
            lambda: False,
            self.said.append,
        )
        encoder = PromptEncoder(self.model, clip_tokenizer())
        pipeline = Pipeline(self.model, encoder, torch.device("cpu"), False)
        features = (ControlNet(job),) if units else ()
        return txt2img(replace(pipeline, features=lambda _: features), resolved, range(1), QUIET)


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("sd1"), Architecture())


def acts(draw: Callable[..., Tensor], plain: Tensor, others: Sequence[dict[str, Any]]) -> Tensor:
    """What a unit draws, which is something else than without it and with each of `others`."""
    made = draw()
    assert not torch.equal(made, plain) and torch.equal(draw(weight=0.0), plain)
    for other in others:
        assert not torch.equal(draw(**other), made), other
    return made


def test_the_names_of_an_adapters_preprocessor_all_show_the_picture(room: Room) -> None:
    unet = make_modules(Architecture()).unet
    file = write_control(room.folder / "ip-adapter_sd15.safetensors", adapter_tensors(unet, "plain"))
    files = {"control/ip": str(file)}

    def draw(**more: Any) -> Tensor:
        return room.drawn({"module": "ip-adapter-auto", "model": "ip", **more}, files=files)

    made = acts(draw, room.drawn(), [{"image": "blue"}])
    assert torch.equal(draw(module="none"), made)
    # Pictures that are shown at once, and as units of their own; twice the same one as such is that one alone.
    assert torch.equal(draw(more_images=["blue"]), made)
    several = {"input_mode": "Multi-Inputs"}
    both = draw(**several, more_images=["blue"])
    assert not torch.equal(both, made) and not torch.equal(draw(**several, more_images=["blue"], module="none"), both)
    torch.testing.assert_close(draw(**several, more_images=["red"], module="none"), made, rtol=0, atol=1e-4)


def test_a_style_is_shown_by_its_adapter_and_says_that_it_has_no_region(room: Room) -> None:
    tensors = style_tensors()
    generator = torch.Generator().manual_seed(1)
    tensors["proj"] = torch.randn(WIDTH, room.model.context_dim, generator=generator)
    files = {"control/style": str(write_control(room.folder / "t2iadapter_style_sd14v1.pth", tensors))}
    narrow = room.annotators / "clip_vision" / "clip_vitl.pth"
    with pytest.raises(RequestError, match=r"style_sd14v1\.pth needs an image encoder .* put CLIP-ViT-L"):
        room.drawn({"module": "clip_vision", "model": "style"}, files=files)
    write_control(narrow, dict(make_encoder(WIDTH, VIEW).state_dict()))

    def draw(**more: Any) -> Tensor:
        return room.drawn({"module": "clip_vision", "model": "style", **more}, files=files)

    acts(draw, draw(weight=0.0), [{"image": "blue"}, {"guidance_end": 0.2}])
    draw(effective_region_mask="blue")
    assert room.said == ["style acts on the whole picture: its Effective Region Mask does nothing."]


def test_a_picture_stands_for_sdxls_whole_text_and_for_no_other_familys(room: Room, tmp_path: Path) -> None:
    with pytest.raises(
        RequestError, match=r"revision_clipvision is for SDXL, and model\.safetensors is a checkpoint of"
    ):
        room.drawn({"module": "revision_clipvision"})
    xl = Room(tmp_path, TINY_SDXL, TINY_SDXL.text_widths[-1])

    def draw(**more: Any) -> Tensor:
        return xl.drawn({"module": "revision_clipvision", **more})

    made = draw()
    others: list[dict[str, Any]] = [
        {"module": "revision_ignore_prompt"},
        {"threshold_a": 0.7},
        {"image": "blue"},
        {"weight": 0.5},
    ]
    assert not torch.equal(made, xl.drawn())
    assert all(not torch.equal(draw(**other), made) for other in others)
    assert torch.equal(draw(), made)
