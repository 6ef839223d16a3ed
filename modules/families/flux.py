"""FLUX.1: Black Forest Labs (2024). A transformer on latents of 16 channels, with T5 as text encoder and the vector
that CLIP ViT-L gives of the whole text. [dev], and what was trained on from it (Krea), takes a guidance beside it;
[schnell] takes few steps and none. What is shown pictures (Kontext, Fill, the Tools) is not among these.
"""

from dataclasses import replace
from typing import Final

from modules.families.family import UNET_PREFIX, Family, TextEncoderFacts
from modules.families.prediction import FlowTraining, LineOfSizes

FLUX_PREFIXES: Final = (UNET_PREFIX, "")
FLUX_BLOCKS: Final = (
    "double_blocks.0.img_attn.norm.key_norm.scale",
    "double_blocks.0.img_attn.norm.key_norm.weight",
    # In diffusers' names other transformers have single blocks too, but not with a layer of this name.
    "single_transformer_blocks.0.proj_mlp.weight",
)
"""What a transformer of its blocks has, in the original layout and in diffusers', and no network does."""
_GUIDANCE: Final = ("guidance_in.", "guidance_in.", "time_text_embed.guidance_embedder.")

FLUX_DEV: Final = Family(
    name="Flux",
    label="Flux.1 dev",
    base_model_version="flux1",
    marks=tuple(
        (prefix + block, prefix + guidance)
        for prefix in FLUX_PREFIXES
        for block, guidance in zip(FLUX_BLOCKS, _GUIDANCE, strict=True)
    ),
    text_encoders=(
        TextEncoderFacts(
            role="clip_l",
            prefixes=(
                "text_encoders.clip_l.transformer.text_model.",
                "text_encoders.clip_l.text_model.",
                "text_model.",
            ),
            network_prefixes=("lora_te1_", "lora_te_", "text_encoder."),
            layout="transformers",
            activation="quick_gelu",
            pads_with_end=True,
            layer=1,
            final_norm=True,
            pooled=True,
            projected=False,
            only_pooled=True,
        ),
        TextEncoderFacts(
            role="t5xxl",
            prefixes=("text_encoders.t5xxl.transformer.", "text_encoders.t5xxl.", ""),
            network_prefixes=("lora_te3_", "lora_te2_", "text_encoder_2."),
            layout="t5",
            reads="text",
        ),
    ),
    resolution=(1024, 1024),
    vae_scaling_factor=0.3611,
    vae_shift=0.1159,
    latent_channels=16,
    tiny_autoencoder="taef1",
    denoiser="flux",
    file_prefixes=FLUX_PREFIXES,
    context_layers=("txt_in.weight", "context_embedder.weight"),
    pooled_layers=("vector_in.in_layer.weight", "time_text_embed.text_embedder.linear_1.weight"),
    parts_apart=True,
    needs_range=True,
    prediction_type="flow",
    # Other schedules than that which is even take the shift of 1024 x 1024: e to the power of 1.15.
    flow=FlowTraining(shift=3.15819, by_size=LineOfSizes((256, 0.5), (4096, 1.15), cells=4)),
    distilled_guidance=3.5,
)

FLUX_SCHNELL: Final = replace(
    FLUX_DEV,
    label="Flux.1 schnell",
    marks=tuple((prefix + block,) for prefix in FLUX_PREFIXES for block in FLUX_BLOCKS),
    flow=FlowTraining(),
    # Forge writes its distilled CFG scale for it too, where it does nothing.
    fixed_shift=True,
    distilled_guidance=None,
)
