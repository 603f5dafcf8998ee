import logging
import os

import numpy as np
import pytest
from PIL import ExifTags, Image

from relposegnn.data.images import UPRIGHT, common_size, open_image, read_image
from relposegnn.photos.files import (
    check_names,
    find_photos,
    frame_around,
    read_photo,
    requested_photos,
)
from relposegnn.runtime import InputError

ORIENTATION = 0x0112  # EXIF's tag
TURNED_BACK = {  # by its value: what a viewer does with the stored pixels
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}


@pytest.fixture
def pixels():
    coarse = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    return np.kron(coarse, np.ones((10, 10, 1), np.uint8))


def save(path, pixels, orientation=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(path, exif=exif, **options)
    return path


def test_photos_of_all_folders_and_cases(tmp_path, pixels, caplog):
    for name in ("b.JPG", "a.jpeg", "Walk/2.PNG", "Walk/deep/1.png", ".hidden/x.jpg", "._b.JPG"):
        save(tmp_path / name, pixels)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "IMG.WEBP").write_text("")
    with caplog.at_level(logging.WARNING):
        found = find_photos(tmp_path)
    assert found == ["Walk/2.PNG", "Walk/deep/1.png", "a.jpeg", "b.JPG"]
    assert "1 x .txt, 1 x .webp" in caplog.text


def test_folder_without_photos_says_what_it_holds(tmp_path):
    with pytest.raises(InputError, match=r"holds no photos .files by suffix: none"):
        find_photos(tmp_path)
    (tmp_path / "IMG.WEBP").write_text("")
    with pytest.raises(InputError, match=r"1 x \.webp.*expected JPEG, PNG or HEIC"):
        find_photos(tmp_path)
    for name, found in (("nowhere", "no such file or folder"), ("IMG.WEBP", "is not a readable")):
        message = rf"{name}: {found}.*, expected a photo or a folder of photos"
        with pytest.raises(InputError, match=message):
            find_photos(tmp_path / name)


def test_links_to_other_folders_are_followed_and_need_not_end(tmp_path, pixels, caplog):
    album, phone = tmp_path / "album", tmp_path / "elsewhere/phone"
    for path in (album / "a.png", album / "walk/b.png", phone / "c.png", phone / "deep/d.png"):
        save(path, pixels)
    (album / "from-phone").symlink_to(phone)
    (album / "again").symlink_to(album / "walk")  # its photos have a name already
    (phone / "back").symlink_to(album)
    (album / "lost.png").symlink_to(tmp_path / "nowhere.png")
    with caplog.at_level(logging.WARNING):
        found = find_photos(album)
    assert found == ["a.png", "from-phone/c.png", "from-phone/deep/d.png", "walk/b.png"]
    assert "lost.png: is a link to nothing" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        find_photos(album, logging.DEBUG)  # as a command looks before it has a place
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["a.jpeg", "b.PNG"])
def test_a_photo_stands_for_itself_alone(tmp_path, pixels, name):
    for each in ("a.jpeg", "b.PNG"):
        save(tmp_path / each, pixels)
    assert find_photos(tmp_path / name) == [name]


@pytest.mark.parametrize("orientation", TURNED_BACK)
def test_orientation_is_applied(tmp_path, pixels, orientation):
    path = save(tmp_path / "photo.png", pixels, orientation)
    expected = TURNED_BACK[orientation](pixels)
    np.testing.assert_array_equal(np.array(open_image(path, UPRIGHT)), expected)
    jpeg = save(tmp_path / "photo.jpg", pixels, orientation, quality=95)
    assert np.abs(np.array(open_image(jpeg, UPRIGHT)) - expected.astype(float)).mean() < 8


@pytest.mark.parametrize("database", TURNED_BACK)
@pytest.mark.parametrize("own", TURNED_BACK)
def test_photos_are_turned_as_the_database_is_stored(tmp_path, pixels, own, database):
    """Whatever the two tags are: what a viewer shows upright is then stored in the same way."""
    photo = save(tmp_path / "photo.png", pixels, own)
    turned = np.array(open_image(photo, database))
    seen, expected = TURNED_BACK[database](turned), TURNED_BACK[own](pixels)
    np.testing.assert_array_equal(seen, expected)
    if own == database:
        np.testing.assert_array_equal(turned, np.array(open_image(photo)))
        read = read_photo(photo, (64, 48), (53, 40), (53, 40), orientation=database)
        np.testing.assert_array_equal(read.describing, read_image(photo, (64, 48)))


