"""Scripts that make pictures of several prompts. As A1111 v1.10.1."""

from __future__ import annotations

from collections.abc import Sequence

from modules.features.planning import Picture, few_enough
from modules.features.prompt_matrix.declare import PromptMatrixArguments
from modules.parameters import GenerationRequest


def prompt_matrix(request: GenerationRequest) -> Sequence[Picture]:
    """Every combination of the parts between bars, the first of which is always there; part n is bit n - 1."""
    arguments = PromptMatrixArguments.of(request.scripts)
    field = "prompt" if arguments.prompt_type == "positive" else "negative_prompt"
    first, *parts = getattr(request, field).split("|")
    few_enough("Prompt matrix", 2 ** min(len(parts), 64))
    return [
        Picture({field: text}, seed=number if arguments.different_seeds else 0, subseed=number)
        for number, text in enumerate(combinations(first, parts, arguments))
    ]


def combinations(first: str, parts: Sequence[str], arguments: PromptMatrixArguments) -> list[str]:
    """The prompts of a matrix, in the order of the binary number of which parts they have."""
    joiner = ", " if arguments.variations_delimiter == "comma" else " "
    prompts = []
    for number in range(2 ** len(parts)):
        chosen = [part.strip().strip(",") for bit, part in enumerate(parts) if number >> bit & 1]
        prompts.append(joiner.join([*chosen, first] if arguments.put_at_start else [first, *chosen]))
    return prompts
