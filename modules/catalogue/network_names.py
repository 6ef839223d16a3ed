"""How the tensors of a network (LoRA and its relatives) are named: the layer's name, then which part of it they are."""

from typing import Final

# How trainers spell a part of a layer, by what it is called here. PEFT's names may have the adapter's, "default", in
# them. What diffusers once wrote, `to_q_lora.up.weight`, belongs to the layer `to_q`.
_SPELLINGS: Final[dict[str, tuple[str, ...]]] = {
    "up": (
        ".lora_up.weight", ".lora_B.weight", ".lora_B.default.weight", ".lora_B", ".lora.up.weight", "_lora.up.weight",
        ".lora_linear_layer.up.weight", ".up.weight",
    ),
    "down": (
        ".lora_down.weight", ".lora_A.weight", ".lora_A.default.weight", ".lora_A", ".lora.down.weight",
        "_lora.down.weight", ".lora_linear_layer.down.weight", ".down.weight",
    ),
    "mid": (".lora_mid.weight",),
    "up_bias": (".lora_B.bias", ".lora_B.default.bias"),
    "magnitude": (
        ".lora_magnitude_vector", ".lora_magnitude_vector.weight", ".lora_magnitude_vector.default",
        ".lora_magnitude_vector.default.weight",
    ),
    **{
        part: tuple(f".{part}{adapter}{weight}" for adapter in ("", ".default") for weight in ("", ".weight"))
        for part in ("oft_R", "oft_r", "boft_R", "boft_s", "ia3_l")
    },
    **{
        part: (f".{part}",)
        for part in (
            "alpha", "scale", "bias", "dora_scale", "diff", "diff_b", "w_norm", "b_norm", "weight", "on_input",
            "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
            "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
            "oft_blocks", "oft_diag", "rescale",
        )
    },
    **{part: (f".{part}.weight",) for part in ("a1", "a2", "b1", "b2")},
}  # fmt: skip
_PARTS: Final = {spelling: part for part, spellings in _SPELLINGS.items() for spelling in spellings}
_LENGTHS: Final = sorted({len(spelling) for spelling in _PARTS}, reverse=True)


def split_name(name: str) -> tuple[str, str]:
    """`unet.conv_in.lora_A.weight` → (`unet.conv_in`, `down`): the layer as the file spells it, and the part.

    A name that ends in no known part is cut at its last dot, and the part is then called as the file calls it.
    """
    for length in _LENGTHS:
        part = _PARTS.get(name[-length:])
        if part is not None and length < len(name):
            return name[:-length], part
    layer, _, part = name.rpartition(".")
    return layer, part
