"""A pass of the second implementation: guidance, the refiner's turn, samplers, from noise to the finished latent."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from tests.endtoend.oracle_levels import schedule_of
from tests.endtoend.oracle_model import OracleModel, Text
from tests.endtoend.oracle_noise import Noise, noise_of
from tests.endtoend.oracle_solvers import ddim, plms, restart
from tests.endtoend.oracle_terms import KINDS, STEPPED, PassSettings, Reading, calls_of
from tests.sampling.k_diffusion_oracle import k_diffusion_sampling


class Painter(OracleModel):
    """One checkpoint, and pictures made of it."""

    refiner: Painter | None = None
    """The checkpoint that may go on with what this one began."""

    def _conditions(self, reading: Reading, spec: PassSettings) -> _Conditions:
        return _Conditions(
            [(weight, self.schedule(texts, spec)) for weight, texts in reading.parts],
            self.schedule(reading.negative, spec, negative=True),
            self.encoded_texts([[("", 1.0)]], spec).context,
        )

    def _refines(self, call: int, calls: int, level: Tensor, spec: PassSettings) -> bool:
        """Whether this call is the refiner's."""
        if spec.refines_at is None:
            return False
        if spec.setting("refiner_switch_by_sample_steps", False):
            return call / calls >= spec.refines_at
        near = int(level) if spec.sampler in STEPPED else int(torch.argmin(abs(self.trained.sigmas - level)))
        return (999 - near) / 1000 >= spec.refines_at

    def _denoiser(self, reading: Reading, spec: PassSettings, calls: int) -> Any:
        """What samplers call: the denoised picture for a sigma, or the noise for a timestep."""
        stepped, keep = spec.sampler in STEPPED, spec.keep
        scale = spec.cfg / 12.5 if spec.sampler == "DDIM CFG++" else spec.cfg
        state = _State(self, self._conditions(reading, spec))

        def guided(x: Tensor, level: Tensor, **_: Any) -> Tensor:
            level = level.reshape(-1)[0]
            if self.refiner is not None and state.painter is self and self._refines(state.call, calls, level, spec):
                state.painter, state.conditions = self.refiner, self.refiner._conditions(reading, spec)
            painter, conditions = state.painter, state.conditions
            answer = painter.noise if stepped else painter.denoised
            if keep and stepped:
                x = keep[0] * keep[1] + x * (1 - keep[1])
            texts, against = [at(state.call) for _, at in conditions.parts], conditions.negative(state.call)
            contexts = [text.context for text in texts]
            positives, other = _padded(contexts, against.context, conditions.empty, spec)
            answers = [answer(x, level, context, text, 6.0) for context, text in zip(positives, texts, strict=True)]
            alone = _goes_alone(spec, state.call, calls, float(level))
            without = answers[0] if alone else answer(x, level, other, against, 2.5)
            result = without.clone()
            for (weight, _at), given in zip(conditions.parts, answers, strict=True):
                result += weight * (1 if alone else scale) * (given - without)
            if keep and not stepped:
                result = keep[0] * keep[1] + result * (1 - keep[1])
            state.without = without
            state.call += 1
            return result

        guided.state = state  # type: ignore[attr-defined]  # a function takes attributes
        return guided

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
    ) -> tuple[Tensor, Painter]:
        """One pass: from `x` (the picture's latent, or none where `strength` is None) to the finished latent; and whose
        it is, since a refiner's VAE decodes what it ended.
        """
        kind = KINDS[spec.sampler]
        exact = hires or spec.setting("img2img_fix_steps", False)
        steps, entered = spec.steps, 0
        if strength is not None:
            steps = int(spec.steps / min(strength, 0.999)) if exact else spec.steps
            entered = spec.steps - 1 if exact else int(min(strength, 0.999) * spec.steps)
        taken = spec.steps if strength is None else entered + 1
        for painter in (self, self.refiner or self):
            # What a hires pass is to make, which can be more than the whole cells that it paints.
            painter.sides = noise.size[1], noise.size[0]
        denoiser = self._denoiser(reading, spec, calls_of(spec.sampler, taken))
        first = noise.draw() * (spec.setting("initial_noise_multiplier", 1.0) if strength and not hires else 1.0)
        more = spec.setting("img2img_extra_noise", 0.0) if strength is not None else 0.0
        if spec.sampler in STEPPED:
            entry = None if strength is None else entered
            return self._stepped(denoiser, x, first, steps, entry, spec, more), denoiser.state.painter
        chosen = kind.schedule if spec.schedule == "Automatic" else spec.schedule
        drops = kind.drops_last_but_one or spec.setting("always_discard_next_to_last_sigma", False)
        levels = schedule_of(chosen or "Uniform", steps + drops, self.trained, spec)
        if drops:
            levels = torch.cat([levels[:-2], levels[-1:]])
        whole = levels
        if strength is None:
            sgm = spec.setting("sgm_noise_multiplier", False)
            x = first * ((1 + levels[0] ** 2) ** 0.5 if sgm else levels[0])
        else:
            levels = levels[steps - entered - 1 :]
            x = x + first * levels[0] + first * more
        made = self._sampled(spec, denoiser, x, noise, levels, whole, steps if strength is None else None)
        return made, denoiser.state.painter

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
            return restart(denoiser, x, levels, noise)
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
            ends = (self.trained.sigmas[0], self.trained.sigmas[-1]) if n is not None else (levels[-2], levels[0])
            given |= {"sigma_min": float(ends[0]), "sigma_max": float(ends[1])}
        if "n" in takes:
            given["n"] = n if n is not None else len(levels) - 1
        if kind.brownian:
            given["noise_sampler"] = sampling.BrownianTreeNoiseSampler(
                x, whole[whole > 0].min(), whole.max(), seed=[noise.seed]
            )
        elif "noise_sampler" in takes:
            given["noise_sampler"] = lambda sigma, following: noise.draw()
        with noise_of(noise):
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
        run = plms if spec.sampler == "PLMS" else partial(ddim, plus_plus=spec.sampler == "DDIM CFG++")
        return run(denoiser, x, times, alphas)


@dataclass
class _Conditions:
    """The encoded texts of a pass by one checkpoint: its AND parts with their weights, and the negative prompt."""

    parts: list[tuple[float, Callable[[int], Text]]]
    negative: Callable[[int], Text]
    empty: Tensor


@dataclass
class _State:
    """Who answers the calls of a pass, and how many there were."""

    painter: Painter
    conditions: _Conditions
    call: int = 0
    without: Tensor | None = None


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
