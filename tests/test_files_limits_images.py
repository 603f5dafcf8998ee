"""Limits of images: pixels and scans are counted before they are decoded."""

import io
from contextlib import nullcontext

import pytest
from misbehaving_server import server as server
from misbehaving_server import target as target
from PIL import Image
from test_files_limits import allocating_at_most

from relposegnn.data.images import image_size, open_image
from relposegnn.runtime import InputError


@pytest.mark.parametrize("read", [open_image, image_size])
def test_pixels_are_counted_before_they_are_decoded(tmp_path, read, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("1", (20001, 10000)).save(path, compress_level=1)
    told = r"a\.png: has 200010000 pixels, expected at most 200000000; .* RELPOSEGNN_MAX_PIXELS to"
    with allocating_at_most(1 << 20), pytest.raises(InputError, match=told):
        read(path)
    monkeypatch.setenv("RELPOSEGNN_MAX_PIXELS", "200010000")
    assert image_size(path) == (20001, 10000)  # and Pillow has no say


@pytest.mark.parametrize(
    "read", [open_image, image_size, lambda path: open_image(Image.open(path))]
)
def test_a_picture_that_is_hardly_high_is_refused(tmp_path, read):
    """As high as the others it would take gigabytes; as wide, nothing would be left of it."""
    path = tmp_path / "a.png"
    Image.new("RGB", (501, 5)).save(path)
    with pytest.raises(InputError, match=r"has 101 times its .* \(501x5\), expected at most 100; "):
        read(path)
    Image.new("RGB", (500, 5)).save(path)
    read(path)


def test_scans_of_a_jpeg_are_counted_before_they_are_decoded(tmp_path):
    """Each costs as much as the whole; what follows the first picture costs nothing."""
    path, written = tmp_path / "a.jpg", io.BytesIO()
    Image.effect_noise((64, 48), 50).save(written, "JPEG", progressive=True)
    whole = written.getvalue()
    last, scans = whole.rindex(b"\xff\xda"), whole.count(b"\xff\xda")
    for more, refused in ((100 - scans, False), (101 - scans, True)):
        path.write_bytes(whole[:-2] + whole[last:-2] * more + whole[-2:] + whole * 100)
        told = r"a\.jpg: has 101 scans, expected at most 100; .* RELPOSEGNN_MAX_SCANS to"
        with pytest.raises(InputError, match=told) if refused else nullcontext():
            open_image(path)
    open_image(Image.open(path))  # the caller's own, who looks at it first
