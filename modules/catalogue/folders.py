"""The folders in which model files lie."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from modules.settings import Paths


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolders:
    """Where to look; of several folders all are searched, and the first holds what counts if a name occurs twice."""

    checkpoints: tuple[Path, ...] = ()
    checkpoint_file: Path | None = None
    vaes: tuple[Path, ...] = ()
    text_encoders: tuple[Path, ...] = ()
    loras: tuple[Path, ...] = ()
    embeddings: tuple[Path, ...] = ()
    hypernetworks: tuple[Path, ...] = ()
    controls: tuple[Path, ...] = ()
    clip_vision: tuple[Path, ...] = ()
    annotators: tuple[Path, ...] = ()
    upscalers: tuple[Path, ...] = ()
    gfpgan: Path | None = None
    codeformer: Path | None = None
    detectors: tuple[Path, ...] = ()
    foreign: tuple[Path, ...] = ()
    """Those among them that belong to other programs: nothing is written there."""

    def is_foreign(self, path: Path) -> bool:
        """Whether a file lies in a folder of another program."""
        return any(path.is_relative_to(folder) for folder in self.foreign)

    @classmethod
    def from_paths(cls, paths: Paths) -> Self:
        """The model folders of an installation."""
        return cls(
            checkpoints=paths.checkpoint_dirs,
            checkpoint_file=paths.checkpoint_file,
            vaes=paths.vae_dirs,
            text_encoders=paths.text_encoder_dirs,
            loras=paths.lora_dirs,
            embeddings=paths.embeddings_dirs,
            hypernetworks=paths.hypernetwork_dirs,
            controls=paths.control_dirs,
            clip_vision=paths.clip_vision_dirs,
            annotators=paths.annotator_dirs,
            upscalers=paths.upscaler_dirs,
            gfpgan=paths.gfpgan_dir,
            codeformer=paths.codeformer_dir,
            detectors=paths.detector_dirs,
            foreign=paths.foreign_dirs,
        )
