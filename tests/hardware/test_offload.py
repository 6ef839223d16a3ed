"""The owner of the device: every mode gives the same answer to the bit, within the bytes that its plan promises.

No card is at hand: the CPU stands for it, where what is "brought" is a real copy, and tensors without memory of real
models are counted byte by byte.
"""

from __future__ import annotations

import gc
import weakref
from contextlib import _GeneratorContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.big_modeling import cpu_offload_with_hook
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from modules.generation.unet import forward_of
from modules.hardware.budget import MemoryMode, ModelSize, RequestSize, choose_plan, peak, unet_work, vae_work
from modules.hardware.device import compute_device, free_memory, memory_now, module_bytes
from modules.hardware.model_size import size_of
from modules.hardware.offload import Offloader
from modules.hardware.pinned_weights import PinnedWeights
from modules.hardware.streaming import WeightStream
from modules.hardware.streams import SingleStream, StreamEvent
from modules.parameters.job_options import EncodingOptions
from modules.prompt import clip_tokenizer
from modules.text.encoder import PromptEncoder
from modules.weights.checkpoint import load_checkpoint
from modules.weights.model import Model
from tests.amounts import some
from tests.checkpoints import SD15, _make_unet, _make_vae, make_text_encoders, write_tiny_checkpoint
from tests.flux_files import write_flux
from tests.hardware.byte_counter import ByteCounter, without_memory
from tests.z_image_files import write_z_image

CPU = torch.device("cpu")
META = torch.device("meta")


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return load_checkpoint(write_tiny_checkpoint(tmp_path / "tiny.safetensors"), channels_last=True)


@torch.inference_mode()
def answers(model: Model) -> list[torch.Tensor]:
    ids = torch.tensor([[49406, 320, 2368, *[49407] * 74]])
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    text = model.text_encoders[0](ids).last_hidden_state
    steps = [model.unet(latent, torch.tensor([t]), encoder_hidden_states=text).sample for t in (900.0, 500.0, 100.0)]
    picture = model.vae.decode(latent).sample
    return [text, *steps, picture, model.vae.encode(picture).latent_dist.mode()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(first, second) for first, second in zip(one, other, strict=True))


def offloader_of(model: Model, device: torch.device = CPU) -> Offloader:
    return Offloader(device, model.unet, (model.vae, *model.text_encoders))


@pytest.mark.parametrize("order", [("medvram",), ("lowvram",), ("full", "medvram", "lowvram", "full", "lowvram")])
@pytest.mark.parametrize("share", some([0.5, 0.0, 1.0], 1))
def test_every_mode_gives_the_same_answer_and_modes_can_follow_each_other(
    model: Model, order: tuple[MemoryMode, ...], share: float
) -> None:
    before = answers(model)
    offloader = offloader_of(model)
    for mode in order:
        offloader.apply(mode, int(share * module_bytes(model.unet)))
        assert same(answers(model), before), mode
    offloader.close()
    assert same(answers(model), before)


def test_a_language_model_is_streamed_beside_its_transformer(tmp_path: Path) -> None:
    """Every mode answers alike, one after the other, and what is streamed lies in slots."""
    files = write_z_image(tmp_path)
    model = load_checkpoint(files.checkpoint, vae_path=files.vae, text_paths=files.texts)
    encoder = PromptEncoder(model, clip_tokenizer())
    forward, x = forward_of(model.unet), torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))

    @torch.inference_mode()
    def found() -> list[torch.Tensor]:
        encoder.forget()
        context = encoder.encode(("a cat",), EncodingOptions()).context
        flow = forward(x, torch.tensor([0.5]), context, torch.tensor([context.shape[1]]))
        return [context, flow, model.vae.decode(x).sample]

    before, offloader = found(), offloader_of(model)
    size = size_of(model.unet, model.vae, *model.text_encoders)
    (text,) = model.text_encoders
    layer = module_bytes(text.get_submodule("layers.0"))
    assert (size.text_streamed, size.text_slots) == (3 * layer, 2 * layer)
    for mode in ("medvram", "lowvram", "full", "lowvram"):
        offloader.apply(mode)
        assert same(found(), before), mode
    offloader.close()
    assert same(found(), before)