@pytest.mark.parametrize("tag", [0, 9, 65535])
def test_a_tag_that_is_none_counts_as_upright(tmp_path, pixels, tag):
    photo = save(tmp_path / "photo.png", pixels, tag)
    assert common_size([photo], 1) == ((160, 120), [UPRIGHT])
    np.testing.assert_array_equal(np.array(open_image(photo, UPRIGHT)), pixels)


def test_photo_of_the_scenes_camera_is_resized_as_frames_are(tmp_path, pixels):
    path = save(tmp_path / "photo.png", pixels)
    photo = read_photo(path, (64, 48), (53, 40), (53, 40))  # 160 x 120 at 40 is rounded to 53 x 40
    np.testing.assert_array_equal(photo.describing, read_image(path, (64, 48)))
    np.testing.assert_array_equal(photo.seen, read_image(path, (53, 40)))
    assert photo.frame == photo.size


@pytest.mark.parametrize("left_out", [((20, 20), (0, 0)), ((0, 0), (30, 30))])
def test_of_another_aspect_edges_are_continued_to_that_of_the_frames(tmp_path, pixels, left_out):
    """What is left of a picture lies where it lies in the whole, and as large."""
    rows, columns = (
        slice(first, n - last) for (first, last), n in zip(left_out, (120, 160), strict=True)
    )
    whole = save(tmp_path / "whole.png", pixels)
    part = save(tmp_path / "part.png", pixels[rows, columns])
    expected, found = (read_photo(path, (80, 60), (16, 12), (16, 12)) for path in (whole, part))
    assert found.frame == pytest.approx((160, 120))
    seen, there = found.describing.astype(int), expected.describing.astype(int)
    (top, _), (left, _) = np.array(left_out) // 2
    inside = slice(top + 1, 60 - top - 1), slice(left + 1, 80 - left - 1)
    np.testing.assert_allclose(seen[inside], there[inside], atol=1)
    for edge in (slice(None, top + 1), slice(60 - top - 1, None)):
        assert (np.ptp(seen[edge], axis=0) == 0).all()
    for edge in (slice(None, left + 1), slice(80 - left - 1, None)):
        assert (np.ptp(seen[:, edge], axis=1) == 0).all()


def test_the_descriptor_sees_the_middle_of_the_frame_around_a_photo(tmp_path, pixels):
    path = save(tmp_path / "part.png", pixels[20:100])
    found = read_photo(path, (40, 30), (16, 12), (16, 12), crop=0.5).describing
    expected = Image.fromarray(pixels[20:100]).resize((40, 30), 2, (40, 10, 120, 70))
    np.testing.assert_array_equal(found, expected)


SIZES = (80, 60), (16, 12), (16, 12)


def exif(millimetres: object, orientation: int = 1) -> Image.Exif:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = millimetres
    return tags


@pytest.mark.parametrize("orientation", [1, 6])
def test_focal_length_of_a_photo(tmp_path, pixels, orientation):
    """28 mm on a picture of 43.27 mm from corner to corner: 0.647 diagonals, of 200 pixels here."""
    path = tmp_path / "photo.jpg"
    Image.fromarray(pixels).save(path, exif=exif(28, orientation))
    sizes = (80, 60), (16, 12), (16, 12)
    diagonal = 28 / np.hypot(36, 24)
    assert read_photo(path, *sizes).focal_length == pytest.approx(diagonal * 200 / 160)
    assert read_photo(path, *sizes, focal_length=0.9).focal_length == 0.9
    if orientation == 1:
        assert read_photo(path, *sizes).frame == (160, 120)
        return
    # Held upright: its frame is as high, and 4/3 of that wide.
    photo = read_photo(path, *sizes)
    assert photo.size == (120, 160)
    assert photo.frame == pytest.approx((160 * 4 / 3, 160))


@pytest.mark.parametrize("millimetres", [0, None])
def test_photo_that_does_not_tell_its_focal_length(tmp_path, pixels, millimetres):
    path = tmp_path / "photo.jpg"
    options = {} if millimetres is None else {"exif": exif(millimetres)}
    Image.fromarray(pixels).save(path, **options)
    assert np.isnan(read_photo(path, (80, 60), (16, 12), (16, 12)).focal_length)


@pytest.mark.parametrize("told", ["wide", (1, 2), 65535])
def test_a_focal_length_that_is_none_is_unknown(tmp_path, pixels, told):
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", exif=exif(told))
    assert np.isnan(read_photo(tmp_path / "photo.jpg", *SIZES).focal_length)


