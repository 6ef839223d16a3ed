"""Stable Diffusion 1: Rombach et al. (2022), arXiv:2112.10752, with CLIP ViT-L as its text encoder."""

from typing import Final

from modules.families.family import Family, TextEncoderFacts

SD1: Final = Family(
    name="SD1",
    label="Stable Diffusion 1",
    base_model_version="sd_v1",
    # What is of no other family; a checkpoint without text encoder too, which is then missed by its name.
    marks=(("model.diffusion_model.input_blocks.",),),
    text_encoders=(
        TextEncoderFacts(
            role="clip_l",
            prefixes=("cond_stage_model.transformer.text_model.", "cond_stage_model.transformer."),
            network_prefixes=("lora_te_", "text_encoder."),
            layout="transformers",
            activation="quick_gelu",
            pads_with_end=True,
            layer=1,
            final_norm=True,
            clip_skip="always",
        ),
    ),
    resolution=(512, 512),
    vae_scaling_factor=0.18215,
    tiny_autoencoder="taesd",
)
