"""Checkpoints that stay loaded, for a program that alternates between them as bots do."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.conftest import made
from tests.checkpoints import write_vae
from tests.server.server import Server

pytestmark = pytest.mark.server


def picture(api: httpx.Client, checkpoint: str, vae: str, **settings: Any) -> str:
    overrides = {"sd_model_checkpoint": checkpoint, "sd_vae": vae, **settings}
    image: str = made(api, override_settings=overrides)["images"][0]
    return image


def cached_models(api: httpx.Client) -> str:
    """What the System page says is kept."""
    sections = {one["title"]: dict(one["facts"]) for one in api.get("/internal/system").json()["sections"]}
    return str(sections["What was chosen, and why"].get("Kept in memory", ""))


@pytest.mark.long
def test_a_program_that_alternates_gets_the_pictures_of_checkpoints_that_were_just_read(
    api: httpx.Client, server: Server
) -> None:
    vae = write_vae(server.data_dir / "models" / "VAE" / "soft.safetensors", seed=5)
    api.post("/sdapi/v1/refresh-vae")
    turns = [("tiny", "None"), ("other", "soft.safetensors"), ("tiny", "soft.safetensors"), ("other", "None")]
    try:
        read = [picture(api, *turn) for turn in turns]
        assert len(set(read)) == 4 and cached_models(api) == ""
        settings: dict[str, Any] = {"sd_checkpoints_limit": 2, "sd_vae_checkpoint_cache": 1}
        assert [picture(api, *turn, **settings) for turn in (*turns, *turns)] == read + read
        assert cached_models(api).startswith("tiny.safetensors (0.02 GB in main memory); VAE soft.safetensors (0.00 GB")
        assert picture(api, *turns[3]) == read[3]
        assert cached_models(api) == ""
        picture(api, *turns[0], **settings)
        assert cached_models(api).startswith("other.safetensors")
        api.post("/sdapi/v1/unload-checkpoint")
        assert picture(api, *turns[0]) == read[0]
        assert cached_models(api) == ""
    finally:
        vae.unlink()
        api.post("/sdapi/v1/refresh-vae")
