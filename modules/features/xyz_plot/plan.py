"""X/Y/Z plot: a picture for every combination of the values on up to three axes. As A1111 v1.10.1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from modules.features.planning import Picture, few_enough
from modules.features.xyz_plot.declare import XyzArguments
from modules.parameters import GenerationRequest, RequestError
from modules.parameters.xyz import TITLE, AxisValues, axes_of, changes, check_search, overrides

_MOST_MEGAPIXELS: Final = 200


def xyz_plot(request: GenerationRequest) -> Sequence[Picture]:
    """The cells, x before y before z; one picture each, whatever the batch sliders say."""
    arguments = XyzArguments.of(request.scripts)
    axes = axes_of(arguments, request.mode)
    for one in axes:
        check_search(one.axis, str(one.values[0]), request)
    x, y, z = (range(len(one.values)) for one in axes)
    count = len(x) * len(y) * len(z)
    few_enough(TITLE, count)
    megapixels = count * request.width * request.height / 1e6
    if megapixels >= _MOST_MEGAPIXELS:
        raise RequestError(f"{TITLE}: the grid would have {megapixels:.0f} megapixels; less than 200 are possible.")
    return [_cell(request, axes, (i, j, k), arguments) for k in z for j in y for i in x]


def _cell(
    request: GenerationRequest, axes: Sequence[AxisValues], place: tuple[int, int, int], arguments: XyzArguments
) -> Picture:
    before = {name: getattr(request, name) for name in ("prompt", "negative_prompt", "styles", "scripts")}
    fields: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for one, number in zip(axes, place, strict=True):
        fields |= changes(one.axis, one.values[number], one.values, {**before, **fields})
        settings |= overrides(one.axis, one.values[number])
    added = _added(axes, place, arguments)
    if fields.get("seed", -1) >= 0:
        fields["seed"] += added
    return Picture(fields, settings, seed=added)


def _added(axes: Sequence[AxisValues], place: tuple[int, int, int], arguments: XyzArguments) -> int:
    """By how much the cell's seed differs where seeds vary along axes."""
    added, stride = 0, 1
    for axis, one, number in zip(arguments.axes, axes, place, strict=True):
        if axis.varies_seeds:
            added += number * stride
            stride *= len(one.values)
    return added
