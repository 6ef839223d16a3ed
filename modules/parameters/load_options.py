"""Options that say which VAE goes with a checkpoint, how both are loaded, and what is cached beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from modules.settings.groups import option

# What can be said of a checkpoint's predictions; the zero terminal SNR belongs to the second's noise.
PREDICTION_CHOICES: Final = ("epsilon", "v_prediction", "v_prediction ztsnr", "edm", "edm_v_prediction")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How one checkpoint is loaded.

    `checkpoint_memory` holds memory modes of single checkpoints ("name: mode"), which go before `memory_mode`;
    `checkpoint_prediction` in the same way what they predict, which goes before what their files say.
    """

    memory_mode: str = option("memory_mode")
    checkpoint_memory: tuple[str, ...] = option("checkpoint_memory")
    checkpoint_prediction: tuple[str, ...] = option("checkpoint_prediction")
    cross_attention_optimization: str = option("cross_attention_optimization")
    upcast_attn: bool = option("upcast_attn")
    fp8_storage: str = option("fp8_storage")
    fast_mode: bool = option("fast_mode")
    sd_checkpoints_limit: int = option("sd_checkpoints_limit")
    sd_checkpoints_keep_in_cpu: bool = option("sd_checkpoints_keep_in_cpu")
    sd_checkpoint_cache: int = option("sd_checkpoint_cache")
    sd_vae_checkpoint_cache: int = option("sd_vae_checkpoint_cache")
    disable_mmap_load_safetensors: bool = option("disable_mmap_load_safetensors")


def chosen_prediction(options: LoadOptions, names: Collection[str]) -> str | None:
    """Which of the `PREDICTION_CHOICES` is said of a checkpoint that is known by any of `names`; None if none is."""
    said = entries_for(options.checkpoint_prediction, names)
    return next((text for text in said if text in PREDICTION_CHOICES), None)


def entries_for(entries: Sequence[str], names: Collection[str]) -> Iterator[str]:
    """What the entries ("name: value") say of a checkpoint that is known by any of `names`, in their order."""
    for entry in entries:
        name, _, value = entry.rpartition(":")
        if name.strip() in names:
            yield value.strip()


@dataclass(frozen=True, slots=True)
class CheckpointChoice:
    """Which checkpoint is wanted: its title, "" for the first one."""

    title: str = option("sd_model_checkpoint")


@dataclass(frozen=True, slots=True)
class VaeChoice:
    """Which VAE is wanted; with `overrides_preferences` this goes before what a checkpoint's own file says.

    `modules` are VAEs and text encoders for checkpoints that have them as files of their own.
    """

    sd_vae: str = option("sd_vae")
    overrides_preferences: bool = option("sd_vae_overrides_per_model_preferences")
    modules: tuple[str, ...] = option("forge_additional_modules")
