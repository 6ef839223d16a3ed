"""How far each sampler is from its oracle: writes docs/exactness.md.

    python -m benchmarks.exactness

Needs the packages of requirements-test-oracles.txt beside the development environment.
"""

from __future__ import annotations

import os
import platform
import warnings
from dataclasses import dataclass
from datetime import date
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from torch import Tensor

from modules.parameters.samplers import SAMPLERS, Sampler, resolve_sampler
from modules.sampling import SAMPLER_FUNCTIONS, SamplerOptions, plan_run, sd1_sigmas
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
OTHERS = {
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
    function, options = getattr(oracle, K_DIFFUSION[label]), {}
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


def page(rows: list[Row]) -> str:
    table = "\n".join(
        f"| {row.label} | {row.schedule} | {row.oracle} | {row.difference:.1e} | {row.steps} |" for row in rows
    )
    counts = ", ".join(str(steps) for steps in STEPS)
    return f"""# Exactness

How close the numbers are to those of AUTOMATIC1111's web UI, and what they were compared with. The figures come from
`python -m benchmarks.exactness`; the same comparisons run as tests in `tests/sampling/`.

Measured on {date.today():%d %B %Y} on the CPU ({processor()}, one thread, float32) with
torch {torch.__version__.split("+")[0]}.

## Samplers

A smooth nonlinear stand-in for the model is sampled from the same noise, over the same noise levels, once by us and
once by the oracle: {counts} steps (DDIM: 10, 20, 50, where diffusers has the same timesteps), the sampler's default
schedule and default options. The figure is the largest difference of any value, relative to the largest value of the
latent; 0 means equal to the last bit.

| sampler | default schedule | compared with | largest relative difference | at steps |
|---|---|---|---|---|
{table}

## Noise, schedules, Brownian motion

| what | compared with | difference |
|---|---|---|
| CPU and NV noise, variation, ENSD | draws recorded from A1111 v1.10.1 | none in four digits |
| seed resize | A1111's rule, written out in the test | none |
| Philox (NV) | torch.randn on CUDA, public values | below 2e-6 |
| all of A1111's schedules at 10 steps, two at 20 | levels recorded from A1111 v1.10.1 | none in four digits |
| Karras, Exponential, Polyexponential | k-diffusion | none |
| Beta | SciPy's quantiles | below 1e-6 |
| whole runs, small random UNet, noise and v prediction | k-diffusion's wrappers and samplers | below 1e-5 |
| noise levels and timesteps of a model | k-diffusion's discrete schedule | none |
| Brownian tree and noise of the SDE samplers | torchsde, k-diffusion's BrownianTreeNoiseSampler | none |

## Kept although surprising

Pictures already made depend on these, so they are as in A1111 v1.10.1:

- KL Optimal ends at the model's lowest noise level, without a final 0.
- Beta takes its quantiles on sigma; ComfyUI takes them on the timestep under the same name.
- DDIM, DDIM CFG++ and PLMS step to their first timestep but never from it: 20 steps are 19 (PLMS: 20) model calls.
- Their list of timesteps is longer than asked if the steps do not divide 1000 (30 steps: 31 timesteps).
- img2img takes one step more than strength times steps; hires passes take exactly the steps asked.
- Prompt schedules count model calls from 0, so "from" lasts one call longer than the number says.
- Two nearly equal noises are mixed with the weights exchanged when a variation seed is used.
- UniPC's `vary_coeff` corrector and IPNDM_V carry slips of their published code; both are then of first order.
- NGMS compares its limit with the timestep, not with sigma, for timestep samplers.
- Inpainting with timestep samplers shows the model the picture without noise in the kept part.

## Different on purpose

- DPM adaptive runs each image of a batch on its own: elsewhere its step sizes, and with them the picture, depend on
  the other images.
- UniPC lowers its order when there are fewer steps; A1111 stops with an error.
- One step of DPM++ 2M SDE and 3M SDE works; k-diffusion stops with an error.
- At CFG scale 1 a prompt without AND skips the negative prompt's model call: the same picture in half the time.
- DEIS integrates its weights to machine precision; the code Forge uses sums 10,000 rectangles.

## Run beside A1111's own code

On 21 November 2026 functions of A1111's that a package on PyPI carries were run as black boxes, outside of this
repository, against ours on the same inputs:

| what | cases | largest difference |
|---|---|---|
| DDIM, PLMS | 4 to 30 steps | none |
| UniPC, all variants, spacings, orders; txt2img and img2img | 90 | 2.5e-6 of the latent's largest value |
| Restart, with its noise | 10 to 50 steps | none |
| noise: CPU and NV, variations, seed resize, ENSD, three draws each | 16 | CPU none, NV 1.1e-6 |
| `use_old_emphasis_implementation`: tokens and weights | 400 random prompts | none |

## From request to latent

Held by `tests/generation/`, on a small random checkpoint:

- Every option that changes pictures, set for one request through its `override_settings`, changes the latents where it
  should and leaves them equal to the bit where it should not; the next request knows nothing of it.
- Equal to diffusers' pipeline at the same weights, noise and levels: 1e-4 on latents.
- Batch size and the place in a batch: 2e-3 on latents that reach some tens (sums in another order). The engine on a
  CPU makes one picture at a time, so there the bytes are equal.
- Attention (`sdp`, `sdp-no-mem`, `sub-quad`, `split`, `math`): the same tolerance, and no 8-bit value of the picture
  differs by more than 1. Previews and what ran before: equal to the bit.
- A hires pass on "Use same scheduler" has the same *word*: Automatic then is what its own sampler prefers.
- A hires pass through pixels draws from the VAE's posterior with the image's seed, as A1111 does for a batch of one.
- img2img takes the mean of the posterior: A1111 draws there from a generator in whatever state it was left. On the demo
  checkpoint (Euler, 10 steps, strength 0.3, 0.5 and 0.75, three draws over each of three pictures) a drawn latent gives
  the mean's picture at 70 dB and more, median 74; two draws give each other's at 69 dB and more.

## Not there yet

- LoRA and hypernetworks: their tags are taken off, and each is named as missing or as not applied.
- Textual inversions inside pictures (`.png`, `.webp`), and those of SDXL.
- Token merging, the refiner, TAESD as encoder or decoder, SDXL's own options.
- Some keys of infotext stand there when their option is set, while A1111 waits whether it had an effect: "NGMS",
  "Pad conds", "Pad conds v0", "Old prompt editing timelines".

## Two spaces

Sigma samplers work on x = image + sigma * noise, start from noise * sigma_max and are given the denoised latent.
Timestep samplers (DDIM, DDIM CFG++, PLMS, UniPC) work on x = sqrt(a) * image + sqrt(1 - a) * noise, start from the
noise as drawn and are given the predicted noise. Dividing the first by sqrt(1 + sigma^2) gives the second.
"""


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
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(rows), encoding="utf-8")
    for row in rows:
        print(f"{row.label:18} {row.difference:.1e}")


if __name__ == "__main__":
    main()
