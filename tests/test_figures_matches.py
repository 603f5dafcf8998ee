"""The picture of matches: epipolar lines, and files of a rendered room."""

import numpy as np
import pytest
from conftest import DATABASE, FOCAL_LENGTH, OWNED, QUERIES
from PIL import Image
from scipy.spatial.transform import Rotation

from relposegnn.camera_files import write_camera
from relposegnn.figures.matches import epipolar_errors, plot_matches
from relposegnn.owners import Owner
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


def test_best_typical_and_worst_query_are_drawn(
    refined, rendered_scene, rendered_room, monkeypatch
):
    from relposegnn.figures import matches

    drawn, draw = [], matches.draw_matches
    monkeypatch.setattr(matches, "draw_matches", lambda *a: drawn.extend(a[0]) or draw(*a))
    plot(refined, rendered_scene, rendered_room)
    assert [each.caption.split(":")[0] for each in drawn] == ["best", "typical", "worst"]
    assert "0.87 m" in drawn[2].caption
    share = [each.agreeing.mean() for each in drawn]
    assert min(share[:2]) > 0.7
    assert share[2] < min(share[:2])
    with Image.open(refined / "matches.png") as picture:
        assert min(picture.size) > 500


def test_a_failed_query_is_the_worst_and_no_match_agrees(
    refined, rendered_scene, rendered_room, monkeypatch
):
    from relposegnn.figures import matches

    arrays = dict(np.load(refined / "refined.npz"))
    for part in "tq":
        arrays[f"refined_{part}"][7] = np.nan
    arrays["refined_points"][7] = 0
    np.savez(refined / "failed.npz", **arrays | OWNED)
    drawn, draw = [], matches.draw_matches
    monkeypatch.setattr(matches, "draw_matches", lambda *a: drawn.extend(a[0]) or draw(*a))
    plot(refined, rendered_scene, rendered_room, "failed.npz")
    assert str(arrays["rel_path"][7]) in drawn[2].caption
    assert "not refined" in drawn[2].caption
    assert not drawn[2].agreeing.any()


def test_predictions_of_other_frames_are_refused(refined, rendered_scene, rendered_room):
    arrays = dict(np.load(refined / "refined.npz"))
    arrays["rel_path"] = np.char.add("x", arrays["rel_path"])
    np.savez(refined / "other.npz", **arrays | OWNED)
    with pytest.raises(InputError, match=r"other\.npz: is not of the 13 test frames"):
        plot(refined, rendered_scene, rendered_room, "other.npz")
    assert len(DATABASE) > len(QUERIES)
    assert not (refined / "matches.png").exists()
