"""Loading a single-file checkpoint, offline: infer, build, fill."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from modules.catalogue.hints import ModelHints, gather_hints
from modules.catalogue.kinds import ModelKind, classify_tensors
from modules.families import (
    ADDED_WIDTH,
    DEPTH,
    EDM_TRAINING,
    VAE_PREFIXES,
    Family,
    PredictionType,
    count_of,
    family_of,
)
from modules.families.unsupported import unsupported
from modules.hardware.device import has_own_memory
from modules.hardware.model_configs import (
    DenoiserModule,
    VaeModule,
    latent_channels_of,
    latent_patch_of,
    unet_config,
    vae_channels_of,
    vae_factor_of,
)
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.depth import DEPTH_PREFIX, load_depth
from modules.weights.empty_weights import empty_weights
from modules.weights.fill import build_module
from modules.weights.latent_scaling import LatentScaling
from modules.weights.model import Model, NoiseTraining, Predicts, TextEncoder
from modules.weights.outline import TextPart, denoiser_outline, text_encoder_parts
from modules.weights.prediction import predicts_velocity
from modules.weights.scaled_weights import with_scales
from modules.weights.tensor_file import TensorFile, open_tensors
from modules.weights.transformers import DenoiserShape
from modules.weights.unet_shapes import UnetShape
from modules.weights.vae_outline import vae_outline
from modules.weights.weight_buffer import one_thread

MakeRoom = Callable[[int], object]
# All that families keep their text encoders under.
_TEXT_PREFIXES: Final = ("cond_stage_model.", "conditioner.", "text_encoders.")
_SIGMA_RANGE: Final = ("edm_vpred.sigma_min", "edm_vpred.sigma_max")


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """Where and in which type the modules are wanted."""

    device: torch.device
    unet_dtype: torch.dtype
    vae_dtype: torch.dtype
    text_dtype: torch.dtype
    channels_last: bool

    def suited_to(self, family: Family) -> Self:
        """The same with types that bear a family's numbers."""
        if not family.needs_range:
            return self
        types = (self.unet_dtype, self.vae_dtype, self.text_dtype)
        unet, vae, text = (torch.bfloat16 if dtype == torch.float16 else dtype for dtype in types)
        # A language model is as large as what it speaks to: no wider there than that is.
        return replace(self, unet_dtype=unet, vae_dtype=vae, text_dtype=unet if family.parts_apart else text)