def test_t5_is_streamed_beside_a_transformer(tmp_path: Path) -> None:
    """CLIP beside it has no pieces: it is brought whole."""
    files = write_flux(tmp_path)
    model = load_checkpoint(files.checkpoint, vae_path=files.vae, text_paths=files.texts)
    encoder = PromptEncoder(model, clip_tokenizer())
    forward, x = forward_of(model.unet), torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))

    @torch.inference_mode()
    def found() -> list[torch.Tensor]:
        encoder.forget()
        read = encoder.encode(("a (cat:1.2)",), EncodingOptions())
        assert read.pooled is not None and read.lengths == (256,)
        beside = torch.tensor(read.lengths), read.pooled, torch.tensor([3.5])
        return [read.context, read.pooled, forward(x, torch.tensor([0.5]), read.context, *beside)]

    before, offloader = found(), offloader_of(model)
    size = size_of(model.unet, model.vae, *model.text_encoders)
    blocks = [module_bytes(model.text_encoders[1].get_submodule(f"block.{index}")) for index in range(2)]
    assert (size.text_streamed, size.text_slots) == (sum(blocks), 2 * max(blocks))
    for mode in ("medvram", "lowvram", "full", "lowvram"):
        offloader.apply(mode)
        assert same(found(), before), mode
    offloader.close()
    assert same(found(), before)


def test_weights_that_are_changed_stay_changed_wherever_they_were(model: Model) -> None:
    """A network is merged into the weights: in main memory, on the device, or in a piece that a slot has a copy of."""
    changed = [
        model.unet.conv_in.weight,
        model.unet.mid_block.resnets[0].conv1.weight,
        model.text_encoders[0].get_input_embeddings().weight,
    ]

    def change() -> None:
        with torch.no_grad():
            for weight in changed:
                weight.mul_(2)

    before = answers(model)
    offloader = offloader_of(model)
    change()
    expected = answers(model)
    with torch.no_grad():
        for weight in changed:
            weight.div_(2)
    assert same(answers(model), before)
    for mode in ("medvram", "lowvram"):
        offloader.apply(mode)
        answers(model)
        offloader.offload()
        change()
        assert same(answers(model), expected), mode
        offloader.close()
        assert same(answers(model), expected), mode
        with torch.no_grad():
            for weight in changed:
                weight.div_(2)


def test_nothing_keeps_a_model_alive_that_was_dissolved(model: Model) -> None:
    offloader = offloader_of(model)
    offloader.apply("lowvram")
    answers(model)
    offloader.close()
    gone = [weakref.ref(part) for part in (model.unet, model.vae, *model.text_encoders)]
    weights = weakref.ref(model.unet.conv_in.weight.untyped_storage())
    del offloader
    model.release()
    assert [ref() for ref in gone] == [None] * 3
    assert weights() is None


def test_an_error_in_the_middle_of_a_forward_leaves_the_weights_whole(model: Model) -> None:
    before = answers(model)
    offloader = offloader_of(model)
    offloader.apply("lowvram")
    bad = torch.randn(1, 5, 8, 8)  # a channel too many
    for _ in range(2):
        with pytest.raises(RuntimeError):
            model.unet(bad, 1, torch.randn(1, 77, 64))
        with pytest.raises(RuntimeError):
            model.unet(torch.randn(1, 4, 8, 8), 1, torch.randn(1, 77, 65))  # fails inside a piece
        assert same(answers(model), before)


def test_what_waits_in_main_memory_is_given_its_input_where_it_computes(model: Model) -> None:
    """The meta device stands for the card: what is brought there and what stayed behind can be distinguished."""
    assert compute_device(model.vae) == CPU
    cpu_offload_with_hook(model.text_encoders[0], META)
    cpu_offload_with_hook(model.vae, META)
    assert next(model.vae.parameters()).device == CPU
    assert compute_device(model.vae) == compute_device(model.text_encoders[0]) == META
    encoder = PromptEncoder(model, clip_tokenizer())
    assert encoder.encode(("a (red:1.3) circle",), EncodingOptions(clip_skip=2)).context.device == META
    assert model.vae.decode(torch.zeros(1, 4, 8, 8, device=compute_device(model.vae))).sample.device == META


def test_only_the_part_that_was_called_last_is_on_the_device(model: Model) -> None:
    offloader = offloader_of(model)
    offloader.apply("medvram")
    addresses = {part: next(part.parameters()).data_ptr() for part in (model.unet, model.vae, *model.text_encoders)}
    answers(model)
    away = [part for part, address in addresses.items() if next(part.parameters()).data_ptr() != address]
    assert away == [model.vae]
    assert compute_device(model.unet) == CPU


