"""Options about what a job leaves behind: which pictures are saved, in which format and under which name; its grids."""

from __future__ import annotations

from dataclasses import dataclass

from modules.settings.groups import option


@dataclass(frozen=True, slots=True)
class SavedImages:
    """Which pictures are saved or shown beside those that the job makes."""

    incomplete_images: bool = option("save_incomplete_images")
    init_img: bool = option("save_init_img")
    before_highres_fix: bool = option("save_images_before_highres_fix")
    before_face_restoration: bool = option("save_images_before_face_restoration")
    before_color_correction: bool = option("save_images_before_color_correction")
    mask: bool = option("save_mask")
    mask_composite: bool = option("save_mask_composite")
    return_mask: bool = option("return_mask")
    return_mask_composite: bool = option("return_mask_composite")


@dataclass(frozen=True, slots=True)
class GridOptions:
    """Whether a grid is made of a job's pictures, in which arrangement, and its colours.

    `rows` above 0 is the number of rows, 0 one row per picture of a batch, -1 a square.
    """

    save: bool = option("grid_save")
    show: bool = option("return_grid")
    only_if_multiple: bool = option("grid_only_if_multiple")
    prevent_empty_spots: bool = option("grid_prevent_empty_spots")
    rows: int = option("n_rows")
    max_megapixels: int = option("img_max_size_mp")
    background_color: str = option("grid_background_color")
    text_active_color: str = option("grid_text_active_color")
    text_inactive_color: str = option("grid_text_inactive_color")


@dataclass(frozen=True, slots=True)
class ImageFileOptions:
    """In which format pictures are written, and when a smaller JPEG copy is made: above `downscale_threshold`
    megabytes, or with a side longer than `target_side_length` pixels.
    """

    samples_format: str = option("samples_format")
    grid_format: str = option("grid_format")
    jpeg_quality: int = option("jpeg_quality")
    webp_lossless: bool = option("webp_lossless")
    enable_pnginfo: bool = option("enable_pnginfo")
    save_txt: bool = option("save_txt")
    export_for_4chan: bool = option("export_for_4chan")
    downscale_threshold: float = option("img_downscale_threshold")
    target_side_length: int = option("target_side_length")


@dataclass(frozen=True, slots=True)
class InfotextOptions:
    """Which facts the text in a picture names."""

    model_name: bool = option("add_model_name_to_info")
    model_hash: bool = option("add_model_hash_to_info")
    vae_name: bool = option("add_vae_name_to_info")
    vae_hash: bool = option("add_vae_hash_to_info")
    user_name: bool = option("add_user_name_to_info")
    version: bool = option("add_version_to_infotext")
    lora_hashes: bool = option("lora_add_hashes_to_infotext")
    embedding_hashes: bool = option("textual_inversion_add_hashes_to_infotext")


@dataclass(frozen=True, slots=True)
class FileNameOptions:
    """How a job's files and their subfolders are named. Empty patterns stand for A1111's own."""

    samples_filename_pattern: str = option("samples_filename_pattern")
    directories_filename_pattern: str = option("directories_filename_pattern")
    save_to_dirs: bool = option("save_to_dirs")
    grid_save_to_dirs: bool = option("grid_save_to_dirs")
    grid_extended_filename: bool = option("grid_extended_filename")
    add_number: bool = option("save_images_add_number")
    replace_action: str = option("save_images_replace_action")
    max_prompt_words: int = option("directories_max_prompt_words")


@dataclass(frozen=True, slots=True)
class FolderOptions:
    """Where pictures are saved, below the data folder: the server's own, never a request's.

    `samples` and `grids` stand for all kinds of pictures where they are not empty.
    """

    samples: str = option("outdir_samples")
    grids: str = option("outdir_grids")
    txt2img_samples: str = option("outdir_txt2img_samples")
    img2img_samples: str = option("outdir_img2img_samples")
    extras_samples: str = option("outdir_extras_samples")
    txt2img_grids: str = option("outdir_txt2img_grids")
    img2img_grids: str = option("outdir_img2img_grids")
    init_images: str = option("outdir_init_images")
    save: str = option("outdir_save")
    log_to_stdout: bool = option("samples_log_stdout")

    def of(self, mode: str, *, grid: bool = False) -> str:
        """The folder of `txt2img`, `img2img` or `extras` pictures, or of their grids."""
        if grid:
            return self.grids or {"txt2img": self.txt2img_grids, "img2img": self.img2img_grids}[mode]
        own = {"txt2img": self.txt2img_samples, "img2img": self.img2img_samples, "extras": self.extras_samples}
        return self.samples or own[mode]


@dataclass(frozen=True, slots=True)
class ExtrasNameOptions:
    """What the names of Extras' files are made of."""

    original_name: bool = option("use_original_name_batch")
    upscaler_suffix: bool = option("use_upscaler_name_as_suffix")


@dataclass(frozen=True, slots=True)
class SavedCopyOptions:
    """What the Save button does beside copying. Empty patterns stand for A1111's own."""

    write_log: bool = option("save_write_log_csv")
    to_dirs: bool = option("use_save_to_dirs_for_ui")
    zip_filename_pattern: str = option("grid_zip_filename_pattern")
