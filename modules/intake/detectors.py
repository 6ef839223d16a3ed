"""Which detectors the detail pass may use."""

from __future__ import annotations

from modules.catalogue.folders import ModelFolders
from modules.features.detail.detectors.plan import list_detectors
from modules.features.detail.plan import detector_folders
from modules.settings import OptionStore


def detector_names(folders: ModelFolders, options: OptionStore) -> list[str]:
    """Those in the folders of detectors, read from disk now, and those that need no file."""
    return [one.name for one in list_detectors(detector_folders(folders, options.text("ad_extra_models_dir")))]
