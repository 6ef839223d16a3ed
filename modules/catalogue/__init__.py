"""What lies on disk: checkpoints, VAEs, networks and upscalers, with their titles, headers, metadata and hashes."""

from modules.catalogue.architecture import Architecture, fits_encoders
from modules.catalogue.catalogue import Catalogue
from modules.catalogue.entries import Checkpoint, ModelFile
from modules.catalogue.folders import ModelFolders
from modules.catalogue.hashes import HashCache, legacy_hash_of, network_hash_of, sha256_of
from modules.catalogue.hashing import BackgroundHashing
from modules.catalogue.hints import ModelHints, gather_hints, read_sidecar
from modules.catalogue.kinds import Container, ModelKind, classify_tensors, sniff_container
from modules.catalogue.model_errors import ModelFileError, ModelNotFoundError
from modules.catalogue.safetensors_header import (
    SafetensorsHeader,
    TensorEntry,
    read_safetensors_header,
    read_safetensors_metadata,
)
from modules.files import FileState

__all__ = [
    "Architecture",
    "BackgroundHashing",
    "Catalogue",
    "Checkpoint",
    "Container",
    "FileState",
    "HashCache",
    "ModelFile",
    "ModelFileError",
    "ModelFolders",
    "ModelHints",
    "ModelKind",
    "ModelNotFoundError",
    "SafetensorsHeader",
    "TensorEntry",
    "classify_tensors",
    "fits_encoders",
    "gather_hints",
    "legacy_hash_of",
    "network_hash_of",
    "read_safetensors_header",
    "read_safetensors_metadata",
    "read_sidecar",
    "sha256_of",
    "sniff_container",
]
