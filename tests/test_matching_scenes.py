"""Queries of a rendered room refined by its database: better, and without texture no worse."""

import json
import shutil

import cv2
import h5py
import numpy as np
import pytest
from conftest import DATABASE, FOCAL_LENGTH, OWNED, QUERIES
from PIL import Image
from scipy.spatial.transform import Rotation

from relposegnn.data.camera_files import read_camera, write_camera
from relposegnn.data.frames import Frames
from relposegnn.data.scene_files import SceneFiles
from relposegnn.estimates.predictions import DISTANCES, NEAREST
from relposegnn.files.owners import Owner
from relposegnn.files.storage import create_hdf5
from relposegnn.matching.cameras import measure_camera
from relposegnn.matching.key_points import find_key_points
from relposegnn.matching.most_probable import Prior
from relposegnn.matching.scenes import (
    KEY_POINTS,
    LEAST_DEVIATION_DEG,
    LEAST_DEVIATION_M,
    MatchedDatabase,
    choose_apart,
    poses_of,
    refine_predictions,
    regressed_prior,
)
from relposegnn.poses import pose_distances, quaternion_from_matrix
from relposegnn.retrieval.graphs import LEFT_OUT, read_graphs, write_split
from relposegnn.retrieval.left_out import read_reaches, sample_left_out
from relposegnn.retrieval.neighbour_choice import SamplingSettings
from relposegnn.runtime import InputError

pytestmark = pytest.mark.slow

METRES, DEGREES = 0.04, 1.2


def refine_all(room, images, offset=0.0):
    """Return errors (N, 2) of regressed and of refined poses, and the latter."""
    rng, poses = np.random.default_rng(0), room.poses.copy()
    poses[:, :3, 3] += offset
    database = MatchedDatabase(
        [room.paths[i] for i in DATABASE], poses[DATABASE], np.full(len(DATABASE), FOCAL_LENGTH)
    )
    regressed, refined = [], []
    for query, image in zip(QUERIES, images, strict=True):
        near = np.argsort(pose_distances(poses[DATABASE], poses[query][None])[0], kind="stable")
        start = poses[query].copy()
        turn = Rotation.from_rotvec(rng.normal(0, np.radians(DEGREES), 3)).as_matrix()
        start[:3, :3] = start[:3, :3] @ turn
        start[:3, 3] += rng.normal(0, METRES, 3)
        regressed.append(Prior(start, METRES, np.radians(DEGREES)))
        own = find_key_points(image, KEY_POINTS)
        refined.append(database.refine(own, FOCAL_LENGTH, near, regressed[-1]))
    before, after = (
        np.stack(pose_distances(np.stack([each.pose for each in poses_]), poses[QUERIES]), axis=1)
        for poses_ in (regressed, refined)
    )
    return before, after, refined


@pytest.mark.parametrize("offset", [0.0, 5_572_094.0])
def test_queries_of_a_room_are_refined_anywhere_in_the_world(rendered_room, offset):
    before, after, refined = refine_all(
        rendered_room, [rendered_room.paths[i] for i in QUERIES], offset=offset
    )
    assert np.mean([each.points > 0 for each in refined]) > 0.8
    assert {each.least for each in refined} == {(0, 0)}
    assert (np.median(after, axis=0) < 0.35 * np.median(before, axis=0)).all()


@pytest.mark.parametrize("damage", ["blurred", "dark", "white"])
def test_queries_without_texture_are_no_worse_than_regressed(rendered_room, tmp_path, damage):
    images = []
    for query in QUERIES:
        image = np.array(Image.open(rendered_room.paths[query]))
        if damage == "blurred":
            image = cv2.GaussianBlur(image, (0, 0), 6)
        elif damage == "dark":
            image = np.random.default_rng(query).poisson(image / 40).clip(0, 255).astype(np.uint8)
        else:
            image[:] = 235
        images.append(tmp_path / f"{query}.png")
        Image.fromarray(image).save(images[-1])
    before, after, refined = refine_all(rendered_room, images)
    assert (np.median(after, axis=0) <= 1.05 * np.median(before, axis=0)).all()
    least = {each.least for each in refined}
    if damage != "white":
        assert least == {(0, 0)}
        return
    # Such images might have been taken anywhere in the room.
    metres, degrees = pose_distances(rendered_room.poses[DATABASE], refined[0].pose[None])
    within = [
        np.mean(metres <= refined[0].least[0]),
        np.mean(np.radians(degrees) <= refined[0].least[1]),
    ]
    assert within == pytest.approx([0.68, 0.68], abs=1 / len(DATABASE))
    assert len(least) == len(QUERIES)


def test_neighbours_are_apart():
    centres = np.array([[0, 0, 0], [0.01, 0, 0], [0.2, 0, 0], [0.21, 0, 0], [0, 1, 0.0]])
    assert choose_apart(np.array([1, 0, 3, 2, 4]), centres) == [1, 3, 4]
    many = np.arange(60)[:, None] * [0.1, 0, 0]
    assert choose_apart(np.arange(60)[::-1], many) == [59, 58, 57, 56, 55, 54, 53]


