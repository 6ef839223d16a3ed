"""Quantiles of the beta distribution, for the schedule of that name: its only use would not pay for SciPy."""

from __future__ import annotations

import math
from typing import Final

_TINY: Final = 1e-300
_PRECISION: Final = 1e-15
_MAX_TERMS: Final = 500


def beta_quantile(probability: float, alpha: float, beta: float) -> float:
    """The x in 0..1 below which a beta(alpha, beta) variable falls with this probability.

    Raises ValueError unless both shape parameters are positive.
    """
    if alpha <= 0 or beta <= 0:
        raise ValueError(f"A beta distribution needs positive shape parameters, not {alpha} and {beta}.")
    if probability <= 0 or probability >= 1:
        return float(probability >= 1)
    low, high, x = 0.0, 1.0, 0.5
    for _ in range(200):
        excess = beta_cdf(x, alpha, beta) - probability
        low, high = (low, x) if excess > 0 else (x, high)
        newton = x - excess / _density(x, alpha, beta)
        # The density is steep at the ends: there Newton's step may leave the bracket, and halving takes over.
        following = newton if low < newton < high else (low + high) / 2
        if abs(following - x) <= _PRECISION * following:
            return following
        x = following
    return x


def beta_cdf(x: float, alpha: float, beta: float) -> float:
    """Regularised incomplete beta function I_x(alpha, beta)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (alpha + 1) / (alpha + beta + 2):
        return 1 - beta_cdf(1 - x, beta, alpha)
    front = math.exp(alpha * math.log(x) + beta * math.log1p(-x) - _log_beta(alpha, beta)) / alpha
    return front * _continued_fraction(x, alpha, beta)


def _log_beta(alpha: float, beta: float) -> float:
    return math.lgamma(alpha) + math.lgamma(beta) - math.lgamma(alpha + beta)


def _density(x: float, alpha: float, beta: float) -> float:
    return math.exp((alpha - 1) * math.log(x) + (beta - 1) * math.log1p(-x) - _log_beta(alpha, beta))


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Lentz's evaluation of the fraction in Abramowitz and Stegun 26.5.8."""
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return value


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
