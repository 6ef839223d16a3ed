"""Files that are no checkpoint, chosen by a client: a sentence in job, engine line and log, and the next job works."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.amounts import some
from tests.checkpoints import (
    Payload,
    truncate,
    write_embedding,
    write_lora,
    write_malicious_checkpoint,
    write_tiny_checkpoint,
    write_vae,
)
from tests.endtoend.house import House, one_sentence

pytestmark = pytest.mark.server


def _picture(path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(path, "PNG")


def _malicious(path: Path) -> None:
    write_malicious_checkpoint(path, Payload(os.system, f"touch {path.parent}/executed"))


def _malicious_old(path: Path) -> None:
    write_malicious_checkpoint(path, Payload(exec, f"open({str(path.parent / 'executed')!r}, 'w')"), legacy=True)


# What the file is, and a word that the sentence must have beside the file's name.
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut.safetensors": (lambda path: truncate(write_tiny_checkpoint(path)), "truncated"),
    "cut.ckpt": (lambda path: truncate(write_tiny_checkpoint(path)), ""),
    "empty.safetensors": (lambda path: path.touch(), "empty"),
    "empty.ckpt": (lambda path: path.touch(), "empty"),
    "lora.safetensors": (write_lora, "LoRA"),
    "embedding.safetensors": (write_embedding, "embedding"),
    "vae.safetensors": (write_vae, "VAE"),
    "picture.safetensors": (_picture, "picture"),
    "picture.ckpt": (_picture, "picture"),
    "page.safetensors": (lambda path: path.write_text("<!DOCTYPE html><html>Not found</html>"), "page"),
    "huge-header.safetensors": (lambda path: path.write_bytes(b"\xff" * 8 + b"{}"), ""),
    "malicious.ckpt": (_malicious, "system"),
    "malicious-old.ckpt": (_malicious_old, "exec"),
}


@pytest.fixture(scope="module", autouse=True)
def bad_files(house: House) -> None:
    for name, (write, _) in BAD.items():
        write(house.models / name)
    assert house.post("/sdapi/v1/refresh-checkpoints").status_code == 200
    # The checkpoint that is loaded at start must be there before a bad one is requested: else it is reported last.
    house.works()


@pytest.mark.parametrize("name", some(BAD, 5))
def test_a_job_with_a_bad_file_fails_in_one_sentence_and_the_next_one_works(house: House, name: str) -> None:
    job = house.made(override_settings={"sd_model_checkpoint": name})
    assert job["state"] == "failed"
    assert one_sentence(job["cause"]), job["cause"]
    assert name in job["cause"] and BAD[name][1].lower() in job["cause"].lower()
    assert name in house.engine()["sentence"]
    assert job["cause"] in house.log()
    house.works()
    assert not (house.models / "executed").exists()


@pytest.mark.parametrize("name", some(["cut.safetensors", "malicious.ckpt"], 1))
def test_a_bad_file_chosen_in_the_settings_is_said_and_a_good_one_takes_its_place(house: House, name: str) -> None:
    assert house.post("/sdapi/v1/options", sd_model_checkpoint=name).status_code == 200
    house.until(lambda: name in house.engine()["sentence"])
    assert house.made()["state"] == "failed"
    assert house.post("/sdapi/v1/options", sd_model_checkpoint="good.safetensors").status_code == 200
    house.works()
    assert not (house.models / "executed").exists()


def test_a_file_that_is_gone_by_the_time_of_its_job_is_named(house: House) -> None:
    gone = write_tiny_checkpoint(house.models / "gone.safetensors", seed=3)
    house.post("/sdapi/v1/refresh-checkpoints")
    gone.unlink()
    answer = house.post("/v1/jobs/txt2img", prompt="a", override_settings={"sd_model_checkpoint": gone.name})
    message = answer.text if answer.status_code != 202 else house.ended(answer.json()["id"])["cause"]
    assert "gone.safetensors" in message
    house.works()
