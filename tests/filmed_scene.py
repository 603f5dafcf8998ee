"""A planted scene of nine queries to film."""

import numpy as np
from conftest import OWNED
from frames_file import write_frames_file
from PIL import Image
from scipy.spatial.transform import Rotation

from relposegnn.data.frames import Frames
from relposegnn.files.storage import create_hdf5
from relposegnn.videos.film import Film, FilmSettings
from relposegnn.videos.queries import read_localized

COUNT, FAILED, FAR = 9, 4, 6  # queries; that without an estimate; that 40 m and 170 degrees off


COLOURS = np.array([[200, 40, 30], [40, 170, 60], [30, 60, 200]], dtype=np.uint8)


SETTINGS = FilmSettings(queries=200, frames_per_second=10)


def write_images(folder, colours=COLOURS, size=(40, 30), exif=None) -> None:
    """Write the images of ``write_scene``'s frames, those of one colour as one file."""
    for i in range(COUNT):
        image = Image.new("RGB", size, tuple(colours[i % 3].tolist()))
        image.save(folder / f"{i}.png", **({"exif": exif} if exif else {}))


def write_scene(folder) -> dict[str, np.ndarray]:
    """Write frames, graphs and predictions of nine queries in two sequences; return the last.

    Query i has the colour i % 3, its neighbours the next two; what the network sees is white.
    Errors are 0.1 i m but for two.
    """
    write_images(folder)
    poses = np.tile(np.eye(4), (COUNT, 1, 1))
    turns = Rotation.from_euler("y", 10 * np.arange(COUNT)[:, None], degrees=True)
    poses[:, :3, :3] = turns.as_matrix()
    poses[:, 0, 3] = 0.5 * np.arange(COUNT)
    names = [f"seq-0{i // 5}/frame-{i:06d}" for i in range(COUNT)]
    images = np.full((COUNT, 12, 16, 3), 255, dtype=np.uint8)
    frames = {"images": images, "world_from_cam": poses, "name": names}
    frames["source"] = [f"{i}.png" for i in range(COUNT)]
    write_frames_file(folder / "frames.h5", frames, frames)
    with create_hdf5(folder / "graphs.h5", "graphs", {}) as file:
        file["test/query"] = np.arange(COUNT)
        file["test/neighbours"] = (np.arange(COUNT)[:, None] + [1, 2]) % COUNT
    quaternions = turns.as_quat()[:, [3, 0, 1, 2]]
    arrays = {
        "rel_path": np.array(names),
        "targ_t": poses[:, :3, 3],
        "targ_q": quaternions,
        "abs_t": poses[:, :3, 3] + 0.1 * np.arange(COUNT)[:, None] * [0, 0, 1],
        "abs_q": quaternions.copy(),
    }
    arrays["abs_t"][FAILED] = np.nan
    arrays["abs_t"][FAR] = arrays["targ_t"][FAR] + [0, 0, 40.0]
    far = turns[FAR] * Rotation.from_euler("x", 170, degrees=True)
    arrays["abs_q"][FAR] = far.as_quat()[[3, 0, 1, 2]]
    np.savez(folder / "predictions.npz", **arrays | OWNED)
    return arrays


def sources(folder) -> list:
    """Return the three files that a film is made from, and the folder of its images."""
    return [*(folder / name for name in ("frames.h5", "graphs.h5", "predictions.npz")), folder]


def drawn(scene) -> Film:
    """Return the film of all queries, not written."""
    folder = scene[0]
    frames = Frames(folder / "frames.h5")
    localized = read_localized(frames, *sources(folder)[1:3])
    return Film(frames, folder, localized, np.arange(COUNT), "run m")
