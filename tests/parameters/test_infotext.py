"""Reading infotext: A1111's examples and rules, what older and other programs wrote, and anything at all."""

import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.parameters import parse_infotext
from modules.parameters.infotext_versions import parse_version, split_old_sampler
from tests.amounts import amount, some

DEFAULTS = {
    "Clip skip": "1",
    "Hires resize-1": 0,
    "Hires resize-2": 0,
    "Hires sampler": "Use same sampler",
    "Hires schedule type": "Use same scheduler",
    "Hires checkpoint": "Use same checkpoint",
    "Hires prompt": "",
    "Hires negative prompt": "",
    "Mask mode": "Inpaint masked",
    "Masked content": "original",
    "Inpaint area": "Whole picture",
    "Masked area padding": 32,
    "RNG": "GPU",
    "Schedule type": "Automatic",
    "Schedule max sigma": 0,
    "Schedule min sigma": 0,
    "Schedule rho": 0,
    "VAE Encoder": "Full",
    "VAE Decoder": "Full",
    "FP8 weight": "Disable",
    "Refiner switch by sampling steps": False,
}


def read(text: str) -> dict[str, object]:
    """What the text itself says: everything but the defaults."""
    return {key: value for key, value in parse_infotext(text).items() if DEFAULTS.get(key) != value}


def test_plain_sd1() -> None:
    text = """a lighthouse on a cliff, (storm:1.2), oil painting
Negative prompt: blurry, lowres
Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 1234567890, Size: 512x512, Model hash: \
6ce0161689, Model: v1-5-pruned-emaonly, Version: v1.10.1"""
    said = {
        "Prompt": "a lighthouse on a cliff, (storm:1.2), oil painting",
        "Negative prompt": "blurry, lowres",
        "Steps": "20",
        "Sampler": "Euler a",
        "CFG scale": "7",
        "Seed": "1234567890",
        "Size-1": "512",
        "Size-2": "512",
        "Model hash": "6ce0161689",
        "Model": "v1-5-pruned-emaonly",
        "Version": "v1.10.1",
        "Emphasis": "Original",
    }
    assert parse_infotext(text) == DEFAULTS | said


def test_hires_lora_and_clip_skip() -> None:
    said = read("""1girl, <lora:inkStyle:0.8>, garden
Negative prompt: EasyNegative
Steps: 28, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 42, Size: 512x768, Model hash: a1b2c3d4e5, \
Model: animeMix_v3, VAE hash: 63aeecb90f, VAE: vae-ft-mse-840000-ema-pruned.safetensors, Denoising strength: 0.45, \
Clip skip: 2, Hires upscale: 1.5, Hires steps: 12, Hires upscaler: R-ESRGAN 4x+, Lora hashes: "inkStyle: \
0f1e2d3c4b5a", TI hashes: "EasyNegative: c74b4e810b03", Version: v1.10.1""")
    assert said["Schedule type"] == "Karras" and said["Clip skip"] == "2" and said["Hires upscale"] == "1.5"
    assert said["Lora hashes"] == "inkStyle: 0f1e2d3c4b5a" and said["TI hashes"] == "EasyNegative: c74b4e810b03"
    assert said["Hires upscaler"] == "R-ESRGAN 4x+" and said["VAE"] == "vae-ft-mse-840000-ema-pruned.safetensors"
    assert "Emphasis" not in said and "Hires resize-1" not in said


def test_inpaint_only_masked() -> None:
    said = read("""red door
Steps: 30, Sampler: DPM++ SDE, Schedule type: Karras, CFG scale: 7, Seed: 99, Size: 768x768, Model hash: 1122334455, \
Model: inpaintModel, Denoising strength: 0.75, Conditional mask weight: 1.0, Mask blur: 8, Inpaint area: Only masked, \
Masked area padding: 48, Masked content: fill, Version: v1.9.4""")
    assert [said[k] for k in ("Mask blur", "Inpaint area", "Masked area padding", "Masked content")] == [
        "8",
        "Only masked",
        "48",
        "fill",
    ]
    assert said["Conditional mask weight"] == "1.0" and said["Negative prompt"] == ""


