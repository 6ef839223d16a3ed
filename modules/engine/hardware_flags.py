"""From command line flags to the requested device, precision and memory mode."""

from __future__ import annotations

from typing import Final, get_args

from modules.hardware.attention import AttentionName, AttentionRequest
from modules.hardware.budget import MemoryMode
from modules.hardware.choice import HardwareRequest, Precision
from modules.settings import Flags

# In A1111's order of preference: the first flag given decides.
_ATTENTION_FLAGS: Final[tuple[tuple[str, AttentionName], ...]] = (
    ("force_enable_xformers", "xformers"),
    ("xformers", "xformers"),
    ("opt_sdp_no_mem_attention", "sdp-no-mem"),
    ("opt_sdp_attention", "sdp"),
    ("opt_sub_quad_attention", "sub-quad"),
    ("opt_split_attention", "split"),
    ("opt_split_attention_invokeai", "invokeai"),
    ("opt_split_attention_v1", "split-v1"),
    ("disable_opt_split_attention", "math"),
)


def requested_hardware(flags: Flags) -> HardwareRequest:
    """The flags that choose device, number types and attention, in the hardware room's words."""
    return HardwareRequest(
        use_cpu=bool({"all", "sd"} & set(flags.use_cpu)),
        device_id=flags.device_id,
        no_half=flags.no_half,
        no_half_vae=flags.no_half_vae,
        precision=next(kind for kind in get_args(Precision) if kind == flags.precision),
        channels_last=flags.opt_channelslast,
        attention=AttentionRequest(
            name=next((name for flag, name in _ATTENTION_FLAGS if getattr(flags, flag)), None),
            query_chunk=flags.sub_quad_q_chunk_size,
            key_chunk=flags.sub_quad_kv_chunk_size,
            threshold=flags.sub_quad_chunk_threshold,
            upcast=flags.upcast_sampling,
        ),
    )


def requested_memory_mode(flags: Flags) -> MemoryMode | None:
    """The memory mode that the flags set; the thriftier one if both are given."""
    if flags.lowvram:
        return "lowvram"
    return "medvram" if flags.medvram else None


def requested_sdxl_memory_mode(flags: Flags) -> MemoryMode | None:
    """The memory mode that the flags set for SDXL models only."""
    return "medvram" if flags.medvram_sdxl else None
