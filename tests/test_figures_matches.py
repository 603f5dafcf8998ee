"""The picture of matches: epipolar lines, and files of a rendered room."""

import numpy as np
import pytest
from conftest import DATABASE, FOCAL_LENGTH, OWNED, QUERIES
from matplotlib.colors import to_hex
from PIL import Image
from scipy.spatial.transform import Rotation

from relposegnn.data.camera_files import write_camera
from relposegnn.figures import matches
from relposegnn.figures.matches import epipolar_errors, plot_matches
from relposegnn.files.owners import Owner
from relposegnn.poses import inverse_pose
from relposegnn.runtime import InputError

pytestmark = pytest.mark.slow


def seen(points, pose):
    """Return x/z and y/z (k, 2) of points (k, 3) in a camera."""
    inside = inverse_pose(pose)
    turned = points @ inside[:3, :3].T + inside[:3, 3]
    return turned[:, :2] / turned[:, 2:]


def test_true_matches_lie_on_their_epipolar_lines_and_others_off_them():
    rng = np.random.default_rng(0)
    points = rng.uniform([-1, -1, 3], [1, 1, 6], (200, 3))
    first, second = np.eye(4), np.eye(4)
    second[:3, :3] = Rotation.from_rotvec([0.02, -0.1, 0.03]).as_matrix()
    second[:3, 3] = 0.3, 0.1, -0.05
    places = np.stack([seen(points, first), seen(points, second)], axis=1)
    assert epipolar_errors(places, (first, second)).max() < 1e-9
    # The camera moves sideways: lines are nearly level, and what is off by height is off them.
    places[:, 1, 1] += 0.02
    np.testing.assert_allclose(epipolar_errors(places, (first, second)), 0.02, rtol=0.15)


@pytest.fixture
def refined(rendered_scene, tmp_path):
    """Write predictions whose refined poses are the true ones, but for one query."""
    arrays = dict(np.load(rendered_scene / "predictions.npz"))
    arrays |= {f"refined_{part}": arrays[f"targ_{part}"].copy() for part in "tq"}
    arrays["refined_t"][4] += 0.5
    arrays["refined_points"] = np.full(len(QUERIES), 30)
    np.savez(tmp_path / "refined.npz", **arrays | OWNED)
    write_camera(tmp_path / "camera.json", FOCAL_LENGTH, "planted", Owner("d", "room"))
    return tmp_path


def plot(folder, rendered_scene, rendered_room, name="refined.npz"):
    plot_matches(
        folder / name,
        rendered_scene / "frames.h5",
        rendered_room.paths[0].parent,
        rendered_scene / "neighbours.h5",
        folder / "camera.json",
        folder / "matches.png",
    )


@pytest.fixture
def drawn(monkeypatch):
    """Return lists that what is shown, and the figures of it, are added to as they are drawn."""
    shown, figures, draw = [], [], matches.draw_matches

    def note(queries, scene):
        shown.extend(queries)
        figures.append(draw(queries, scene))
        return figures[-1]

    monkeypatch.setattr(matches, "draw_matches", note)
    return shown, figures


def colours_of(figure) -> list[list[str]]:
    """Return the colours of the matches that are drawn upon each pair of pictures."""
    return [[to_hex(lines.get_color()[0]) for lines in axes.collections] for axes in figure.axes]


def test_best_typical_and_worst_query_are_drawn(refined, rendered_scene, rendered_room, drawn):
    plot(refined, rendered_scene, rendered_room)
    shown, (figure,) = drawn
    assert [each.caption.split(":")[0] for each in shown] == ["best", "typical", "worst"]
    assert "0.87 m" in shown[2].caption
    share = [each.agreeing.mean() for each in shown]
    assert min(share[:2]) > 0.7
    assert share[2] < min(share[:2])
    assert all(f", {each.agreeing.sum()} agree" in each.caption for each in shown)
    assert colours_of(figure) == [[matches.OTHER, matches.AGREEING]] * 3
    with Image.open(refined / "matches.png") as picture:
        assert min(picture.size) > 500


def test_a_failed_query_is_the_worst_and_its_matches_are_neither_right_nor_wrong(
    refined, rendered_scene, rendered_room, drawn
):
    arrays = dict(np.load(refined / "refined.npz"))
    for part in "tq":
        arrays[f"refined_{part}"][7] = np.nan
    arrays["refined_points"][7] = 0
    np.savez(refined / "failed.npz", **arrays | OWNED)
    plot(refined, rendered_scene, rendered_room, "failed.npz")
    (*_, worst), (figure,) = drawn
    assert str(arrays["rel_path"][7]) in worst.caption
    assert "not refined" in worst.caption
    assert worst.caption.endswith(f"{len(worst.places)} matches")
    assert colours_of(figure)[1:] == [[matches.OTHER, matches.AGREEING], [matches.UNTESTED]]


def test_without_a_focal_length_matches_are_neither_right_nor_wrong(
    refined, rendered_scene, rendered_room, drawn
):
    write_camera(refined / "camera.json", np.nan, "unknown", Owner("d", "room"))
    plot(refined, rendered_scene, rendered_room)
    shown, (figure,) = drawn
    assert all(each.caption.endswith(f"{len(each.places)} matches") for each in shown)
    assert colours_of(figure) == [[matches.UNTESTED]] * 3


def test_predictions_of_other_frames_are_refused(refined, rendered_scene, rendered_room):
    arrays = dict(np.load(refined / "refined.npz"))
    arrays["rel_path"] = np.char.add("x", arrays["rel_path"])
    np.savez(refined / "other.npz", **arrays | OWNED)
    with pytest.raises(InputError, match=r"other\.npz: .* others than the 13 test frames"):
        plot(refined, rendered_scene, rendered_room, "other.npz")
    assert len(DATABASE) > len(QUERIES)
    assert not (refined / "matches.png").exists()
