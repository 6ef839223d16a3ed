"""The exported file: SD1's key layout, the folded latent scale, and the committed checkpoint itself."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

from training.diffusion import alphas_cumprod, build_unet
from training.export import SCALE, TEXT, UNET, VAE, as_halves, export, text_state, unet_state, vae_state
from training.latents import fit_whitening
from training.run import OUTPUT
from training.sampling import encode, euler_sigmas, load
from training.text import TextModel
from training.tokens import DEFAULT_FILE, VOCABULARY_SIZE
from training.vae import Autoencoder


@pytest.fixture(scope="module")
def autoencoder() -> Autoencoder:
    torch.manual_seed(0)
    model = Autoencoder()
    with torch.no_grad():
        assert model.norm.running_mean is not None and model.norm.running_var is not None
        model.norm.running_mean.uniform_(-1, 1)
        model.norm.running_var.uniform_(0.5, 2)
    return model.eval()


@pytest.fixture(scope="module")
def lookup() -> torch.Tensor:
    table = torch.zeros(VOCABULARY_SIZE, dtype=torch.long)
    table[[320, 2368, 49406, 49407]] = torch.arange(1, 5)
    return table


def test_unet_keys_come_back_through_diffusers() -> None:
    unet = build_unet()
    theirs = {UNET + key: value for key, value in unet_state(unet).items()}
    back = convert_ldm_unet_checkpoint(theirs, dict(unet.config) | {"class_embed_type": None})  # type: ignore[no-untyped-call]  # unannotated in diffusers
    expected = unet.state_dict()
    assert back.keys() == expected.keys()
    assert all(torch.equal(back[key], expected[key]) for key in expected)


def test_unet_has_the_landmarks_by_which_sd1_is_known() -> None:
    keys = unet_state(build_unet())
    assert keys["input_blocks.0.0.weight"].shape == (64, 4, 3, 3)
    assert keys["input_blocks.3.1.transformer_blocks.0.attn2.to_k.weight"].shape == (128, 128)
    assert {"time_embed.0.weight", "middle_block.1.proj_in.weight", "out.2.weight"} <= keys.keys()


def test_folded_convolutions_give_white_latents_and_take_them_back(autoencoder: Autoencoder) -> None:
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    white = fit_whitening(torch.randn(8, 4, 8, 8) * torch.tensor([1.0, 2.0, 0.5, 1.5])[:, None, None] + 0.3)
    state = {VAE + key: value for key, value in vae_state(autoencoder, white).items()}
    vae = Autoencoder().vae
    back = convert_ldm_vae_checkpoint(state, dict(vae.config))  # type: ignore[no-untyped-call]  # unannotated in diffusers
    vae.load_state_dict(back, strict=True)
    with torch.no_grad():
        wanted = white.apply(autoencoder.encode(pictures))
        given = vae.eval().encode(pictures).latent_dist.mean * SCALE
        torch.testing.assert_close(given, wanted, atol=1e-4, rtol=1e-3)
        decoded = vae.decode(wanted / SCALE).sample
        torch.testing.assert_close(decoded, autoencoder.decode(white.undo(wanted)), atol=1e-4, rtol=1e-3)


def test_whitened_latents_are_white() -> None:
    latents = torch.randn(16, 4, 8, 8).cumsum(1)
    flat = fit_whitening(latents).apply(latents).permute(1, 0, 2, 3).flatten(1)
    torch.testing.assert_close(flat @ flat.T / flat.shape[1], torch.eye(4), atol=1e-3, rtol=0)


def test_tokens_never_seen_share_one_row(lookup: torch.Tensor) -> None:
    table = text_state(TextModel(5), lookup)["embeddings.token_embedding.weight"]
    assert table.shape == (VOCABULARY_SIZE, 128)
    assert torch.equal(table[1], table[40_000])
    assert not torch.equal(table[2368], table[1])


def test_a_weight_too_large_for_fp16_is_named() -> None:
    with pytest.raises(ValueError, match=r"some\.weight has values that fp16 cannot hold"):
        as_halves({"some.weight": torch.tensor([1e6])})


def test_an_exported_file_loads_and_reads_prompts(
    tmp_path: Path, autoencoder: Autoencoder, lookup: torch.Tensor
) -> None:
    torch.manual_seed(1)
    unet, text = build_unet(), TextModel(5)
    white = fit_whitening(torch.randn(8, 4, 8, 8))
    digest = export(tmp_path / "demo.safetensors", unet, autoencoder, white, text, lookup, "A test.")
    checkpoint = load(tmp_path / "demo.safetensors")
    assert len(digest) == 64
    ids = torch.tensor([[4 - 1, 1, 2] + [4] * 74])
    with torch.no_grad():
        expected = text.eval()(ids)
    torch.testing.assert_close(encode(checkpoint, ["a cat"]), expected, atol=5e-3, rtol=5e-3)


def test_the_noise_schedule_is_sd1s() -> None:
    alphas = alphas_cumprod()
    assert alphas[0] == pytest.approx(1 - 0.00085, abs=1e-6)
    assert alphas[-1] == pytest.approx(0.00466, abs=1e-5)
    sigmas, times = euler_sigmas(20)
    assert sigmas[0] == pytest.approx(14.6146, abs=1e-3) and sigmas[-1] == 0
    assert times[0] == 999 and times[-1] == 0


committed = pytest.mark.skipif(not OUTPUT.exists(), reason="the demo checkpoint is not in this checkout")


def header() -> tuple[dict[str, Any], dict[str, str]]:
    with OUTPUT.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        content = json.loads(file.read(length))
    return content, content.pop("__metadata__")


@committed
def test_the_committed_file_is_small_fp16_and_in_three_parts() -> None:
    tensors, _ = header()
    assert OUTPUT.stat().st_size <= 40_000_000
    prefixes = (UNET, VAE, TEXT)
    assert all(name.startswith(prefixes) for name in tensors)
    assert all(any(name.startswith(prefix) for name in tensors) for prefix in prefixes)
    kinds = {tensor["dtype"] for name, tensor in tensors.items() if not name.endswith("position_ids")}
    assert kinds == {"F16"}
    assert tensors[TEXT + "embeddings.token_embedding.weight"]["shape"] == [VOCABULARY_SIZE, 128]


@committed
def test_the_committed_file_says_what_it_is() -> None:
    _, metadata = header()
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1"
    assert metadata["modelspec.resolution"] == "128x128"
    assert metadata["modelspec.prediction_type"] == "epsilon"
    assert metadata["modelspec.license"] == "OFL-1.1"
    assert (metadata["webui.unet.norm_num_groups"], metadata["webui.vae.norm_num_groups"]) == ("32", "8")


@committed
def test_the_committed_file_has_a_model_card_and_loads_whole() -> None:
    assert OUTPUT.with_suffix(".md").read_text().startswith("#")
    checkpoint = load(OUTPUT)
    assert all(torch.isfinite(p).all() for p in checkpoint.unet.parameters())
    assert DEFAULT_FILE.exists()
