"""Synthetic model files for tests and benchmarks: checkpoints in the original layout of any width, and broken ones.

    from tests.checkpoints import write_tiny_checkpoint
    path = write_tiny_checkpoint(tmp_path / "tiny.safetensors", seed=1)

The weights are random but reproducible by seed, and scaled so that a picture made with them is colourful and changes
with the prompt. All names come from diffusers' own modules, so what is written has every tensor that a real file has.
"""

import json
import struct
import sys
import types
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from modules.families import (
    ADDED_WIDTH,
    COSXL,
    PLAYGROUND,
    SD1,
    SD2,
    SDXL,
    SDXL_REFINER,
    Family,
    TextEncoderFacts,
    count_of,
)
from modules.hardware.model_configs import unet_config, vae_config
from modules.weights.model import Model, TextEncoder
from modules.weights.original_names import unet_original_name, vae_original_name

Dtype = Literal["fp16", "bf16", "fp32"]
DTYPES: Mapping[str, torch.dtype] = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Architecture:
    """Widths and depths of a model in a family's layout; the defaults are a toy of about 4 million parameters.

    `text_hidden` are the widths of the family's text encoders; what conditions beside the text is as wide as the last.
    `unet_depth` are transformers by level, or by block, and then `unet_depth_up` says those of the way up.
    """

    family: Family = SD1
    unet_channels: tuple[int, ...] = (32, 64)
    unet_layers: int = 1
    unet_attention: tuple[bool, ...] = (True, True)
    unet_depth: int | tuple[int, ...] | tuple[tuple[int, ...], ...] = 1
    unet_depth_up: tuple[tuple[int, ...], ...] | None = None
    middle: Literal["UNetMidBlock2DCrossAttn", "UNetMidBlock2D"] | None = "UNetMidBlock2DCrossAttn"
    in_channels: int = 4
    heads: int | tuple[int, ...] = 8
    linear_projection: bool = False
    vae_channels: tuple[int, ...] = (16, 16, 32, 32)
    vae_layers: int = 1
    latent_channels: int = 4
    norm_num_groups: int = 8
    text_hidden: int | tuple[int, ...] = 64
    text_layers: int | tuple[int, ...] = 2
    text_heads: int | tuple[int, ...] = 1
    vocabulary: int = 49408
    positions: int = 77

    @property
    def text_widths(self) -> tuple[int, ...]:
        return self._each(self.text_hidden)

    @property
    def text_sizes(self) -> tuple[tuple[int, int, int], ...]:
        """Width, layers and heads of each text encoder."""
        return tuple(zip(self.text_widths, self._each(self.text_layers), self._each(self.text_heads), strict=True))

    def _each(self, value: int | tuple[int, ...]) -> tuple[int, ...]:
        return value if isinstance(value, tuple) else (value,) * len(self.family.text_encoders)


# Toys of the other families: as narrow, with their own construction.
TINY_SD2 = Architecture(family=SD2, heads=(2, 4), linear_projection=True, text_layers=3)
TINY_SDXL = Architecture(
    family=SDXL,
    unet_attention=(False, True),
    unet_depth=(1, 2),
    heads=(2, 4),
    linear_projection=True,
    text_hidden=(64, 96),
    text_layers=3,
)
TINY_REFINER = replace(TINY_SDXL, family=SDXL_REFINER, text_hidden=96)
TINY_PLAYGROUND = replace(TINY_SDXL, family=PLAYGROUND)
TINY_COSXL = replace(TINY_SDXL, family=COSXL)
# As Segmind's SSD-1B lacks blocks: no attention in the middle, fewer transformers on the way up's later blocks.
TINY_SSD = replace(
    TINY_SDXL,
    unet_channels=(32, 64, 64),
    unet_layers=2,
    unet_attention=(False, True, True),
    unet_depth=((1, 1), (2, 2), (3, 3)),
    unet_depth_up=((3, 3, 4), (2, 1, 1), (1, 1, 1)),
    heads=(2, 4, 4),
    middle="UNetMidBlock2D",
)
# KOALA's has no middle at all.
TINY_KOALA = replace(TINY_SDXL, middle=None)
SD15 = Architecture(
    unet_channels=(320, 640, 1280, 1280),
    unet_layers=2,
    unet_attention=(True, True, True, False),
    vae_channels=(128, 256, 512, 512),
    vae_layers=2,
    norm_num_groups=32,
    text_hidden=768,
    text_layers=12,
    text_heads=12,
)
SDXL_BASE = Architecture(
    family=SDXL,
    unet_channels=(320, 640, 1280),
    unet_layers=2,
    unet_attention=(False, True, True),
    unet_depth=(1, 2, 10),
    heads=(5, 10, 20),
    linear_projection=True,
    vae_channels=(128, 256, 512, 512),
    vae_layers=2,
    norm_num_groups=32,
    text_hidden=(768, 1280),
    text_layers=(12, 32),
    text_heads=(12, 20),
)


