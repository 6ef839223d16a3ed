"""Poses as OpenPose describes them in JSON: 18 joints of the body, 21 of each hand, 70 points of the face.

Format reproduced: what sd-webui-controlnet 1.1.455 reads and writes. Knows no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

# (x, y) in pixels; None for what isn't seen.
Point = tuple[float, float] | None
Points = tuple[Point, ...]

BODY: Final = 18
HAND: Final = 21
FACE: Final = 70
_KEYS: Final = ("pose_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "face_keypoints_2d")
_COUNTS: Final = (BODY, HAND, HAND, FACE)
_MOST_PEOPLE: Final = 200
_LONGEST: Final = 1 << 14
_MOST_PIXELS: Final = 1 << 26


class PoseError(ValueError):
    """A pose that can't be read; the message is the sentence to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """One person. Parts that weren't looked for are empty."""

    body: Points = ()
    left_hand: Points = ()
    right_hand: Points = ()
    face: Points = ()

    @property
    def parts(self) -> tuple[Points, ...]:
        """In the order of the JSON."""
        return self.body, self.left_hand, self.right_hand, self.face


def poses_as_json(poses: Sequence[Pose], width: int, height: int) -> dict[str, JsonValue]:
    """The poses as OpenPose's JSON: x, y and 1 for each point, three zeros for what isn't seen."""
    people: list[JsonValue] = [dict(zip(_KEYS, map(_flat, pose.parts), strict=True)) for pose in poses]
    return {"people": people, "canvas_width": width, "canvas_height": height}


def poses_of_json(found: JsonValue) -> tuple[list[Pose], int, int]:
    """Poses, width and height of OpenPose's JSON. Points may also be shares of the canvas.

    Raises:
        PoseError: it isn't that.
    """
    if not isinstance(found, Mapping):
        raise PoseError("A pose is a JSON object with people, canvas_width and canvas_height.")
    width, height = (_side(found.get(key), key) for key in ("canvas_width", "canvas_height"))
    if width * height > _MOST_PIXELS:
        raise PoseError(f"A pose's canvas has at most {_MOST_PIXELS} pixels.")
    people = found.get("people") or []
    if not isinstance(people, list) or len(people) > _MOST_PEOPLE:
        raise PoseError(f"A pose's people are a list of at most {_MOST_PEOPLE}.")
    return [_pose(person, width, height) for person in people], width, height


def _flat(points: Points) -> JsonValue:
    numbers: list[JsonValue] = []
    for point in points:
        numbers += [0.0, 0.0, 0.0] if point is None else [point[0], point[1], 1.0]
    return numbers


def _side(found: JsonValue, key: str) -> int:
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= _LONGEST:
        raise PoseError(f"A pose's {key} is a whole number from 1 to {_LONGEST}.")
    return found


def _pose(person: JsonValue, width: int, height: int) -> Pose:
    if not isinstance(person, Mapping):
        raise PoseError("Each of a pose's people is a JSON object.")
    body, left, right, face = (
        _points(person.get(key) or [], key, count, width, height) for key, count in zip(_KEYS, _COUNTS, strict=True)
    )
    return Pose(body=body, left_hand=left, right_hand=right, face=face)


def _points(found: JsonValue, key: str, count: int, width: int, height: int) -> Points:
    numbers = [one for one in found if _is_number(one)] if isinstance(found, list) else []
    if not isinstance(found, list) or len(numbers) != len(found) or len(found) not in (0, 3 * count):
        raise PoseError(f"A pose's {key} has {count} points of x, y and confidence, finite numbers all of them.")
    values = [float(str(one)) for one in numbers]
    triples = [values[place : place + 3] for place in range(0, len(values), 3)]
    shares = all(0 <= x <= 1 and 0 <= y <= 1 for x, y, _ in triples)
    across, down = (width, height) if shares else (1, 1)
    return tuple((x * across, y * down) if sure > 0 else None for x, y, sure in triples)


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
