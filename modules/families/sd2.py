"""Stable Diffusion 2.0 and 2.1, and what was made of them (SD Turbo): OpenCLIP ViT-H as text encoder."""

from typing import Final

from modules.families.family import Family, TextEncoderFacts

_PREFIXES: Final = ("cond_stage_model.model.", "conditioner.embedders.0.model.")

SD2: Final = Family(
    name="SD2",
    label="Stable Diffusion 2",
    base_model_version="sd_v2",
    # SD Turbo has the names of SDXL's refiner, and is recognised before it: it takes no sizes with its text.
    marks=tuple((prefix,) for prefix in _PREFIXES),
    text_encoders=(
        TextEncoderFacts(
            role="clip_h",
            prefixes=_PREFIXES,
            network_prefixes=("lora_te_", "text_encoder."),
            final_norm=True,
        ),
    ),
    resolution=(768, 768),
    vae_scaling_factor=0.18215,
    tiny_autoencoder="taesd",
    # 2.0 and 2.1 exist in both kinds, with the same shapes.
    prediction_type=None,
)