@dataclass(frozen=True)
class Modules:
    """diffusers' and transformers' own modules: what a loaded checkpoint must be equal to."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoders: tuple[TextEncoder, ...]


def make_modules(architecture: Architecture, seed: int = 0) -> Modules:
    """Random fp32 modules of this architecture, the same ones for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        modules = Modules(_make_unet(architecture), _make_vae(architecture), make_text_encoders(architecture))
    for module in (modules.unet, modules.vae, *modules.text_encoders):
        module.eval().requires_grad_(False)
    return modules


def _make_unet(a: Architecture) -> UNet2DConditionModel:
    unet: UNet2DConditionModel = UNet2DConditionModel(
        in_channels=a.in_channels,
        out_channels=a.latent_channels,
        block_out_channels=a.unet_channels,
        layers_per_block=a.unet_layers,
        down_block_types=tuple("CrossAttnDownBlock2D" if has else "DownBlock2D" for has in a.unet_attention),
        up_block_types=tuple("CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(a.unet_attention)),
        cross_attention_dim=sum(a.text_widths),
        mid_block_type=a.middle,
        transformer_layers_per_block=_listed(a.unet_depth),
        reverse_transformer_layers_per_block=None if a.unet_depth_up is None else _listed(a.unet_depth_up),
        attention_head_dim=a.heads,
        use_linear_projection=a.linear_projection,
        norm_num_groups=a.norm_num_groups,
        **_addition(a),
    )
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if ".attn2.to_out" in name or ".attn2.to_v" in name:
                parameter.mul_(4.0)  # so that a random model listens to its prompt
    return unet


def _listed(depths: int | tuple[int, ...] | tuple[tuple[int, ...], ...]) -> object:
    """diffusers wants lists where blocks of one level differ."""
    if isinstance(depths, int):
        return depths
    return [list(depth) if isinstance(depth, tuple) else depth for depth in depths]


def _addition(a: Architecture) -> dict[str, object]:
    """What makes a UNet take numbers and the vector of the whole text beside the text."""
    if not a.family.added_numbers:
        return {}
    numbers = sum(map(count_of, a.family.added_numbers))
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": ADDED_WIDTH,
        "projection_class_embeddings_input_dim": a.text_widths[-1] + ADDED_WIDTH * numbers,
    }


def _make_vae(a: Architecture) -> AutoencoderKL:
    vae: AutoencoderKL = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        latent_channels=a.latent_channels,
        block_out_channels=a.vae_channels,
        layers_per_block=a.vae_layers,
        down_block_types=("DownEncoderBlock2D",) * len(a.vae_channels),
        up_block_types=("UpDecoderBlock2D",) * len(a.vae_channels),
        norm_num_groups=a.norm_num_groups,
        scaling_factor=a.family.vae_scaling_factor,
        latents_mean=a.family.latents_mean or None,
        latents_std=a.family.latents_std or None,
    )
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(3.0)  # so that pictures are colourful
    return vae


def make_text_encoders(a: Architecture) -> tuple[TextEncoder, ...]:
    """Random text encoders of an architecture's family."""
    return tuple(
        _make_text_encoder(a, facts, *sizes) for facts, sizes in zip(a.family.text_encoders, a.text_sizes, strict=True)
    )


def _make_text_encoder(a: Architecture, facts: TextEncoderFacts, width: int, layers: int, heads: int) -> TextEncoder:
    config = CLIPTextConfig(
        vocab_size=a.vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=a.positions,
        hidden_act=facts.activation,
        projection_dim=width,
        bos_token_id=a.vocabulary - 2,
        eos_token_id=a.vocabulary - 1,
    )
    text_encoder = CLIPTextModelWithProjection(config) if facts.pooled else CLIPTextModel(config)
    with torch.no_grad():  # CLIP's 0.02 would make every prompt alike after two untrained layers
        table = text_encoder.get_input_embeddings().weight
        assert isinstance(table, torch.Tensor)
        table.mul_(25.0)
        if facts.layout == "openclip":
            # A fresh norm's answers have the mean 0, and emphasis would divide rounding errors by each other.
            text_encoder.get_parameter(f"{'text_model.' * facts.pooled}final_layer_norm.bias").fill_(0.2)
    return text_encoder


