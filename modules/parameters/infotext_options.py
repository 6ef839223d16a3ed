"""Which options a picture's infotext records, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Self

from modules.parameters.job_options import JobOptions, job_option_groups
from modules.parameters.pass_samplers import Samplers, sampler_choices
from modules.parameters.request import GenerationRequest
from modules.parameters.resolved import ResolvedRequest
from modules.parameters.samplers import SamplerChoice
from modules.parameters.upscalers import LATENT_UPSCALE_MODES
from modules.settings import OPTIONS
from modules.settings.groups import option, option_keys, read_options


def has_bracket(prompt: str) -> bool:
    """Whether A1111 says by which rule brackets weigh: it looks for any that opens, escaped or not."""
    return "(" in prompt or "[" in prompt


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """How the weights of the checkpoint are stored in memory, as infotext says it."""

    fp8_storage: str = option("fp8_storage")
    cache_fp16_weight: bool = option("cache_fp16_weight")


@dataclass(frozen=True, slots=True)
class Recording:
    """Which options a run records, and with which values.

    `samplers` are those of the first pass and, if there is one, of the hires pass.
    """

    request: GenerationRequest
    samplers: Samplers
    job: JobOptions
    weights: StoredWeights

    @classmethod
    def of(cls, resolved: ResolvedRequest) -> Self:
        """Of a job. Raises OptionError for a stored value that cannot be used."""
        samplers = tuple(one.choice for one in resolved.passes)
        return cls(resolved.request, samplers, resolved.settings, read_options(StoredWeights, resolved.options))

    @classmethod
    def with_options(cls, request: GenerationRequest, options: Mapping[str, object]) -> Self:
        """Of a request that is not resolved yet, with these options. Raises OptionError."""
        weights = read_options(StoredWeights, options)
        return cls(request, sampler_choices(request), JobOptions.of(options), weights)

    def had_effect(self, key: str) -> bool:
        """Whether the option `key` is recorded once it isn't at its default, so that silence means the default."""
        return _RULES.get(key, _always)(self)

    def value(self, key: str) -> object:
        """The value of an option that is recorded by a rule."""
        group, name = _places()[key]
        return getattr(self.weights if group == _WEIGHTS else getattr(self.job, group), name)

    @property
    def encodes_picture(self) -> bool:
        return self.request.mode == "img2img" or (
            self.request.has_hires_pass and self.request.hr_upscaler not in LATENT_UPSCALE_MODES
        )

    @property
    def brackets(self) -> bool:
        request = self.request
        hires = (request.hr_prompt, request.hr_negative_prompt) if self.request.has_hires_pass else ()
        return any(map(has_bracket, (request.prompt, request.negative_prompt, *hires)))

    def eta_of(self, choice: SamplerChoice) -> object:
        return 0 if choice.sampler.eta is None else self.value(choice.sampler.eta)


_WEIGHTS: Final = "weights"


@cache
def _places() -> dict[str, tuple[str, str]]:
    """The group and the field of each option, by its key."""
    groups = {**job_option_groups(), _WEIGHTS: StoredWeights}
    return {key: (group, name) for group, kind in groups.items() for name, key in option_keys(kind).items()}


_Rule = Callable[[Recording], bool]


def _always(_: Recording) -> bool:
    return True


def _never(_: Recording) -> bool:
    return False


def _of_any_pass(rule: Callable[[SamplerChoice], bool]) -> _Rule:
    return lambda run: any(rule(choice) for choice in run.samplers)


def _takes(setting: str) -> _Rule:
    return _of_any_pass(lambda choice: setting in choice.sampler.settings)


def _has_eta(name: str) -> _Rule:
    return _of_any_pass(lambda choice: choice.sampler.eta == name)


_is_unipc = _of_any_pass(lambda choice: choice.sampler.label == "UniPC")
_takes_a_range = _of_any_pass(lambda choice: choice.recorded_schedule is not None)
_has_rho = _of_any_pass(lambda choice: choice.recorded_schedule is not None and choice.applied_schedule.default_rho > 0)
_is_beta = _of_any_pass(lambda choice: choice.recorded_schedule == "Beta")


