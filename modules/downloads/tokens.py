"""Access tokens of the model sites: entered once, kept in a file that only its owner may read, never shown again."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from modules.downloads.errors import DownloadError
from modules.files import write_atomic

SiteName = Literal["hugging_face", "civitai"]
# Where the sites' own programs look for one.
_VARIABLES: Final[Mapping[SiteName, tuple[str, ...]]] = {
    "hugging_face": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
    "civitai": ("CIVITAI_API_TOKEN", "CIVITAI_TOKEN"),
}
_TOKEN: Final = re.compile(r"[\x21-\x7e]{1,400}")

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Origins:
    """The sites' addresses, scheme and host; a token goes nowhere else."""

    hugging_face: str
    civitai: str


class Tokens:
    """The tokens by site. What was entered comes before what the environment has. Safe to use from several threads."""

    def __init__(self, file: Path, origins: Origins, environ: Mapping[str, str]) -> None:
        self._file, self._origins, self._lock = file, origins, threading.Lock()
        self._environ = environ
        self._entered: dict[str, str] = self._read()

    def of_origin(self, origin: str) -> str:
        """The token to send to scheme and host, "" for none."""
        if origin == self._origins.hugging_face:
            return self._of("hugging_face")
        return self._of("civitai") if origin == self._origins.civitai else ""

    def known(self) -> dict[SiteName, bool]:
        """Of which sites there is one."""
        return {site: bool(self._of(site)) for site in _VARIABLES}

    def enter(self, site: SiteName, token: str) -> None:
        """Remember a token, or forget it where it is empty. Raises SaveError, and DownloadError for no token."""
        token = token.strip()
        if token and not _TOKEN.fullmatch(token):
            raise DownloadError("That is no access token: it has to be one word of letters, digits and signs.")
        with self._lock:
            entered = {**self._entered, site: token}
            if not token:
                del entered[site]
            data = json.dumps(entered).encode()
            write_atomic(self._file, data, overwrite=True, mode=0o600)
            self._entered = entered

    def _of(self, site: SiteName) -> str:
        found = (self._environ.get(name, "") for name in _VARIABLES[site])
        with self._lock:
            return self._entered.get(site) or next(filter(_TOKEN.fullmatch, found), "")

    def _read(self) -> dict[str, str]:
        try:
            read = json.loads(self._file.read_text("utf-8"))
            return {site: str(read[site]) for site in _VARIABLES if _TOKEN.fullmatch(str(read.get(site, "")))}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError, RecursionError) as error:
            _log.warning(
                "The access tokens in %s can't be read; enter them again: %s", self._file, type(error).__name__
            )
            return {}


def environment_sites(environ: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Addresses of Hugging Face and Civitai: a mirror's where HF_ENDPOINT or CIVITAI_ENDPOINT names one."""
    given = os.environ if environ is None else environ
    hugging_face = given.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    return hugging_face, given.get("CIVITAI_ENDPOINT", "").rstrip("/") or "https://civitai.com"