def test_failed_poses_stay_failed():
    centres, quaternions = (
        np.array([[0, 0, 0], [np.nan] * 3]),
        np.array([[1, 0, 0, 0], [np.nan] * 4]),
    )
    spreads = {"spread_m": np.array([0, np.nan]), "spread_deg": np.zeros(2)}
    arrays = {"robust_t": centres, "robust_q": quaternions} | spreads
    fine, failed = regressed_prior(arrays)
    assert np.isfinite(fine.pose).all()
    database = MatchedDatabase([], np.zeros((0, 4, 4)), np.zeros(0))
    refined = database.refine(None, 1.0, np.zeros(0, dtype=int), failed)
    (centres, quaternions), points = poses_of([refined])
    assert np.isnan(centres).all()
    assert np.isnan(quaternions).all()
    assert points.tolist() == [0]


def refine_scene(scene, images, left_out=None, workers=2, **files):
    names = {name: scene / f"{name}" for name in ("predictions.npz", "frames.h5", "neighbours.h5")}
    names |= files
    inputs = SceneFiles(
        names["frames.h5"],
        left_out,
        retrieval=[names["neighbours.h5"]],
        camera=scene / "camera.json",
    )
    refine_predictions(
        *(names["predictions.npz"], inputs, images, scene / "refined.npz"),
        part=LEFT_OUT if left_out else "test",
        workers=workers,
    )
    return np.load(scene / "refined.npz")


def test_predictions_of_a_scene_are_refined_query_by_query(rendered_scene, rendered_room):
    images = rendered_room.paths[0].parent
    measure_camera(rendered_scene / "frames.h5", images, rendered_scene / "camera.json")
    camera = json.loads((rendered_scene / "camera.json").read_text())
    assert camera["origin"] == "estimated"
    assert camera["focal_length"] == pytest.approx(FOCAL_LENGTH, rel=0.02)
    refined = refine_scene(rendered_scene, images)
    error = np.linalg.norm(refined["refined_t"] - refined["targ_t"], axis=1)
    assert np.median(error) < 0.2 * 0.03 * 3**0.5  # queries stand in another order than frames
    changed = refined["refined_points"] > 0
    assert changed.mean() > 0.8
    np.testing.assert_array_equal(refined["refined_t"][~changed], refined["robust_t"][~changed])
    deviation = refined["refined_deviation_m"], refined["refined_deviation_deg"]
    prior = np.hypot(0.03, LEAST_DEVIATION_M), np.hypot(0.5, LEAST_DEVIATION_DEG)
    for told, regressed in zip(deviation, prior, strict=True):
        assert (told[changed] < 3**0.5 * regressed).all()
        np.testing.assert_allclose(told[~changed], 3**0.5 * regressed)
    assert (error[changed] < 3 * deviation[0][changed]).mean() > 0.9
    original = np.load(rendered_scene / "predictions.npz")
    np.testing.assert_array_equal(refined["abs_t"], original["abs_t"])
    np.testing.assert_array_equal(refined["rel_path"], original["rel_path"])


def test_left_out_frames_are_refined_without_those_around_them(
    rendered_scene, rendered_room, tmp_path, monkeypatch
):
    """By others alone, and in the order of the graphs, which have their reaches."""
    images, files = rendered_room.paths[0].parent, ("neighbours.h5", "frames.h5")
    write_camera(rendered_scene / "camera.json", FOCAL_LENGTH, "planted", Owner("d", "room"))
    sampling = SamplingSettings(7, "strided", stride=1, drop_probability=0.0, seed=0)
    graphs = tmp_path / "graphs.h5"
    trained = tmp_path / "trained.h5"
    with create_hdf5(trained, "graphs", {}) as file:
        write_split(file, "train", np.arange(1), np.ones((1, 7)))
    sources = (*(rendered_scene / name for name in files), trained)
    sample_left_out(*sources, graphs, sampling, 12)
    queries, reaches = read_graphs(graphs, LEFT_OUT)[0], read_reaches(graphs)
    truth = rendered_room.poses[DATABASE][queries]
    arrays = {"rel_path": [f"{DATABASE[query]}" for query in queries]}
    for prefix in ("targ", "abs", "robust", "reference"):
        off = 0 if prefix == "targ" else 0.03
        arrays[f"{prefix}_t"] = truth[:, :3, 3] + off
        arrays[f"{prefix}_q"] = quaternion_from_matrix(truth[:, :3, :3])
    arrays |= {"spread_m": np.full(len(queries), 0.03), "spread_deg": np.full(len(queries), 0.5)}
    arrays |= dict.fromkeys([*DISTANCES.values(), *NEAREST.values()], np.ones(len(queries)))
    np.savez(tmp_path / "predictions.npz", **arrays | OWNED)
    rankings, refine = [], MatchedDatabase.refine_each

    def remember(database, query, focal_length, ranking, regressed):
        rankings.append(ranking)
        return refine(database, query, focal_length, ranking, regressed)

    monkeypatch.setattr(MatchedDatabase, "refine_each", remember)
    predictions = {"predictions.npz": tmp_path / "predictions.npz"}
    refined = refine_scene(rendered_scene, images, graphs, **predictions, workers=1)
    near = reaches == 0  # these are not refined
    assert near.any()
    for name in ("refined", "solved"):
        assert not refined[f"{name}_points"][near].any()
        np.testing.assert_allclose(refined[f"{name}_t"][near], refined["robust_t"][near])
    refined = {name: own[~near] for name, own in refined.items() if own.shape}
    error = np.linalg.norm(refined["refined_t"] - refined["targ_t"], axis=1)
    assert (refined["refined_points"] > 0).mean() > 0.7
    assert np.median(error) < 0.3 * 0.03 * 3**0.5
    # As photos of unknown focal length they are less sure, and placed all the same.
    both = (refined["refined_points"] > 0) & (refined["solved_points"] > 0)
    assert both.mean() > 0.7
    assert (refined["solved_deviation_m"] >= refined["refined_deviation_m"])[both].mean() > 0.9
    assert np.median(np.linalg.norm(refined["solved_t"] - refined["targ_t"], axis=1)) < 0.03
    for ranking, query, reach in zip(rankings, queries[~near], reaches[~near], strict=True):
        assert np.abs(ranking.astype(int) - query).min() > reach


