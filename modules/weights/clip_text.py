"""The half of a whole CLIP that reads: a text becomes a vector beside those of pictures (`control/image_encoder.py`).

Radford et al. (2021), arXiv:2103.00020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.fill import build_module
from modules.weights.finite import checked
from modules.weights.original_names import TensorSource, openclip_source
from modules.weights.outline import constructed
from modules.weights.tensor_file import open_tensors
from modules.weights.text_shapes import infer_text_encoder
from modules.weights.unet_shapes import required_shape
from modules.weights.weight_buffer import one_thread

_PREFIX: Final = "text_model."
_OPENCLIP: Final = "token_embedding.weight"
# OpenAI's own models, ViT-B and ViT-L, are those with the quick approximation.
_QUICK_WIDTHS: Final = frozenset({512, 768})


@dataclass(frozen=True, slots=True, eq=False)
class TextHalf:
    """A CLIP's reader of texts in memory."""

    path: Path
    module: CLIPTextModelWithProjection

    def encode(self, ids: Sequence[int]) -> Tensor:
        """The vector, (width,), of a text's token ids without marks; what is beyond CLIP's 75 does not count."""
        config = self.module.config
        places, begin, end = config.max_position_embeddings, config.bos_token_id, config.eos_token_id
        assert isinstance(places, int) and isinstance(begin, int) and isinstance(end, int)
        marked = [begin, *ids[: places - 2], end]
        with torch.no_grad():
            made: Tensor = self.module(input_ids=torch.tensor([marked])).text_embeds[0]
        return made


def read_text_half(path: Path, *, dtype: torch.dtype) -> TextHalf:
    """Read it in transformers' or OpenCLIP's naming, into main memory.

    Raises:
        ModelFileError: the file is damaged, unsafe, incomplete, holds NaN or infinity, or holds no such half.
    """
    with one_thread(), open_tensors(path) as opened:
        file = checked(opened)
        original = _OPENCLIP in file.shapes
        if not original and f"{_PREFIX}embeddings.{_OPENCLIP}" not in file.shapes:
            raise CheckpointError(f"{path.name} reads no texts: it has no tensors called {_PREFIX}*.")
        shape = infer_text_encoder(file.below("" if original else _PREFIX), "openclip" if original else "transformers")
        if not original:
            shape = replace(shape, projected=required_shape(file.shapes, "text_projection.weight", 2)[0])
        config = shape.config(activation="quick_gelu" if shape.hidden in _QUICK_WIDTHS else "gelu")

        def make() -> CLIPTextModelWithProjection:
            return CLIPTextModelWithProjection(CLIPTextConfig.from_dict(config))

        def source_of(name: str) -> TensorSource:
            return openclip_source(name.removeprefix(_PREFIX)) if original else TensorSource(name)

        module = build_module(
            lambda: constructed(make, {}, path.name, "CLIP"),
            file,
            source_of,
            part="reader of texts",
            dtype=dtype,
            device=torch.device("cpu"),
        )
    return TextHalf(path, module)
