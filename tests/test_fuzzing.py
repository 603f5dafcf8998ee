"""Files with random damage: each is read, or refused by an InputError; none hangs a reader."""

import resource
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from configurations import DEFAULT, validated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted_scenes import WRITERS
from test_catalogue import READERS, files  # noqa: F401, a fixture

from relposegnn.layouts.colmap import read_model
from relposegnn.layouts.reading import LEAVE_OUT, read_scene
from relposegnn.pipeline.configuration import merged
from relposegnn.pipeline.configuration_files import check_file
from relposegnn.runtime import InputError

# Enough to reach every check; the same in every run. A deadline is for readers that hang.
FUZZ = settings(
    max_examples=50,
    derandomize=True,
    database=None,
    deadline=timedelta(seconds=60),
    suppress_health_check=list(HealthCheck),
)
GROWTH = 300  # MB at most, of memory, in one of these tests
PIECES = (
    *(b"", b"\0", b"\n", b"\n\n", b"\r", b" ", b",", b'"', b"#", b"-", b"0", b"9", b"nan", b"inf"),
    *(
        b"1e999",
        b"1e-400",
        b"\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\xff\xfe",
        b"../",
        b"\\",
        b"[[",
        b"{",
    ),
    *(b"*a", b"&a", b"\xc3\xa9", b"\xe2\x80\xa8", b"1_0", b"0x1", b"null", b"true", b": "),
)
DAMAGE = st.lists(
    st.tuples(
        st.floats(0, 1),  # where, as a share of the file
        st.sampled_from([0, 0, 1, 1, 2, 8, 40, 1000]),  # bytes that go
        st.one_of(st.sampled_from(PIECES), st.binary(max_size=8)),  # bytes that come
    ),
    min_size=1,
    max_size=4,
)
LISTS = {
    "csv": ("train.csv", "test.csv"),
    "txt": ("train.txt", "test.txt"),
    "Cambridge Landmarks": ("dataset_train.txt", "dataset_test.txt"),
    "7-Scenes": ("seq-01/frame-000002.pose.txt", "TrainSplit.txt", "TestSplit.txt"),
    "12-Scenes": ("split.txt",),
    "NeRF's transforms": ("transforms.json",),
    "TUM RGB-D": ("rgb.txt", "groundtruth.txt", "test.txt"),
    "COLMAP": ("test.txt",),
}
PARTS = ("cameras", "images", "points3D", "frames", "rigs")
OURS = ("camera.json", "calibration.json", "place.json", "mine.yaml", "garage.zip")


@pytest.fixture(autouse=True)
def _memory_stays():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 1024 * GROWTH, f"{grown / 1024:.0f} MB"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """Return a folder with a scene of each layout."""
    folder = tmp_path_factory.mktemp("scenes")
    for layout in [*LISTS, "COLMAP text"]:
        WRITERS[layout](folder / layout)
    return folder


def damaged(content: bytes, damage: list[tuple[float, int, bytes]]) -> bytes:
    """Return bytes of which some are others, gone or new."""
    for place, gone, new in damage:
        start = round(place * len(content))
        content = content[:start] + new + content[start + gone :]
    return content


def survives(path: Path, damage: list, read) -> object:
    """Return what is read of a damaged file, None where it is refused; restore the file."""
    whole = path.read_bytes()
    try:
        path.write_bytes(damaged(whole, damage))
        return read()
    except InputError as error:
        assert len(str(error)) > 20
        return None
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize(("layout", "file"), [(each, f) for each in LISTS for f in LISTS[each]])
def test_lists_and_poses(folders, layout, file):
    folder = folders / layout
    whole = {frame.name for frame in read_scene(folder).train + read_scene(folder).test}

    @FUZZ
    @given(DAMAGE)
    def check(damage):
        scene = survives(folder / file, damage, lambda: read_scene(folder, LEAVE_OUT))
        if scene is None:
            return
        assert scene.train
        for frame in scene.train + scene.test:
            assert frame.name in whole
            rotation, centre = frame.world_from_cam[:3, :3], frame.world_from_cam[:3, 3]
            np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=3e-3)
            assert np.abs(centre).max() <= 1e8

    check()


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("layout", "suffix"), [("COLMAP", "bin"), ("COLMAP text", "txt")])
def test_models_of_colmap(folders, layout, suffix, part):
    model = folders / layout / "sparse/0"

    @FUZZ
    @given(DAMAGE)
    def check(damage):
        read = survives(model / f"{part}.{suffix}", damage, lambda: read_model(model))
        if read is not None:
            poses, focal_lengths = read
            assert poses.keys() == focal_lengths.keys()
            assert all(np.isfinite(pose).all() for pose in poses.values())
            assert all(length > 0 or np.isnan(length) for length in focal_lengths.values())

    check()


@pytest.mark.parametrize("file", OURS)
def test_files_of_ours(files, file):  # noqa: F811, the fixture
    def read():
        if file == "mine.yaml":  # Snakemake has merged such files when they are checked
            check_file(files / file)
        else:
            READERS["archive" if file == "garage.zip" else file.split(".")[0]](files)

    @FUZZ
    @given(DAMAGE)
    def check(damage):
        survives(files / file, damage, read)

    check()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)
PLACES = [(key,) for key in DEFAULT] + [
    (key, name) for key, section in DEFAULT.items() if isinstance(section, dict) for name in section
]


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=2))
def test_any_value_of_a_setting(changes):
    """The configuration is taken whole, or refused line by line."""
    given_settings = {}
    for place, value in changes:
        for key in reversed(place):
            value = {key: value}
        given_settings = merged(given_settings, value)
    try:
        assert validated(given_settings).keys() == DEFAULT.keys()
    except InputError as error:
        assert str(error).startswith("The configuration cannot be used:\n")