def clip_of(model: Model) -> CLIPTextModel:
    """The one text encoder of a loaded checkpoint of Stable Diffusion 1 or 2."""
    (encoder,) = model.text_encoders
    assert isinstance(encoder, CLIPTextModel)
    return encoder


def original_tensors(modules: Modules, dtype: Dtype = "fp32", *, vae: bool = True, family: Family = SD1) -> Tensors:
    """The modules' weights under the names of the original layout."""
    tensors: Tensors = {}
    config = unet_config(modules.unet)
    layers = (config.layers_per_block,) * len(config.block_out_channels)
    attention = tuple(kind.startswith("CrossAttn") for kind in config.down_block_types)
    for name, value in modules.unet.state_dict().items():
        tensors["model.diffusion_model." + unet_original_name(name, layers, attention)] = value
    if vae:
        tensors |= {"first_stage_model." + name: value for name, value in original_vae_tensors(modules.vae).items()}
    ids: Tensors = {}
    for encoder, facts in zip(modules.text_encoders, family.text_encoders, strict=True):
        weights = {name.removeprefix("text_model."): value for name, value in encoder.state_dict().items()}
        if facts.layout == "openclip":
            weights = openclip_tensors(weights)
        else:
            positions = encoder.config.max_position_embeddings
            ids[f"{facts.prefixes[0]}embeddings.position_ids"] = torch.arange(positions)[None]
        tensors |= {facts.prefixes[0] + name: value for name, value in weights.items()}
    found = {name: value.to(DTYPES[dtype]).clone().contiguous() for name, value in tensors.items()}
    return found | ids | _edm_tensors(family)


def _edm_tensors(family: Family) -> Tensors:
    """What files of Playground 2.5 and CosXL say of their training."""
    if family is PLAYGROUND:
        each = {"edm_mean": family.latents_mean, "edm_std": family.latents_std}
        return {name: torch.tensor(values)[None, :, None, None] for name, values in each.items()}
    if family is COSXL:
        return {"edm_vpred.sigma_min": torch.tensor(0.002), "edm_vpred.sigma_max": torch.tensor(120.0)}
    return {}


