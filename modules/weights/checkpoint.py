"""Loading a single-file checkpoint, offline: infer, build, fill."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from accelerate.big_modeling import init_empty_weights
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from modules.catalogue.hints import ModelHints, gather_hints
from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.families import (
    ADDED_WIDTH,
    DEPTH,
    EDM_TRAINING,
    UNET_PREFIX,
    VAE_PREFIX,
    Family,
    PredictionType,
    count_of,
    family_of,
)
from modules.families.unsupported import UNSUPPORTED
from modules.hardware.device import has_own_memory
from modules.hardware.model_configs import unet_config, vae_config
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.depth import DEPTH_PREFIX, load_depth
from modules.weights.fill import build_module
from modules.weights.latent_scaling import LatentScaling
from modules.weights.model import Model, NoiseTraining, Predicts, TextEncoder
from modules.weights.original_names import TensorSource, vae_original_name
from modules.weights.outline import Outline, constructed, text_encoder_outlines, unet_outline
from modules.weights.prediction import predicts_velocity
from modules.weights.tensor_file import TensorFile, open_tensors
from modules.weights.text_shapes import TextEncoderShape
from modules.weights.unet_shapes import UnetShape
from modules.weights.vae_shapes import infer_vae
from modules.weights.weight_buffer import one_thread

MakeRoom = Callable[[int], object]
# All that families keep their text encoders under.
_TEXT_PREFIXES: Final = ("cond_stage_model.", "conditioner.")
_SIGMA_RANGE: Final = ("edm_vpred.sigma_min", "edm_vpred.sigma_max")


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """Where and in which type the modules are wanted."""

    device: torch.device
    unet_dtype: torch.dtype
    vae_dtype: torch.dtype
    text_dtype: torch.dtype
    channels_last: bool


def load_checkpoint(
    path: Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    vae_dtype: torch.dtype | None = None,
    text_dtype: torch.dtype | None = None,
    channels_last: bool = False,
    vae_path: Path | None = None,
    vae: AutoencoderKL | None = None,
    mapped: bool = True,
    make_room: MakeRoom = lambda needed: None,
    title: str | None = None,
    sha256: str | None = None,
) -> Model:
    """Load a checkpoint in the original layout (`model.diffusion_model.*` ...) without any network access.

    Args:
        dtype: of the UNet; `vae_dtype` and `text_dtype` follow it unless given.
        channels_last: memory layout of the UNet's and the VAE's convolutions.
        vae_path: a VAE file to use instead of the checkpoint's own; needed if it has none.
        vae: what is in that file, or in the checkpoint's own place, where it is in memory already; read anew if it
            was read for a family that scales its latents otherwise.
        mapped: whether files are mapped, or read at once: see `open_tensors`.
        make_room: called with the bytes of main memory that will be allocated next, before they are.
        title, sha256: from the catalogue, for the infotext.

    Raises:
        CheckpointError: wrong kind, incomplete or unsupported; the message is one sentence to show.
        ModelFileError: truncated, malformed or unsafe, or its metadata states something impossible.
    """
    place = LoadTarget(torch.device(device), dtype, vae_dtype or dtype, text_dtype or dtype, channels_last)
    with ExitStack() as files:
        files.enter_context(one_thread())
        file = files.enter_context(_opened(path, mapped, make_room))
        family = _family(file)
        hints = gather_hints(path, file.metadata)
        if not has_own_memory(place.device):
            make_room(_bytes_of(file, place))
        unet, unet_shape = _load_unet(file, hints, place)
        if vae is None or not is_scaled_for(vae, family):
            vae_file = file if vae_path is None else files.enter_context(_opened(vae_path, mapped, make_room))
            vae = _load_vae(vae_file, family, place)
        text_encoders = _load_text_encoders(file, family, hints, place)
        _check_text_fits(path.name, family, unet_shape, [shape for _, shape in text_encoders])
        _check_vae_fits(path.name, unet_shape.out_channels, vae)
        stated = _stated_prediction(file, hints, family, unet)
        depth = load_depth(file) if unet_shape.in_channels == DEPTH else None
    return Model(
        unet=unet,
        vae=vae,
        text_encoders=tuple(encoder for encoder, _ in text_encoders),
        path=path,
        vae_path=vae_path,
        family=family,
        stated=stated,
        predicts=stated,
        resolution=hints.resolution,
        default_resolution=hints.resolution or family.resolution,
        unet_channels=unet_shape.in_channels,
        latent_channels=vae_config(vae).latent_channels,
        vae_factor=_factor(vae),
        latent_scaling=LatentScaling.of(vae),
        context_dim=unet_shape.context_dim,
        text_widths=tuple(shape.hidden for _, shape in text_encoders),
        noise=NoiseTraining(),
        title=title or path.name,
        sha256=sha256,
        depth=depth,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """A checkpoint's modules without the values of their parameters, which lie on the meta device."""

    family: Family
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoders: tuple[TextEncoder, ...]


