"""Films show the planted data. A query's image is of one colour, its neighbours' of others."""

import av
import numpy as np
import pytest
from conftest import OWNED
from PIL import ExifTags, Image, ImageSequence
from scipy.spatial.transform import Rotation

from relposegnn.frames import Frames
from relposegnn.runtime import InputError
from relposegnn.storage import create_hdf5
from relposegnn.videos.film import (
    HEIGHT,
    LEFT,
    QUERY_BOX,
    RIGHT,
    STRIP_BOX,
    STRIP_GAP,
    STRIP_MOST,
    STRIP_TOP,
    WIDTH,
    Film,
    FilmSettings,
    render_video,
)
from relposegnn.videos.panels import RETRIEVED
from relposegnn.videos.queries import choose_queries, read_localized

COUNT, FAILED, FAR = 9, 4, 6  # queries; that without an estimate; that 40 m and 170 degrees off
COLOURS = np.array([[200, 40, 30], [40, 170, 60], [30, 60, 200]], dtype=np.uint8)
SETTINGS = FilmSettings(queries=200, frames_per_second=10)


def write_images(folder, colours=COLOURS, size=(40, 30), exif=None) -> None:
    """Write the images of ``write_scene``'s frames, those of one colour as one file."""
    for i in range(COUNT):
        image = Image.new("RGB", size, tuple(colours[i % 3].tolist()))
        image.save(folder / f"{i}.png", **({"exif": exif} if exif else {}))


def write_scene(folder) -> dict[str, np.ndarray]:
    """Write frames, graphs and predictions of nine queries in two sequences; return the last.

    Query i has the colour i % 3, its neighbours the next two; what the network sees is white.
    Errors are 0.1 i m but for two.
    """
    write_images(folder)
    poses = np.tile(np.eye(4), (COUNT, 1, 1))
    turns = Rotation.from_euler("y", 10 * np.arange(COUNT)[:, None], degrees=True)
    poses[:, :3, :3] = turns.as_matrix()
    poses[:, 0, 3] = 0.5 * np.arange(COUNT)
    names = [f"seq-0{i // 5}/frame-{i:06d}" for i in range(COUNT)]
    with create_hdf5(folder / "frames.h5", "frames", {}) as file:
        for split in ("train", "test"):
            file[f"{split}/images"] = np.full((COUNT, 12, 16, 3), 255, dtype=np.uint8)
            file[f"{split}/world_from_cam"] = poses
            file[f"{split}/name"] = names
            file[f"{split}/source"] = [f"{i}.png" for i in range(COUNT)]
        file.attrs.update(dataset="d", scene="room", mean=np.zeros(3), variance=np.ones(3))
    with create_hdf5(folder / "graphs.h5", "graphs", {}) as file:
        file["test/query"] = np.arange(COUNT)
        file["test/neighbours"] = (np.arange(COUNT)[:, None] + [1, 2]) % COUNT
    quaternions = turns.as_quat()[:, [3, 0, 1, 2]]
    arrays = {
        "rel_path": np.array(names),
        "targ_t": poses[:, :3, 3],
        "targ_q": quaternions,
        "abs_t": poses[:, :3, 3] + 0.1 * np.arange(COUNT)[:, None] * [0, 0, 1],
        "abs_q": quaternions.copy(),
    }
    arrays["abs_t"][FAILED] = np.nan
    arrays["abs_t"][FAR] = arrays["targ_t"][FAR] + [0, 0, 40.0]
    far = turns[FAR] * Rotation.from_euler("x", 170, degrees=True)
    arrays["abs_q"][FAR] = far.as_quat()[[3, 0, 1, 2]]
    np.savez(folder / "predictions.npz", **arrays | OWNED)
    return arrays


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Return the folder of a scene and the arrays of its predictions."""
    folder = tmp_path_factory.mktemp("scene")
    return folder, write_scene(folder)


def sources(folder) -> list:
    """Return the three files that a film is made from, and the folder of its images."""
    return [*(folder / name for name in ("frames.h5", "graphs.h5", "predictions.npz")), folder]


@pytest.fixture(scope="module")
def film(scene, tmp_path_factory):
    """Return the MP4 and the GIF of all queries, 10 a second."""
    folder = tmp_path_factory.mktemp("film")
    files = folder / "room.mp4", folder / "room.gif"
    render_video(*sources(scene[0]), files, "joint", SETTINGS)
    return files


def drawn(scene) -> Film:
    """Return the film of all queries, not written."""
    folder = scene[0]
    frames = Frames(folder / "frames.h5")
    localized = read_localized(frames, *sources(folder)[1:3])
    return Film(frames, folder, localized, np.arange(COUNT), "run m")


def decode(path) -> np.ndarray:
    """Return all frames (n, H, W, 3)."""
    with av.open(path) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def middle(box) -> tuple[int, int]:
    """Return row and column of a box's middle."""
    left, top, width, height = box
    return top + height // 2, left + width // 2


