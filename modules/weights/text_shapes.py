"""The construction of a CLIP text encoder, read from the shapes of its tensors in either layout."""

from dataclasses import dataclass
from typing import Final, Literal

from modules.catalogue.tensor_shapes import Shapes
from modules.families import TOKEN_EMBEDDING, TextLayout
from modules.weights.checkpoint_errors import CheckpointError


@dataclass(frozen=True, slots=True)
class _TensorNames:
    """What the tensors are called that tell a text encoder's widths; `layer` is counted."""

    positions: str
    layer: str


_NAMES: Final[dict[TextLayout, _TensorNames]] = {
    "transformers": _TensorNames("embeddings.position_embedding.weight", "encoder.layers.{}.mlp.fc1.weight"),
    "openclip": _TensorNames("positional_embedding", "transformer.resblocks.{}.mlp.c_fc.weight"),
}


@dataclass(frozen=True, slots=True)
class TextEncoderShape:
    """Widths and depth of a CLIP text encoder; `positions` is the length of a chunk, 77 in every published one.

    `projected` is the width of the vector of the whole text, None without one.
    """

    vocabulary: int
    hidden: int
    layers: int
    intermediate: int
    positions: int
    projected: int | None = None

    def config(
        self, heads: int | None = None, activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    ) -> dict[str, object]:
        """Arguments for transformers' `CLIPTextConfig`. CLIP counts 64 channels a head; marks are the last two ids."""
        return {
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": heads or max(1, self.hidden // 64),
            "max_position_embeddings": self.positions,
            "hidden_act": activation,
            "projection_dim": self.projected or self.hidden,
            "bos_token_id": self.vocabulary - 2,
            "eos_token_id": self.vocabulary - 1,
            "pad_token_id": self.vocabulary - 1,
        }


def infer_text_encoder(shapes: Shapes, layout: TextLayout = "transformers") -> TextEncoderShape:
    """Read a text encoder's construction from its shapes, names without what stands before them in a checkpoint.

    Raises:
        CheckpointError: the embeddings or the first layer are absent.
    """
    names = _NAMES[layout]
    token = _shape(shapes, TOKEN_EMBEDDING[layout])
    layers = 0
    while names.layer.format(layers) in shapes:
        layers += 1
    projection = shapes.get("text_projection")
    return TextEncoderShape(
        vocabulary=token[0],
        hidden=token[1],
        layers=layers,
        intermediate=_shape(shapes, names.layer.format(0))[0],
        positions=_shape(shapes, names.positions)[0],
        projected=projection[1] if projection is not None and len(projection) == 2 else None,
    )


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None:
        raise CheckpointError(f"The text encoder lacks {name}: the file is incomplete or of another kind.")
    if len(shape) != 2 or 0 in shape:
        raise CheckpointError(f"The text encoder's {name} has the shape {list(shape)}; two dimensions were expected.")
    return shape
