"""What passes work with, and what features may do in them and to the pictures they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from PIL import Image
from torch import Tensor

from modules.families import Family
from modules.generation.codec import Codec
from modules.generation.conditions import ConditionsOf, EncodeTexts
from modules.generation.finishing import Finished
from modules.generation.init_picture import InitPicture
from modules.generation.unet import Residuals
from modules.hardware.graphs import StepGraphs
from modules.parameters import ResolvedRequest
from modules.parameters.passes import PassSpec
from modules.pictures.size import Size
from modules.prompt import NetworkUse
from modules.sampling import (
    Conditioning,
    InpaintMask,
    SamplingHook,
    SamplingPlan,
    SoftBlend,
    UNet,
    UnetResiduals,
    overriding,
)
from modules.sampling.control import added
from modules.settings.choices import PreviewContent
from modules.text.encoder import PromptEncoder
from modules.weights.model import Model


@dataclass(frozen=True, slots=True)
class Progress:
    """What a pass reports while it runs: `on_step(step, steps, denoised)` after each step, `before_call()` before each
    model call. Either may raise `modules.sampling.Interrupted`. `effects` collects the names of options that changed
    the picture, of those that do so only sometimes: A1111 records them only then. `shown` says which estimate
    `denoised` is.
    """

    on_step: Callable[[int, int, Tensor], None]
    before_call: Callable[[], None]
    effects: set[str] = field(default_factory=set)
    shown: PreviewContent = "Combined"


# What the features of a request do in one job.
FeaturesOf = Callable[[ResolvedRequest], "Sequence[JobFeature]"]


def no_features(resolved: ResolvedRequest) -> Sequence[JobFeature]:
    """Those of a job without any."""
    return ()


# Has a checkpoint work with these networks; what is opened is to be called with each step before it, counted from 1.
ApplyNetworks = Callable[[Sequence[NetworkUse]], AbstractContextManager[Callable[[int], None]]]


def _none_applied(uses: Sequence[NetworkUse]) -> AbstractContextManager[Callable[[int], None]]:
    return nullcontext(lambda step: None)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a pass works with: the checkpoint, its prompt encoder, where it runs, and what decodes and encodes.

    `graphs` replay its steps in the fast mode. `networks` has the checkpoint work with those that a prompt names, and
    no others, while what it returns is open. `refiner` loads the checkpoint that may go on with its passes, and this
    one is gone; None where there is no other. `features` gives what the features of a request do in the job.
    `controls_take_turns` has their control models on the device for their calls alone.
    """

    model: Model
    encoder: PromptEncoder
    device: torch.device
    channels_last: bool
    codec: Codec = field(default_factory=Codec)
    graphs: StepGraphs | None = None
    networks: ApplyNetworks = _none_applied
    refiner: Callable[[], Pipeline] | None = None
    features: FeaturesOf = no_features
    controls_take_turns: bool = False


# What a checkpoint is shown beside the latent of a pass, (images, channels, height/8, width/8); None for most.
ExtraChannels = Callable[[Pipeline], Tensor | None]


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over some images of a job: what it does (`spec`), and the tensors it works on.

    With a `strength` in its spec it starts from `init_latent`, (images, channels, height/8, width/8), whose first noise
    is multiplied by `noise_multiplier`. `noise` stands for what the seeds would draw first. `image_cfg_scale` is for
    checkpoints that edit pictures. `extra_channels` is shown to the checkpoint that begins, `refiner_channels` gives
    what its refiner is shown. `source` is the picture that it starts from, of several the first image's.
    """

    spec: PassSpec
    init_latent: Tensor | None = None
    noise_multiplier: float = 1.0
    image_cfg_scale: float | None = None
    mask: InpaintMask | None = None
    extra_channels: Tensor | None = None
    noise: Tensor | None = None
    refiner_channels: ExtraChannels | None = None
    source: InitPicture | None = None


def _to_nobody(step: int, denoised: Tensor) -> None:
    """Where nobody looks at the progress."""


@dataclass(frozen=True, slots=True)
class PassContext:
    """A pass that a checkpoint is about to begin, or to go on with as a refiner.

    `images` are the indexes of the job's images that it makes. A hook with `steps_before` calls `report` after each of
    them: with its number, counted from 1, and the estimate.
    """

    pipeline: Pipeline
    resolved: ResolvedRequest
    images: range
    work: Pass
    plan: SamplingPlan
    is_refiner: bool = False
    report: Callable[[int, Tensor], None] = _to_nobody

    @property
    def is_hires(self) -> bool:
        """Whether this is the hires pass."""
        return self.work.spec.first_calls is not None


class PassHook(SamplingHook):
    """What a feature does in one pass with one checkpoint. A method that is left as it is does nothing."""

    steps_before: int = 0
    """How many steps it takes before the first of the pass; they count among those of the pass."""

    def encoding(self, encode: EncodeTexts) -> EncodeTexts:
        """What encodes the texts of the pass in the place of `encode`."""
        return encode

    def conditions(self, conditions_of: ConditionsOf) -> ConditionsOf:
        """What says how the prompts of the pass's images guide its calls in the place of `conditions_of`."""
        return conditions_of

    def patched(self, unet: UNet2DConditionModel) -> AbstractContextManager[None]:
        """While open, the UNet's modules work as the feature wants. The steps of a patched UNet are not recorded."""
        return nullcontext()

    def first_noise(self, noise: Tensor) -> Tensor:
        """What the run starts from in the place of its first noise, (images, channels, height, width), deviation 1."""
        return noise

    def forward_cells(self, cells: tuple[int, int]) -> tuple[int, int]:
        """Height and width of the latent that each forward of the UNet is over, where the pass's are `cells`."""
        return cells

    def around(self, unet: UNet) -> UNet:
        """What is called in the place of the UNet: (x, timesteps, conditioning) -> raw prediction."""
        return unet

    def residuals(self, sample: Tensor, timesteps: Tensor, conditioning: Conditioning) -> UnetResiduals | None:
        """What is added inside the forward of the UNet that follows; those of several features add up.

        `sample` is what the UNet gets, (rows, channels, height, width) in its own type, on its device, as the residuals
        have to be; `timesteps` is (rows,).
        """
        return None


