"""Small scenes with known poses, written in every layout."""

import json
from pathlib import Path

# The order matters: pycolmap imported before both NumPy and Pillow can corrupt the heap, and the
# interpreter aborts at some later, unrelated place. Sorted imports keep NumPy first.
import numpy as np
import pycolmap
from PIL import Image
from scipy.spatial.transform import Rotation

from relposegnn.poses import quaternion_from_matrix

TRAIN = ("seq1/frame00001", "seq1/frame00002", "seq2/frame00001", "seq2/frame00002")
TEST = ("seq3/frame00001", "seq3/frame00002")
SIZE = (64, 48)


def planted_poses() -> dict[str, np.ndarray]:
    """Return the poses ``world_from_cam`` of all images by name: any rotation, metres apart."""
    rng = np.random.default_rng(3)
    poses = {}
    for name in TRAIN + TEST:
        poses[name] = np.eye(4)
        poses[name][:3, :3] = Rotation.random(rng=rng).as_matrix()
        poses[name][:3, 3] = rng.uniform(-20, 20, 3)
    return poses


def write_images(folder: Path, suffix: str = "png") -> Path:
    """Write images of random colours, none like another."""
    rng = np.random.default_rng(4)
    for name in TRAIN + TEST:
        path = folder / f"{name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def numbers(values: np.ndarray) -> str:
    """Return numbers in full precision, blanks between."""
    return " ".join(map(repr, values.tolist()))


def write_cambridge(folder: Path) -> Path:
    """Write Cambridge Landmarks' layout: camera centre, inverse rotation."""
    write_images(folder)
    poses = planted_poses()
    for split, names in (("train", TRAIN), ("test", TEST)):
        lines = ["Visual Landmark Dataset V1", "ImageFile, Camera Position [X Y Z W P Q R]", ""]
        for name in names:
            cam_from_world = np.linalg.inv(poses[name])
            quaternion = quaternion_from_matrix(cam_from_world[:3, :3])
            lines.append(f"{name}.png {numbers(poses[name][:3, 3])} {numbers(quaternion)}")
        (folder / f"dataset_{split}.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_tables(folder: Path, suffix: str) -> Path:
    """Write the plain layout, its tables as ``csv`` or ``txt``."""
    write_images(folder)
    poses = planted_poses()
    for split, names in (("train", TRAIN), ("test", TEST)):
        lines = ["image,tx,ty,tz,qw,qx,qy,qz"] if suffix == "csv" else ["# image t q, x y z w"]
        for name in names:
            quaternion = quaternion_from_matrix(poses[name][:3, :3])
            if suffix == "txt":
                quaternion = np.roll(quaternion, -1)
            row = f"{name}.png {numbers(poses[name][:3, 3])} {numbers(quaternion)}"
            lines.append(row.replace(" ", ",") if suffix == "csv" else row)
        (folder / f"{split}.{suffix}").write_text("\n".join(lines) + "\n")
    return folder


def write_seven_scenes(folder: Path) -> Path:
    """Write 7-Scenes' layout; its names differ: ``seq-01/frame-000001``."""
    poses = planted_poses()
    for name in TRAIN + TEST:
        sequence, frame = int(name[3]), int(name[-5:])
        place = folder / f"seq-{sequence:02d}"
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE).save(place / f"frame-{frame:06d}.color.png")
        np.savetxt(place / f"frame-{frame:06d}.pose.txt", poses[name])
    (folder / "TrainSplit.txt").write_text("sequence1\nsequence2\n")
    (folder / "TestSplit.txt").write_text("sequence3\n")
    return folder


def write_noise(folder: Path, size: tuple[int, int] = (40, 30)) -> Path:
    """Write noise in 7-Scenes' layout: sequences 1 and 3 train (5 + 4 frames), 2 test (3)."""
    rng = np.random.default_rng(7)
    for sequence, count in ((1, 5), (2, 3), (3, 4)):
        place = folder / f"seq-{sequence:02d}"
        place.mkdir(parents=True)
        for frame in range(count):
            pixels = rng.integers(0, 200 + 5 * sequence, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / f"frame-{frame:06d}.color.png")
            pose = np.eye(4)
            pose[:3, 3] = sequence, frame, 0
            np.savetxt(place / f"frame-{frame:06d}.pose.txt", pose)
    (folder / "TrainSplit.txt").write_text("sequence1\nsequence3\n")
    (folder / "TestSplit.txt").write_text("sequence2\n")
    return folder


