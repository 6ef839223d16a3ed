"""What weights/ refuses, always as one sentence that says what to do."""

from modules.catalogue.model_errors import ModelFileError


class CheckpointError(ModelFileError):
    """A checkpoint can't be used: wrong kind, incomplete, or of a family that is not supported."""


class NetworkError(CheckpointError):
    """A network (LoRA and its relatives) can't be used: it has parts that no known kind has, or of wrong shapes."""
