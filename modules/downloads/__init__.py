"""Models fetched from Hugging Face and Civitai: looked up, transferred without loss, put into their folders."""

from modules.downloads.downloads import Download, Downloads, DownloadState
from modules.downloads.errors import DownloadError
from modules.downloads.models import GetModels
from modules.downloads.public_addresses import is_public
from modules.downloads.sites import RemoteFile, RemoteModel

__all__ = [
    "Download",
    "DownloadError",
    "DownloadState",
    "Downloads",
    "GetModels",
    "RemoteFile",
    "RemoteModel",
    "is_public",
]
