"""FLUX.2 [klein], 4B and 9B, distilled and base: Black Forest Labs (2026). A transformer on latents of 128 channels,
with Qwen3 as text encoder, which is shown pictures to edit. Distilled and base differ in no tensor's name or shape.
"""

from dataclasses import replace
from typing import Final

from modules.families.family import UNET_PREFIX, Family, TextEncoderFacts
from modules.families.prediction import FlowTraining, LinesOfSizesAndSteps

# Both in the original layout and in diffusers'. Flux.1 has a modulation in each block instead of this one.
_MODULATION: Final = ("double_stream_modulation_img.lin.weight", "double_stream_modulation_img.linear.weight")
# The sixth of the blocks for picture and text: 4B has five, 9B eight.
_SIXTH_BLOCK: Final = ("double_blocks.5.", "transformer_blocks.5.")
# Black Forest Labs' published code for FLUX.2 has these.
_BY_SIZE: Final = LinesOfSizesAndSteps((8.73809524e-05, 1.89833333), (0.00016927, 0.45666666), 4300)
_BLOCKS: Final = tuple(zip(_MODULATION, _SIXTH_BLOCK, strict=True))


def _text_encoder(role: str) -> TextEncoderFacts:
    return TextEncoderFacts(
        role=role,
        prefixes=(f"text_encoders.{role}.transformer.", f"text_encoders.{role}.", ""),
        network_prefixes=("lora_te_", "text_encoder."),
        layout="qwen3",
        reads="message",
        joined_states=(9, 18, 27),
        empty_thought=True,
        filled_up=True,
    )


FLUX2_KLEIN_4B: Final = Family(
    name="Flux.2 klein 4B",
    label="Flux.2 klein 4B",
    base_model_version="flux2_klein_4b",
    marks=tuple((f"{prefix}{name}",) for prefix in ("", UNET_PREFIX) for name in _MODULATION),
    text_encoders=(_text_encoder("qwen3_4b"),),
    resolution=(1024, 1024),
    vae_scaling_factor=1.0,
    latent_channels=128,
    latent_patch=2,
    vae_file="flux2-vae.safetensors",
    tiny_autoencoder="taef2",
    denoiser="flux2",
    file_prefixes=(UNET_PREFIX, ""),
    context_layers=("txt_in.weight", "context_embedder.weight"),
    sees_pictures=True,
    parts_apart=True,
    needs_range=True,
    prediction_type="flow",
    # Other schedules than that which is even take the shift that ComfyUI and Forge take: e to the power of 2.02.
    flow=FlowTraining(shift=7.538, by_size=_BY_SIZE),
)

FLUX2_KLEIN_9B: Final = replace(
    FLUX2_KLEIN_4B,
    name="Flux.2 klein 9B",
    label="Flux.2 klein 9B",
    base_model_version="flux2_klein_9b",
    marks=tuple((f"{prefix}{name}", f"{prefix}{block}") for prefix in ("", UNET_PREFIX) for name, block in _BLOCKS),
    text_encoders=(_text_encoder("qwen3_8b"),),
)
