"""Figures show the planted data: lines, colours, panels, captions."""

from itertools import combinations, pairwise

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import OWNED
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.image import imread
from PIL import Image

from relposegnn.figures.curves import (
    HISTORY_COLUMNS,
    draw_error_curves,
    draw_training,
    plot_error_curves,
    plot_training,
)
from relposegnn.figures.gallery import choose_queries, draw_gallery, plot_gallery
from relposegnn.figures.style import ERROR_COLOURS, INK, error_colours, scene_colour
from relposegnn.figures.trajectories import Told, draw_trajectories, plot_trajectories
from relposegnn.frames import Frames
from relposegnn.metrics import ROTATION, TRANSLATION, score_poses
from relposegnn.predictions import AFFINE, ALL_EDGES, FIRST_EDGE, MOST_SIMILAR, REFERENCE, REFINED
from relposegnn.runtime import InputError
from relposegnn.storage import create_hdf5


def legend_texts(figure) -> list[str]:
    """Return the texts of all legends of a figure."""
    return [t.get_text() for legend in figure.legends for t in legend.get_texts()]


def write_frames(path, *poses: np.ndarray) -> None:
    """Write the frames of training and test poses; frame i is of the grey value 10 i."""
    with create_hdf5(path, "frames", {}) as file:
        for split, world_from_cam in zip(("train", "test"), poses, strict=True):
            group, count = file.create_group(split), len(world_from_cam)
            grey = 10 * np.arange(count, dtype=np.uint8)[:, None, None, None]
            group["images"] = np.broadcast_to(grey, (count, 6, 8, 3))
            group["world_from_cam"] = world_from_cam
            group["name"] = group["source"] = [f"seq-01/frame-{i:06d}" for i in range(count)]
        file.attrs.update(dataset="d", scene="chess", mean=np.zeros(3), variance=np.ones(3))


# Trajectories: cameras look along z of a world with y down, so z lies across, x against the page.


@pytest.fixture
def path() -> dict[str, np.ndarray]:
    """Return two sequences of five queries with errors of 0.1 to 1 m along x."""
    z = np.linspace(0, 8, 10)
    truth = np.stack([np.sin(z), 0.1 * np.cos(z), z], axis=1)
    estimates = truth + np.linspace(0.1, 1.0, 10)[:, None] * [1.0, 0.0, 0.0]
    queries = np.array([f"seq-{i // 5:02d}/frame-{i % 5:06d}" for i in range(10)])
    database = np.tile(np.eye(4), (12, 1, 1))
    database[:, :3, 3] = [*truth, *truth[:2]] - np.array([2.0, 0, 0])
    return {"queries": queries, "database": database, "truth": truth, "estimates": estimates}


def error_lines(view) -> LineCollection:
    """Return the lines from ground truth to estimates."""
    lines = [c for c in view.collections if isinstance(c, LineCollection)]
    return lines[1]  # the first is of the database's directions


def test_trajectories_are_seen_from_above_and_from_the_side(path):
    figure = draw_trajectories(**path, title="chess")
    above, side, bar = figure.axes
    labels = (above.get_ylabel(), side.get_ylabel(), side.get_xlabel())
    assert labels == ("−x [m]", "−y [m]", "z [m]")
    titles = [view.get_title(loc="left") for view in (above, side)]
    assert titles == ["seen from above, as a floor plan", "from the side"]
    assert bar.get_ylabel() == "translation error [m]"
    assert above.get_xlim() == side.get_xlim()
    for view, axis in ((above, 0), (side, 1)):
        assert view.get_aspect() == 1.0
        drawn = np.concatenate([line.get_xydata() for line in view.lines])
        np.testing.assert_allclose(drawn, path["truth"][:, [2, axis]] * [1, -1])
        (dots,) = [c for c in view.collections if len(c.get_offsets()) == 12]
        expected = path["database"][:, [2, axis], 3] * [1, -1]
        np.testing.assert_allclose(dots.get_offsets(), expected)


def test_trajectories_keep_one_scale_on_paper(path):
    figure = draw_trajectories(**path, title="chess")
    for view in figure.axes[:2]:
        box = view.get_position()
        inches = box.width * figure.get_figwidth(), box.height * figure.get_figheight()
        metres = np.ptp(view.get_xlim()), np.ptp(view.get_ylim())
        assert inches[0] / metres[0] == pytest.approx(inches[1] / metres[1], rel=1e-6)


def test_ground_truth_is_not_joined_across_sequences(path):
    view = draw_trajectories(**path, title="chess").axes[0]
    assert [len(line.get_xydata()) for line in view.lines] == [5, 5]