def residuals_of(hooks: Sequence[PassHook]) -> Residuals | None:
    """What all of these hooks add inside a forward, None where none of them ever does."""
    adding = overriding(hooks, "residuals", PassHook)
    if not adding:
        return None

    def residuals(sample: Tensor, timesteps: Tensor, conditioning: Conditioning) -> UnetResiduals | None:
        answers = [hook.residuals(sample, timesteps, conditioning) for hook in adding]
        return added([answer for answer in answers if answer is not None])

    return residuals


class MaskHook(Protocol):
    """How a feature holds on to what is outside a mask, in the place of a hard edge."""

    @property
    def blend(self) -> SoftBlend:
        """How the steps mix."""
        ...

    def overlay_mask(
        self, painted: Tensor, before: Tensor, after: Tensor, source: InitPicture, size: Size
    ) -> Image.Image:
        """Where one image's result replaces the original: grey, of the size of the source's `original`.

        `painted` is (height, width) in latent cells, `before` and `after` (channels, height, width); `size` is that of
        the pass in pixels.
        """
        ...


class InnerJob(Protocol):
    """Makes a picture from another one as a pass of its own, with its own request, while a job is under way."""

    def family(self, resolved: ResolvedRequest) -> Family:
        """The family of the checkpoint that makes the pictures of `resolved`, which is loaded for that."""
        ...

    def __call__(self, resolved: ResolvedRequest, source: InitPicture) -> Image.Image:
        """The finished picture of image 0 of `resolved`, an img2img request. Raises Interrupted."""
        ...


class JobFeature:
    """What a feature does in one job with the arguments that one request gives it. What is left as it is does nothing.

    A feature whose picture hooks use the device, or inner jobs, is not `apart`: they run between two batches then. One
    that `skips_passes` has no pass run over the pictures of img2img: they come to `after_decode` as they are.
    """

    apart = True
    skips_passes = False
    mask: MaskHook | None = None

    @property
    def changes_finished(self) -> bool:
        """Whether a finished picture may be another one after `after_picture`, and not only have more beside it."""
        return type(self).after_picture is not JobFeature.after_picture

    def before_pass(self, context: PassContext) -> Sequence[PassHook]:
        """What it does in this pass, in the order in which it acts."""
        return ()

    def after_decode(self, decoded: Finished, index: int, inner: InnerJob) -> Finished:
        """What becomes of image `index` as it was decoded, of the size of its pass, before an original is laid over.

        What it adds beside the picture is saved under the suffix that it gives it.
        """
        return decoded

    def after_picture(self, finished: Finished, index: int) -> Finished:
        """What becomes of finished image `index`: its picture, those beside it, and its own infotext."""
        return finished

    @property
    def notices(self) -> tuple[str, ...]:
        """What has to be said about the job."""
        return ()


def mask_hook(features: Sequence[JobFeature]) -> MaskHook | None:
    """The first feature's that has one."""
    return next((feature.mask for feature in features if feature.mask is not None), None)
