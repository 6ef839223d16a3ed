"""Values that nobody can draw: refused in a sentence or cut to what was meant, and the server goes on."""

from __future__ import annotations

import httpx
import pytest

from tests.amounts import some
from tests.endtoend.house import SMALL, House, one_sentence

pytestmark = pytest.mark.server

REFUSED: tuple[tuple[str, str], ...] = (
    ('"width": 0', "width"),
    ('"width": -64', "width"),
    ('"width": 1000000', "width"),
    ('"width": 16384, "height": 16384', "width"),
    ('"height": "tall"', "height"),
    ('"steps": 0', "steps"),
    ('"steps": 1e9', "steps"),
    ('"steps": 2.5', "steps"),
    ('"cfg_scale": NaN', "cfg"),
    ('"cfg_scale": Infinity', "cfg"),
    ('"cfg_scale": -1e400', "cfg"),
    ('"seed": "abc"', "seed"),
    (f'"seed": {2**70}', "seed"),
    (f'"seed": {-(2**70)}', "seed"),
    (f'"subseed": {2**70}', "variation seed"),
    ('"batch_size": 0', "batch size"),
    ('"batch_size": 1000000000', "batch size"),
    ('"n_iter": 1000000000', "batch count"),
    ('"subseed_strength": NaN', "strength"),
    ('"prompt": ["a"]', "prompt"),
    ('"prompt": null, "steps": null, "width": "x"', "width"),
)


@pytest.mark.parametrize(("field", "word"), REFUSED)
@pytest.mark.parametrize("call", ["/v1/jobs/txt2img", "/sdapi/v1/txt2img"])
def test_a_value_out_of_range_is_refused_in_a_sentence_that_names_it(
    house: House, call: str, field: str, word: str
) -> None:
    # As text: JSON has no NaN, and clients send it all the same.
    answer = httpx.post(
        house.server.url + call,
        content=f'{{"prompt": "a", "width": 64, "height": 64, "steps": 1, {field}}}',
        headers={"Content-Type": "application/json"},
        timeout=60,
        verify=False,
    )
    assert answer.status_code == 422, answer.text
    detail = answer.json()["detail"]
    sentence = detail if isinstance(detail, str) else detail[0]["msg"]
    named = sentence if isinstance(detail, str) else str(detail)
    assert one_sentence(sentence) or not isinstance(detail, str)
    assert word.replace(" ", "_") in named.lower().replace(" ", "_")
    assert house.get("/internal/page?client=test")["waiting_count"] == 0


def test_sizes_between_two_cells_are_cut_and_made(house: House) -> None:
    (picture,) = house.made(width=71, height=65)["images"]
    assert (picture["width"], picture["height"]) == (64, 64)


@pytest.mark.parametrize(
    "prompt",
    some(
        [
            "((((((((((",
            "]]]]))))",
            "[" * 3000,
            "(" * 5000 + ")" * 5000,
            "[a:b:" * 400,
            "(a:1e999)",
            "BREAK AND BREAK",
            "",
            "\x00",
        ],
        3,
    ),
    ids=some(["open", "closed", "many", "nested", "schedules", "weight", "words", "empty", "null"], 3),
)
def test_a_prompt_of_only_brackets_is_drawn(house: House, prompt: str) -> None:
    job = house.made(prompt=prompt, steps=1)
    assert job["state"] == "finished" or one_sentence(job["cause"]), job["cause"]
    assert job["state"] == "finished"


def test_a_prompt_of_a_megabyte_is_drawn_or_refused_in_a_sentence_and_never_slows_the_next(house: House) -> None:
    answer = house.post("/v1/jobs/txt2img", **SMALL | {"prompt": "a red (circle:1.1), " * 52_429, "steps": 1})
    if answer.status_code == 202:
        identity = answer.json()["id"]
        house.until(lambda: house.job(identity)["state"] != "waiting")
        # While it is read, the server answers.
        assert house.get("/sdapi/v1/progress")["progress"] >= 0
        job = house.ended(identity)
        assert job["state"] == "finished" or one_sentence(job["cause"]), job["cause"]
    else:
        assert one_sentence(str(answer.json()["detail"]))
    house.works()
