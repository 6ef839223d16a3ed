"""Stable Diffusion 2's depth checkpoint against diffusers' pipeline at the same noise, levels and depth: 1e-4."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_depth2img import StableDiffusionDepth2ImgPipeline
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from modules.generation.encoding import to_tensor
from modules.generation.img2img import img2img, start_of
from modules.generation.init_picture import prepare_init_picture
from modules.generation.pipeline import Pipeline
from modules.prompt import clip_tokenizer
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.depth import DEPTH_PREFIX, depth_map, midas_depth
from tests.checkpoints import TINY_SD2, write_tiny_checkpoint
from tests.features.controlnet.layouts import midas, weights
from tests.generation.test_against_pipelines import QUIET, THEIRS, declare_sample_size, picture, request, same
from tests.generation.test_sdxl_against_pipelines import scheduler, sd2_text_encoder, tokenizer


def metadata_of(path: Path) -> dict[str, str]:
    with safe_open(str(path), "pt") as file:
        return dict(file.metadata())


def write_depth_checkpoint(path: Path, **changed: torch.Tensor) -> Path:
    """A toy of a depth checkpoint, whose depth network lacks what is `changed` to nothing."""
    write_tiny_checkpoint(path, architecture=replace(TINY_SD2, in_channels=5), dtype="fp32")
    inside = {DEPTH_PREFIX + name: tensor for name, tensor in (weights(midas()) | changed).items() if tensor.numel()}
    save_file(load_file(path) | inside, path, metadata_of(path))
    return path


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    torch.set_num_threads(1)
    model = load_checkpoint(write_depth_checkpoint(tmp_path_factory.mktemp("models") / "depth.safetensors"))
    return Pipeline(model, PromptEncoder(model, clip_tokenizer()), torch.device("cpu"), False)


def test_a_picture_is_painted_over_its_depth_as_diffusers_does(pipeline: Pipeline) -> None:
    model = pipeline.model
    assert model.predicts.kind == "epsilon" and model.depth is not None
    declare_sample_size(pipeline)
    absent: Any = None
    made: Any = StableDiffusionDepth2ImgPipeline(
        vae=model.vae,
        text_encoder=sd2_text_encoder(pipeline),
        tokenizer=tokenizer(zeros=True),
        unet=model.unet,
        scheduler=scheduler("epsilon"),
        depth_estimator=model.depth,
        feature_extractor=absent,
    )
    made.set_progress_bar_config(disable=True)
    resolved = request()
    source = prepare_init_picture(resolved, picture(), None)
    start = start_of(pipeline, resolved, range(1), source)
    assert start.extra is not None
    # Of a picture that is a latent already it would take the latent's cells for pixels.
    for depth, agrees in ((start.extra, True), (start.extra.flip(2), False)):
        made.prepare_depth_map = lambda *_, shown=depth: torch.cat([shown] * 2)
        theirs = made(
            prompt="a red circle",
            negative_prompt="blue",
            image=start.latent,
            strength=THEIRS,
            num_inference_steps=8,
            guidance_scale=5,
            generator=torch.Generator().manual_seed(7),
            output_type="latent",
        ).images
        assert same(img2img(pipeline, resolved, range(1), source, QUIET), theirs) is agrees


def test_the_map_is_brought_to_the_latent_as_diffusers_does(pipeline: Pipeline) -> None:
    """It shows its network a square picture whatever its form: here the picture is one, and about as large."""
    net = pipeline.model.depth
    assert net is not None
    large = picture().resize((384, 384))
    near = midas_depth(net, to_tensor([large]))[:, 0]
    made: Any = object.__new__(StableDiffusionDepth2ImgPipeline)
    made.vae_scale_factor = 8
    theirs = made.prepare_depth_map([large], near, 1, False, torch.float32, torch.device("cpu"))
    assert torch.allclose(depth_map(net, to_tensor([large]), (48, 48)), theirs, atol=1e-5)


def test_the_estimate_is_that_of_transformers_for_a_square(pipeline: Pipeline) -> None:
    """Its own forward takes every picture for a square, and so serves for squares alone."""
    net = pipeline.model.depth
    assert net is not None
    pixels = torch.randn(1, 3, 384, 384, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        theirs = net(pixel_values=pixels).predicted_depth
    assert torch.equal(midas_depth(net, pixels)[:, 0], theirs)


@pytest.mark.parametrize("size", [(64, 96), (512, 200), (40, 40)])
def test_the_map_has_the_latents_size_whatever_the_pictures(pipeline: Pipeline, size: tuple[int, int]) -> None:
    net = pipeline.model.depth
    assert net is not None
    pixels = to_tensor([Image.fromarray(np.random.default_rng(1).integers(0, 255, (*size, 3), dtype=np.uint8))])
    shown = depth_map(net, pixels, (size[0] // 8, size[1] // 8))
    assert tuple(shown.shape) == (1, 1, size[0] // 8, size[1] // 8)
    assert float(shown.min()) == -1 and float(shown.max()) == pytest.approx(1)


def test_a_checkpoint_without_the_whole_network_says_so(tmp_path: Path) -> None:
    gone = torch.empty(0)
    path = write_depth_checkpoint(tmp_path / "torn.safetensors", **{"scratch.output_conv.4.bias": gone})
    with pytest.raises(CheckpointError, match=r"torn\.safetensors .*depth_model"):
        load_checkpoint(path)
    whole, stated = load_file(path), metadata_of(path)
    save_file({name: tensor for name, tensor in whole.items() if not name.startswith(DEPTH_PREFIX)}, path, stated)
    with pytest.raises(CheckpointError, match="depth_model"):
        load_checkpoint(path)
