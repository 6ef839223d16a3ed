"""What upscaling refuses, always as one sentence that says what to do."""

from modules.catalogue.model_errors import ModelFileError


class UpscalerError(ModelFileError):
    """An upscaler or face restorer can't be used; the message is the sentence to show."""
