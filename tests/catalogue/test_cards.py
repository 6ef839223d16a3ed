"""Cards of models: which files are cards, their pictures, what is read from which file, and finding them."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from modules.catalogue import Catalogue, ModelFolders, sha256_of
from modules.catalogue.card_details import file_table, metadata_text, model_metadata, tag_frequency
from modules.catalogue.card_facts import CardFacts, base_by_name, expanded, plain_text, read_card_facts, trained_words
from modules.catalogue.card_files import CardFiles, CardKind, folders_of
from modules.catalogue.card_query import CardQuery, HiddenCards, select_cards
from modules.catalogue.cards import Card, Cards
from modules.catalogue.lookup import LocalModels
from modules.catalogue.pictures_inside import picture_inside
from modules.files import natural_key
from modules.parameters.infotext_request import LocalFile
from tests.catalogue.files import write_header, write_model
from tests.pictures.embedding_pictures import document, write_pixel_picture, write_text_picture


class Folder:
    """Models in a temporary folder, and their cards."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.folders = ModelFolders(
            loras=(top / "Lora", top / "LyCORIS"),
            embeddings=(top / "embeddings",),
            hypernetworks=(top / "hypernetworks",),
            checkpoints=(top / "Stable-diffusion",),
        )

    def lora(self, name: str, metadata: Mapping[str, str] | None = None, **beside: object) -> Path:
        path = write_model(self.top / "Lora" / f"{name}.safetensors", metadata)
        for ending, content in beside.items():
            text = content if isinstance(content, str) else json.dumps(content)
            path.with_suffix("." + ending.replace("_", ".")).write_text(text, "utf-8")
        return path

    def cards(self) -> Cards:
        return Cards(self.folders, self.top / "cache" / "cards.json")

    def read(self, kind: CardKind = "lora") -> list[Card]:
        """All cards, once every file has been read."""
        cards = self.cards()
        cards.of(kind)
        assert cards.wait(60)
        found = list(cards.of(kind).cards)
        cards.close()
        return found

    def one(self, kind: CardKind = "lora") -> Card:
        (card,) = self.read(kind)
        return card


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


# Files


def test_previews_are_looked_for_in_a_stated_order(folder: Folder) -> None:
    path = folder.lora("cat")
    names = ["cat.avif", "cat.GIF", "cat.webp", "cat.jpg", "cat.preview.png", "Cat.PNG"]
    for name in names:
        (path.parent / name).write_bytes(b"picture")
        files = folder.one().files
        assert files.preview is not None
        assert files.preview.path.name == name


def test_a_picture_that_is_an_embedding_is_its_own_preview_only_where_there_is_no_other(folder: Folder) -> None:
    embeddings = folder.top / "embeddings"
    embeddings.mkdir()
    write_text_picture(embeddings / "smile.png", document({"*": [[1.0] * 4]}))
    assert folder.one("textual inversion").files.preview is not None
    (embeddings / "smile.preview.png").write_bytes(b"other")
    card = folder.one("textual inversion")
    assert (card.name, card.files.preview and card.files.preview.path.name) == ("smile.png", "smile.preview.png")


def test_the_preview_of_an_embedding_is_no_embedding(folder: Folder) -> None:
    write_model(folder.top / "embeddings" / "smile.safetensors")
    (folder.top / "embeddings" / "smile.png").write_bytes(b"picture")
    assert folder.one("textual inversion").name == "smile.safetensors"


def test_of_two_files_of_one_stem_the_last_counts_but_every_checkpoint_does(folder: Folder) -> None:
    folder.lora("b/cat")
    folder.lora("a/cat")
    assert [card.name for card in folder.read()] == ["b/cat.safetensors"]
    # The order is that of the folders, then of the names: as tags in prompts are read.
    write_model(folder.top / "LyCORIS" / "a" / "CAT.safetensors")
    write_model(folder.top / "LyCORIS" / "a" / "cat.pt")
    assert [card.name for card in folder.read()] == ["a/cat.pt", "a/CAT.safetensors"]
    for name in ("a/cat", "b/cat", "b/cat.vae"):
        write_model(folder.top / "Stable-diffusion" / f"{name}.safetensors")
    assert [card.name for card in folder.read("checkpoints")] == ["a/cat.safetensors", "b/cat.safetensors"]


def test_names_are_sorted_as_people_count_with_folders_last() -> None:
    names = ["a10.pt", "z/a.pt", "B1.pt", "a2.pt", "a10/x.pt", "a2/10/x.pt", "a2/9/x.pt", "a2/z.pt"]
    ordered = ["a2.pt", "a10.pt", "B1.pt", "a2/z.pt", "a2/9/x.pt", "a2/10/x.pt", "a10/x.pt", "z/a.pt"]
    assert sorted(names, key=natural_key) == ordered


