"""Dynamic prompts: what the prompts of a job's pictures are, drawn of its templates before it is queued."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, NamedTuple

from modules.features.dynamic_prompts.declare import DYNAMIC_PROMPTS, DynamicPromptsArguments
from modules.features.planning import MOST_PICTURES, Picture, few_enough, ordinary
from modules.parameters import GenerationRequest, RequestError, fixed_seeds
from modules.prompt.dynamic import Drawn, DynamicPromptError, draw, every_product, is_dynamic, parse
from modules.prompt.dynamic.drawing import Wildcards

_FIELDS: Final = ("prompt", "negative_prompt", "hr_prompt", "hr_negative_prompt")
_MORE: Final = (
    "Magic prompts, “I'm feeling lucky”, the attention grabber and Jinja templates of Dynamic Prompts are not here: "
    "the job runs without them."
)

# A prompt and a negative prompt with the styles of these names merged into them.
MergeStyles = Callable[[str, str, tuple[str, ...]], tuple[str, str]]


class DrawnPlan(NamedTuple):
    """The request with its seeds fixed, its pictures with prompts of their own, and what should be said about them."""

    request: GenerationRequest
    pictures: Sequence[Picture] | None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DynamicPrompts:
    """Draws prompts. `wildcards` gives those of the files as they are at that moment."""

    wildcards: Callable[[], Wildcards]
    merge_styles: MergeStyles
    strip_comments: Callable[[str], str]

    def drawn(self, request: GenerationRequest, plan: Sequence[Picture] | None, rng: random.Random) -> DrawnPlan:
        """The plan in which each picture has the prompts that are drawn for it by its seed.

        Of a script's pictures each one's own templates count. Raises RequestError with one sentence.
        """
        if DYNAMIC_PROMPTS.title not in request.scripts:
            return DrawnPlan(request, plan)
        arguments = DynamicPromptsArguments.of(request.scripts)
        notices = dict.fromkeys((_MORE,) if arguments.asks_for_more else ())
        templates = self._templates(request, {}, arguments)
        if plan is None and not any(map(is_dynamic, map(parse, templates.values()))):
            return DrawnPlan(request, plan, tuple(notices))
        (seed, *_), (subseed, *_) = fixed_seeds(request, rng)
        request = request.model_copy(update={"seed": seed, "subseed": subseed})
        wildcards = self.wildcards()
        try:
            if arguments.is_combinatorial and plan is None:
                pictures = self._combinations(request, templates, arguments, wildcards, notices)
            else:
                pictures = self._by_chance(request, plan, arguments, wildcards, rng, notices)
        except DynamicPromptError as error:
            raise RequestError(str(error)) from error
        return DrawnPlan(request, pictures, tuple(notices))

    def _templates(
        self, request: GenerationRequest, fields: Mapping[str, Any], arguments: DynamicPromptsArguments
    ) -> dict[str, str]:
        """The prompts of a picture by their fields, with styles in them and comments taken out; none that is empty."""
        given = {name: str(fields.get(name, getattr(request, name))) for name in _FIELDS}
        names = tuple(fields.get("styles", request.styles))
        merged = dict(
            zip(_FIELDS[:2], self.merge_styles(given["prompt"], given["negative_prompt"], names), strict=True)
        )
        # An empty hires prompt means the first pass's: with a style it would be another one.
        hires = self.merge_styles(given["hr_prompt"], given["hr_negative_prompt"], names)
        merged |= {name: text for name, text in zip(_FIELDS[2:], hires, strict=True) if given[name]}
        drawn = _drawn_fields(arguments)
        return {name: self.strip_comments(text) if name in drawn else text for name, text in merged.items()}

    def _by_chance(
        self,
        request: GenerationRequest,
        plan: Sequence[Picture] | None,
        arguments: DynamicPromptsArguments,
        wildcards: Wildcards,
        rng: random.Random,
        notices: dict[str, None],
    ) -> list[Picture]:
        pictures = []
        for turn, picture in enumerate(ordinary(request) if plan is None else plan):
            if plan is None and arguments.use_fixed_seed:
                picture = replace(picture, seed=0, subseed=0)
            templates = self._templates(request, picture.fields, arguments)
            seed = _seed_of(picture, request) + (turn if plan is None and arguments.use_fixed_seed else 0)
            chance = rng if arguments.unlink_seed_from_prompt else random.Random(seed)
            drawable = _drawable(templates, arguments)
            drawn = draw([parse(text) for text in drawable.values()], wildcards, chance, turn)
            notices |= dict.fromkeys(drawn.notices)
            made = _with(picture, request, templates, dict(zip(drawable, drawn.texts, strict=True)))
            if picture.towards is not None:
                other, share = picture.towards
                template = self._templates(request, {**picture.fields, "prompt": other}, arguments)["prompt"]
                towards = draw([parse(template)], wildcards, random.Random(seed), turn)
                made = replace(made, towards=(towards.texts[0], share))
            pictures.append(made)
        return pictures

    def _combinations(
        self,
        request: GenerationRequest,
        templates: dict[str, str],
        arguments: DynamicPromptsArguments,
        wildcards: Wildcards,
        notices: dict[str, None],
    ) -> list[Picture]:
        """A picture of each combination, as often as there are to be batches of them."""
        drawable = _drawable(templates, arguments)
        most = arguments.max_generations or MOST_PICTURES + 1
        pictures: list[Picture] = []
        for batch in range(arguments.combinatorial_batches):
            chance = random.Random(request.seed + batch)
            products: Iterator[Drawn] = every_product([parse(text) for text in drawable.values()], wildcards, chance)
            for drawn in islice(products, most):
                few_enough(DYNAMIC_PROMPTS.title, len(pictures) + 1)
                notices |= dict.fromkeys(drawn.notices)
                number = 0 if arguments.use_fixed_seed else len(pictures)
                picture = Picture(
                    seed=number if request.subseed_strength == 0 else 0,
                    subseed=number,
                )
                pictures.append(_with(picture, request, templates, dict(zip(drawable, drawn.texts, strict=True))))
        return pictures


def _drawn_fields(arguments: DynamicPromptsArguments) -> tuple[str, ...]:
    return tuple(name for name in _FIELDS if "negative" not in name or not arguments.disable_negative_prompt)


def _drawable(templates: Mapping[str, str], arguments: DynamicPromptsArguments) -> dict[str, str]:
    return {name: templates[name] for name in _drawn_fields(arguments) if name in templates}


def _seed_of(picture: Picture, request: GenerationRequest) -> int:
    own = int(picture.fields.get("seed", -1))
    return own if own >= 0 else request.seed + (picture.seed if request.subseed_strength == 0 else 0)


def _with(
    picture: Picture, request: GenerationRequest, templates: Mapping[str, str], drawn: Mapping[str, str]
) -> Picture:
    """`picture` with these prompts, and its templates where they are others than its prompts."""
    fields = {**picture.fields, **templates, **drawn, "styles": ()}
    written = {
        name: templates[field]
        for name, field in (("template", "prompt"), ("negative_template", "negative_prompt"))
        if drawn.get(field, templates[field]) != templates[field]
    }
    if written:
        scripts = {**request.scripts, **(picture.fields.get("scripts") or {})}
        fields["scripts"] = {**scripts, DYNAMIC_PROMPTS.title: {**request.scripts[DYNAMIC_PROMPTS.title], **written}}
    return replace(picture, fields=fields)