def test_old_style_before_1_0() -> None:
    said = read("""castle
Steps: 50, Sampler: DPM++ 2S a Karras, CFG scale: 12, Seed: 7, Size: 1024x1024, Model hash: 7460a6fa, Denoising \
strength: 0.7, First pass size: 0x0, Eta: 0.67, ENSD: 31337""")
    assert (said["Size-1"], said["Size-2"]) == (512, 512)
    assert (said["Hires resize-1"], said["Hires resize-2"]) == (1024, 1024)
    assert said["Sampler"] == "DPM++ 2S a Karras" and "Schedule type" not in said
    assert said["Eta"] == "0.67" and said["ENSD"] == "31337" and said["First pass size-1"] == "0"


def test_variation_noise_source_and_quotes() -> None:
    said = read("""city [day:night:0.5]
Negative prompt: fog
Steps: 25, Sampler: DPM++ 2M SDE, Schedule type: Exponential, CFG scale: 5, Seed: 10, Size: 1024x1024, Model hash: \
31e35c80fc, Model: sd_xl_base_1.0, Variation seed: 55, Variation seed strength: 0.15, Seed resize from: 832x1216, \
RNG: CPU, Hires prompt: "city, neon: night", NGMS: 2.5, Version: v1.10.1""")
    assert said["Hires prompt"] == "city, neon: night" and said["RNG"] == "CPU" and said["NGMS"] == "2.5"
    assert (said["Seed resize from-1"], said["Seed resize from-2"]) == ("832", "1216")
    assert said["Emphasis"] == "Original" and "Old prompt editing timelines" not in said


def test_sdxl_refiner() -> None:
    said = read("""portrait
Steps: 30, Sampler: Euler, Schedule type: SGM Uniform, CFG scale: 7, Seed: 3, Size: 1024x1024, Model hash: \
31e35c80fc, Model: sd_xl_base_1.0, Refiner: sd_xl_refiner_1.0 [7440042bbd], Refiner switch at: 0.8, Version: v1.10.1""")
    assert said["Refiner"] == "sd_xl_refiner_1.0 [7440042bbd]" and said["Refiner switch at"] == "0.8"


def test_civitai_json_stays_whole() -> None:
    resources = (
        '[{"type":"checkpoint","modelVersionId":123456,"modelName":"Some XL","modelVersionName":"v1"},'
        '{"type":"lora","weight":0.8,"modelVersionId":654321,"modelName":"Ink","modelVersionName":"v2"}]'
    )
    said = read(f"""masterpiece, forest spirit
Negative prompt: worst quality
Steps: 25, CFG scale: 4, Sampler: Euler a, Seed: 881234, Size: 832x1216, Clip skip: 2, Created Date: \
2024-11-02T1830:11.1234567Z, Civitai resources: {resources}, Civitai metadata: {{}}""")
    assert said["Civitai resources"] == resources and said["Civitai metadata"] == "{}"
    assert said["Created Date"] == "2024-11-02T1830:11.1234567Z" and said["Clip skip"] == "2"


def test_forge_and_the_hashes_of_the_civitai_extension() -> None:
    said = read("""fox
Steps: 20, Sampler: Euler, Schedule type: Simple, CFG scale: 1, Distilled CFG Scale: 3.5, Seed: 5, Size: 896x1152, \
Model hash: 99aabbccdd, Model: flux1-dev-bnb-nf4, Hashes: {"model": "99aabbccdd", "lora:ink": "0f1e2d3c4b"}, \
ControlNet 0: "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 1", Version: \
f2.0.1v1.10.1-previous-669-gdfdcbab6""")
    assert said["Hashes"] == '{"model": "99aabbccdd", "lora:ink": "0f1e2d3c4b"}'
    assert said["ControlNet 0"] == "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 1"
    assert said["Distilled CFG Scale"] == "3.5" and str(said["Version"]).startswith("f2.0.1")


LINE = "Steps: 20, Sampler: Euler a, CFG scale: 7"


