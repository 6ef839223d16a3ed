"""The controls of Dynamic Prompts, in the order of the extension's `args`, and what it writes into pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import JsonValue

from modules.features.arguments import ScriptArguments
from modules.features.declaration import Argument, OwnForms, Script, Values

TEMPLATE: Final = "Template"
NEGATIVE_TEMPLATE: Final = "Negative Template"


def _switch(name: str, label: str, *, default: bool = False, shown: bool = True) -> Argument:
    return Argument(name, label, default, "checkbox", shown=shown)


def _ignored(name: str, label: str, default: JsonValue) -> Argument:
    """One of the extension that asks a language model, which there is none of here."""
    return Argument(name, label, default, "checkbox" if isinstance(default, bool) else "textbox", shown=False)


_ARGUMENTS: Final = (
    _switch("is_enabled", "Dynamic Prompts enabled"),
    _switch("is_combinatorial", "Combinatorial generation"),
    Argument("combinatorial_batches", "Combinatorial batches", 1, minimum=1, maximum=10, step=1, most=100),
    _ignored("is_magic_prompt", "Magic prompt", False),
    _ignored("is_feeling_lucky", "I'm feeling lucky", False),
    _ignored("is_attention_grabber", "Attention grabber", False),
    Argument("min_attention", "Minimum attention", 1.1, minimum=-1, maximum=2, step=0.1, shown=False),
    Argument("max_attention", "Maximum attention", 1.5, minimum=-1, maximum=2, step=0.1, shown=False),
    Argument("magic_prompt_length", "Magic prompt length", 100, minimum=0, maximum=10_000, step=1, shown=False),
    Argument("magic_temp_value", "Magic prompt creativity", 0.7, minimum=0, maximum=10, step=0.1, shown=False),
    _switch("use_fixed_seed", "Fixed seed"),
    _switch("unlink_seed_from_prompt", "Unlink seed from prompt"),
    _switch("disable_negative_prompt", "Don't apply to negative prompts", default=True),
    _ignored("enable_jinja_templates", "Jinja templates", False),
    _ignored("no_image_generation", "Don't generate images", False),
    Argument("max_generations", "Most combinations (0: all)", 0, minimum=0, maximum=1000, step=1, most=5000),
    _ignored("magic_model", "Magic prompt model", ""),
    _ignored("magic_blocklist_regex", "Magic prompt blocklist", ""),
    # What the prompts of the pictures were drawn of; given by the server.
    Argument("template", TEMPLATE, "", "textbox", shown=False),
    Argument("negative_template", NEGATIVE_TEMPLATE, "", "textbox", shown=False),
)
_BY_PROGRAMS: Final = tuple(argument.name for argument in _ARGUMENTS[:-2])
_NUMBERS: Final = frozenset({"magic_prompt_length", "magic_temp_value", "min_attention", "max_attention"})


def _from_api(given: Sequence[JsonValue]) -> dict[str, JsonValue]:
    named = dict(zip(_BY_PROGRAMS, given, strict=False))
    # Of what is ignored nothing is refused.
    return {
        name: value
        for name, value in named.items()
        if value is not None and name not in _NUMBERS and not name.startswith("magic_")
    }


def _written(values: Values) -> Iterator[tuple[str, object]]:
    for name, key in (("template", TEMPLATE), ("negative_template", NEGATIVE_TEMPLATE)):
        if values.get(name):
            yield key, values[name]


def _read(_: Mapping[str, str]) -> dict[str, JsonValue] | None:
    """Nothing: the picture's own prompt stands in its infotext, and makes it again."""
    return None


DYNAMIC_PROMPTS: Final = Script(
    "Dynamic Prompts",
    arguments=_ARGUMENTS,
    always_on=True,
    file="dynamic_prompting.py",
    own=OwnForms(_from_api, _written, _read, lambda key: key in (TEMPLATE, NEGATIVE_TEMPLATE)),
    # Whatever its version.
    aliases=("Dynamic Prompts v*",),
)


@dataclass(frozen=True, slots=True)
class DynamicPromptsArguments(ScriptArguments):
    """What a job wants of it."""

    script: ClassVar[Script] = DYNAMIC_PROMPTS

    is_combinatorial: bool
    combinatorial_batches: int
    use_fixed_seed: bool
    unlink_seed_from_prompt: bool
    disable_negative_prompt: bool
    max_generations: int
    is_magic_prompt: bool
    is_feeling_lucky: bool
    is_attention_grabber: bool
    enable_jinja_templates: bool

    @property
    def asks_for_more(self) -> bool:
        """Whether something is wanted that the extension has and this program doesn't."""
        return self.is_magic_prompt or self.is_feeling_lucky or self.is_attention_grabber or self.enable_jinja_templates
