"""Poses that are found anew lie in the world that the place had before."""

import logging
import os
import shutil

import numpy as np
import pycolmap
import pytest
from PIL import Image
from planted_scenes import TRAIN, colmap_model
from scipy.spatial.transform import Rotation

from relposegnn.commands.find_poses import main
from relposegnn.layouts.colmap import read_model
from relposegnn.reconstruction.alignment import align_poses
from relposegnn.reconstruction.mapping import find_poses

TURN = Rotation.from_rotvec([0.4, -1.1, 2.0])
SHIFT = np.array([30.0, -4.0, 700.0])


def similar(pose: np.ndarray, scale: float = 2.5) -> np.ndarray:
    """Return a pose (4, 4) in a world that is turned, shifted and has a unit of its own."""
    moved = np.eye(4)
    moved[:3, :3] = TURN.as_matrix() @ pose[:3, :3]
    moved[:3, 3] = scale * TURN.apply(pose[:3, 3]) + SHIFT
    return moved


def some_poses(count: int, line: bool = False) -> dict[str, np.ndarray]:
    """Return poses (4, 4) by name, all on one line or not."""
    rng = np.random.default_rng(count)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
    poses[:, :3, 3] = rng.standard_normal((count, 3))
    if line:
        poses[:, 1:3, 3] = 0
    return {f"{row}.jpg": pose for row, pose in enumerate(poses)}


@pytest.mark.parametrize("line", [False, True])
@pytest.mark.parametrize("count", [3, 20])
def test_the_similarity_of_two_worlds_is_found(count, line):
    new = some_poses(count, line)
    old = {name: similar(pose) for name, pose in new.items()}
    found = align_poses(old | {"gone.jpg": np.eye(4)}, new | {"come.jpg": np.eye(4)})
    assert (found.photos, found.scale) == (count, pytest.approx(2.5))
    assert found.apart < 1e-9
    assert (found.rotation * TURN.inv()).magnitude() < 1e-6
    np.testing.assert_allclose(found.translation, SHIFT, atol=1e-6)


def test_some_poses_that_were_wrong_change_nothing():
    new = some_poses(21)
    old = {name: similar(pose) for name, pose in new.items()}
    for name, wrong in list(some_poses(6).items()):
        old[name] = wrong
    for name in ("12.jpg", "13.jpg", "14.jpg"):
        old[name][:3, 3] += 9
    found = align_poses(old, new)
    assert found.scale == pytest.approx(2.5)
    assert (found.rotation * TURN.inv()).magnitude() < 1e-6
    np.testing.assert_allclose(found.translation, SHIFT, atol=1e-6)


def test_worlds_that_have_too_little_in_common_are_not_aligned():
    new = some_poses(20)
    others = dict(zip(new, reversed([similar(pose) for pose in new.values()]), strict=True))
    assert align_poses(others, new) is None
    two = {name: similar(new[name]) for name in list(new)[:2]}
    assert align_poses(two, new) is None
    one_place = {name: np.eye(4) for name in new}
    assert align_poses(one_place, new) is None
    assert align_poses(new, one_place) is None
    assert align_poses({}, new) is None


def planted(database, *_, **__) -> dict[int, pycolmap.Reconstruction]:
    """Return the planted poses of the photos of a database, in place of COLMAP's mapping."""
    with pycolmap.Database.open(database) as opened:
        links = sorted(image.name for image in opened.read_all_images())
    model = colmap_model(TRAIN)
    for image, link in zip(model.images.values(), links, strict=True):
        image.name = link
    model.add_point3D(np.ones(3), pycolmap.Track())
    return {0: model}


def test_a_place_keeps_its_world_as_it_grows(tmp_path, monkeypatch, capsys, caplog):
    (tmp_path / "images").mkdir()
    for row in range(len(TRAIN)):
        noise = np.random.default_rng(row).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"images/{row}.png")

    monkeypatch.setattr(pycolmap, "incremental_mapping", planted)
    folder = tmp_path / "sparse/0"
    assert find_poses(tmp_path).alignment is None
    model = pycolmap.Reconstruction(folder)
    model.transform(pycolmap.Sim3d(2.5, pycolmap.Rotation3d(TURN.as_quat()), SHIFT))
    model.write_binary(folder)
    before = read_model(folder)[0]
    assert main([str(tmp_path), "--force"]) == 0
    printed = capsys.readouterr().out
    assert "aligned to the previous ones: the 4 photos in both lie" in printed
    assert "They are in metres if those were; --distance scales them" in printed
    assert "The poses are not in metres" not in printed
    after = read_model(folder)[0]
    assert after.keys() == before.keys()
    for name, pose in after.items():
        np.testing.assert_allclose(pose, before[name], atol=1e-6)
    point = next(iter(pycolmap.Reconstruction(folder).points3D.values()))
    np.testing.assert_allclose(point.xyz, 2.5 * TURN.apply(np.ones(3)) + SHIFT)

    for row in range(2):  # another photo of the same name, with a place of its own
        os.utime(tmp_path / f"images/{row}.png")
    with caplog.at_level(logging.WARNING):
        assert find_poses(tmp_path, force=True).alignment is None
    assert "images: 2 photos are newer than the previous poses" in caplog.text

    for row in range(2):
        model.images[row + 1].name = f"of another place {row}.png"
    model.write_binary(folder)
    assert main([str(tmp_path), "--force"]) == 0
    printed = capsys.readouterr().out
    assert "The poses have a new world frame: too little in common" in printed
    assert "The poses are not in metres" in printed
    (folder / "images.bin").write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING):
        assert find_poses(tmp_path, force=True).alignment is None
    assert "the new poses have a new world frame" in caplog.text
    shutil.rmtree(tmp_path / "sparse")
    assert main([str(tmp_path)]) == 0
    assert "new world frame" not in capsys.readouterr().out