@pytest.mark.parametrize(
    ("text", "prompt", "negative"),
    [
        ("", "", ""),
        ("just a prompt", "just a prompt", ""),
        ("x\nSteps: 20, Sampler: Euler a", "x\nSteps: 20, Sampler: Euler a", ""),
        (LINE, "", ""),
        (f"x\r\nNegative prompt: y\r\n{LINE}\r\n", "x", "y"),
        (f"  a  \n\n b \n{LINE}", "a\n\nb", ""),
        (f"a\nNegative prompt: b\nc\nNegative prompt: d\n{LINE}", "a", "b\nc\nd"),
        (f"a Negative prompt: b\n{LINE}", "a Negative prompt: b", ""),
        (f"Negative prompt:\n{LINE}", "", ""),
        (f"x\n{LINE}\nafterword", "x", ""),
    ],
)
def test_where_the_prompts_are(text: Any, prompt: str, negative: str) -> None:
    said = parse_infotext(text)
    assert (said["Prompt"], said["Negative prompt"]) == (prompt, negative)


@pytest.mark.parametrize(
    ("pair", "values"),
    [
        ("Key: value", {"Key": "value"}),
        ("Key:value", {"Key": "value"}),
        ("K: value", {}),
        ("A key-with/marks 2: v", {"A key-with/marks 2": "v"}),
        ("Nota(key): v", {}),
        ("Key: ", {}),
        ('Key: ""', {"Key": ""}),
        ('Key: "a, b: \\"c\\"\\nd"', {"Key": 'a, b: "c"\nd'}),
        ('Key: "unended, x', {"Key": '"unended'}),
        ('Key: "a" b', {"Key": '"a" b'}),
        ('Key: "bad \\x escape"', {"Key": '"bad \\x escape"'}),
        ("Key: 12x34", {"Key-1": "12", "Key-2": "34"}),
        ("Key: 12x34x5", {"Key": "12x34x5"}),
        ('Key: "12x34"', {"Key": "12x34"}),
        ("Key: [1, 2", {"Key": "[1"}),
        ("Key: [1, 2] and more, x", {"Key": "[1"}),
        ('Key: {"a": [1, {"b": "},]"}]}', {"Key": '{"a": [1, {"b": "},]"}]}'}),
        ("Ключ: значение", {"Ключ": "значение"}),
        ('Key: "\\ud800"', {"Key": "\ufffd"}),
        ("Key: a, Key: b", {"Key": "b"}),
    ],
)
def test_pairs(pair: str, values: dict[str, Any]) -> None:
    base = parse_infotext(f"x\n{LINE}")
    said = parse_infotext(f"x\n{LINE}, {pair}")
    assert {key: value for key, value in said.items() if base.get(key) != value} == values


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v1.10.1", ((1, 10, 1), 0)),
        ("1.6.0", ((1, 6), 0)),
        ("v1.7.0-225-gabcdef", ((1, 7), 225)),
        ("v1.10.1-12-gabc", ((1, 10, 1), 12)),
        ("f2.0.1v1.10.1-previous-669-gdfdcbab6", None),
        ("ComfyUI", None),
        ("", None),
        ("v" + "1" * 5000, None),
    ],
)
def test_versions(text: str, version: tuple[tuple[int, int, int], int] | tuple[tuple[int, int], int] | None) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("prompt", "extra", "turned_on"),
    [
        ("[a:b:2]", "Version: v1.5.2", {"Old prompt editing timelines", "Downcast alphas_cumprod"}),
        ("a", "Version: v1.5.2", {"Downcast alphas_cumprod"}),
        ("a", "Sampler: DDIM, Version: v1.5.2", {"Pad conds v0", "Downcast alphas_cumprod"}),
        ("[a:b:2]", "Version: v1.6.0", {"Downcast alphas_cumprod"}),
        ("a", "Version: v1.7.0-224-gabc", {"Downcast alphas_cumprod"}),
        ("a", "Version: v1.7.0-225-gabc", set()),
        ("a", "Refiner: x, Version: v1.7.0-300-gabc", {"Refiner switch by sampling steps"}),
        ("a", "Refiner: x, Version: v1.8.0", set()),
        ("[a:b:2]", "Version: v1.10.1", set()),
        ("[a:b:2]", "Extra: 1", set()),
        ("[a:b:2]", "Version: f2.0.1v1.10.1-previous-669-gdfdcbab6", set()),
    ],
)
def test_behaviour_of_old_versions(prompt: str, extra: str, turned_on: Any) -> None:
    said = parse_infotext(f"{prompt}\n{LINE}, {extra}")
    assert {key for key, value in said.items() if value is True} == turned_on
    plain = parse_infotext(f"{prompt}\n{LINE}, {extra}", backcompat=False)
    assert True not in plain.values()


