"""The construction of T5's encoder (v1.1), read from the shapes of its tensors, and where these lie in its files."""

from dataclasses import dataclass
from typing import Final

from modules.catalogue.tensor_shapes import Shapes
from modules.prompt.t5 import VOCABULARY
from modules.weights.checkpoint_errors import CheckpointError
from modules.weights.original_names import TensorSource

# Not in the shapes, and the same in all sizes of T5 v1.1.
_DISTANCES: Final = 128
_NORM_EPS: Final = 1e-6
_LAYER: Final = "encoder.block.{}.layer.0.SelfAttention.q.weight"


@dataclass(frozen=True, slots=True)
class T5Shape:
    """Widths and depth; `projected` is that of a vector of the whole text, which T5 has none of."""

    vocabulary: int
    hidden: int
    layers: int
    intermediate: int
    head: int
    heads: int
    buckets: int
    projected: int | None = None

    def config(self) -> dict[str, object]:
        """Arguments for transformers' `T5Config`."""
        return {
            "vocab_size": self.vocabulary,
            "d_model": self.hidden,
            "d_kv": self.head,
            "d_ff": self.intermediate,
            "num_layers": self.layers,
            "num_heads": self.heads,
            "relative_attention_num_buckets": self.buckets,
            "relative_attention_max_distance": _DISTANCES,
            "layer_norm_epsilon": _NORM_EPS,
            "feed_forward_proj": "gated-gelu",
            "is_encoder_decoder": False,
            "use_cache": False,
        }


def infer_t5(shapes: Shapes) -> T5Shape:
    """Read the construction from the shapes, names as in `T5EncoderModel`.

    Raises:
        CheckpointError: a tensor is absent or of an impossible shape, or words of the vocabulary are missing.
    """
    vocabulary, hidden = _shape(shapes, "shared.weight")
    if not VOCABULARY <= vocabulary < 2 * VOCABULARY:
        raise CheckpointError(
            f"The text encoder knows {vocabulary} words, and T5's vocabulary has {VOCABULARY}: it is another model."
        )
    attention = _shape(shapes, _LAYER.format(0))[0]
    buckets, heads = _shape(shapes, "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight")
    if attention % heads:
        raise CheckpointError(f"The text encoder has {attention} channels in {heads} heads, which T5 has not.")
    layers = 0
    while _LAYER.format(layers) in shapes:
        layers += 1
    return T5Shape(
        vocabulary=vocabulary,
        hidden=hidden,
        layers=layers,
        intermediate=_shape(shapes, "encoder.block.0.layer.1.DenseReluDense.wi_0.weight")[0],
        head=attention // heads,
        heads=heads,
        buckets=buckets,
    )


def t5_source(name: str) -> TensorSource:
    """Where a parameter of transformers' `T5Stack` is found; the words lie beside it, shared with a decoder."""
    return TensorSource("shared.weight" if name == "embed_tokens.weight" else f"encoder.{name}")


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    shape = shapes.get(name)
    if shape is None:
        raise CheckpointError(f"The text encoder lacks {name}: the file is incomplete or of another kind than T5.")
    if len(shape) != 2 or 0 in shape:
        raise CheckpointError(f"The text encoder's {name} has the shape {list(shape)}; two dimensions were expected.")
    return shape
