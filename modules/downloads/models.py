"""Everything of Get models behind one door: looking up, offering, fetching."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from modules.downloads.addresses import place_of
from modules.downloads.arrival import ModelPlaces
from modules.downloads.downloads import UNDER_WAY, Download, Downloads
from modules.downloads.errors import ConnectionLost, DownloadError
from modules.downloads.offered import OfferedModel, found, offered_models
from modules.downloads.sites import RemoteModel, Sites
from modules.downloads.tokens import Origins, SiteName, Tokens, environment_sites
from modules.downloads.web import Web
from modules.files import SaveError

_REMEMBERED: Final = 32


class GetModels:
    """What page and API call. Looking up waits for a site, so callers give it a thread of its own."""

    def __init__(
        self,
        data_dir: Path,
        places: ModelPlaces,
        arrived: Callable[[Path, str], None],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        given = os.environ if environ is None else environ
        origins = Origins(*environment_sites(given))
        self._tokens = Tokens(data_dir / "tokens.json", origins, given)
        self._web = Web(frozenset({origins.hugging_face, origins.civitai}), self._tokens.of_origin)
        self._sites = Sites(self._web, origins.hugging_face, origins.civitai)
        self._places = places
        self._seen: dict[str, RemoteModel] = {}
        self._lock = threading.Lock()
        self.downloads = Downloads(data_dir / "downloads.json", self._web, places, arrived=arrived)

    def look_up(self, address: str) -> RemoteModel:
        """The files at an address. Raises DownloadError."""
        try:
            model = self._sites.look_up(place_of(address))
        except ConnectionLost as error:
            raise DownloadError(f"{error}; try again.") from error
        with self._lock:
            self._seen[address] = model
            while len(self._seen) > _REMEMBERED:
                del self._seen[next(iter(self._seen))]
        return model

    def fetch(self, address: str, number: int = 0, kind: str = "") -> Download:
        """Put the file of that number at an address on the list. Raises DownloadError."""
        with self._lock:
            model = self._seen.get(address)
        files = (model or self.look_up(address)).files
        if not 0 <= number < len(files):
            raise DownloadError(f"There is no file {number} at this address; there are {len(files)}.")
        return self.downloads.add(files[number], kind)

    def fetch_offered(self, name: str) -> list[Download]:
        """Put the files of an offered model that are not there on the list. Raises DownloadError."""
        model = next((one for one in offered_models() if one.id == name), None)
        if model is None:
            raise DownloadError(f"{name[:40]!r} is not on the list of models.")
        missing = [file for file in model.files if not self.is_there(file.kind, file.name)]
        coming = {one.name for one in self.downloads.all() if one.state in {*UNDER_WAY, "paused"}}
        wanted = [file for file in missing if file.name not in coming]
        if not missing:
            raise DownloadError(f"{model.title} is there already.")
        if not wanted:
            raise DownloadError(f"{model.title} is on the list already.")
        try:
            files = [found(file, self._sites) for file in wanted]
        except ConnectionLost as error:
            raise DownloadError(f"{error}; try again.") from error
        return [self.downloads.add(file) for file in files]

    def offered(self) -> list[tuple[OfferedModel, bool]]:
        """The models of the list, and whether all files of each are there."""
        return [(one, all(self.is_there(file.kind, file.name) for file in one.files)) for one in offered_models()]

    def is_there(self, kind: str, name: str) -> bool:
        """Whether a file of that name lies in one of the folders of a kind."""
        return any((folder / name).is_file() for folder in self._places.folders_of(kind))

    def known_tokens(self) -> dict[SiteName, bool]:
        """Of which sites there is an access token."""
        return self._tokens.known()

    def enter_token(self, site: SiteName, token: str) -> None:
        """Remember an access token, or forget it where it is empty. Raises DownloadError."""
        try:
            self._tokens.enter(site, token)
        except SaveError as error:
            raise DownloadError(str(error)) from error

    def close(self) -> None:
        """End what is under way; it goes on when somebody resumes it."""
        self.downloads.close()
        self._web.close()