def load_checkpoint(
    path: Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    vae_dtype: torch.dtype | None = None,
    text_dtype: torch.dtype | None = None,
    channels_last: bool = False,
    vae_path: Path | None = None,
    vae: VaeModule | None = None,
    text_paths: Sequence[Path] = (),
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
        text_paths: files of text encoders, to be used instead of the checkpoint's own; needed if it has none.
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
        place = place.suited_to(family)
        apart = [files.enter_context(_opened(one, mapped, make_room)) for one in text_paths]
        if not has_own_memory(place.device):
            make_room(_bytes_of(file, family, place) + sum(_bytes_apart(one, place.text_dtype) for one in apart))
        parts = text_encoder_parts(file, apart, family, hints)
        unet, unet_shape = _load_unet(file, family, hints, place)
        if vae is None or not is_scaled_for(vae, family):
            vae_file = file if vae_path is None else files.enter_context(_opened(vae_path, mapped, make_room))
            vae = _load_vae(vae_file, family, place)
        _check_text_fits(path.name, family, unet_shape, parts)
        text_encoders = tuple(_load_text_encoder(part, place) for part in parts)
        _check_vae_fits(path.name, family, unet_shape.out_channels, vae)
        stated = _stated_prediction(file, hints, family, unet)
        depth = load_depth(file) if unet_shape.in_channels == DEPTH else None
    return Model(
        unet=unet,
        vae=vae,
        text_encoders=text_encoders,
        path=path,
        vae_path=vae_path,
        text_paths=tuple(None if part.file is file else part.file.path for part in parts),
        family=family,
        stated=stated,
        predicts=stated,
        resolution=hints.resolution,
        default_resolution=hints.resolution or family.resolution,
        unet_channels=unet_shape.in_channels,
        latent_channels=vae_channels_of(vae),
        vae_factor=vae_factor_of(vae),
        latent_scaling=LatentScaling.of(vae),
        context_dim=unet_shape.context_dim,
        text_widths=tuple(part.shape.hidden for part in parts),
        noise=NoiseTraining(),
        title=title or path.name,
        sha256=sha256,
        depth=depth,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """A checkpoint's modules without the values of their parameters, which lie on the meta device."""

    family: Family
    unet: DenoiserModule
    vae: VaeModule
    text_encoders: tuple[TextEncoder, ...]


def empty_parts(path: Path, vae_path: Path | None = None, text_paths: Sequence[Path] = ()) -> Parts:
    """What `load_checkpoint` would load, known from the heads of the files; errors as there."""
    with ExitStack() as files:
        file = files.enter_context(open_tensors(path))
        family = _family(file)
        hints = gather_hints(path, file.metadata)
        unet, unet_shape = denoiser_outline(file, family, hints)
        apart = [files.enter_context(open_tensors(one)) for one in text_paths]
        vae_file = file if vae_path is None else files.enter_context(open_tensors(vae_path))
        vae, texts = vae_outline(vae_file, family), text_encoder_parts(file, apart, family, hints)
        _check_text_fits(path.name, family, unet_shape, texts)
        with empty_weights():
            parts = Parts(family, unet.make(), vae.make(), tuple(part.outline.make() for part in texts))
        _check_vae_fits(path.name, family, unet_shape.out_channels, parts.vae)
        return parts


def check_heads(path: Path, vae_path: Path | None = None, text_paths: Sequence[Path] = ()) -> None:
    """Raise what `load_checkpoint` would raise for these files, as far as their heads say it: no weights are read."""
    with ExitStack() as files:
        file = files.enter_context(open_tensors(path))
        family = _family(file)
        hints = gather_hints(path, file.metadata)
        _, unet_shape = denoiser_outline(file, family, hints)
        apart = [files.enter_context(open_tensors(one)) for one in text_paths]
        _check_text_fits(path.name, family, unet_shape, text_encoder_parts(file, apart, family, hints))
        vae_file = file if vae_path is None else files.enter_context(open_tensors(vae_path))
        with empty_weights():
            _check_vae_fits(path.name, family, unet_shape.out_channels, vae_outline(vae_file, family).make())


def load_vae(
    path: Path,
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    channels_last: bool = False,
    family: Family,
    mapped: bool = True,
) -> VaeModule:
    """Load a standalone VAE file, or the VAE inside a checkpoint; errors as `load_checkpoint`."""
    place = LoadTarget(torch.device(device), dtype, dtype, dtype, channels_last)
    with one_thread(), open_tensors(path, mapped=mapped) as file:
        return _load_vae(file, family, place.suited_to(family))


def is_scaled_for(vae: VaeModule, family: Family) -> bool:
    """Whether a loaded VAE scales latents as the family does: files rarely say it, so it was read for one family."""
    if family.latent_patch > 1 or latent_patch_of(vae) > 1:
        # These say it themselves.
        return family.latent_patch == latent_patch_of(vae)
    found = LatentScaling.of(vae)
    wanted = family.vae_scaling_factor, family.latents_mean, family.vae_shift
    return (found.factor, found.mean, found.shift) == wanted


def exchange_vae(model: Model, vae: VaeModule, vae_path: Path | None) -> VaeModule:
    """Give `model` another VAE, and return the one before. `vae_path` as in `Model`.

    Raises:
        CheckpointError: it is for other latents; then nothing has changed.
    """
    _check_vae_fits(model.path.name, model.family, latent_channels_of(model.unet), vae)
    before = model.vae
    model.vae, model.vae_path = vae, vae_path
    model.latent_channels = vae_channels_of(vae)
    model.vae_factor = vae_factor_of(vae)
    model.latent_scaling = LatentScaling.of(vae)
    return before


@contextmanager
def _opened(path: Path, mapped: bool, make_room: MakeRoom) -> Iterator[TensorFile]:
    if not mapped:
        make_room(path.stat().st_size)
    with open_tensors(path, mapped=mapped) as file:
        yield with_scales(file)


def _bytes_of(file: TensorFile, family: Family, place: LoadTarget) -> int:
    """What the parts of a checkpoint take. A VAE of another file is about as large as the one inside."""
    others = dict.fromkeys(VAE_PREFIXES, place.vae_dtype) | dict.fromkeys(_TEXT_PREFIXES, place.text_dtype)
    others[DEPTH_PREFIX] = torch.float32
    own = family.file_prefix(file.shapes)

    def dtype_of(name: str) -> torch.dtype | None:
        found = next((dtype for prefix, dtype in others.items() if name.startswith(prefix)), None)
        return place.unet_dtype if found is None and name.startswith(own) else found

    typed = ((shape, dtype_of(name)) for name, shape in file.shapes.items())
    return sum(math.prod(shape) * dtype.itemsize for shape, dtype in typed if dtype is not None)


def _bytes_apart(file: TensorFile, dtype: torch.dtype) -> int:
    return sum(map(math.prod, file.shapes.values())) * dtype.itemsize


def _family(file: TensorFile) -> Family:
    """The family of a checkpoint.

    Raises:
        CheckpointError: the file is none in the original layout, or of a kind that can't be loaded.
    """
    kind = classify_tensors(file.shapes)
    if kind is not ModelKind.CHECKPOINT:
        raise CheckpointError(f"{file.path.name} is not a checkpoint but {kind.value}.")
    if (what := unsupported(file.shapes, file.metadata)) is not None:
        raise CheckpointError(f"{file.path.name} is {what}, which can't be loaded here; choose another checkpoint.")
    family = family_of(file.shapes)
    assert family is not None, "a checkpoint has the marks of Stable Diffusion 1 at least"
    return family


def _stated_prediction(file: TensorFile, hints: ModelHints, family: Family, unet: DenoiserModule) -> Predicts:
    """What the UNet predicts by the file's marks (empty tensors), its metadata, its family, or itself.

    Those of EDM are known by tensors alone: metadata calls CosXL's prediction "v", as that of models with timesteps.
    """
    if family.flow is not None:
        return Predicts("flow")
    if family.prediction_type is not None and family.prediction_type in EDM_TRAINING:
        return Predicts(family.prediction_type, sigma_range=_sigma_range(file))
    marked: PredictionType | None = "v_prediction" if "v_pred" in file.shapes else None
    kind = marked or hints.prediction_type or family.prediction_type
    if kind is None and isinstance(unet, UNet2DConditionModel):
        # Published models that are shown something beside the latent are all of the other kind.
        plain = unet_config(unet).in_channels == unet_config(unet).out_channels
        kind = "v_prediction" if plain and predicts_velocity(unet) else "epsilon"
    return Predicts(kind or "epsilon", "ztsnr" in file.shapes or bool(hints.zero_terminal_snr))


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


def _load_unet(
    file: TensorFile, family: Family, hints: ModelHints, place: LoadTarget
) -> tuple[DenoiserModule, DenoiserShape]:
    outline, shape = denoiser_outline(file, family, hints)
    unet = build_module(
        outline.make,
        file,
        outline.source_of,
        part="UNet" if family.denoiser == "unet" else "transformer",
        dtype=place.unet_dtype,
        device=place.device,
        channels_last=place.channels_last,
    )
    return unet, shape


def _load_vae(file: TensorFile, family: Family, place: LoadTarget) -> VaeModule:
    outline = vae_outline(file, family)
    vae: VaeModule = build_module(
        outline.make,
        file,
        outline.source_of,
        part="VAE",
        dtype=place.vae_dtype,
        device=place.device,
        channels_last=place.channels_last,
    )
    return vae


def _load_text_encoder(part: TextPart, place: LoadTarget) -> TextEncoder:
    return build_module(
        part.outline.make,
        part.file,
        part.outline.source_of,
        part="text encoder",
        dtype=place.text_dtype,
        device=place.device,
    )


def _check_text_fits(file_name: str, family: Family, unet: DenoiserShape, texts: Sequence[TextPart]) -> None:
    width = sum(part.width for part in texts)
    if unet.context_dim != width:
        own = "UNet" if family.denoiser == "unet" else "transformer"
        heard = (part.file.path.name for part in texts if part.width)
        apart = next((name for name in heard if name != file_name), None)
        if apart is not None:
            raise CheckpointError(
                f"The {own} of {file_name} listens to {unet.context_dim} channels of text, and {apart} speaks {width}: "
                "choose another text encoder."
            )
        raise CheckpointError(
            f"{file_name} mixes models: its {own} listens to {unet.context_dim} channels of text, "
            f"its text encoder{'s speak' if len(texts) > 1 else ' speaks'} {width}."
        )
    for part, facts in zip(texts, family.text_encoders, strict=True):
        if facts.only_pooled and part.shape.hidden != unet.pooled_dim:
            raise CheckpointError(
                f"The transformer of {file_name} takes a vector of {unet.pooled_dim} channels of the text, and the "
                f"text encoder ({facts.role}) of {part.file.path.name} gives {part.shape.hidden}: choose another one."
            )
    if not family.added_numbers or not isinstance(unet, UnetShape):
        return
    each = zip(texts, family.text_encoders, strict=True)
    pooled = sum(part.shape.projected or 0 for part, facts in each if facts.pooled)
    added = pooled + ADDED_WIDTH * sum(map(count_of, family.added_numbers))
    if unet.label_dim != added:
        raise CheckpointError(
            f"{file_name} mixes models: its UNet takes {unet.label_dim or 0} channels beside the text, "
            f"and as {family.label} it would take {added}."
        )


def _check_vae_fits(file_name: str, family: Family, unet_channels: int, vae: VaeModule) -> None:
    part = "UNet" if family.denoiser == "unet" else "transformer"
    if unet_channels != vae_channels_of(vae):
        raise CheckpointError(
            f"The {part} of {file_name} works on {unet_channels} latent channels, the VAE has "
            f"{vae_channels_of(vae)}; choose another VAE."
        )
