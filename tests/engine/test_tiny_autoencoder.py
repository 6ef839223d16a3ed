"""TAESD in the place of the VAE: files under A1111's names, read safely, and what a job then makes and says."""

from __future__ import annotations

import gc
import io
import os
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from modules.catalogue.model_errors import ModelFileError
from modules.engine.tiny_autoencoder_cache import TinyAutoencoderCache
from modules.families import FLUX2_KLEIN_4B, PLAYGROUND, SD1, SDXL
from modules.generation.codec import decode_tiny, encode_tiny
from modules.protocol import ImageReady, JobFailed, JobFinished, Preview
from modules.weights.tiny_autoencoder import for_family, load_tiny_autoencoder
from tests.engine.conftest import RunningEngine, job
from tests.engine.test_models import CPU

LATENTS = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(3))


def test_a_family_whose_latents_are_patches_has_none(tmp_path: Path) -> None:
    """Not even where a file of its name lies."""
    folder = tmp_path / "models" / "VAE-approx"
    folder.mkdir(parents=True)
    save_file(AutoencoderTiny(latent_channels=32).decoder.state_dict(), folder / "taef2_decoder.safetensors")
    found = TinyAutoencoderCache(folder, CPU).half("decoder", FLUX2_KLEIN_4B)
    assert found == "Tiny autoencoders for Flux.2 klein 4B can't be read here"


@pytest.fixture(scope="module")
def tiny_vae() -> AutoencoderTiny:
    torch.manual_seed(5)
    vae: AutoencoderTiny = AutoencoderTiny().eval()
    return vae


@pytest.fixture(scope="module")
def folder(tiny_vae: AutoencoderTiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the decoder as TAESD's author writes it, and the encoder as diffusers names it."""
    folder = tmp_path_factory.mktemp("data")
    files = folder / "models" / "VAE-approx"
    files.mkdir(parents=True)
    original = {}
    for name, tensor in tiny_vae.decoder.state_dict().items():
        _, index, rest = name.split(".", 2)
        original[f"{int(index) + 1}.{rest}"] = tensor
    torch.save(original, files / "taesd_decoder.pth")
    encoder = {f"encoder.{name}": tensor.contiguous() for name, tensor in tiny_vae.encoder.state_dict().items()}
    save_file(encoder, files / "taesd_encoder.safetensors")
    return folder


def test_both_halves_do_what_diffusers_whole_does(tiny_vae: AutoencoderTiny, folder: Path) -> None:
    files = folder / "models" / "VAE-approx"
    decoded = decode_tiny(load_tiny_autoencoder(files / "taesd_decoder.pth", "decoder"), LATENTS)
    with torch.no_grad():
        expected = ((tiny_vae.decode(LATENTS).sample + 1) / 2).clamp(0, 1)
        torch.testing.assert_close(decoded, expected, atol=1e-5, rtol=1e-5)
        pictures = decoded * 2 - 1
        encoded = encode_tiny(load_tiny_autoencoder(files / "taesd_encoder.safetensors", "encoder"), pictures)
        torch.testing.assert_close(encoded, tiny_vae.encode(pictures).latents, atol=1e-4, rtol=1e-4)


def test_latents_of_another_scaling_are_brought_to_its_own(tiny_vae: AutoencoderTiny) -> None:
    """Playground 2.5 normalises what SDXL's VAE gives by mean and deviation; TAESDXL knows SDXL's scale."""
    std, mean = (torch.tensor(values)[:, None, None] for values in (PLAYGROUND.latents_std, PLAYGROUND.latents_mean))
    known = (LATENTS * std / 0.5 + mean) * 0.13025
    with torch.no_grad():
        decoder = for_family(tiny_vae.decoder, "decoder", PLAYGROUND)
        torch.testing.assert_close(decode_tiny(decoder, LATENTS), decode_tiny(tiny_vae.decoder, known))
        pictures = decode_tiny(tiny_vae.decoder, known) * 2 - 1
        found = encode_tiny(for_family(tiny_vae.encoder, "encoder", PLAYGROUND), pictures)
        torch.testing.assert_close((found * std / 0.5 + mean) * 0.13025, encode_tiny(tiny_vae.encoder, pictures))
    assert for_family(tiny_vae.decoder, "decoder", SDXL) is tiny_vae.decoder


def test_another_model_in_its_place_is_refused(folder: Path) -> None:
    with pytest.raises(ModelFileError, match="not TAESD's decoder"):
        load_tiny_autoencoder(folder / "models" / "VAE-approx" / "taesd_encoder.safetensors", "decoder")


@pytest.mark.server
def test_a_file_that_changed_takes_the_place_of_what_it_was(tiny_vae: AutoencoderTiny, tmp_path: Path) -> None:
    cache, file = TinyAutoencoderCache(tmp_path, CPU), tmp_path / "taesd_decoder.safetensors"
    weights = {f"decoder.{name}": tensor.contiguous() for name, tensor in tiny_vae.decoder.state_dict().items()}
    made = []
    for factor in (1.0, 0.5):
        save_file({name: tensor * factor for name, tensor in weights.items()}, file)
        os.utime(file, (factor, factor))
        half = cache.half("decoder", SD1)
        assert isinstance(half, nn.Module) and cache.half("decoder", SD1) is half
        made.append(weakref.ref(half))
    del half
    gc.collect()
    assert [one() is None for one in made] == [True, False]


@pytest.mark.long
def test_a_job_decodes_encodes_and_previews_with_it(folder: Path, tiny: Any) -> None:
    engine = RunningEngine("--use-cpu", "all", "--no-half", "--data-dir", str(folder))
    try:
        methods = {"sd_vae_decode_method": "TAESD", "sd_vae_encode_method": "TAESD"}
        previews = {"show_progress_type": "TAESD", "live_preview_refresh_period": 0, "show_progress_every_n_steps": 1}
        fields: dict[str, Any] = {
            "enable_hr": True,
            "hr_upscaler": "Lanczos",
            "hr_scale": 1.5,
            "hr_second_pass_steps": 2,
        }
        engine.send(job(tiny, "plain", **fields))
        (plain,) = [event for event in engine.until(JobFinished, JobFailed) if isinstance(event, ImageReady)]
        engine.send(job(tiny, "taesd", options=methods | previews, **fields))
        events = engine.until(JobFinished, JobFailed)
    finally:
        engine.end()
    assert events[-1].notices == ()
    (picture,) = [event for event in events if isinstance(event, ImageReady)]
    assert "VAE Encoder: TAESD" in picture.infotext
    assert "VAE Decoder: TAESD" in picture.infotext
    assert pixels(picture) != pixels(plain)
    assert any(isinstance(event, Preview) for event in events)


def pixels(picture: ImageReady) -> bytes:
    image = Image.open(io.BytesIO(picture.blobs[0]))
    assert image.size == (96, 96)
    return image.tobytes()
