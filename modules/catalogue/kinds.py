"""What a file is, by its bytes and its tensors' names, never by its suffix; each wrong kind has its message."""

import re
from collections.abc import Collection
from enum import Enum
from pathlib import Path
from typing import Final

from modules.catalogue.control_kinds import is_control_model
from modules.catalogue.model_errors import ModelFileError
from modules.families.flux import FLUX_BLOCKS, FLUX_PREFIXES


class Container(Enum):
    """How a file of tensors is packed."""

    SAFETENSORS = "safetensors"
    TORCH_ZIP = "PyTorch zip"
    TORCH_LEGACY = "PyTorch pickle of before 2020"


class ModelKind(Enum):
    """What a file of tensors is for; the value says it to a person, with what to do with such a file."""

    CHECKPOINT = "a checkpoint"
    LORA = "a LoRA: put it into models/Lora and write <lora:name:1> into the prompt"
    VAE = "a VAE: put it into models/VAE and choose it under SD VAE"
    EMBEDDING = "a textual inversion embedding: put it into embeddings/ and write its name into the prompt"
    CONTROLNET = "a ControlNet, which guides a checkpoint but can't replace one: put it into models/ControlNet"
    HYPERNETWORK = "a hypernetwork: put it into models/hypernetworks and write <hypernet:name:1> into the prompt"
    UPSCALER = "an upscaler: put it into models/ESRGAN"
    FLUX = "a part of a Flux model, or one in a form that can't run here"
    SD3 = "a Stable Diffusion 3 model, which can't run here"
    TRANSFORMER = "a diffusion transformer (as Qwen-Image and Wan are), which can't run here"
    DIFFUSERS_UNET = "a UNet in diffusers' layout; a single file with the original layout is needed"
    IMAGE_ENCODER = "an image encoder (CLIP vision), which IP-Adapters need: put it into models/clip_vision"
    TEXT_ENCODER = "a text encoder, one part of a checkpoint: put it into models/text_encoder"
    EMA_ONLY = "the EMA half of a training checkpoint (model_ema.*); export it with these weights in the model's place"
    UNKNOWN = "of a kind that is not known here"


# In the order of asking: a checkpoint contains what a VAE or a text encoder consists of.
_BEGINNINGS: Final = (
    (
        ModelKind.CHECKPOINT,
        (
            "model.diffusion_model.input_blocks.",
            *(
                prefix + name
                for prefix in ("", "model.diffusion_model.")
                for name in (
                    "cap_pad_token",
                    "double_stream_modulation_img.lin.weight",
                    "double_stream_modulation_img.linear.weight",
                )
            ),
        ),
    ),
    (
        ModelKind.CONTROLNET,
        (
            "control_model.",
            "input_hint_block.",
            "controlnet_",
            "lllite_",
            "adapter.body.",
            "ip_adapter.",
            "image_proj.",
        ),
    ),
    # Control models have Flux.1's blocks too, and parts of their own.
    (ModelKind.CHECKPOINT, tuple(prefix + name for prefix in FLUX_PREFIXES for name in FLUX_BLOCKS)),
    (
        ModelKind.FLUX,
        tuple(
            prefix + name
            for prefix in ("", "model.diffusion_model.")
            # In diffusers' names other transformers have single blocks too, but not with a layer of this name.
            for name in ("double_blocks.", "single_transformer_blocks.0.proj_mlp.")
        ),
    ),
    (ModelKind.SD3, ("joint_blocks.", "model.diffusion_model.joint_blocks.")),
    (
        ModelKind.TRANSFORMER,
        tuple(
            prefix + name
            for prefix in ("", "model.diffusion_model.", "net.")
            for name in (
                "transformer_blocks.",
                "single_transformer_blocks.",
                "double_stream_blocks.",
                "early_stream_modulations.",
                "cap_embedder.",
                "noise_refiner.",
                "txt_norm.",
                "txtfusion.",
                "llm_adapter.",
                "head.modulation",
                "layers.0.mlp.linear_fc2.",
            )
        ),
    ),
    (ModelKind.EMA_ONLY, ("model_ema.",)),
    (
        ModelKind.VAE,
        (
            "first_stage_model.",
            "encoder.down.",
            "decoder.up.",
            "decoder.conv_in.",
            "decoder.up_blocks.",
            "encoder.middle.",
            "decoder.middle.",
        ),
    ),
    (ModelKind.DIFFUSERS_UNET, ("down_blocks.", "time_embedding.")),
    (ModelKind.EMBEDDING, ("emb_params", "string_to_param", "clip_l", "clip_g")),
    (ModelKind.IMAGE_ENCODER, ("vision_model.",)),
    (ModelKind.TEXT_ENCODER, ("cond_stage_model.", "text_model.", "embeddings.", "encoder.layers.", "text_encoders.")),
    # Of OpenCLIP, T5, and the language models that transformers listen to.
    (
        ModelKind.TEXT_ENCODER,
        ("transformer.resblocks.", "encoder.block.", "model.layers.", "model.embed_tokens.", "model.language_model."),
    ),
    (ModelKind.UPSCALER, ("params_ema.", "conv_first.", "model.0.weight", "RRDB_trunk.", "layers.0.residual_group.")),
)
# How networks of all trainers begin (kohya, LyCORIS, OneTrainer), and what parts their layers have: LoRA in the namings
# of kohya, PEFT, diffusers and x-flux, LoHa, LoKr, OFT, GLoRA, IA3, whole differences, norms, DoRA.
_NETWORK_BEGINNINGS: Final = (
    "lora_unet_",
    "lora_te",
    "lora_transformer_",
    "lycoris_",
    "oft_unet_",
    "oft_te",
    "bundle_emb.",
)
_NETWORK_PART = re.compile(
    r"[._]lora(_(down|up|mid|A|B|linear_layer)|\.(down|up))\b|_lora\d?\.(down|up)\b|\.(hada_[wt][12]|lokr_[wt][12]|oft_(blocks|diag|R|r)\b|boft_[Rs]\b|ia3_l\b)"
    r"|\.([ab][12]\.weight|on_input|diff|diff_b|w_norm|b_norm|dora_scale)$"
)

