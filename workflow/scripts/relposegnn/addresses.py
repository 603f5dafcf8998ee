"""Addresses of files on the internet."""

from pathlib import PurePosixPath
from urllib.parse import urlsplit


def file_name(url: str) -> str:
    """Return the name of the file at an address, without what asks the server for it."""
    return PurePosixPath(urlsplit(url).path).name