def test_focal_lengths_that_frames_have_come_first(rendered_scene, rendered_room, tmp_path):
    with (
        h5py.File(tmp_path / "frames.h5", "w") as file,
        h5py.File(rendered_scene / "frames.h5") as known,
    ):
        for name in known:
            known.copy(name, file)
        file.attrs.update(dict(known.attrs))
        lengths = np.full(len(DATABASE), 0.7)
        lengths[3] = np.nan
        file["train/focal_length"] = lengths
    images = rendered_room.paths[0].parent
    measure_camera(tmp_path / "frames.h5", images, tmp_path / "camera.json")
    assert read_camera(tmp_path / "camera.json", Owner("d", "room")) == 0.7
    with Frames(tmp_path / "frames.h5", tmp_path / "camera.json") as frames:
        assert (frames.focal_lengths("train") == 0.7).all()
        assert (frames.focal_lengths("test") == 0.7).all()


@pytest.mark.parametrize("fault", [None, "length", "axes"])
def test_a_told_focal_length_is_held_against_poses_and_images(
    rendered_scene, rendered_room, tmp_path, caplog, fault
):
    shutil.copy(rendered_scene / "frames.h5", tmp_path)
    with h5py.File(tmp_path / "frames.h5", "a") as file:
        count = len(file["train/name"])
        length = FOCAL_LENGTH * (1.3 if fault == "length" else 1)
        file["train/focal_length"] = np.full(count, length)
        if fault == "axes":  # OpenGL's in place of OpenCV's
            file["train/world_from_cam"][:, :3, 1:3] *= -1
    images = rendered_room.paths[0].parent
    measure_camera(tmp_path / "frames.h5", images, tmp_path / "camera.json")
    assert read_camera(tmp_path / "camera.json", Owner("d", "room")) == length
    told = [record.getMessage() for record in caplog.records]
    if fault is None:
        assert not told
    elif fault == "length":
        assert "longer sides, but poses and images agree best with 0." in told[0]
    else:
        assert "poses and images agree with no focal length" in told[0]
        assert "expected camera-to-world poses with OpenCV's axes" in told[0]


def test_a_scene_whose_camera_is_unknown_keeps_its_poses(rendered_scene, tmp_path, caplog):
    Image.new("RGB", (256, 192), (90, 80, 70)).save(tmp_path / "wall.png")
    for row in range(90):
        shutil.copy(tmp_path / "wall.png", tmp_path / f"{row:03}.png")
    measure_camera(rendered_scene / "frames.h5", tmp_path, rendered_scene / "camera.json")
    assert "no pose of this scene will be refined: " in caplog.text
    camera = json.loads((rendered_scene / "camera.json").read_text())
    assert camera["focal_length"] is None
    assert "cannot be estimated" in camera["origin"]
    refined = refine_scene(rendered_scene, tmp_path)
    assert (refined["refined_points"] == 0).all()
    np.testing.assert_allclose(refined["refined_t"], refined["robust_t"])


def test_files_that_do_not_belong_together_are_refused(rendered_scene, rendered_room, tmp_path):
    write_camera(rendered_scene / "camera.json", 0.8, "planted", Owner("d", "room"))
    arrays = dict(np.load(rendered_scene / "predictions.npz"))
    renamed = np.char.add("x", arrays["rel_path"])
    np.savez(tmp_path / "other.npz", **{**arrays, "rel_path": renamed})
    with pytest.raises(InputError, match=r"others than the 13 test frames .* predict again"):
        refine_scene(rendered_scene, "", **{"predictions.npz": tmp_path / "other.npz"})
    np.savez(tmp_path / "old.npz", **{k: v for k, v in arrays.items() if k != "spread_m"})
    with pytest.raises(InputError, match=r"old.npz: lacks spread_m"):
        refine_scene(rendered_scene, "", **{"predictions.npz": tmp_path / "old.npz"})
