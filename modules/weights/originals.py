"""Parameters of a loaded model as its file has them, read once more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from modules.catalogue.hints import gather_hints
from modules.weights.fill import as_parameter
from modules.weights.model import Model
from modules.weights.outline import text_encoder_outlines, unet_outline
from modules.weights.tensor_file import open_tensors


def original_parameters(model: Model, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    """(name, values in the file's type) of parameters, named behind "unet." or "text_encoders.0." and so on.

    The values are windows into the file, to be copied before the next one is taken.

    Raises:
        ModelFileError: the file is gone, damaged, or has become another one.
    """
    with open_tensors(model.path) as file:
        hints = gather_hints(model.path, file.metadata)
        encoders = text_encoder_outlines(file, model.family, hints)
        outlines = {"unet.": (model.unet, unet_outline(file, hints)[0])} | {
            f"text_encoders.{index}.": (model.text_encoders[index], outline)
            for index, (outline, _) in enumerate(encoders)
        }
        for name in names:
            prefix = next(prefix for prefix in outlines if name.startswith(prefix))
            module, outline = outlines[prefix]
            own = name.removeprefix(prefix)
            source = outline.source_of(own)
            values = source.taken_from(file.tensor(source.name))
            yield name, as_parameter(values, module.get_parameter(own), source, prefix.rstrip("."))
