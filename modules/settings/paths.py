"""Where everything lies on disk, decided once from the flags."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from modules.settings.flags import Flags
from modules.settings.other_programs import FolderKind, OtherProgramError, other_program

REPOSITORY = Path(__file__).resolve().parents[2]

CHECKPOINT_FOLDERS = ("Stable-Diffusion", "Stable-diffusion")
# Extensions of A1111 that brought wildcards along: an installation's own lie there.
_EXTENSIONS = ("sd-dynamic-prompts", "sd-webui-wildcards", "stable-diffusion-webui-wildcards")
UPSCALER_FOLDERS = ("ESRGAN", "RealESRGAN", "BSRGAN", "DAT", "ScuNET", "SwinIR", "HAT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Absolute paths of one installation. Of several folders, new files go into the first; all are searched."""

    root: Path
    data_dir: Path
    models_dir: Path
    checkpoint_dirs: tuple[Path, ...]
    checkpoint_file: Path | None
    vae_dirs: tuple[Path, ...]
    text_encoder_dirs: tuple[Path, ...]
    vae_file: Path | None
    lora_dirs: tuple[Path, ...]
    embeddings_dirs: tuple[Path, ...]
    hypernetwork_dirs: tuple[Path, ...]
    control_dirs: tuple[Path, ...]
    clip_vision_dirs: tuple[Path, ...]
    annotator_dirs: tuple[Path, ...]
    detector_dirs: tuple[Path, ...]
    upscaler_dirs: tuple[Path, ...]
    gfpgan_dir: Path
    codeformer_dir: Path
    vae_approx_dir: Path
    outputs_dir: Path
    config_file: Path
    ui_config_file: Path
    styles_files: tuple[str, ...]
    wildcard_dirs: tuple[Path, ...]
    params_file: Path
    user_css: Path
    localizations_dirs: tuple[Path, ...]
    cache_dir: Path
    log_dir: Path
    tmp_dir: Path
    database: Path
    gallery_index: Path
    gallery_marks: Path
    foreign_dirs: tuple[Path, ...]
    """Folders of other programs among those above: nothing is written there."""

    @classmethod
    def from_flags(cls, flags: Flags, root: Path = REPOSITORY) -> "Paths":
        """The layout that `flags` describe; `root` is the folder that holds webui.py. Creates nothing."""
        data = (flags.data_dir or root).absolute()
        models = (flags.models_dir or data / "models").absolute()
        others = _other_folders(flags)
        return cls(
            root=root,
            data_dir=data,
            models_dir=models,
            checkpoint_dirs=_checkpoint_dirs(flags, models, root, others["checkpoints"]),
            checkpoint_file=_absolute(flags.ckpt),
            vae_dirs=distinct([models / "VAE", *_given(flags.vae_dir), models / "vae", *others["vaes"]]),
            # Forge's folder, then ComfyUI's.
            text_encoder_dirs=distinct(
                [*(models / name for name in ("text_encoder", "text_encoders", "clip")), *others["text_encoders"]]
            ),
            vae_file=_absolute(flags.vae_path),
            lora_dirs=distinct(
                [
                    flags.lora_dir or models / "Lora",
                    flags.lyco_dir_backcompat or models / "LyCORIS",
                    *others["loras"],
                ]
            ),
            embeddings_dirs=distinct([flags.embeddings_dir or data / "embeddings", *others["embeddings"]]),
            hypernetwork_dirs=distinct([flags.hypernetwork_dir or models / "hypernetworks", *others["hypernetworks"]]),
            control_dirs=distinct([models / "ControlNet", *_given(flags.controlnet_dir), *others["controls"]]),
            clip_vision_dirs=distinct([models / "clip_vision", *others["clip_vision"]]),
            # Forge's folder, and where A1111's extension has its downloads.
            annotator_dirs=distinct(
                [
                    models / "ControlNetPreprocessor",
                    models.parent / "extensions" / "sd-webui-controlnet" / "annotator" / "downloads",
                    *others["annotators"],
                ]
            ),
            detector_dirs=distinct([models / "adetailer", *others["detectors"]]),
            upscaler_dirs=_upscaler_dirs(flags, models, others["upscalers"]),
            gfpgan_dir=(flags.gfpgan_models_path or models / "GFPGAN").absolute(),
            codeformer_dir=(flags.codeformer_models_path or models / "Codeformer").absolute(),
            vae_approx_dir=models / "VAE-approx",
            outputs_dir=data / "outputs",
            config_file=(flags.ui_settings_file or data / "config.json").absolute(),
            ui_config_file=(flags.ui_config_file or data / "ui-config.json").absolute(),
            styles_files=flags.styles_file or (str(data / "styles.csv"),),
            wildcard_dirs=distinct(
                [data / "wildcards", *(data / "extensions" / name / "wildcards" for name in _EXTENSIONS)]
            ),
            params_file=data / "params.txt",
            user_css=data / "user.css",
            localizations_dirs=distinct(
                [*_given(flags.localizations_dir), data / "localizations", root / "localizations"]
            ),
            cache_dir=data / "cache",
            log_dir=data / "log",
            tmp_dir=data / "tmp",
            database=data / "webui.db",
            gallery_index=data / "gallery-index.db",
            gallery_marks=data / "gallery-marks.db",
            foreign_dirs=distinct(path for paths in others.values() for path in paths),
        )


