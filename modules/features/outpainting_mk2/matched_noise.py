"""Noise with the spectrum and the colours of a picture, to fill what is new around it.

The method of Outpainting mk2 in A1111, by parlance-zz (g-diffuser): white noise takes over the amplitudes and phases of
the known part, and then its histogram.
"""

from __future__ import annotations

import numpy as np


def matched_noise(picture: np.ndarray, unknown: np.ndarray, exponent: float, colour: float) -> np.ndarray:
    """`picture`, (height, width, 3) in 0..1, with noise where `unknown`, (height, width), is not 0.

    The amplitudes of the picture count with `exponent`: lower gives finer noise. `colour` is how colourful it is before
    it takes over the picture's colours, 0..1. The noise is always the same: what differs between seeds is the pass.
    """
    share = unknown[..., None]
    new, known = unknown > 1e-6, unknown < 1e-3
    seen = picture * (1 - share)
    seen = seen / max(float(seen.max()), 1e-12) + picture.mean() * share
    spectrum = _spectrum(seen)
    amplitude = np.abs(spectrum)
    phase = np.divide(spectrum, amplitude, out=np.ones_like(spectrum), where=amplitude > 0)
    noise = _white(picture.shape, colour)
    noise = _signal(_spectrum(noise) * _window(picture.shape[0], picture.shape[1])[..., None])
    shaped = _signal(np.abs(_spectrum(noise)) ** 2 * amplitude**exponent * phase)
    shaped = shaped - shaped.min()
    shaped = shaped / max(float(shaped.max()), 1e-12)
    if known.any():
        for channel in range(3):
            shaped[new, channel] = _with_histogram(shaped[new, channel], picture[known, channel])
    filled: np.ndarray = np.clip(picture * (1 - share) + shaped * share, 0, 1)
    return filled


def _white(shape: tuple[int, ...], colour: float) -> np.ndarray:
    drawn = np.random.default_rng(0).random(shape)
    noise: np.ndarray = drawn * colour + drawn.mean(axis=2, keepdims=True) * (1 - colour)
    return noise


def _window(height: int, width: int) -> np.ndarray:
    """Highest in the middle, where the lowest frequencies are; the shorter side spans -1 to 1."""
    shortest = min(height, width)
    y = (np.arange(height) / height * 2 - 1) * (height / shortest)
    x = (np.arange(width) / width * 2 - 1) * (width / shortest)
    window: np.ndarray = 1 / ((y[:, None] ** 2 + 1) * (x[None, :] ** 2 + 1))
    return window


def _spectrum(values: np.ndarray) -> np.ndarray:
    """Each channel's, its zero frequency in the middle; the origin of the picture is its middle too."""
    shifted = np.fft.fftshift(values, axes=(0, 1))
    return np.fft.ifftshift(np.fft.fft2(shifted, axes=(0, 1), norm="ortho"), axes=(0, 1))


def _signal(spectrum: np.ndarray) -> np.ndarray:
    shifted = np.fft.fftshift(spectrum, axes=(0, 1))
    return np.real(np.fft.ifftshift(np.fft.ifft2(shifted, axes=(0, 1), norm="ortho"), axes=(0, 1)))


def _with_histogram(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`values` moved to have the distribution of `reference`, their order kept."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    wanted, wanted_counts = np.unique(reference, return_counts=True)
    shares = np.cumsum(counts) / values.size
    matched: np.ndarray = np.interp(shares, np.cumsum(wanted_counts) / reference.size, wanted)
    return matched[places.reshape(-1)]
