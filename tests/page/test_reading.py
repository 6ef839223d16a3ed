"""What the page shows of prompts, infotexts and pictures: right, and never as markup."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.catalogue.networks import NetworkList
from modules.families import Z_IMAGE
from modules.page.metadata_html import metadata_html
from modules.page.page import page_head
from modules.page.reading import LONGEST_READ, Typed, counters, reading_html
from modules.page.results import infotext_html
from modules.pictures import ImageMetadata
from modules.settings import OptionStore

TAG = re.compile(r"</?([a-z0-9]+)[^>]*>")
OURS = {"h2", "p", "div", "span", "sub", "ul", "li", "i", "br"}
MARKUP = st.text(alphabet="<>&\"'/ab=:()[]|,.1\n ", max_size=60)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Any:
    options = OptionStore(tmp_path_factory.mktemp("reading") / "config.json")
    files = tuple(SimpleNamespace(stem=name, path=Path(f"{name}.safetensors")) for name in ("ink", "pen"))
    catalogue = SimpleNamespace(networks=lambda kind: NetworkList(cast(Any, files if kind == "lora" else ())))
    catalogue.architecture = lambda checkpoint: checkpoint
    return SimpleNamespace(
        options=options,
        styles=SimpleNamespace(choose=lambda names: []),
        catalogue=catalogue,
        current_checkpoint=lambda: None,
    )


def typed(prompt: str, negative: str = "", steps: int = 20, sampler: str = "Euler") -> Typed:
    return Typed(prompt, negative, (), steps, sampler)


def text_of(html: str) -> str:
    return re.sub(r"<[^>]+>", " ", html)


def test_counters_count_the_longest_text(services: Any) -> None:
    counts = counters(services, typed("a [b:c d e:0.5]", "x " * 76))
    assert "4/75" in counts[0] and "76/150" in counts[1]


def test_weights_steps_parts_and_notices_are_shown(services: Any) -> None:
    html = reading_html(services, typed("a (red:1.3) [cat:dog:0.5] AND b :0.7 <lora:ink:0.8> <lora:gone:1>", "x"))
    shown = " ".join(text_of(html).split())
    for wanted in ("Part 1, weight 1", "Part 2, weight 0.7", "red 1.3", "steps 1–", "Extra network lora: ink (0.8)"):
        assert wanted in shown, shown
    assert "Negative prompt" in shown and "chunk 1, 3/75" in shown
    assert "gone (1): not found here" in shown and "ink (0.8): not found" not in shown


def test_two_calls_a_step_are_said_to_be_calls(services: Any) -> None:
    shown = " ".join(text_of(reading_html(services, typed("[cat:dog:0.5]", steps=4, sampler="Heun"))).split())
    assert "calls (two a step) 1–5" in shown and "calls (two a step) 6–8" in shown


def test_second_order_samplers_have_twice_the_calls() -> None:
    assert typed("a", sampler="Heun").calls == 40
    assert typed("a", sampler="no such sampler").calls == 20


def test_a_very_long_prompt_is_not_shown_but_counted(services: Any) -> None:
    assert "too long" in reading_html(services, typed("a " * LONGEST_READ))
    assert "1,000,000 characters" in counters(services, typed("a" * 1_000_000))[0]


@given(MARKUP, MARKUP)
def test_prompts_never_become_markup(prompt: str, negative: str) -> None:
    options = OptionStore(Path("no-such-folder") / "config.json")
    catalogue = SimpleNamespace(loras=tuple, hypernetworks=tuple)
    services: Any = SimpleNamespace(
        options=options,
        styles=SimpleNamespace(choose=lambda names: []),
        catalogue=catalogue,
        current_checkpoint=lambda: None,
    )
    assert set(TAG.findall(reading_html(services, typed(prompt, negative, steps=5)))) <= OURS


@given(MARKUP)
def test_infotexts_and_picture_texts_never_become_markup(text: str) -> None:
    assert set(TAG.findall(infotext_html(text))) <= OURS
    assert set(TAG.findall(metadata_html(ImageMetadata(text, {text: text}, 8, 8, "PNG")))) <= OURS


def test_the_head_takes_the_persons_own_style_sheet(tmp_path: Path) -> None:
    css = tmp_path / "user.css"
    assert "<style>" not in page_head(css)
    css.write_text("body { color: red } </style><script>x</script>")
    head = page_head(css)
    assert "color: red" in head and "</style><script>x" not in head


def test_the_texts_of_other_programs_are_laid_out_and_never_markup() -> None:
    graph = {
        "3": {"class_type": "KSampler", "inputs": {"seed": 42, "model": ["4", 0]}, "_meta": {"title": "<b>Sam</b>"}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "<img src=x>.safetensors"}},
    }
    items = {
        "prompt": json.dumps(graph),
        "workflow": json.dumps({"nodes": ["<script>alert(1)</script>"] * 100}),
        "invokeai_metadata": json.dumps({"positive_prompt": "a fox"}),
        "Title": "{ no JSON <i>",
    }
    shown = metadata_html(ImageMetadata("a fox", items, 8, 8, "PNG"))
    assert "<dt>#3 KSampler — &lt;b&gt;Sam&lt;/b&gt;</dt><dd>seed: 42; model: #4</dd>" in shown
    assert "ckpt_name: &lt;img src=x&gt;.safetensors" in shown
    assert "<details><summary>JSON, " in shown and "&quot;positive_prompt&quot;: &quot;a fox&quot;" in shown
    assert "{ no JSON &lt;i&gt;" in shown
    assert not any(tag in shown for tag in ("<script", "<img", "<b>", "<i>"))


def test_a_checkpoint_with_a_language_model_reads_texts_whole(services: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its counter has its own room, and the view shows the text without weights."""
    monkeypatch.setattr(services, "current_checkpoint", lambda: SimpleNamespace(family=Z_IMAGE))
    typed = Typed("a (red:1.2) <cat>", "", (), 4, "Euler")
    first, second = counters(services, typed)
    assert "/512<" in first and "how many of them count" in first and "/512<" in second
    shown = reading_html(services, typed)
    assert "a red &lt;cat&gt;" in shown and "/512</span>" in shown and "weights like (word:1.2) are left out" in shown