# A pair of networks for each width that attention may have; as weights_in calls their tensors, or by the width alone.
_HYPERNETWORK_PART = re.compile(r"\d{3,}($|\.[01]\.)")

_IMAGES: Final = (
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"\x00\x00\x00 ftypavif", "an AVIF picture"),
)
_STRAYS: Final = (
    (b"GGUF", "a GGUF file (a language model, or a quantised one), which can't be read here"),
    (b"version https://git-lfs", "only a Git LFS pointer; download the file itself (git lfs pull)"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
)


def classify_tensors(names: Collection[str]) -> ModelKind:
    """What a file of tensors is for, by the names of its tensors."""
    found = next((kind for kind, beginnings in _BEGINNINGS if any(name.startswith(beginnings) for name in names)), None)
    if found is ModelKind.CHECKPOINT:
        return found
    # These have the names of what they guide or add to, and parts of their own behind them.
    if found is ModelKind.CONTROLNET or is_control_model(names):
        return ModelKind.CONTROLNET
    if _is_network(names):
        return ModelKind.LORA
    if found is not None:
        return found
    if names and all(_HYPERNETWORK_PART.match(name) for name in names):
        return ModelKind.HYPERNETWORK
    # diffusers' files of one textual inversion call its only tensor by the word that it stands for.
    return ModelKind.EMBEDDING if len(names) == 1 and "." not in next(iter(names)) else ModelKind.UNKNOWN


def _is_network(names: Collection[str]) -> bool:
    return any(name.startswith(_NETWORK_BEGINNINGS) or _NETWORK_PART.search(name) for name in names)


def sniff_container(path: Path) -> Container:
    """How a file of tensors is packed.

    Raises:
        ModelFileError: it is no file of tensors, or it can't be read; one sentence says what it is instead.
    """
    if path.is_dir():
        raise ModelFileError(f"{path.name} is a folder (a model in diffusers' layout?); a single file is needed.")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError as error:
        raise ModelFileError(f"{path.name} is no longer in {path.parent}; press refresh and choose another.") from error
    except OSError as error:
        raise ModelFileError(f"{path} can't be read: {error.strerror or error}.") from error
    if size == 0:
        raise ModelFileError(f"{path.name} is empty (0 bytes); fetch it again from its source.")
    if head[4:9] == bytes(4) + b"{":
        # Checked first: the length in front of it may look like the beginning of a pickle or of an archive.
        return Container.SAFETENSORS
    stray = _describe_stray(head)
    if stray is not None:
        raise ModelFileError(f"{path.name} is {stray}, whatever its name says.")
    if head.startswith(b"PK\x03\x04"):
        return Container.TORCH_ZIP
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return Container.TORCH_LEGACY
    if head[8:9] == b"{" or (size < 9 and path.suffix.lower() == ".safetensors"):
        return Container.SAFETENSORS
    if not head.strip(b"\x00"):
        raise ModelFileError(f"{path.name} begins with zeros only; the download was interrupted, fetch it again.")
    raise ModelFileError(
        f"{path.name} is not a file of model weights: it is neither safetensors nor a PyTorch file "
        f"(it begins with {head[:8].hex(' ')}); fetch it again from its source."
    )


def _describe_stray(head: bytes) -> str | None:
    for magic, kind in (*_IMAGES, *_STRAYS):
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP picture"
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page; the download link led to a page instead of the file"
    if text.startswith(b"{") and b'"' in text[:64]:
        return "a text file in JSON, perhaps a server's error message instead of the model"
    return None
