"""What pasted lines name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.downloads import DownloadError
from modules.downloads.addresses import ModelPlace, OnCivitai, OnHuggingFace, place_of

BASE = "https://huggingface.co/org/name-1.0"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("org/name-1.0", OnHuggingFace("org/name-1.0")),
        (" org/name-1.0/sub/x.safetensors\n", OnHuggingFace("org/name-1.0", "sub/x.safetensors")),
        (BASE, OnHuggingFace("org/name-1.0")),
        (f"{BASE}/", OnHuggingFace("org/name-1.0")),
        (f"{BASE}/tree/fp16/sub", OnHuggingFace("org/name-1.0", "sub", "fp16")),
        (f"{BASE}/blob/main/a%20b.safetensors", OnHuggingFace("org/name-1.0", "a b.safetensors")),
        (f"{BASE}/resolve/main/x.safetensors?download=true", OnHuggingFace("org/name-1.0", "x.safetensors")),
        ("huggingface.co/org/name-1.0", OnHuggingFace("org/name-1.0")),
        ("HTTPS://HuggingFace.co/org/name-1.0", OnHuggingFace("org/name-1.0")),
        ("https://civitai.com/models/4384/dreamshaper", OnCivitai(4384)),
        ("https://civitai.com/models/4384?modelVersionId=128713", OnCivitai(4384, 128713)),
        ("https://civitai.com/api/download/models/128713?type=Model&format=SafeTensor", OnCivitai(0, 128713)),
        ("civitai.com/models/4384", OnCivitai(4384)),
        ("urn:air:sdxl:checkpoint:civitai:101055@128078", OnCivitai(101055, 128078)),
        ("civitai:101055", OnCivitai(101055)),
    ],
)
def test_addresses_and_ids_are_read(text: str, place: ModelPlace) -> None:
    assert place_of(text) == place


@pytest.mark.parametrize(
    "text",
    [
        *("", "  ", "word", "12345", "a b/c", "../..", "x/../..", "https://huggingface.co/org", "a\nb/c"),
        *("https://huggingface.co/datasets/org/name", "https://huggingface.co/spaces/org/name"),
        *(
            "https://example.com/models/1",
            "https://user@huggingface.co/org/name",
            "https://huggingface.co:8443/org/name",
        ),
        *(
            "file:///etc/passwd",
            "ftp://huggingface.co/org/name",
            "https://[::1/x",
            "https://huggingface.co.evil.com/a/b",
        ),
        *("https://civitai.com/models/x", "https://civitai.com/models/٣", "https://civitai.com/images/5"),
        *("https://civitai.com/models/1?modelVersionId=-2", f"{BASE}/blob/main/..%2f..%2fx.safetensors", "a/b" * 1000),
    ],
)
def test_what_names_no_model_is_one_sentence(text: str) -> None:
    with pytest.raises(DownloadError) as raised:
        place_of(text)
    sentence = str(raised.value)
    assert len(sentence) < 400 and "\n" not in sentence and sentence.endswith(".")


@given(
    st.one_of(
        st.text(max_size=80), st.text(max_size=40).map(lambda text: f"https://huggingface.co/org/name/blob/{text}")
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        place = place_of(text)
    except DownloadError:
        return
    if isinstance(place, OnHuggingFace):
        assert ".." not in place.path.split("/") and place.repository.count("/") == 1
