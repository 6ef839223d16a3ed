import dataclasses
import json
from typing import Any

from modules.prompt import ReadingOptions, Run, clip_tokenizer, read_prompt


def read(text: Any, steps: Any = 10, embeddings: Any = None, negative: Any = False, **options: Any) -> Any:
    return read_prompt(text, clip_tokenizer(), ReadingOptions(steps, **options), embeddings, negative)


def runs(text: Any, **options: Any) -> Any:
    return read(text, **options).parts[0].texts[0].chunks[0].runs


def kinds(reading: Any) -> Any:
    return [notice.kind for notice in reading.notices]


def test_weights_by_run() -> None:
    assert runs("a (cat:1.5) dog") == (Run("a", 1.0, 1), Run("cat", 1.5, 1), Run("dog", 1.0, 1))
    assert runs("(cat:1.5)", emphasis="Ignore") == (Run("cat", 1.0, 1),)


def test_chunks_and_counts() -> None:
    text = read("cat BREAK " + "dog " * 80).parts[0].texts[0]
    assert [chunk.length for chunk in text.chunks] == [1, 75, 5]
    assert (text.token_count, text.limit) == (155, 225)


def test_which_text_serves_which_call() -> None:
    texts = read("[cat:dog:0.5]").parts[0].texts
    assert [(text.text, text.calls) for text in texts] == [("cat", ((1, 6),)), ("dog", ((7, 10),))]
    texts = read("[cat|dog]", steps=5).parts[0].texts
    assert [(text.text, text.calls) for text in texts] == [("cat", ((1, 2), (4, 4))), ("dog", ((3, 3), (5, 5)))]


def test_a_text_that_is_never_reached() -> None:
    texts = read("[cat:dog:9]").parts[0].texts
    assert [(text.text, text.calls) for text in texts] == [("cat", ((1, 10),)), ("dog", ())]


def test_the_hires_pass() -> None:
    texts = read("[cat:dog:1.5]", hires_steps=4).parts[0].texts
    assert [(text.text, text.calls) for text in texts] == [("cat", ((1, 3),)), ("dog", ((4, 4),))]


def test_parts_tags_comments_and_embeddings() -> None:
    reading = read("cat :1.2 AND easynegative <lora:ink:1> # note", embeddings={"EasyNegative": 3, "other": 1})
    assert [part.weight for part in reading.parts] == [1.2, 1.0]
    assert [tag.name for tag in reading.tags] == ["ink"]
    assert reading.comments == ("note",)
    assert reading.embeddings == ("EasyNegative",)
    assert reading.parts[1].texts[0].chunks[0].runs == (Run("EasyNegative", 1.0, 3, embedding=True),)
    assert not reading.notices


def test_embeddings_side_by_side_are_two_runs() -> None:
    assert [run.tokens for run in runs("bad bad", embeddings={"bad": 2})] == [2, 2]


def test_kind_readings_are_reported() -> None:
    assert kinds(read("ratio 16:9")) == ["weight-without-and"]
    assert kinds(read("(a BREAK b:1.2)")) == ["break-in-brackets"]
    assert kinds(read("(a:1.2.3)")) == ["weight"]
    assert kinds(read("(a:1.2.3)", emphasis="None")) == []
    assert kinds(read("#ff0000")) == ["colour"]
    assert kinds(read("#ff0000", comments=False)) == []
    assert kinds(read("a | [b:c:5]")) == ["literal-brackets"]
    assert kinds(read("[a|b] (c:1.2.3)")) == ["weight"]


def test_a_negative_prompt_has_no_tags_and_no_parts() -> None:
    reading = read("a AND b:2 <lora:x:1>", negative=True)
    assert [part.weight for part in reading.parts] == [1.0]
    assert reading.tags == ()
    assert kinds(reading) == ["tag-in-negative"]


def test_it_is_plain_data() -> None:
    assert json.loads(json.dumps(dataclasses.asdict(read("[a|b] (c) <lora:x:te=1> AND d"))))["tags"][0]["name"] == "x"
