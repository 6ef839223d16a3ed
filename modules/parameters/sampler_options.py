"""A1111's options that change a sampling run, under their own keys."""

from __future__ import annotations

from dataclasses import dataclass

from modules.settings.choices import NoiseSource
from modules.settings.groups import option


@dataclass(frozen=True, slots=True)
class SamplerOptions:
    """What of A1111's options changes a sampling run.

    `s_tmax` 0 means no upper bound; `sigma_min`, `sigma_max` and `rho` 0 mean the model's or the schedule's own.
    """

    eta_ancestral: float = option("eta_ancestral")
    eta_ddim: float = option("eta_ddim")
    eta_tcd: float = option("eta_tcd")
    lcm_distilled_timesteps: bool = option("lcm_distilled_timesteps")
    s_churn: float = option("s_churn")
    s_tmin: float = option("s_tmin")
    s_tmax: float = option("s_tmax")
    s_noise: float = option("s_noise")
    sigma_min: float = option("sigma_min")
    sigma_max: float = option("sigma_max")
    rho: float = option("rho")
    beta_dist_alpha: float = option("beta_dist_alpha")
    beta_dist_beta: float = option("beta_dist_beta")
    always_discard_next_to_last_sigma: bool = option("always_discard_next_to_last_sigma")
    use_old_karras_scheduler_sigmas: bool = option("use_old_karras_scheduler_sigmas")
    sgm_noise_multiplier: bool = option("sgm_noise_multiplier")
    enable_quantization: bool = option("enable_quantization")
    uni_pc_variant: str = option("uni_pc_variant")
    uni_pc_skip_type: str = option("uni_pc_skip_type")
    uni_pc_order: int = option("uni_pc_order")
    uni_pc_lower_order_final: bool = option("uni_pc_lower_order_final")
    sd_noise_schedule: str = option("sd_noise_schedule")
    use_downcasted_alpha_bar: bool = option("use_downcasted_alpha_bar")
    skip_early_cond: float = option("skip_early_cond")
    s_min_uncond: float = option("s_min_uncond")
    s_min_uncond_all: bool = option("s_min_uncond_all")
    pad_cond_uncond: bool = option("pad_cond_uncond")
    pad_cond_uncond_v0: bool = option("pad_cond_uncond_v0")
    batch_cond_uncond: bool = option("batch_cond_uncond")
    no_dpmpp_sde_batch_determinism: bool = option("no_dpmpp_sde_batch_determinism")
    eta_noise_seed_delta: int = option("eta_noise_seed_delta")
    randn_source: NoiseSource = option("randn_source")
    img2img_fix_steps: bool = option("img2img_fix_steps")
    img2img_extra_noise: float = option("img2img_extra_noise")

    @property
    def zero_terminal_snr(self) -> bool:
        return self.sd_noise_schedule == "Zero Terminal SNR"
