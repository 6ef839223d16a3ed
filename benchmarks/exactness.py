"""How far each sampler is from its oracle: writes the table of docs/exactness.md.

    python -m benchmarks.exactness

Needs the packages of requirements-test-oracles.txt beside the development environment.
"""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor

from modules.parameters.sampler_options import SamplerOptions
from modules.parameters.samplers import SAMPLERS, Sampler, resolve_sampler
from modules.sampling import SAMPLER_FUNCTIONS, plan_run, sd1_sigmas
from modules.sampling.brownian import BrownianNoise
from modules.sampling.noise import ImageNoise
from modules.sampling.plan import SamplingPlan
from modules.sampling.samplers import Noise
from tests.sampling import references
from tests.sampling.doubles import MixingDenoiser, ignore, seeded_noise
from tests.sampling.k_diffusion_oracle import k_diffusion_sampling

STEPS = (10, 20, 37)
SHAPE = (4, 32, 32)
SEEDS = (1234, 5)
PAGE = Path(__file__).parent.parent / "docs" / "exactness.md"

K_DIFFUSION = {
    "DPM++ 2M": "sample_dpmpp_2m",
    "DPM++ SDE": "sample_dpmpp_sde",
    "DPM++ 2M SDE": "sample_dpmpp_2m_sde",
    "DPM++ 2M SDE Heun": "sample_dpmpp_2m_sde",
    "DPM++ 2S a": "sample_dpmpp_2s_ancestral",
    "DPM++ 3M SDE": "sample_dpmpp_3m_sde",
    "Euler a": "sample_euler_ancestral",
    "Euler": "sample_euler",
    "LMS": "sample_lms",
    "Heun": "sample_heun",
    "DPM2": "sample_dpm_2",
    "DPM2 a": "sample_dpm_2_ancestral",
    "DPM fast": "sample_dpm_fast",
    "DPM adaptive": "sample_dpm_adaptive",
}
OTHERS: dict[str, tuple[Callable[..., Tensor], str]] = {
    "Restart": (references.restart, "k-diffusion's Heun, stretch by stretch"),
    "DDIM": (references.ddim, "diffusers DDIMScheduler"),
    "DDIM CFG++": (references.ddim_cfgpp, "the paper's formula, float64"),
    "PLMS": (references.plms, "the paper's formula, float64"),
    "UniPC": (references.unipc, "diffusers UniPCMultistepScheduler"),
    "LCM": (references.lcm, "the paper's formula"),
    "HeunPP2": (references.heunpp2, "the published formula"),
    "IPNDM": (references.ipndm, "weights solved for, float64"),
    "IPNDM_V": (references.ipndm_v, "the published formula"),
    "DEIS": (references.deis, "the paper's integrals by SciPy"),
    "DDPM": (references.ddpm, "the paper's posterior, its own scaling"),
    "TCD": (references.tcd, "diffusers' TCDScheduler, written out, float64"),
}


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    schedule: str
    oracle: str
    difference: float
    steps: int


def measure(entry: Sampler) -> Row:
    """The largest difference over the step counts, relative to the largest value of the oracle's latent."""
    choice = resolve_sampler(entry.label)
    worst, at = 0.0, STEPS[0]
    for steps in STEPS if entry.label != "DDIM" else (10, 20, 50):
        plan = plan_run(choice, steps, sd1_sigmas(), SamplerOptions())
        # DPM adaptive measures its error over the batch; here every image runs on its own.
        seeds = SEEDS if entry.label != "DPM adaptive" else SEEDS[:1]
        x = plan.starting_latent(ImageNoise(SHAPE, seeds, source="CPU").draw())
        ours = SAMPLER_FUNCTIONS[entry.label](model(), x, plan.levels, noise_of(plan, x), plan.solver, ignore)
        theirs = oracle_latent(plan, x)
        difference = float((ours - theirs).abs().max() / theirs.abs().max())
        if difference >= worst:
            worst, at = difference, steps
    oracle = "k-diffusion" if entry.label in K_DIFFUSION else OTHERS[entry.label][1]
    schedule = "timesteps" if entry.family == "timestep" else entry.schedule or "Uniform"
    return Row(entry.label, schedule, oracle, worst, at)


def model() -> MixingDenoiser:
    return MixingDenoiser(sd1_sigmas().alphas_cumprod)


def noise_of(plan: SamplingPlan, x: Tensor) -> Noise:
    if not plan.sampler.brownian_noise:
        return seeded_noise(x, 7)
    return BrownianNoise(SHAPE, *plan.brownian_range, SEEDS, ImageNoise(SHAPE, SEEDS, source="CPU").seeded)


def oracle_latent(plan: SamplingPlan, x: Tensor) -> Tensor:
    label = plan.sampler.label
    if label not in K_DIFFUSION:
        return OTHERS[label][0](model(), x.clone(), plan.levels, seeded_noise(x, 7))
    oracle = k_diffusion_sampling()
    function: Callable[..., Tensor] = getattr(oracle, K_DIFFUSION[label])
    options: dict[str, object] = {}
    if plan.sampler.eta is not None:
        options |= {"eta": plan.solver.eta, "noise_sampler": seeded_noise(x, 7)}
    if plan.sampler.brownian_noise:
        options["noise_sampler"] = oracle.BrownianTreeNoiseSampler(x, *plan.brownian_range, seed=list(SEEDS))
    if plan.sampler.solver_type:
        options["solver_type"] = plan.sampler.solver_type
    if label in ("DPM fast", "DPM adaptive"):
        high, low = plan.levels.tolist()
        calls = {"n": plan.steps} if label == "DPM fast" else {}
        return function(model(), x.clone(), low, high, disable=True, **calls, **options)
    return function(model(), x.clone(), plan.levels, disable=True, **options)


def measured(rows: list[Row]) -> str:
    """The part of the page that comes from this run: when and where, and the table of samplers."""
    table = "\n".join(
        f"| {row.label} | {row.schedule} | {row.oracle} | {row.difference:.1e} | {row.steps} |" for row in rows
    )
    counts = ", ".join(str(steps) for steps in STEPS)
    return f"""Measured on {date.today():%d %B %Y} on the CPU ({processor()}, one thread, float32) with
torch {torch.__version__.split("+")[0]}.

## Samplers

A smooth nonlinear stand-in for the model is sampled from the same noise, over the same noise levels, once by us and
once by the oracle: {counts} steps (DDIM: 10, 20, 50, where diffusers has the same timesteps), the sampler's default
schedule and default options. The figure is the largest difference of any value, relative to the largest value of the
latent; 0 means equal to the last bit.

| sampler | default schedule | compared with | largest relative difference | at steps |
|---|---|---|---|---|
{table}
"""


def replaced(page: str, part: str) -> str:
    """The page with its measured part exchanged; what people wrote around it stays."""
    start, end = page.index("Measured on "), page.index("\n## Noise, schedules")
    return page[:start] + part + page[end:]


def processor() -> str:
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchsde remarks on rounding at the ends of its interval
        rows = [measure(entry) for entry in SAMPLERS]
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), measured(rows)), encoding="utf-8")
    for row in rows:
        print(f"{row.label:18} {row.difference:.1e}")


if __name__ == "__main__":
    main()
