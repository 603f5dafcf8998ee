"""The map lies as seen from above; the frame holds graphs of any size."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from relposegnn.videos.frames import HEIGHT, LEFT, RIGHT, STRIP_MOST, STRIP_TOP, WIDTH, Film
from relposegnn.videos.panels import RETRIEVED, Localized, bird_view, map_limits

# Cameras that look along x of a world with z up: image x is -y, image y is -z.
LOOKING = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def cameras(extent, world=None) -> np.ndarray:
    """Return poses (50, 4, 4) within a box, in a world turned by the matrix ``world``."""
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (50, 1, 1))
    tilt = Rotation.from_rotvec(0.2 * rng.standard_normal((50, 3))).as_matrix()
    poses[:, :3, :3] = tilt @ LOOKING
    poses[:, :3, 3] = rng.uniform(-1, 1, (50, 3)) * extent
    if world is not None:
        poses[:, :3] = world @ poses[:, :3]
    return poses


@pytest.mark.parametrize(
    ("extent", "world", "expected"),
    [
        ([5, 2, 1], None, ([0, 1], False)),
        ([2, 5, 1], None, ([1, 0], True)),  # y to the right and x up would be a mirror image
        ([2, 1, 5], None, ([0, 1], False)),  # up stays up, however far the cameras climb
        ([5, 2, 1], [[1, 0, 0], [0, 0, -1], [0, 1, 0]], ([0, 2], False)),  # y down: 7-Scenes
        ([5, 2, 1], [[1, 0, 0], [0, -1, 0], [0, 0, -1]], ([0, 1], True)),  # z down
    ],
)
def test_map_is_seen_from_above_and_never_a_mirror_image(extent, world, expected):
    axes, mirrored = bird_view(cameras(extent, None if world is None else np.array(world)))
    assert (axes.tolist(), mirrored) == expected


def test_limits_hold_all_points_in_the_proportions_asked_for():
    points = np.random.default_rng(1).uniform([0, 10], [6, 11], (40, 2))
    for aspect in (0.5, 1.0, 8.0):
        low, high = map_limits(points, aspect)
        assert (points > low).all()
        assert (points < high).all()
        assert (high - low)[0] / (high - low)[1] == pytest.approx(aspect)


def localized(neighbours: int, estimates: np.ndarray) -> Localized:
    """Return 50 queries, the cameras of a room, with these estimates."""
    truth = cameras([5, 2, 1])
    metres = np.linalg.norm(estimates[:, :3, 3] - truth[:, :3, 3], axis=1)
    errors = np.where(np.isfinite(metres), metres, np.inf)
    own = np.arange(50)
    near = np.tile(np.arange(neighbours), (50, 1))
    names = [f"seq-01/frame-{i:06d}" for i in own]
    parts = (truth, estimates, errors, errors, truth[:, :3, 3], 0.1 * near, 3.0 * near)
    return Localized(names, own, near, *parts)


@pytest.mark.parametrize("neighbours", [1, 3, 7, 30])
@pytest.mark.parametrize("shape", [(9, 16), (16, 9)])
def test_strip_holds_graphs_of_any_size(neighbours, shape):
    black = np.zeros((1 + neighbours, *shape, 3), dtype=np.uint8)
    data = localized(neighbours, cameras([5, 2, 1]))
    frame = Film(data, np.arange(50), lambda i: black, "room", "model").draw(49)
    assert frame.shape == (HEIGHT, WIDTH, 3)
    ring = np.array([int(RETRIEVED[i : i + 2], 16) for i in (1, 3, 5)])
    bordered = (np.abs(frame[STRIP_TOP + 60].astype(int) - ring) <= 1).all(axis=1)
    starts = np.flatnonzero(np.diff(bordered.astype(int)) == 1)
    assert len(starts) == 2 * min(neighbours, STRIP_MOST)  # a left and a right border each
    assert starts[0] >= LEFT - 4
    assert starts[-1] <= RIGHT + 2


def test_a_scene_where_every_query_failed_is_drawn():
    data = localized(3, np.full((50, 4, 4), np.nan))
    pictures = np.zeros((4, 9, 16, 3), dtype=np.uint8)
    film = Film(data, np.arange(50), lambda i: pictures, "room", "model")
    film.draw(49)
    assert film.texts["error metres"].get_text() == "failed"
    assert film.texts["median metres"].get_text() == "∞ m"
    assert len(film.panels[0].failed.get_xydata()) == 50
