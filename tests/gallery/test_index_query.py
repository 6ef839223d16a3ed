"""The search language: what is found, what is said of what can't be understood, and that no text breaks it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.gallery.index.dates import span_of
from modules.gallery.index.query import LONGEST, Term, parse_search, term_at
from modules.gallery.index.service import PictureIndex
from modules.parameters.infotext_values import printable
from modules.settings import Flags, OptionStore, Paths
from tests.gallery.pictures import infotext, write_picture

PICTURES = {
    "ink": infotext("Ink drawing of a Castle, 城と猫", "blurry, low quality", seed=7, steps=20),
    "photo": infotext("photo of a cat 🐈, Straße", "ink", seed=2**53 + 1, steps=30, Clip_skip=2),
    "net": infotext("sketch <lora:pen_v2:0.7>", seed=9, steps=8, ControlNet_0="Module: canny", Hires_upscale=2),
    "bare": "",
}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PictureIndex]:
    data = tmp_path_factory.mktemp("query")
    paths = Paths.from_flags(Flags(data_dir=data))
    for number, (name, text) in enumerate(PICTURES.items()):
        folder = data / "outputs" / ("Räume" if name == "net" else "txt2img-images")
        when = datetime(2026, 10, 3 + number, 12).timestamp()
        write_picture(folder / f"{name}.png", text, size=(64 + 1000 * number, 64), when=when)
    made = PictureIndex(paths, OptionStore(paths.config_file))
    made.start()
    assert made.wait_until_settled()
    made.marks.mark([picture.content for picture in made.search.page("castle").pictures], rating=4, add_tags=["B/W"])
    yield made
    made.close()


def found(index: PictureIndex, q: str) -> set[str]:
    return {Path(picture.name).stem for picture in index.search.page(q).pictures}


@pytest.mark.parametrize(
    ("q", "wanted"),
    [
        ("CASTLE drawing", "ink"),
        ('"drawing of a castle"', "ink"),
        ('"castle drawing"', ""),
        ("ink", "ink photo"),
        ("ink -photo", "ink"),
        ('-"drawing of" -cat', "net bare"),
        ("猫", "ink"),
        ("城と猫", "ink"),
        ("🐈", "photo"),
        ("strasse", ""),
        ("STRASSE", ""),
        ("straße", "photo"),
        ("negative:ink", "photo"),
        ("prompt:ink", "ink"),
        ("<lora:pen", "net"),
        ("(castle:1.2)", ""),
        ("lora:pen_v2", "net"),
        ("model:ani", "ink photo net"),
        ("model:=ani", ""),
        ('model:"anime"', "ink photo net"),
        ('sampler:"euler a"', "ink photo net"),
        ("sampler:euler_a steps:20", "ink"),
        ("steps:>=20", "ink photo"),
        ("steps:8..20", "ink net"),
        ("steps:..20", "ink net"),
        ("-steps:20", "photo net bare"),
        ("cfg:7", "ink photo net"),
        (f"seed:{2**53 + 1}", "photo"),
        (f"seed:{2**53}", ""),
        ("seed:7", "ink"),
        ("size:>=1024", "photo net bare"),
        ("size:2064x64", "net"),
        ("height:64 width:<100", "ink"),
        ("clip_skip:2", "photo"),
        ('"Clip skip":>1', "photo"),
        ("Hires_upscale:2", "net"),
        ("has:controlnet", "net"),
        ("has:hires", "net"),
        ("-has:infotext", "bare"),
        ("date:2026", "ink photo net bare"),
        ("date:2026-10-04", "photo"),
        ("date:2026-10-04..2026-10-05", "photo net"),
        ("date:>2026-10-04", "net bare"),
        ("date:<=2026-10-03", "ink"),
        ("rating:>=4", "ink"),
        ("rating:0", "photo net bare"),
        ("tag:b/w", "ink"),
        ("has:tags", "ink"),
        ("folder:RÄUME", "net"),
        ("name:NET", "net"),
        ("program:web", "ink photo net"),
        ("in:trash", ""),
        ("modle:x castle", "ink"),
        ("seed:many castle", "ink"),
        ('castle "', "ink"),
        ("model: castle", "ink"),
    ],
)
def test_what_a_search_finds(index: PictureIndex, q: str, wanted: str) -> None:
    assert found(index, q) == set(wanted.split())


@pytest.mark.parametrize(
    ("q", "sentence"),
    [
        ("modle:x", "No picture has a field 'modle': did you mean model or "),
        ("zzzzqq:x", "No picture has a field 'zzzzqq'; the box completes the names"),
        ("steps:..", "steps: says nothing yet"),
        ("seed:abc", "seed: takes a number, as in seed:20 or seed:>=20, not 'abc'."),
        ("date:soon", "date: takes a year, month or day"),
        ("in:attic", "in:attic is no place: there is in:trash."),
        ("is:nice", "is:nice is nothing a picture can be"),
        ("name:>a", "name: is a text, which is neither larger nor smaller"),
        ("has:wings", "No picture has 'wings'"),
        ("model:", "model: says nothing yet"),
        ("a " * 60, "Only the first 40 conditions"),
    ],
)
def test_what_is_not_understood_is_said(index: PictureIndex, q: str, sentence: str) -> None:
    explained = index.search.page(q).explained
    assert explained is not None and explained.startswith(sentence)


PIECES = st.sampled_from(
    ["-", '"', ":", "..", ">=", "<", "=", " ", "model", "steps", "date", "rating", "in:trash", "has", "tag", "*", "'"]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=14).map("".join)


@given(TEXTS)
def test_any_text_is_a_search(index: PictureIndex, q: str) -> None:
    page = index.search.page(q)
    assert page.total == len(page.pictures) <= 4
    index.search.facets(q)
    index.complete(q, len(q) // 2)


@given(st.one_of(st.text(min_size=1, max_size=5), st.sampled_from(["ink", "steps:20", "rating:4", "lora:pen"])))
def test_a_condition_and_its_opposite_find_everything(index: PictureIndex, text: str) -> None:
    terms = parse_search(text)
    if len(terms) != 1 or terms[0].without or terms[0].field == "in" or index.search.page(text).explained:
        return
    # The sign stands right before the term, which blanks of any kind may precede.
    plain, start = printable(text), terms[0].start
    opposite = f"{plain[:start]}-{plain[start:]}"
    assert found(index, text) | found(index, opposite) == set(PICTURES)
    assert not found(index, text) & found(index, opposite)


@given(TEXTS)
def test_terms_stand_where_they_say(q: str) -> None:
    for term in parse_search(q):
        assert 0 <= term.start < term.end <= min(len(q), LONGEST)
        assert term_at(q, term.start) is not None


def test_a_term_of_every_part() -> None:
    (term,) = parse_search('-"Clip skip":2..4')
    assert term == Term("2", "Clip skip", "", "4", True, False, 0, 17)
    assert [(one.value, one.quoted) for one in parse_search('a "b c" d"e')] == [
        ("a", False),
        ("b c", True),
        ('d"e', False),
    ]


def test_reading_is_linear() -> None:
    for hard in ('"' * LONGEST, "a:" * (LONGEST // 2), "-" * LONGEST, ".." * LONGEST, "a" * 10**6):
        begun = time.process_time()
        parse_search(hard)
        assert time.process_time() - begun < 1


def test_spans_of_dates() -> None:
    day = datetime(2026, 12, 31)
    assert span_of("2026-12") == (datetime(2026, 12, 1).timestamp(), datetime(2027, 1, 1).timestamp())
    assert span_of("today", day) == (day.timestamp(), datetime(2027, 1, 1).timestamp())
    assert [span_of(text) for text in ("2026-13", "2026-02-30", "0000", "10000", "", "x")] == [None] * 6
