import pytest

from modules.prompt import Style, clip_tokenizer, count_tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, 75)),
        ("a photo of a cat", (5, 75)),
        ("cat " * 75, (75, 75)),
        ("cat " * 76, (76, 150)),
        ("cat BREAK dog", (76, 150)),
        ("(cat:1.2), [dog]", (3, 75)),
        ("[cat:a small dog:0.5] sits", (4, 75)),
        ("cat AND a small dog", (3, 75)),
        ("cat <lora:ink:0.8>", (1, 75)),
        ("cat # not counted", (1, 75)),
        ("cat:1.2 AND dog", (1, 75)),
    ],
)
def test_counts(text: str, expected: tuple[int, int]) -> None:
    assert count_tokens(text, clip_tokenizer(), 20) == expected


def test_in_a_negative_prompt_and_is_a_word() -> None:
    assert count_tokens("cat AND dog", clip_tokenizer(), 20, negative=True) == (3, 75)


def test_styles_and_settings_count() -> None:
    style = [Style("s", "masterpiece, {prompt}", "ugly, blurry")]
    assert count_tokens("cat", clip_tokenizer(), 20, styles=style) == (3, 75)
    assert count_tokens("bad", clip_tokenizer(), 20, styles=style, negative=True) == (5, 75)
    assert count_tokens("(cat)", clip_tokenizer(), 20, emphasis="None") == (3, 75)
    assert count_tokens("cat # dog", clip_tokenizer(), 20, comments=False) == (3, 75)
    assert count_tokens("easynegative", clip_tokenizer(), 20, embeddings={"EasyNegative": 8}) == (8, 75)


def test_alternation_counts_its_longest_item() -> None:
    assert count_tokens("[cat|a small dog] sits", clip_tokenizer(), 150) == (4, 75)
