"""What a request to the Checkpoint Merger may hold, and the notation of block weights."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from modules.parameters.block_weights import BLOCKS, PRESETS, read_block_weights, write_block_weights
from modules.parameters.merger_request import MergeRequest, MergerRequest
from modules.parameters.unet_blocks import BASE


@pytest.mark.parametrize(
    "values",
    [
        {"multiplier": float("nan")},
        {"multiplier": 11},
        {"interp_method": "Sum"},
        {"block_weights": "1,2,3"},
        {"block_weights": ",".join(["x"] * 25)},
        {"block_weights": ",".join(["nan"] * 25)},
        {"discard_weights": "("},
        {"metadata_json": "{"},
        {"metadata_json": "[]"},
        {"config_source": 4},
        {"loras": [{"name": "x", "weight": float("inf")}]},
        {"unknown": 1},
    ],
)
def test_what_means_nothing_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MergeRequest.model_validate(values)


def test_both_operations_survive_the_queue() -> None:
    both: TypeAdapter[Any] = TypeAdapter(MergerRequest)
    for values in ({"operation": "merge", "multiplier": 0.5}, {"operation": "extract", "rank": 4}):
        request = both.validate_python(values)
        assert both.validate_json(both.dump_json(request)) == request and type(request).__name__.lower()[:5] in (
            "merge",
            "extra",
        )


def test_block_weights_are_numbers_in_the_order_of_the_blocks() -> None:
    assert read_block_weights("") == {}
    assert read_block_weights(",".join(map(str, range(10))) + " 0\n" * 15)["IN09"] == 9
    with_base = read_block_weights(",".join(["7", *["0.5"] * 25]))
    assert with_base[BASE] == 7 and set(with_base) == {BASE, *BLOCKS} and with_base["OUT11"] == 0.5
    for_sdxl = read_block_weights(",".join(["1"] * 19))
    assert list(for_sdxl) == [*(f"IN0{n}" for n in range(9)), "M00", *(f"OUT0{n}" for n in range(9))]


def test_presets_are_read_as_they_are_written() -> None:
    for name, weights in PRESETS.items():
        assert len(weights) == 26 and all(0 <= weight <= 1 for weight in weights), name
        read = read_block_weights(write_block_weights(weights))
        assert list(read.values()) == pytest.approx(weights, abs=1e-4)
    grad_v, grad_a = (read_block_weights(write_block_weights(PRESETS[name])) for name in ("GRAD_V", "GRAD_A"))
    assert [grad_v[one] for one in ("IN00", "IN06", "M00", "OUT05", "OUT11")] == [1, 0.5, 0, 0.5, 1]
    assert [grad_a[one] for one in ("IN00", "IN06", "M00", "OUT05", "OUT11")] == [0, 0.5, 1, 0.5, 0]
