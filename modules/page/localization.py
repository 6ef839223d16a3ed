"""Languages of the page: A1111's files of texts and their translations, applied by assets/localization.js."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from modules.files import decoded

log = logging.getLogger(__name__)
NONE: Final = "None"


def localization_names(folders: Sequence[Path]) -> list[str]:
    """Names of the languages that lie in these folders."""
    return sorted({path.stem for path in _files(folders)})


def read_localization(folders: Sequence[Path], name: str) -> dict[str, str]:
    """The texts of a language. An unknown one, or a file that can't be read, is logged and translates nothing."""
    if name in ("", NONE):
        return {}
    path = next((path for path in _files(folders) if path.stem == name), None)
    if path is None:
        log.warning("There is no language %r in %s: the page stays English.", name, ", ".join(map(str, folders)))
        return {}
    try:
        content = json.loads(decoded(path.read_bytes()))
    except (OSError, ValueError, RecursionError) as error:
        log.warning("The language file %s can't be read (%s): the page stays English.", path, error)
        return {}
    pairs = content.items() if isinstance(content, dict) else ()
    return {key: text for key, text in pairs if isinstance(text, str) and text}


def localization_script(texts: dict[str, str], language: str) -> str:
    """What stands in the page's head, so that the scripts find the texts before anything is drawn."""
    if not texts:
        return ""
    # "</" would end the element, whatever it stands in.
    data = json.dumps({"name": language, "texts": texts}, ensure_ascii=False).replace("</", "<\\/")
    return f"<script>window.localization = {data};</script>"


def translate_choices(components: Iterable[Mapping[str, Any]], texts: Mapping[str, str]) -> None:
    """Show the entries of dropdown lists in the language of `texts`, in the configuration that browsers get.

    The values that are sent and saved stay what they are: Gradio's components on the server know nothing of it. Styles
    are a person's own names.
    """
    for component in components:
        props = component.get("props", {})
        if component.get("type") == "dropdown" and not str(props.get("elem_id")).endswith("_styles"):
            props["choices"] = [(texts.get(shown, shown), value) for shown, value in props.get("choices") or ()]


def _files(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(folder.glob("*.json"))
