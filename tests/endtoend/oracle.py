"""A second, plain implementation of what a request means: diffusers' UNet and VAE, transformers' CLIP and tokenizer,
k-diffusion's samplers, and nothing of `modules/` but the loading of the file. Its input says how a prompt is read, so
that it also judges our reading. Float32 on the CPU, one picture at a time.
"""

from __future__ import annotations

import inspect
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps
from torch import Tensor
from torch.nn import Conv2d
from torch.nn.functional import interpolate

from modules.weights.checkpoint import load_checkpoint
from tests.reference_tokenizer import reference_tokenizer
from tests.sampling.k_diffusion_oracle import k_diffusion_external, k_diffusion_sampling

START, END, COMMA = 49406, 49407, 267


Runs = list[tuple[str, float]]
"""(text, weight) runs; ("BREAK", -1) ends a chunk."""
Texts = list[tuple[int, Runs]]
"""(last model call, counted from 0, that uses it; the text)."""


@dataclass(frozen=True)
class Reading:
    """How a prompt is to be read: its AND parts with their weights, each a schedule, and the negative prompt's."""

    parts: list[tuple[float, Texts]]
    negative: Texts


@dataclass(frozen=True)
class Kind:
    """What is known of a sampler: k-diffusion's function, its default schedule, whether a step calls twice."""

    function: str
    schedule: str | None = None
    twice: bool = False
    brownian: bool = False
    drops_last_but_one: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    churn: tuple[str, ...] = ()


CHURN = ("s_churn", "s_tmin", "s_tmax", "s_noise")

KINDS = {
    "DPM++ 2M": Kind("dpmpp_2m", "Karras"),
    "DPM++ SDE": Kind("dpmpp_sde", "Karras", twice=True, brownian=True, churn=("s_noise",)),
    "DPM++ 2M SDE": Kind("dpmpp_2m_sde", "Exponential", brownian=True, churn=("s_noise",)),
    "DPM++ 2M SDE Heun": Kind(
        "dpmpp_2m_sde", "Exponential", brownian=True, extra={"solver_type": "heun"}, churn=("s_noise",)
    ),
    "DPM++ 2S a": Kind("dpmpp_2s_ancestral", "Karras", twice=True, churn=("s_noise",)),
    "DPM++ 3M SDE": Kind("dpmpp_3m_sde", "Exponential", brownian=True, drops_last_but_one=True, churn=("s_noise",)),
    "Euler a": Kind("euler_ancestral"),
    "Euler": Kind("euler", churn=CHURN),
    "LMS": Kind("lms"),
    "Heun": Kind("heun", twice=True, churn=CHURN),
    "DPM2": Kind("dpm_2", "Karras", twice=True, drops_last_but_one=True, churn=CHURN),
    "DPM2 a": Kind("dpm_2_ancestral", "Karras", twice=True, drops_last_but_one=True, churn=("s_noise",)),
    "DPM fast": Kind("dpm_fast", churn=("s_noise",)),
    "DPM adaptive": Kind("dpm_adaptive"),
    "Restart": Kind("restart", "Karras", twice=True),
    "DDIM": Kind("ddim"),
    "DDIM CFG++": Kind("ddim_cfgpp"),
    "PLMS": Kind("plms"),
}
STEPPED = ("DDIM", "DDIM CFG++", "PLMS")


def calls_of(sampler: str, steps: int) -> int:
    return steps * 2 if KINDS[sampler].twice else steps


@dataclass(frozen=True)
class Encoder:
    """How a text encoder is used: what fills a chunk, which hidden state counted from the last, with the last norm."""

    fills: int
    layer: int
    normed: bool
    skips: bool = False


@dataclass(frozen=True)
class Family:
    """What differs between the architectures. `score` says that an aesthetic score goes beside the text."""

    encoders: tuple[Encoder, ...]
    scaling: float = 0.18215
    sized: bool = False
    score: bool = False
    velocity: bool = False


