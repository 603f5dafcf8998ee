"""Localise by a triangulated model, as hloc does, with COLMAP.

SIFT key points of all database images are matched between similar images, and points are
triangulated with the known poses. A query's pose is found by PnP from its matches with the points
that its most similar database images see.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap
from PIL import Image

from relposegnn.poses import inverse_pose

PAIRED, SIMILAR = 20, 10  # similar images that a database image, and a query, are matched with


class TriangulatedModel:
    """A model of posed images, in a folder with links to them."""

    def __init__(
        self,
        folder: Path,
        images: Sequence[Path],
        poses: np.ndarray,
        focal_length: float,
        similar: Sequence[np.ndarray],
    ) -> None:
        """Make the model of M images, their poses (M, 4, 4), and a focal length in longer sides.

        ``similar`` holds for each image the rows of other images, most similar first.
        """
        pycolmap.logging.minloglevel = pycolmap.logging.Level.ERROR.value
        self._images, self._file = folder / "images", folder / "database.db"
        self._images.mkdir(parents=True)
        width, height = Image.open(images[0]).size
        intrinsics = [focal_length * max(width, height), width / 2, height / 2]
        self._reader = pycolmap.ImageReaderOptions(
            camera_model="SIMPLE_PINHOLE", camera_params=",".join(map(str, intrinsics))
        )
        self._names = self._extract("database", images)
        pairs = [
            (name, self._names[other])
            for name, others in zip(self._names, similar, strict=True)
            for other in others[:PAIRED]
        ]
        self._match(pairs)
        with pycolmap.Database.open(self._file) as database:
            (self._camera,) = database.read_all_cameras()
            self._ids = self._read_ids(database, self._names)
        empty = pycolmap.Reconstruction()
        empty.add_camera_with_trivial_rig(self._camera)
        for name, number, pose in zip(self._names, self._ids, poses, strict=True):
            image = pycolmap.Image(name=name, camera_id=self._camera.camera_id, image_id=number)
            cam_from_world = pycolmap.Rigid3d(inverse_pose(pose)[:3])
            empty.add_image_with_trivial_frame(image, cam_from_world)
        self._model = pycolmap.triangulate_points(empty, self._file, self._images, folder)

    def localise(self, images: Sequence[Path], similar: Sequence[np.ndarray]) -> np.ndarray:
        """Return the poses (N, 4, 4) of images, NaN if none was found; call it only once.

        ``similar`` holds for each image the rows of database images, most similar first.
        """
        names = self._extract("query", images)
        near = [others[:SIMILAR] for others in similar]
        pairs = [
            (name, self._names[row])
            for name, others in zip(names, near, strict=True)
            for row in others
        ]
        self._match(pairs)
        poses = np.full((len(names), 4, 4), np.nan)
        with pycolmap.Database.open(self._file) as database:
            for query, number in enumerate(self._read_ids(database, names)):
                found = self._solve(database, number, [self._ids[row] for row in near[query]])
                if found is not None:
                    poses[query] = found
        return poses

    def _extract(self, kind: str, images: Sequence[Path]) -> list[str]:
        """Find the key points of images; return their names in the database."""
        names = [f"{kind}-{row:06}{path.suffix}" for row, path in enumerate(images)]
        for name, path in zip(names, images, strict=True):
            (self._images / name).symlink_to(path.resolve())
        pycolmap.extract_features(
            self._file,
            self._images,
            image_names=names,
            camera_mode=pycolmap.CameraMode.SINGLE,
            reader_options=self._reader,
        )
        return names

    def _match(self, pairs: Sequence[tuple[str, str]]) -> None:
        listed = self._file.with_name("pairs.txt")
        listed.write_text("".join(f"{first} {second}\n" for first, second in pairs))
        options = pycolmap.ImportedPairingOptions(match_list_path=listed)
        pycolmap.match_image_pairs(self._file, pairing_options=options)

    def _read_ids(self, database: pycolmap.Database, names: Sequence[str]) -> list[int]:
        return [database.read_image_with_name(name).image_id for name in names]

    def _solve(
        self, database: pycolmap.Database, query: int, similar: Sequence[int]
    ) -> np.ndarray | None:
        """Return the pose (4, 4) of a query from its matches with points of the model."""
        places, points, known = database.read_keypoints(query)[:, :2], [], []
        for image in similar:
            for mine, theirs in database.read_two_view_geometry(query, image).inlier_matches:
                point = self._model.images[image].points2D[theirs]
                if point.has_point3D():
                    known.append(places[mine])
                    points.append(self._model.points3D[point.point3D_id].xyz)
        if len(points) < 4:
            return None
        found = pycolmap.estimate_and_refine_absolute_pose(
            np.array(known), np.array(points), self._camera
        )
        return found and inverse_pose(np.vstack([found["cam_from_world"].matrix(), [0, 0, 0, 1]]))
