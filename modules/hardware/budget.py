"""How much memory a model and a request take, and which memory mode that calls for: pure functions of numbers.

Peaks beside the weights, in numbers of the part's own type (counted on every tensor that lives at once in diffusers'
forwards, tests/hardware/test_budget.py; `C` are channels of a level, from the finest):

- UNet: rows × (cells × (10·C[0] + 16·C[a] / 4^a) + 77·4·C[-1]), `a` the finest level with attention. The feed-forward
  there holds 4·C·2 twice gated (16·C) over what the residual path and the skip connections keep; the last term is the
  text and what is made of it.
- a transformer: rows × tokens × n·D, `D` its channels, a token for each 16 × 16 pixels and each of the text's 512; in
  16 bits query and key are turned by their positions in 32. Z-Image, n = 17: the feed-forward's 8/3·D thrice beside
  what came in, its norm and what goes out of attention. Flux.1, n = 18: a single block's feed-forward of 4·D before
  and behind its activation, beside query, key and value and what they are turned into. Flux.2, n = 27: query, key,
  value and feed-forward in one matrix of 9·D, all of it there until attention is done. Of a picture that it is shown
  each token counts too.
- its attention, unless a fused kernel takes the scores, instead of the 16·C if it is more: 4·C for query, key, value
  and result, and rows × heads × tokens² scores, twice for softmax; in slices two heads of one row at a time.
- VAE decoding: pixels × (3·C[1] + 4), the last level's input, normed and activated, at full size. On a CPU a fourth
  C[1]: convolutions there copy what comes in another memory layout (tests/hardware/test_allocations.py measures it).
- VAE encoding: pixels × (5·C[0] + 4).
- control models that add residuals: 2 × rows × the sum over levels of 3·C × cells / 4^level, beside the UNet's forward.
- networks of features that work between the forwards (preprocessors', image encoders, detectors): weights and work of
  the largest, in the place of the checkpoint's parts where these come and go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

MemoryMode = Literal["full", "medvram", "lowvram"]
# How much of attention's scores lies in memory at once: nothing of account, a slice of heads, or all.
Scores = Literal["fused", "sliced", "whole"]
MODES: Final[tuple[MemoryMode, ...]] = ("full", "medvram", "lowvram")
THRIFTIER: Final[dict[MemoryMode, MemoryMode]] = {"full": "medvram", "medvram": "lowvram"}

# Workspaces of cuDNN and cuBLAS, fragments, and a desktop that takes more while a picture is made.
RESERVE: Final = 300_000_000
# Text encoders work on 77 tokens: what they take beside their weights is small and hardly varies.
_TEXT_WORK: Final = 60_000_000
# A language model that is one works on 512, and holds the hidden states of all its layers: the largest takes this.
_LANGUAGE_MODEL_WORK: Final = 180_000_000
# The picture itself, beside what the VAE makes of it.
_PICTURE_IN_AND_OUT: Final = 4
# What the VAE may take beside the weights on a CPU, in bytes; a larger picture goes through in tiles that do. That is
# decided by size and number type alone, so that the same request always gives the same picture. What a card does is
# planned by what is free there.
CPU_MEMORY: Final = 4_500_000_000
# Heads of one row that sliced attention takes together.
SLICE: Final = 2
# Two pieces of the UNet are on the device while it is streamed: one computes, the next one arrives.
STREAM_SLOTS: Final = 2


class OutOfBudget(RuntimeError):
    """Not even the thriftiest way fits; the message is the sentence to show."""


@dataclass(frozen=True, slots=True)
class ModelSize:
    """A model in numbers: bytes of its parts' weights, and the widths that its working memory follows from.

    `largest_piece` is the largest streamed piece of the UNet in bytes, `unstreamed` what is part of no piece and stays
    on the device. Of text encoders `text_streamed` bytes come piece by piece where the UNet does, through `text_slots`
    bytes that stay on the device. `transformer` is the width of a transformer in the UNet's place, 0 where there
    is none; `token_numbers` what it takes for each token, in widths, `cells_a_token` how many cells of the latent are
    one token, and `sees_pictures` says that the picture that is encoded is shown to it.
    """

    unet: int
    vae: int
    text: int
    largest_piece: int
    unstreamed: int
    unet_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    attention: tuple[bool, ...] = (True, True, True, False)
    heads: int = 8
    vae_channels: tuple[int, ...] = (128, 256, 512, 512)
    transformer: int = 0
    token_numbers: int = 17
    cells_a_token: int = 4
    sees_pictures: bool = False
    text_slots: int = 0
    text_streamed: int = 0
    unet_itemsize: int = 2
    vae_itemsize: int = 2
    vae_factor: int = 8

    @property
    def weights(self) -> int:
        return self.unet + self.vae + self.text

    @property
    def streamed(self) -> int:
        """The least that streaming keeps on the device, in bytes."""
        return min(self.unet, self.unstreamed + STREAM_SLOTS * self.largest_piece)


@dataclass(frozen=True, slots=True)
class ControlSize:
    """A control model (ControlNet and its relatives) in numbers: bytes of its `weights`, whether it `adds_residuals`,
    and whether it `takes_turns`: it is on the device for its calls alone, as low_vram asks for.
    """

    weights: int
    adds_residuals: bool = True
    takes_turns: bool = False


@dataclass(frozen=True, slots=True)
class AuxiliarySize:
    """A network that works alone between the forwards of the checkpoint's parts, and is on the device only then: a
    preprocessor's, an image encoder, a detector. Bytes of its `weights`, and of its `work` at their peak.
    """

    weights: int
    work: int

    @property
    def whole(self) -> int:
        return self.weights + self.work


@dataclass(frozen=True, slots=True)
class RequestSize:
    """What a request needs of the device: the largest picture of its passes, in pixels, the rows of one forward, the
    control models of its units, and the networks that its features have work between the forwards.
    """

    width: int
    height: int
    images: int = 1
    rows_per_image: int = 2
    encodes: bool = False
    controls: tuple[ControlSize, ...] = ()
    auxiliaries: tuple[AuxiliarySize, ...] = ()

    @property
    def rows(self) -> int:
        return self.images * self.rows_per_image

    @property
    def pixels(self) -> int:
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """How a job runs: mode, how many bytes of the UNet streaming may leave on the device, how many images at once,
    and whether the VAE works in tiles. `peak` is the most it is expected to take; `why` says what decided it.
    `decodes_alongside` says that there is room for decoding a picture while the next one is made, `recorded` for a
    step's work once more, which recorded steps hold as long as they last. `controls_take_turns` has control models on
    the device for their calls alone, `auxiliaries_elsewhere` the networks of features compute on the processor, since
    the device has no room for them.
    """

    mode: MemoryMode
    why: str
    images: int = 1
    tiled: bool = False
    resident: int = 0
    peak: int = 0
    decodes_alongside: bool = False
    recorded: bool = False
    controls_take_turns: bool = False
    auxiliaries_elsewhere: bool = False


def unet_work(model: ModelSize, request: RequestSize, *, scores: Scores = "fused") -> int:
    """Bytes of the UNet's activations at their peak."""
    cells = request.pixels // model.vae_factor**2
    if model.transformer:
        pictures = 2 if request.encodes and model.sees_pictures else 1
        tokens = request.rows * (pictures * cells // model.cells_a_token + _TEXT_TOKENS)
        return tokens * model.token_numbers * model.transformer * model.unet_itemsize
    level = next((index for index, has in enumerate(model.attention) if has), None)
    numbers = request.rows * (cells * 10 * model.unet_channels[0] + 77 * 4 * model.unet_channels[-1])
    if level is not None:
        tokens = cells // 4**level
        stream = request.rows * tokens * model.unet_channels[level]
        heads_at_once = {"fused": 0, "sliced": SLICE, "whole": request.rows * model.heads}[scores]
        numbers += max(16 * stream, 4 * stream + 2 * heads_at_once * tokens**2)
    return numbers * model.unet_itemsize


def vae_work(model: ModelSize, request: RequestSize, *, tile: int | None = None, cpu: bool = False) -> int:
    """Bytes of the VAE's activations for one picture at their peak; with `tile`, its side in pixels, for one tile."""
    pixels = min(request.pixels, tile * tile) if tile else request.pixels
    # In halves of the tensors that its last level works with: where a CPU counts in 16 bits in matrices (AMX), its
    # convolutions rearrange one more half than elsewhere.
    halves = 6 if not cpu else 8 if model.vae_itemsize > 2 else 9
    decoding = halves * model.vae_channels[min(1, len(model.vae_channels) - 1)] // 2
    numbers = max(decoding, 5 * model.vae_channels[0]) if request.encodes else decoding
    numbers += _PICTURE_IN_AND_OUT
    # In tiles the finished ones wait beside each other, and are joined.
    joined = 3 * 3 * request.pixels if tile else 0
    work = (pixels * numbers + joined) * model.vae_itemsize
    # Where a CPU's own tiles are joined, three colours and their weight lie there in 32 bits.
    return CPU_MEMORY + 16 * request.pixels if cpu and not tile and work > CPU_MEMORY else work


def control_work(model: ModelSize, request: RequestSize) -> tuple[int, int]:
    """Bytes of a request's control models: those that stay on the device, and what their calls add to a step's peak.

    A call needs less than the UNet's forward, which is not under way then; what it leaves behind are its residuals, as
    large as the UNet's skip connections: 3·C[0] at the latent's size, then 3·C of each level at its own.
    """
    staying = sum(control.weights for control in request.controls if not control.takes_turns)
    turns = max((control.weights for control in request.controls if control.takes_turns), default=0)
    if not any(control.adds_residuals for control in request.controls):
        return staying, turns
    cells = request.pixels // model.vae_factor**2
    residuals = sum(
        _RESIDUALS_EACH * channels * cells // 4**level for level, channels in enumerate(model.unet_channels)
    )
    # Those of one unit while it answers, beside the sum of those before it.
    return staying, turns + 2 * request.rows * residuals * model.unet_itemsize


VAE_TILE: Final = 512
_TEXT_TOKENS: Final = 512
# Of each level: two residual blocks, and the layer that leads to it.
_RESIDUALS_EACH: Final = 3


def peak(
    model: ModelSize,
    request: RequestSize,
    mode: MemoryMode,
    *,
    scores: Scores = "fused",
    tiled: bool = False,
    cpu: bool = False,
) -> int:
    """The most bytes that lie on the device at once while the request runs in this mode."""
    controls, calls = control_work(model, request)
    unet = unet_work(model, request, scores=scores) + calls
    vae = vae_work(model, request, tile=VAE_TILE if tiled else None, cpu=cpu)
    text = _LANGUAGE_MODEL_WORK if model.transformer else _TEXT_WORK
    auxiliary = max((one.whole for one in request.auxiliaries), default=0)
    if mode == "full":
        return controls + model.weights + max(unet, vae, text, auxiliary)
    if mode == "medvram":
        return controls + max(model.text + text, model.unet + unet, model.vae + vae, auxiliary)
    # The slots stay where they are while the others are on the device.
    encoding = model.text - model.text_streamed + text
    return controls + model.streamed + model.text_slots + max(encoding, unet, model.vae + vae, auxiliary)


def choose_plan(
    free: int,
    model: ModelSize,
    request: RequestSize,
    *,
    required: MemoryMode | None = None,
    least: MemoryMode = "full",
    modes: tuple[MemoryMode, ...] = MODES,
    scores: Scores = "fused",
    cpu: bool = False,
    device: str = "the card",
) -> MemoryPlan:
    """The fastest plan that fits into `free` bytes (what the model holds already counts as free).

    `required` is the mode that a flag or a setting demands; otherwise any of `modes` from `least` on may be chosen.
    What changes nothing in the picture is tried first: networks of features on the processor, control models by turns,
    fewer images at once, then a thriftier mode, then VAE tiles; the reserve is touched last, in the thriftiest mode.
    Where only one mode is there, the device has no memory of its own, and none of its networks can step aside.

    Raises:
        OutOfBudget: no mode, tile or batch makes it fit.
    """
    allowed = (required,) if required else tuple(mode for mode in modes if MODES.index(mode) >= MODES.index(least))
    for reserve, tiled, ways in ((RESERVE, False, allowed), (RESERVE, True, allowed), (0, True, allowed[-1:])):
        for mode in ways:
            for part in _parts(request, steps_aside=len(modes) > 1):
                needed = peak(model, part, mode, scores=scores, tiled=tiled, cpu=cpu)
                if needed <= free - reserve:
                    # Room that is left keeps pieces on the device; who chose lowvram wants it for something else.
                    spare = free - reserve - needed if mode == "lowvram" and required is None else 0
                    resident = min(spare, model.unet - model.streamed)
                    why = _reason(mode, free, needed, required=required is not None, tiled=tiled)
                    decode = vae_work(model, request)
                    alongside = mode == "full" and not tiled and needed + decode <= free - reserve
                    most = needed + resident + (decode if alongside else 0)
                    again = unet_work(model, part, scores=scores)
                    recorded = mode == "full" and most + again <= free - reserve
                    turns = part.controls != request.controls
                    elsewhere = part.auxiliaries != request.auxiliaries
                    return MemoryPlan(
                        mode, why, part.images, tiled, resident, most, alongside, recorded, turns, elsewhere
                    )
    smallest = _parts(request, steps_aside=len(modes) > 1)[-1]
    least_needed = peak(model, smallest, allowed[-1], scores=scores, tiled=True, cpu=cpu)
    raise OutOfBudget(
        f"{request.width}×{request.height} needs about {gigabytes(least_needed)} on {device}"
        f"{_even_with(allowed[-1])}, and {gigabytes(max(free, 0))} are free: choose a smaller size."
    )


def fit_together(
    free: int, models: Sequence[ModelSize], request: RequestSize, *, scores: Scores = "fused", cpu: bool = False
) -> bool:
    """Whether checkpoints that take turns in a job can all stay in `free` bytes while each of them runs at full speed.

    Otherwise the others have to step aside for the one that runs.
    """
    weights = sum(model.weights for model in models)
    return all(
        weights - model.weights + peak(model, request, "full", scores=scores, cpu=cpu) <= free - RESERVE
        for model in models
    )


def _reason(mode: MemoryMode, free: int, needed: int, *, required: bool, tiled: bool) -> str:
    does = {
        "full": "everything on the device",
        "medvram": "one part on the device at a time",
        "lowvram": "the UNet piece by piece",
    }[mode]
    tiles = ", pictures decoded in tiles" if tiled else ""
    why = "as requested; " if required else ""
    return f"{does}{tiles} ({why}{gigabytes(free)} free, about {gigabytes(needed)} needed)"


def _parts(request: RequestSize, *, steps_aside: bool) -> list[RequestSize]:
    """Ever smaller parts of a request: of each batch all as it is wanted, then, where what is beside the checkpoint
    `steps_aside`, without networks of features on the device, and with control models that take turns.
    """
    ways = [request]
    if steps_aside:
        turns = tuple(replace(control, takes_turns=True) for control in request.controls)
        ways += [replace(way, auxiliaries=()) for way in ways if way.auxiliaries]
        ways += [replace(way, controls=turns) for way in ways if way.controls != turns]
    return [replace(way, images=images) for images in _batches(request.images) for way in ways]


def _batches(images: int) -> tuple[int, ...]:
    """All at once, then halves: 8, 4, 2, 1."""
    sizes = [images]
    while sizes[-1] > 1:
        sizes.append(sizes[-1] // 2)
    return tuple(sizes)


def _even_with(mode: MemoryMode) -> str:
    return "" if mode == "full" else f" even with --{mode}"


def gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