@pytest.mark.parametrize(
    ("sampler", "schedule", "read_as"),
    [
        ("DPM++ 2M Karras", None, ("DPM++ 2M", "Automatic")),
        ("Euler Karras", None, ("Euler", "Karras")),
        ("DPM++ 2M SDE Exponential", None, ("DPM++ 2M SDE", "Automatic")),
        ("DPM++ 2M SDE Karras", "Automatic", ("DPM++ 2M SDE", "Karras")),
        ("Euler a", "Karras", ("Euler a", "Karras")),
        ("DPM++ 2M", "Karras", ("DPM++ 2M", "Karras")),
        ("Unheard of Karras", None, ("Unheard of Karras", "Automatic")),
        ("Euler Karras", "Nonsense", ("Euler", "Karras")),
    ],
)
def test_old_sampler_names_are_read_as_written_and_resolved_for_the_fields(
    sampler: str, schedule: str | None, read_as: tuple[str, str]
) -> None:
    extra = f", Schedule type: {schedule}" if schedule else ""
    said = parse_infotext(f"a\nSteps: 20, Sampler: {sampler}{extra}, CFG scale: 7")
    assert (said["Sampler"], said["Schedule type"]) == (sampler, schedule or "Automatic")
    resolved = {key: str(value) for key, value in said.items()}
    split_old_sampler(resolved)
    assert (resolved["Sampler"], resolved["Schedule type"]) == read_as


@pytest.mark.parametrize(
    ("sizes", "first", "final"),
    [
        ("Size: 1024x768, First pass size: 512x384", (512, 384), (1024, 768)),
        ("Size: 1024x768, First pass size: 0x0", (640, 448), (1024, 768)),
        ("Size: 512x512, First pass size: 0x0", (512, 512), (512, 512)),
        ("Size: 512x512", (512, 512), (0, 0)),
        ("Size: 0x0, First pass size: 0x0", (0, 0), (0, 0)),
    ],
)
def test_hires_before_1_0(sizes: str, first: tuple[int, int], final: tuple[int, int]) -> None:
    said = parse_infotext(f"a\n{LINE}, {sizes}")
    assert (int(said["Size-1"]), int(said["Size-2"])) == first
    assert (said["Hires resize-1"], said["Hires resize-2"]) == final


def test_hypernetworks_become_tags() -> None:
    said = parse_infotext(f"a cat\n{LINE}, Hypernet: anime, Hypernet strength: 0.8")
    assert said["Prompt"] == "a cat<hypernet:anime:0.8>"
    assert parse_infotext(f"a cat\n{LINE}, Hypernet: anime")["Prompt"] == "a cat<hypernet:anime:1.0>"


@pytest.mark.parametrize(
    ("said", "behind"),
    [
        ("AddNet Module 1: LoRA, AddNet Model 1: ink(0123456789ab), AddNet Weight A 1: 0.8", "\n<lora:ink:0.8>"),
        ("AddNet Module 1: LoRA, AddNet Model 1: ink (v2)", "\n<lora:ink (v2):1.0>"),
        (
            "AddNet Module 1: LoRA, AddNet Model 1: ink(ab12), AddNet Weight A 1: 1, "
            "AddNet Module 2: LoRA, AddNet Model 2: oil(cd34), AddNet Weight A 2: -0.5",
            "\n<lora:ink:1><lora:oil:-0.5>",
        ),
        ("AddNet Module 1: LoCon, AddNet Model 1: ink(0123456789ab)", ""),
        ("AddNet Model 1: ink(0123456789ab)", ""),
        ("AddNet Module 1: LoRA, AddNet Model 1: a>b(0123456789ab)", ""),
    ],
)
def test_loras_of_the_extension_additional_networks_become_tags(said: str, behind: str) -> None:
    assert parse_infotext(f"a cat\n{LINE}, {said}")["Prompt"] == f"a cat{behind}"


