"""Regions in the passes of a job: prompts for parts of the picture, in attention or as answers of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from modules.features.regions.attention import AttentionRegions, once_each, own_negative
from modules.features.regions.colours import colour_share
from modules.features.regions.plan.areas import Area, Layout, gap_sentence
from modules.features.regions.plan.layouts import REGION_SCRIPTS, regions_of
from modules.features.regions.words import WordRegions
from modules.features.running import FeatureJob
from modules.generation.conditions import ConditionsOf
from modules.generation.encoding import to_tensor
from modules.generation.passes import latent_shape
from modules.generation.pipeline import JobFeature, PassContext, PassHook
from modules.parameters import RequestError
from modules.parameters.passes import PassSpec
from modules.prompt import extract_networks
from modules.sampling import ConditionsAt, Part, StepConditions

# A picture of a job's request by its name.
OpenPicture = Callable[[str], Image.Image]


def covered(start: float, end: float, cells: int) -> Tensor:
    """How much of each of `cells` in a row lies from `start` to `end`, shares of the row: 0 to 1."""
    edges = torch.arange(cells + 1, dtype=torch.float64) / cells
    inside = torch.minimum(edges[1:], torch.tensor(end)) - torch.maximum(edges[:-1], torch.tensor(start))
    return (inside.clamp_min(0) * cells).float()


def area_weights(area: Area, cells: tuple[int, int], picture: OpenPicture) -> Tensor:
    """How much an area counts in each cell of a latent, (height, width)."""
    if area.colour is not None:
        coloured = colour_share(picture(area.picture), area.colour)
        return functional.adaptive_avg_pool2d(coloured, cells)[0, 0] * area.weight
    if area.picture:
        grey = picture(area.picture).convert("RGB").convert("L").convert("RGB")
        white = (to_tensor([grey])[:, :1] + 1) / 2
        return functional.adaptive_avg_pool2d(white, cells)[0, 0] * area.weight
    box, (height, width) = area.box, cells
    down, across = covered(box.top, box.bottom, height), covered(box.left, box.right, width)
    return down[:, None] * across[None, :] * area.weight


def region_shares(layout: Layout, cells: tuple[int, int], picture: OpenPicture) -> Tensor:
    """How much each region counts in each cell, (regions, height, width); 1 together where they share the places.

    Raises:
        ValueError: in some cell no region counts.
    """
    each = [
        sum((area_weights(area, cells, picture) for area in one.areas), torch.zeros(cells)) for one in layout.regions
    ]
    weights = torch.stack(each)
    if not layout.shared:
        return weights
    total = weights.sum(0)
    if not bool((total > 0).all()):
        raise ValueError("no region counts in some cell")
    return weights / total


class Regions(JobFeature):
    """The regions of one request."""

    def __init__(self, job: FeatureJob) -> None:
        self._job = job
        self._scripts = job.resolved.request.scripts
        self._title = next(title for title in REGION_SCRIPTS if title in self._scripts)

    def before_pass(self, context: PassContext) -> Sequence[PassHook]:
        """What has the regions guide this pass; nothing where there is one alone."""
        spec = context.work.spec
        prompt, tags = extract_networks(spec.prompt)
        layout = regions_of(self._scripts, prompt, spec.negative_prompt)
        if layout is None or (layout.skips_hires and context.is_hires):
            return ()
        if tags:
            self._job.notice(f"{self._title}: LoRAs act on the whole picture, whichever region names them.")
        if layout.shared and layout.overlaps:
            self._job.notice(f"{self._title}: the regions overlap: there they are mixed by their weights.")
        cells = latent_shape(context.pipeline, spec.size)[1:]
        if layout.by_words:
            return (WordRegions(layout, cells, context),)
        try:
            weights = region_shares(layout, cells, self._job.picture).to(context.pipeline.device)
        except ValueError as error:
            raise RequestError(gap_sentence(self._title)) from error
        if not layout.latent:
            return (AttentionRegions(layout.regions, weights),)
        if len({region.negative for region in layout.regions}) > 1:
            self._job.notice(f"{self._title}: in Latent mode the first negative prompt is for the whole picture.")
        return (LatentRegions(layout, weights, _calls(spec, layout.until)),)


def _calls(spec: PassSpec, until: int | None) -> int | None:
    """In how many calls of the model regions act that end at a step."""
    return None if until is None else until * spec.choice.sampler.call_count(spec.steps) // spec.steps


class LatentRegions(PassHook):
    """Each region is a prompt of its own joined with AND, which weighs as much in each cell as `weights` say.

    Behaviour reproduced: Latent Couple, and Regional Prompter's Latent mode: cond - uncond of each answer times its
    mask. `weights` is (regions, height, width); from call number `calls` on they are as without regions.
    """

    def __init__(self, layout: Layout, weights: Tensor, calls: int | None = None) -> None:
        self._layout = layout
        self._weights = weights
        self._calls = calls

    def conditions(self, conditions_of: ConditionsOf) -> ConditionsOf:
        return partial(self._shared if self._layout.shared else self._limited, conditions_of)

    def _shared(self, conditions_of: ConditionsOf, prompts: Sequence[str], negatives: Sequence[str]) -> ConditionsAt:
        """The regions' texts in the place of the prompt."""
        regions = self._layout.regions
        negative = own_negative(regions[0], negatives[0])
        each = conditions_of([region.text for region in regions], [negative] * len(regions))

        def of_step(step: StepConditions) -> StepConditions:
            parts = tuple(
                replace(part, weight=part.weight * self._weights[number][None])
                for number, own in enumerate(step.positive)
                for part in own
            )
            return StepConditions((parts,) * len(prompts), step.negative[:1] * len(prompts))

        return once_each(each, of_step)

    def _limited(self, conditions_of: ConditionsOf, prompts: Sequence[str], negatives: Sequence[str]) -> ConditionsAt:
        """The prompt's own parts, each within its rectangle."""
        each = conditions_of(prompts, negatives)

        def of_step(step: StepConditions) -> StepConditions:
            return StepConditions(tuple(map(self._within, step.positive)), step.negative)

        limited = once_each(each, of_step)
        return lambda call: each(call) if self._calls is not None and call >= self._calls else limited(call)

    def _within(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        return tuple(
            replace(part, weight=part.weight * mask[None]) for part, mask in zip(parts, self._weights, strict=True)
        )
