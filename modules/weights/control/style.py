"""T2I-Adapters for style: a picture as eight more tokens of the prompt. Mou et al. (2023), arXiv:2302.08453.

The layers are those of TencentARC's t2iadapter_style_sd14v1.pth (Apache-2.0), its spelling included.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from modules.catalogue.tensor_shapes import Shapes
from modules.weights.original_names import TensorSource
from modules.weights.outline import Outline
from modules.weights.tensor_file import TensorFile
from modules.weights.unet_shapes import required_shape

_HEADS: Final = 8
_MOST_LAYERS: Final = 64


class _StyleMlp(nn.Module):
    def __init__(self, width: int, inside: int) -> None:
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(width, inside), nn.Linear(inside, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.c_fc(x)
        made: Tensor = self.c_proj(x * torch.sigmoid(1.702 * x))
        return made


class _StyleLayer(nn.Module):
    def __init__(self, width: int, inside: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, _HEADS, batch_first=True)
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = _StyleMlp(width, inside)

    def forward(self, x: Tensor) -> Tensor:
        own = self.ln_1(x)
        x = x + self.attn(own, own, own, need_weights=False)[0]
        made: Tensor = x + self.mlp(self.ln_2(x))
        return made


class StyleAdapter(nn.Module):
    """From a CLIP's states of all places of pictures, (pictures, places, width), to tokens, (pictures, tokens,
    channels of the text).
    """

    def __init__(self, *, width: int, inside: int, layers: int, tokens: int, text: int) -> None:
        super().__init__()
        self.style_embedding = nn.Parameter(torch.empty(1, tokens, width))
        self.transformer_layes = nn.Sequential(*(_StyleLayer(width, inside) for _ in range(layers)))
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, text))

    @property
    def width(self) -> int:
        """How wide the states have to be."""
        return self.proj.shape[0]

    @property
    def text_width(self) -> int:
        """Channels of the text that its tokens stand in."""
        return self.proj.shape[1]

    def forward(self, states: Tensor) -> Tensor:
        own = self.style_embedding.expand(states.shape[0], -1, -1)
        x = self.transformer_layes(self.ln_pre(torch.cat([states, own], dim=1)))
        made: Tensor = self.ln_post(x[:, -own.shape[1] :]) @ self.proj
        return made


def style_outline(file: TensorFile) -> Outline[StyleAdapter]:
    """The style adapter of a file. Raises CheckpointError where its shapes make none."""
    shapes: Shapes = file.shapes
    _, tokens, width = required_shape(shapes, "style_embedding", 3)
    text = required_shape(shapes, "proj", 2)[1]
    inside = required_shape(shapes, "transformer_layes.0.mlp.c_fc.weight", 2)[0]
    layers = next(number for number in range(_MOST_LAYERS) if f"transformer_layes.{number}.ln_1.weight" not in shapes)
    return Outline(
        lambda: StyleAdapter(width=width, inside=inside, layers=layers, tokens=tokens, text=text), TensorSource
    )
