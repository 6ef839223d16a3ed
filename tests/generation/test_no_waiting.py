"""A pass with a real UNet waits for the device once, when it is over; a decode only where its picture is needed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from torch import Tensor, nn

from modules.features.alternative_test.run import found_noise
from modules.features.soft_inpainting.run import SoftInpainting
from modules.generation.codec import Codec
from modules.generation.decoding import to_bytes
from modules.generation.hires import FirstPass, hires_pass
from modules.generation.img2img import Start, img2img
from modules.generation.pipeline import Pipeline, Progress
from modules.generation.resizing import lanczos
from modules.generation.txt2img import txt2img
from modules.hardware.attention import AttentionChoice, AttentionName, apply_attention
from modules.parameters import ResolvedRequest, parse_request, resolve
from modules.parameters.job_options import EncodingOptions
from modules.parameters.passes import PassSpec
from modules.parameters.samplers import resolve_sampler
from modules.sampling import SoftBlend, finite, noise, run
from modules.text.encoder import Encoding
from modules.weights.checkpoint import load_checkpoint
from modules.weights.model import Model
from tests.amounts import some
from tests.checkpoints import Architecture, write_tiny_checkpoint
from tests.pretend_card import CARD, PretendCard, PretendStreams, sent

STEPS = 3


@pytest.fixture(autouse=True)
def _card_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "sent", sent)
    monkeypatch.setattr(run, "sent", sent)
    monkeypatch.setattr(finite, "streams_for", lambda _device: PretendStreams())


def on_card(folder: Any, **architecture: Any) -> Model:
    path = write_tiny_checkpoint(folder / "tiny.safetensors", architecture=Architecture(**architecture))
    model = load_checkpoint(path)
    parts: tuple[nn.Module, ...] = (model.unet, model.vae, *model.text_encoders)
    for part in parts:
        part.to(CARD)
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return on_card(tmp_path_factory.mktemp("models"))


class Encoder:
    """Encodings that lie on the card; a long text is two chunks."""

    def encode(self, texts: tuple[str, ...], options: EncodingOptions) -> Encoding:
        chunks = 2 if any(len(text) > 40 for text in texts) else 1
        return Encoding(there(len(texts), 77 * chunks, 64))


def there(*shape: int) -> Tensor:
    return torch.empty(shape, device=CARD)


def pipeline_of(model: Model, codec: Codec | None = None) -> Pipeline:
    return Pipeline(model, Encoder(), CARD, channels_last=False, codec=codec or Codec())  # type: ignore[arg-type]  # fakes stand in


def resolved(options: dict[str, Any] | None = None, **values: object) -> ResolvedRequest:
    fields = {"prompt": "a [red:blue:2] circle AND a square:0.5", "negative_prompt": "very " * 20, "width": 64,
             "height": 64, "steps": STEPS, "seed": 7, "sampler_name": "Euler a", "batch_size": 2}  # fmt: skip
    return resolve(
        parse_request(fields | values), options={"randn_source": "CPU"} | (options or {}), rng=random.Random(0)
    )


@dataclass
class Watched:
    """Hooks that tell what waits between the first call and the end of the pass."""

    card: PretendCard = field(default_factory=PretendCard)
    calls: int = 0
    steps: int = 0

    @property
    def progress(self) -> Progress:
        return Progress(self._on_step, self._before_call)

    def _before_call(self) -> None:
        if self.calls == 0:
            self.card.waits.clear()
        self.calls += 1

    def _on_step(self, step: int, steps: int, denoised: Tensor) -> None:
        assert denoised.device == CARD
        self.steps += 1


@pytest.mark.parametrize(
    ("sampler", "options"),
    some(
        [
            ("Euler a", {}),
            ("DDIM", {"pad_cond_uncond": True}),
            ("DPM++ 2M SDE", {"s_min_uncond": 1.0, "batch_cond_uncond": False}),
        ],
        2,
    ),
)
def test_txt2img_waits_when_it_is_over(model: Model, sampler: str, options: dict[str, Any]) -> None:
    watched, request = Watched(), resolved(options, sampler_name=sampler)
    with watched.card:
        txt2img(pipeline_of(model), request, range(2), watched.progress)
    assert watched.steps in (STEPS, STEPS - 1) and watched.calls >= STEPS
    assert watched.card.waits == ["read"]  # whether the finished latents are numbers


@pytest.mark.long
@pytest.mark.parametrize(("sampler", "soft"), some([("DPM++ 2M", True), ("DDIM", False)], 1))
def test_inpainting_waits_when_it_is_over(model: Model, sampler: str, soft: bool) -> None:
    scripts = {"Soft Inpainting": {"enabled": True}} if soft else {}
    request = resolved(
        steps=5,
        sampler_name=sampler,
        mode="img2img",
        init_images=("p",),
        mask="m",
        scripts=scripts,
        denoising_strength=0.9,
    )
    start = Start(there(2, 4, 8, 8), there(2, 1, 8, 8), None, SoftInpainting(SoftBlend()) if soft else None)
    assert (start.soft is not None) is soft
    watched = Watched()
    with watched.card:
        img2img(pipeline_of(model), request, range(2), None, watched.progress, start)  # type: ignore[arg-type]  # a fake stands in
    assert watched.calls > 1
    assert watched.card.waits == ["read"]


@pytest.mark.long
@pytest.mark.parametrize("adjusted", [False, True])
def test_noise_is_found_on_a_card_without_waiting_between_steps(model: Model, adjusted: bool) -> None:
    request = resolved(mode="img2img", init_images=("p",))
    spec = PassSpec(
        choice=resolve_sampler("Euler"),
        prompt="a circle",
        negative_prompt="",
        steps=STEPS,
        cfg_scale=1.0,
        size=(64, 64),
    )
    watched = Watched()
    with watched.card:
        found = found_noise(
            pipeline_of(model),
            request,
            Start(there(2, 4, 8, 8), None, None),
            spec,
            watched.progress,
            adjusted=adjusted,
        )
    assert found.device == CARD and watched.steps >= STEPS - 1
    assert watched.card.waits == ["read"]


@pytest.mark.long
@pytest.mark.parametrize("channels", [8, 9], ids=["instruct-pix2pix", "inpainting"])
def test_a_checkpoint_that_is_shown_more_waits_when_it_is_over(tmp_path: Path, channels: int) -> None:
    watched = Watched()
    with watched.card:
        txt2img(pipeline_of(on_card(tmp_path, in_channels=channels)), resolved(), range(2), watched.progress)
    assert watched.card.waits == ["read"]


@pytest.mark.long
def test_what_a_hires_pass_decoded_is_shown_to_an_inpainting_checkpoint_on_the_card(tmp_path: Path) -> None:
    options = {"inpainting_mask_weight": 0.5}
    request = resolved(options, enable_hr=True, hr_scale=1.5, hr_upscaler="Latent", denoising_strength=0.7)
    watched = Watched()
    with watched.card:
        pipeline, first = pipeline_of(on_card(tmp_path, in_channels=9)), FirstPass(there(2, 4, 8, 8))
        hires_pass(pipeline, request, range(2), first, watched.progress, lanczos)
    assert watched.card.waits == ["read"]


@pytest.mark.long
def test_a_hires_pass_waits_when_it_is_over(model: Model) -> None:
    request = resolved(enable_hr=True, hr_scale=1.5, hr_upscaler="Latent", denoising_strength=0.7)
    watched = Watched()
    with watched.card:
        first = FirstPass(there(2, 4, 8, 8))
        hires_pass(pipeline_of(model), request, range(2), first, watched.progress, lanczos)
    assert watched.card.waits == ["read"]


@pytest.mark.parametrize("name", some(sorted({*get_args(AttentionName)} - {"xformers"}), 3))  # which needs a card
def test_no_attention_waits(model: Model, name: AttentionName) -> None:
    try:
        apply_attention(model.unet, AttentionChoice(name, ""))
        with PretendCard() as card, torch.no_grad():
            model.unet(there(2, 4, 8, 8), there(2), encoder_hidden_states=there(2, 77, 64))
    finally:
        apply_attention(model.unet, AttentionChoice("sdp", ""))
    assert card.waits == []


class Tiny(nn.Module):
    """A tiny decoder's half."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = AutoencoderTiny().decoder.to(CARD)

    def forward(self, latents: Tensor) -> Tensor:
        answer: Tensor = self.decoder(latents)
        return answer


@pytest.mark.parametrize("tiny", [False, True])
def test_a_decode_is_begun_without_waiting(model: Model, tiny: bool) -> None:
    codec = Codec(decoder=Tiny() if tiny else None)
    with PretendCard() as card:
        picture, finite = codec.begin(model, there(4, 8, 8))
        assert (to_bytes(picture).shape, finite.shape) == ((64, 64, 3), ())
        assert card.waits == []
        codec.decode(model, there(4, 8, 8))
    assert card.waits == ([] if tiny else ["read"] * 2)
