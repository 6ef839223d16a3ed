"""A gallery in an empty folder, and requests to name pictures after."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import JsonValue

from modules.gallery import Gallery
from modules.parameters import GenerationRequest, ResolvedRequest, resolve
from modules.settings import Flags, OptionStore, Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths.from_flags(Flags(data_dir=tmp_path))


@pytest.fixture
def options(paths: Paths) -> OptionStore:
    return OptionStore(paths.config_file)


@pytest.fixture
def outputs(paths: Paths) -> Path:
    """The folder of txt2img's pictures."""
    folder = paths.outputs_dir / "txt2img-images"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def gallery(paths: Paths, options: OptionStore) -> Gallery:
    return Gallery(paths, options)


@pytest.fixture
def resolved() -> Callable[..., ResolvedRequest]:
    def make(options: dict[str, JsonValue] | None = None, **fields: object) -> ResolvedRequest:
        request = GenerationRequest(**({"prompt": "a cat", "seed": 1234} | fields))
        return resolve(
            request,
            options=options or {},
            rng=random.Random(0),
            checkpoint="sub/anime.v3.safetensors [0123456789]",
        )

    return make
