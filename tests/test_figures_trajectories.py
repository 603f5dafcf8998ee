"""Trajectories show the planted poses: views, lines from truth to estimate, colours, failures."""

import numpy as np
import pytest
from conftest import OWNED
from drawn_figures import legend_texts, write_frames
from matplotlib.collections import LineCollection
from matplotlib.image import imread

from relposegnn.estimates.predictions import MOST_SIMILAR
from relposegnn.figures import trajectories
from relposegnn.figures.style import ERROR_COLOURS
from relposegnn.figures.trajectories import Told, draw_trajectories, plot_trajectories
from relposegnn.scores.metrics import score_poses

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


@pytest.fixture
def step(path, tmp_path):
    """Return what writes these estimates, with their failures, and draws them."""
    arrays = {"rel_path": path["queries"], "targ_t": path["truth"]}
    arrays |= dict.fromkeys(("abs_t", "robust_t", "reference_t"), path["estimates"])
    names = ("targ_q", "abs_q", "robust_q", "reference_q")
    arrays |= {name: np.tile([1.0, 0, 0, 0], (10, 1)) for name in names}
    inputs = [tmp_path / name for name in ("frames.h5", "predictions.npz", "scores.csv")]

    def draw(**changes):
        """Return the file of the figure."""
        np.savez(inputs[1], **arrays | changes, **{**OWNED, "scene": "chess"})
        write_frames(inputs[0], path["database"], path["database"][:1])
        score_poses(*inputs[1:], lambda *_: np.full((2, 2, 10), 0.3))
        plot_trajectories(*inputs, tmp_path / "figure.png")
        return tmp_path / "figure.png"

    return draw


@pytest.fixture
def drawn(monkeypatch):
    """Return the figures that the step draws."""
    figures = []
    monkeypatch.setattr(trajectories, "save_figure", lambda figure, _: figures.append(figure))
    return figures


def test_failed_queries_of_predictions_are_crosses(path, step, drawn):
    """Also one that has a place, but no direction."""
    centres, turns = path["estimates"].copy(), np.tile([1.0, 0, 0, 0], (10, 1))
    centres[3], turns[[3, 6]] = np.nan, [[np.nan] * 4, [0.0] * 4]
    step(abs_t=centres, abs_q=turns)
    (failed,) = [c for c in drawn[0].axes[0].collections if c.get_label() == "failed"]
    np.testing.assert_allclose(failed.get_offsets(), path["truth"][[3, 6]][:, [2, 0]] * [1, -1])


def test_errors_stated_of_queries_that_are_numbers_are_drawn(step, drawn):
    step(rel_path=np.array([f"{number:04d}" for number in range(10)]))
    assert [patch.width for patch in drawn[0].axes[0].patches] == pytest.approx([0.6] * 10)


def test_trajectory_step_writes_a_picture(step):
    picture = imread(step())
    assert min(picture.shape[:2]) > 600
    assert (np.ptp(picture[..., :3], axis=2) > 0.3).sum() > 1000  # error lines and colour bar
