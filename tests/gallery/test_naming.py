"""Names from patterns: every token of A1111, and everything that must not get into a path."""

import hashlib
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modules.files import SaveError
from modules.gallery import NameFacts, apply_pattern, name_facts, sanitize
from modules.gallery.name_facts import facts_of_infotext
from modules.gallery.naming import below, file_stem, largest_number, subfolder
from modules.gallery.sanitizing import avoid_device
from modules.gallery.stems import Cut, Piece, Stem, stem_of
from modules.parameters import parse_infotext

NOW = datetime(2026, 11, 21, 21, 30, 5, tzinfo=UTC)
FACTS = NameFacts(
    now=NOW,
    started=datetime(2026, 11, 21, 21, 29, 0),
    prompt="A cat, (sitting:1.2) on a mat",
    negative_prompt="dog",
    seeds=(10, 11, 12, 13),
    index=2,
    steps=25,
    cfg_scale=7.5,
    width=640,
    height=512,
    sampler="DPM++ 2M",
    scheduler="Karras",
    styles=("film", "None", "a/b"),
    model_name="anime.v3",
    model_hash="0123456789",
    vae="folder/kl.f8.pt",
    batch_size=2,
    batch_count=2,
    clip_skip=2,
    denoising=0.5,
    user="me",
    basename="scan",
    pixels_hash=lambda: "ab" * 32,
)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("[seed]", "12"),
        ("[SEED]", "12"),
        ("[seed_first]-[seed_last]", "10-13"),
        ("[steps] [cfg]", "25 7.5"),
        ("[width]x[height]", "640x512"),
        ("[styles]", "film, a_b"),
        ("[sampler]", "DPM++ 2M"),
        ("[scheduler]", "Karras"),
        ("[sampler_scheduler]", "DPM++ 2M Karras"),
        ("[model_name]@[model_hash]", "anime.v3@0123456789"),
        ("[vae_filename]", "kl"),
        ("[date]", "2026-11-21"),
        ("[datetime]", "20261121213005"),
        ("[datetime<%Y/%m %H:%M>]", "2026_11 21_30"),
        ("[datetime<%H><Asia/Tokyo>]", "06"),
        ("[datetime<><Asia/Tokyo>]", "20261122063005"),
        ("[datetime<%H><Nowhere/None>]", "21"),
        ("[datetime<%H><../../etc/passwd>]", "21"),
        ("[job_timestamp]", "20261121212900"),
        ("[prompt]", "A_cat,_(sitting_1.2)_on_a_mat"),
        ("[prompt_spaces]", "A cat, (sitting_1.2) on a mat"),
        ("[prompt_words]", "A cat sitting 1 2 on a mat"),
        ("[prompt_hash]", sha256(FACTS.prompt)[:8]),
        ("[prompt_hash<4>]", sha256(FACTS.prompt)[:4]),
        ("[prompt_hash<x>]", sha256(FACTS.prompt)[:8]),
        ("[negative_prompt_hash]", sha256("dog")[:8]),
        ("[full_prompt_hash<12>]", sha256(f"{FACTS.prompt} dog")[:12]),
        ("[image_hash]", "ab" * 32),
        ("[image_hash<6>]", "ababab"),
        ("[batch_number]of[batch_size]", "1of2"),
        ("[generation_number]", "3"),
        ("[hasprompt<cat|no cat><dog|no dog>]", "catno_dog"),
        ("[hasprompt<SITTING>]", "sitting"),
        ("[hasprompt<girl>]", ""),
        ("[clip_skip]", "2"),
        ("x[denoising]", "x0.5"),
        ("[user]", "me"),
        ("[basename]", "scan"),
        ("[none]", ""),
        ("[nonsense]", "[nonsense]"),
        ("a[b[seed]c]", "a[b12c]"),
        ("[[model_name]]", "[anime.v3]"),
        ("[seed", "[seed"),
        ("", ""),
        ("[hasprompt]", "[hasprompt]"),
    ],
)
def test_tokens(pattern: str, name: Any) -> None:
    assert apply_pattern(pattern, FACTS) == name


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("[seed]-[batch_number]x", "1x"),
        ("[seed]-[seed_last]", "1"),
        ("[seed] of [seed_first]", "1 of 1"),
        ("[seed] n[generation_number].", "1."),
        ("[seed] d[denoising].", "1."),
        ("[vae_filename]", "NoneType"),
        ("[styles]", "None"),
        ("[sampler_scheduler]", "Euler"),
        ("[user] [basename] [image_hash]", "[user] [basename] [image_hash]"),
        ("[prompt]|[prompt_words]", "|empty"),
        ("[cfg]", "7"),
    ],
)
def test_tokens_of_a_single_plain_picture(pattern: str, name: str) -> None:
    assert apply_pattern(pattern, NameFacts(now=NOW, seeds=(1,), sampler="Euler")) == name


def test_styles_are_taken_out_of_the_prompt() -> None:
    facts = replace(FACTS, prompt="oil of a cat, hq", style_prompts=("oil of {prompt}, hq",))
    assert apply_pattern("[prompt_no_styles]", facts) == "a cat"


def test_the_number_of_words() -> None:
    assert apply_pattern("[prompt_words]", replace(FACTS, most_words=2)) == "A cat"


def test_what_a_job_says(resolved: Any) -> None:
    facts = name_facts(resolved(n_iter=2, cfg_scale=8), 1, NOW, clip_skip=1, most_words=8, size=(1024, 768))
    pattern = "[seed] [cfg] [width] [model_name] [model_hash] [generation_number]"
    assert apply_pattern(pattern, facts) == "1235 8 1024 sub_anime.v3 0123456789 2"
    assert facts.denoising is None
    assert name_facts(resolved(mode="img2img"), 0, NOW, clip_skip=1, most_words=8).denoising == 0.7


