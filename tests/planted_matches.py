"""Points that posed images and a query see, planted for tests of the refinement."""

import numpy as np
from scipy.spatial.transform import Rotation

from relposegnn.matching.most_probable import Prior
from relposegnn.matching.refinement import Refined, refine_pose
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

    def __init__(self, count: int = 150, seed: int = 0, noise: float = 0.3) -> None:
        rng, self.noise = np.random.default_rng(seed), noise * SCALE
        self.rng = rng
        points = rng.uniform([-1.5, -1, 2], [1.5, 1, 5], (count, 3))
        self.cameras = np.stack([turned(rng, 0.2, 0.1) for _ in range(5)])
        self.truth = turned(rng, 0.2, 0.1)
        self.views = self.seen(self.cameras, points)
        self.query = self.seen(self.truth[None], points)[:, 0]
        self.prior = Prior(turned(rng, pose=self.truth, **PRIOR), **PRIOR)

    def seen(self, cameras: np.ndarray, points: np.ndarray) -> np.ndarray:
        places = project(inverse_pose(cameras)[:, :3], points)[0]
        return places + self.rng.normal(0, self.noise, places.shape)

    def refine(self, prior: Prior | None = None) -> Refined:
        return refine_pose(self.query, self.views, self.cameras, prior or self.prior, SCALE)


def errors(pose: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    metres, degrees = pose_distances(pose[None], truth[None])
    return float(metres[0]), float(degrees[0])
