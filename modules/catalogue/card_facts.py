"""What a card says of a model, read from the model file's head and the files beside it."""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Self

from modules.catalogue.architecture import read_architecture
from modules.catalogue.card_files import CardFiles, CardKind
from modules.catalogue.embedding_files import embedding_base, is_embedding_picture, read_embedding_head
from modules.catalogue.hypernetwork_files import hypernetwork_base, read_hypernetwork_widths
from modules.catalogue.model_errors import ModelFileError
from modules.catalogue.network_base import base_of
from modules.catalogue.networks import NetworkLabel
from modules.catalogue.pictures_inside import holds_picture
from modules.catalogue.safetensors_header import read_safetensors_metadata
from modules.catalogue.tensor_shapes import read_tensor_shapes
from modules.catalogue.user_metadata import SidecarError, read_json_sidecar, text_of, weight_of
from modules.files import decoded
from modules.parameters.infotext_values import printable

_LONGEST_DESCRIPTION: Final = 2000
_LONGEST_TEXT: Final = 10_000
_TAG: Final = re.compile(r"<[^<>]*>")
_ESCAPED_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")
# The families of the field's own words for them, by A1111's names: kohya's, ModelSpec's and Civitai's.
_BASES: Final = (
    (re.compile(r"sdxl|stable-diffusion-xl|\b(pony|illustrious|noobai)", re.I), "SDXL"),
    (re.compile(r"sd_?3|stable-diffusion-3", re.I), "SD3"),
    (re.compile(r"flux[._ -]?2[._ -]?klein[._ -]?4b", re.I), "Flux.2 klein 4B"),
    (re.compile(r"flux[._ -]?2[._ -]?klein[._ -]?9b", re.I), "Flux.2 klein 9B"),
    (re.compile(r"flux[._ -]?2[._ -]?d(ev)?\b", re.I), "Flux.2 dev"),
    (re.compile(r"flux", re.I), "Flux"),
    (re.compile(r"z[ _-]?image", re.I), "Z-Image"),
    (re.compile(r"sd[ _]?v?2|stable-diffusion-v2", re.I), "SD2"),
    (re.compile(r"sd[ _]?v?1|stable-diffusion-v1", re.I), "SD1"),
)
_CHOSEN_BASES: Final = frozenset({"SD1", "SD2", "SDXL"})
# Metadata that cards are found by.
_FOUND_BY: Final = (
    *("sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256"),
    *("modelspec.title", "modelspec.trigger_phrase", "modelspec.tags", "ss_sd_model_name"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFacts:
    """What is known of a model beside its files' names. `base` is its family ("SD1"), empty where nothing says.

    `alias` is how a LoRA calls itself, or a textual inversion in a picture. `words` are further texts to find it by.
    `problem` is a sentence about a file that can't be read, and `unreadable` whether that is the model itself.
    `just_picture` is a picture without a textual inversion in it, which is no model at all.
    """

    alias: str = ""
    base: str = ""
    description: str = ""
    activation: str = ""
    negative: str = ""
    weight: float = 0.0
    words: str = ""
    has_metadata: bool = False
    picture_inside: bool = False
    just_picture: bool = False
    problem: str = ""
    unreadable: bool = False

    def as_row(self) -> dict[str, Any]:
        """Fields that say something, as JSON takes them."""
        return {key: value for key, value in asdict(self).items() if value}

    @classmethod
    def from_row(cls, row: object) -> Self | None:
        """The facts that `as_row` wrote; None for anything else."""
        if not isinstance(row, dict) or any(type(value) is not _TYPES.get(key) for key, value in row.items()):
            return None
        return cls(**row)


NOTHING_KNOWN: Final = CardFacts()
_TYPES: Final = {one.name: type(one.default) for one in fields(CardFacts)}


def read_card_facts(kind: CardKind, files: CardFiles) -> CardFacts:
    """Read a model's head and its sidecars. What can't be read is left open, with a sentence in `problem`."""
    problems: list[str] = []
    head = _head(kind, files, problems)
    if head is None:
        return CardFacts(just_picture=True)
    unreadable, metadata = bool(problems), head.metadata
    noted = _sidecar(files, ".json", problems)
    civitai = _civitai(files)
    chosen = text_of(noted, "sd version")
    return CardFacts(
        alias=_short(head.alias, 200),
        base=chosen if chosen in _CHOSEN_BASES else _base(head.base, metadata, civitai),
        description=_short(_description(files, noted, civitai, metadata), _LONGEST_DESCRIPTION),
        activation=_short(text_of(noted, "activation text"), _LONGEST_TEXT),
        negative=_short(text_of(noted, "negative text"), _LONGEST_TEXT),
        weight=weight_of(noted),
        words=_short(" ".join(_words(metadata, civitai)), _LONGEST_TEXT),
        has_metadata=bool(metadata),
        picture_inside=holds_picture(metadata),
        problem=" ".join(problems),
        unreadable=unreadable,
    )


def trained_words(files: CardFiles) -> list[str]:
    """The words that a model was trained on, as Civitai or LoRA Manager noted them."""
    return _texts(_civitai(files).get("trainedWords"))


@dataclass(frozen=True, slots=True)
class _FileHead:
    """What a model file says of itself: its own name, its family by the shapes of its tensors, its metadata."""

    alias: str = ""
    base: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


def _head(kind: CardKind, files: CardFiles, problems: list[str]) -> _FileHead | None:
    """The head of a model file; None for a picture that holds no model."""
    path = files.model.path
    try:
        return _HEADS[kind](path)
    except (ModelFileError, OSError) as error:
        problems.append(str(error) if isinstance(error, ModelFileError) else f"{path.name} can't be read.")
        return _FileHead()


def _embedding_head(path: Path) -> _FileHead | None:
    head = read_embedding_head(path)
    if head is None:
        return None
    alias = head.name if head.name != path.stem else ""
    metadata = {} if is_embedding_picture(path.name) else read_safetensors_metadata(path)
    return _FileHead(alias, embedding_base(head.shapes), metadata)


def _hypernetwork_head(path: Path) -> _FileHead:
    return _FileHead(base=hypernetwork_base(read_hypernetwork_widths(path)))


def _checkpoint_head(path: Path) -> _FileHead:
    architecture = read_architecture(path)
    return _FileHead("", "" if architecture is None else architecture.family.name, read_safetensors_metadata(path))


def _lora_head(path: Path) -> _FileHead:
    shapes, metadata = read_tensor_shapes(path)
    return _FileHead(NetworkLabel.of(metadata).alias, base_of(shapes), metadata)


_HEADS: Final[Mapping[CardKind, Callable[[Path], _FileHead | None]]] = {
    "textual inversion": _embedding_head,
    "hypernetworks": _hypernetwork_head,
    "checkpoints": _checkpoint_head,
    "lora": _lora_head,
}


def _sidecar(files: CardFiles, ending: str, problems: list[str]) -> dict[str, Any]:
    if ending not in files.sidecars:
        return {}
    try:
        return read_json_sidecar(files.sidecars[ending].path)
    except SidecarError as error:
        problems.append(str(error))
        return {}


def _civitai(files: CardFiles) -> dict[str, Any]:
    """What Civitai says of the model, from Civitai Helper's file, else from LoRA Manager's."""
    unread: list[str] = []
    found = _sidecar(files, ".civitai.info", unread)
    managed = _sidecar(files, ".metadata.json", unread)
    inside = managed.get("civitai")
    inside = inside if isinstance(inside, dict) else {}
    return {
        "name": _texts(found.get("name"), inside.get("name"), managed.get("model_name"), _model(found).get("name")),
        "description": _first(
            found.get("description"),
            _model(found).get("description"),
            managed.get("modelDescription"),
            inside.get("description"),
        ),
        "baseModel": _first(found.get("baseModel"), managed.get("base_model"), inside.get("baseModel")),
        "trainedWords": _texts(found.get("trainedWords"), managed.get("trainedWords"), inside.get("trainedWords")),
        "tags": _texts(_model(found).get("tags"), managed.get("tags")),
        "hashes": _texts(*_hashes(found), *_hashes(inside), managed.get("sha256"), managed.get("autov3")),
    }


def _hashes(version: Mapping[str, Any]) -> list[object]:
    """Of all files of a version on Civitai: SHA256, AutoV1 and so on."""
    files = version.get("files")
    held = [one.get("hashes") for one in files if isinstance(one, dict)] if isinstance(files, list) else []
    return [text for hashes in held if isinstance(hashes, dict) for text in hashes.values()]


def _model(found: Mapping[str, Any]) -> dict[str, Any]:
    model = found.get("model")
    return model if isinstance(model, dict) else {}


def _first(*values: object) -> str:
    return next((printable(value) for value in values if isinstance(value, str) and value.strip()), "")


def _texts(*values: object) -> list[str]:
    """All texts among texts and lists of texts, each once."""
    found = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return list(dict.fromkeys(printable(text) for text in found if isinstance(text, str) and text))


def _description(
    files: CardFiles, noted: Mapping[str, Any], civitai: Mapping[str, Any], metadata: Mapping[str, str]
) -> str:
    """What a person wrote, else what came with the model, as plain text."""
    if own := text_of(noted, "description"):
        return own
    for ending in (".txt", ".description.txt"):
        if ending in files.sidecars and (text := _text_file(files, ending)):
            return text
    return plain_text(_first(civitai.get("description"), metadata.get("modelspec.description")))


def _text_file(files: CardFiles, ending: str) -> str:
    try:
        with files.sidecars[ending].path.open("rb") as file:
            return decoded(file.read(4 * _LONGEST_DESCRIPTION)).strip()
    except OSError:
        return ""


def plain_text(markup: str) -> str:
    """The text of a piece of HTML; it is shown as text in any case."""
    broken = re.sub(r"(?i)<br\s*/?>|</(p|li|div|h\d)>", "\n", markup[: 20 * _LONGEST_DESCRIPTION])
    return re.sub(r"\n{3,}", "\n\n", html.unescape(_TAG.sub("", broken))).strip()


def _base(by_shapes: str, metadata: Mapping[str, str], civitai: Mapping[str, Any]) -> str:
    """The family by the shapes of its tensors, which can't lie; else by what is said of it."""
    return by_shapes or _said_base(metadata) or base_by_name(str(civitai["baseModel"]))


def _said_base(metadata: Mapping[str, str]) -> str:
    if metadata.get("ss_v2") == "True":
        return "SD2"
    return base_by_name(metadata.get("ss_base_model_version", "")) or base_by_name(
        metadata.get("modelspec.architecture", "")
    )


def base_by_name(name: str) -> str:
    """A1111's name of the family that kohya's trainer, ModelSpec or Civitai calls `name`; empty for unknown ones."""
    return next((base for pattern, base in _BASES if pattern.search(name)), "")


def _words(metadata: Mapping[str, str], civitai: Mapping[str, Any]) -> Iterator[str]:
    # Hashes first: what is too long is cut at its end.
    yield from civitai["hashes"]
    for key in _FOUND_BY:
        yield metadata.get(key, "")
    for key in ("name", "trainedWords", "tags"):
        yield from civitai[key]


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def expanded(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Metadata as A1111's API has it: texts that are JSON objects read, and the keys that people look for first."""
    found = {key: _object(value) for key, value in metadata.items()}
    first = ("ss_sd_model_name", "ss_resolution", "ss_clip_skip", "ss_num_train_images", "ss_tag_frequency")
    return {key: found[key] for key in (*(key for key in first if key in found), *found) if key in found}


def _object(value: str) -> object:
    if not value.startswith("{"):
        return value
    try:
        found: object = json.loads(value, parse_constant=_refused)
        # JSON can write half of a character, which no answer can hold; only where it may have done so is it looked for.
        if _ESCAPED_HALF.search(value):
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return value
    return found


def _refused(name: str) -> None:
    raise ValueError(name)
