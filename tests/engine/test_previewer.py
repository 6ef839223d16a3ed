"""Previews cost the steps nothing: what they are made of waits for the device only on the thread that encodes them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

from modules.engine.job_models import JobModels
from modules.engine.previewer import Previewer
from modules.parameters.job_options import JobOptions
from modules.weights.checkpoint import load_checkpoint
from tests.checkpoints import write_tiny_checkpoint
from tests.pretend_card import CARD, PretendCard


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """What a previewer asks of a job's models, on the card."""
    model = load_checkpoint(write_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny.safetensors"))
    vae: torch.nn.Module = model.vae
    vae.to(CARD)
    loaded = SimpleNamespace(_loaded=SimpleNamespace(model=model))
    tiny, colours = AutoencoderTiny().decoder.to(CARD), torch.rand(5, 3)
    return SimpleNamespace(
        tiny=lambda half: tiny,
        preview_colours=lambda: colours,
        may_decode_previews=lambda: True,
        decoded=lambda latents: JobModels.decoded(cast(JobModels, loaded), latents),
    )


@pytest.mark.parametrize("method", ["Full", "TAESD", "Approx NN", "Approx cheap"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_preview_is_requested_without_waiting(models: SimpleNamespace, method: str, whole: bool) -> None:
    previewer = Previewer(
        cast(JobModels, models), JobOptions.of({"show_progress_type": method, "show_progress_grid": whole})
    )
    with PretendCard() as card, torch.no_grad():
        make = previewer.make(torch.empty(2, 4, 8, 8, device=CARD))
        assert card.waits == []
        assert make is not None
        picture = make()
    assert picture is not None
    assert card.waits == ["copy"]  # there the pixels come over