def test_of_two_loras_of_one_name_that_in_the_last_folder_counts_as_people_count(folder: Folder) -> None:
    for place in ("a10/cat", "a2/cat", "cat"):
        folder.lora(place)
    assert [card.name for card in folder.read()] == ["a10/cat.safetensors"]
    catalogue = Catalogue(folder.folders, folder.top / "cache" / "hashes.json")
    assert [file.name for file in catalogue.networks("lora").files] == ["a10/cat.safetensors"]


@pytest.mark.parametrize("write", [write_text_picture, write_pixel_picture])
def test_an_embedding_has_one_name_everywhere(folder: Folder, write: Callable[[Path, bytes], Path]) -> None:
    """Cards and lists went by the file, prompts by what the picture says; a holiday picture was a card."""
    embeddings = folder.top / "embeddings"
    (embeddings / "below").mkdir(parents=True)
    vectors = document({"*": [[1.0] * 768] * 2}, "painted")
    write(embeddings / "card-1500.png", vectors)
    write(embeddings / "below" / "bad.png", vectors)
    (embeddings / "below" / "painted.pt").write_bytes(b"broken")
    Image.new("RGB", (8, 8), "red").save(embeddings / "holiday.png")
    card = folder.one("textual inversion")
    assert (card.title, card.name, card.facts.base) == ("painted", "below/bad.png", "SD1")
    assert folder.cards().find("textual inversion", "holiday") is None
    catalogue = Catalogue(folder.folders, folder.top / "cache" / "hashes.json")
    (listed,) = catalogue.embeddings()
    assert (listed.prompt_name, listed.name, listed.shapes) == ("painted", "below/bad.png", {"*": (2, 768)})
    assert LocalModels(catalogue).embedding("other", sha256_of(listed.path)) == LocalFile("painted")
    assert LocalModels(catalogue).embedding("bad", "") is None


def test_families_of_pickles_are_known_without_reading_their_numbers(folder: Folder) -> None:
    written: dict[CardKind, dict[str, Any]] = {
        "textual inversion": {
            "one": {"string_to_param": {"*": torch.zeros(2, 768)}},
            "two": {"<ink>": torch.zeros(1024)},
            "xl": {"clip_l": torch.zeros(2, 768), "clip_g": torch.zeros(2, 1280)},
        },
        "hypernetworks": {"one": {768: ({}, {}), 320: ({}, {})}, "two": {1024: ({}, {})}, "any": {640: ({}, {})}},
        "lora": {"xl": {"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.zeros(4, 1280)}},
    }
    places = {"textual inversion": "embeddings", "hypernetworks": "hypernetworks", "lora": "Lora"}
    bases = {"one": "SD1", "two": "SD2", "xl": "SDXL", "any": ""}
    for kind, contents in written.items():
        (folder.top / places[kind]).mkdir()
        for name, content in contents.items():
            # Both forms of files, the second of which has no list of its entries.
            torch.save(content, folder.top / places[kind] / f"{name}.pt", _use_new_zipfile_serialization=name != "two")
        cards = folder.read(kind)
        assert {card.title: card.facts.base for card in cards} == {name: bases[name] for name in contents}
        assert [card.facts.problem for card in cards] == [""] * len(contents)


def test_folders_are_listed_with_those_above_them() -> None:
    names = ["b/c/x.pt", "x.pt", ".secret/y.pt"]
    assert folders_of(names) == [".secret/", "b/", "b/c/"]


# What is read


def test_a_persons_notes_go_before_what_came_with_the_model(folder: Folder) -> None:
    noted = {
        "description": "Mine",
        "activation text": "catty",
        "preferred weight": 0.7,
        "negative text": "dog",
        "sd version": "SDXL",
    }
    metadata = {"ss_output_name": "Cat v2", "ss_base_model_version": "sd_v1", "modelspec.description": "Theirs"}
    folder.lora("cat", metadata, json=noted, txt="Text", civitai_info={"description": "<p>Civitai</p>"})
    facts = folder.one().facts
    assert (facts.description, facts.activation, facts.negative, facts.weight) == ("Mine", "catty", "dog", 0.7)
    assert (facts.base, facts.alias, facts.has_metadata, facts.problem) == ("SDXL", "Cat v2", True, "")


@pytest.mark.parametrize(
    ("beside", "description"),
    [
        ({"txt": "Text\n", "description_txt": "Second"}, "Text"),
        ({"description_txt": "Second", "civitai_info": {"description": "Civitai"}}, "Second"),
        ({"civitai_info": {"description": "<p>A &amp; B<br>C</p><script>no</script>"}}, "A & B\nC\nno"),
        ({"metadata_json": {"modelDescription": "Managed", "civitai": {"description": "Inside"}}}, "Managed"),
        ({"metadata_json": {"civitai": {"description": "Inside"}}}, "Inside"),
        ({}, "Theirs"),
    ],
)
def test_descriptions_come_from_the_first_file_that_has_one(
    folder: Folder, beside: Mapping[str, object], description: str
) -> None:
    folder.lora("cat", {"modelspec.description": "Theirs"}, **beside)
    assert folder.one().facts.description == description


def test_civitais_words_and_family_are_known(folder: Folder) -> None:
    folder.lora("cat", civitai_info={"baseModel": "Illustrious", "trainedWords": ["catty", 3, "furry"], "name": "v3"})
    card = folder.one()
    assert (card.facts.base, trained_words(card.files)) == ("SDXL", ["catty", "furry"])
    assert "furry" in card.searchable


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("sd_v1", "SD1"), ("sd_v2_v", "SD2"), ("sdxl_base_v1-0", "SDXL"), ("sd3m", "SD3"), ("flux1", "Flux"),
        ("SD 1.5", "SD1"), ("SD 2.1", "SD2"), ("SDXL Lightning", "SDXL"), ("Pony", "SDXL"), ("Flux.1 D", "Flux"),
        ("stable-diffusion-v1/lora", "SD1"), ("stable-diffusion-xl-v1-base/lora", "SDXL"), ("", ""), ("Other", ""),
        ("ZImageTurbo", "Z-Image"), ("z-image/lora", "Z-Image"), ("Flux.2 D", "Flux.2 dev"),
        ("flux2-dev", "Flux.2 dev"), ("Flux.2 Klein 9B", "Flux.2 klein 9B"), ("Flux.1 Krea", "Flux"),
    ],
)  # fmt: skip
def test_families_have_many_names(name: str, base: str) -> None:
    assert base_by_name(name) == base


