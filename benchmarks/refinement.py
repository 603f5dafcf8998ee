"""Refinement by points triangulated for each query, compared with a model of all images.

The model is COLMAP's, see ``triangulated_model``. Both get the same focal length, estimated from
the database's poses, and the same similar images, chosen by true poses. The regressed poses that
refinement starts from are simulated: true poses with Gaussian noise.
"""

import argparse
import tempfile
import time
from pathlib import Path

import inputs  # noqa: F401  # puts the library on the path
import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation
from triangulated_model import TriangulatedModel

from generated_rooms.paths import camera_path
from generated_rooms.rendering import Camera, render_frame
from generated_rooms.rooms import build_room
from relposegnn.layouts.reading import read_scene
from relposegnn.matching.cameras import estimate_focal_length
from relposegnn.matching.key_points import find_key_points
from relposegnn.matching.most_probable import Prior
from relposegnn.matching.scenes import KEY_POINTS, MatchedDatabase
from relposegnn.poses import pose_distances

WIDTH, HEIGHT = 320, 240


class Posed:
    """Images of a scene: paths and poses of the database, followed by those of the queries."""

    def __init__(self, database: list, queries: list) -> None:
        self.count = len(database)
        self.paths = [Path(path) for path, _ in database + queries]
        self.poses = np.stack([pose for _, pose in database + queries])
        self.database, self.queries = self.poses[: self.count], self.poses[self.count :]

    def similar(self, image: int) -> np.ndarray:
        """Return the other database images, ordered by distance and angle, nearest first."""
        metres, degrees = pose_distances(self.database, self.poses[image][None])
        order = np.argsort(metres / 0.2 + degrees / 10, kind="stable")
        return order[order != image]


def render_room(folder: Path, frames: int) -> Posed:
    """Return images of a generated room: three walks as database, and one of queries."""
    room, camera, walks = build_room(11), Camera(WIDTH, HEIGHT, 0.914 * WIDTH), []
    for walk in range(4):
        walks.append([])
        for number, pose in enumerate(camera_path(room, 11, walk, frames)):
            path = folder / f"{walk}-{number:03}.png"
            Image.fromarray(render_frame(room, pose, camera)[0]).save(path)
            walks[-1].append((path, pose))
    return Posed([*walks[0], *walks[1], *walks[2]], walks[3])


def read_images(folder: Path, every: int) -> Posed:
    """Return the images of a scene in one of the project's layouts, and every n-th query."""
    scene = read_scene(folder)
    pairs = [[(f.image, f.world_from_cam) for f in part] for part in (scene.train, scene.test)]
    return Posed(pairs[0], pairs[1][::every])


def by_query_time_points(posed: Posed, focal_length: float, noise: tuple[float, float]) -> tuple:
    """Return the simulated regressed poses and the refined poses, (N, 4, 4) each."""
    rng = np.random.default_rng(0)
    lengths = np.full(posed.count, focal_length)
    database = MatchedDatabase(posed.paths[: posed.count], posed.database, lengths)
    regressed, refined = posed.queries.copy(), []
    for query, pose in enumerate(regressed):
        turn = rng.normal(0, np.radians(noise[1]), 3)
        pose[:3, :3] = pose[:3, :3] @ Rotation.from_rotvec(turn).as_matrix()
        pose[:3, 3] += rng.normal(0, noise[0], 3)
        image = posed.count + query
        own = find_key_points(posed.paths[image], KEY_POINTS)
        prior = Prior(pose, 2 * noise[0], 2 * np.radians(noise[1]))
        found = database.refine(own, focal_length, posed.similar(image), prior)
        refined.append(found.pose)
    return regressed, np.stack(refined)


def main() -> None:
    """Print median errors, recall and seconds of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", type=Path, help="folder of a scene; default: a generated room")
    parser.add_argument("--every", type=int, default=10, help="every n-th query of the scene")
    parser.add_argument("--frames", type=int, default=24, help="of each walk in the room")
    parser.add_argument("--noise", type=float, nargs=2, default=(0.01, 0.4), help="m, degrees")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.scene:
            posed = read_images(arguments.scene, arguments.every)
        else:
            posed = render_room(folder, arguments.frames)
        focal_length = estimate_focal_length(posed.paths[: posed.count], posed.database)
        started = time.perf_counter()
        regressed, refined = by_query_time_points(posed, focal_length, arguments.noise)
        ours = time.perf_counter() - started
        started = time.perf_counter()
        database, similar = (
            posed.paths[: posed.count],
            list(map(posed.similar, range(len(posed.paths)))),
        )
        model = TriangulatedModel(
            folder, database, posed.database, focal_length, similar[: posed.count]
        )
        modelled = model.localise(posed.paths[posed.count :], similar[posed.count :])
        theirs = time.perf_counter() - started
    print(f"{posed.count} database images, {len(posed.queries)} queries, focal length "
          f"{focal_length:.3f}")  # fmt: skip
    print("| poses | median | within 5 cm, 5 deg | seconds in all |\n|---|---|---|---|")
    rows = ("imitated regression", regressed, 0), ("points of each query", refined, ours)
    for label, poses, seconds in (*rows, ("triangulated model", modelled, theirs)):
        found = np.isfinite(poses).all(axis=(1, 2))
        metres, degrees = np.full((2, len(found)), np.inf)
        metres[found], degrees[found] = pose_distances(poses[found], posed.queries[found])
        share = np.mean((metres <= 0.05) & (degrees <= 5))
        print(f"| {label} | {np.median(metres):.4f} / {np.median(degrees):.3f} | {share:.0%} | "
              f"{seconds:.1f} |")  # fmt: skip


if __name__ == "__main__":
    main()