class WatchedStreams(SingleStream):
    """Notes what runs beside the work, and what waits for it."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def side_stream(self, after: StreamEvent) -> _GeneratorContextManager[None]:
        self.said.append("copy")
        return super().side_stream(after)


def test_the_next_piece_is_copied_while_one_works() -> None:
    layers = nn.Sequential(*[nn.Linear(4, 4) for _ in range(4)])
    streams = WatchedStreams()
    stream = WeightStream(layers, list(layers), CPU, streams)
    for layer in layers:
        layer.register_forward_hook(lambda *_: streams.said.append("worked"))
    layers(torch.ones(1, 4))
    assert streams.said == ["copy", "worked"] * 4  # the order is not known yet
    for _ in range(2):
        streams.said.clear()
        layers(torch.ones(1, 4))
        assert streams.said == ["copy", "copy", "worked", "copy", "worked", "copy", "worked", "worked"]
    stream.close()


@pytest.fixture(scope="module")
def hollow() -> tuple[FakeTensorMode, Any, Any, nn.Module]:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    torch.set_default_dtype(torch.float16)
    try:
        with META:
            parts = _make_unet(SD15), _make_vae(SD15), make_text_encoders(SD15)[0]
    finally:
        torch.set_default_dtype(torch.float32)
    for part in parts:
        without_memory(part, mode)
    return mode, *parts


@pytest.mark.parametrize(("memory_mode", "share"), some([("medvram", 1.0), ("lowvram", 0.0), ("lowvram", 0.4)], 1))
def test_sd15_stays_within_the_bytes_its_plan_promises(
    hollow: tuple[FakeTensorMode, Any, Any, nn.Module], memory_mode: MemoryMode, share: float
) -> None:
    """Two steps and a decode at 512², each byte on the device counted; one byte less than planned would not do."""
    mode, unet, vae, text = hollow
    size, request = size_of(unet, vae, text), RequestSize(512, 512)
    resident = int(share * size.unet)
    promised = peak(size, request, memory_mode) + (resident if memory_mode == "lowvram" else 0)
    offloader = Offloader(CPU, unet, (vae, text))
    half = partial(torch.empty, dtype=torch.float16)
    with mode, torch.no_grad(), ByteCounter([unet, vae, text], budget=promised) as counter:
        offloader.apply(memory_mode, resident)
        text(torch.zeros(2, 77, dtype=torch.long))
        for _ in range(2):
            unet(
                half(2, 4, 64, 64),
                torch.full((2,), 500.0),
                encoder_hidden_states=half(2, 77, 768),
            )
        vae.decode(half(1, 4, 64, 64))
        offloader.close()
        gc.collect()  # tensors without memory refer to each other in circles
    assert 0.6 * promised <= counter.peak <= promised
    assert counter.live < 0.01 * counter.peak  # everything was given back


def test_a_device_without_room_runs_out(hollow: tuple[FakeTensorMode, Any, Any, nn.Module]) -> None:
    """The counted device does bite: what the plan for less memory would forbid ends in an error here."""
    mode, unet, vae, text = hollow
    offloader = Offloader(CPU, unet, (vae, text))
    with mode, torch.no_grad(), ByteCounter([unet, vae, text], budget=10**9):
        offloader.apply("medvram")
        with pytest.raises(torch.OutOfMemoryError):
            unet(torch.empty(1, 4, 64, 64, dtype=torch.float16), 500.0, encoder_hidden_states=torch.empty(1, 77, 768))
    offloader.close()


def test_main_memory_is_what_a_cpu_has() -> None:
    assert free_memory(CPU) is None
    free, total = memory_now(CPU)
    assert 0 < free < total


def test_bytes_are_those_of_the_weights() -> None:
    assert module_bytes(nn.Linear(10, 10, bias=False, dtype=torch.float16)) == 200


def test_pinned_weights_keep_the_memory_layout() -> None:
    convolution = nn.Conv2d(3, 5, 3)
    convolution.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch types no memory format alone
    weights = PinnedWeights.of(convolution)
    views = weights.views_in(torch.zeros(weights.size, dtype=torch.uint8))
    assert [view.stride() for view in views] == [tensor.stride() for tensor in weights.in_main_memory]
    assert views[0].is_contiguous(memory_format=torch.channels_last)
    assert all(view.data_ptr() % 256 == 0 or view.storage_offset() * view.element_size() % 256 == 0 for view in views)


def test_the_plan_and_its_parts_agree() -> None:
    size = ModelSize(100, 10, 20, 5, 3)
    request = RequestSize(64, 64)
    assert peak(size, request, "medvram") >= size.unet + unet_work(size, request)
    assert peak(size, request, "lowvram") >= size.streamed + size.vae + vae_work(size, request)
    assert choose_plan(10**12, size, request).mode == "full"