CLIP_L, CLIP_G = Encoder(END, 2, normed=False), Encoder(0, 2, normed=False)
FAMILIES = {
    "SD1": Family((Encoder(END, 1, normed=True, skips=True),)),
    "SD2": Family((Encoder(0, 2, normed=True),)),
    "SD2 v": Family((Encoder(0, 2, normed=True),), velocity=True),
    "SDXL": Family((CLIP_L, CLIP_G), 0.13025, sized=True),
    "SDXL v": Family((CLIP_L, CLIP_G), 0.13025, sized=True, velocity=True),
    "SDXL refiner": Family((CLIP_G,), 0.13025, sized=True, score=True),
}


@dataclass(frozen=True)
class Text:
    """Encoded texts: (texts, 77 * chunks, width), and the vectors of the whole texts where there are some."""

    context: Tensor
    pooled: Tensor | None = None

    def row(self, index: int) -> Text:
        return Text(self.context[index][None], None if self.pooled is None else self.pooled[index][None])

    def zeros(self) -> Text:
        return Text(self.context * 0, None if self.pooled is None else self.pooled * 0)


class Painter:
    """One checkpoint, and pictures made of it."""

    def __init__(self, checkpoint: Path, family: str = "SD1") -> None:
        model = load_checkpoint(checkpoint)
        self.unet, self.vae, self.texts = model.unet, model.vae, model.text_encoders
        self.family = FAMILIES[family]
        self.tokenizer = reference_tokenizer()
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
        self._trained = torch.cumprod(1 - betas, 0).float()
        self.trained_with({})

    def trained_with(self, settings: Mapping[str, Any]) -> None:
        """Take the noise levels that these settings leave of the model's."""
        alphas = self._trained.half() if settings.get("use_downcasted_alpha_bar") else self._trained
        if settings.get("sd_noise_schedule") == "Zero Terminal SNR":
            root = alphas.sqrt()
            alphas = ((root - root[-1]) * (root[0] / (root[0] - root[-1]))) ** 2
            alphas[-1] = 4.8973451890853435e-08
        external = k_diffusion_external()
        self.sigmas = external.DiscreteSchedule(
            ((1 - alphas) / alphas) ** 0.5, bool(settings.get("enable_quantization"))
        )
        self.alphas = alphas

    @contextmanager
    def joined(self, edges: bool) -> Iterator[None]:
        """While open, pictures go round at their edges if `edges`."""
        convolutions = [m for part in (self.unet, self.vae) for m in part.modules() if isinstance(m, Conv2d)]
        for convolution in convolutions:
            convolution.padding_mode = "circular" if edges else "zeros"
        yield
        for convolution in convolutions:
            convolution.padding_mode = "zeros"

    # Text

    def _chunks(self, runs: Runs, back: int, fills: int) -> list[tuple[list[int], list[float]]]:
        done: list[tuple[list[int], list[float]]] = []
        tokens: list[int] = []
        weights: list[float] = []

        def close() -> None:
            missing = 75 - len(tokens)
            done.append(([START, *tokens, END, *[fills] * missing], [1.0, *weights, *[1.0] * (missing + 1)]))
            tokens.clear()
            weights.clear()

        for text, weight in runs:
            if (text, weight) == ("BREAK", -1):
                close()
                continue
            for token in self.tokenizer(text, add_special_tokens=False)["input_ids"]:
                if len(tokens) == 75:
                    comma = max((i for i, t in enumerate(tokens) if t == COMMA), default=-1)
                    moved = tokens[comma + 1 :] if token != COMMA and comma >= 75 - back and back else []
                    moved_weights = weights[75 - len(moved) :] if moved else []
                    del tokens[75 - len(moved) :], weights[75 - len(moved) :]
                    close()
                    tokens += moved
                    weights += moved_weights
                tokens.append(token)
                weights.append(weight)
        if tokens or not done:
            close()
        return done

    def _encoded(self, texts: Sequence[Runs], spec: PassSettings) -> Text:
        """All texts of one schedule together, by every encoder."""
        made = [self._by(*each, texts, spec) for each in zip(self.texts, self.family.encoders, strict=True)]
        return Text(torch.cat([context for context, _ in made], -1), made[-1][1] if self.family.sized else None)

    def _by(
        self, model: Any, encoder: Encoder, texts: Sequence[Runs], spec: PassSettings
    ) -> tuple[Tensor, Tensor | None]:
        skip = spec.setting("CLIP_stop_at_last_layers", 1) if encoder.skips else encoder.layer
        back = spec.setting("comma_padding_backtrack", 20)
        chunked = [self._chunks(runs, back, encoder.fills) for runs in texts]
        empty = self._chunks([("", 1.0)], back, encoder.fills)[0]
        clip = getattr(model, "text_model", model)
        pooled = None
        columns = []
        for index in range(max(map(len, chunked))):
            column = [chunks[index] if index < len(chunks) else empty for chunks in chunked]
            output = model(torch.tensor([ids for ids, _ in column]), output_hidden_states=True)
            hidden = output.hidden_states[-skip]
            hidden = clip.final_layer_norm(hidden) if encoder.normed else hidden
            pooled = getattr(output, "text_embeds", None) if pooled is None else pooled
            weighted = hidden * torch.tensor([weights for _, weights in column])[:, :, None]
            mode = spec.setting("emphasis", "Original")
            weighted = weighted * (hidden.mean() / weighted.mean()) if mode == "Original" else weighted
            columns.append(hidden if mode == "Ignore" else weighted)
        return torch.cat(columns, 1), pooled

    def _schedule(self, texts: Texts, spec: PassSettings, *, negative: bool = False) -> Callable[[int], Text]:
        encoded = self._encoded([runs for _, runs in texts], spec)
        if negative and self.family.sized and all(runs in ([], [("", 1.0)]) for _, runs in texts):
            encoded = encoded.zeros()
        lasts = [last for last, _ in texts]

        def at(call: int) -> Text:
            return encoded.row(next((i for i, last in enumerate(lasts) if call <= last), 0))

        return at

    # Model

    def _denoiser(self, reading: Reading, spec: PassSettings, calls: int) -> Any:
        """What samplers call: the denoised picture for a sigma, or the noise for a timestep."""
        stepped, keep = spec.sampler in STEPPED, spec.keep
        scale = spec.cfg / 12.5 if spec.sampler == "DDIM CFG++" else spec.cfg
        parts = [(weight, self._schedule(texts, spec)) for weight, texts in reading.parts]
        negative = self._schedule(reading.negative, spec, negative=True)
        empty = self._encoded([[("", 1.0)]], spec).context
        state = _State()

        def guided(x: Tensor, level: Tensor, **_: Any) -> Tensor:
            level = level.reshape(-1)[0]
            if keep and stepped:
                x = keep[0] * keep[1] + x * (1 - keep[1])

            def answer(context: Tensor, text: Text, score: float) -> Tensor:
                def raw(x: Tensor, t: Tensor) -> Tensor:
                    beside = self._beside(text, x, score)
                    found: Tensor = self.unet(
                        x, t.reshape(1).float(), encoder_hidden_states=context, added_cond_kwargs=beside
                    ).sample
                    return found

                if stepped:
                    alpha = self.alphas.float()[int(level)]
                    found = raw(x, level)
                    return found * alpha.sqrt() + x * (1 - alpha).sqrt() if self.family.velocity else found
                unit = (level**2 + 1) ** 0.5
                found = raw(x / unit, self.sigmas.sigma_to_t(level[None]))
                return x / unit**2 - found * level / unit if self.family.velocity else x - level * found

            texts, against = [at(state.call) for _, at in parts], negative(state.call)
            positives, other = _padded([text.context for text in texts], against.context, empty, spec)
            answers = [answer(context, text, 6.0) for context, text in zip(positives, texts, strict=True)]
            alone = _goes_alone(spec, state.call, calls, float(level))
            without = answers[0] if alone else answer(other, against, 2.5)
            result = without.clone()
            for (weight, _at), given in zip(parts, answers, strict=True):
                result += weight * (1 if alone else scale) * (given - without)
            if keep and not stepped:
                result = keep[0] * keep[1] + result * (1 - keep[1])
            state.without = without
            state.call += 1
            return result

        guided.state = state  # type: ignore[attr-defined]  # a function takes attributes
        return guided

    def _beside(self, text: Text, x: Tensor, score: float) -> dict[str, Tensor] | None:
        """What goes beside the text: its vector, height, width, crop, and the height and width again or a score."""
        if not self.family.sized or text.pooled is None:
            return None
        sides = [float(side * 8) for side in x.shape[2:]]
        numbers = [*sides, 0.0, 0.0, *([score] if self.family.score else sides)]
        return {"text_embeds": text.pooled, "time_ids": torch.tensor([numbers])}

    # Schedules

    def _levels(self, schedule: str, n: int, spec: PassSettings) -> Tensor:
        sampling = k_diffusion_sampling()
        low = spec.setting("sigma_min", 0) or float(self.sigmas.sigmas[0])
        high = spec.setting("sigma_max", 0) or float(self.sigmas.sigmas[-1])
        rho = spec.setting("rho", 0)
        match schedule:
            case "Karras":
                return cast(Tensor, sampling.get_sigmas_karras(n, low, high, rho or 7.0))
            case "Exponential":
                return cast(Tensor, sampling.get_sigmas_exponential(n, low, high))
            case "Polyexponential":
                return cast(Tensor, sampling.get_sigmas_polyexponential(n, low, high, rho or 1.0))
            case "SGM Uniform":
                first, last = (self.sigmas.sigma_to_t(torch.tensor(s)) for s in (high, low))
                return _with_zero(self.sigmas.t_to_sigma(torch.linspace(float(first), float(last), n + 1)[:-1]))
            case "KL Optimal":
                i = torch.arange(n + 1) / n
                return torch.tan(i * math.atan(low) + (1 - i) * math.atan(high))
            case "Simple":
                return _with_zero(torch.stack([self.sigmas.sigmas[-(1 + int(i * 1000 / n))] for i in range(n)]))
            case "DDIM":
                return _with_zero(self.sigmas.sigmas[1 :: max(1000 // n, 1)].flip(0))
        return cast(Tensor, self.sigmas.get_sigmas(n))

    # A pass

    def run(
        self,
        x: Tensor,
        noise: Noise,
        reading: Reading,
        spec: PassSettings,
        *,
        strength: float | None,
        hires: bool = False,
    ) -> Tensor:
        """One pass: from `x` (the picture's latent, or none where `strength` is None) to the finished latent."""
        kind = KINDS[spec.sampler]
        exact = hires or spec.setting("img2img_fix_steps", False)
        steps, entered = spec.steps, 0
        if strength is not None:
            steps = int(spec.steps / min(strength, 0.999)) if exact else spec.steps
            entered = spec.steps - 1 if exact else int(min(strength, 0.999) * spec.steps)
        taken = spec.steps if strength is None else entered + 1
        denoiser = self._denoiser(reading, spec, calls_of(spec.sampler, taken))
        first = noise.draw() * (spec.setting("initial_noise_multiplier", 1.0) if strength and not hires else 1.0)
        more = spec.setting("img2img_extra_noise", 0.0) if strength is not None else 0.0
        if spec.sampler in STEPPED:
            return self._stepped(denoiser, x, first, steps, None if strength is None else entered, spec, more)
        chosen = kind.schedule if spec.schedule == "Automatic" else spec.schedule
        drops = kind.drops_last_but_one or spec.setting("always_discard_next_to_last_sigma", False)
        levels = self._levels(chosen or "Uniform", steps + drops, spec)
        if drops:
            levels = torch.cat([levels[:-2], levels[-1:]])
        whole = levels
        if strength is None:
            sgm = spec.setting("sgm_noise_multiplier", False)
            x = first * ((1 + levels[0] ** 2) ** 0.5 if sgm else levels[0])
        else:
            levels = levels[steps - entered - 1 :]
            x = x + first * levels[0] + first * more
        return self._sampled(spec, denoiser, x, noise, levels, whole, steps if strength is None else None)

    def _sampled(
        self,
        spec: PassSettings,
        denoiser: Any,
        x: Tensor,
        noise: Noise,
        levels: Tensor,
        whole: Tensor,
        n: int | None,
    ) -> Tensor:
        sampling, kind = k_diffusion_sampling(), KINDS[spec.sampler]
        if kind.function == "restart":
            return _restart(denoiser, x, levels, noise)
        run = getattr(sampling, f"sample_{kind.function}")
        takes = inspect.signature(run).parameters
        given: dict[str, Any] = dict(kind.extra)
        if "eta" in takes:
            given["eta"] = spec.setting("eta_ancestral", 1.0)
        given |= {key: spec.settings[key] for key in kind.churn if key in spec.settings}
        if given.get("s_tmax") == 0:
            del given["s_tmax"]
        if "sigmas" in takes:
            given["sigmas"] = levels
        else:
            ends = (self.sigmas.sigmas[0], self.sigmas.sigmas[-1]) if n is not None else (levels[-2], levels[0])
            given |= {"sigma_min": float(ends[0]), "sigma_max": float(ends[1])}
        if "n" in takes:
            given["n"] = n if n is not None else len(levels) - 1
        if kind.brownian:
            given["noise_sampler"] = sampling.BrownianTreeNoiseSampler(
                x, whole[whole > 0].min(), whole.max(), seed=[noise.seed]
            )
        elif "noise_sampler" in takes:
            given["noise_sampler"] = lambda sigma, following: noise.draw()
        with _noise_of(noise):
            return cast(Tensor, run(denoiser, x, disable=True, **given))

    def _stepped(
        self,
        denoiser: Any,
        x: Tensor,
        first: Tensor,
        steps: int,
        entered: int | None,
        spec: PassSettings,
        more: float,
    ) -> Tensor:
        steps += spec.setting("always_discard_next_to_last_sigma", False)
        times = (torch.arange(0, 1000, 1000 // steps) + 1).clamp(0, 999)
        alphas = self.alphas.float()
        if entered is None:
            x = first
        else:
            alpha = alphas[times[entered]]
            x = x * alpha.sqrt() + first * (1 - alpha).sqrt() + first * more * alpha.sqrt()
            times = times[:entered]
        run = _plms if spec.sampler == "PLMS" else partial(_ddim, plus_plus=spec.sampler == "DDIM CFG++")
        return run(denoiser, x, times, alphas)

    # Pixels

    def decoded(self, latent: Tensor) -> Image.Image:
        picture = (self.vae.decode(latent / self.family.scaling).sample[0] + 1) / 2
        return Image.fromarray((255.0 * picture.clamp(0, 1).permute(1, 2, 0).numpy()).astype(np.uint8))

    def encoded(self, image: Image.Image, drawn: Tensor | None = None) -> Tensor:
        pixels = torch.from_numpy(np.array(image.convert("RGB")).astype(np.float32) / 255).permute(2, 0, 1)[None]
        posterior = self.vae.encode(pixels * 2 - 1).latent_dist
        return cast(
            Tensor, (posterior.mean if drawn is None else posterior.mean + posterior.std * drawn) * self.family.scaling
        )


class _State:
    call = 0
    without: Tensor


@dataclass(frozen=True)
class PassSettings:
    """The settings of one pass. `settings` are A1111's; `keep` is a latent and where (1) it stays."""

    sampler: str
    schedule: str
    steps: int
    cfg: float
    settings: Mapping[str, Any]
    keep: tuple[Tensor, Tensor] | None = None

    def setting(self, key: str, default: Any) -> Any:
        return self.settings.get(key, default)


class Noise:
    """The draws of one picture in one pass."""

    def __init__(
        self,
        seed: int,
        size: tuple[int, int],
        variation: tuple[int, float] | None = None,
        delta: int = 0,
        resize_from: tuple[int, int] | None = None,
    ) -> None:
        """`size` and `resize_from` are (width, height) in pixels; `variation` another seed and its strength."""
        self._first = self._shape_of(resize_from or size)
        self.seed = seed
        self._shape = self._shape_of(size)
        self._variation, self._delta = variation, delta
        self._generator = torch.Generator().manual_seed(seed)
        self._drew = False

    @staticmethod
    def _shape_of(size: tuple[int, int]) -> tuple[int, int, int]:
        return 4, size[1] // 8, size[0] // 8

    def draw(self) -> Tensor:
        if self._drew:
            return torch.randn(self._shape, generator=self._generator)[None]
        self._drew = True
        drawn = torch.randn(self._first, generator=torch.Generator().manual_seed(self.seed))
        if self._variation:
            seed, strength = self._variation
            other = torch.randn(self._first, generator=torch.Generator().manual_seed(seed))
            drawn = _between(drawn, other, strength)
        own = torch.randn(self._shape, generator=self._generator)
        if self._delta:
            self._generator = torch.Generator().manual_seed(self.seed + self._delta)
        return (drawn if self._first == self._shape else _laid_on(own, drawn))[None]


def _laid_on(ground: Tensor, patch: Tensor) -> Tensor:
    """`patch` over the middle of `ground`, what does not fit cut off at both sides alike."""
    for axis in (1, 2):
        over = patch.shape[axis] - ground.shape[axis]
        if over > 0:
            cut = -(-over // 2)
            patch = patch.narrow(axis, cut, patch.shape[axis] - 2 * cut)
    top, left = ((ground.shape[axis] - patch.shape[axis]) // 2 for axis in (1, 2))
    ground = ground.clone()
    ground[:, top : top + patch.shape[1], left : left + patch.shape[2]] = patch
    return ground


def _between(low: Tensor, high: Tensor, amount: float) -> Tensor:
    cosine = (low / torch.norm(low, dim=1, keepdim=True) * (high / torch.norm(high, dim=1, keepdim=True))).sum(1)
    angle = torch.acos(cosine)
    return (torch.sin((1 - amount) * angle) / torch.sin(angle)).unsqueeze(1) * low + (
        torch.sin(amount * angle) / torch.sin(angle)
    ).unsqueeze(1) * high


def _padded(
    positives: list[Tensor], negative: Tensor, empty: Tensor, spec: PassSettings
) -> tuple[list[Tensor], Tensor]:
    """Contexts at the lengths that the settings ask for."""

    def repeated(context: Tensor, length: int) -> Tensor:
        return torch.cat([context, *[context[:, -1:]] * (length - context.shape[1])], 1)

    longest = max(context.shape[1] for context in positives)
    positives = [repeated(context, longest) for context in positives]
    if spec.setting("pad_cond_uncond_v0", False):
        return positives, repeated(negative, longest)[:, :longest]
    if spec.setting("pad_cond_uncond", False):
        missing = (longest - negative.shape[1]) // empty.shape[1]
        negative = torch.cat([negative, *[empty] * missing], 1)
        positives = [torch.cat([context, *[empty] * -missing], 1) for context in positives]
    return positives, negative


def _goes_alone(spec: PassSettings, call: int, calls: int, level: float) -> bool:
    """Whether this call spares the negative prompt."""
    early = spec.setting("skip_early_cond", 0)
    if early and call / calls <= early:
        return True
    spares = call % 2 == 1 or spec.setting("s_min_uncond_all", False)
    return bool(spares and spec.setting("s_min_uncond", 0) > 0 and level < spec.setting("s_min_uncond", 0))


@contextmanager
def _noise_of(noise: Noise) -> Iterator[None]:
    """While open, what k-diffusion draws by itself are draws of this picture."""

    class Torch:
        def __getattr__(self, name: str) -> Any:
            return (lambda x: noise.draw()) if name == "randn_like" else getattr(torch, name)

    sampling = k_diffusion_sampling()
    sampling.torch = Torch()
    yield
    sampling.torch = torch


def _with_zero(levels: Tensor) -> Tensor:
    return torch.cat([levels, torch.zeros(1)])


def _restart(denoiser: Any, x: Tensor, levels: Tensor, noise: Noise) -> Tensor:
    """Xu et al. (2023), with the repetitions that A1111 chose."""
    sampling = k_diffusion_sampling()
    steps, repeats, back = len(levels) - 1, 0, 0
    if steps >= 20:
        back, repeats = (steps // 4, 2) if steps >= 36 else (9, 1)
        levels = sampling.get_sigmas_karras(steps - back * repeats, float(levels[-2]), float(levels[0]))
    pairs = list(pairwise(levels))
    if repeats:
        low, high = (int(torch.argmin(abs(levels - level))) for level in (0.1, 2))
        inner = sampling.get_sigmas_karras(back + 1, float(levels[low]), float(levels[high]))[:-1]
        if high < low:
            pairs = [*pairs[:low], *[pair for _ in range(repeats) for pair in pairwise(inner)], *pairs[low:]]
    last = None
    for old, new in pairs:
        if last is not None and last < old:
            x = x + noise.draw() * (old**2 - last**2) ** 0.5
        slope = (x - denoiser(x, old)) / old
        following = x + slope * (new - old)
        if new > 0:
            slope = (slope + (following - denoiser(following, new)) / new) / 2
            following = x + slope * (new - old)
        x, last = following, new
    return x


def _ddim(denoiser: Any, x: Tensor, times: Tensor, alphas: Tensor, *, plus_plus: bool) -> Tensor:
    for index in range(len(times) - 1, 0, -1):
        alpha, before = alphas[times[index]], alphas[times[index - 1]]
        noise = denoiser(x, times[index])
        direction = denoiser.state.without if plus_plus else noise
        x = before.sqrt() * (x - (1 - alpha).sqrt() * noise) / alpha.sqrt() + (1 - before).sqrt() * direction
    return x


def _plms(denoiser: Any, x: Tensor, times: Tensor, alphas: Tensor) -> Tensor:
    def stepped(x: Tensor, noise: Tensor, index: int) -> Tensor:
        alpha, before = alphas[times[index]], alphas[times[max(index - 1, 0)]]
        return before.sqrt() * (x - (1 - alpha).sqrt() * noise) / alpha.sqrt() + (1 - before).sqrt() * noise

    past: list[Tensor] = []
    for index in range(len(times) - 1, 0, -1):
        noise = denoiser(x, times[index])
        if not past:
            ahead = denoiser(stepped(x, noise, index), times[index - 1])
            mixed = (noise + ahead) / 2
        else:
            weights = {1: (3, -1), 2: (23, -16, 5), 3: (55, -59, 37, -9)}[len(past)]
            mixed = sum(w * e for w, e in zip(weights, [noise, *past], strict=True)) / sum(weights)
        x = stepped(x, mixed, index)
        past = [noise, *past][:3]
    return x


LATENT_MODES: dict[str, dict[str, Any]] = {
    "Latent": {"mode": "bilinear"},
    "Latent (antialiased)": {"mode": "bilinear", "antialias": True},
    "Latent (bicubic)": {"mode": "bicubic"},
    "Latent (nearest-exact)": {"mode": "nearest-exact"},
}


@torch.no_grad()
def painted(
    painter: Painter, body: dict[str, Any], reading: Reading, hires: Reading | None = None, index: int = 0
) -> Image.Image:
    """The `index`-th picture of a request to /sdapi/v1/txt2img or img2img (with `init_images`) on the CPU's noise."""
    settings = body.get("override_settings", {})
    spec = PassSettings(
        body["sampler_name"], body.get("scheduler", "Automatic"), body["steps"], body["cfg_scale"], settings
    )
    painter.trained_with(settings)
    with painter.joined(body.get("tiling", False)):
        if "init_images" in body:
            return _from_picture(painter, body, reading, spec, index)
        size = (body["width"], body["height"])
        latent = painter.run(torch.zeros(1), _noise(body, size, index), reading, spec, strength=None)
        return painter.decoded(_again(painter, body, hires, spec, latent, index) if hires else latent)


def _noise(body: dict[str, Any], size: tuple[int, int], index: int) -> Noise:
    varied = body.get("subseed_strength", 0)
    return Noise(
        body["seed"] + (0 if varied else index),
        size,
        (body["subseed"] + index, varied) if varied else None,
        body["override_settings"].get("eta_noise_seed_delta", 0),
        (body["seed_resize_from_w"], body["seed_resize_from_h"]) if "seed_resize_from_w" in body else None,
    )


def _again(
    painter: Painter, body: dict[str, Any], reading: Reading, spec: PassSettings, latent: Tensor, index: int
) -> Tensor:
    """The hires pass over the first pass's latent."""
    larger = (int(body["width"] * body["hr_scale"]), int(body["height"] * body["hr_scale"]))
    noise = _noise(body, larger, index)
    mode = LATENT_MODES.get(body["hr_upscaler"])
    if mode:
        latent = interpolate(latent, size=(larger[1] // 8, larger[0] // 8), **mode)
    else:
        image = painter.decoded(latent).resize(larger, Image.Resampling.LANCZOS)
        shape = (1, 4, larger[1] // 8, larger[0] // 8)
        latent = painter.encoded(image, torch.randn(shape, generator=torch.Generator().manual_seed(noise.seed)))
    second = replace(
        spec,
        sampler=body.get("hr_sampler_name", spec.sampler),
        schedule=body.get("hr_scheduler", spec.schedule),
        steps=body.get("hr_second_pass_steps", 0) or spec.steps,
    )
    return painter.run(latent, noise, reading, second, strength=body["denoising_strength"], hires=True)


def _from_picture(
    painter: Painter, body: dict[str, Any], reading: Reading, spec: PassSettings, index: int
) -> Image.Image:
    size, strength = (body["width"], body["height"]), body["denoising_strength"]
    noise, picture, mask = _noise(body, size, index), body["init_images"][0], body.get("mask")
    if mask is None:
        return painter.decoded(painter.run(painter.encoded(picture), noise, reading, spec, strength=strength))
    if body.get("inpainting_mask_invert"):
        mask = ImageOps.invert(mask)
    latent = painter.encoded(picture if body["inpainting_fill"] == 1 else _filled(picture, mask))
    small = mask.convert("RGB").resize((size[0] // 8, size[1] // 8))
    hidden = torch.from_numpy(np.around(np.array(small, np.float32)[:, :, 0] / 255))
    if body["inpainting_fill"] == 2:
        drawn = torch.randn(latent.shape[1:], generator=torch.Generator().manual_seed(noise.seed))
        latent = latent * (1 - hidden) + drawn * hidden
    elif body["inpainting_fill"] == 3:
        latent = latent * (1 - hidden)
    spec = replace(spec, keep=(latent, 1 - hidden))
    result = painter.run(latent, noise, reading, spec, strength=strength)
    image = painter.decoded(latent * (1 - hidden) + result * hidden)
    return Image.composite(image, picture, mask.point(lambda value: min(255, value * 2)))


def _filled(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """The surroundings, blurred ever less, over one another."""
    around = Image.new("RGBa", picture.size)
    around.paste(picture.convert("RGBA").convert("RGBa"), mask=ImageOps.invert(mask))
    result = Image.new("RGBA", picture.size)
    for radius in (256, 64, 16, 16, 4, 4, 4, 4, 2, 2, 0):
        result.alpha_composite(around.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA"))
    return result.convert("RGB")


def peak_ratio(one: Image.Image, other: Image.Image) -> float:
    """PSNR in decibels."""
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    error = float((difference**2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
