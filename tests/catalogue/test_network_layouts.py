"""Networks of all trainers are recognised by the names of their tensors, whatever they add to."""

import pytest

from modules.catalogue.kinds import ModelKind, classify_tensors

NETWORKS = {
    "kohya, Stable Diffusion 1": "lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight",
    "kohya, SDXL": "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.lora_up.weight",
    "kohya, second text encoder": "lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha",
    "kohya, T5": "lora_te3_encoder_block_0_layer_0_SelfAttention_q.lora_down.weight",
    "LyCORIS": "lycoris_down_blocks_0_attentions_0_proj_in.lokr_w1",
    "OFT": "oft_unet_input_blocks_1_1_proj_in.oft_blocks",
    "OneTrainer, Flux": "lora_transformer_transformer_blocks_0_attn_to_q.lora_down.weight",
    "PEFT": "base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight",
    "PEFT, default": "transformer_blocks.0.attn.to_q.lora_B.default.weight",
    "diffusers": "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora.down.weight",
    "diffusers, processors": "down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.up.weight",
    "diffusers, old text encoder": "text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.up.weight",
    "diffusers, linear layers": "text_encoder.text_model.encoder.layers.0.mlp.fc1.lora_linear_layer.down.weight",
    "ComfyUI": "diffusion_model.input_blocks.1.1.proj_in.lora_A.weight",
    "Flux, BFL names": "double_blocks.0.img_attn.qkv.lora_B.weight",
    "Flux, x-flux": "double_blocks.0.processor.qkv_lora1.down.weight",
    "LoHa": "lora_unet_mid_block_attentions_0_proj_in.hada_w1_a",
    "GLoRA": "lora_unet_mid_block_attentions_0_proj_in.a1.weight",
    "IA3": "lora_unet_mid_block_attentions_0_proj_in.on_input",
    "whole difference": "unet.mid_block.attentions.0.proj_in.diff",
    "norm": "unet.mid_block.resnets.0.norm1.w_norm",
    "bundled embedding": "bundle_emb.ink.string_to_param.*",
}
OTHERS = {
    "model.diffusion_model.input_blocks.0.0.weight": ModelKind.CHECKPOINT,
    "first_stage_model.decoder.conv_in.weight": ModelKind.VAE,
    "encoder.down.0.block.0.conv1.weight": ModelKind.VAE,
    "double_blocks.0.img_attn.qkv.weight": ModelKind.FLUX,
    "joint_blocks.0.x_block.attn.qkv.weight": ModelKind.SD3,
    "control_model.input_blocks.0.0.weight": ModelKind.CONTROLNET,
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight": ModelKind.DIFFUSERS_UNET,
    "emb_params": ModelKind.EMBEDDING,
    "clip_g": ModelKind.EMBEDDING,
    "text_model.encoder.layers.0.mlp.fc1.weight": ModelKind.TEXT_ENCODER,
    "params_ema.conv_first.weight": ModelKind.UPSCALER,
}


@pytest.mark.parametrize("layout", NETWORKS)
def test_a_network_is_one(layout: str) -> None:
    assert classify_tensors({NETWORKS[layout]}) is ModelKind.LORA


@pytest.mark.parametrize("name", OTHERS)
def test_what_networks_add_to_is_none(name: str) -> None:
    assert classify_tensors({name}) is OTHERS[name]