def test_error_lines_join_truth_and_estimate_coloured_by_error(path):
    view = draw_trajectories(**path, title="chess").axes[0]
    lines = error_lines(view)
    np.testing.assert_allclose(
        np.array(lines.get_segments()),
        np.stack([path["truth"], path["estimates"]], axis=1)[:, :, [2, 0]] * [1, -1],
    )
    limit = np.percentile(np.linspace(0.1, 1.0, 10), 95)
    expected = ERROR_COLOURS(np.linspace(0.1, 1.0, 10) / limit)
    np.testing.assert_allclose(lines.get_colors()[:, :3], expected[:, :3])


def test_failed_queries_are_marked_where_they_were_taken(path):
    path["estimates"][3] = np.nan
    figure = draw_trajectories(**path, title="chess")
    view = figure.axes[0]
    assert len(error_lines(view).get_segments()) == 9
    (failed,) = [c for c in view.collections if c.get_label() == "failed"]
    np.testing.assert_allclose(failed.get_offsets(), path["truth"][[3]][:, [2, 0]] * [1, -1])
    assert legend_texts(figure)[2:] == ["estimate (1 failed)", "failed"]
    # The median of ten errors with the fourth infinite: between 0.6 and 0.7.
    assert figure.texts[0].get_text() == "chess: median error 0.65 m"


def test_the_median_of_a_copied_image_is_told_too(path):
    copied = path["truth"] + [0, 0, 2.5]
    figure = draw_trajectories(**path, title="chess", copied=(MOST_SIMILAR, copied))
    told = "chess: median error 0.55 m (most similar image: 2.50 m)"
    assert figure.texts[0].get_text() == told


def test_views_and_stated_errors_are_drawn_where_the_estimates_are(path):
    """All look along z, to the right of the map; of all but one 0.3 m are stated; one failed."""
    path["estimates"][3] = np.nan
    ahead, stated = np.tile([0.0, 0.0, 1.0], (2, 10, 1)), np.full(10, 0.3)
    stated[5] = np.nan
    figure = draw_trajectories(**path, title="chess", told=Told(ahead, stated))
    view = figure.axes[0]
    _, _, *views = [c for c in view.collections if isinstance(c, LineCollection)]
    for lines, centres in zip(views, (path["truth"], path["estimates"]), strict=True):
        starts, ends = np.array(lines.get_segments()).swapaxes(0, 1)
        np.testing.assert_allclose(starts, np.delete(centres, 3, axis=0)[:, [2, 0]] * [1, -1])
        assert (ends - starts)[:, 0].min() > 0.1
        np.testing.assert_allclose((ends - starts)[:, 1], 0, atol=1e-9)
    assert [patch.width for patch in view.patches] == pytest.approx([0.6] * 8)
    assert [patch.height for patch in view.patches] == pytest.approx([0.6] * 8)
    assert "stated error (68 %), of some" in legend_texts(figure)


def test_estimates_outside_the_view_are_counted(path):
    path["estimates"] = path["truth"] + 0.1
    assert "estimate" in legend_texts(draw_trajectories(**path, title="chess"))
    path["estimates"][2] += 100
    figure = draw_trajectories(**path, title="chess")
    assert "estimate (1 outside the map)" in legend_texts(figure)
    assert figure.axes[0].get_xlim()[1] < 12


def test_trajectory_step_writes_a_picture(path, tmp_path):
    arrays = {"rel_path": path["queries"], "targ_t": path["truth"]}
    arrays |= dict.fromkeys(("abs_t", "robust_t", "reference_t"), path["estimates"])
    names = ("targ_q", "abs_q", "robust_q", "reference_q")
    arrays |= dict.fromkeys(names, np.tile([1.0, 0, 0, 0], (10, 1)))
    np.savez(tmp_path / "predictions.npz", **arrays, **{**OWNED, "scene": "chess"})
    write_frames(tmp_path / "frames.h5", path["database"], path["database"][:1])
    figure_file = tmp_path / "figure.png"
    score_poses(tmp_path / "predictions.npz", tmp_path / "scores.csv")
    inputs = [tmp_path / name for name in ("frames.h5", "predictions.npz", "scores.csv")]
    plot_trajectories(*inputs, figure_file)
    picture = imread(figure_file)
    assert min(picture.shape[:2]) > 600
    assert (np.ptp(picture[..., :3], axis=2) > 0.3).sum() > 1000  # error lines and colour bar


# Error curves


