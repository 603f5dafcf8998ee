"""Images: the published resize to the last bit, order and memory of the pool, damaged files."""

import json
import threading
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from torchvision.transforms import functional

from relposegnn.data import images
from relposegnn.data.colour_jitter import jitter_colours, shift_hue
from relposegnn.data.images import (
    common_size,
    crop_centre,
    image_size,
    read_image,
    read_images,
    resized_shape,
)
from relposegnn.runtime import InputError


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Return a noise image of 32x24 pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    path = tmp_path / "frame-000000.color.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    ("size", "shorter_side", "expected"),
    [
        ((640, 480), 256, (341, 256)),
        ((480, 640), 256, (256, 341)),
        ((1920, 1080), 256, (455, 256)),
        ((320, 240), 64, (85, 64)),
        ((50, 50), 7, (7, 7)),
    ],
)
def test_resized_shape(size, shorter_side, expected):
    assert resized_shape(*size, shorter_side) == expected


@pytest.mark.parametrize("graph", ["data_000000", "data_000001"])
def test_published_images_are_reproduced(shared, graph):
    """Undo the normalisation of pre-processed graphs: their images are ours, bit for bit."""
    folder = shared / "reference/prebuilt_graphs"
    with zipfile.ZipFile(folder / f"{graph}.pt") as archive:
        values = np.frombuffer(archive.read(f"{graph}/data/0"), dtype=np.float32)
    statistics = json.loads((shared / "reference/normalisation.json").read_text())["redkitchen"]
    deviation = np.sqrt(statistics["variance"])
    published = values.reshape(8, 3, 256, 341).transpose(0, 2, 3, 1) * deviation
    published = np.round(255 * (published + statistics["mean"])).astype(np.uint8)
    for number, expected in zip(
        json.loads((folder / "frames.json").read_text())[f"{graph}.pt"], published, strict=True
    ):
        sequence, frame = divmod(number, 20)
        name = f"seq-{sequence + 1:02d}/frame-{frame:06d}.color.jpg"
        image = read_image(shared / "data/7scenes/redkitchen" / name, (341, 256))
        np.testing.assert_array_equal(image, expected)


def test_resize_does_not_alias(tmp_path):
    """Stripes finer than the target's pixels turn to their mean instead of to other stripes."""
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    small = read_image(tmp_path / "stripes.png", (10, 10))
    assert np.abs(small.astype(int) - 100).max() <= 5


def test_without_size_pixels_are_the_files_own(picture):
    with Image.open(picture) as image:
        np.testing.assert_array_equal(read_image(picture), np.asarray(image))
    assert image_size(picture) == (32, 24)


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 90, (90, 90, 90)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("P", 0, None),
    ],
)
def test_other_modes_become_rgb(tmp_path, mode, colour, expected):
    path = tmp_path / "image.png"
    image = Image.new(mode, (6, 4), colour)
    if mode == "P":
        image.putpalette([1, 2, 3] * 256)
        expected = (1, 2, 3)
    image.save(path)
    np.testing.assert_array_equal(read_image(path), np.broadcast_to(expected, (4, 6, 3)))


def test_images_come_in_order(tmp_path):
    paths = []
    for value in range(20):
        paths.append(tmp_path / f"{value}.png")
        Image.new("RGB", (4 + 30 * (value % 2), 4), (value, 0, 0)).save(paths[-1])
    for workers in (1, 3):
        values = [int(image[0, 0, 0]) for image in read_images(paths, (4, 4), workers)]
        assert values == list(range(20))


def test_pool_does_not_run_ahead(picture, monkeypatch):
    """With a consumer that stops at one image, no more than 2 x workers are decoded."""
    started = []
    lock = threading.Lock()

    def counting(path, size, crop):
        with lock:
            started.append(path)
        return read_image(path, size, crop)

    monkeypatch.setattr(images, "read_image", counting)
    reader = read_images([picture] * 100, workers=2)
    next(reader)
    reader.close()
    assert 1 <= len(started) <= 4


def test_missing_image(tmp_path):
    path = tmp_path / "frame-000003.color.png"
    for read in (read_image, image_size):
        with pytest.raises(InputError, match=r"frame-000003\.color\.png: no such file"):
            read(path)


def test_not_an_image(tmp_path):
    path = tmp_path / "frame-000003.color.png"
    path.write_text("<html>")
    for read in (read_image, image_size):
        with pytest.raises(
            InputError, match=r"frame-000003\.color\.png: cannot be read as an image"
        ):
            read(path)


@pytest.mark.parametrize(
    ("kind", "start"), [("TIFF", "II"), ("BMP", "BM"), ("GIF", "GIF8"), ("WEBP", "RIFF")]
)
def test_other_formats_are_refused_whatever_their_name(tmp_path, picture, kind, start):
    """Pillow knows them, but none of its other decoders is to see a file."""
    path = tmp_path / "photo.jpg"
    with Image.open(picture) as image:
        image.save(path, kind)
    for read in (read_image, image_size):
        with pytest.raises(InputError, match=rf"starts with b'{start}.*expected PNG or JPEG"):
            read(path)


