"""Files are known by their bytes; whatever is no model says what it is instead."""

import io
import pickle
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from modules.catalogue import Container, ModelFileError, ModelKind, classify_tensors, sniff_container
from tests.catalogue.files import write_model


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt", ".SAFETENSORS", ".txt"])
def test_the_suffix_does_not_matter(tmp_path: Path, suffix: str) -> None:
    assert sniff_container(write_model(tmp_path / f"model{suffix}")) is Container.SAFETENSORS


@pytest.mark.parametrize("length", [640, 1408, 0x10280, 0x8B1F])
def test_a_length_that_looks_like_another_kind_is_a_length(tmp_path: Path, length: int) -> None:
    """640 is written as a pickle begins, 0x8B1F as a gzip archive does."""
    path = tmp_path / "a.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{}".ljust(length))
    assert sniff_container(path) is Container.SAFETENSORS


def test_pytorch_containers(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.safetensors", "w") as archive:
        archive.writestr("a/data.pkl", b"")
    (tmp_path / "b.ckpt").write_bytes(pickle.dumps({"x": 1}, protocol=2))
    assert sniff_container(tmp_path / "a.safetensors") is Container.TORCH_ZIP
    assert sniff_container(tmp_path / "b.ckpt") is Container.TORCH_LEGACY


STRAYS = {
    "empty": (b"", r"is empty \(0 bytes\)"),
    "png": (picture("PNG"), "a PNG picture"),
    "jpeg": (picture("JPEG"), "a JPEG picture"),
    "webp": (picture("WEBP"), "a WebP picture"),
    "gif": (picture("GIF"), "a GIF picture"),
    "html": (b"\n<!DOCTYPE html><html>Log in</html>", "a web page"),
    "json": (b'{"error": "not found"}', "JSON"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7", "Git LFS pointer"),
    "gguf": (b"GGUF\x03\x00\x00\x00", "GGUF"),
    "zeros": (b"\0" * 4096, "zeros only"),
    "noise": (bytes(range(40, 140)), "neither safetensors nor a PyTorch file"),
}  # fmt: skip


@pytest.mark.parametrize("kind", STRAYS)
def test_a_file_that_is_no_model_says_what_it_is(tmp_path: Path, kind: str) -> None:
    content, expected = STRAYS[kind]
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=expected) as error:
        sniff_container(path)
    assert str(error.value).startswith("model.safetensors ") and "\n" not in str(error.value)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is a folder"):
        sniff_container(tmp_path)


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.encoder.x"], ModelKind.CHECKPOINT),
        (["model_ema.diffusion_modelinput_blocks00weight", "model.diffusion_model.input_blocks.0.0.bias"],
         ModelKind.CHECKPOINT),
        (["model_ema.diffusion_modelinput_blocks00weight"], ModelKind.EMA_ONLY),
        (["lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"], ModelKind.LORA),
        (["lora_te_text_model_encoder_layers_0_mlp_fc1.alpha"], ModelKind.LORA),
        (["unet.down_blocks.0.attentions.0.proj_in.lora_A.weight"], ModelKind.LORA),
        (["down_blocks.0.attentions.0.proj_in.lora.down.weight"], ModelKind.LORA),
        (["encoder.down.0.block.0.conv1.weight", "quant_conv.weight"], ModelKind.VAE),
        (["first_stage_model.decoder.conv_in.weight"], ModelKind.VAE),
        (["control_model.input_blocks.0.0.weight"], ModelKind.CONTROLNET),
        (["lora_controlnet", "input_blocks.1.0.in_layers.2.up", "zero_convs.0.0.weight"], ModelKind.CONTROLNET),
        (["controlnet_cond_embedding.conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"], ModelKind.CONTROLNET),
        (["conv_in.weight", "body.0.block1.weight", "body.0.block2.weight"], ModelKind.CONTROLNET),
        (["adapter.body.0.resnets.0.block1.weight"], ModelKind.CONTROLNET),
        (["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"], ModelKind.CONTROLNET),
        (["image_proj.proj.0.weight", "ip_adapter.0.to_k_lora.down.weight"], ModelKind.CONTROLNET),
        (["lllite_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q.up.0.weight"], ModelKind.CONTROLNET),
        (["emb_params"], ModelKind.EMBEDDING),
        (["clip_g", "clip_l"], ModelKind.EMBEDDING),
        (["down_blocks.0.resnets.0.conv1.weight", "conv_in.weight"], ModelKind.DIFFUSERS_UNET),
        (["double_blocks.0.img_attn.qkv.weight"], ModelKind.FLUX),
        (["model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight"], ModelKind.SD3),
        (["cond_stage_model.transformer.text_model.final_layer_norm.weight"], ModelKind.TEXT_ENCODER),
        (["model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"], ModelKind.UPSCALER),
        (["768", "320"], ModelKind.HYPERNETWORK),
        (["something.else"], ModelKind.UNKNOWN),
        ([], ModelKind.UNKNOWN),
    ],
)  # fmt: skip
def test_tensor_names_tell_the_kind(names: list[str], kind: ModelKind) -> None:
    assert classify_tensors(names) is kind