def test_mp4_is_h264_of_one_frame_a_query_and_starts_fast(film):
    with av.open(film[0]) as container:
        (stream,) = container.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.frames) == (1280, 720, COUNT)
        assert stream.average_rate == 10
        assert float(container.duration / av.time_base) == pytest.approx(COUNT / 10, abs=0.02)
    content = film[0].read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


def test_pictures_of_query_and_neighbours_follow_each_other_in_recorded_order(film):
    frames = decode(film[0])
    left = middle((QUERY_BOX[0], STRIP_TOP, *STRIP_BOX))
    step = STRIP_BOX[0] + STRIP_GAP
    for i, frame in enumerate(frames):
        places = [middle(QUERY_BOX), left, (left[0], left[1] + step)]
        shown = np.array([frame[place] for place in places], dtype=int)
        neighbours = (i + np.arange(3)) % COUNT
        np.testing.assert_allclose(shown, COLOURS[neighbours % 3], atol=8)
        assert (frame[left[0], left[1] + 2 * step] > 250).all()  # there is no third neighbour


def test_gif_is_a_loop_of_at_most_five_frames_a_second_that_ends_with_the_last_query(film):
    with Image.open(film[1]) as gif:
        frames = [np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(gif)]
        gif.seek(1)
        assert (gif.size, gif.info["duration"], gif.info["loop"]) == ((640, 360), 200, 0)
    assert len(frames) == 5  # queries 0, 2, 4, 6, 8
    row, column = middle(QUERY_BOX)
    for i, frame in zip(range(0, COUNT, 2), frames, strict=True):
        shown = frame[row // 2, column // 2].astype(int)
        np.testing.assert_allclose(shown, COLOURS[i % 3], atol=8)
        assert (frame[1, 1] > 250).all()


def test_errors_are_told_and_a_failed_query_is_infinite(scene):
    film = drawn(scene)
    told = {}
    for i in (1, FAILED, FAR, COUNT - 1):
        film.draw(i)
        told[i] = {name: text.get_text() for name, text in film.texts.items()}
    assert told[1]["error metres"] == "0.100 m"
    assert told[1]["neighbour 1"] == "1.00 m, 20°"
    assert told[FAILED]["error metres"] == told[FAILED]["error degrees"] == "failed"
    assert told[FAR]["error metres"] == "40.000 m"
    assert told[FAR]["error degrees"] == "170.00°"
    assert told[COUNT - 1]["name"] == "seq-01/frame-000008"
    # 0, 0.1, 0.2, 0.3, infinite, 0.5, 40, 0.7, 0.8
    assert told[COUNT - 1]["median metres"] == "0.500 m"


def test_the_running_median_of_the_most_similar_image_is_dashed(scene, tmp_path):
    folder, arrays = scene
    film = drawn(scene)
    assert film.panels[1].copying.get_xdata().size == 0
    shuffled = np.random.default_rng(0).permutation(COUNT)
    far = arrays["targ_t"] + 0.2 * np.arange(COUNT)[:, None] * [0, 1, 0]
    arrays = arrays | {"similar_t": far, "similar_q": arrays["targ_q"]}
    arrays |= {"reference_t": far + 9, "reference_q": arrays["targ_q"]}
    np.savez(
        tmp_path / "p.npz", **{name: values[shuffled] for name, values in arrays.items()} | OWNED
    )
    with Frames(folder / "frames.h5") as frames:
        data = read_localized(frames, folder / "graphs.h5", tmp_path / "p.npz")
        film = Film(frames, folder, data, np.array([1, 4, 6]), "run m")
        film.draw(1)
    metres, degrees = film.panels[1:]
    expected = [[2, 0.1], [5, 0.4]]  # medians of 0, 0.2 and of 0, 0.2, ..., 0.8 m
    np.testing.assert_allclose(metres.copying.get_xydata(), expected, atol=1e-9)
    np.testing.assert_allclose(degrees.copying.get_ydata(), 0, atol=1e-5)
    labels = [t.get_text() for t in film.figure.legends[1].get_texts()]
    assert labels == ["query", "median", "most similar image", "failed"]
    box = film.figure.legends[1].get_window_extent(film.canvas.get_renderer())
    assert box.x1 < WIDTH
    assert box.y0 > HEIGHT - STRIP_TOP + 20


def test_map_shows_estimates_so_far_and_marks_the_failed(scene):
    cameras, metres, _ = drawn(scene).panels
    moved = cameras.move_to(FAR)
    past = [i for i in range(FAR + 1) if i != FAILED]
    x, z = 0.5 * np.array(past), 0.1 * np.array(past)  # y is down: x across, z ahead
    z[-1] = 40
    np.testing.assert_allclose(cameras.dots.get_offsets(), np.stack([x, z], axis=1), atol=1e-9)
    np.testing.assert_allclose(cameras.failed.get_xydata(), [[0.5 * FAILED, 0]], atol=1e-9)
    np.testing.assert_allclose(cameras.error.get_ydata(), [0, 40], atol=1e-9)
    assert moved[-1] is cameras.cameras
    assert len(cameras.cameras.get_paths()) == 2  # the true and the estimated one
    cameras.move_to(FAILED)
    assert len(cameras.cameras.get_paths()) == 1
    assert cameras.axes.get_ylim()[1] < 10  # one query that is far off does not set the scale
    metres.move_to(FAR)
    assert metres.dots.get_offsets()[-1, 1] == metres.limit < 40
    np.testing.assert_allclose(metres.failed.get_xydata(), [[FAILED + 1, metres.limit]])


def test_frames_do_not_depend_on_what_was_drawn_before(scene):
    film = drawn(scene)
    first = film.draw(2)
    film.draw(7)
    np.testing.assert_array_equal(film.draw(2), first)


@pytest.mark.parametrize(
    ("lengths", "limit", "expected"),
    [
        ([3, 2], 5, [0, 1, 2, 3, 4]),
        ([5, 4], 5, [0, 2, 4, 6, 8]),
        ([7], 1, [6]),
        ([2, 2, 2], 2, [1, 3, 5]),  # a sequence is never left out
    ],
)
def test_queries_are_taken_at_one_stride_up_to_the_last_of_each_sequence(lengths, limit, expected):
    names = [f"seq-{i}/{j}" for i, length in enumerate(lengths) for j in range(length)]
    assert choose_queries(names, limit).tolist() == expected


def test_predictions_are_matched_by_name(scene, tmp_path):
    folder, arrays = scene
    shuffled = np.random.default_rng(0).permutation(COUNT)
    np.savez(
        tmp_path / "p.npz", **{name: values[shuffled] for name, values in arrays.items()} | OWNED
    )
    with Frames(folder / "frames.h5") as frames:
        found = read_localized(frames, folder / "graphs.h5", tmp_path / "p.npz")
    assert found.names == arrays["rel_path"].tolist()
    np.testing.assert_allclose(found.metres[:3], [0, 0.1, 0.2], atol=1e-9)


def test_predictions_of_other_queries_are_refused(scene, tmp_path):
    folder, arrays = scene
    np.savez(tmp_path / "p.npz", **{name: values[1:] for name, values in arrays.items()} | OWNED)
    files = [*sources(folder)[:2], tmp_path / "p.npz", folder, ("x.mp4", "x.gif")]
    with pytest.raises(InputError, match=r"p\.npz: names 8 queries.*seq-00/frame-000000 first"):
        render_video(*files, "joint", SETTINGS)


def test_images_that_are_gone_are_told(scene, tmp_path):
    files = [*sources(scene[0])[:3], tmp_path, (tmp_path / "x.mp4", tmp_path / "x.gif")]
    with pytest.raises(InputError, match=r"0\.png: no such file, .* extract its scene again"):
        render_video(*files, "joint", SETTINGS)
    assert not list(tmp_path.glob("*.mp4"))


def test_graphs_of_other_frames_are_refused(scene, tmp_path):
    folder, _ = scene
    with create_hdf5(tmp_path / "g.h5", "graphs", {}) as file:
        file["test/query"], file["test/neighbours"] = np.arange(2), np.full((2, 3), COUNT)
    with (
        Frames(folder / "frames.h5") as frames,
        pytest.raises(InputError, match=r"g\.h5: test/neighbours: found 9 to 9, .* 0 to 8"),
    ):
        read_localized(frames, tmp_path / "g.h5", folder / "predictions.npz")


def write_black_scene(folder, neighbours: int, size=(16, 12), failed=False) -> Film:
    """Write a scene like ``write_scene``'s of black images with larger graphs; return its film."""
    arrays = write_scene(folder)
    write_images(folder, np.zeros_like(COLOURS), size)
    with create_hdf5(folder / "graphs.h5", "graphs", {}) as file:
        file["test/query"] = np.arange(COUNT)
        file["test/neighbours"] = np.tile(np.arange(neighbours) % COUNT, (COUNT, 1))
    if failed:
        arrays["abs_t"][:] = np.nan
        np.savez(folder / "predictions.npz", **arrays | OWNED)
    return drawn((folder,))


@pytest.mark.parametrize("neighbours", [1, 3, 7, 30])
@pytest.mark.parametrize("size", [(1600, 900), (9, 16)])
def test_strip_holds_graphs_of_any_size(neighbours, size, tmp_path):
    frame = write_black_scene(tmp_path, neighbours, size).draw(COUNT - 1)
    assert frame.shape == (HEIGHT, WIDTH, 3)
    ring = np.array([int(RETRIEVED[i : i + 2], 16) for i in (1, 3, 5)])
    bordered = (np.abs(frame[STRIP_TOP + 60].astype(int) - ring) <= 1).all(axis=1)
    starts = np.flatnonzero(np.diff(bordered.astype(int)) == 1)
    assert len(starts) == 2 * min(neighbours, STRIP_MOST)  # a left and a right border each
    assert starts[0] >= LEFT - 4
    assert starts[-1] <= RIGHT + 2


def test_pictures_are_upright_sharp_and_read_once(tmp_path):
    write_scene(tmp_path)
    stripes = np.zeros((900, 1200, 3), dtype=np.uint8)
    stripes[:, 600:] = 255  # stored sideways: black above white when it is turned
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    for i in range(COUNT):
        Image.fromarray(stripes).save(tmp_path / f"{i}.png", exif=turned)
    film = drawn((tmp_path,))
    frame = film.draw(0)
    left, top, width, height = QUERY_BOX
    column = frame[top + 4 : top + height - 4, left + width // 2, 0].astype(int)
    assert (column[: height // 2 - 8] == 0).all()
    assert (column[height // 2 + 4 :] == 255).all()
    assert (frame[top + 20, left : left + 80] > 250).all()  # a portrait, with nothing beside it
    film.draw(1)
    read = film._picture.cache_info()
    assert (read.misses, read.hits) == (5, 1)  # 2 queries, neighbours 1, 2 and 2, 3


def test_a_scene_where_every_query_failed_is_drawn(tmp_path):
    film = write_black_scene(tmp_path, 3, failed=True)
    film.draw(COUNT - 1)
    assert film.texts["error metres"].get_text() == "failed"
    assert film.texts["median metres"].get_text() == "∞ m"
    assert len(film.panels[0].failed.get_xydata()) == COUNT