def _draws_again(run: Recording) -> bool:
    return any(choice.sampler.uses_ensd and run.eta_of(choice) != 0 for choice in run.samplers)


# Options without a rule are recorded whenever they are not at their default. The ones that never are stand in `facts`
# when they apply: only the engine knows the model, the VAE and the faces.
_RULES: Final[Mapping[str, _Rule]] = {
    "sd_model_checkpoint": _never,
    "sd_vae": _never,
    "forge_additional_modules": _never,
    "face_restoration": _never,
    "hires_fix_refiner_pass": lambda run: run.request.has_refiner and run.request.has_hires_pass,
    "refiner_switch_by_sample_steps": lambda run: run.request.has_refiner,
    "inpainting_mask_weight": _never,
    "tiling": _never,
    "emphasis": lambda run: run.brackets,
    "eta_noise_seed_delta": _draws_again,
    "eta_ancestral": _has_eta("eta_ancestral"),
    "eta_ddim": _has_eta("eta_ddim"),
    "eta_tcd": _has_eta("eta_tcd"),
    "lcm_distilled_timesteps": _of_any_pass(lambda choice: choice.sampler.family == "lcm"),
    "s_churn": _takes("s_churn"),
    "s_tmin": _takes("s_tmin"),
    "s_tmax": _takes("s_tmax"),
    "s_noise": _takes("s_noise"),
    "sigma_min": _takes_a_range,
    "sigma_max": _takes_a_range,
    "rho": _has_rho,
    "always_discard_next_to_last_sigma": _of_any_pass(lambda choice: not choice.sampler.discards_penultimate),
    "beta_dist_alpha": _is_beta,
    "beta_dist_beta": _is_beta,
    "sgm_noise_multiplier": lambda run: run.request.mode == "txt2img" and run.samplers[0].sampler.family != "timestep",
    "uni_pc_variant": _is_unipc,
    "uni_pc_skip_type": _is_unipc,
    "uni_pc_order": _is_unipc,
    "uni_pc_lower_order_final": _is_unipc,
    "s_min_uncond_all": lambda run: bool(run.job.sampling.s_min_uncond),
    "initial_noise_multiplier": lambda run: run.request.mode == "img2img",
    "klein_no_reference": lambda run: run.request.mode == "img2img",
    "img2img_extra_noise": lambda run: run.request.mode == "img2img" or run.request.has_hires_pass,
    "sd_vae_encode_method": lambda run: run.encodes_picture,
    "token_merging_ratio_hr": lambda run: run.request.has_hires_pass,
    "cache_fp16_weight": lambda run: run.weights.fp8_storage != "Disable",
}


# Where one setting stands for another, what applied is recorded.
_APPLIED: Final[Mapping[str, Callable[[Recording], object]]] = {
    "token_merging_ratio": lambda run: run.job.token_merging.first_pass(run.request.mode),
    "token_merging_ratio_hr": lambda run: run.job.token_merging.hires_pass,
}
# A1111 records these even at their defaults, as soon as they had an effect.
_ALWAYS_RECORDED: Final = ("beta_dist_alpha", "beta_dist_beta")


def recorded_options(resolved: ResolvedRequest) -> Iterator[tuple[str, object]]:
    """Infotext keys and values of the options that had an effect, most of them only where they are not at default."""
    run = Recording.of(resolved)
    for key, declared in OPTIONS.items():
        if declared.infotext is None or not run.had_effect(key):
            continue
        value = _APPLIED[key](run) if key in _APPLIED else run.value(key)
        if value != declared.default or key in _ALWAYS_RECORDED:
            # What a slider gives, and what clients send, is 2 and not 2.0.
            yield declared.infotext, int(value) if isinstance(value, float) and value.is_integer() else value