@pytest.mark.parametrize(
    ("prompt", "emphasis"),
    [
        ("(a)", True),
        ("[a]", True),
        ("\\(a\\)", False),
        ("\\\\(a)", True),
        ("a) b]", False),
        ("a BREAK b", False),
        ("(a:1.0)", False),
        ("()", False),
        ("[a", True),
        ("((a:1.0))", True),
        ("(a\\):1.0)", False),
        ("(a:1.5", True),
    ],
)
def test_emphasis_is_filled_in_where_the_prompt_uses_it(prompt: str, emphasis: bool) -> None:
    assert ("Emphasis" in parse_infotext(f"{prompt}\n{LINE}")) is emphasis
    assert ("Emphasis" in parse_infotext(f"a\nNegative prompt: {prompt}\n{LINE}")) is emphasis
    assert parse_infotext(f"{prompt}\n{LINE}, Emphasis: No norm")["Emphasis"] == "No norm"


LENGTH = amount(100_000, 1_000_000)
NASTY = [
    "a",
    ":",
    "a:",
    "a: ",
    ", ",
    'ab:"',
    'ab:"\\',
    'ab: "x\\",',
    "ab:[",
    'ab:["',
    'ab:[",',
    'ab:{"c":[',
    "ab:[1,",
    "ab c-/",
    "(",
    "[",
    "\\",
    "\n",
    "\r\n",
    "Negative prompt:",
    "\nNegative prompt: x",
    "Size: 9x",
    "9",
    "x",
    "\ud800",
    "é: ",
    'ab:"x,',
    "ab:[[",
    "a, b: c, ",
    "{",
    '{"a":',
    "\t",
    "\0",
    "BREAK ",
    "Steps: 1, ",
    "<lora:a:1>",
    "-",
    " ",
]


@pytest.mark.parametrize("unit", some(NASTY, 10))
def test_a_long_text_of_anything_is_read_in_linear_time(unit: Any) -> None:
    text = f"x\n{LINE}, " + unit * (LENGTH // len(unit))
    start = time.process_time()
    parse_infotext(text)
    parse_infotext(unit * (LENGTH // len(unit)))
    assert time.process_time() - start < 4.0


def test_nasty_texts_never_raise() -> None:
    rng = random.Random(20261121)
    pieces = [
        *NASTY,
        LINE,
        "Version: v1.5.0",
        "First pass size: 0x0",
        "Size: 512x768",
        "Hypernet: a",
        "Sampler: Euler Karras",
        "Schedule type: ",
        "Refiner: a",
        'Hashes: {"a": 1}',
        "1" * 5000,
        "Negative prompt: b\n",
        "\u2028",
        "\x0b",
    ]
    keys = {"Prompt", "Negative prompt", *DEFAULTS}
    for _ in range(amount(5_000, 50_000)):
        text = "".join(rng.choice(pieces) for _ in range(rng.randrange(12)))
        said = parse_infotext(text)
        assert keys <= said.keys()
        assert all(isinstance(value, str | int) for value in said.values())


@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_text_can_be_read_and_stored(text: str) -> None:
    for candidate in (text, f"x\n{LINE}, {text}"):
        for key, value in parse_infotext(candidate).items():
            (key + str(value)).encode("utf-8")


def test_lines_behind_the_parameters_are_no_prompt() -> None:
    behind = "Template: a {red|blue} fox, (x: y, z: w, v: u)\nwith more\nNegative Template: fog"
    said = parse_infotext(f"a red fox\nNegative prompt: fog\n{LINE}\n{behind}")
    assert (said["Prompt"], said["Negative prompt"]) == ("a red fox", "fog")
    assert (said["Steps"], said["CFG scale"]) == ("20", "7")
    assert said["Template"] == "a {red|blue} fox, (x: y, z: w, v: u)\nwith more"
    assert said["Negative Template"] == "fog"


def test_a_text_without_a_key_behind_the_parameters_is_a_note() -> None:
    said = parse_infotext(f"a\n{LINE}\nmy favourite\nof all\nTemplate: b")
    assert (said["Note"], said["Template"], said["Prompt"]) == ("my favourite\nof all", "b", "a")


def test_a_prompt_that_quotes_parameters_ends_before_the_last_of_them() -> None:
    said = parse_infotext(f"a\nSteps: 1, Sampler: Heun, CFG scale: 1\nb\n{LINE}")
    assert said["Prompt"] == "a\nSteps: 1, Sampler: Heun, CFG scale: 1\nb" and said["Steps"] == "20"