def openclip_tensors(weights: Tensors) -> Tensors:
    """A text encoder as OpenCLIP names it: query, key and value in one matrix, the projection turned."""
    tensors: Tensors = {
        "token_embedding.weight": weights["embeddings.token_embedding.weight"],
        "positional_embedding": weights["embeddings.position_embedding.weight"],
        "ln_final.weight": weights["final_layer_norm.weight"],
        "ln_final.bias": weights["final_layer_norm.bias"],
        "logit_scale": torch.tensor(4.6),
    }
    if "text_projection.weight" in weights:
        tensors["text_projection"] = weights["text_projection.weight"].t()
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layers."))
    plain = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj"}
    plain |= {"mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for layer in range(layers):
        ours, theirs = f"encoder.layers.{layer}", f"transformer.resblocks.{layer}"
        for kind in ("weight", "bias"):
            fused = [weights[f"{ours}.self_attn.{one}_proj.{kind}"] for one in "qkv"]
            tensors[f"{theirs}.attn.in_proj_{kind}"] = torch.cat(fused)
            tensors |= {f"{theirs}.{new}.{kind}": weights[f"{ours}.{old}.{kind}"] for old, new in plain.items()}
    return tensors


def original_vae_tensors(vae: AutoencoderKL) -> Tensors:
    """A VAE as standalone files hold it: no prefix, attention as 1×1 convolutions."""
    tensors: Tensors = {}
    for name, value in vae.state_dict().items():
        is_projection = ".attentions.0." in name and value.ndim == 2
        tensors[vae_original_name(name, len(vae_config(vae).block_out_channels))] = (
            value[:, :, None, None] if is_projection else value
        )
    return tensors


def stated_facts(architecture: Architecture) -> dict[str, str]:
    """What the metadata must state about an architecture because shapes can't tell."""
    heads = architecture.heads if isinstance(architecture.heads, tuple) else (architecture.heads,)
    return {
        "webui.unet.norm_num_groups": str(architecture.norm_num_groups),
        "webui.vae.norm_num_groups": str(architecture.norm_num_groups),
        "webui.unet.attention_heads": ",".join(map(str, heads)),
        "webui.text_encoder.attention_heads": ",".join(str(heads) for _, _, heads in architecture.text_sizes),
    }


def write_tiny_checkpoint(
    path: Path,
    *,
    seed: int = 0,
    dtype: Dtype = "fp16",
    norm_num_groups: int = 8,
    architecture: Architecture | None = None,
    vae: bool = True,
    ema: bool = False,
    metadata: Mapping[str, str] | None = None,
    extra: Mapping[str, object] | None = None,
) -> Path:
    """Write a toy checkpoint; `.ckpt` and `.safetensors` by suffix. Returns `path`.

    Args:
        vae: False leaves the VAE out, as pruned merges do.
        ema: adds the `model_ema.*` twin of every UNet tensor, with other values.
        metadata: added to the facts that the loader needs (`webui.*`); a pickle gets them as `<name>.json`.
        extra: added beside "state_dict" in a `.ckpt`, for the leftovers of training.
    """
    architecture = replace(architecture or Architecture(), norm_num_groups=norm_num_groups)
    tensors = _tiny_tensors(architecture, seed, dtype, vae)
    if ema:
        tensors |= _ema_twins(tensors)
    return write_tensors(path, tensors, stated_facts(architecture) | dict(metadata or {}), extra)


@lru_cache(maxsize=8)
def _tiny_tensors(architecture: Architecture, seed: int, dtype: Dtype, vae: bool) -> Tensors:
    """Nearly every test writes one of a few: making the modules takes longer than loading the file."""
    return original_tensors(make_modules(architecture, seed), dtype, vae=vae, family=architecture.family)


def write_sd15_size_checkpoint(path: Path, *, seed: int = 0, dtype: Dtype = "fp16") -> Path:
    """Write a random checkpoint with exactly SD 1.5's shapes, 2.1 GB in fp16; quick, for its values mean nothing."""
    return write_large_checkpoint(path, SD15, seed=seed, dtype=dtype)


def write_large_checkpoint(path: Path, architecture: Architecture, *, seed: int = 0, dtype: Dtype = "fp16") -> Path:
    """Write a random checkpoint of a published architecture; SDXL's has 6.9 GB in fp16."""
    torch.manual_seed(seed)
    with torch.device("meta"):
        modules = Modules(_make_unet(architecture), _make_vae(architecture), make_text_encoders(architecture))
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1 << 22, generator=generator)
    tensors: Tensors = {}
    for name, value in original_tensors_of_meta(modules, architecture.family).items():
        fan_in = max(1, value.shape[1:].numel())
        values = noise.repeat(-(-value.numel() // noise.numel()))[: value.numel()].reshape(value.shape)
        values = values * fan_in**-0.5 if value.ndim > 1 else values * 0.02 + float(name.endswith("weight"))
        tensors[name] = values.to(DTYPES[dtype])
    return write_tensors(path, tensors, {})


def write_hollow_checkpoint(path: Path, count: int, length: int, *, last: int | None = None) -> Path:
    """Write a checkpoint of `count` float16 tensors of `length` zeros, which take no room on most disks.

    `last` is the length of the last one, if it differs.
    """
    lengths = [length] * (count - 1) + [length if last is None else last]
    header: dict[str, object] = {}
    begin = 0
    for n, one in enumerate(lengths):
        name = f"model.diffusion_model.input_blocks.{n}.0.weight"
        header[name] = {"dtype": "F16", "shape": [one], "data_offsets": [begin, begin + 2 * one]}
        begin += 2 * one
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + begin)
    return path


def original_tensors_of_meta(modules: Modules, family: Family = SD1) -> Tensors:
    """Names and shapes only: `original_tensors` for modules on the meta device."""
    tensors = original_tensors(modules, "fp32", family=family)
    return {name: value for name, value in tensors.items() if not name.endswith("position_ids")}


def _ema_twins(tensors: Tensors) -> Tensors:
    """Training keeps averages as `model_ema.<name without dots>`; here they are the weights halved."""
    prefix = "model.diffusion_model."
    twins = {
        "model_ema." + name.removeprefix("model.").replace(".", ""): value * 0.5
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
    return twins | {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(1000)}


def write_tensors(
    path: Path, tensors: Tensors, metadata: Mapping[str, str], extra: Mapping[str, object] | None = None
) -> Path:
    """Write named tensors as safetensors or, by suffix, as a pickle with its facts in `<name>.json`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(tensors, path, metadata={"format": "pt", **metadata})
        return path
    torch.save({"state_dict": tensors, **(extra or {})}, path)
    if metadata:
        path.with_suffix(".json").write_text(json.dumps(dict(metadata)), "utf-8")
    return path


def write_vae(path: Path, *, seed: int = 1, prefix: str = "", architecture: Architecture | None = None) -> Path:
    """Write a standalone VAE file that fits `write_tiny_checkpoint`'s."""
    architecture = architecture or Architecture()
    vae = make_modules(architecture, seed).vae
    tensors = {prefix + name: value.clone().contiguous() for name, value in original_vae_tensors(vae).items()}
    return write_tensors(path, tensors, {"webui.vae.norm_num_groups": str(architecture.norm_num_groups)})


def write_lora(path: Path, *, rank: int = 4, seed: int = 0, metadata: Mapping[str, str] | None = None) -> Path:
    """Write a small LoRA in kohya's naming, for the toy's first cross attention."""
    generator = torch.Generator().manual_seed(seed)
    stem = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    tensors = {
        f"{stem}.lora_down.weight": torch.randn(rank, 64, generator=generator),
        f"{stem}.lora_up.weight": torch.randn(32, rank, generator=generator),
        f"{stem}.alpha": torch.tensor(float(rank)),
    }
    return write_tensors(path, tensors, {"ss_output_name": path.stem, **(metadata or {})})


def write_embedding(path: Path, *, vectors: int = 2, width: int = 64, seed: int = 0) -> Path:
    """Write a textual inversion embedding, `.safetensors` or `.pt` by suffix."""
    values = torch.randn(vectors, width, generator=torch.Generator().manual_seed(seed))
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({"emb_params": values}, path)
    else:
        torch.save({"string_to_param": {"*": values}, "name": path.stem, "step": 100}, path)
    return path


def truncate(path: Path, keep: float = 0.6) -> Path:
    """Cut a file off as a broken download does."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(int(size * keep))
    return path


class Payload:
    """Pickles as a call: what an attacker puts into a model. `call(*arguments)` would run when a file is loaded."""

    def __init__(self, call: object, *arguments: object) -> None:
        self._recipe = (call, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self._recipe


def write_malicious_checkpoint(path: Path, payload: object, *, legacy: bool = False) -> Path:
    """Write a toy-sized pickle that carries `payload` beside a tensor, in the zip format or the one before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"state_dict": {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(4, 4)}, "extra": payload}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def lightning_leftovers() -> dict[str, object]:
    """What pytorch-lightning left in the checkpoints of 2022, with classes that are installed nowhere today.

    Pickle writes a class by name, so a class made here under lightning's name stands for the real one.
    """
    module_name = "pytorch_lightning.callbacks.model_checkpoint"
    callback = type("ModelCheckpoint", (), {"__module__": module_name})
    attributes = type("AttributeDict", (dict,), {"__module__": "pytorch_lightning.utilities.parsing"})
    for made in (callback, attributes):
        names = made.__module__.split(".")
        for end in range(1, len(names) + 1):
            sys.modules.setdefault(".".join(names[:end]), types.ModuleType(".".join(names[:end])))
        setattr(sys.modules[made.__module__], made.__name__, made)
    state = callback()
    state.best_model_score = torch.tensor(0.125)
    return {
        "epoch": 3,
        "global_step": 470000,
        "pytorch-lightning_version": "1.4.2",
        "callbacks": {callback: {"best_model_score": torch.tensor(0.5), "monitor": "val/loss"}, "again": state},
        "hyper_parameters": attributes(lr=1e-4, betas=(0.9, 0.99)),
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []}],
        "lr_schedulers": [],
        "loops": OrderedDict(done=True),
    }


def forget_lightning() -> None:
    """Take the stand-in packages of `lightning_leftovers` away again, as on a machine without lightning."""
    for name in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
        del sys.modules[name]
