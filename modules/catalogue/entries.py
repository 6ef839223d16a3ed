"""One model file as lists show it, and the names by which it can be found."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modules.files import FileState


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """A file below a model folder. `name` is its path from there ("sub/cat.safetensors"), "/" on every system."""

    path: Path
    name: str
    state: FileState

    @property
    def stem(self) -> str:
        """The file's name without folder and suffix."""
        return PurePosixPath(self.name).stem


@dataclass(frozen=True, slots=True)
class Training:
    """What a textual inversion says of its training: after which step it was saved, and of which checkpoint."""

    step: int | None = None
    sd_checkpoint: str | None = None
    """The checkpoint's short hash."""
    sd_checkpoint_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingFile(ModelFile):
    """A textual inversion: what prompts call it, and the shapes of its tensors, None where it can't be read."""

    prompt_name: str
    shapes: Mapping[str, tuple[int, ...]] | None
    training: Training = Training()


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint(ModelFile):
    """A checkpoint; hashes are None until the file has been hashed."""

    sha256: str | None
    legacy_hash: str | None
    width: int | None = None
    height: int | None = None
    """Native size in pixels, if the file or its sidecar states one."""

    @property
    def short_hash(self) -> str | None:
        return None if self.sha256 is None else self.sha256[:10]

    @property
    def title(self) -> str:
        """A1111's title, by which options and infotexts refer to it."""
        return self.name if self.sha256 is None else f"{self.name} [{self.sha256[:10]}]"

    @property
    def model_name(self) -> str:
        """The API's `model_name`: the path in one word, without suffix."""
        return str(PurePosixPath(self.name).with_suffix("")).replace("/", "_")

    @property
    def aliases(self) -> tuple[str, ...]:
        """Every text that means exactly this checkpoint, strongest first."""
        names = [self.title, self.name, self.stem, PurePosixPath(self.name).name, self.model_name]
        if self.sha256 is not None:
            short = self.sha256[:10]
            names += [short, self.sha256, f"{self.stem} [{short}]", f"{self.model_name} [{short}]"]
        if self.legacy_hash is not None:
            names += [self.legacy_hash, f"{self.name} [{self.legacy_hash}]"]
        return tuple(dict.fromkeys(names))
