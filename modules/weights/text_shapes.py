"""The construction of a CLIP text encoder in transformers' layout, read from the shapes of its tensors."""

from dataclasses import dataclass

from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.shapes import Shapes


@dataclass(frozen=True, slots=True)
class TextEncoderShape:
    """Widths and depth of a CLIP text encoder; `positions` is the length of a chunk, 77 in every published one."""

    vocabulary: int
    hidden: int
    layers: int
    intermediate: int
    positions: int

    def config(self, heads: int | None = None) -> dict[str, object]:
        """Arguments for transformers' `CLIPTextConfig`. CLIP ViT-L counts 64 channels a head; ids are the last two."""
        return {
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": heads or max(1, self.hidden // 64),
            "max_position_embeddings": self.positions,
            "hidden_act": "quick_gelu",
            "projection_dim": self.hidden,
            "bos_token_id": self.vocabulary - 2,
            "eos_token_id": self.vocabulary - 1,
            "pad_token_id": self.vocabulary - 1,
        }


def infer_text_encoder(shapes: Shapes) -> TextEncoderShape:
    """Read a text encoder's construction from its shapes, names as in `CLIPTextModel` (`embeddings.*`, `encoder.*`).

    Raises:
        CheckpointError: the embeddings or the first layer are absent.
    """
    token = _shape(shapes, "embeddings.token_embedding.weight")
    layers = 0
    while f"encoder.layers.{layers}.mlp.fc1.weight" in shapes:
        layers += 1
    return TextEncoderShape(
        vocabulary=token[0],
        hidden=token[1],
        layers=layers,
        intermediate=_shape(shapes, "encoder.layers.0.mlp.fc1.weight")[0],
        positions=_shape(shapes, "embeddings.position_embedding.weight")[0],
    )


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None:
        raise CheckpointError(f"The text encoder lacks {name}: the file is incomplete or of another kind.")
    if len(shape) != 2 or 0 in shape:
        raise CheckpointError(f"The text encoder's {name} has the shape {list(shape)}; two dimensions were expected.")
    return shape
