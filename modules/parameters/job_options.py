"""The options that a job was queued with, as typed groups: what makes its pictures, and how it shows and saves them.

Each group is what one concern of the engine needs. `JobOptions.of(resolved.options)` reads them all; the keys and the
defaults are those of `modules.settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Self, get_type_hints

from modules.parameters.output_options import GridOptions, ImageFileOptions, InfotextOptions, SavedImages
from modules.parameters.sampler_options import SamplerOptions
from modules.settings.choices import Emphasis, PreviewContent, RefinerPass
from modules.settings.groups import option, read_options


@dataclass(frozen=True, slots=True)
class EncodingOptions:
    """How text becomes conditioning. `clip_skip` counts the text encoder's layers from its last, which is 1;
    SDXL's first encoder follows it only with `sdxl_clip_l_skip`.
    """

    emphasis: Emphasis = option("emphasis")
    clip_skip: int = option("CLIP_stop_at_last_layers")
    comma_padding_backtrack: int = option("comma_padding_backtrack")
    old_emphasis: bool = option("use_old_emphasis_implementation")
    sdxl_clip_l_skip: bool = option("sdxl_clip_l_skip")


@dataclass(frozen=True, slots=True)
class AddedOptions:
    """Numbers that SDXL takes beside its text: the corner of its crop in pixels, and the refiner's aesthetic scores."""

    crop_top: int = option("sdxl_crop_top")
    crop_left: int = option("sdxl_crop_left")
    low_score: float = option("sdxl_refiner_low_aesthetic_score")
    high_score: float = option("sdxl_refiner_high_aesthetic_score")


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """How a job's prompts are scheduled, and whether their encodings are cached between jobs."""

    use_old_scheduling: bool = option("use_old_scheduling")
    persistent_cond_cache: bool = option("persistent_cond_cache")
    hires_with_first_networks: bool = option("hires_fix_use_firstpass_conds")


@dataclass(frozen=True, slots=True)
class TokenMergingOptions:
    """Which share of the tokens is merged in self-attention; 0 merges none. A1111's order of preference."""

    ratio: float = option("token_merging_ratio")
    img2img: float = option("token_merging_ratio_img2img")
    hires: float = option("token_merging_ratio_hr")

    def first_pass(self, mode: str) -> float:
        """The ratio of the first or only pass: in img2img its own one, where that is not 0."""
        return (mode == "img2img" and self.img2img) or self.ratio

    @property
    def hires_pass(self) -> float:
        """The ratio of a hires pass: its own one, and where that is 0 the first pass's of txt2img."""
        return self.hires or self.ratio


@dataclass(frozen=True, slots=True)
class RefinerOptions:
    """In which of two passes the refiner works, and whether it starts at a share of the model calls."""

    hires_pass: RefinerPass = option("hires_fix_refiner_pass")
    by_sample_steps: bool = option("refiner_switch_by_sample_steps")

    def works_in(self, *, hires: bool, two_passes: bool) -> bool:
        """Whether the refiner works in a pass, the hires pass (`hires`) or the first one, of two or of one."""
        return not two_passes or self.hires_pass in ("both passes", "second pass" if hires else "first pass")


@dataclass(frozen=True, slots=True)
class IntakeOptions:
    """How a request is read before it becomes a job."""

    enable_prompt_comments: bool = option("enable_prompt_comments")
    use_old_hires_fix_width_height: bool = option("use_old_hires_fix_width_height")
    lora: str = option("sd_lora")
    hypernetwork: str = option("sd_hypernetwork")
    network_multiplier: float = option("extra_networks_default_multiplier")


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """How extra networks are applied."""

    functional: bool = option("lora_functional")
    in_memory_limit: int = option("lora_in_memory_limit")
    bundled_in_infotext: bool = option("lora_bundled_ti_to_infotext")
    block_presets: tuple[str, ...] = option("lora_block_weight_presets")


@dataclass(frozen=True, slots=True)
class RequestDefaults:
    """What applies where a request leaves a switch open."""

    tiling: bool = option("tiling")
    restore_faces: bool = option("face_restoration")


@dataclass(frozen=True, slots=True)
class Img2imgOptions:
    """How a pass over a picture begins, and how its result is finished.

    `mask_weight`: how much of the picture an inpainting checkpoint is not shown under the mask, 0 nothing, 1 all of it.
    `upscaler` brings pictures to the size of the pass; "" is plain resampling. `hides_picture` says that models which
    take pictures to edit beside the noisy one are not shown it.
    """

    background_color: str = option("img2img_background_color")
    upscaler: str = option("upscaler_for_img2img")
    noise_multiplier: float = option("initial_noise_multiplier")
    mask_weight: float = option("inpainting_mask_weight")
    hides_picture: bool = option("klein_no_reference")
    color_correction: bool = option("img2img_color_correction")
    overlay_inpaint: bool = option("overlay_inpaint")


