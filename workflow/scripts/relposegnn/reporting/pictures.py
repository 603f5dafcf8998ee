"""Pictures and films embedded in a page."""

import base64
import io
from html import escape
from pathlib import Path

from ..data.images import small_image
from ..runtime import atomic_path

PIXELS = 320, 320  # of a thumbnail, at most
QUALITY = 78  # of its JPEG


def thumbnail(image_file: str | Path) -> str:
    """Return a small JPEG of an image as a data address.

    Raises:
        InputError: see ``images.open_image``.
    """
    stream = io.BytesIO()
    small_image(image_file, PIXELS).save(stream, "JPEG", quality=QUALITY)
    return as_address(stream.getvalue(), "image/jpeg")


def as_address(content: bytes, kind: str) -> str:
    """Return a ``data:`` address that contains the content itself."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def write_film_page(film_file: str | Path, page_file: str | Path, title: str) -> None:
    """Write a page with an embedded film: Snakemake's reports show only pages.

    Args:
        film_file: MP4.
        page_file: HTML to write.
        title: of the page.
    """
    film = as_address(Path(film_file).read_bytes(), "video/mp4")
    page = (
        f'<!doctype html>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<video controls loop style="max-width: 100%" src="{film}"></video>\n'
    )
    with atomic_path(page_file) as partial:
        partial.write_text(page, encoding="utf-8")
