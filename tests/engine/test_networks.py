"""Networks in the real engine: applied by the prompt's tags, gone with the next job, named in the parameters."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from PIL import Image

from modules.catalogue.hashes import network_hash_of
from modules.prompt import NetworkKind
from modules.protocol import CheckpointFile, ImageReady, Interrupt, JobFailed, JobFinished, NetworkFile, RunJob
from tests.checkpoints import Payload, truncate, write_malicious_checkpoint, write_tensors, write_tiny_checkpoint
from tests.engine.conftest import RunningEngine, checkpoint_at, job
from tests.networks import write_hypernetwork, write_trained_lora

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("loras")
    names = ("ink", "oil", "chalk")
    return {name: write_trained_lora(folder / f"{name}.safetensors", seed=seed) for seed, name in enumerate(names)}


def with_networks(command: RunJob, files: Mapping[str, Path]) -> RunJob:
    networks = {name: NetworkFile(path=str(path)) for name, path in files.items()}
    return command.model_copy(update={"networks": {"lora": networks}})


def finished(engine: RunningEngine, tiny: Any, files: Mapping[str, Path], prompt: str, **more: Any) -> list[Any]:
    """The events of a job with this prompt, the last one a JobFinished."""
    engine.send(with_networks(job(tiny, f"n{random.random()}", prompt=prompt, **more), files))
    events = engine.until(JobFinished, JobFailed)
    assert isinstance(events[-1], JobFinished), events[-1]
    return events


def made(engine: RunningEngine, tiny: Any, files: Mapping[str, Path], prompt: str, **more: Any) -> list[ImageReady]:
    """The pictures of a job with this prompt."""
    events = finished(engine, tiny, files, prompt, **more)
    return [event for event in events if isinstance(event, ImageReady) and event.kind == "image"]


def pixels(picture: ImageReady) -> bytes:
    return Image.open(io.BytesIO(picture.blobs[0])).tobytes()


def test_a_tag_changes_the_picture_and_the_next_job_knows_nothing_of_it(
    engine: RunningEngine, tiny: CheckpointFile, files: dict[str, Path]
) -> None:
    (plain,) = made(engine, tiny, files, "a cat")
    (changed,) = made(engine, tiny, files, "a cat<lora:ink:0.8>")
    (text_only,) = made(engine, tiny, files, "a cat<lora:ink:0.8:0>")
    (unet_only,) = made(engine, tiny, files, "a cat<lora:ink:0:0.8>")
    (both,) = made(engine, tiny, files, "a cat<lora:ink:te=0.8><lora:oil:0.3>")
    (again,) = made(engine, tiny, files, "a cat")
    assert pixels(again) == pixels(plain)
    assert len({pixels(one) for one in (plain, changed, text_only, unet_only, both)}) == 5
    ink, oil = (network_hash_of(files[name])[:12] for name in ("ink", "oil"))
    assert f'Lora hashes: "ink: {ink}, oil: {oil}"' in both.infotext
    assert "<lora:ink:0.8>" in changed.infotext and f"ink: {ink}" in changed.infotext
    assert "Lora hashes" not in again.infotext


def test_a_network_named_twice_counts_with_the_sum_of_its_multipliers(
    engine: RunningEngine, tiny: CheckpointFile, files: dict[str, Path]
) -> None:
    (twice,) = made(engine, tiny, files, "a cat<lora:ink:0.5><lora:ink:0.25>")
    (once,) = made(engine, tiny, files, "a cat<lora:ink:0.75>")
    assert pixels(twice) == pixels(once)


def test_the_hires_pass_has_the_networks_of_its_own_prompt(
    engine: RunningEngine, tiny: CheckpointFile, files: dict[str, Path]
) -> None:
    hires = {"enable_hr": True, "hr_upscaler": "Latent", "denoising_strength": 0.7, "hr_second_pass_steps": 3}
    (same,) = made(engine, tiny, files, "a cat<lora:ink:1>", **hires)
    (own,) = made(engine, tiny, files, "a cat<lora:ink:1>", hr_prompt="a cat<lora:oil:1>", **hires)
    (none,) = made(engine, tiny, files, "a cat<lora:ink:1>", hr_prompt="a cat", **hires)
    assert len({pixels(one) for one in (same, own, none)}) == 3
    # With a setting of A1111 its text is read with the networks of the first pass, and its UNet has its own.
    first = {"hires_fix_use_firstpass_conds": True}
    (read_with_first,) = made(
        engine, tiny, files, "a cat<lora:ink:1>", hr_prompt="a cat<lora:oil:0:1>", options=first, **hires
    )
    (read_with_own,) = made(engine, tiny, files, "a cat<lora:ink:1>", hr_prompt="a cat<lora:oil:0:1>", **hires)
    (by_hand,) = made(engine, tiny, files, "a cat<lora:ink:1>", hr_prompt="a cat<lora:ink:1:0><lora:oil:0:1>", **hires)
    assert pixels(read_with_first) == pixels(by_hand) != pixels(read_with_own)
    order = re.search(r'Lora hashes: "?([^"\n]*)', own.infotext)
    assert order is not None and order[1].startswith("ink: ") and "oil: " in order[1]


def test_networks_can_be_switched_off_for_a_job(
    engine: RunningEngine, tiny: CheckpointFile, files: dict[str, Path]
) -> None:
    (plain,) = made(engine, tiny, files, "a cat")
    made(engine, tiny, files, "a cat<lora:ink:1>")
    (off,) = made(engine, tiny, files, "a cat<lora:ink:1>", disable_extra_networks=True)
    assert pixels(off) == pixels(plain) and "Lora hashes" not in off.infotext


def test_beside_the_weights_makes_the_same_picture(
    engine: RunningEngine, tiny: CheckpointFile, files: dict[str, Path]
) -> None:
    (merged,) = made(engine, tiny, files, "a cat<lora:ink:1>")
    (beside,) = made(engine, tiny, files, "a cat<lora:ink:1>", options={"lora_functional": True})
    assert pixels(beside) == pixels(merged)


def test_what_cannot_be_used_is_named_and_the_picture_is_made(
    engine: RunningEngine, tiny: CheckpointFile, tmp_path: Path
) -> None:
    (plain,) = made(engine, tiny, {}, "a cat")
    layer, ran = "lora_unet_mid_block_attentions_0_proj_in", tmp_path / "ran"
    many = {f"entry {number}": "x" for number in range(100_000)}
    bad = {
        "cut": truncate(write_trained_lora(tmp_path / "cut.safetensors")),
        "gone": tmp_path / "gone.safetensors",
        "foreign": write_tensors(tmp_path / "foreign.safetensors", {"some.weight": torch.ones(2, 2)}, {}),
        "xl": write_tensors(
            tmp_path / "xl.safetensors",
            {
                "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight": torch.ones(4, 2048),
                "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_up.weight": torch.ones(640, 4),
            },
            {},
        ),
        "nan": write_tensors(
            tmp_path / "nan.safetensors",
            {f"{layer}.lora_up.weight": torch.full((4, 1), torch.nan), f"{layer}.lora_down.weight": torch.ones(1, 4)},
            {},
        ),
        "misfit": write_tensors(
            tmp_path / "misfit.safetensors",
            {f"{layer}.lora_up.weight": torch.ones(3, 1), f"{layer}.lora_down.weight": torch.ones(1, 5)},
            many,
        ),
        "evil [ü]": write_malicious_checkpoint(tmp_path / "evil [ü].ckpt", Payload(Path.touch, ran)),
    }
    events = finished(engine, tiny, bad, "a cat" + "".join(f"<lora:{name}:1>" for name in bad))
    (picture,) = [event for event in events if isinstance(event, ImageReady)]
    assert pixels(picture) == pixels(plain)
    said = {name: [text for text in events[-1].notices if f"LoRA {name} " in text] for name in bad}
    assert all(len(texts) == 1 for texts in said.values()), said
    assert "it is for SDXL" in said["xl"][0] and not ran.exists()
    assert re.fullmatch(
        rf"The LoRA misfit changes nothing: its layers have other shapes than those of {tiny.name}; "
        rf"the first, '{layer}' has \[3, 1\] and \[1, 5\] for a tensor of \[\d+, \d+(, 1, 1)?\]\.",
        said["misfit"][0],
    )


def test_no_job_sees_another_jobs_networks_whatever_happened_before(
    engine: RunningEngine, tiny: CheckpointFile, files: dict[str, Path]
) -> None:
    prompts = [
        "a cat", "a cat<lora:ink:1>", "a cat<lora:ink:0.5>", "a cat<lora:oil:1><lora:ink:-0.3>",
        "a cat<lora:chalk:1:0>", "a dog<lora:chalk:0:1>",
    ]  # fmt: skip
    fresh = RunningEngine("--use-cpu", "all", "--no-half")
    try:
        expected = {prompt: pixels(made(fresh, tiny, files, prompt)[0]) for prompt in reversed(prompts)}
    finally:
        fresh.end()
    rng = random.Random(15)
    for number in range(14):
        if number % 4 == 3:
            # One that is stopped as soon as it has begun leaves nothing behind either.
            stopped = with_networks(job(tiny, f"stopped{number}", prompt=rng.choice(prompts), steps=50), files)
            engine.send(stopped)
            engine.send(Interrupt(job_id=stopped.job_id))
            engine.until(JobFinished, JobFailed)
        prompt = rng.choice(prompts)
        assert pixels(made(engine, tiny, files, prompt)[0]) == expected[prompt], prompt


@pytest.mark.long
def test_a_hypernetwork_changes_what_attention_reads(
    engine: RunningEngine, tiny: CheckpointFile, tmp_path: Path
) -> None:
    path = write_hypernetwork(tmp_path / "paper.pt")
    networks: dict[NetworkKind, dict[str, NetworkFile]] = {"hypernet": {"paper": NetworkFile(path=str(path))}}

    def picture(prompt: str) -> bytes:
        command = job(tiny, prompt, prompt=prompt).model_copy(update={"networks": networks})
        engine.send(command)
        events = engine.until(JobFinished, JobFailed)
        assert isinstance(events[-1], JobFinished) and not events[-1].notices, events[-1]
        (image,) = [event for event in events if isinstance(event, ImageReady)]
        assert "Lora hashes" not in image.infotext
        return pixels(image)

    plain, whole, half = picture("a cat"), picture("a cat<hypernet:paper>"), picture("a cat<hypernet:paper:0.5>")
    assert len({plain, whole, half}) == 3
    assert picture("a cat<hypernet:paper:0>") == plain == picture("a cat")


@pytest.mark.long
def test_block_weights_and_steps_choose_where_and_when_a_network_acts(
    engine: RunningEngine, tiny: CheckpointFile, files: dict[str, Path]
) -> None:
    def picture(arguments: str, **more: Any) -> bytes:
        tag = f"<lora:ink:1:{arguments}>" if arguments else ""
        return pixels(made(engine, tiny, files, f"a cat{tag}", **more)[0])

    plain, whole = picture(""), picture("1")
    assert picture("lbw=" + ",".join(["1"] * 26)) == whole
    assert picture("lbw=" + ",".join(["0"] * 26)) == plain
    text_only = ",".join(["1"] + ["0"] * 25)
    assert picture(f"lbw={text_only}") == picture("0") != plain
    # Four steps: all of them, none in the UNet, and some.
    assert picture("step=1-4") == whole
    assert picture("start=5") == picture("0")
    assert len({picture("stop=2"), picture("start=3"), whole, plain}) == 4
    assert picture("stop=2", options={"lora_functional": True}) == picture("stop=2")
    assert picture("") == plain


@pytest.mark.long
def test_memory_stays_where_it_is_over_many_switches(files: dict[str, Path], tmp_path: Path) -> None:
    paths = [write_tiny_checkpoint(tmp_path / f"{seed}.safetensors", seed=seed) for seed in range(2)]
    more = {f"more{seed}": write_trained_lora(tmp_path / f"more{seed}.safetensors", seed=seed + 5) for seed in range(2)}
    every = {**files, **more}
    own = RunningEngine("--use-cpu", "all", "--no-half")
    process = psutil.Process(own.process.pid)
    held = []
    try:
        rng = random.Random(0)
        for number in range(200):
            name, path = rng.choice(list(every)), paths[number % 2]
            made(own, checkpoint_at(path), every, f"a cat<lora:{name}:1>", steps=1)
            held.append(process.memory_info().rss)
    finally:
        own.end()
    # After the first of each kind.
    assert max(held[-20:]) < 1.03 * max(held[30:50])