def write_twelve_scenes(folder: Path) -> Path:
    """Write 12-Scenes' layout: queries come first; its names differ: ``seq-01/frame-000002``."""
    (folder / "data").mkdir(parents=True)
    poses = planted_poses()
    for number, name in enumerate(TEST + TRAIN):
        Image.new("RGB", SIZE).save(folder / f"data/frame-{number:06d}.color.jpg")
        np.savetxt(folder / f"data/frame-{number:06d}.pose.txt", poses[name])
    (folder / "split.txt").write_text(
        "sequence0 [frames=2]  [start=0 ; end=1]\nsequence1 [frames=4]  [start=2 ; end=5]\n"
    )
    return folder


def write_transforms(folder: Path, **more: object) -> Path:
    """Write a ``transforms.json``, with cameras that have y up and look backwards."""
    write_images(folder)
    frames = [
        {
            "file_path": f"./{name}.png",
            "transform_matrix": (pose @ np.diag([1, -1, -1, 1])).tolist(),
        }
        for name, pose in planted_poses().items()
    ]
    camera = {"camera_model": "OPENCV", "w": SIZE[0], "h": SIZE[1], "fl_x": 60.0, "fl_y": 60.0}
    queries = {"test_filenames": [f"{name}.png" for name in TEST]}
    contents = camera | queries | more | {"frames": frames}
    (folder / "transforms.json").write_text(json.dumps(contents))
    return folder


def write_tum_rgbd(folder: Path) -> Path:
    """Write TUM RGB-D's layout: an image every 33 ms, poses at the same times, the last first."""
    write_images(folder)
    images, poses = ["# color images"], []
    for number, (name, pose) in enumerate(planted_poses().items()):
        time = f"{1305031102 + number / 30:.6f}"
        images.append(f"{time} {name}.png")
        quaternion = np.roll(quaternion_from_matrix(pose[:3, :3]), -1)
        poses.append(f"{time} {numbers(pose[:3, 3])} {numbers(quaternion)}")
    poses = ["# ground truth trajectory", "# timestamp tx ty tz qx qy qz qw", *poses[::-1]]
    for file, lines in (("rgb", images), ("groundtruth", poses)):
        (folder / f"{file}.txt").write_text("\n".join(lines) + "\n")
    (folder / "test.txt").write_text("".join(f"{name}.png\n" for name in TEST))
    return folder


def colmap_model(names: tuple[str, ...] = TRAIN + TEST) -> pycolmap.Reconstruction:
    """Return a COLMAP model of the planted poses, without points."""
    model = pycolmap.Reconstruction()
    camera = pycolmap.Camera(
        model="SIMPLE_PINHOLE", width=SIZE[0], height=SIZE[1], params=[60, 32, 24], camera_id=1
    )
    model.add_camera_with_trivial_rig(camera)
    poses = planted_poses()
    for number, name in reversed(list(enumerate(names, start=1))):
        image = pycolmap.Image(name=f"{name}.png", camera_id=1, image_id=number)
        cam_from_world = np.linalg.inv(poses[name])
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(cam_from_world[:3]))
    return model


def write_colmap(
    folder: Path, binary: bool = True, place: str = "sparse/0", queries: tuple[str, ...] = TEST
) -> Path:
    """Write images and a COLMAP model."""
    write_images(folder / "images")
    (folder / place).mkdir(parents=True, exist_ok=True)
    model = colmap_model()
    (model.write_binary if binary else model.write_text)(folder / place)
    if queries:
        (folder / "test.txt").write_text("".join(f"{name}.png\n" for name in queries))
    return folder


WRITERS = {
    "Cambridge Landmarks": write_cambridge,
    "csv": lambda folder: write_tables(folder, "csv"),
    "txt": lambda folder: write_tables(folder, "txt"),
    "COLMAP": write_colmap,
    "COLMAP text": lambda folder: write_colmap(folder, binary=False),
    "COLMAP in sparse": lambda folder: write_colmap(folder, place="sparse"),
    "COLMAP in the folder": lambda folder: write_colmap(folder, binary=False, place="."),
    "7-Scenes": write_seven_scenes,
    "12-Scenes": write_twelve_scenes,
    "NeRF's transforms": write_transforms,
    "TUM RGB-D": write_tum_rgbd,
}


def write_walk(folder: Path, database: int, queries: int) -> Path:
    """Write a place in the plain layout with so many images, all of one kind, 10 cm apart."""
    rng = np.random.default_rng(5)
    for split, count in (("train", database), ("test", queries)):
        rows = [f"{split}/{i:03}.png,{i / 10},0,0,1,0,0,0" for i in range(count)]
        for row in rows:
            path = folder / row.split(",")[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
        if rows:
            table = "\n".join(["image,tx,ty,tz,qw,qx,qy,qz", *rows, ""])
            (folder / f"{split}.csv").write_text(table)
    return folder
