"""Settings that change nothing with checkpoints of a family: what pages show beside them."""

from collections.abc import Iterator
from typing import Final

from modules.families.family import Family
from modules.families.prediction import EDM_TRAINING

_SAME_LAYER: Final = "No effect with this checkpoint: its text encoders are always used up to the same layer."
_WITH_CLIP_L_SKIP: Final = "No effect with this checkpoint, unless “Clip skip for SDXL's first text encoder” is on."
_ONE_ENCODER: Final = "For SDXL only: this checkpoint has no two text encoders."
_COARSE: Final = "No effect with this checkpoint: it has no self-attention at the full size, where tokens are merged."
_NO_CROP: Final = "For SDXL only: this checkpoint is not told of a crop."
_NO_SCORE: Final = "For SDXL's refiner only: nothing that goes with this checkpoint is shown a score."
_NO_TIMESTEPS: Final = "No effect with this checkpoint: it was trained without timesteps (EDM)."
_FLOW: Final = "No effect with this checkpoint: it was trained by flow matching, where noise is mixed in, not added."
_NO_CHUNKS: Final = "No effect with this checkpoint: it reads a text whole, of whatever length."
_NOT_SHOWN: Final = "No effect with this checkpoint: it starts from the picture, and is not shown it beside the noise."
_NO_MERGING: Final = "No effect with this checkpoint: tokens are merged in UNets only."

_MERGING: Final = ("token_merging_ratio", "token_merging_ratio_img2img", "token_merging_ratio_hr")
_CROP: Final = ("sdxl_crop_top", "sdxl_crop_left")
_SCORES: Final = ("sdxl_refiner_low_aesthetic_score", "sdxl_refiner_high_aesthetic_score")
_OF_TIMESTEPS: Final = ("sd_noise_schedule", "enable_quantization", "use_downcasted_alpha_bar")
_OF_ADDED_NOISE: Final = (*_OF_TIMESTEPS, "sgm_noise_multiplier", "s_churn")
_OF_FILLING: Final = ("pad_cond_uncond", "pad_cond_uncond_v0")
_OF_CHUNKS: Final = ("comma_padding_backtrack",)


def ignored_settings(family: Family, *, clip_l_skip: bool = False) -> dict[str, str]:
    """Keys of settings that are ignored with checkpoints of this family, each with the sentence that says so.

    `clip_l_skip` is the setting `sdxl_clip_l_skip`, by which clip skip acts on SDXL too.
    """
    return dict(_ignored(family, clip_l_skip))


def _ignored(family: Family, clip_l_skip: bool) -> Iterator[tuple[str, str]]:
    skips = {facts.clip_skip for facts in family.text_encoders}
    if "always" not in skips:
        if "sdxl_clip_l_skip" not in skips:
            yield "CLIP_stop_at_last_layers", _SAME_LAYER
        elif not clip_l_skip:
            yield "CLIP_stop_at_last_layers", _WITH_CLIP_L_SKIP
    if "sdxl_clip_l_skip" not in skips:
        yield "sdxl_clip_l_skip", _ONE_ENCODER
    if family.denoiser != "unet":
        yield from ((key, _NO_MERGING) for key in _MERGING)
    elif not family.attends_at_full_size:
        yield from ((key, _COARSE) for key in _MERGING)
    if "crop" not in family.added_numbers:
        yield from ((key, _NO_CROP) for key in _CROP)
    if not family.follows_sdxl_settings:
        yield from ((key, _NO_SCORE) for key in _SCORES)
    reads = {facts.reads for facts in family.text_encoders}
    if reads != {"chunks"}:
        yield from ((key, _NO_CHUNKS) for key in _OF_FILLING)
    if "chunks" not in reads:
        yield from ((key, _NO_CHUNKS) for key in _OF_CHUNKS)
    if not family.sees_pictures:
        yield "klein_no_reference", _NOT_SHOWN
    if family.flow is not None:
        yield from ((key, _FLOW) for key in _OF_ADDED_NOISE)
    if family.prediction_type in EDM_TRAINING:
        yield from ((key, _NO_TIMESTEPS) for key in _OF_TIMESTEPS)
