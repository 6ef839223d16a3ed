"""What a pasted line names: a file or a repository on Hugging Face, a model or one of its versions on Civitai."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from modules.downloads.errors import DownloadError

LONGEST: Final = 2000
_HUGGING_FACE: Final = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
_CIVITAI: Final = frozenset({"civitai.com", "www.civitai.com", "civitai.green", "civitai.red"})
_REPOSITORY: Final = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", re.ASCII)
# Civitai's own ids: urn:air:sdxl:checkpoint:civitai:101055@128078, of which people also copy the end alone.
_AIR: Final = re.compile(r"(?:urn:air:[\w-]+:[\w-]+:)?civitai:(\d+)(?:@(\d+))?", re.ASCII | re.IGNORECASE)
_HELP: Final = (
    "paste the address of a model or file on huggingface.co or civitai.com, or an id (org/name, civitai:101055)"
)


@dataclass(frozen=True, slots=True)
class OnHuggingFace:
    """A repository, with a file or folder in it where `path` says one; `revision` is a branch, tag or commit."""

    repository: str
    path: str = ""
    revision: str = "main"


@dataclass(frozen=True, slots=True)
class OnCivitai:
    """A model, or the one version of it that `version` names; either may be 0 for not given, never both."""

    model: int = 0
    version: int = 0


ModelPlace = OnHuggingFace | OnCivitai


def place_of(text: str) -> ModelPlace:
    """What a pasted address or id names.

    Raises:
        DownloadError: it names nothing on either site.
    """
    line = text.strip()
    if not line or len(line) > LONGEST or not line.isprintable():
        raise DownloadError(f"That is no address of a model: {_HELP}.")
    if found := _AIR.fullmatch(line):
        return OnCivitai(_number(found[1]), _number(found[2] or "0"))
    if "://" not in line:
        host = line.split("/", 1)[0].lower()
        if host not in _HUGGING_FACE | _CIVITAI:
            return _by_id(line)
        line = f"https://{line}"
    try:
        parts = urlsplit(line)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise DownloadError(f"{line[:80]!r} is no address: {_HELP}.") from None
    if parts.scheme in {"http", "https"} and port in {None, 80, 443} and not parts.username:
        if host in _HUGGING_FACE:
            return _on_hugging_face(parts)
        if host in _CIVITAI:
            return _on_civitai(parts)
    raise DownloadError(f"Nothing is fetched from {host[:80] or line[:80]!r}: {_HELP}.")


def _by_id(line: str) -> ModelPlace:
    parts = [part for part in line.split("/") if part]
    if len(parts) >= 2 and _REPOSITORY.fullmatch("/".join(parts[:2])):
        return OnHuggingFace("/".join(parts[:2]), _path(parts[2:]))
    raise DownloadError(f"{line[:80]!r} is no address of a model: {_HELP}.")


def _on_hugging_face(parts: SplitResult) -> OnHuggingFace:
    names = [unquote(part) for part in parts.path.split("/") if part]
    repository = "/".join(names[:2])
    if not _REPOSITORY.fullmatch(repository) or names[0] in {"datasets", "spaces", "docs", "models", "api"}:
        raise DownloadError("That address names no model on Hugging Face: open the model's page and copy its address.")
    if len(names) > 3 and names[2] in {"blob", "resolve", "tree", "raw"}:
        return OnHuggingFace(repository, _path(names[4:]), names[3])
    return OnHuggingFace(repository)


def _on_civitai(parts: SplitResult) -> OnCivitai:
    names = [part for part in parts.path.split("/") if part]
    wanted = parse_qs(parts.query).get("modelVersionId", ["0"])[0]
    match names:
        case ["api", "download", "models", version, *_] | ["api", "v1", "model-versions", version]:
            return OnCivitai(version=_number(version))
        case ["models", model, *_] | ["api", "v1", "models", model]:
            return OnCivitai(_number(model), _number(wanted))
    raise DownloadError("That address names no model on Civitai: open the model's page and copy its address.")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise DownloadError(f"{text[:40]!r} is no id of Civitai: these are whole numbers.")
    return int(text)


def _path(parts: list[str]) -> str:
    if any(part in {".", ".."} or "\\" in part or "/" in part for part in parts):
        raise DownloadError("That address leads out of its repository: open the file's page and copy its address.")
    return "/".join(parts)
