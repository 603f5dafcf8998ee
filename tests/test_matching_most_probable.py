"""The most probable camera by what it sees: slopes of its cost, and where that is least."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from relposegnn.matching.most_probable import (
    WEIGHT,
    Camera,
    Prior,
    Sights,
    _Problem,
    deviations,
    most_probable,
    moved,
    projection_errors,
    undone,
)

SPREADS = (0.3, 0.2, 0.2, 0.1)


def planted(kept: int, noise: float = 0.0, seed: int = 0) -> tuple[Camera, Sights, Prior]:
    """Return a camera with ``kept`` changed intrinsics, what it sees, and a regressed pose."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([-1.5, -1, 2], [1.5, 1, 5], (80, 3))
    changes = rng.normal(0, 0.3, 4)[:kept] * SPREADS[:kept]
    camera = Camera(moved(np.eye(4), rng.normal(0, 0.1, 6)), changes)
    turned = (points - camera.pose[:3, 3]) @ camera.pose[:3, :3]
    length, centre_x, centre_y, ratio = np.append(changes, np.zeros(4))[:4]
    lengths = np.exp([length + ratio / 2, length - ratio / 2])
    places = turned[:, :2] / turned[:, 2:] * lengths + [centre_x, centre_y]
    places += rng.normal(0, 1, places.shape) * noise
    sights = Sights(points, places, rng.uniform(0.001, 0.004, len(points)))
    regressed = moved(camera.pose, rng.normal(0, 0.05, 6))
    return camera, sights, Prior(regressed, 0.1, 0.05, SPREADS[:kept])


def cost(camera: Camera, sights: Sights, prior: Prior) -> float:
    """Return minus the logarithm of its probability, but for a constant."""
    seen = WEIGHT * np.log1p(projection_errors(camera, sights) ** 2).sum()
    own = np.concatenate([deviations(camera.pose, prior), camera.changes / prior.intrinsics])
    return seen + (own**2).sum() / 2


@pytest.mark.parametrize("kept", [0, 1, 4])
@pytest.mark.parametrize("size", [0.2, 1e-5, 0.0])
def test_residuals_come_to_the_cost_and_their_slopes_are_right(kept, size):
    """Also of points behind the camera, of wrong matches far away, and of exact ones."""
    camera, sights, prior = planted(kept)
    sights.points[:3, 2] -= 9
    sights.places[3:6] += 3
    problem = _Problem(camera, sights, prior)
    step = size * np.random.default_rng(1).normal(size=6 + kept)
    after = Camera(moved(camera.pose, step), camera.changes + step[6:])
    residuals = problem.residuals(step)
    assert (residuals**2).sum() / 2 == pytest.approx(cost(after, sights, prior))
    width = 1e-6
    slopes = [
        (problem.residuals(step + each) - problem.residuals(step - each)) / (2 * width)
        for each in width * np.eye(6 + kept)
    ]
    found = problem.jacobian(step)
    np.testing.assert_allclose(found, np.stack(slopes, axis=1), atol=1e-6 * np.abs(found).max())


@pytest.mark.parametrize("kept", [0, 1, 4])
def test_no_camera_nearby_is_more_probable(kept):
    camera, sights, prior = planted(kept, noise=0.003)
    sights.places[:20] = np.random.default_rng(2).uniform(-0.5, 0.5, (20, 2))
    start = Camera(prior.pose, np.zeros(kept))
    found = most_probable(start, sights, prior)
    assert found.cost == pytest.approx(cost(found.camera, sights, prior))
    assert found.cost < cost(camera, sights, prior) < cost(start, sights, prior)

    def around(step: np.ndarray) -> float:
        best = found.camera
        return cost(Camera(moved(best.pose, step), best.changes + step[6:]), sights, prior)

    searched = minimize(around, np.zeros(6 + kept), method="Nelder-Mead", options={"maxfev": 4000})
    assert found.cost < searched.fun + 1e-4
    assert np.linalg.eigvalsh(found.information).min() > 0


@pytest.mark.parametrize("seed", range(3))
def test_a_far_start_leads_home_in_spite_of_wrong_matches(seed):
    """Of a picture of twice the size, from a pose a metre and some 20 degrees off."""
    camera, sights, _ = planted(4, noise=0.002, seed=seed)
    sights = sights._replace(places=2 * sights.places)
    sights.places[:30] = np.random.default_rng(seed).uniform(-0.8, 0.8, (30, 2))
    far = moved(camera.pose, np.array([0.3, 0.3, -0.8, 0.2, 0.2, 0.1]))
    prior = Prior(far, 1.0, 0.5, (0.5, 0.3, 0.3, 0.2))
    found = most_probable(Camera(far, np.zeros(4)), sights, prior)
    assert np.median(projection_errors(found.camera, sights)[30:]) < 2
    assert np.linalg.norm(found.camera.pose[:3, 3] - camera.pose[:3, 3]) < 0.1
    assert found.camera.changes[0] == pytest.approx(camera.changes[0] + np.log(2), abs=0.05)


def test_intrinsics_are_undone_in_the_order_in_which_a_picture_gets_them():
    places = np.array([[0.2, -0.4], [0.0, 0.3]])
    assert undone(places, np.zeros(0)).tolist() == places.tolist()
    np.testing.assert_allclose(undone(2 * places, np.log([2])), places)
    changes = np.array([np.log(2), 0.1, -0.2, np.log(1.21)])
    np.testing.assert_allclose(undone(places * [2.2, 2 / 1.1] + [0.1, -0.2], changes), places)


def test_a_step_moves_in_the_world_and_turns_about_the_cameras_axes():
    pose = moved(np.eye(4), np.array([0, 0, 0, 0, np.pi / 2, 0]))
    after = moved(pose, np.array([1.0, 2, 3, 0, 0, np.pi / 2]))
    assert after[:3, 3].tolist() == [1, 2, 3]
    turn = Rotation.from_euler("YZ", [90, 90], degrees=True)  # about axes that turn, too
    np.testing.assert_allclose(after[:3, :3], turn.as_matrix(), atol=1e-12)
