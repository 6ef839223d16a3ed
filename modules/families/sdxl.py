"""Stable Diffusion XL, its base and its refiner: Podell et al. (2023), arXiv:2307.01952."""

from dataclasses import replace
from typing import Final

from modules.families.family import UNET_PREFIX, Family, TextEncoderFacts

# The refiner's only text encoder is the second one of the base.
_BIG_G_NETWORKS: Final = ("lora_te2_", "text_encoder_2.")

SDXL: Final = Family(
    name="SDXL",
    label="Stable Diffusion XL",
    base_model_version="sdxl_base_v1-0",
    marks=(("conditioner.embedders.1.model.",),),
    text_encoders=(
        TextEncoderFacts(
            role="clip_l",
            prefixes=("conditioner.embedders.0.transformer.text_model.", "conditioner.embedders.0.transformer."),
            network_prefixes=("lora_te1_", "text_encoder."),
            layout="transformers",
            activation="quick_gelu",
            pads_with_end=True,
            clip_skip="sdxl_clip_l_skip",
        ),
        TextEncoderFacts(
            role="clip_g",
            prefixes=("conditioner.embedders.1.model.",),
            network_prefixes=_BIG_G_NETWORKS,
            pooled=True,
        ),
    ),
    resolution=(1024, 1024),
    vae_scaling_factor=0.13025,
    tiny_autoencoder="taesdxl",
    added_numbers=("size", "crop", "target"),
    empty_negative_is_zero=True,
    step_tables="SDXL",
    attends_at_full_size=False,
    follows_sdxl_settings=True,
)

SDXL_REFINER: Final = Family(
    name="SDXL refiner",
    label="Stable Diffusion XL refiner",
    base_model_version="sdxl_refiner_v1-0",
    marks=(("conditioner.embedders.0.model.", f"{UNET_PREFIX}label_emb."),),
    text_encoders=(
        TextEncoderFacts(
            role="clip_g",
            prefixes=("conditioner.embedders.0.model.",),
            network_prefixes=_BIG_G_NETWORKS,
            pooled=True,
        ),
    ),
    resolution=(1024, 1024),
    vae_scaling_factor=0.13025,
    tiny_autoencoder="taesdxl",
    added_numbers=("size", "crop", "aesthetic score"),
    empty_negative_is_zero=True,
    step_tables="SDXL",
    attends_at_full_size=False,
    follows_sdxl_settings=True,
)

# Playground 2.5: Li et al. (2024), arXiv:2402.17245. Its VAE is SDXL's.
PLAYGROUND: Final = replace(
    SDXL,
    label="Playground 2.5",
    marks=tuple((*group, "edm_mean", "edm_std") for group in SDXL.marks),
    prediction_type="edm",
    vae_scaling_factor=0.5,
    latents_mean=(-1.6574, 1.886, -1.383, 2.5155),
    latents_std=(8.4927, 5.9022, 6.5498, 5.2299),
    tiny_scaling_factor=SDXL.vae_scaling_factor,
)

COSXL: Final = replace(
    SDXL,
    label="CosXL",
    marks=tuple((*group, "edm_vpred.sigma_max") for group in SDXL.marks),
    prediction_type="edm_v_prediction",
    edits_scaled=True,
)
