"""Linear multistep methods: each step extrapolates the slope from the latest few."""

from __future__ import annotations

import math
from functools import cache
from typing import Final

import numpy as np
from torch import Tensor

from modules.sampling.options import SolverOptions
from modules.sampling.samplers.protocol import Denoiser, Noise, OnStep, Step, slope

# Adams-Bashforth weights for even steps, newest slope first.
_ADAMS_BASHFORTH: Final = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))

# DEIS interpolates in the time of a variance-preserving process that spans these noise levels (EDM's range).
_DEIS_RANGE: Final = (0.002, 80.0)
_DEIS_FIRST_TIME: Final = 1e-3


def lms(denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep) -> Tensor:
    """Adams-Bashforth of order 4 for uneven steps; after k-diffusion (MIT)."""
    levels = sigmas.double().numpy()
    slopes: list[Tensor] = []
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        on_step(Step(i, x, denoised, sigmas[i]))
        slopes = [slope(x, sigmas[i], denoised), *slopes[:3]]
        weights = _lagrange_integrals(levels[i - len(slopes) + 1 : i + 1][::-1], levels[i], levels[i + 1])
        x = x + _weighted(weights, slopes)
    return x


def ipndm(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """Adams-Bashforth of order 4 with the weights of even steps: Zhang & Chen (2022), arXiv:2204.13902, as iPNDM."""
    slopes: list[Tensor] = []
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        on_step(Step(i, x, denoised, sigmas[i]))
        slopes = [slope(x, sigmas[i], denoised), *slopes[:3]]
        x = x + (sigmas[i + 1] - sigmas[i]) * _weighted(_ADAMS_BASHFORTH[len(slopes) - 1], slopes)
    return x


def ipndm_v(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """iPNDM with weights for uneven steps, after diff-sampler (Apache-2.0; Zhou et al. 2023, arXiv:2312.00094)."""
    slopes: list[Tensor] = []
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        on_step(Step(i, x, denoised, sigmas[i]))
        slopes = [slope(x, sigmas[i], denoised), *slopes[:3]]
        steps = [float(sigmas[k + 1] - sigmas[k]) for k in range(i, i - len(slopes), -1)]
        x = x + (sigmas[i + 1] - sigmas[i]) * _weighted(_uneven_weights(steps), slopes)
    return x


def deis(
    denoiser: Denoiser, x: Tensor, sigmas: Tensor, noise: Noise, options: SolverOptions, on_step: OnStep
) -> Tensor:
    """Exponential integrator with slopes extrapolated in time (tAB-DEIS, order 3): Zhang & Chen, arXiv:2204.13902."""
    levels = sigmas.double().numpy()
    slopes: list[Tensor] = []
    for i in range(len(sigmas) - 1):
        denoised = denoiser(x, sigmas[i])
        on_step(Step(i, x, denoised, sigmas[i]))
        slopes = [slope(x, sigmas[i], denoised), *slopes[:2]]
        used = 1 if sigmas[i + 1] <= 0 else len(slopes)
        nodes = _vp_time(levels[i - used + 1 : i + 1][::-1])
        x = x + _weighted(_time_integrals(nodes, levels[i], levels[i + 1]), slopes[:used])
    return x


def _weighted(weights: tuple[float, ...] | list[float], slopes: list[Tensor]) -> Tensor:
    total = weights[0] * slopes[0]
    for weight, past in zip(weights[1:], slopes[1:], strict=True):
        total = total + weight * past
    return total


def _lagrange(nodes: np.ndarray, points: np.ndarray, j: int) -> np.ndarray:
    """Values at `points` of the polynomial that is 1 at node j and 0 at the others."""
    others = np.delete(nodes, j)
    value: np.ndarray = np.prod((points[:, None] - others) / (nodes[j] - others), axis=1)
    return value


@cache
def _gauss(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss-Legendre quadrature on -1..1."""
    points, weights = np.polynomial.legendre.leggauss(count)
    return points, weights


def _lagrange_integrals(nodes: np.ndarray, start: float, end: float) -> list[float]:
    # Two Gauss points integrate a cubic exactly.
    points, weights = _gauss(2)
    places = (points + 1) / 2 * (end - start) + start
    return [float((_lagrange(nodes, places, j) * weights).sum() * (end - start) / 2) for j in range(len(nodes))]


def _time_integrals(nodes: np.ndarray, start: float, end: float) -> list[float]:
    """The same over sigma, for polynomials in the variance-preserving time of each sigma."""
    points, weights = _gauss(32)
    places = _vp_time((points + 1) / 2 * (end - start) + start)
    return [float((_lagrange(nodes, places, j) * weights).sum() * (end - start) / 2) for j in range(len(nodes))]


def _vp_time(sigma: np.ndarray) -> np.ndarray:
    """Time at which a variance-preserving process with linear beta has this noise level: Song et al. (2020)."""
    low, high = (math.log(level**2 + 1) for level in _DEIS_RANGE)
    slope_of_beta = 2 * (low / _DEIS_FIRST_TIME - high) / (_DEIS_FIRST_TIME - 1)
    first_beta = high - 0.5 * slope_of_beta
    time: np.ndarray = (np.sqrt(first_beta**2 + 2 * slope_of_beta * np.log(sigma**2 + 1)) - first_beta) / slope_of_beta
    return time


def _uneven_weights(steps: list[float]) -> list[float]:
    """Weights of iPNDM_v, newest slope first; `steps` are the current step and the ones before it.

    They sum to 1 but are not the Adams-Bashforth weights that were meant: the published code misplaces a bracket
    (third order) and a ratio (fourth). Pictures made with it depend on that, so both are here.
    """
    if len(steps) == 1:
        return [1.0]
    h, h1 = steps[:2]
    weights = [(2 + h / h1) / 2, -(h / h1) / 2, 0.0, 0.0]
    if len(steps) > 2:
        h2 = steps[2]
        reach = h * (h + h1) / (h1 * (h1 + h2))
        second = (1 - h / (3 * (h + h1)) * reach) / 2
        weights[0] += second
        weights[1] -= (1 + h1 / h2) * second
        weights[2] += second * h1 / h2
    if len(steps) > 3:
        h3 = steps[3]
        lead = (1 - h / (3 * (h + h1))) / 2 + (1 - h / (2 * (h + h1))) * h / (6 * (h + h1 + h2))
        third = lead * h * (h + h1) * (h + h1 + h2) / (h1 * (h1 + h2) * (h1 + h2 + h3))
        ratio = h1 * (h1 + h2) / (h2 * (h2 + h3))
        weights[0] += third
        weights[1] -= (1 + h1 / h2 + ratio) * third
        weights[2] += (h1 / h2 + ratio * (1 + h2 / h3)) * third
        weights[3] -= third * ratio * h1 / h2
    return weights[: len(steps)]