def make_checkpoint_folder(paths: Paths) -> Path:
    """The folder for checkpoints that the page names, made where it is missing and can be made."""
    folder = paths.checkpoint_dirs[0]
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def distinct(candidates: Iterable[Path]) -> tuple[Path, ...]:
    """Absolute paths in the given order, each folder once, however it is spelled or linked."""
    folders: dict[tuple[int, int] | str, Path] = {}
    for candidate in candidates:
        folders.setdefault(_identity(candidate), candidate.absolute())
    return tuple(folders.values())


def _checkpoint_dirs(flags: Flags, models: Path, root: Path, others: Iterable[Path]) -> tuple[Path, ...]:
    spellings = [models / name for name in CHECKPOINT_FOLDERS]
    # An existing folder comes first, so that new files join the ones of an A1111 installation.
    spellings.sort(key=lambda folder: not folder.is_dir())
    shipped = [root / "models" / name for name in CHECKPOINT_FOLDERS if (root / "models" / name).is_dir()]
    # Where ComfyUI has what is no whole checkpoint.
    apart = [models / name for name in ("diffusion_models", "unet")]
    return distinct([*spellings, *_given(flags.ckpt_dir), *apart, *others, *shipped])


def _upscaler_dirs(flags: Flags, models: Path, others: Iterable[Path]) -> tuple[Path, ...]:
    given = {
        "ESRGAN": flags.esrgan_models_path,
        "RealESRGAN": flags.realesrgan_models_path,
        "BSRGAN": flags.bsrgan_models_path,
        "DAT": flags.dat_models_path,
        "ScuNET": flags.scunet_models_path,
        "SwinIR": flags.swinir_models_path,
    }
    return distinct([*(given.get(name) or models / name for name in UPSCALER_FOLDERS), *others])


def _other_folders(flags: Flags) -> dict[FolderKind, list[Path]]:
    """The folders of other programs by kind. One that is not there just now has none."""
    found: dict[FolderKind, list[Path]] = {kind: [] for kind in get_args(FolderKind)}
    for folder in flags.other_models:
        with suppress(OtherProgramError):
            for kind, paths in other_program(Path(folder)).models.items():
                found[kind] += paths
    return found


def _identity(folder: Path) -> tuple[int, int] | str:
    # "Stable-Diffusion" and "Stable-diffusion" are one folder on Windows and macOS and two on Linux: look at the disk.
    try:
        status = folder.stat()
    except OSError:
        return str(folder.absolute())
    return (status.st_dev, status.st_ino)


def _given(folder: Path | None) -> list[Path]:
    return [] if folder is None else [folder]


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()
