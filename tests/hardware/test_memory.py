"""Memory modes: which is chosen, and that each gives the same answer from the same weights."""

from __future__ import annotations

import pytest
import torch
from accelerate import cpu_offload_with_hook
from hypothesis import given
from hypothesis import strategies as st

from modules.generation.conditioning import EncodingOptions, PromptEncoder
from modules.hardware.device import free_memory, memory_now, module_bytes
from modules.hardware.memory import (
    THRIFTIER,
    WORKING_MEMORY,
    arrange,
    choose_memory,
    compute_device,
    dissolve,
)
from modules.prompt import clip_tokenizer
from modules.weights.checkpoint import load_checkpoint
from tests.checkpoints import write_tiny_checkpoint

CUDA = torch.device("cuda")
CPU = torch.device("cpu")
META = torch.device("meta")
GB = 10**9


@pytest.mark.parametrize(
    ("free", "model", "unet", "mode"),
    [
        (24 * GB, 2 * GB, 1.7 * GB, "full"),
        (3.5 * GB, 2 * GB, 1.7 * GB, "full"),
        (3.4 * GB, 2 * GB, 1.7 * GB, "medvram"),
        (3.0 * GB, 2 * GB, 1.7 * GB, "lowvram"),
        (8 * GB, 7 * GB, 5.1 * GB, "medvram"),
        (4 * GB, 7 * GB, 5.1 * GB, "lowvram"),
    ],
)
def test_the_mode_follows_from_free_memory_and_the_models_size(free, model, unet, mode):
    assert choose_memory(None, CUDA, int(free), int(model), int(unet)).mode == mode


@pytest.mark.parametrize("asked", ["medvram", "lowvram"])
def test_a_flag_decides_on_a_card(asked):
    assert choose_memory(asked, CUDA, 80 * GB, GB, GB).mode == asked


@pytest.mark.parametrize("asked", [None, "medvram", "lowvram"])
def test_a_cpu_moves_nothing_and_says_why(asked):
    choice = choose_memory(asked, CPU, None, GB, GB)
    assert choice.mode == "full"
    assert asked is None or asked in choice.why


@given(free=st.integers(0, 100 * GB), model=st.integers(1, 50 * GB), share=st.floats(0.1, 1.0))
def test_the_chosen_mode_fits_or_is_the_thriftiest(free, model, share):
    unet = int(model * share)
    mode = choose_memory(None, CUDA, free, model, unet).mode
    needs = {"full": model + WORKING_MEMORY, "medvram": unet + WORKING_MEMORY}
    assert mode == "lowvram" or needs[mode] <= free


def test_after_running_out_there_is_a_thriftier_mode_until_the_last():
    assert THRIFTIER["full"] == "medvram"
    assert THRIFTIER["medvram"] == "lowvram"
    assert "lowvram" not in THRIFTIER


def test_the_cpu_has_no_free_memory_to_ask_for():
    assert free_memory(CPU) is None
    free, total = memory_now(CPU)
    assert 0 < free < total  # main memory's


def test_bytes_are_those_of_the_weights():
    assert module_bytes(torch.nn.Linear(10, 10, bias=False, dtype=torch.float16)) == 200


@pytest.mark.parametrize("mode", ["medvram", "lowvram"])
def test_every_mode_gives_the_same_answer(mode, tmp_path):
    """No card is at hand in CI: the same hooks run with the CPU as their device, where results are equal to the bit."""
    model = load_checkpoint(write_tiny_checkpoint(tmp_path / "tiny.safetensors"))
    ids = torch.tensor([[49406, 320, 2368, *[49407] * 74]])
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))

    def answers() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with torch.inference_mode():
            text = model.text_encoder(ids).last_hidden_state
            noise = model.unet(latent, torch.tensor([500.0]), encoder_hidden_states=text).sample
            return text, noise, model.vae.decode(latent).sample

    before = answers()
    arrange(mode, model.unet, model.vae, model.text_encoder, CPU)
    after = answers()
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    dissolve(model.unet, model.vae, model.text_encoder)


def test_what_waits_in_main_memory_is_given_its_input_where_it_computes(tmp_path):
    """The meta device stands for the card: what is brought there and what stayed behind can be told apart."""
    model = load_checkpoint(write_tiny_checkpoint(tmp_path / "tiny.safetensors"))
    assert compute_device(model.vae) == CPU
    cpu_offload_with_hook(model.text_encoder, META)
    cpu_offload_with_hook(model.vae, META)
    assert next(model.vae.parameters()).device == CPU
    assert compute_device(model.vae) == compute_device(model.text_encoder) == META
    encoder = PromptEncoder(model.text_encoder, clip_tokenizer())
    assert encoder.encode(("a (red:1.3) circle",), EncodingOptions(clip_skip=2)).device == META
    assert model.vae.decode(torch.zeros(1, 4, 8, 8, device=compute_device(model.vae))).sample.device == META