def empty_parts(path: Path, vae_path: Path | None = None) -> Parts:
    """What `load_checkpoint` would load, known from the heads of the files; errors as there."""
    with ExitStack() as files:
        file = files.enter_context(open_tensors(path))
        family = _family(file)
        hints = gather_hints(path, file.metadata)
        unet, unet_shape = unet_outline(file, hints)
        vae_file = file if vae_path is None else files.enter_context(open_tensors(vae_path))
        vae, texts = _vae_outline(vae_file, family), text_encoder_outlines(file, family, hints)
        _check_text_fits(path.name, family, unet_shape, [shape for _, shape in texts])
        with init_empty_weights():
            parts = Parts(family, unet.make(), vae.make(), tuple(outline.make() for outline, _ in texts))
        _check_vae_fits(path.name, unet_shape.out_channels, parts.vae)
        return parts


def check_heads(path: Path, vae_path: Path | None = None) -> None:
    """Raise what `load_checkpoint` would raise for these files, as far as their heads say it: no weights are read."""
    with ExitStack() as files:
        file = files.enter_context(open_tensors(path))
        family = _family(file)
        hints = gather_hints(path, file.metadata)
        _, unet_shape = unet_outline(file, hints)
        texts = text_encoder_outlines(file, family, hints)
        _check_text_fits(path.name, family, unet_shape, [shape for _, shape in texts])
        vae_file = file if vae_path is None else files.enter_context(open_tensors(vae_path))
        with init_empty_weights():
            _check_vae_fits(path.name, unet_shape.out_channels, _vae_outline(vae_file, family).make())


def load_vae(
    path: Path,
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    channels_last: bool = False,
    family: Family,
    mapped: bool = True,
) -> AutoencoderKL:
    """Load a standalone VAE file, or the VAE inside a checkpoint; errors as `load_checkpoint`."""
    place = LoadTarget(torch.device(device), dtype, dtype, dtype, channels_last)
    with one_thread(), open_tensors(path, mapped=mapped) as file:
        return _load_vae(file, family, place)


def is_scaled_for(vae: AutoencoderKL, family: Family) -> bool:
    """Whether a loaded VAE scales latents as the family does: files rarely say it, so it was read for one family."""
    found = LatentScaling.of(vae)
    return (found.factor, found.mean) == (family.vae_scaling_factor, family.latents_mean)


def exchange_vae(model: Model, vae: AutoencoderKL, vae_path: Path | None) -> AutoencoderKL:
    """Give `model` another VAE, and return the one before. `vae_path` as in `Model`.

    Raises:
        CheckpointError: it is for other latents; then nothing has changed.
    """
    _check_vae_fits(model.path.name, unet_config(model.unet).out_channels, vae)
    before = model.vae
    model.vae, model.vae_path = vae, vae_path
    model.latent_channels = vae_config(vae).latent_channels
    model.vae_factor = _factor(vae)
    model.latent_scaling = LatentScaling.of(vae)
    return before


def _opened(path: Path, mapped: bool, make_room: MakeRoom) -> AbstractContextManager[TensorFile]:
    if not mapped:
        make_room(path.stat().st_size)
    return open_tensors(path, mapped=mapped)


def _bytes_of(file: TensorFile, place: LoadTarget) -> int:
    """What the parts of a checkpoint take. A VAE of another file is about as large as the one inside."""
    dtypes = {UNET_PREFIX: place.unet_dtype, VAE_PREFIX: place.vae_dtype} | dict.fromkeys(
        _TEXT_PREFIXES, place.text_dtype
    )
    dtypes[DEPTH_PREFIX] = torch.float32
    return sum(
        math.prod(shape) * dtype.itemsize
        for prefix, dtype in dtypes.items()
        for name, shape in file.shapes.items()
        if name.startswith(prefix)
    )


def _family(file: TensorFile) -> Family:
    """The family of a checkpoint.

    Raises:
        CheckpointError: the file is none in the original layout, or of a kind that can't be loaded.
    """
    kind = classify_tensors(file.shapes)
    if kind is not ModelKind.CHECKPOINT:
        raise CheckpointError(f"{file.path.name} is not a checkpoint but {kind.value}.")
    for beginning, what in UNSUPPORTED.items():
        if any(name.startswith(beginning) for name in file.shapes):
            raise CheckpointError(f"{file.path.name} is {what}, which can't be loaded here; choose another checkpoint.")
    family = family_of(file.shapes)
    assert family is not None, "a checkpoint has the marks of Stable Diffusion 1 at least"
    return family


def _stated_prediction(file: TensorFile, hints: ModelHints, family: Family, unet: UNet2DConditionModel) -> Predicts:
    """What the UNet predicts by the file's marks (empty tensors), its metadata, its family, or itself.

    Those of EDM are known by tensors alone: metadata calls CosXL's prediction "v", as that of models with timesteps.
    """
    if family.prediction_type is not None and family.prediction_type in EDM_TRAINING:
        return Predicts(family.prediction_type, sigma_range=_sigma_range(file))
    marked: PredictionType | None = "v_prediction" if "v_pred" in file.shapes else None
    kind = marked or hints.prediction_type or family.prediction_type
    if kind is None:
        # Published models that are shown something beside the latent are all of the other kind.
        plain = unet_config(unet).in_channels == unet_config(unet).out_channels
        kind = "v_prediction" if plain and predicts_velocity(unet) else "epsilon"
    return Predicts(kind, "ztsnr" in file.shapes or bool(hints.zero_terminal_snr))


