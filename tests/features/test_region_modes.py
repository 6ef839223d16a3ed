"""Regional Prompter's modes Mask and Prompt: by colours, by a mask each, and where the model looks at a word."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
import torch
from PIL import Image
from pydantic import JsonValue

from modules.features.regional_prompter.declare import REGIONAL_PROMPTER
from modules.features.regions.colours import colour_share, region_hue
from modules.features.regions.plan.areas import Area, ColourPlace, Layout, Region, WordPlace
from modules.features.regions.run import region_shares
from modules.features.regions.words import word_shares
from modules.generation.module_hooks import attention_to_tokens
from modules.generation.pipeline import Pipeline
from modules.parameters import RequestError, parse_infotext, parse_request, request_from_infotext, write_infotext
from modules.parameters.job_options import EncodingOptions
from modules.parameters.resolved import resolve
from modules.settings.groups import read_options
from tests.features.test_regions import by_program, made, pipeline, words
from tests.sampling.doubles import latent

__all__ = ["pipeline"]  # the shared checkpoint

TITLE = REGIONAL_PROMPTER.title


def painted(colours: list[tuple[int, int, int]]) -> Image.Image:
    """A picture of 8 by 8 for each colour, side by side."""
    picture = Image.new("RGB", (8 * len(colours), 8))
    for number, colour in enumerate(colours):
        picture.paste(colour, (8 * number, 0, 8 * number + 8, 8))
    return picture


# Half saturated, half bright: red, cyan, yellow-green; then white.
EXTENSION = [(127, 63, 63), (63, 127, 127), (95, 127, 63), (255, 255, 255)]
PURE = [(255, 0, 0), (0, 255, 255), (128, 255, 0), (0, 0, 0)]


def test_hues_halve_the_circle_again_and_again() -> None:
    assert [region_hue(number) for number in range(6)] == [0, 1 / 2, 1 / 4, 3 / 4, 1 / 8, 3 / 8]


@pytest.mark.parametrize("colours", [EXTENSION, PURE], ids=["extension", "pure"])
def test_each_colour_is_its_region_after_jpeg_too(colours: list[tuple[int, int, int]]) -> None:
    buffer = io.BytesIO()
    painted(colours).save(buffer, "JPEG", quality=90)
    for picture in (painted(colours), Image.open(buffer)):
        for column, number in enumerate((0, 1, 2, None)):
            share = colour_share(picture, ColourPlace(number, 3))[0, 0]
            assert [float(share[1:7, 8 * n + 1 : 8 * n + 7].mean()) > 0.9 for n in range(4)] == [
                n == column for n in range(4)
            ]


def shares(layout: Layout | None, pictures: dict[str, Image.Image], cells: tuple[int, int]) -> torch.Tensor:
    assert layout is not None
    return region_shares(layout, cells, pictures.__getitem__)[:, 0]


def test_colours_of_one_picture_and_a_base_for_the_rest() -> None:
    picture = {"m": painted(EXTENSION)}
    values: dict[str, Any] = {"divide_mode": "Mask", "mask": "m", "base_ratios": "0.25"}
    found = shares(words("a beach ADDBASE red BREAK blue BREAK green", **values), picture, (1, 4))
    wanted = torch.tensor([[0.25, 0.25, 0.25, 1], [0.75, 0, 0, 0], [0, 0.75, 0, 0], [0, 0, 0.75, 0]])
    torch.testing.assert_close(found, wanted)
    with pytest.raises(ValueError, match="no region"):
        shares(words("red BREAK blue BREAK green", **values), picture, (1, 4))
    from_unit = words("a ADDBASE b BREAK c BREAK d", divide_mode="Mask", masks=[{"image": "m"}])
    assert torch.equal(shares(from_unit, picture, (1, 4))[1:] > 0, wanted[1:] > 0)


def test_a_mask_for_each_region() -> None:
    white, black = (255, 255, 255), (0, 0, 0)
    pictures = {"left": painted([white, black]), "right": painted([black, white]), "none": painted([black, black])}
    units = [{"image": "left"}, {"image": "none", "mask": "right"}]
    layout = words("x ADDCOMM red BREAK blue", divide_mode="Mask", masks=units)
    torch.testing.assert_close(shares(layout, pictures, (1, 2)), torch.eye(2))
    assert layout is not None and [one.text for one in layout.regions] == ["x, red", "x, blue"]
    base = words("a ADDBASE red BREAK blue", divide_mode="Mask", masks=[{"image": "left"}, {"image": "none"}])
    found = shares(base, pictures, (1, 2))
    assert found[0, 1] == 1 and found[0, 0] == pytest.approx(0.2, abs=1e-3)


def test_words_of_the_first_text_are_where_the_others_go() -> None:
    prompt = (
        "best ADDCOMM a girl, (dress:1.2), Red  Umbrella BREAK (red:1.7), (dress:0.5) BREAK (green:1.7), red umbrella"
    )
    layout = words(prompt, "n BREAK p BREAK q", divide_mode="Prompt", threshold="0.7,0.5", prompt_mode="Prompt-EX")
    assert layout is not None and layout.later_wins and layout.by_words
    assert [one.word for one in layout.regions] == [None, WordPlace("dress", 0.7), WordPlace("red umbrella", 0.5)]
    assert [one.text for one in layout.regions][1:] == [
        "best, (red:1.7), (dress:0.5)", "best, (green:1.7), red umbrella"
    ]  # fmt: skip
    assert [one.negative for one in layout.regions] == ["n", "p", "q"]
    as_it_is = words("a hat BREAK red, hat", divide_mode="Prompt", threshold="0")
    assert as_it_is is not None and as_it_is.regions[1].word == WordPlace("hat", 0.4)
    assert words("a hat", divide_mode="Prompt") is None


@pytest.mark.parametrize(
    ("prompt", "values", "sentence"),
    [
        ("a BREAK b", {"divide_mode": "Mask"}, "2 regions, and there are 0 masks"),
        ("a BREAK b BREAK c", {"divide_mode": "Mask", "masks": [{"image": "x"}] * 2}, "3 regions, and there are 2"),
        ("a hat BREAK red, coat", {"divide_mode": "Prompt"}, "ends with 'coat', which is not in the first part"),
        ("a hatter BREAK red, hat", {"divide_mode": "Prompt"}, "ends with 'hat', which"),
        ("a hat BREAK red,", {"divide_mode": "Prompt"}, "ends with '', which"),
        ("a hat BREAK red, hat", {"divide_mode": "Prompt", "threshold": "2"}, "the threshold '2' can't be read"),
        ("a hat BREAK red, hat", {"divide_mode": "Prompt", "calculation": "Latent"}, "choose the generation mode"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_sentence(prompt: str, values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RequestError, match=sentence) as error:
        words(prompt, **values)
    assert str(error.value).startswith("Regional Prompter: ") and str(error.value).count(". ") == 0


def test_places_of_words_share_or_the_later_one_wins() -> None:
    looked = torch.tensor([[[0.0, 5.0, 10.0, 6.0]], [[0.0, 0.0, 0.2, 0.1]]])
    regions = (Region("", (Area(),)), *(Region("", (), word=WordPlace("w", 0.5)) for _ in range(2)))
    shared = word_shares(looked, Layout(regions))[:, 0]
    torch.testing.assert_close(shared, torch.tensor([[1, 0, 0, 0], [0, 1, 0.5, 0.5], [0, 0, 0.5, 0.5]]))
    over = word_shares(looked, Layout(regions, later_wins=True))[:, 0]
    torch.testing.assert_close(over, torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]]))


def test_looking_is_attention_written_out(pipeline: Pipeline) -> None:
    attention: Any = next(module for name, module in pipeline.model.unet.named_modules() if name.endswith("attn2"))
    x, context = latent(2, 6, attention.to_q.in_features), latent(2, 77, attention.to_k.in_features)
    query, key = x @ attention.to_q.weight.T, context @ attention.to_k.weight.T
    width = query.shape[-1] // attention.heads
    wanted = torch.zeros(2, 6)
    for head in range(attention.heads):
        own = slice(head * width, (head + 1) * width)
        wanted += (query[..., own] @ key[..., own].mT / width**0.5).softmax(-1)[..., [3, 9]].sum(-1) / attention.heads
    with torch.no_grad():
        torch.testing.assert_close(attention_to_tokens(attention, x, context, (3, 9)), wanted)


def test_a_word_is_found_among_the_tokens_of_a_text(pipeline: Pipeline) -> None:
    options = read_options(EncodingOptions, {})
    find = pipeline.encoder.positions_of
    assert find("a red umbrella, a (red:1.3) hat", "red", options) == (2, 6)
    assert find("a red umbrella", "(red umbrella:0.5)", options) == (2, 3)
    assert find("a redder umbrella", "red", options) == () and find("", "red", options) == ()
    # Behind the first chunk's 77 places.
    assert find("a, " * 40 + "BREAK red", "red", options)[-1] >= 77 + 1


PROMPT_MODE: dict[str, Any] = {"active": True, "divide_mode": "Prompt"}


def test_a_region_of_the_same_text_changes_nothing_and_another_one_does(pipeline: Pipeline) -> None:
    plain = made(pipeline, {}, range(2), prompt="red", steps=5)
    same = made(pipeline, {TITLE: {**PROMPT_MODE, "threshold": "0.5"}}, range(2), prompt="red BREAK red", steps=5)
    torch.testing.assert_close(same, plain, atol=1e-3, rtol=0)
    # Of the highest value a millionth: all of the picture is the word's, from the fourth call on.
    everywhere = {TITLE: {**PROMPT_MODE, "threshold": "0.000001"}}
    whole = made(pipeline, everywhere, range(2), prompt="red BREAK blue, red", steps=5)
    edited = made(pipeline, {}, range(2), prompt="[red:blue, red:2]", steps=5)
    torch.testing.assert_close(whole, edited, atol=1e-3, rtol=0)
    assert not torch.allclose(whole, plain, atol=1e-2)


def test_each_picture_of_a_batch_has_its_own_places_in_tiles_too(pipeline: Pipeline) -> None:
    tiles = {"Tiled Diffusion": {"enabled": True, "tile_width": 16, "tile_height": 16, "overlap": 8, "batch_size": 1}}
    own = {TITLE: {**PROMPT_MODE, "threshold": "0.9"}}
    for scripts in (own, own | tiles):
        values: dict[str, Any] = {"prompt": "red BREAK blue, red", "negative_prompt": "x BREAK y", "steps": 4}
        together = made(pipeline, scripts, range(2), width=192, **values)
        alone = made(pipeline, scripts, range(1, 2), width=192, **values)
        torch.testing.assert_close(together[1], alone[0], atol=1e-3, rtol=0)


def test_programs_send_the_mask_as_a_picture_and_pictures_say_the_modes() -> None:
    args: list[JsonValue] = [
        *(True, False, "Mask", "Vertical", "Mask", "Prompt-EX", "1,1", "0.2", False, False, False, "Attention", False),
        *("0", "0", "0.7,0.5", "picture", "0", "0", False),
    ]  # fmt: skip
    request = parse_request({"seed": 3, "scripts": by_program(TITLE, args)})
    values = request.scripts[TITLE]
    assert (values["divide_mode"], values["mask"], values["threshold"]) == ("Mask", "picture", "0.7,0.5")
    text = write_infotext(resolve(request, options={}, rng=random.Random(0)), 0, {})
    assert "RP Divide mode: Mask" in text and "RP Prompt submode: Prompt-EX" in text and "picture" not in text
    pasted = request_from_infotext(parse_infotext(text), {})
    assert pasted.notices == () and pasted.fields["scripts"][TITLE] == {**values, "mask": ""}