def test_checkpoints_and_embeddings_say_their_family_by_shapes(folder: Folder) -> None:
    tensor = {"dtype": "F16", "shape": [2, 1024], "data_offsets": [0, 4096]}
    write_header(folder.top / "embeddings" / "a.safetensors", {"emb_params": tensor}, b"\0" * 4096)
    assert folder.one("textual inversion").facts.base == "SD2"


def test_the_family_of_a_lora_is_that_of_its_shapes_whatever_its_metadata_says(folder: Folder) -> None:
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    down = {"dtype": "F16", "shape": [1, 2048], "data_offsets": [0, 4096]}
    document = {"__metadata__": {"ss_base_model_version": "sd_v1"}, f"{layer}.lora_down.weight": down}
    write_header(folder.top / "Lora" / "a.safetensors", document, b"\0" * 4096)
    assert folder.one().facts.base == "SDXL"


def test_a_damaged_file_or_sidecar_is_a_sentence_on_the_card(folder: Folder) -> None:
    folder.lora("cat", json="{no json", txt="\udcff".encode("utf-8", "surrogateescape").decode("latin-1"))
    path = folder.top / "Lora" / "dog.safetensors"
    path.write_bytes(b"\x10\0\0\0\0\0\0\0{short")
    cat, dog = folder.read()
    assert "cat.json holds no JSON" in cat.facts.problem
    assert "dog.safetensors is truncated" in dog.facts.problem


def test_odd_values_in_a_sidecar_are_left_aside(folder: Folder) -> None:
    noted = {"description": ["x"], "activation text": 3, "preferred weight": "much", "sd version": "SD9"}
    folder.lora("cat", json=noted)
    facts = folder.one().facts
    assert (facts.description, facts.activation, facts.weight, facts.base) == ("", "", 0.0, "")


def test_numbers_that_are_none_are_left_aside(folder: Folder) -> None:
    path = folder.lora("cat", {"ss_bucket_info": '{"buckets": {"0": {"resolution": [512, 768], "count": "nan"}}}'})
    # As many digits as no float has.
    path.with_suffix(".json").write_text('{"preferred weight": 1' + 400 * "0" + "}")
    card = folder.one()
    assert card.facts.weight == 0.0
    assert dict(file_table(card, model_metadata(card), None))["Resolution(s)"] == "512x768"


def test_html_is_made_text() -> None:
    assert plain_text("<ul><li>a</li><li>b &lt;c&gt;</li></ul>") == "a\nb <c>"


# Reading once