def _sigma_range(file: TensorFile) -> tuple[float, float] | None:
    """The lowest and highest noise level that a file of CosXL was trained on, if it says both.

    Raises:
        CheckpointError: they are none.
    """
    if not file.shapes.keys() >= set(_SIGMA_RANGE):
        return None
    values = [file.tensor(name).double() for name in _SIGMA_RANGE]
    if any(value.numel() != 1 for value in values) or not 0 < values[0].item() < values[1].item() < math.inf:
        raise CheckpointError(f"{file.path.name} is broken: {' and '.join(_SIGMA_RANGE)} are no noise levels.")
    return values[0].item(), values[1].item()


def _load_unet(file: TensorFile, hints: ModelHints, place: LoadTarget) -> tuple[UNet2DConditionModel, UnetShape]:
    outline, shape = unet_outline(file, hints)
    unet = build_module(
        outline.make,
        file,
        outline.source_of,
        part="UNet",
        dtype=place.unet_dtype,
        device=place.device,
        channels_last=place.channels_last,
    )
    return unet, shape


def _vae_outline(file: TensorFile, family: Family) -> Outline[AutoencoderKL]:
    kind = classify_tensors(file.shapes)
    if kind not in (ModelKind.VAE, ModelKind.CHECKPOINT):
        raise CheckpointError(f"{file.path.name} is not a VAE but {kind.value}.")
    prefix = VAE_PREFIX if any(name.startswith(VAE_PREFIX) for name in file.shapes) else ""
    if not prefix and not any(name.startswith("decoder.") for name in file.shapes):
        raise CheckpointError(
            f"{file.path.name} has no VAE inside (first_stage_model.*); "
            "put one into models/VAE and choose it under SD VAE."
        )
    if any(name.startswith("decoder.up_blocks.") for name in file.shapes):
        raise CheckpointError(f"{file.path.name} is a VAE in diffusers' layout; the single-file version is needed.")
    shape = infer_vae(file.below(prefix))
    hints = gather_hints(file.path, file.metadata)
    config = shape.config(hints.vae_groups, hints.vae_scaling_factor or family.vae_scaling_factor)
    if family.latents_mean:
        config |= {"latents_mean": family.latents_mean, "latents_std": family.latents_std}
    return Outline(
        lambda: constructed(AutoencoderKL, config, file.path.name, "VAE"),
        lambda name: TensorSource(prefix + vae_original_name(name, len(shape.channels))),
    )


def _load_vae(file: TensorFile, family: Family, place: LoadTarget) -> AutoencoderKL:
    outline = _vae_outline(file, family)
    vae: AutoencoderKL = build_module(
        outline.make,
        file,
        outline.source_of,
        part="VAE",
        dtype=place.vae_dtype,
        device=place.device,
        channels_last=place.channels_last,
    )
    return vae


def _load_text_encoders(
    file: TensorFile, family: Family, hints: ModelHints, place: LoadTarget
) -> list[tuple[TextEncoder, TextEncoderShape]]:
    return [
        (
            build_module(
                outline.make,
                file,
                outline.source_of,
                part="text encoder",
                dtype=place.text_dtype,
                device=place.device,
            ),
            shape,
        )
        for outline, shape in text_encoder_outlines(file, family, hints)
    ]


def _check_text_fits(file_name: str, family: Family, unet: UnetShape, texts: Sequence[TextEncoderShape]) -> None:
    width = sum(shape.hidden for shape in texts)
    if unet.context_dim != width:
        raise CheckpointError(
            f"{file_name} mixes models: its UNet listens to {unet.context_dim} channels of text, "
            f"its text encoder{'s speak' if len(texts) > 1 else ' speaks'} {width}."
        )
    if not family.added_numbers:
        return
    pooled = sum(shape.projected or 0 for shape, facts in zip(texts, family.text_encoders, strict=True) if facts.pooled)
    added = pooled + ADDED_WIDTH * sum(map(count_of, family.added_numbers))
    if unet.label_dim != added:
        raise CheckpointError(
            f"{file_name} mixes models: its UNet takes {unet.label_dim or 0} channels beside the text, "
            f"and as {family.label} it would take {added}."
        )


def _check_vae_fits(file_name: str, unet_channels: int, vae: AutoencoderKL) -> None:
    if unet_channels != vae_config(vae).latent_channels:
        raise CheckpointError(
            f"The UNet of {file_name} works on {unet_channels} latent channels, the VAE has "
            f"{vae_config(vae).latent_channels}; choose another VAE."
        )


def _factor(vae: AutoencoderKL) -> int:
    return 1 << (len(vae_config(vae).block_out_channels) - 1)
