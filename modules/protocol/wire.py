"""Messages as bytes: a JSON head with the sizes of the blobs that follow it. No pickle crosses between processes."""

from __future__ import annotations

import json
import struct
from typing import Final

from pydantic import TypeAdapter

from modules.protocol.messages import Command, Event, Message

# The environment variable in which a server gives its engine the key of their line, as hexadecimal digits.
AUTHKEY_VARIABLE: Final = "WEBUI_ENGINE_AUTHKEY"

# The status with which an engine ends whose card refuses all further work of its process.
DEVICE_LOST: Final = 5

_HEAD: Final = struct.Struct("<I")
_ANY: Final[TypeAdapter[Message]] = TypeAdapter(Command | Event)


class ProtocolError(RuntimeError):
    """Bytes that are no message of this protocol: server and engine do not belong together."""


def encode(message: Message) -> bytes:
    """`message` as one frame: head length, JSON head, blobs."""
    head = json.dumps({"message": message.model_dump(mode="json"), "blobs": [len(b) for b in message.blobs]}).encode()
    return b"".join((_HEAD.pack(len(head)), head, *message.blobs))


def decode(frame: bytes) -> Message:
    """The message in `frame`. Raises ProtocolError when it is cut short or of an unknown kind."""
    try:
        (length,) = _HEAD.unpack_from(frame)
        head = json.loads(frame[_HEAD.size : _HEAD.size + length])
        blobs, offset = [], _HEAD.size + length
        for size in head["blobs"]:
            if size < 0:
                raise ProtocolError(f"A message says that a blob of it has {size} bytes.")
            blobs.append(frame[offset : offset + size])
            offset += size
        if offset != len(frame):
            raise ProtocolError(f"A message of {len(frame)} bytes says it has {offset}.")
        message = _ANY.validate_python(head["message"])
    except (struct.error, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"A message could not be read: {str(error)[:200]}") from error
    return message.model_copy(update={"blobs": tuple(blobs)})
