"""Networks of all trainers are recognised by the names of their tensors, whatever they add to."""

from pathlib import Path

import pytest
import torch

from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.catalogue.tensor_shapes import read_tensor_shapes

UNET = "model.diffusion_model.input_blocks.0.0.weight"

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
    "OFT of PEFT": "base_model.model.mid_block.attentions.0.proj_in.oft_R.weight",
    "OFT of PEFT until 0.13": "base_model.model.mid_block.attentions.0.proj_in.oft_r",
    "BOFT of PEFT": "base_model.model.mid_block.attentions.0.proj_in.boft_R",
    "IA3 of PEFT": "base_model.model.mid_block.attentions.0.proj_in.ia3_l",
    "OFT of OneTrainer": "lora_unet_mid_block_attentions_0_proj_in.oft_R.weight",
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

# Every other layout that people have files of, each by names that its kind's files have together.
LAYOUTS: dict[str, tuple[ModelKind, tuple[str, ...]]] = {
    "Stable Diffusion 1": (ModelKind.CHECKPOINT, (UNET, "cond_stage_model.transformer.text_model.x")),
    "Stable Diffusion 2": (ModelKind.CHECKPOINT, (UNET, "cond_stage_model.model.ln_final.weight")),
    "Stable Diffusion XL": (ModelKind.CHECKPOINT, (UNET, "conditioner.embedders.1.model.ln_final.weight", "v_pred")),
    "a refiner": (ModelKind.CHECKPOINT, (UNET, "conditioner.embedders.0.model.ln_final.weight")),
    "a checkpoint with a network inside": (ModelKind.CHECKPOINT, (UNET, "lora_unet_x.lora_up.weight")),
    "a UNet alone": (ModelKind.CHECKPOINT, (UNET,)),
    "Flux.1": (ModelKind.CHECKPOINT, ("double_blocks.0.img_attn.norm.key_norm.scale", "img_in.weight")),
    "a part of Flux.1": (ModelKind.FLUX, ("double_blocks.7.img_attn.qkv.weight",)),
    "Flux.1, all in one": (
        ModelKind.CHECKPOINT,
        ("model.diffusion_model.double_blocks.0.img_attn.norm.key_norm.scale", "vae.decoder.conv_in.weight"),
    ),
    "a ControlNet of Flux.1": (
        ModelKind.CONTROLNET,
        ("double_blocks.0.img_attn.norm.key_norm.scale", "controlnet_blocks.0.weight", "input_hint_block.0.weight"),
    ),
    "Flux.1, diffusers": (
        ModelKind.CHECKPOINT,
        ("transformer_blocks.0.attn.to_q.weight", "single_transformer_blocks.0.proj_mlp.weight", "x_embedder.weight"),
    ),
    "AuraFlow": (
        ModelKind.TRANSFORMER,
        ("joint_transformer_blocks.0.attn.to_q.weight", "single_transformer_blocks.0.ff.linear_1.weight"),
    ),
    "Flux.2": (
        ModelKind.CHECKPOINT,
        ("double_stream_modulation_img.lin.weight", "double_blocks.0.img_attn.qkv.weight"),
    ),
    "Flux.3": (ModelKind.TRANSFORMER, ("early_stream_modulations.image.lin.weight",)),
    "Qwen-Image": (ModelKind.TRANSFORMER, ("txt_norm.weight", "transformer_blocks.0.attn.to_q.weight")),
    "Krea 2": (ModelKind.TRANSFORMER, ("txtfusion.projector.weight", "blocks.0.attn.wq.weight")),
    "Anima": (ModelKind.TRANSFORMER, ("net.blocks.0.mlp.layer1.weight", "net.llm_adapter.blocks.0.x")),
    "ERNIE": (ModelKind.TRANSFORMER, ("layers.0.mlp.linear_fc2.weight", "layers.0.x")),
    "Wan": (ModelKind.TRANSFORMER, ("head.modulation", "patch_embedding.weight")),
    "HiDream": (ModelKind.TRANSFORMER, ("double_stream_blocks.0.block.adaLN_modulation.1.bias",)),
    "Lumina 2": (ModelKind.TRANSFORMER, ("cap_embedder.1.weight", "noise_refiner.0.attention.qkv.weight")),
    "SD3": (ModelKind.SD3, ("joint_blocks.0.context_block.adaLN_modulation.1.bias", "x_embedder.proj.weight")),
    "SD3, all in one": (
        ModelKind.SD3,
        ("model.diffusion_model.joint_blocks.0.x", "first_stage_model.x", "text_encoders.clip_l.x"),
    ),
    "CLIP": (ModelKind.TEXT_ENCODER, ("text_model.encoder.layers.30.mlp.fc1.weight",)),
    "OpenCLIP": (ModelKind.TEXT_ENCODER, ("transformer.resblocks.0.attn.in_proj_weight", "token_embedding.weight")),
    "T5": (ModelKind.TEXT_ENCODER, ("encoder.block.23.layer.1.DenseReluDense.wi_1.weight", "shared.weight")),
    "Gemma 2": (ModelKind.TEXT_ENCODER, ("model.layers.0.post_feedforward_layernorm.weight", "model.norm.weight")),
    "Qwen3": (ModelKind.TEXT_ENCODER, ("model.layers.0.self_attn.q_norm.weight",)),
    "CLIP's image encoder": (ModelKind.IMAGE_ENCODER, ("vision_model.encoder.layers.0.mlp.fc1.weight",)),
    "a VAE": (ModelKind.VAE, ("encoder.conv_in.weight", "decoder.conv_in.weight", "quant_conv.weight")),
    "a VAE of Flux.2": (ModelKind.VAE, ("bn.running_mean", "decoder.conv_in.weight")),
    "a VAE of Wan": (ModelKind.VAE, ("decoder.middle.0.residual.0.gamma", "encoder.middle.0.residual.0.gamma")),
    "a VAE, diffusers": (ModelKind.VAE, ("decoder.up_blocks.0.resnets.0.conv1.weight", "decoder.conv_in.weight")),
    "an embedding of A1111": (ModelKind.EMBEDDING, ("string_to_token", "string_to_param", "name", "step")),
    "an embedding of diffusers": (ModelKind.EMBEDDING, ("<cat-toy>",)),
    "an embedding of SDXL": (ModelKind.EMBEDDING, ("clip_l", "clip_g")),
    "a Control-LoRA": (ModelKind.CONTROLNET, ("lora_controlnet", "input_blocks.1.0.in_layers.2.up")),
    "a SparseCtrl": (
        ModelKind.CONTROLNET,
        ("down_blocks.0.motion_modules.0.temporal_transformer.norm.weight", "down_blocks.0.resnets.0.conv1.weight"),
    ),
    "a Union": (ModelKind.CONTROLNET, ("control_add_embedding.linear_1.bias", "task_embedding", "down_blocks.0.x")),
    "a ControlNet": (ModelKind.CONTROLNET, ("input_hint_block.0.weight", "input_blocks.0.0.weight")),
    "a ControlNet by its difference": (ModelKind.CONTROLNET, ("difference", "control_model.input_hint_block.0.weight")),
    "a T2I-Adapter for style": (ModelKind.CONTROLNET, ("style_embedding", "ln_post.weight")),
    "a light T2I-Adapter": (ModelKind.CONTROLNET, ("body.0.in_conv.weight",)),
    "a ControlNet of Z-Image": (ModelKind.CONTROLNET, ("control_layers.14.adaLN_modulation.0.weight",)),
    "a ControlNet of Flux": (
        ModelKind.CONTROLNET,
        ("controlnet_x_embedder.weight", "transformer_blocks.0.x", "single_transformer_blocks.0.proj_mlp.weight"),
    ),
    "a ControlNet-XS": (ModelKind.CONTROLNET, ("ctrl_to_base.0.weight",)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_of_its_kind(layout: str) -> None:
    kind, names = LAYOUTS[layout]
    assert classify_tensors(names) is kind


def test_a_hypernetwork_is_known_by_its_file(tmp_path: Path) -> None:
    nets = {"linear.0.weight": torch.ones(1536, 768), "linear.0.bias": torch.ones(1536)}
    path = tmp_path / "h.pt"
    torch.save({768: (nets, nets), 320: (nets, nets), "name": "h", "step": 3, "layer_structure": [1, 2, 1]}, path)
    assert classify_tensors(read_tensor_shapes(path)[0]) is ModelKind.HYPERNETWORK


@pytest.mark.parametrize("layout", NETWORKS)
def test_a_network_is_one(layout: str) -> None:
    assert classify_tensors({NETWORKS[layout]}) is ModelKind.LORA


@pytest.mark.parametrize("name", OTHERS)
def test_what_networks_add_to_is_none(name: str) -> None:
    assert classify_tensors({name}) is OTHERS[name]
