"""The request as it applies: seeds drawn, sampler and schedule concrete, options frozen with it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, field_validator

from modules.parameters.job_options import JobOptions
from modules.parameters.pass_samplers import SAMPLER_FIELDS, Samplers, find_strictly, sampler_choices
from modules.parameters.passes import PassSpec, passes_of
from modules.parameters.request import GenerationRequest

# The bound of A1111's random seeds: 0 .. 4294967293.
RANDOM_SEEDS: Final = 4294967294


class Variant(BaseModel):
    """How one picture of a job differs from the request: fields of GenerationRequest, options, and the checkpoint.

    `samplers` are those of its passes, None where they are the job's. With a `checkpoint` the `vae` is that picture's
    too, None being the checkpoint's own. `inner` are the inner jobs of its features, None where they are the job's.
    """

    model_config = ConfigDict(frozen=True)

    fields: dict[str, JsonValue] = Field(default_factory=dict)
    options: dict[str, JsonValue] = Field(default_factory=dict)
    samplers: Samplers | None = None
    checkpoint: str | None = None
    vae: str | None = None
    inner: dict[str, tuple[Variant, ...]] | None = None


def _named_samplers(values: dict[str, Any]) -> Samplers:
    return sampler_choices(values["request"], find_strictly)


class ResolvedRequest(BaseModel):
    """What a job runs with, and what is recorded: the same value gives the same pictures, whenever it is run.

    `request` carries the final prompts (styles merged, comments stripped) and seeds. `samplers` are sampler and
    schedule of each pass; rows of versions before 0.3 lack them, and have the labels in `request` instead.
    `seeds` and `subseeds` hold one number per image of the whole job: batch count times batch size, or what a script
    makes. Where the images of a script differ in more than their seeds, `variants` says how, one for each.
    `options` are the options that change a picture or its file, with this request's overrides merged in, as the queue
    stores them; `settings` are the same as typed values, and `passes` what each denoising pass does. `inner` says how
    the passes differ that features run over finished pictures, by the title of each feature.
    """

    model_config = ConfigDict(frozen=True)

    request: GenerationRequest
    seeds: tuple[int, ...]
    subseeds: tuple[int, ...]
    samplers: Samplers = Field(default_factory=_named_samplers)
    options: dict[str, JsonValue] = Field(default_factory=dict)
    checkpoint: str | None = None
    vae: str | None = None
    notices: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    inner: dict[str, tuple[Variant, ...]] = Field(default_factory=dict)

    @field_validator("variants")
    @classmethod
    def _with_samplers(cls, variants: tuple[Variant, ...], info: ValidationInfo) -> tuple[Variant, ...]:
        """Those of older rows, which name the samplers of a picture in its fields only."""
        request: GenerationRequest | None = info.data.get("request")
        if request is None:
            return variants
        return tuple(
            one.model_copy(update={"samplers": sampler_choices(request.model_copy(update=one.fields), find_strictly)})
            if one.samplers is None and SAMPLER_FIELDS & set(one.fields)
            else one
            for one in variants
        )

    @property
    def differing(self) -> tuple[Variant, ...]:
        """Every picture and every pass over a finished picture, as far as they differ from the request."""
        own = (self.inner, *(one.inner or {} for one in self.variants))
        return (*self.variants, *(one for inner in own for ones in inner.values() for one in ones))

    @property
    def image_count(self) -> int:
        return len(self.seeds)

    @cached_property
    def settings(self) -> JobOptions:
        """The options as typed values. Raises OptionError for one whose stored value cannot be used."""
        return JobOptions.of(self.options)

    @cached_property
    def passes(self) -> tuple[PassSpec, ...]:
        """The first pass, and the hires pass if there is one."""
        return passes_of(self.request, self.samplers, self.settings.token_merging)

    @property
    def is_tiled(self) -> bool:
        """Whether pictures continue over their own edges."""
        return self.settings.defaults.tiling if self.request.tiling is None else self.request.tiling

    @property
    def restores_faces(self) -> bool:
        wanted = self.request.restore_faces
        return self.settings.defaults.restore_faces if wanted is None else wanted

    @property
    def shares_noise(self) -> bool:
        """Whether the pictures of a batch are cut from one Brownian path, and so depend on each other.

        The option no_dpmpp_sde_batch_determinism wants that, in A1111 as here.
        """
        shared = self.settings.sampling.no_dpmpp_sde_batch_determinism
        return shared and any(one.choice.sampler.brownian_noise for one in self.passes)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with `update`. What is derived from a field that it changes is derived anew: it may be another."""
        copied = super().model_copy(update=update, deep=deep)
        changed = set(update or ())
        for derived, fields in _DERIVED.items():
            if changed & fields:
                copied.__dict__.pop(derived, None)
        return copied

    def of_image(self, index: int) -> ResolvedRequest:
        """What applies to image `index` alone: a job of that one image."""
        own = self.variants[index] if self.variants else Variant()
        return self._varied(own, self.seeds[index], self.subseeds[index])

    def inner_job(self, title: str, number: int, index: int, *, seed: int = 0) -> ResolvedRequest:
        """What applies to inner job `number` of feature `title` over image `index`: its seeds are those plus `seed`."""
        image = self.of_image(index)
        own = image.inner[title][number]
        varied = image._varied(own, image.seeds[0] + seed, image.subseeds[0] + seed)
        return varied.model_copy(update={"inner": {}})

    def _varied(self, own: Variant, seed: int, subseed: int) -> ResolvedRequest:
        """A job of one image that differs as `own` says."""
        other: dict[str, object] = {}
        if own.checkpoint is not None:
            other |= {"checkpoint": own.checkpoint, "vae": own.vae}
        if own.options:
            other["options"] = self.options | own.options
        if own.inner is not None:
            other["inner"] = own.inner
        return self.model_copy(
            update={
                **other,
                "request": self.request.model_copy(update=own.fields | {"seed": seed, "subseed": subseed}),
                "samplers": self.samplers if own.samplers is None else own.samplers,
                "seeds": (seed,),
                "subseeds": (subseed,),
                "variants": (),
            }
        )


