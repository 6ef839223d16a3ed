"""What a network is for, by its shapes, in the namings and kinds of all trainers."""

from __future__ import annotations

import pytest

from modules.catalogue.network_base import Shape, base_of

ATTENTION = "down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
DOTTED = "down_blocks.1.attentions.0.transformer_blocks.0.attn2"


def both(layer: str, takes: int, gives: int) -> dict[str, Shape]:
    """The two matrices of a LoRA for a layer of these widths."""
    return {f"{layer}.lora_down.weight": (8, takes), f"{layer}.lora_up.weight": (gives, 8)}


@pytest.mark.parametrize(
    ("shapes", "base"),
    [
        ({f"lora_unet_{ATTENTION}.lora_down.weight": (8, 768)}, "SD1"),
        ({f"unet.{DOTTED}.to_k.lora_A.weight": (8, 1024)}, "SD2"),
        ({f"unet.{DOTTED}.processor.to_v_lora.down.weight": (8, 768)}, "SD1"),
        (
            {
                "lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (8, 768),
                "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.hada_w1_b": (8, 2048),
            },
            "SDXL",
        ),
        ({f"lora_unet_{ATTENTION}.lokr_w1": (8, 8), f"lora_unet_{ATTENTION}.lokr_w2_b": (4, 160)}, "SDXL refiner"),
        ({f"lora_unet_{ATTENTION}.a1.weight": (768, 4)}, "SD1"),
        ({f"lora_unet_{ATTENTION}.a1.weight": (4, 768)}, "SD1"),
        ({f"lora_unet_{ATTENTION}.diff": (320, 2048)}, "SDXL"),
        ({f"unet.base_model.model.{DOTTED}.to_k.oft_R.weight": (24, 496)}, "SD1"),
        ({f"unet.base_model.model.{DOTTED}.to_k.boft_R": (2, 256, 8, 8)}, "SDXL"),
        # Self attention and the width of what it writes say nothing.
        ({"lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_k.lora_down.weight": (8, 768)}, ""),
        ({f"lora_unet_{ATTENTION}.lora_up.weight": (768, 8)}, ""),
        ({f"lora_unet_{ATTENTION}.lora_down.weight": (8, 64)}, ""),
        ({"lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (8, 768)}, "SD1"),
        ({"text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight": (8, 1024)}, "SD2"),
        ({"text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight": (8, 768)}, ""),
        ({"lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (8, 768)}, "SDXL"),
        ({"text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_A.weight": (8, 1280)}, "SDXL"),
        (
            {
                "lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (8, 768),
                "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (8, 3072),
            },
            "Flux",
        ),
        (
            {
                "transformer.transformer_blocks.0.attn.add_q_proj.lora_A.weight": (8, 3072),
                "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": (8, 3072),
            },
            "Flux",
        ),
        ({"double_blocks.0.processor.qkv_lora1.down.weight": (16, 3072)}, "Flux"),
        (both("lora_unet_single_blocks_3_linear2", 15360, 3072), "Flux"),
        (both("lora_unet_single_blocks_3_linear2", 12288, 3072), "Flux.2 klein 4B"),
        (both("lora_unet_single_blocks_3_linear1", 3072, 27648), "Flux.2 klein 4B"),
        (both("lora_unet_single_blocks_3_linear1", 3072, 21504), "Flux"),
        ({f"lora_unet_double_blocks_2_img_mlp_0.{part}": (8, 8) for part in ("lokr_w1", "lokr_w2")}, "Flux"),
        ({"transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj.lora_A.weight": (8, 3072)}, "Flux.2 klein 4B"),
        ({"transformer.single_transformer_blocks.0.attn.to_qkv_mlp_proj.lora_A.weight": (8, 6144)}, "Flux.2 dev"),
        ({f"lora_unet_double_blocks_{i}_img_attn_qkv.lora_A": (8, 3072) for i in range(5)}, "Flux.2 klein 4B"),
        ({f"lora_unet_double_blocks_{i}_img_attn_qkv.lora_A": (8, 3072) for i in range(19)}, "Flux"),
        ({"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (8, 4096)}, "Flux.2 klein 9B"),
        ({"transformer_blocks.0.img_mlp.net.0.proj.lora_A.default.weight": (8, 3072)}, "Qwen-Image"),
        ({"lycoris_transformer_blocks_0_attn_add_q_proj.lora_down.weight": (8, 3072)}, "Qwen-Image"),
        ({"transformer.transformer_blocks.0.attn.add_q_proj.lora_A.weight": (8, 1536)}, "SD3"),
        ({"lora_unet_joint_blocks_0_context_block_attn_qkv.lora_down.weight": (8, 1536)}, "SD3"),
        ({"diffusion_model.layers.0.attention.to_q.lora_A.weight": (8, 3840)}, "Z-Image"),
        ({"lora_unet_noise_refiner_0_attention_qkv.lora_down.weight": (8, 3840)}, "Z-Image"),
        ({}, ""),
        ({f"lora_unet_{ATTENTION}.lora_down.weight": ()}, ""),
    ],
)
def test_shapes_say_what_a_network_is_for(shapes: dict[str, Shape], base: str) -> None:
    assert base_of(shapes) == base