def scores_of(first: list[float], reference: list[float]) -> pd.DataFrame:
    """Return scores; the rotation error in degrees is ten times the translation error in metres."""
    parts = [(FIRST_EDGE, first), (REFERENCE, reference), (ALL_EDGES, reference)]
    frames = [
        pd.DataFrame(
            {
                "query": [f"q{i}" for i in range(len(errors))],
                "estimator": name,
                TRANSLATION: errors,
                ROTATION: np.multiply(errors, 10),
            }
        )
        for name, errors in parts
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def scores() -> dict[str, pd.DataFrame]:
    """Return two scenes; one query of fire failed."""
    return {
        "chess": scores_of([0.4, 0.1, 0.2, 0.3], [0.5, 0.6, 0.7, 0.8]),
        "fire": scores_of([0.2, np.inf, 0.1, 0.8], [0.5, 0.5, 0.5, 0.9]),
    }


def curve(panel, scene: int, estimator: str):
    """Return the line of a scene and estimator."""
    lines = [line for line in panel.lines if line.get_label() == estimator]
    (line,) = [line for line in lines if line.get_color() == scene_colour(scene)]
    return line


def test_curves_are_cumulative_shares(scores):
    figure = draw_error_curves(scores, "7scenes, joint")
    translation, rotation = figure.axes
    x, y = curve(translation, 0, FIRST_EDGE).get_data()
    np.testing.assert_allclose(x[:-1], [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(y, [0.25, 0.5, 0.75, 1.0, 1.0])
    assert x[-1] > translation.get_xlim()[1]
    np.testing.assert_allclose(curve(rotation, 0, REFERENCE).get_xdata()[:-1], [5.0, 6.0, 7.0, 8.0])
    assert translation.get_xscale() == rotation.get_xscale() == "log"


def test_failed_queries_keep_a_curve_below_one(scores):
    panel = draw_error_curves(scores, "7scenes, joint").axes[0]
    for name, share in ((FIRST_EDGE, 0.75), (REFERENCE, 1.0)):
        x, y = curve(panel, 1, name).get_data()
        assert y[x <= panel.get_xlim()[1]].max() == share


def test_reference_neighbour_is_dashed_in_the_colour_of_its_scene(scores):
    figure = draw_error_curves(scores, "7scenes, joint")
    for panel in figure.axes:
        assert [curve(panel, i, REFERENCE).get_linestyle() for i in (0, 1)] == ["--", "--"]
        assert [curve(panel, i, FIRST_EDGE).get_linestyle() for i in (0, 1)] == ["-", "-"]
    assert legend_texts(figure) == ["chess", "fire", FIRST_EDGE, REFERENCE]


def test_where_it_is_known_the_most_similar_image_is_dashed_instead(scores):
    for scene, own in scores.items():
        first = own[own["estimator"] == FIRST_EDGE]
        more = [first.assign(estimator=name) for name in (MOST_SIMILAR, AFFINE)]
        more[0][TRANSLATION] *= 2
        scores[scene] = pd.concat([*more, own], ignore_index=True)
    figure = draw_error_curves(scores, "7scenes, joint")
    assert legend_texts(figure) == ["chess", "fire", FIRST_EDGE, AFFINE, MOST_SIMILAR]
    panel = figure.axes[0]
    copied = curve(panel, 0, MOST_SIMILAR)
    assert copied.get_linestyle() == "--"
    np.testing.assert_allclose(copied.get_xdata()[:-1], [0.2, 0.4, 0.6, 0.8])
    np.testing.assert_allclose(curve(panel, 0, AFFINE).get_xdata()[:-1], [0.1, 0.2, 0.3, 0.4])
    assert len(panel.lines) == 2 * 3 + 1  # and the one at the medians


def test_numbers_of_logarithmic_axes_do_not_run_into_each_other(scores):
    for factor in (1, 10, 1e4):  # one decade, two, and more
        spread = scores["chess"].assign(**{TRANSLATION: np.geomspace(0.1, 0.9 * factor, 12)})
        figure = draw_error_curves({"chess": spread}, "7scenes, joint")
        figure.draw_without_rendering()
        axis = figure.axes[0].xaxis
        low, high = axis.get_view_interval()
        labels = [
            label for label in axis.get_ticklabels() if low <= label.get_position()[0] <= high
        ]
        boxes = [label.get_window_extent() for label in labels]
        assert len(boxes) >= 3
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_legends_overlap_neither_each_other_nor_curves(scores):
    names = (MOST_SIMILAR, AFFINE, FIRST_EDGE, REFINED)
    for scene, own in scores.items():
        first = own[own["estimator"] == FIRST_EDGE]
        scores[scene] = pd.concat([first.assign(estimator=name) for name in names])
    figure = draw_error_curves(scores, "7scenes, published leave one out")
    figure.draw_without_rendering()
    assert "7scenes, published leave one out" in {x.get_title().get_text() for x in figure.legends}
    parts = [each.get_window_extent() for each in (*figure.legends, *figure.axes)]
    assert len(legend_texts(figure)) == 6
    assert not any(a.overlaps(b) for a, b in combinations(parts, 2))
    assert max(box.x1 for box in parts) <= figure.bbox.x1


def test_curve_step_writes_a_picture(scores, tmp_path):
    rows = []
    for scene, frame in scores.items():
        frame.assign(dataset="d", scene=scene).to_csv(tmp_path / f"{scene}.csv", index=False)
        rows.append((scene, tmp_path / f"{scene}.csv"))
    plot_error_curves(rows, tmp_path / "curves.png", "7scenes, joint")
    picture = imread(tmp_path / "curves.png")[..., :3]
    for scene in (0, 1):
        expected = to_rgba(scene_colour(scene))[:3]
        assert np.abs(picture - expected).max(axis=2).min() < 0.01


# Training curves


@pytest.fixture
def history() -> pd.DataFrame:
    """Return a history of six epochs with validation."""
    frame = pd.DataFrame({name: np.linspace(1.0, 0.5, 6) for name in HISTORY_COLUMNS})
    return frame.assign(epoch=range(6), s_q=-3.0, validation_loss=np.linspace(2.0, 1.0, 6))


def test_training_panels_draw_their_columns(history):
    figure = draw_training(history, "joint")
    translation, rotation, total, weights, rate = figure.axes
    assert [len(p.lines) for p in figure.axes] == [2, 2, 2, 2, 1]
    np.testing.assert_allclose(total.lines[0].get_ydata(), history["train_loss"])
    np.testing.assert_allclose(total.lines[1].get_ydata(), history["validation_loss"])
    np.testing.assert_allclose(weights.lines[1].get_ydata(), -3.0)
    np.testing.assert_allclose(rate.lines[0].get_ydata(), history["learning_rate"])
    np.testing.assert_allclose(rate.lines[0].get_xdata(), [1, 2, 3, 4, 5, 6])
    assert translation.get_yscale() == rotation.get_yscale() == "log"
    assert total.get_yscale() == "linear"


def test_training_without_validation_draws_no_such_line(history, tmp_path):
    history[[c for c in history if c.startswith("validation")]] = np.nan
    history.to_csv(tmp_path / "training.csv", index=False)
    figure = draw_training(pd.read_csv(tmp_path / "training.csv"), "joint")
    assert [len(p.lines) for p in figure.axes[:3]] == [1, 1, 1]
    plot_training(tmp_path / "training.csv", tmp_path / "training.png", "joint")
    assert imread(tmp_path / "training.png").shape[1] > 1000


def test_history_without_its_columns_is_refused(history, tmp_path):
    history.drop(columns="s_t").to_csv(tmp_path / "training.csv", index=False)
    with pytest.raises(InputError, match=r"training\.csv: holds 6 rows"):
        plot_training(tmp_path / "training.csv", tmp_path / "training.png", "joint")


# Gallery: the original of frame i shows the grey value 20 i, of a database frame 1 more.

TRAIN_X = np.array([0.0, 0.5, 1.0, 2.0, 4.0])
TEST_X = np.array([0.0, 0.1, 0.2, 0.3, 0.4])


def poses_along_x(x: np.ndarray) -> np.ndarray:
    """Return poses (N, 4, 4) at these x, turned about y by 10 degrees a metre."""
    angle = np.radians(10 * x)
    poses = np.tile(np.eye(4), (len(x), 1, 1))
    poses[:, 0, 0] = poses[:, 2, 2] = np.cos(angle)
    poses[:, 0, 2], poses[:, 2, 0] = np.sin(angle), -np.sin(angle)
    poses[:, 0, 3] = x
    return poses


@pytest.fixture
def retrieval(tmp_path):
    """Return frames, neighbours and graphs files of five queries with two neighbours each."""
    write_frames(tmp_path / "frames.h5", poses_along_x(TRAIN_X), poses_along_x(TEST_X))
    with create_hdf5(tmp_path / "neighbours.h5", "neighbours", {}) as file:
        file["test/index"] = np.tile(np.array([3, 0, 2], dtype=np.int32), (5, 1))
        file["test/similarity"] = np.tile(np.array([0.9, 0.8, 0.7], dtype=np.float32), (5, 1))
    with create_hdf5(tmp_path / "graphs.h5", "graphs", {}) as file:
        file["test/query"] = np.arange(5, dtype=np.int32)
        file["test/neighbours"] = np.tile(np.array([0, 2], dtype=np.int32), (5, 1))
    for split in ("train", "test"):
        for i in range(5):
            path = tmp_path / f"{split}/seq-01/frame-{i:06d}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (640, 480), (20 * i + (split == "train"),) * 3).save(path, "PNG")
    with h5py.File(tmp_path / "frames.h5", "r+") as file:
        for split in ("train", "test"):
            names = file[f"{split}/name"].asstr()[:]
            file[f"{split}/source"][...] = [f"{split}/{name}" for name in names]
    return [*(tmp_path / f"{kind}.h5" for kind in ("frames", "neighbours", "graphs")), tmp_path]


def test_queries_are_spread(retrieval):
    with Frames(retrieval[0]) as frames:
        queries, neighbours, similarity = choose_queries(frames, *retrieval[1:3], count=3)
    assert queries.tolist() == [0, 2, 4]
    assert neighbours.tolist() == [[0, 2]] * 3
    np.testing.assert_allclose(similarity, [[0.8, 0.7]] * 3, rtol=1e-6)


def test_gallery_shows_queries_then_neighbours_with_captions(retrieval):
    with Frames(retrieval[0]) as frames:
        figure = draw_gallery(
            frames, retrieval[3], *choose_queries(frames, *retrieval[1:3], count=3)
        )
    panels = figure.axes[:-1]  # the last is the colour bar
    shown = [panel.images[0].get_array()[0, 0, 0] for panel in panels]
    assert shown == [0, 1, 41, 40, 1, 41, 80, 1, 41]
    assert {panel.images[0].get_array().shape for panel in panels} == {(240, 320, 3)}
    titles = [panel.get_title(loc="left") for panel in panels]
    assert titles[3:6] == [
        "seq-01\nframe-000002",
        "similarity 0.80\n0.20 m, 2°",
        "similarity 0.70\n0.80 m, 8°",
    ]
    borders = [panel.spines["top"].get_edgecolor() for panel in panels[3:6]]
    assert borders[1] == pytest.approx(ERROR_COLOURS(0.2))
    assert borders[2] == pytest.approx(ERROR_COLOURS(0.8))


def test_gallery_step_writes_a_picture(retrieval, tmp_path):
    plot_gallery(*retrieval, tmp_path / "gallery.png", queries=50)
    picture = imread(tmp_path / "gallery.png")
    assert picture.shape[0] > picture.shape[1]  # five rows of three pictures
    np.testing.assert_allclose(picture[2, 2, :3], 1.0)


def test_graphs_of_another_ranking_are_refused(retrieval, tmp_path):
    with create_hdf5(retrieval[2], "graphs", {}) as file:
        file["test/query"] = np.arange(5, dtype=np.int32)
        file["test/neighbours"] = np.full((5, 2), 4, dtype=np.int32)
    with pytest.raises(InputError, match=r"graphs\.h5: has neighbours that .* does not rank"):
        plot_gallery(*retrieval, tmp_path / "gallery.png")


def test_graphs_of_other_frames_are_refused(retrieval, tmp_path):
    with create_hdf5(retrieval[2], "graphs", {}) as file:
        file["test/query"] = np.arange(9, dtype=np.int32)
        file["test/neighbours"] = np.zeros((9, 2), dtype=np.int32)
    with pytest.raises(InputError, match=r"test/query: found 0 to 8, expected .* from 0 to 4"):
        plot_gallery(*retrieval, tmp_path / "gallery.png")


def test_colours_of_errors_end_where_few_outliers_share_the_last():
    errors = np.append(np.full(99, 2.0), [500.0, np.inf])
    colours = error_colours(errors)
    assert colours.norm.vmax == 2.0
    assert colours.to_rgba(errors)[[0, 99, 100]].tolist() == [list(ERROR_COLOURS(1.0))] * 3
    assert error_colours(np.array([np.inf])).norm.vmax == 1.0


def contrast(colour) -> float:
    """Return the contrast of a colour with white, as WCAG 2 defines it."""
    channels = np.array(to_rgba(colour)[:3])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05)


def test_colours_can_be_read_on_white_and_without_hue():
    assert contrast(INK) > 12
    assert min(contrast(ERROR_COLOURS(x)) for x in np.linspace(0, 1, 20)) > 1.7
    brightness = [1 / contrast(ERROR_COLOURS(x)) for x in np.linspace(0, 1, 20)]
    assert (np.diff(brightness) > 0).all()  # larger errors are lighter, in any kind of sight
