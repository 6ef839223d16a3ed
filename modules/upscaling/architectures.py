"""The architectures that spandrel knows, imported without torchvision.

spandrel 0.4.2 imports torchvision in two of its files, for three small functions. Beside a CPU build of torch the
torchvision of the package index does not even import, so it is not installed; while spandrel's registry is being
imported, a stand-in with these three functions takes its place.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from spandrel import ArchRegistry

_STANDS_FOR: Final = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
_MORE: Final = "spandrel_extra_arches"


@cache
def registry() -> ArchRegistry:
    """Every architecture there is, CodeFormer's among them where the package that has it is installed."""
    with _torchvision_stand_in(), warnings.catch_warnings():
        # A scripted function in one of the architectures: torch.jit.script is deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        spandrel = importlib.import_module("spandrel")
        known: ArchRegistry = spandrel.MAIN_REGISTRY.copy()
        if has_more_architectures():
            more = importlib.import_module(_MORE)
            known.add(*more.EXTRA_REGISTRY, ignore_duplicates=True)
    return known


def has_more_architectures() -> bool:
    """Whether the package with the architectures that may not be used commercially is installed."""
    return find_spec(_MORE) is not None


@contextmanager
def _torchvision_stand_in() -> Iterator[None]:
    before = {name: sys.modules.get(name) for name in _STANDS_FOR}
    functional = ModuleType(_STANDS_FOR[2])
    vars(functional).update(normalize=normalize, rotate=_rotate, InterpolationMode=_InterpolationMode)
    for name in _STANDS_FOR[:2]:
        sys.modules[name] = ModuleType(name)
    sys.modules[_STANDS_FOR[2]] = functional
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def normalize(image: torch.Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> torch.Tensor:
    """torchvision's: (image - mean) / std for each channel of [..., channels, height, width]."""
    means, stds = (torch.as_tensor(values, dtype=image.dtype, device=image.device) for values in (mean, std))
    target = image if inplace else image.clone()
    return target.sub_(means[:, None, None]).div_(stds[:, None, None])


class _InterpolationMode:
    """Named in the signature of a part of LaMa that fills holes, which is no upscaler."""

    BILINEAR: Final = "bilinear"
    NEAREST: Final = "nearest"


def _rotate(*_: object, **__: object) -> torch.Tensor:
    raise NotImplementedError("LaMa's rotated convolutions are not used here")