# What is read out of which fields, once.
_DERIVED: Final = {"settings": {"options"}, "passes": {"options", "request", "samplers"}}

Seeds = tuple[tuple[int, ...], tuple[int, ...]]


def fixed_seeds(request: GenerationRequest, rng: random.Random) -> Seeds:
    """Seeds and variation seeds of every image of a job, by A1111's rule.

    Image k has seed + k, unless a variation strength is set: then all share the seed and only the variation seed
    counts up. A seed of -1 is drawn from `rng` in 0..4294967293.
    """
    seed = request.seed if request.seed >= 0 else rng.randrange(RANDOM_SEEDS)
    subseed = request.subseed if request.subseed >= 0 else rng.randrange(RANDOM_SEEDS)
    count = request.n_iter * request.batch_size
    seeds = tuple(seed + (k if request.subseed_strength == 0 else 0) for k in range(count))
    return seeds, tuple(subseed + k for k in range(count))


def resolve(
    request: GenerationRequest,
    *,
    options: Mapping[str, JsonValue],
    rng: random.Random,
    samplers: Samplers | None = None,
    checkpoint: str | None = None,
    vae: str | None = None,
    notices: tuple[str, ...] = (),
    seeds: Seeds | None = None,
    variants: tuple[Variant, ...] = (),
    inner: Mapping[str, tuple[Variant, ...]] | None = None,
) -> ResolvedRequest:
    """Fix what the request leaves open. `request` must already carry final prompts.

    Without `samplers` its names are looked up. A script says the `seeds` of its images itself, and in which `variants`
    they differ. Raises UnknownSamplerError or UnknownScheduleError for a name that is in no table.
    """
    own, varied = seeds or fixed_seeds(request, rng)
    fixed = request.model_copy(update={"seed": own[0], "subseed": varied[0]})
    return ResolvedRequest(
        request=fixed,
        seeds=own,
        subseeds=varied,
        samplers=sampler_choices(request, find_strictly) if samplers is None else samplers,
        options=dict(options),
        checkpoint=checkpoint,
        vae=vae,
        notices=notices,
        variants=variants,
        inner=dict(inner or {}),
    )
