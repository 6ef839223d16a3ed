"""Parameters of a loaded model as its file has them, read once more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from torch import Tensor

from modules.catalogue.hints import gather_hints
from modules.weights.fill import as_parameter
from modules.weights.model import Model
from modules.weights.outline import denoiser_outline, text_encoder_parts
from modules.weights.scaled_weights import with_scales
from modules.weights.tensor_file import open_tensors


def original_parameters(model: Model, names: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
    """(name, values in the file's type) of parameters, named behind "unet." or "text_encoders.0." and so on.

    The values are windows into the file, to be copied before the next one is taken.

    Raises:
        ModelFileError: the file is gone, damaged, or has become another one.
    """
    with ExitStack() as files:
        file = with_scales(files.enter_context(open_tensors(model.path)))
        hints = gather_hints(model.path, file.metadata)
        apart = [with_scales(files.enter_context(open_tensors(path))) for path in model.text_paths if path is not None]
        parts = text_encoder_parts(file, apart, model.family, hints)
        places = {"unet.": (model.unet, denoiser_outline(file, model.family, hints)[0], file)} | {
            f"text_encoders.{index}.": (model.text_encoders[index], part.outline, part.file)
            for index, part in enumerate(parts)
        }
        for name in names:
            prefix = next(prefix for prefix in places if name.startswith(prefix))
            module, outline, holder = places[prefix]
            own = name.removeprefix(prefix)
            source = outline.source_of(own)
            values = source.taken_from(holder.tensor(source.name))
            yield name, as_parameter(values, module.get_parameter(own), source, prefix.rstrip("."))
