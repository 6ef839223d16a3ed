"""k-diffusion's samplers and torchsde's Brownian tree, loaded without the packages they import but do not need here.

A missing package fails the test run: requirements-test-oracles.txt lists what to install, without dependencies.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from functools import cache
from types import ModuleType
from typing import Any

import torch


@cache
def k_diffusion_sampling() -> Any:
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None:
        raise ModuleNotFoundError("k-diffusion is missing: pip install --no-deps -r requirements-test-oracles.txt")
    package = ModuleType("k_diffusion")
    package.__path__ = list(spec.submodule_search_locations or [])
    utils = ModuleType("k_diffusion.utils")
    utils.append_dims = lambda x, dims: x[(...,) + (None,) * (dims - x.ndim)]  # type: ignore[attr-defined]  # a module made here
    utils.append_zero = lambda x: torch.cat([x, x.new_zeros([1])])  # type: ignore[attr-defined]  # a module made here
    sys.modules["k_diffusion"] = package
    sys.modules["k_diffusion.utils"] = utils
    return importlib.import_module("k_diffusion.sampling")


@cache
def k_diffusion_external() -> Any:
    """k-diffusion's own wrappers around discretely trained models."""
    k_diffusion_sampling()
    return importlib.import_module("k_diffusion.external")
