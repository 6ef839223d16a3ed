"""The text encoder: a small CLIP text model, taught by labels before the diffusion model sees it.

Learning words through the noise of a diffusion loss is slow. Saying at every padding position which objects,
colours and scene a caption names takes a minute or two, and every token then carries all of it to the UNet.
"""

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from training.captions import caption
from training.composition import COLOUR_NAMES, SCENE_NAMES, Composition, random_composition
from training.loop import mixed_precision
from training.tokens import END, LENGTH, UNKNOWN, Tokens
from training.vocabulary import OBJECTS, SHAPES

WIDTH = 128
LAYERS = 3
EMPTY_SHARE = 0.05
UNKNOWN_SHARE = 0.15
ITEM_NAMES = (*(thing.name for thing in OBJECTS), *SHAPES)
HEADS = {"first": ITEM_NAMES, "second": ITEM_NAMES, "first colour": COLOUR_NAMES, "second colour": COLOUR_NAMES,
         "background": COLOUR_NAMES, "scene": SCENE_NAMES}  # fmt: skip


def build_text_encoder(vocabulary: int) -> CLIPTextModel:
    """CLIP's text model at width 128, with SD1's activation and one head per 64 channels."""
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=WIDTH // 64,
        max_position_embeddings=LENGTH,
        hidden_act="quick_gelu",
    )
    return CLIPTextModel(config)


def labels(composition: Composition) -> list[int]:
    """For each head the class that the composition names, 0 for none."""
    first, second = (*composition.items, None, None)[:2]
    values = (
        first and first.name,
        second and second.name,
        first and first.colour,
        second and second.colour,
        composition.background,
        composition.scene,
    )
    return [1 + names.index(value) if value else 0 for names, value in zip(HEADS.values(), values, strict=True)]


class TextModel(nn.Module):
    """The encoder and the heads that teach it; only the encoder is kept."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.encoder = build_text_encoder(vocabulary)
        self.heads = nn.ModuleList(nn.Linear(WIDTH, len(names) + 1) for names in HEADS.values())

    def forward(self, ids: Tensor) -> Tensor:
        """Compact ids [b, 77] to context [b, 77, 128], after the final layer norm."""
        hidden: Tensor = self.encoder(ids).last_hidden_state
        return hidden


def with_unknown_words(ids: Tensor, rng: np.random.Generator) -> Tensor:
    """Put one to three unknown tokens somewhere in the caption, as prompts of real people have them."""
    words = ids.tolist()
    for _ in range(int(rng.integers(1, 4))):
        words.insert(int(rng.integers(1, 14)), UNKNOWN)
    return torch.tensor(words[:LENGTH])


class TextTask:
    """Stage two, for `training.loop`."""

    ends = ("encoder.embeddings", "heads")
    batch = 48

    def __init__(self, tokens: Tokens, device: str) -> None:
        self.tokens, self.device = tokens, device
        self.model = TextModel(tokens.size)
        self.end = int(tokens.lookup[END])

    def _samples(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor]:
        chosen = [Composition(()) if rng.random() < EMPTY_SHARE else random_composition(rng) for _ in range(count)]
        ids = self.tokens.batch([caption(c, rng) if c != Composition(()) else "" for c in chosen])
        for row in range(count):
            if rng.random() < UNKNOWN_SHARE:
                ids[row] = with_unknown_words(ids[row], rng)
        return ids.to(self.device), torch.tensor([labels(c) for c in chosen], device=self.device)

    def _loss(self, ids: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        with mixed_precision(self.device):
            context = self.model(ids)
            logits = [head(context).float() for head in self.model.heads]
        weight = (ids == self.end).float()
        weight = weight / weight.sum()
        total = torch.zeros((), device=self.device)
        right = torch.ones_like(ids, dtype=torch.bool)
        for column, logit in enumerate(logits):
            wanted = target[:, column, None].expand(-1, ids.shape[1])
            total = total + (functional.cross_entropy(logit.mT, wanted, reduction="none") * weight).sum()
            right &= logit.argmax(-1) == wanted
        return total, (right.float() * weight).sum()

    def loss(self, rng: np.random.Generator, progress: float) -> Tensor:
        """Cross-entropy of all heads, averaged over the end token and its repetitions."""
        return self._loss(*self._samples(rng, self.batch))[0]

    def after_step(self, progress: float, leader: bool) -> None:
        """Nothing to keep."""

    @torch.no_grad()
    def report(self) -> str:
        """The share of positions that get every label of unseen captions right."""
        _, right = self._loss(*self._samples(np.random.default_rng(99), 128))
        return f"all labels right {100 * right:.1f} %"

    def state(self) -> dict[str, Tensor]:
        """The encoder and its heads."""
        return self.model.state_dict()

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take the weights of a checkpoint."""
        self.model.load_state_dict(state)
