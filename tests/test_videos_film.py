"""Films show the planted data. A query's image is of one colour, its neighbours' of others."""

import av
import numpy as np
import pytest
from conftest import OWNED
from filmed_scene import (
    COLOURS,
    COUNT,
    FAILED,
    FAR,
    SETTINGS,
    drawn,
    sources,
    write_scene,
)
from PIL import Image, ImageSequence

from relposegnn.data.frames import Frames
from relposegnn.files.storage import create_hdf5
from relposegnn.runtime import InputError
from relposegnn.videos.film import (
    HEIGHT,
    QUERY_BOX,
    STRIP_BOX,
    STRIP_GAP,
    STRIP_TOP,
    WIDTH,
    Film,
    render_video,
)
from relposegnn.videos.queries import choose_queries, read_localized


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Return the folder of a scene and the arrays of its predictions."""
    folder = tmp_path_factory.mktemp("scene")
    return folder, write_scene(folder)


@pytest.fixture(scope="module")
def film(scene, tmp_path_factory):
    """Return the MP4 and the GIF of all queries, 10 a second."""
    folder = tmp_path_factory.mktemp("film")
    files = folder / "room.mp4", folder / "room.gif"
    render_video(*sources(scene[0]), files, "joint", SETTINGS)
    return files


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
    for i in (0, 1, FAILED, FAR, COUNT - 1):
        film.draw(i)
        told[i] = {name: text.get_text() for name, text in film.texts.items()}
    assert told[0]["error metres"] == "0.0 mm"
    assert told[1]["error metres"] == "0.10 m"
    assert told[1]["neighbour 1"] == "1.00 m, 20°"
    assert told[FAILED]["error metres"] == told[FAILED]["error degrees"] == "failed"
    assert told[FAR]["error metres"] == "40.00 m"
    assert told[FAR]["error degrees"] == "170.000°"
    assert told[COUNT - 1]["name"] == "seq-01/frame-000008"
    # 0, 0.1, 0.2, 0.3, infinite, 0.5, 40, 0.7, 0.8
    assert told[COUNT - 1]["median metres"] == "0.50 m"


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
    np.testing.assert_allclose(metres.failed.get_xydata(), [[FAILED + 1, metres.top]])


def test_dots_have_the_colour_that_stands_beside_the_axis_at_their_height(scene):
    film = drawn(scene)
    axes = film.panels[1].axes
    (scale,) = axes.child_axes[0].images
    rows = scale.get_array()[:, 0]
    for i in np.flatnonzero(np.isfinite(film.data.metres)):
        height = (axes.transScale + axes.transLimits).transform((1, film.data.metres[i]))[1]
        shown = rows[round(height * (len(rows) - 1))]
        np.testing.assert_allclose(shown, film.colours[i], atol=0.04)


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
    with pytest.raises(InputError, match=r"p\.npz: names 8 queries.*such as seq-00/frame-000000"):
        render_video(*files, "joint", SETTINGS)


def test_images_that_are_gone_are_told(scene, tmp_path):
    files = [*sources(scene[0])[:3], tmp_path, (tmp_path / "x.mp4", tmp_path / "x.gif")]
    with pytest.raises(InputError, match=r"0\.png: no such file, .*extract it again"):
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
