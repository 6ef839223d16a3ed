"""A checkpoint of the second implementation: its texts, its UNet's answers, its pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import Conv2d

from modules.weights.checkpoint import load_checkpoint
from tests.endtoend.oracle_levels import Edm, EdmLevels, discrete_levels, trained_alphas
from tests.endtoend.oracle_terms import PassSettings, Runs, Texts
from tests.reference_tokenizer import reference_tokenizer

START, END, COMMA = 49406, 49407, 267


@dataclass(frozen=True)
class Encoder:
    """How a text encoder is used: what fills a chunk, which hidden state counted from the last, with the last norm."""

    fills: int
    layer: int
    normed: bool
    skips: bool = False


@dataclass(frozen=True)
class Family:
    """What differs between the architectures. `score` says that an aesthetic score goes beside the text; `mean` and
    `std` are those of each channel of the VAE's latents.
    """

    encoders: tuple[Encoder, ...]
    scaling: float = 0.18215
    sized: bool = False
    score: bool = False
    velocity: bool = False
    edm: Edm | None = None
    mean: tuple[float, ...] = (0.0,) * 4
    std: tuple[float, ...] = (1.0,) * 4


CLIP_L, CLIP_G = Encoder(END, 2, normed=False), Encoder(0, 2, normed=False)
FAMILIES = {
    "SD1": Family((Encoder(END, 1, normed=True, skips=True),)),
    "SD2": Family((Encoder(0, 2, normed=True),)),
    "SD2 v": Family((Encoder(0, 2, normed=True),), velocity=True),
    "SDXL": Family((CLIP_L, CLIP_G), 0.13025, sized=True),
    "SDXL v": Family((CLIP_L, CLIP_G), 0.13025, sized=True, velocity=True),
    "SDXL refiner": Family((CLIP_G,), 0.13025, sized=True, score=True),
    "Playground": Family(
        (CLIP_L, CLIP_G),
        0.5,
        sized=True,
        edm=Edm(0.5, 0.002, 80.0, 1.0, 7.0),
        mean=(-1.6574, 1.886, -1.383, 2.5155),
        std=(8.4927, 5.9022, 6.5498, 5.2299),
    ),
    "CosXL": Family((CLIP_L, CLIP_G), 0.13025, sized=True, edm=Edm(1.0, 0.002, 120.0, -1.0, None)),
}


@dataclass(frozen=True)
class Text:
    """Encoded texts: (texts, 77 * chunks, width), and the vectors of the whole texts where there are some."""

    context: Tensor
    pooled: Tensor | None = None

    def row(self, index: int) -> Text:
        return Text(self.context[index][None], None if self.pooled is None else self.pooled[index][None])

    def zeros(self) -> Text:
        return Text(self.context * 0, None if self.pooled is None else self.pooled * 0)


class OracleModel:
    """One checkpoint. `trained` are its noise levels, `alphas` the share of the picture at each of its timesteps,
    `sides` height and width of the picture that a pass is for, in pixels."""

    sides: tuple[int, int] = (0, 0)

    def __init__(self, checkpoint: Path, family: str = "SD1") -> None:
        model = load_checkpoint(checkpoint)
        self.unet, self.vae, self.texts = model.unet, model.vae, model.text_encoders
        self.family = FAMILIES[family]
        self.tokenizer = reference_tokenizer()
        self._mean, self._std = (torch.tensor(each)[:, None, None] for each in (self.family.mean, self.family.std))
        self.trained_with({})

    def trained_with(self, settings: Mapping[str, Any]) -> None:
        """Take the noise levels that these settings leave of the model's."""
        self.alphas = trained_alphas(settings)
        edm = self.family.edm
        self.trained = discrete_levels(self.alphas, settings) if edm is None else EdmLevels(edm)

    @contextmanager
    def joined(self, edges: bool) -> Iterator[None]:
        """While open, pictures go round at their edges if `edges`."""
        convolutions = [m for part in (self.unet, self.vae) for m in part.modules() if isinstance(m, Conv2d)]
        for convolution in convolutions:
            convolution.padding_mode = "circular" if edges else "zeros"
        yield
        for convolution in convolutions:
            convolution.padding_mode = "zeros"

    # Text

    def _chunks(self, runs: Runs, back: int, fills: int) -> list[tuple[list[int], list[float]]]:
        done: list[tuple[list[int], list[float]]] = []
        tokens: list[int] = []
        weights: list[float] = []

        def close() -> None:
            missing = 75 - len(tokens)
            done.append(([START, *tokens, END, *[fills] * missing], [1.0, *weights, *[1.0] * (missing + 1)]))
            tokens.clear()
            weights.clear()

        for text, weight in runs:
            if (text, weight) == ("BREAK", -1):
                close()
                continue
            for token in self.tokenizer(text, add_special_tokens=False)["input_ids"]:
                if len(tokens) == 75:
                    comma = max((i for i, t in enumerate(tokens) if t == COMMA), default=-1)
                    moved = tokens[comma + 1 :] if token != COMMA and comma >= 75 - back and back else []
                    moved_weights = weights[75 - len(moved) :] if moved else []
                    del tokens[75 - len(moved) :], weights[75 - len(moved) :]
                    close()
                    tokens += moved
                    weights += moved_weights
                tokens.append(token)
                weights.append(weight)
        if tokens or not done:
            close()
        return done

    def encoded_texts(self, texts: Sequence[Runs], spec: PassSettings) -> Text:
        """All texts of one schedule together, by every encoder."""
        made = [self._by(*each, texts, spec) for each in zip(self.texts, self.family.encoders, strict=True)]
        return Text(torch.cat([context for context, _ in made], -1), made[-1][1] if self.family.sized else None)

    def _by(
        self, model: Any, encoder: Encoder, texts: Sequence[Runs], spec: PassSettings
    ) -> tuple[Tensor, Tensor | None]:
        skip = spec.setting("CLIP_stop_at_last_layers", 1) if encoder.skips else encoder.layer
        back = spec.setting("comma_padding_backtrack", 20)
        chunked = [self._chunks(runs, back, encoder.fills) for runs in texts]
        empty = self._chunks([("", 1.0)], back, encoder.fills)[0]
        clip = getattr(model, "text_model", model)
        pooled = None
        columns = []
        for index in range(max(map(len, chunked))):
            column = [chunks[index] if index < len(chunks) else empty for chunks in chunked]
            output = model(torch.tensor([ids for ids, _ in column]), output_hidden_states=True)
            hidden = output.hidden_states[-skip]
            hidden = clip.final_layer_norm(hidden) if encoder.normed else hidden
            pooled = getattr(output, "text_embeds", None) if pooled is None else pooled
            weighted = hidden * torch.tensor([weights for _, weights in column])[:, :, None]
            mode = spec.setting("emphasis", "Original")
            weighted = weighted * (hidden.mean() / weighted.mean()) if mode == "Original" else weighted
            columns.append(hidden if mode == "Ignore" else weighted)
        return torch.cat(columns, 1), pooled

    def schedule(self, texts: Texts, spec: PassSettings, *, negative: bool = False) -> Callable[[int], Text]:
        encoded = self.encoded_texts([runs for _, runs in texts], spec)
        if negative and self.family.sized and all(runs in ([], [("", 1.0)]) for _, runs in texts):
            encoded = encoded.zeros()
        lasts = [last for last, _ in texts]

        def at(call: int) -> Text:
            return encoded.row(next((i for i, last in enumerate(lasts) if call <= last), 0))

        return at

    # Answers

    def denoised(self, x: Tensor, sigma: Tensor, context: Tensor, text: Text, score: float) -> Tensor:
        """The picture without its noise."""
        edm = self.family.edm
        data = 1.0 if edm is None else edm.data
        unit = (sigma**2 + data**2) ** 0.5
        time = self.trained.sigma_to_t(sigma[None]) if edm is None else sigma.log() / 4
        found = self._answer(x / unit, time, context, text, score)
        if edm is None and not self.family.velocity:
            return x - sigma * found
        return x * (data / unit) ** 2 + (-1.0 if edm is None else edm.sign) * found * sigma * data / unit

    def noise(self, x: Tensor, time: Tensor, context: Tensor, text: Text, score: float) -> Tensor:
        """The noise in it at a whole timestep."""
        alpha = self.alphas.float()[int(time)]
        found = self._answer(x, time, context, text, score)
        return found * alpha.sqrt() + x * (1 - alpha).sqrt() if self.family.velocity else found

    def _answer(self, x: Tensor, time: Tensor, context: Tensor, text: Text, score: float) -> Tensor:
        beside = self._beside(text, score)
        found: Tensor = self.unet(
            x, time.reshape(1).float(), encoder_hidden_states=context, added_cond_kwargs=beside
        ).sample
        return found

    def _beside(self, text: Text, score: float) -> dict[str, Tensor] | None:
        """What goes beside the text: its vector, height, width, crop, and the height and width again or a score."""
        if not self.family.sized or text.pooled is None:
            return None
        sides = [float(side) for side in self.sides]
        numbers = [*sides, 0.0, 0.0, *([score] if self.family.score else sides)]
        return {"text_embeds": text.pooled, "time_ids": torch.tensor([numbers])}

    # Pixels

    def decoded(self, latent: Tensor) -> Image.Image:
        of_vae = latent * self._std / self.family.scaling + self._mean
        picture = (self.vae.decode(of_vae).sample[0] + 1) / 2
        return Image.fromarray((255.0 * picture.clamp(0, 1).permute(1, 2, 0).numpy()).astype(np.uint8))

    def encoded(self, image: Image.Image, drawn: Tensor | None = None) -> Tensor:
        pixels = torch.from_numpy(np.array(image.convert("RGB")).astype(np.float32) / 255).permute(2, 0, 1)[None]
        posterior = self.vae.encode(pixels * 2 - 1).latent_dist
        of_vae = posterior.mean if drawn is None else posterior.mean + posterior.std * drawn
        return cast(Tensor, (of_vae - self._mean) / self._std * self.family.scaling)
