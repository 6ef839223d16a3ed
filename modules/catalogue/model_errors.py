"""What the catalogue refuses, always as one sentence that says what to do."""


class ModelFileError(ValueError):
    """A file is not what its place or name promises; the message is the sentence to show."""


class UnsafePickleError(ModelFileError):
    """A pickle names something that could run code; nothing of it was executed."""


class ModelNotFoundError(LookupError):
    """No file has the requested name; the message is the sentence to show."""
