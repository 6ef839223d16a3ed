"""What a file that guides a checkpoint is: by its tensors' names and shapes, and for which family of models.

Names and their order: sd-webui-controlnet 1.1.455, diffusers, and the projects that published each kind.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from enum import Enum
from typing import Final

from modules.catalogue.model_errors import ModelFileError

TensorShapes = Mapping[str, tuple[int, ...]]


class ControlKind(Enum):
    """A kind of control model that can be used; the value is what a person calls it."""

    CONTROLNET = "a ControlNet"
    UNION = "a ControlNet Union"
    CONTROL_LORA = "a Control-LoRA"
    T2I_ADAPTER = "a T2I-Adapter"
    LLLITE = "a ControlNet-LLLite"
    IP_ADAPTER = "an IP-Adapter"
    STYLE = "a T2I-Adapter for style"

    @property
    def adds_residuals(self) -> bool:
        """It answers in each forward with what is added to the UNet's; the others change its attention."""
        return self not in (ControlKind.LLLITE, ControlKind.IP_ADAPTER, ControlKind.STYLE)


DIFFERENCE: Final = "difference"
"""A tensor of this name says that a ControlNet's weights are differences from those of the checkpoint."""
LORA_MARK: Final = "lora_controlnet"
PREFIX: Final = "control_model."

# What the text that a UNet attends to is wide, by family.
_WIDTHS: Final = {768: "SD1", 1024: "SD2", 2048: "SDXL"}
# Input channels of a T2I-Adapter: a picture of one or three colours, squares of 8 or 16 pixels laid over each other.
_ADAPTER_INPUTS: Final = {64: "SD1", 192: "SD1", 256: "SDXL", 768: "SDXL"}

# Parameters of a ControlNet that is as large as the encoder of its family.
_WHOLE: Final = {"SD1": 361_300_000, "SDXL": 1_251_000_000}

# What can't be used, with the reason; all the names of one must be there.
_REFUSED: Final = (
    (("down_blocks.0.motion_modules.0.temporal_transformer.norm.weight",), "a SparseCtrl, which guides videos"),
    (("controlnet_x_embedder.",), "a ControlNet for Flux, which can't run here"),
    (("controlnet_blocks.", "transformer_blocks."), "a ControlNet for a transformer model, which can't run here"),
    (("control_layers.",), "a ControlNet for a transformer model, which can't run here"),
    (("control_all_x_embedder.",), "a ControlNet for Z-Image, which can't run here"),
    (("ctrl_to_base.",), "a ControlNet-XS, which can't be used here"),
    (("id_adapter", "pulid_ca"), "a PuLID, which needs a face detector that is not here"),
    (("pulid_encoder.",), "a PuLID, which needs a face detector that is not here"),
    (("pulid_ca.",), "a PuLID, which needs a face detector that is not here"),
)
_INSTANT_ID = re.compile(r"instant[-_ ]?id", re.IGNORECASE)
_PULID = re.compile(r"pulid", re.IGNORECASE)
# Of an IP-Adapter: the first number of a face's vector, or the layers that make a face more alike.
_FACE_NAMES: Final = ("image_proj.perceiver_resampler.", "image_proj.proj.2.")
_FACE_WIDTH: Final = 512


def control_kind(file_name: str, shapes: TensorShapes) -> ControlKind:
    """What the file of this name with tensors of these shapes is.

    Raises:
        ModelFileError: it is no control model, or of a kind that can't be used; the sentence says which.
    """
    for beginnings, what in _REFUSED:
        if all(_has(shapes, beginning) for beginning in beginnings):
            raise ModelFileError(f"{file_name} is {what}.")
    for named, what in ((_INSTANT_ID, "InstantID"), (_PULID, "PuLID")):
        if named.search(file_name):
            raise ModelFileError(f"{file_name} is a part of {what}, which needs a face detector that is not here.")
    kind = next((kind for kind, is_one in _MARKS if is_one(shapes)), None)
    if kind is None:
        raise ModelFileError(f"{file_name} is no control model of a kind that is known here.")
    if kind is ControlKind.IP_ADAPTER and _is_for_faces(shapes):
        raise ModelFileError(
            f"{file_name} is an IP-Adapter FaceID, which needs the face recognition of InsightFace; "
            "ip-adapter-plus-face works without it."
        )
    return kind


def _has(names: Collection[str], beginning: str) -> bool:
    return any(name.startswith(beginning) for name in names)


def _is_lora(shapes: TensorShapes) -> bool:
    return LORA_MARK in shapes


