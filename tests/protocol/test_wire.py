"""Messages cross as bytes and come back equal; anything else is refused as a ProtocolError."""

import json
import random
import struct
import typing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from modules import protocol
from modules.parameters import GenerationRequest, ResolvedRequest, resolve
from modules.protocol import (
    CheckpointFile,
    CheckpointLoaded,
    EngineReady,
    ImageReady,
    Interrupt,
    JobFinished,
    LoadCheckpoint,
    MemoryPeak,
    Notice,
    ProtocolError,
    RunJob,
    Shutdown,
    StepDone,
    decode,
    encode,
)
from modules.protocol.messages import Command, Event, Message


def resolved(**fields: typing.Any) -> ResolvedRequest:
    return resolve(GenerationRequest(**fields), options={"a": [1, {"b": None}]}, rng=random.Random(0), checkpoint="x")


CHECKPOINT = CheckpointFile(path="/m/猫.safetensors", title="猫.safetensors [0123456789]", name="猫")
RUN = RunJob(
    job_id="j",
    resolved=resolved(prompt="a\n猫\U0001f408", n_iter=3, override_settings={"CLIP_stop_at_last_layers": 2}),
    checkpoint=CHECKPOINT,
    done=(0, 2),
    inputs=("image", "mask"),
    blobs=(b"\0\xff" * 1000, b""),
)
IMAGE = ImageReady(
    job_id="j", index=3, extension="png", infotext="a\nSteps: 20", seed=2**64 - 1, subseed=0, width=512, height=768,
    blobs=(b"\x89PNG",),
)  # fmt: skip


def kinds(union: typing.Any) -> tuple[type[Message], ...]:
    return typing.get_args(typing.get_args(union)[0])


@pytest.mark.parametrize(
    "message",
    [
        RUN,
        IMAGE,
        LoadCheckpoint(checkpoint=CHECKPOINT),
        Interrupt(job_id="j", after_image=True),
        Shutdown(),
        EngineReady(pid=1, device="cpu", hardware="A processor."),
        CheckpointLoaded(title="x", seconds=0.5, width=512),
        StepDone(job_id="j", batch=0, step=1, steps=20, fraction=0.05),
        JobFinished(job_id="j", seconds=1.5, notices=("a", "b"), memory=MemoryPeak(used=2, total=3, allocated=1)),
        Notice(text="x" * 1_000_000, level="warning"),
    ],
    ids=lambda message: message.type,
)
def test_messages_come_back_equal(message: Any) -> None:
    assert decode(encode(message)) == message
    assert decode(encode(message)).blobs == message.blobs


def test_every_message_is_exported_and_distinguished_by_its_type() -> None:
    messages = (*kinds(Command), *kinds(Event))
    assert len(messages) >= 17
    names = [message.model_fields["type"].default for message in messages]
    assert len(set(names)) == len(names)
    assert {message.__name__ for message in messages} <= set(protocol.__all__)


def test_messages_are_frozen() -> None:
    with pytest.raises(ValidationError):
        IMAGE.index = 4  # type: ignore[misc]  # frozen, which is tested


def test_blobs_do_not_travel_as_json() -> None:
    frame = encode(IMAGE.model_copy(update={"blobs": (b"marker" * 10,)}))
    (length,) = struct.unpack_from("<I", frame)
    assert b"marker" not in frame[: 4 + length] and frame.endswith(b"marker" * 10)


@given(st.lists(st.binary(max_size=50), max_size=5), st.text(), st.floats(0, 1), st.integers(0, 2**63))
def test_any_content_comes_back(blobs: list[bytes], text: str, fraction: float, step: int) -> None:
    image = IMAGE.model_copy(update={"infotext": text, "blobs": tuple(blobs)})
    assert decode(encode(image)) == image and decode(encode(image)).blobs == tuple(blobs)
    done = StepDone(job_id=text, batch=0, step=step, steps=step, fraction=fraction)
    assert decode(encode(done)) == done


def frame(head: object, rest: bytes = b"") -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return struct.pack("<I", len(text)) + text + rest


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01\0\0",
        struct.pack("<I", 2**32 - 1),
        frame(b""),
        frame(b"\xff\xfe"),
        frame(b"[" * 100_000),
        frame(b'{"blobs": [' + b"9" * 5000 + b'], "message": {}}'),
        frame(None),
        frame([]),
        frame({}),
        frame({"message": {"type": "shutdown"}}),
        frame({"blobs": [], "message": {}}),
        frame({"blobs": [], "message": {"type": "format_disk"}}),
        frame({"blobs": [], "message": {"type": "interrupt"}}),
        frame({"blobs": [], "message": {"type": "interrupt", "job_id": 5}}),
        frame({"blobs": [1], "message": {"type": "shutdown"}}),
        frame({"blobs": [2, -1], "message": {"type": "shutdown"}}, b"x"),
        frame({"blobs": ["1"], "message": {"type": "shutdown"}}, b"x"),
        frame({"blobs": None, "message": {"type": "shutdown"}}),
        frame({"blobs": [], "message": {"type": "shutdown"}}, b"rest"),
    ],
)
def test_what_is_no_message_is_refused(data: Any) -> None:
    with pytest.raises(ProtocolError):
        decode(data)


@given(st.data())
def test_damaged_frames_are_refused_or_valid(data: st.DataObject) -> None:
    whole = bytearray(encode(data.draw(st.sampled_from([RUN, IMAGE, Shutdown()]))))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for candidate in (bytes(whole), bytes(whole[:cut]), bytes(whole[cut:])):
        try:
            message = decode(candidate)
        except ProtocolError:
            continue
        assert isinstance(message, (*kinds(Command), *kinds(Event)))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(data)
