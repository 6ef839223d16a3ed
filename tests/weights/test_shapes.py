"""Construction from shapes, against diffusers' own modules of the published architectures (on meta: no memory)."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.original_names import unet_original_name
from modules.weights.text_shapes import infer_text_encoder
from modules.weights.unet_shapes import infer_unet
from modules.weights.vae_shapes import infer_vae
from tests.amounts import some
from tests.checkpoints import SD15, original_vae_tensors

Built = TypeVar("Built", bound=torch.nn.Module)

SD1 = {"cross_attention_dim": 768, "attention_head_dim": 8}
SD2 = {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True}
XL = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10), "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
REFINER = XL | {
    "block_out_channels": (384, 768, 1536, 1536), "cross_attention_dim": 1280, "attention_head_dim": (6, 12, 24, 24),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": 4, "projection_class_embeddings_input_dim": 2560,
}  # fmt: skip
SSD_1B = XL | {
    "transformer_layers_per_block": [[0, 0], [2, 2], [4, 4]],
    "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], [0, 0, 0]],
    "mid_block_type": "UNetMidBlock2D",
}  # fmt: skip
UNETS: dict[str, dict[str, Any]] = {
    "SD 1.5": SD1,
    "SD 1.5 inpainting": SD1 | {"in_channels": 9},
    "instruct-pix2pix": SD1 | {"in_channels": 8},
    "LCM": SD1 | {"time_cond_proj_dim": 256},
    "SD 2.1": SD2,
    "SD 2 inpainting": SD2 | {"in_channels": 9},
    "SD 2 depth": SD2 | {"in_channels": 5},
    "SDXL": XL,
    "SDXL inpainting": XL | {"in_channels": 9},
    "SDXL refiner": REFINER,
    "SSD-1B": SSD_1B,
    "two levels": {
        "block_out_channels": (32, 64), "layers_per_block": 1, "cross_attention_dim": 64, "attention_head_dim": 8,
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
    },
}  # fmt: skip


def on_meta(make: Callable[[], Built]) -> Built:
    with torch.device("meta"):
        return make()


def original_shapes(unet: UNet2DConditionModel) -> dict[str, tuple[int, ...]]:
    """Names as in a file, from the module itself: the counterpart of what inference does."""
    blocks: Iterable[Any] = unet.down_blocks
    layers = tuple(len(block.resnets) for block in blocks)
    attention = tuple(bool(getattr(block, "attentions", None)) for block in blocks)
    return {
        unet_original_name(name, layers, attention): tuple(value.shape) for name, value in unet.state_dict().items()
    }


def head_counts(unet: UNet2DConditionModel) -> dict[str, int]:
    return {name: module.heads for name, module in unet.named_modules() if hasattr(module, "to_q")}


@pytest.mark.parametrize("name", some(UNETS, 3))
def test_a_unet_is_rebuilt_from_its_shapes(name: str) -> None:
    expected = on_meta(lambda: UNet2DConditionModel(**UNETS[name]))
    shape = infer_unet(original_shapes(expected))
    found = on_meta(lambda: UNet2DConditionModel(**shape.config()))
    assert {key: value.shape for key, value in found.state_dict().items()} == {
        key: value.shape for key, value in expected.state_dict().items()
    }
    assert head_counts(found) == head_counts(expected)


def test_sd15_has_the_names_and_shapes_of_the_published_file() -> None:
    shapes = original_shapes(on_meta(lambda: UNet2DConditionModel(**SD1)))
    assert len(shapes) == 686
    for name, shape in {
        "input_blocks.0.0.weight": (320, 4, 3, 3),
        "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (320, 768),
        "input_blocks.3.0.op.weight": (320, 320, 3, 3),
        "input_blocks.11.0.out_layers.3.weight": (1280, 1280, 3, 3),
        "middle_block.1.transformer_blocks.0.ff.net.0.proj.weight": (10240, 1280),
        "middle_block.2.emb_layers.1.weight": (1280, 1280),
        "output_blocks.2.1.conv.weight": (1280, 1280, 3, 3),
        "output_blocks.5.2.conv.bias": (1280,),
        "output_blocks.11.0.skip_connection.weight": (320, 640, 1, 1),
        "time_embed.2.bias": (1280,),
        "out.2.weight": (4, 320, 3, 3),
    }.items():
        assert shapes[name] == shape, name


@pytest.mark.parametrize("channels", [(128, 256, 512, 512), (16, 16, 32), (64,)])
@pytest.mark.parametrize("quant", [True, False])
def test_a_vae_is_rebuilt_from_its_shapes(channels: tuple[int, ...], quant: bool) -> None:
    levels = len(channels)
    expected = on_meta(
        lambda: AutoencoderKL(
            block_out_channels=channels, down_block_types=("DownEncoderBlock2D",) * levels, layers_per_block=2,
            up_block_types=("UpDecoderBlock2D",) * levels, latent_channels=4 if quant else 16, norm_num_groups=8,
            use_quant_conv=quant, use_post_quant_conv=quant,
        )
    )  # fmt: skip
    shape = infer_vae({name: tuple(value.shape) for name, value in original_vae_tensors(expected).items()})
    found = on_meta(lambda: AutoencoderKL(**shape.config(groups=8)))
    assert {key: value.shape for key, value in found.state_dict().items()} == {
        key: value.shape for key, value in expected.state_dict().items()
    }
    assert len(shape.channels) == levels


def test_a_text_encoder_is_rebuilt_from_its_shapes() -> None:
    expected = on_meta(lambda: CLIPTextModel(CLIPTextConfig(hidden_size=SD15.text_widths[0], intermediate_size=3072)))
    shape = infer_text_encoder({name: tuple(value.shape) for name, value in expected.state_dict().items()})
    config: dict[str, Any] = shape.config()
    found = on_meta(lambda: CLIPTextModel(CLIPTextConfig(**config)))
    assert {key: value.shape for key, value in found.state_dict().items()} == {
        key: value.shape for key, value in expected.state_dict().items()
    }
    assert (config["num_attention_heads"], config["hidden_act"]) == (12, "quick_gelu")
    assert (config["bos_token_id"], config["eos_token_id"]) == (49406, 49407)


def test_stated_heads_and_groups_are_used() -> None:
    shape = infer_unet(original_shapes(on_meta(lambda: UNet2DConditionModel(**UNETS["two levels"]))))
    assert shape.config(groups=16, heads=(2,))["attention_head_dim"] == (2, 2)
    assert shape.config(groups=16, heads=(2, 4))["attention_head_dim"] == (2, 4)
    assert shape.config(groups=16)["norm_num_groups"] == 16


@pytest.mark.parametrize("infer", [infer_unet, infer_vae, infer_text_encoder])
def test_nothing_is_inferred_from_nothing(infer: Callable[[dict[str, tuple[int, ...]]], object]) -> None:
    with pytest.raises(CheckpointError):
        infer({})


def test_a_unet_that_diffusers_cannot_build_is_refused() -> None:
    shapes = original_shapes(on_meta(lambda: UNet2DConditionModel(**UNETS["two levels"])))
    deeper = {name.replace("transformer_blocks.0", "transformer_blocks.1"): value for name, value in shapes.items()
              if name.startswith("middle_block.1.transformer_blocks.0")}  # fmt: skip
    with pytest.raises(CheckpointError, match="deeper than its coarsest level"):
        infer_unet(shapes | deeper).config()
    without = {name: value for name, value in shapes.items() if "attn2" not in name}
    with pytest.raises(CheckpointError, match="no cross attention"):
        infer_unet(without)
