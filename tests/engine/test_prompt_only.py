"""What changes with the prompt alone: one text to encode. Nothing is read, moved or set up again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modules.catalogue import ModelFolders
from modules.engine import loaded
from modules.engine import model_keeper as models
from modules.engine.control import JobControl
from modules.engine.embedding_cache import EmbeddingCache
from modules.engine.finished_pictures import FinishedPictures
from modules.engine.job import run_job
from modules.engine.model_keeper import ModelKeeper
from modules.engine.upscalers import UpscalerKeeper
from modules.hardware.offload import Offloader
from modules.parameters.job_options import EncodingOptions
from modules.parameters.load_options import LoadOptions
from modules.protocol import CheckpointLoaded, CheckpointLoading, ImageReady
from modules.settings import Paths, parse_flags
from modules.text.encoder import PromptEncoder
from tests.amounts import some
from tests.checkpoints import write_tiny_checkpoint
from tests.engine.conftest import checkpoint_at, job
from tests.engine.test_models import CPU, Line

# What costs time, and is owed to a checkpoint or to its options: each is counted where the engine does it.
WORK = {
    models: ("load_checkpoint", "load_vae", "exchange_vae", "apply_attention", "store_in_8_bits", "slow_down",
             "speed_up", "sha256_of"),
    loaded: ("fit_colours",),
}  # fmt: skip


class Watched:
    """An engine's pieces on a toy checkpoint, with everything counted that a job may do beside its steps."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.line = Line()
        self.did: Counter[str] = Counter()
        self.encoded: list[tuple[str, ...]] = []
        for module, names in WORK.items():
            for name in names:
                patch.setattr(module, name, self.counted(name, getattr(module, name)))
        patch.setattr(Offloader, "apply", self.counted("apply", Offloader.apply))
        real = PromptEncoder._encode

        def encode(encoder: PromptEncoder, texts: tuple[str, ...], options: EncodingOptions) -> object:
            self.encoded.append(texts)
            return real(encoder, texts, options)

        patch.setattr(PromptEncoder, "_encode", encode)
        self.keeper = ModelKeeper(
            CPU, self.line.emit, embeddings=EmbeddingCache([folder / "embeddings"], self.line.emit)
        )
        self.folders = ModelFolders.from_paths(Paths.from_flags(parse_flags([], {})))
        self.checkpoint = checkpoint_at(write_tiny_checkpoint(folder / "tiny.safetensors"))

    def counted(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def count(*args: object, **kwargs: object) -> object:
            self.did[name] += 1
            return real(*args, **kwargs)

        return count

    def run(self, **values: Any) -> tuple[Counter[str], list[tuple[str, ...]], bytes]:
        """(what was done, which texts were encoded, the picture) in a job of its own, checkpoint file and all."""
        self.did.clear()
        self.encoded.clear()
        wanted: dict[str, Any] = {"steps": 2, "negative_prompt": "blurred"} | values
        command = job(self.checkpoint.model_copy(), "a", **wanted)
        upscalers = UpscalerKeeper(CPU, self.folders)
        with FinishedPictures() as pictures:
            run_job(command, self.keeper, upscalers, JobControl(), CPU, self.line.emit, pictures)
        return Counter(self.did), list(self.encoded), self.line.of(ImageReady)[-1].blobs[0]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(tmp_path, monkeypatch)


def test_another_prompt_is_one_text_to_encode_and_nothing_else(watched: Watched) -> None:
    did, encoded, first = watched.run(prompt="a red circle")
    assert {name: did[name] for name in ("load_checkpoint", "apply_attention", "apply", "sha256_of")} == {
        "load_checkpoint": 1, "apply_attention": 1, "apply": 1, "sha256_of": 1,
    }  # fmt: skip
    assert encoded == [("a red circle",), ("blurred",)]
    in_use, processors = watched.keeper._loaded, set_up(watched.keeper)

    did, encoded, other = watched.run(prompt="a blue square")
    assert did == Counter()
    assert encoded == [("a blue square",)]
    assert other != first
    assert watched.keeper._loaded is in_use
    assert set_up(watched.keeper) == processors
    assert len(watched.line.of(CheckpointLoading)) == len(watched.line.of(CheckpointLoaded)) == 1


@pytest.mark.parametrize(
    "changed", some([{"seed": 8}, {"cfg_scale": 3.0}, {"steps": 3}, {"sampler_name": "Euler a"}], 2), ids=str
)
def test_the_same_prompt_is_not_encoded_again(watched: Watched, changed: dict[str, Any]) -> None:
    first = watched.run()[2]
    did, encoded, other = watched.run(**changed)
    assert (did, encoded) == (Counter(), [])
    assert other != first
    assert watched.run()[1:] == ([], first)  # and what was remembered is what was encoded


def test_a_text_that_comes_back_is_remembered_and_an_edited_one_is_not(watched: Watched) -> None:
    watched.run(prompt="a red circle")
    watched.run(prompt="a blue square")
    assert watched.run(prompt="a red circle", negative_prompt="a blue square")[1] == []
    assert watched.run(prompt="a (red:1.1) circle")[1] == [("a (red:1.1) circle",)]


def test_the_count_bites(watched: Watched) -> None:
    """Other weights, another attention and a cleared memory are seen by the very same counters."""
    watched.run()
    attention = LoadOptions(cross_attention_optimization="sub-quadratic")
    watched.checkpoint = watched.checkpoint.model_copy(update={"load_options": attention})
    assert watched.run()[0] == Counter({"apply_attention": 1})
    watched.checkpoint = watched.checkpoint.model_copy(update={"load_options": LoadOptions(fp8_storage="Enable")})
    did, encoded, _ = watched.run()
    assert (did["load_checkpoint"], did["apply"], len(encoded)) == (1, 1, 2)
    assert watched.run(options={"persistent_cond_cache": False})[1] == encoded


def set_up(keeper: ModelKeeper) -> dict[str, int]:
    """Which very objects compute: attention processors and the model's parts."""
    assert keeper._loaded is not None
    model = keeper._loaded.model
    parts = {"unet": model.unet, "vae": model.vae, "text": model.text_encoders[0]}
    return {name: id(one) for name, one in (parts | dict(model.unet.attn_processors)).items()}
