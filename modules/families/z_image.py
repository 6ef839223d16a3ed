"""Z-Image, Turbo and Base: Tongyi-MAI (2025), arXiv:2511.22699. A transformer on Flux.1's latents, with Qwen3 as text
encoder; the two differ in no tensor's name or shape.
"""

from typing import Final

from modules.families.family import UNET_PREFIX, Family, TextEncoderFacts
from modules.families.prediction import FlowTraining

Z_IMAGE: Final = Family(
    name="Z-Image",
    label="Z-Image",
    base_model_version="zimage",
    # Lumina 2 has the refiners, but no token that texts are filled up with.
    marks=tuple((f"{prefix}cap_pad_token", f"{prefix}noise_refiner.") for prefix in ("", UNET_PREFIX)),
    text_encoders=(
        TextEncoderFacts(
            role="qwen3_4b",
            prefixes=("text_encoders.qwen3_4b.transformer.", "text_encoders.qwen3_4b.", ""),
            network_prefixes=("lora_te_", "text_encoder."),
            layout="qwen3",
            reads="message",
            layer=2,
        ),
    ),
    resolution=(1024, 1024),
    vae_scaling_factor=0.3611,
    vae_shift=0.1159,
    latent_channels=16,
    tiny_autoencoder="taef1",
    denoiser="z_image",
    file_prefixes=(UNET_PREFIX, ""),
    context_layers=("cap_embedder.1.weight",),
    parts_apart=True,
    needs_range=True,
    prediction_type="flow",
    flow=FlowTraining(shift=3.0),
)
