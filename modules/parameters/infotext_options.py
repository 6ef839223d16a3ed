"""Which options a picture's infotext records, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from modules.parameters.request import GenerationRequest
from modules.parameters.resolved import ResolvedRequest
from modules.parameters.samplers import Sampler, resolve_sampler
from modules.parameters.schedules import Schedule
from modules.settings import OPTIONS


def has_bracket(prompt: str) -> bool:
    """Whether A1111 says by which rule brackets weigh: it looks for any that opens, escaped or not."""
    return "(" in prompt or "[" in prompt


@dataclass(frozen=True, slots=True)
class _Run:
    """What a rule may look at: does this option have an effect on this run?"""

    request: GenerationRequest
    sampler: Sampler
    schedule: Schedule
    options: Mapping[str, object]

    @property
    def has_second_picture(self) -> bool:
        return self.request.mode == "img2img" or self.request.enable_hr

    @property
    def eta(self) -> object:
        if self.sampler.eta is None:
            return 0
        return self.options.get(self.sampler.eta, OPTIONS[self.sampler.eta].default)


_Rule = Callable[[_Run], bool]


def _always(_: _Run) -> bool:
    return True


def _never(_: _Run) -> bool:
    return False


def _is_unipc(run: _Run) -> bool:
    return run.sampler.label == "UniPC"


def _walks_sigmas(run: _Run) -> bool:
    return run.sampler.family != "timestep"


# Options without a rule are recorded whenever they are not at their default. The ones that never are stand in `facts`
# when they apply: only the engine knows the model, the VAE, the refiner and the faces.
_RULES: Final[Mapping[str, _Rule]] = {
    "sd_model_checkpoint": _never,
    "sd_vae": _never,
    "face_restoration": _never,
    "hires_fix_refiner_pass": _never,
    "refiner_switch_by_sample_steps": _never,
    "inpainting_mask_weight": _never,
    "tiling": _never,
    "emphasis": lambda run: has_bracket(run.request.prompt) or has_bracket(run.request.negative_prompt),
    "eta_noise_seed_delta": lambda run: run.sampler.uses_ensd and run.eta != 0,
    "eta_ancestral": lambda run: run.sampler.eta == "eta_ancestral",
    "eta_ddim": lambda run: run.sampler.eta == "eta_ddim",
    "s_churn": lambda run: "s_churn" in run.sampler.settings,
    "s_tmin": lambda run: "s_tmin" in run.sampler.settings,
    "s_tmax": lambda run: "s_tmax" in run.sampler.settings,
    "s_noise": lambda run: "s_noise" in run.sampler.settings,
    "sigma_min": _walks_sigmas,
    "sigma_max": _walks_sigmas,
    "rho": lambda run: run.schedule.default_rho > 0,
    "always_discard_next_to_last_sigma": lambda run: not run.sampler.discards_penultimate,
    "beta_dist_alpha": lambda run: run.schedule.name == "beta",
    "beta_dist_beta": lambda run: run.schedule.name == "beta",
    "uni_pc_variant": _is_unipc,
    "uni_pc_skip_type": _is_unipc,
    "uni_pc_order": _is_unipc,
    "uni_pc_lower_order_final": _is_unipc,
    "s_min_uncond_all": lambda run: bool(run.options.get("s_min_uncond")),
    "initial_noise_multiplier": lambda run: run.request.mode == "img2img",
    "img2img_extra_noise": lambda run: run.has_second_picture,
    "sd_vae_encode_method": lambda run: run.has_second_picture,
    "token_merging_ratio_hr": lambda run: run.request.mode == "txt2img" and run.request.enable_hr,
    "cache_fp16_weight": lambda run: run.options.get("fp8_storage", "Disable") != "Disable",
}


# A1111 tells these even at their defaults, as soon as they had an effect.
_ALWAYS_TOLD: Final = ("beta_dist_alpha", "beta_dist_beta")


def had_effect(key: str, request: GenerationRequest, options: Mapping[str, object]) -> bool:
    """Whether `request` records the option `key` once it isn't at its default, so that silence means the default."""
    choice = resolve_sampler(request.sampler_name, request.scheduler)
    run = _Run(request, choice.sampler, choice.applied_schedule, options)
    return _RULES.get(key, _always)(run)


def recorded_options(resolved: ResolvedRequest) -> Iterator[tuple[str, object]]:
    """Infotext keys and values of the options that had an effect, most of them only where they are not at default."""
    for key, option in OPTIONS.items():
        value = resolved.options.get(key, option.default)
        if option.infotext is None or value is None or (value == option.default and key not in _ALWAYS_TOLD):
            continue
        if had_effect(key, resolved.request, resolved.options):
            yield option.infotext, value
