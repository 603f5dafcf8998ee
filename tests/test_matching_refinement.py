"""One pose by matches: planted poses found again, the regressed one kept where little matches."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from relposegnn.matching.refinement import LEAST_POINTS, Prior, Refined, refine_pose
from relposegnn.matching.triangulation import project
from relposegnn.poses import inverse_pose, pose_distances

SCALE = 2e-3  # of a projection's error
PRIOR = {"metres": 0.05, "radians": 0.03}


def turned(rng: np.random.Generator, metres: float, radians: float, pose=None) -> np.ndarray:
    """Return a pose (4, 4) near another one."""
    moved = np.eye(4) if pose is None else pose.copy()
    step = Rotation.from_rotvec(rng.normal(0, radians, 3)).as_matrix()
    moved[:3, :3] = moved[:3, :3] @ step
    moved[:3, 3] += rng.normal(0, metres, 3)
    return moved


class Scene:
    """Points that five posed images and a query see, with noise of the places."""

    def __init__(self, count: int = 150, seed: int = 0) -> None:
        rng = self.rng = np.random.default_rng(seed)
        points = rng.uniform([-1.5, -1, 2], [1.5, 1, 5], (count, 3))
        self.cameras = np.stack([turned(rng, 0.2, 0.1) for _ in range(5)])
        self.truth = turned(rng, 0.2, 0.1)
        self.views = self.seen(self.cameras, points)
        self.query = self.seen(self.truth[None], points)[:, 0]
        self.prior = Prior(turned(rng, pose=self.truth, **PRIOR), **PRIOR)

    def seen(self, cameras: np.ndarray, points: np.ndarray) -> np.ndarray:
        places = project(inverse_pose(cameras)[:, :3], points)[0]
        return places + self.rng.normal(0, 0.3 * SCALE, places.shape)

    def refine(self, prior: Prior | None = None) -> Refined:
        return refine_pose(self.query, self.views, self.cameras, prior or self.prior, SCALE)


def errors(pose: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    metres, degrees = pose_distances(pose[None], truth[None])
    return float(metres[0]), float(degrees[0])


@pytest.mark.parametrize("wrong", [0, 60])
@pytest.mark.parametrize("seed", range(3))
def test_planted_pose_is_found_in_spite_of_wrong_matches(wrong, seed):
    scene = Scene(seed=seed)
    scene.query[:wrong] = scene.rng.uniform(-0.5, 0.5, (wrong, 2))
    refined = scene.refine()
    metres, degrees = errors(refined.pose, scene.truth)
    assert refined.points >= 80
    assert metres < 4e-3
    assert degrees < 0.06


def test_a_focal_length_that_is_off_is_solved_for():
    scene = Scene()
    scene.query *= 1.04
    exact, loose = (
        scene.refine(scene.prior._replace(focal_length=deviation)) for deviation in (0.0, 0.05)
    )
    assert errors(loose.pose, scene.truth)[0] < 5e-3
    assert errors(exact.pose, scene.truth)[0] > 2 * errors(loose.pose, scene.truth)[0]
    assert loose.points > 100


def test_a_regressed_pose_that_is_off_is_no_trap():
    """Where the start alone would end elsewhere, three points suffice to find the pose."""
    scene = Scene()
    far = turned(scene.rng, 0.4, 0.25, scene.truth)
    refined = scene.refine(Prior(far, 0.5, 0.3))
    assert errors(refined.pose, scene.truth)[0] < 4e-3


def test_few_matches_leave_the_regressed_pose():
    scene = Scene(count=LEAST_POINTS - 1)
    assert scene.refine() == Refined(scene.prior.pose, 0)
    blank = Scene(count=0)
    assert blank.refine().points == 0


def test_wrong_matches_alone_leave_the_regressed_pose():
    scene = Scene()
    scene.query[:] = scene.rng.uniform(-0.5, 0.5, scene.query.shape)
    refined = scene.refine()
    assert refined.points == 0
    assert refined.pose is scene.prior.pose


def test_matches_that_contradict_a_sure_regression_are_not_believed():
    scene = Scene()
    elsewhere = turned(scene.rng, 1.0, 0.5, scene.truth)
    assert scene.refine(Prior(elsewhere, 0.02, 0.01)).points == 0


def test_a_pose_that_matches_tell_little_of_stays_near_the_regressed_one():
    """Twenty points far away: rotation is told, the camera's place by the regression alone."""
    scene = Scene(count=0)
    points = scene.rng.uniform([-30, -20, 80], [30, 20, 120], (20, 3))
    scene.cameras[:, :3, 3] *= 10  # apart enough for a parallax
    scene.views, scene.query = scene.seen(scene.cameras, points), None
    scene.query = scene.seen(scene.truth[None], points)[:, 0]
    refined = scene.refine()
    assert refined.points >= LEAST_POINTS
    assert np.linalg.norm(refined.pose[:3, 3] - scene.prior.pose[:3, 3]) < 3 * PRIOR["metres"]
    assert errors(refined.pose, scene.truth)[1] < errors(scene.prior.pose, scene.truth)[1]
