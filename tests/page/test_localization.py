"""Languages: every text of the page is in each shipped file, and a bad file leaves the page English."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from modules.page.language_texts import page_texts
from modules.page.localization import (
    localization_names,
    localization_script,
    read_localization,
    translate_choices,
)
from modules.settings import REPOSITORY

SHIPPED = REPOSITORY / "localizations"


def test_texts_are_found_where_they_are_written() -> None:
    texts = page_texts()
    assert len(texts) > 600
    expected = {
        "Sampling steps",  # a parameter
        "Quality of JPEG, AVIF and lossy WebP",  # a setting
        "Live previews",  # a section
        "Clear prompt",  # a tooltip
        "Apply {} changes",  # a script's template
        "Resize and fill",  # a choice
        "There is no picture to send yet.",  # a refusal
        "This is the demo checkpoint",  # markup
        "The setting {} takes {}, not {}.",  # a refusal of another room
    }
    assert expected <= set(texts)


@pytest.mark.parametrize("name", localization_names([SHIPPED]))
def test_a_shipped_language_has_every_text_of_the_page(name: str) -> None:
    texts = read_localization([SHIPPED], name)
    missing = [text for text in page_texts() if text not in texts]
    assert not missing, f"localizations/{name}.json lacks a translation of: {json.dumps(missing, ensure_ascii=False)}"
    holes = [text for text, translation in texts.items() if text.count("{}") != translation.count("{}")]
    assert not holes, f"localizations/{name}.json fills in more or less than the English text of: {holes}"


def test_a_second_language_is_shipped() -> None:
    assert localization_names([SHIPPED]) == ["de_DE"]


def test_a_persons_own_file_goes_first(tmp_path: Path) -> None:
    (tmp_path / "de_DE.json").write_text('\ufeff{"Seed": "Saat", "Width": "", "Height": 3}', "utf-8")
    assert read_localization([tmp_path, SHIPPED], "de_DE") == {"Seed": "Saat"}


@pytest.mark.parametrize("content", ["{", "[]", '"x"', ""])
def test_a_bad_file_leaves_the_page_english(tmp_path: Path, content: str) -> None:
    (tmp_path / "xx.json").write_text(content)
    assert read_localization([tmp_path], "xx") == {} == read_localization([tmp_path], "yy")
    assert localization_script({}, "xx") == ""


def test_no_text_ends_the_script_that_carries_it() -> None:
    script = localization_script({"a": "</script><script>alert(1)"}, "xx")
    assert script.count("</script>") == 1 and script.endswith("</script>")


def test_entries_of_dropdown_lists_are_shown_translated_and_sent_as_they_are() -> None:
    """As Gradio describes the components to browsers; tests/browser/test_settings.py looks at the page itself."""
    entries = [("Just resize", "Just resize"), ("mine.safetensors", "mine.safetensors")]
    lists: list[dict[str, Any]] = [
        {"type": "dropdown", "props": {"elem_id": "resize_mode", "choices": entries}},
        {"type": "dropdown", "props": {"elem_id": "txt2img_styles", "choices": entries}},
        {"type": "slider", "props": {}},
    ]
    translate_choices(lists, {"Just resize": "Nur skalieren"})
    assert lists[0]["props"]["choices"] == [("Nur skalieren", "Just resize"), entries[1]]
    assert lists[1]["props"]["choices"] == entries and lists[2]["props"] == {}