def test_a_photo_of_an_iphone_is_refused_by_what_it_is(tmp_path):
    path = tmp_path / "IMG_0001.jpg"
    path.write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic")
    with pytest.raises(InputError, match=r"ftypheic.*expected PNG or JPEG"):
        read_image(path)


def test_jpegs_of_several_pictures_are_read(tmp_path, picture):
    """Phones write them, with a preview or a depth map behind the photo."""
    path = tmp_path / "photo.jpg"
    with Image.open(picture) as image:
        image.save(path, "MPO", save_all=True, append_images=[image.resize((8, 6))])
    assert image_size(path) == (32, 24)
    assert read_image(path).shape == (24, 32, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_truncated_image(tmp_path, picture, kind):
    path = tmp_path / "cut"
    with Image.open(picture) as image:
        image.save(path, kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(InputError, match="cut: cannot be read as an image"):
        read_image(path)


def test_depth_image_is_refused(tmp_path):
    path = tmp_path / "frame-000003.depth.png"
    Image.fromarray(np.full((4, 6), 65535, dtype=np.uint16)).save(path)
    with pytest.raises(InputError, match=r"depth\.png: has pixels of Pillow's mode I;16"):
        read_image(path)


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_of_colours_are_refused(tmp_path, channels):
    """Pillow reads them as eight."""
    deep = np.random.default_rng(0).integers(0, 65536, (4, 6, channels), dtype=np.uint16)
    assert cv2.imwrite(str(tmp_path / "deep.png"), deep)
    with pytest.raises(InputError, match=r"deep\.png: .* more than 8 bits, .* If not, convert it"):
        read_image(tmp_path / "deep.png")


def test_error_in_a_thread_names_the_file(tmp_path, picture):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"")
    with pytest.raises(InputError, match=r"broken\.png"):
        list(read_images([picture, picture, broken, picture], workers=2))


def test_colour_jitter_is_torchvisions(picture):
    """The same factors in the same order give the same pixels."""
    image = Image.open(picture)
    for share in (-0.2, 0.0, 0.07, 0.5):
        expected = np.array(functional.adjust_hue(image, share))
        np.testing.assert_array_equal(np.array(shift_hue(image, share)), expected)
    generator, strengths = np.random.default_rng(3), (0.5, 0.4, 0.3, 0.2)
    jittered = jitter_colours(image, strengths, generator)
    generator = np.random.default_rng(3)
    factors = generator.uniform([0.5, 0.6, 0.7, 0.8], [1.5, 1.4, 1.3, 1.2])
    shift = generator.uniform(-0.2, 0.2)
    changes = (
        lambda image: functional.adjust_brightness(image, factors[0]),
        lambda image: functional.adjust_contrast(image, factors[1]),
        lambda image: functional.adjust_saturation(image, factors[2]),
        lambda image: functional.adjust_hue(image, shift),
    )
    for change in generator.permutation(4):
        image = changes[change](image)
    np.testing.assert_array_equal(jittered, np.array(image))


def test_no_strength_leaves_colours_as_they_are():
    grey = np.repeat(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), 3, axis=2)
    jittered = jitter_colours(Image.fromarray(grey), (0, 0, 0, 0), np.random.default_rng(0))
    np.testing.assert_array_equal(jittered, grey)


def test_a_cropped_image_is_the_centre_in_the_size_of_the_whole():
    columns = np.tile(np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], (60, 1, 3))
    image = Image.fromarray(columns)
    assert crop_centre(image, 1) is image
    cropped = np.array(crop_centre(image, 0.5))
    assert cropped.shape == columns.shape
    expected = cv2.resize(columns[15:45, 30:90], (120, 60), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(cropped, expected)
    assert (int(cropped[0, 0, 0]), int(cropped[0, -1, 0])) == (60, 178)


def test_the_published_crop_is_that_of_525_of_585(picture):
    image = read_image(picture, (16, 12), crop=525 / 585)
    whole = Image.open(picture)
    assert image.shape == (12, 16, 3)
    expected = crop_centre(whole, 525 / 585).resize((16, 12), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(image, np.array(expected))


@pytest.mark.parametrize("mode", ["1", "I;16"])
def test_a_scenes_images_of_other_than_eight_bits_are_refused_by_their_headers(tmp_path, mode):
    Image.new(mode, (8, 6)).save(tmp_path / "a.png")
    with pytest.raises(
        InputError, match=r"a\.png: has pixels of .* expected a colour image with 8"
    ):
        common_size([tmp_path / "a.png"], 1)
