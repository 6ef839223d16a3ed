"""The opt-in fast mode: steps replayed as CUDA graphs, the UNet's repeated blocks compiled, or one sentence why not."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn
from torch.utils._triton import has_triton

from modules.hardware.budget import MemoryMode
from modules.hardware.fp8_weights import STORED
from modules.hardware.graphs import CudaRecorder, StepGraphs
from modules.hardware.model_configs import DenoiserModule, unet_config

log = logging.getLogger(__name__)

# Small enough to be nothing beside the compilation it sets off, large enough for four levels.
_TRIAL_CELLS: Final = 16


@dataclass(frozen=True, slots=True)
class FastMode:
    """What the fast mode does: `graphs` replay steps, `blocks` describes the compilation or why nothing is compiled."""

    blocks: str
    graphs: StepGraphs | None = None

    @property
    def summary(self) -> str:
        """A sentence for the page."""
        return f"off: {self.blocks}" if self.graphs is None else f"{self.graphs.summary}; {self.blocks}"


def speed_up(unet: DenoiserModule, device: torch.device, mode: MemoryMode) -> FastMode:
    """Make `unet`'s steps fast where they can be. Whatever fails leaves it as before, and the summary says so."""
    if not isinstance(unet, UNet2DConditionModel):
        return FastMode("it is for UNets, and this checkpoint's transformer runs as it is")
    if device.type != "cuda":
        return FastMode(f"it is for CUDA cards, on {device.type} it gains nothing (docs/performance.md)")
    if mode != "full":
        return FastMode(f"--{mode} moves weights about, which recorded and compiled code can't follow")
    return FastMode(_compiled(unet, device), StepGraphs(CudaRecorder))


def _compiled(unet: UNet2DConditionModel, device: torch.device) -> str:
    """Compile `unet`'s repeated blocks and try them; returns what came of it.

    One block is compiled for all that are alike, a tenth of the time that the whole would take; sizes may vary without
    compiling again. What was compiled is cached on disk (TORCHINDUCTOR_CACHE_DIR) for the next start.
    """
    if any(parameter.dtype == STORED for parameter in unet.parameters()):
        # Each layer's widening ends a piece of compiled code: dozens of pieces, and compiled anew until torch gives up.
        return "nothing is compiled, since each layer widens its 8 bits by itself"
    if not has_triton():
        return "nothing is compiled, which needs the triton package and a C compiler that this installation lacks"
    try:
        unet.compile_repeated_blocks(dynamic=True)  # type: ignore[no-untyped-call]  # unannotated in diffusers
        _trial(unet, device)
    except (RuntimeError, OSError, ImportError) as error:
        slow_down(unet)
        log.warning("The fast mode failed.", exc_info=error)
        return f"compiling failed with {type(error).__name__} (details in the log), so the plain blocks run"
    return "the UNet's transformer blocks are compiled"


def slow_down(unet: nn.Module) -> None:
    """Take compiled code off again."""
    for module in unet.modules():
        module._compiled_call_impl = None


@contextmanager
def run_plain(modules: Iterable[nn.Module]) -> Iterator[None]:
    """While open, these modules run uncompiled: hooks that come and go are not seen by compiled code."""
    compiled = [(module, module._compiled_call_impl) for module in modules]
    for module, _ in compiled:
        module._compiled_call_impl = None
    try:
        yield
    finally:
        for module, code in compiled:
            module._compiled_call_impl = code


@torch.no_grad()
def _trial(unet: UNet2DConditionModel, device: torch.device) -> None:
    # In the mode that steps run in (sampling/run.py): what is compiled for another one is compiled again for them.
    config, zeros = unet_config(unet), partial(torch.zeros, device=device, dtype=unet.dtype)
    added = None
    if config.addition_embed_type == "text_time":
        width = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        added = {"text_embeds": zeros(2, width), "time_ids": zeros(2, 6)}
    unet(
        zeros(2, config.in_channels, _TRIAL_CELLS, _TRIAL_CELLS),
        torch.full((2,), 500.0, device=device),
        encoder_hidden_states=zeros(2, 77, config.cross_attention_dim),
        added_cond_kwargs=added,
    )