def _is_union(shapes: TensorShapes) -> bool:
    return "control_add_embedding.linear_1.bias" in shapes and "task_embedding" in shapes


def _is_controlnet(shapes: TensorShapes) -> bool:
    marks = ("controlnet_cond_embedding.conv_in.weight", "input_hint_block.0.weight")
    return any(mark in shapes for mark in (*marks, f"{PREFIX}input_hint_block.0.weight"))


def _is_adapter(shapes: TensorShapes) -> bool:
    marks = ("adapter.body.0.resnets.0.block1.weight", "body.0.in_conv.weight")
    return any(mark in shapes for mark in marks) or {"conv_in.weight", "body.0.block2.weight"} <= shapes.keys()


def _is_style(shapes: TensorShapes) -> bool:
    return "style_embedding" in shapes


def _is_lllite(shapes: TensorShapes) -> bool:
    return _has(shapes, "lllite_")


def _is_ip_adapter(shapes: TensorShapes) -> bool:
    return _has(shapes, "image_proj.") and _has(shapes, "ip_adapter.")


# In the order of asking.
_MARKS: Final = (
    (ControlKind.CONTROL_LORA, _is_lora),
    (ControlKind.UNION, _is_union),
    (ControlKind.CONTROLNET, _is_controlnet),
    (ControlKind.T2I_ADAPTER, _is_adapter),
    (ControlKind.LLLITE, _is_lllite),
    (ControlKind.IP_ADAPTER, _is_ip_adapter),
    (ControlKind.STYLE, _is_style),
)


def _is_for_faces(shapes: TensorShapes) -> bool:
    width = shapes.get("image_proj.proj.0.weight", ())
    return _has(shapes, _FACE_NAMES[0]) or (_has(shapes, _FACE_NAMES[1]) and width[-1:] == (_FACE_WIDTH,))


def control_family(kind: ControlKind, shapes: TensorShapes) -> str:
    """The short name of the family that a control model is for; "" where its shapes don't say it."""
    match kind:
        case ControlKind.T2I_ADAPTER:
            names = (
                "adapter.conv_in.weight",
                "conv_in.weight",
                "adapter.body.0.in_conv.weight",
                "body.0.in_conv.weight",
            )
            first = next((shapes[name] for name in names if name in shapes), ())
            return _ADAPTER_INPUTS.get(first[1], "") if len(first) == 4 else ""
        case ControlKind.LLLITE:
            return "SDXL"
        case ControlKind.IP_ADAPTER:
            return _WIDTHS.get(_text_width(shapes, ".to_k_ip.weight"), "")
        case ControlKind.STYLE:
            return _WIDTHS.get(shapes.get("proj", (0,))[-1], "")
    if _is_sdxl(kind, shapes):
        return "SDXL"
    width = _text_width(shapes, "attn2.to_k.weight") or _text_width(shapes, "attn2.to_k.down")
    linear = any(name.endswith(".proj_in.weight") and len(shape) == 2 for name, shape in shapes.items())
    return _WIDTHS.get(width, "SD2" if linear else "SD1")


def _is_sdxl(kind: ControlKind, shapes: TensorShapes) -> bool:
    if any(name.removeprefix(PREFIX).startswith(("label_emb.", "add_embedding.")) for name in shapes):
        return True
    text = any(name.endswith(("attn2.to_k.weight", "attn2.to_k.down")) for name in shapes)
    return not text and (kind is not ControlKind.CONTROL_LORA or "input_blocks.11.0.in_layers.0.weight" not in shapes)


def _text_width(shapes: TensorShapes, ending: str) -> int:
    return next((shape[1] for name, shape in shapes.items() if name.endswith(ending) and len(shape) == 2), 0)


def control_bytes(kind: ControlKind, shapes: TensorShapes, itemsize: int) -> int:
    """Bytes that a control model takes in memory, in numbers of `itemsize`; a Control-LoRA becomes a ControlNet."""
    own = sum(math.prod(shape) for shape in shapes.values())
    whole = _WHOLE["SDXL" if _is_sdxl(kind, shapes) else "SD1"] if kind is ControlKind.CONTROL_LORA else 0
    return max(own, whole) * itemsize


def is_control_model(names: Collection[str]) -> bool:
    """Whether tensors of these names are those of any control model, one that can't be used too."""
    shapes = dict.fromkeys(names, ())
    return any(is_one(shapes) for _, is_one in _MARKS) or any(
        all(_has(names, beginning) for beginning in beginnings) for beginnings, _ in _REFUSED
    )