def test_a_photo_with_damaged_tags_is_read_as_if_it_had_none(tmp_path, pixels):
    for name, tags in (("a.jpg", b"Exif\0\0" + b"\xff" * 40), ("b.jpg", b"")):
        Image.fromarray(pixels).save(tmp_path / name, exif=tags)
    damaged, whole = (read_photo(tmp_path / name, *SIZES) for name in ("a.jpg", "b.jpg"))
    np.testing.assert_array_equal(damaged.seen, whole.seen)
    assert np.isnan(damaged.focal_length)


def test_patterns_and_several_photos(tmp_path):
    for name in ("a/1.jpg", "a/2.JPG", "a/3.txt", "b/c/4.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    assert find_photos(tmp_path / "a/*.[jJ]*") == ["1.jpg", "2.JPG"]
    assert find_photos(tmp_path / "*/**/*.png") == ["b/c/4.png"]
    with pytest.raises(InputError, match=r"matches no photos \(1 other files\)"):
        find_photos(tmp_path / "a/*.txt")
    folder, names = requested_photos([tmp_path / "a/1.jpg", tmp_path / "b", tmp_path / "a"])
    assert folder == tmp_path
    assert names == ["a/1.jpg", "b/c/4.png", "a/2.JPG"]
    assert requested_photos(tmp_path / "a/1.jpg") == (tmp_path / "a", ["1.jpg"])
    with pytest.raises(InputError, match="photos: got none, expected a photo"):
        requested_photos([])


def test_a_pattern_passes_over_hidden_files_unless_it_asks_for_them(tmp_path):
    """Shells do so, too; macOS writes such a file beside each photo on a stick."""
    for name in ("a.jpg", "._a.jpg", ".trash/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_photos(tmp_path / "*.jpg") == find_photos(tmp_path / "**/*.jpg") == ["a.jpg"]
    assert find_photos(tmp_path / ".trash/*.jpg") == ["b.jpg"]
    assert find_photos(tmp_path / "._*.jpg") == ["._a.jpg"]


def test_what_there_is_by_its_name_is_no_pattern(tmp_path):
    """Phones and people put brackets in names."""
    for name in ("trip [2024]/[b].jpg", "trip [2024]/b.jpg", "trip 2/c.jpg", "trip*/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    expected = {
        "trip [2024]/*.jpg": ("trip [2024]", ["[b].jpg", "b.jpg"]),
        "trip [2024]/[ab].jpg": ("trip [2024]", ["b.jpg"]),
        "trip [2024]/[b].jpg": ("trip [2024]", ["[b].jpg"]),
        "trip [2024]": ("trip [2024]", ["[b].jpg", "b.jpg"]),
        "trip*/*.jpg": ("trip*", ["d.jpg"]),
        "trip [0-9]/*.jpg": ("", ["trip 2/c.jpg"]),
    }
    for asked, (folder, names) in expected.items():
        assert requested_photos(tmp_path / asked) == (tmp_path / folder, names)


@pytest.mark.parametrize("pattern", ["**.jpg", "walk/***", "wa**/a.jpg"])
def test_a_pattern_that_is_none_is_told(tmp_path, pixels, pattern):
    save(tmp_path / "walk/a.jpg", pixels)
    assert find_photos(tmp_path / "**/*.jpg") == ["walk/a.jpg"]
    with pytest.raises(InputError, match=r"not a valid pattern: .*a pattern like trip/\*\.jpg"):
        find_photos(tmp_path / pattern)


def test_photos_whose_names_are_no_text_are_found_and_told(tmp_path, pixels):
    names = [os.fsdecode(name) for name in ("été.png".encode(), b"\xe9t\xe9.png", b"\xff.png")]
    for name in names:
        save(tmp_path / "photo.png", pixels).rename(tmp_path / name)
    assert find_photos(tmp_path) == names
    check_names(tmp_path, names[:1])
    with pytest.raises(InputError) as caught:
        check_names(tmp_path, names)
    message = str(caught.value)
    assert r"names of 2 photos are not text, expected UTF-8: '\udce9t\udce9.png', '\udcf" in message


def test_the_frame_around_a_photo_that_is_held_upright():
    assert frame_around((120, 160), (64, 48)) == pytest.approx((160 * 4 / 3, 160))


def test_depth_image_is_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "depth.png")
    with pytest.raises(InputError, match=r"depth\.png: .*mode I;16.*8 bits per channel"):
        open_image(tmp_path / "depth.png", UPRIGHT)


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png"])
def test_damaged_photo_is_named(tmp_path, pixels, name):
    path = save(tmp_path / name, pixels)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match=rf"{name}: cannot be read as an image"):
        open_image(path, UPRIGHT)