def test_what_was_read_is_read_again_only_when_a_file_changes(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []

    def counted(kind: CardKind, files: CardFiles) -> CardFacts:
        reads.append(files.stem)
        return read_card_facts(kind, files)

    monkeypatch.setattr("modules.catalogue.cards.read_card_facts", counted)
    path = folder.lora("cat", txt="One")
    folder.lora("dog")
    assert [card.facts.description for card in folder.read()] == ["One", ""]
    assert sorted(reads) == ["cat", "dog"]
    reads.clear()
    assert [card.facts.description for card in folder.read()] == ["One", ""]
    assert reads == []
    path.with_suffix(".txt").write_text("Another")
    assert [card.facts.description for card in folder.read()] == ["Another", ""]
    assert reads == ["cat"]


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 2, "models": {"x": 3}}', '{"version": 2, "models": []}'])
def test_a_damaged_cache_costs_time_and_no_error(folder: Folder, content: str) -> None:
    folder.lora("cat", txt="One")
    (folder.top / "cache").mkdir()
    (folder.top / "cache" / "cards.json").write_text(content)
    assert folder.one().facts.description == "One"


def test_a_row_of_another_kind_is_no_fact() -> None:
    facts = CardFacts(description="x", weight=0.5, has_metadata=True)
    assert CardFacts.from_row(facts.as_row()) == facts
    assert CardFacts.from_row({"description": 3}) is None
    assert CardFacts.from_row({"other": "x"}) is None


def test_a_new_file_is_seen_by_who_wants_the_newest(folder: Folder) -> None:
    folder.lora("sub/cat")
    cards = folder.cards()
    assert len(cards.of("lora").cards) == 1
    folder.lora("sub/dog")
    assert len(cards.of("lora").cards) == 1
    assert len(cards.of("lora", newest=True).cards) == 2
    cards.close()