@dataclass(frozen=True, slots=True)
class FaceRestorationOptions:
    """Which face restorer works, how strongly, and whether it leaves memory after each use."""

    model: str = option("face_restoration_model")
    code_former_weight: float = option("code_former_weight")
    unload: bool = option("face_restoration_unload")


@dataclass(frozen=True, slots=True)
class VaeOptions:
    """What encodes and decodes pictures, and in which number types a picture that came out as NaN is tried again."""

    encode_method: str = option("sd_vae_encode_method")
    decode_method: str = option("sd_vae_decode_method")
    auto_precision: bool = option("auto_vae_precision")
    auto_precision_bfloat16: bool = option("auto_vae_precision_bfloat16")


@dataclass(frozen=True, slots=True)
class PreviewOptions:
    """Whether and how pictures are shown while they form. `refresh_period` is in milliseconds.

    `every_n_steps` -1 shows finished pictures only. With `fast_interrupt` an interrupted picture is decoded as previews
    are.
    """

    enabled: bool = option("live_previews_enable")
    method: str = option("show_progress_type")
    content: PreviewContent = option("live_preview_content")
    whole_batch: bool = option("show_progress_grid")
    every_n_steps: int = option("show_progress_every_n_steps")
    refresh_period: int = option("live_preview_refresh_period")
    image_format: str = option("live_previews_image_format")
    full_in_low_memory: bool = option("live_preview_allow_lowvram_full")
    fast_interrupt: bool = option("live_preview_fast_interrupt")


@dataclass(frozen=True, slots=True)
class UpscalingOptions:
    """Tiles of the upscalers in pixels, 0 meaning the whole picture at once, and how many results are cached."""

    esrgan_tile: int = option("ESRGAN_tile")
    esrgan_tile_overlap: int = option("ESRGAN_tile_overlap")
    dat_tile: int = option("DAT_tile")
    dat_tile_overlap: int = option("DAT_tile_overlap")
    max_images_in_cache: int = option("upscaling_max_images_in_cache")


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """How many control models stay in memory, and what becomes of the maps that units made of their pictures.

    `inpaint_blur` is over how many pixels what inpaint_only painted fades out.
    """

    model_cache_size: int = option("control_net_model_cache_size")
    no_detectmap: bool = option("control_net_no_detectmap")
    saves_maps: bool = option("control_net_detectmap_autosaving")
    inpaint_blur: int = option("control_net_inpaint_blur_sigma")


@dataclass(frozen=True, slots=True)
class DetailOptions:
    """How the detail pass works, in ADetailer's settings.

    `extra_models_dir` are more folders with detectors, parted by "|"; `script_names` are the files of scripts without
    their suffix, parted by commas.
    """

    max_models: int = option("ad_max_models")
    extra_models_dir: str = option("ad_extra_models_dir")
    save_previews: bool = option("ad_save_previews")
    save_images_before: bool = option("ad_save_images_before")
    only_selected_scripts: bool = option("ad_only_selected_scripts")
    script_names: str = option("ad_script_names")
    sort_by: str = option("ad_bbox_sortby")
    same_seed: bool = option("ad_same_seed_for_each_tab")
    dynamic_denoise_power: float = option("ad_dynamic_denoise_power")
    match_size: str = option("ad_match_inpaint_bbox_size")


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """How often memory is read while a job runs, in readings per second; 0: never."""

    memmon_poll_rate: int = option("memmon_poll_rate")


@dataclass(frozen=True, slots=True)
class JobOptions:
    """Every group that the making of a job's pictures reads."""

    sampling: SamplerOptions
    encoding: EncodingOptions
    added: AddedOptions
    prompts: PromptOptions
    token_merging: TokenMergingOptions
    networks: NetworkOptions
    refiner: RefinerOptions
    defaults: RequestDefaults
    img2img: Img2imgOptions
    faces: FaceRestorationOptions
    vae: VaeOptions
    previews: PreviewOptions
    upscaling: UpscalingOptions
    saved: SavedImages
    grids: GridOptions
    files: ImageFileOptions
    infotext: InfotextOptions
    detail: DetailOptions
    monitor: MonitorOptions
    control: ControlOptions

    @classmethod
    def of(cls, options: Mapping[str, object]) -> Self:
        """All groups out of a mapping of options. Raises OptionError."""
        return cls(**{name: read_options(group, options) for name, group in job_option_groups().items()})


@cache
def job_option_groups() -> dict[str, type[Any]]:
    """The type of each group of `JobOptions`, by the name of its field."""
    types = get_type_hints(JobOptions)
    return {one.name: types[one.name] for one in fields(JobOptions)}
