"""Requests drawn at random, each with the reading of its prompts: both are made from the same tree, never from text."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageDraw

from tests.endtoend.oracle import LATENT_MODES
from tests.endtoend.oracle_terms import KINDS, STEPPED, Reading, Runs, Texts, calls_of

WORDS = (
    *("red", "green", "blue", "yellow", "apple", "pizza", "cat", "tree", "house", "circle", "star"),
    *("on", "a", "beach", "in", "space", "at", "night"),
)
SCHEDULES = ("Automatic", "Uniform", "Karras", "Exponential", "SGM Uniform", "KL Optimal", "Simple", "DDIM")
LONG = 40
_SETTINGS: tuple[tuple[str, Any], ...] = (
    ("CLIP_stop_at_last_layers", 2),
    ("CLIP_stop_at_last_layers", 3),
    ("emphasis", "No norm"),
    ("emphasis", "Ignore"),
    ("comma_padding_backtrack", 0),
    ("comma_padding_backtrack", 60),
    ("eta_noise_seed_delta", 31337),
    ("eta_ancestral", 0.5),
    ("s_churn", 5.0),
    ("s_noise", 1.05),
    ("s_tmax", 8.0),
    ("sigma_min", 0.05),
    ("sigma_max", 10.0),
    ("rho", 4.0),
    ("always_discard_next_to_last_sigma", True),
    ("sgm_noise_multiplier", True),
    ("enable_quantization", True),
    ("use_downcasted_alpha_bar", True),
    ("sd_noise_schedule", "Zero Terminal SNR"),
    ("skip_early_cond", 0.3),
    ("s_min_uncond", 3.0),
    ("s_min_uncond_all", True),
    ("pad_cond_uncond", True),
    ("pad_cond_uncond_v0", True),
    ("initial_noise_multiplier", 0.9),
    ("img2img_extra_noise", 0.1),
    ("img2img_fix_steps", True),
)


@dataclass(frozen=True)
class Weighted:
    """`(…)`, `[…]` or `(…:number)`."""

    opening: str
    factor: float
    closing: str
    inside: list[Node]


@dataclass(frozen=True)
class Edit:
    """`[before:after:when]`."""

    before: str
    after: str
    when: str


@dataclass(frozen=True)
class Alternation:
    """`[a|b]`."""

    items: tuple[str, ...]


Node = str | Weighted | Edit | Alternation


@dataclass(frozen=True)
class Clock:
    """Model calls of the pass, and for a hires pass those of the first."""

    calls: int
    before: int | None = None

    def switch(self, when: str) -> int:
        if "." in when:
            step = (float(when) - (0 if self.before is None else 1)) * self.calls
        else:
            step = int(when) - (self.before or 0)
        return min(self.calls, int(step))


def text_of(nodes: Sequence[Node]) -> str:
    return "".join(_text(node) for node in nodes)


def _text(node: Node) -> str:
    match node:
        case str():
            return node
        case Weighted():
            return node.opening + text_of(node.inside) + node.closing
        case Edit():
            return f"[{node.before}:{node.after}:{node.when}]"
        case Alternation():
            return f"[{'|'.join(node.items)}]"


def schedule_of(nodes: Sequence[Node], clock: Clock) -> Texts:
    """Every text of the pass with the last step that uses it."""
    lasts = {clock.calls}
    for node in _all(nodes):
        if isinstance(node, Alternation):
            lasts |= set(range(1, clock.calls + 1))
        elif isinstance(node, Edit) and clock.switch(node.when) >= 1:
            lasts.add(clock.switch(node.when))
    return [(last, _joined(list(_runs(nodes, last, clock, 1.0)))) for last in sorted(lasts)]


def _all(nodes: Sequence[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        if isinstance(node, Weighted):
            yield from _all(node.inside)


def _runs(nodes: Sequence[Node], step: int, clock: Clock, weight: float) -> Iterator[tuple[str, float]]:
    for node in nodes:
        match node:
            case str():
                for number, part in enumerate(node.split(" BREAK ")):
                    if number:
                        yield "BREAK", -1
                    yield part, weight
            case Weighted():
                yield from _runs(node.inside, step, clock, weight * node.factor)
            case Edit():
                yield node.before if step <= clock.switch(node.when) else node.after, weight
            case Alternation():
                yield node.items[(step - 1) % len(node.items)], weight


def _joined(runs: Runs) -> Runs:
    joined: Runs = []
    for text, weight in runs:
        if joined and joined[-1][1] == weight and weight != -1:
            joined[-1] = (joined[-1][0] + text, weight)
        else:
            joined.append((text, weight))
    return joined or [("", 1.0)]


def _words(rng: random.Random, most: int = 4) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(1, most)))


def _nodes(rng: random.Random, steps: int, *, depth: int = 0) -> list[Node]:
    nodes: list[Node] = []
    for _ in range(rng.randint(1, 4)):
        nodes.append(_words(rng) + rng.choice((" ", ", ", " , ")))
        chance = rng.random()
        if chance < 0.35 and depth < 2:
            number = round(rng.uniform(0.3, 1.6), 2)
            opening, factor, closing = rng.choice((("(", 1.1, ")"), ("[", 1 / 1.1, "]"), ("(", number, f":{number})")))
            nodes.append(Weighted(opening, factor, closing, _nodes(rng, steps, depth=depth + 1)))
            nodes.append(", ")
        elif chance < 0.5:
            when = rng.choice((str(rng.randint(0, steps * 2)), f"{rng.uniform(0, 2):.2f}", ".5"))
            nodes.append(Edit(_words(rng, 2), rng.choice((_words(rng, 2), "")), when))
        elif chance < 0.6:
            nodes.append(Alternation(tuple(_words(rng, 1) for _ in range(rng.randint(2, 3)))))
    if depth == 0 and rng.random() < 0.2:
        nodes.append(", ".join(_words(rng) for _ in range(LONG)))
    if depth == 0 and rng.random() < 0.15:
        nodes += [" " + _words(rng) + " BREAK " + _words(rng)]
    return nodes


@dataclass(frozen=True)
class Prompt:
    """A prompt and a negative prompt as trees."""

    parts: list[tuple[float, list[Node]]]
    negative: list[Node]

    @property
    def text(self) -> str:
        if len(self.parts) == 1:
            return text_of(self.parts[0][1])
        return " AND ".join(f"{text_of(nodes).strip()} :{weight}" for weight, nodes in self.parts)

    def reading(self, clock: Clock) -> Reading:
        parts = [(weight, schedule_of(nodes, clock)) for weight, nodes in self.parts]
        return Reading(parts, schedule_of(self.negative, clock))


def _prompt(rng: random.Random, steps: int) -> Prompt:
    count = rng.choice((1, 1, 1, 2, 3))
    weights = [1.0] if count == 1 else [round(rng.uniform(-0.5, 1.3), 2) for _ in range(count)]
    negative = _nodes(rng, steps) if rng.random() < 0.7 else []
    return Prompt([(weight, _nodes(rng, steps)) for weight in weights], negative)


@dataclass(frozen=True)
class Drawn:
    """A request to the API (pictures still as pictures), and what the oracle has to know of it."""

    body: dict[str, Any]
    first: Reading
    hires: Reading | None


def drawn(number: int, sampler: str | None = None, *, timesteps: bool = True, refiner: str | None = None) -> Drawn:
    """The request of that number, always the same; with `sampler`, for that one.

    `timesteps` says that the model has some: samplers may go by them. `refiner` is the checkpoint that goes on.
    """
    rng = random.Random(number)
    samplers = tuple(kind for kind in KINDS if timesteps or kind not in STEPPED)
    sampler = sampler or rng.choice(samplers)
    steps = rng.randint(3, 8)
    if sampler == "Restart" and rng.random() < 0.5:
        steps = rng.choice((20, 37))
    prompt = _prompt(rng, steps)
    body: dict[str, Any] = {
        "prompt": prompt.text,
        "negative_prompt": text_of(prompt.negative),
        "seed": rng.randrange(2**32),
        "width": rng.choice((64, 72, 96)),
        "height": rng.choice((64, 80)),
        "steps": steps,
        "cfg_scale": rng.choice((1.0, 4.0, 7.0, 7.5)),
        "sampler_name": sampler,
        "scheduler": rng.choice(SCHEDULES),
        "override_settings": {"randn_source": "CPU"},
    }
    body["override_settings"] |= dict(rng.sample(_SETTINGS, rng.choice((0, 0, 1, 2, 3))))
    if body["override_settings"].get("sd_noise_schedule") and sampler in STEPPED:
        del body["override_settings"]["sd_noise_schedule"]
    if rng.random() < 0.2:
        body |= {"subseed": rng.randrange(2**32), "subseed_strength": round(rng.uniform(0.05, 0.95), 2)}
    if rng.random() < 0.1:
        body |= {"seed_resize_from_w": rng.choice((64, 88, 128)), "seed_resize_from_h": rng.choice((64, 72, 128))}
    if rng.random() < 0.1:
        body["tiling"] = True
    if rng.random() < 0.3:
        body["batch_size"] = 2
    first = prompt.reading(Clock(calls_of(sampler, steps)))
    chance = rng.random()
    hires = None
    if chance < 0.3:
        hires = _with_hires(rng, body, prompt, sampler, steps, samplers)
    elif chance < 0.6:
        _with_picture(rng, body)
    if refiner is not None:
        _with_refiner(rng, body, refiner)
    return Drawn(body, first, hires)


def _with_refiner(rng: random.Random, body: dict[str, Any], refiner: str) -> None:
    body |= {"refiner_checkpoint": refiner, "refiner_switch_at": rng.choice((0.01, 0.3, 0.5, 0.65, 0.8))}
    if rng.random() < 0.4:
        body["override_settings"]["refiner_switch_by_sample_steps"] = True
    if rng.random() < 0.6:
        body["override_settings"]["hires_fix_refiner_pass"] = rng.choice(("first pass", "both passes"))


def _with_hires(
    rng: random.Random, body: dict[str, Any], prompt: Prompt, sampler: str, steps: int, samplers: Sequence[str]
) -> Reading:
    body |= {
        "enable_hr": True,
        "hr_scale": rng.choice((1.5, 2.0)),
        "hr_upscaler": rng.choice((*LATENT_MODES, "None")),
        "denoising_strength": round(rng.uniform(0.3, 1), 2),
        "hr_second_pass_steps": rng.choice((0, 3, 6)),
    }
    if rng.random() < 0.3:
        body["hr_sampler_name"] = sampler = rng.choice(samplers)
    if rng.random() < 0.3:
        body["hr_scheduler"] = rng.choice(SCHEDULES[1:])
    hires = prompt
    if rng.random() < 0.3:
        hires = _prompt(rng, steps)
        body |= {"hr_prompt": hires.text, "hr_negative_prompt": text_of(hires.negative)}
        hires = hires if hires.negative else Prompt(hires.parts, prompt.negative)
    calls = calls_of(sampler, body["hr_second_pass_steps"] or steps)
    return hires.reading(Clock(calls, calls_of(body["sampler_name"], steps)))


def _with_picture(rng: random.Random, body: dict[str, Any]) -> None:
    size = (body["width"], body["height"])
    body |= {"init_images": [_scene(rng, size)], "denoising_strength": round(rng.uniform(0.2, 1), 2)}
    if rng.random() < 0.5:
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).ellipse([rng.randrange(30), rng.randrange(30), size[0] - 8, size[1] - 16], fill=255)
        fill = rng.choice((1, 2, 3))
        body |= {"mask": mask, "mask_blur": 0, "inpainting_fill": fill, "inpaint_full_res": False}
        body["inpainting_mask_invert"] = rng.choice((0, 0, 1))


def _scene(rng: random.Random, size: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", size, tuple(rng.randrange(256) for _ in range(3)))
    draw = ImageDraw.Draw(image)
    for _ in range(5):
        left, top = rng.randrange(size[0] - 16), rng.randrange(size[1] - 16)
        box = [left, top, left + rng.randint(8, 40), top + rng.randint(8, 40)]
        draw.ellipse(box, fill=tuple(rng.randrange(256) for _ in range(3)))
    return image