def test_a_list_does_not_wait_for_files_that_are_being_read(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = threading.Event()

    def read(kind: CardKind, files: CardFiles) -> CardFacts:
        assert slow.wait(60)
        return read_card_facts(kind, files)

    monkeypatch.setattr("modules.catalogue.cards.read_card_facts", read)
    folder.lora("cat", txt="One")
    cards = folder.cards()
    first = cards.of("lora")
    assert (len(first.cards), first.unread, first.cards[0].facts.description) == (1, 1, "")
    slow.set()
    assert cards.wait(60)
    last = cards.of("lora")
    assert (last.unread, last.cards[0].facts.description) == (0, "One")
    cards.close()


# Names in prompts


def test_an_alias_that_could_mean_another_is_not_used(folder: Folder) -> None:
    folder.lora("a", {"ss_output_name": "same"})
    folder.lora("b", {"ss_output_name": "Same"})
    folder.lora("c", {"ss_output_name": "own"})
    folder.lora("d", {"ss_output_name": "none"})
    folder.lora("e", {"ss_output_name": "c"})
    cards = folder.cards()
    cards.of("lora")
    assert cards.wait(60)
    found = cards.of("lora")
    assert [found.prompt_name(card, prefer_alias=True) for card in found.cards] == ["a", "b", "own", "d", "e"]
    assert [found.prompt_name(card, prefer_alias=False) for card in found.cards] == ["a", "b", "c", "d", "e"]
    cards.close()


# Finding


def selected(folder: Folder, query: CardQuery) -> list[str]:
    return [card.stem for card in select_cards(folder.read(), query)]


def test_cards_are_found_by_path_alias_description_and_words(folder: Folder) -> None:
    folder.lora("Animals/cat", {"ss_output_name": "Tom"}, json={"description": "A grey one"})
    folder.lora("dog", civitai_info={"trainedWords": ["rex"]})
    assert selected(folder, CardQuery()) == ["dog", "cat"]
    for search in ("animals/", "TOM", "grey one", "one a", "Animals\\cat"):
        assert selected(folder, CardQuery(search=search)) == ["cat"]
    assert selected(folder, CardQuery(search="rex")) == ["dog"]
    assert selected(folder, CardQuery(search="grey rex")) == []
    assert selected(folder, CardQuery(folder="Animals/")) == ["cat"]


def test_cards_are_found_by_hashes_that_are_stated_or_known(folder: Folder) -> None:
    sha256 = "f00dcafe12" + "ab" * 27
    folder.lora("stated", civitai_info={"files": [{"hashes": {"SHA256": sha256.upper(), "AutoV1": "0BADF00D"}}, None]})
    folder.lora("inside", {"sshs_model_hash": "beefbeef0123" + "cd" * 26})
    folder.lora("worked out")
    known = {"worked out": "decade99" * 8}

    def found(search: str) -> list[str]:
        query = CardQuery(search=search)
        return [card.stem for card in select_cards(folder.read(), query, lambda card: known.get(card.stem, ""))]

    for search in (sha256, "f00dcafe12", "F00DCAFE", "0badf00d"):
        assert found(search) == ["stated"]
    assert found("beefbeef0123") == ["inside"]
    assert found("DECADE99decade99") == found("99decade worked") == ["worked out"]
    # Four letters that a hash may have are a word like any other.
    assert found("deca") == []


def test_cards_are_sorted_both_ways(folder: Folder) -> None:
    for number, name in enumerate(("z/b10", "z/B9", "a", "c")):
        path = folder.lora(name)
        os.utime(path, (1000 - number, 1000 - number))
    assert selected(folder, CardQuery(sort="path")) == ["a", "c", "B9", "b10"]
    assert selected(folder, CardQuery(sort="name")) == ["a", "b10", "B9", "c"]
    assert selected(folder, CardQuery(sort="modified")) == ["c", "a", "B9", "b10"]
    assert selected(folder, CardQuery(sort="modified", descending=True)) == ["b10", "B9", "a", "c"]
    assert set(selected(folder, CardQuery(sort="created"))) == {"a", "b10", "B9", "c"}


def test_cards_of_hidden_folders_show_as_the_setting_says(folder: Folder) -> None:
    folder.lora(".secret/cats")
    folder.lora("cats too")
    expected: list[tuple[HiddenCards, str, int]] = [
        ("Always", "", 2),
        ("When searched", "", 1),
        ("When searched", "cat", 1),
        ("When searched", "cats", 2),
        ("Never", "cats", 1),
    ]
    for hidden, search, count in expected:
        assert len(selected(folder, CardQuery(search=search, hidden=hidden))) == count
    assert selected(folder, CardQuery(folder=".secret/")) == ["cats"]


def test_only_what_fits_a_family_is_shown(folder: Folder) -> None:
    folder.lora("one", {"ss_base_model_version": "sd_v1"})
    folder.lora("xl", {"ss_base_model_version": "sdxl_base_v1-0"})
    folder.lora("unknown")
    assert selected(folder, CardQuery(base="SD1")) == ["one", "unknown"]
    assert selected(folder, CardQuery(base="SD1", unknown_fits=False)) == ["one"]
    assert len(selected(folder, CardQuery())) == 3


# Details


def test_details_of_a_lora(folder: Folder) -> None:
    metadata = {
        "ss_output_name": "Tom",
        "ss_tag_frequency": json.dumps({"10_a": {"cat": 3, " tail": 1}, "5_b": {"cat": 2, "bad": "x"}}),
        "ss_bucket_info": json.dumps({"buckets": {"0": {"resolution": [512, 768], "count": 4}, "1": "x"}}),
        "ss_dataset_dirs": json.dumps({"10_a": {"img_count": 4}, "5_b": {"img_count": "3"}}),
        "ss_training_started_at": "1700000000.5",
        "ssmd_cover_images": json.dumps([base64.b64encode(b"picture").decode()]),
    }
    folder.lora("cat", metadata)
    card = folder.one()
    read = model_metadata(card)
    assert read == metadata
    assert tag_frequency(read) == [("cat", 5), ("tail", 1)]
    table = dict(file_table(card, read, "abc"))
    assert table["Dataset size"] == "7"
    assert (table["Resolution(s)"], table["Output name"], table["Hash"]) == ("512x768", "Tom", "abc")
    assert table["Date trained"].startswith("2023-11-1") and "Made for few steps" not in table
    few = dict(file_table(card, {"modelspec.title": "LCM LoRA"}, "abc"))
    assert few["Made for few steps"].startswith("LCM: ")
    assert "ssmd_cover_images" not in metadata_text(read)
    assert json.loads(metadata_text(read))["ss_tag_frequency"]["10_a"]["cat"] == 3
    assert card.facts.picture_inside
    assert picture_inside(read) == b"picture"
    assert picture_inside(read, 1) is None


@pytest.mark.parametrize("value", ["{", '{"a": NaN}', "[1]", "{}" * 3, '{"x": ' * 2000])
def test_metadata_that_is_no_json_stays_text(value: str) -> None:
    assert expanded({"key": value}) == {"key": value}


def test_metadata_comes_in_a1111s_order() -> None:
    values = dict.fromkeys(("zzz", "ss_clip_skip", "ss_sd_model_name", "ss_tag_frequency"), "1")
    assert list(expanded(values)) == ["ss_sd_model_name", "ss_clip_skip", "ss_tag_frequency", "zzz"]
