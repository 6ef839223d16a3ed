"""The construction of Qwen3, a language model that serves as text encoder, read from the shapes of its tensors."""

from dataclasses import dataclass
from typing import Final

from modules.catalogue.tensor_shapes import Shapes
from modules.prompt.qwen import VOCABULARY
from modules.weights.checkpoint_errors import CheckpointError

# Not in the shapes, and the same in all sizes of Qwen3.
_ROPE: Final = {"rope_theta": 1e6, "rope_type": "default"}
_NORM_EPS: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Qwen3Shape:
    """Widths and depth; `projected` is that of a vector of the whole text, which language models have none of."""

    vocabulary: int
    hidden: int
    layers: int
    intermediate: int
    head: int
    heads: int
    key_heads: int
    projected: int | None = None

    def config(self) -> dict[str, object]:
        """Arguments for transformers' `Qwen3Config`."""
        return {
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_heads,
            "head_dim": self.head,
            "rms_norm_eps": _NORM_EPS,
            "rope_parameters": dict(_ROPE),
            "use_cache": False,
        }


def infer_qwen3(shapes: Shapes) -> Qwen3Shape:
    """Read the construction from the shapes, names as in `Qwen3ForCausalLM`.

    Raises:
        CheckpointError: a tensor is absent or of an impossible shape, or words of the vocabulary are missing.
    """
    vocabulary, hidden = _shape(shapes, "model.embed_tokens.weight", 2)
    if vocabulary < VOCABULARY:
        raise CheckpointError(
            f"The text encoder knows {vocabulary} words, and Qwen's vocabulary has {VOCABULARY}: it is another model."
        )
    (head,) = _shape(shapes, "model.layers.0.self_attn.q_norm.weight", 1)
    layers = 0
    while f"model.layers.{layers}.self_attn.q_proj.weight" in shapes:
        layers += 1
    return Qwen3Shape(
        vocabulary=vocabulary,
        hidden=hidden,
        layers=layers,
        intermediate=_shape(shapes, "model.layers.0.mlp.gate_proj.weight", 2)[0],
        head=head,
        heads=_shape(shapes, "model.layers.0.self_attn.q_proj.weight", 2)[0] // head,
        key_heads=_shape(shapes, "model.layers.0.self_attn.k_proj.weight", 2)[0] // head,
    )


def _shape(shapes: Shapes, name: str, rank: int) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None:
        raise CheckpointError(f"The text encoder lacks {name}: the file is incomplete or of another kind than Qwen3.")
    if len(shape) != rank or 0 in shape:
        raise CheckpointError(
            f"The text encoder's {name} has the shape {list(shape)}; {rank} dimensions were expected."
        )
    return shape