def test_what_an_infotext_says() -> None:
    text = "a cat\nSteps: 20, Sampler: Euler a, CFG scale: 7.0, Seed: 5, Size: 64x32, Model: m, Denoising strength: 1e9"
    facts = facts_of_infotext(parse_infotext(text), NOW)
    assert apply_pattern("[seed] [cfg] [width]x[height] [sampler] [model_name]", facts) == "5 7 64x32 Euler a m"
    assert apply_pattern("[seed]", facts_of_infotext(parse_infotext("a cat"), NOW)) == "0"
    assert apply_pattern("[seed]", facts_of_infotext({"Seed": "9" * 5000}, NOW)) == "0"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ('a#<>:"/\\|?*b', "a__________b"),
        ("a\nb\rc\td", "a_b_c_d"),
        ("  a . .", "a"),
        ("...", ""),
        ("..", ""),
        ("a" * 200, "a" * 128),
        ("\0\x1f\x7f", "___"),
        ("\u202egpj.exe", "_gpj.exe"),
        ("\ud800x", "_x"),
        ("猫 è", "猫 è"),
        ("x" * 127 + " .y", "x" * 127),
    ],
)
def test_sanitising(text: str, clean: str) -> None:
    assert sanitize(text) == clean


@given(st.text(st.characters(), max_size=300))
def test_whatever_is_sanitised_is_one_part_of_a_path(text: str) -> None:
    clean = sanitize(text)
    assert len(clean) <= 128 and clean == sanitize(clean)
    assert not set('#<>:"/\\|?*\0\n\r\t') & set(clean) and clean not in (".", "..")
    assert len(stem_of(clean).fitted(64).encode()) <= 64
    clean.encode("utf-8")


@pytest.mark.parametrize("name", ["con", "NUL.png", "Com1.tar.gz", "lpt9", "COM¹", "aux."])
def test_device_names(name: str) -> None:
    assert avoid_device(name) == f"_{name}"


@pytest.mark.parametrize("name", ["console", "com10", "nulls.png", "00000-con.png", ""])
def test_names_that_only_look_like_devices(name: str) -> None:
    assert avoid_device(name) == name


def test_cutting_keeps_whole_characters_and_what_tells_files_apart() -> None:
    assert stem_of("猫" * 100).fitted(11) == "猫" * 3
    assert stem_of("a. b").fitted(3) == "a"
    pieces = (Piece("x" * 50, Cut.PROSE), Piece("-", Cut.PATTERN), Piece("猫猫", Cut.PROSE), Piece("-12"))
    assert Stem(pieces).fitted(20) == "x" * 10 + "-猫猫-12"
    assert Stem(pieces).fitted(4) == "--12"


def test_separators_count_in_folders_only(tmp_path: Path) -> None:
    facts = replace(FACTS, prompt="../x/y")
    assert subfolder(tmp_path, "[date]/[prompt]\\z", facts) == tmp_path / "2026-11-21" / "_._x_y" / "z"
    assert file_stem("[date]/[prompt]", facts).fitted() == "2026-11-21_.._x_y"
    assert subfolder(tmp_path, "../../..", facts) == tmp_path


def test_the_check_behind_the_check(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert below(tmp_path, tmp_path / "in/x") == tmp_path / "in/x"
    for outside in (tmp_path / "../x", Path("/etc/passwd"), tmp_path / "in/../../x"):
        with pytest.raises(SaveError, match="lies outside"):
            below(tmp_path, outside)


def test_largest_numbers(tmp_path: Path) -> None:
    assert largest_number(tmp_path / "missing") == -1
    for name in (
        "00001-a.png",
        "7.png",
        "0012",
        "13a.png",
        "x-99.png",
        "grid-0003.png",
        "grid-x.png",
        f"{'9' * 19}-a.png",
    ):
        (tmp_path / name).touch()
    assert largest_number(tmp_path) == 12
    assert largest_number(tmp_path, "grid-") == 3
    assert largest_number(tmp_path, "xyz_grid-") == -1


@pytest.mark.parametrize(
    "name",
    [
        "2026-05-01 party.png",
        "2026.05.01.png",
        "20260501-1200.png",
        "26-05-01-x.png",
        "260501-x.png",
        "1767225600-a.png",
    ],
)
def test_dates_are_no_counters(tmp_path: Path, name: str) -> None:
    for other in ("00003-1.png", name):
        (tmp_path / other).touch()
    assert largest_number(tmp_path) == 3


def test_counters_go_on_over_numbers_that_look_like_dates(tmp_path: Path) -> None:
    for number in (100_099, 100_100, 100_101, 100_131):
        (tmp_path / f"{number}-7.png").touch()
    assert largest_number(tmp_path) == 100_131


@given(st.text(st.sampled_from("[]<>/\\.|% seedprompthaY-\0猫"), max_size=60), st.text(max_size=40))
def test_no_pattern_raises_or_leaves_its_folder(pattern: str, prompt: str) -> None:
    facts = replace(FACTS, prompt=prompt)
    root = Path("/outputs")
    assert subfolder(root, pattern, facts).is_relative_to(root)
    assert "/" not in file_stem(pattern, facts).fitted()


@pytest.mark.parametrize("unit", ["[", "]", "[a", "[datetime<", "<", "[hasprompt<a|b>]", "[prompt]"])
def test_long_patterns_take_linear_time(unit: str) -> None:
    start = time.process_time()
    file_stem(unit * (100_000 // len(unit)), FACTS).fitted()
    assert time.process_time() - start < 2.0
