"""The metadata of a merged checkpoint: its sources', what a person adds, and A1111's recipe of how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from modules.parameters.merger_request import MergeRequest
from modules.weights.merging.sources import SourceModel

RECIPE: Final = "sd_merge_recipe"
MODELS: Final = "sd_merge_models"


def merged_metadata(
    request: MergeRequest,
    sources: Sequence[SourceModel],
    metadata: Sequence[Mapping[str, str]],
    suffix: str,
) -> dict[str, str]:
    """The metadata of the result; later ones go before earlier ones.

    Args:
        metadata: of the source files, in the same order.
        suffix: what the kind of the result adds to its name, such as ".inpainting".
    """
    merged: dict[str, str] = {}
    if request.save_metadata:
        if request.copy_metadata_fields:
            for own in metadata:
                merged |= own
        merged |= request.metadata
        if request.add_merge_recipe:
            merged[RECIPE] = json.dumps(_recipe(request, sources, suffix))
            merged[MODELS] = json.dumps(_models(sources, metadata))
    return merged | {"format": "pt"}


def _recipe(request: MergeRequest, sources: Sequence[SourceModel], suffix: str) -> dict[str, object]:
    hashes = [source.sha256 for source in sources]
    primary, secondary, tertiary = [*hashes, None, None][:3]
    recipe: dict[str, object] = {
        "type": "webui",
        "primary_model_hash": primary,
        "secondary_model_hash": secondary,
        "tertiary_model_hash": tertiary,
        "interp_method": request.interp_method,
        "multiplier": request.multiplier,
        "save_as_half": request.save_as == "float16",
        "custom_name": request.custom_name,
        "config_source": request.config_source,
        "bake_in_vae": request.bake_in_vae,
        "discard_weights": request.discard_weights,
        "is_inpainting": suffix == ".inpainting",
        "is_instruct_pix2pix": suffix == ".instruct-pix2pix",
    }
    # What A1111 has no fields for.
    if request.save_as == "bfloat16":
        recipe["save_as_bfloat16"] = True
    if request.weights:
        recipe["block_weights"] = request.weights
    if request.loras:
        recipe["loras"] = [lora.model_dump() for lora in request.loras]
    return recipe


def _models(sources: Sequence[SourceModel], metadata: Sequence[Mapping[str, str]]) -> dict[str, object]:
    """The checkpoints that went into this one by hash, with those that had gone into them."""
    models: dict[str, object] = {}
    for source, own in zip(sources, metadata, strict=True):
        earlier = _parsed(own.get(MODELS))
        if isinstance(earlier, dict):
            models |= earlier
        models[source.sha256 or source.name] = {
            "name": source.name,
            "legacy_hash": source.legacy_hash,
            RECIPE: _parsed(own.get(RECIPE)),
        }
    return models


def _parsed(text: str | None) -> object:
    try:
        parsed: object = None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed
