"""Errors that are stated of photos, and what is accepted: as calibrated, refined or not."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from described_place import CPU, SAMPLING, localise
from test_photos_place import SURE, write_calibration

from relposegnn.data.camera_files import write_camera
from relposegnn.data.frames import Frames
from relposegnn.estimates.predictions import ALL_EDGES, REFINED, SOLVED
from relposegnn.files.owners import Owner
from relposegnn.matching.refinement import Refined, unrefined
from relposegnn.network.published_network import RelPoseGNN
from relposegnn.photos.cameras import CAMERA
from relposegnn.photos.confidence import recognition, similarity_scale
from relposegnn.photos.localiser import Localiser
from relposegnn.photos.refining import PhotoRefiner
from relposegnn.photos.table import POSE
from relposegnn.poses import quaternion_from_matrix, rotation_error_deg
from relposegnn.scores.calibration import LEVELS, Scale, StatedErrors, probability_within
from relposegnn.scores.metrics import STATED

pytestmark = pytest.mark.slow


def test_errors_are_stated_as_the_place_is_calibrated(place, folder, tmp_path):
    """By a constant, the spread of the edges, the motion, and the most similar image."""
    scale = Scale(
        [0.1, 2.0, 0.5, 0.3], [1.0, 0.5, 0.25, 0.7], (2, 2), (0.1, 1.0), 50, (99, 180), 1e6
    )
    file = write_calibration(tmp_path / "c.json", place.model, **{ALL_EDGES: scale})
    first = replace(SAMPLING, stride=1, drop_probability=0)
    changes = {"calibration": file, "sampling": first, "within": (1.0, 40.0)}
    table = localise(place, folder, tmp_path / "out", **changes)
    with Frames(place.frames) as frames:
        rows = [frames.names("train").index(name) for name in table["nearest"]]
        nearest = frames.poses("train")[rows]
    metres = np.linalg.norm(table[POSE[:3]] - nearest[:, :3, 3], axis=1)
    degrees = rotation_error_deg(
        table[POSE[3:]].to_numpy(), quaternion_from_matrix(nearest[:, :3, :3])
    )
    apart = 2 - 2 * table["similarity"]
    sigma = (
        0.1 + 2 * table["spread_m"] + 0.5 * metres + 0.3 * apart,
        1 + 0.5 * table["spread_deg"] + 0.25 * degrees + 0.7 * apart,
    )
    with h5py.File(place.descriptors) as descriptors:
        known = recognition(table["similarity"], similarity_scale(descriptors["train/descriptor"]))
    stated = StatedErrors(*(np.outer([1, 2], each) for each in sigma))
    levels = [1, 1, 2, 2] * np.column_stack([*sigma, *sigma])
    expected = np.minimum(levels, [np.inf, 180] * 2)  # no rotation is further off
    np.testing.assert_allclose(table[STATED], expected, rtol=1e-5)
    expected = known * probability_within(stated, (1.0, 40.0))
    np.testing.assert_allclose(table["confidence"], expected, rtol=1e-5)
    assert 0 < table["confidence"].min() < table["confidence"].max() < 1
    written = pd.read_csv(tmp_path / "out/poses.csv")
    np.testing.assert_allclose(written["sigma_m"], table["sigma_m"], rtol=1e-6)


def test_photos_that_matches_do_not_refine_have_the_error_of_regressed_ones(
    place, folder, tmp_path
):
    """The images are noise: nothing matches."""
    scale = Scale([1e-3, 0], [0.1, 0], (2, 2), (1e-3, 0.1), 50, (3, 90), 0.5)
    changes = {
        "calibration": write_calibration(tmp_path / "c.json", place.model, **{SOLVED: scale})
    }
    write_camera(tmp_path / "camera.json", 0.8, "planted", Owner("tiny", "tiny"))
    regressed = localise(place, folder, tmp_path / "out")
    changes |= {"camera": tmp_path / "camera.json", "images": place.frames.parent / "scene"}
    table = localise(place, folder, tmp_path / "out", **changes)
    assert (table["points"] == 0).all()
    numbers = [*POSE, "sigma_m", "sigma_deg", "confidence"]
    np.testing.assert_allclose(table[numbers], regressed[numbers], atol=1e-6)
    np.testing.assert_allclose(table["sigma_m"], 0.1)


def test_photos_that_matches_refine_have_their_pose_and_error_and_need_no_recognition(
    place, folder, tmp_path, monkeypatch
):
    """All but the last, which stays as regressed."""
    planted = np.eye(4)
    planted[:3, 3] = 1, 2, 3
    parts = 0.0012 * np.eye(3), np.radians(0.5) ** 2 / 3 * np.eye(3)
    refined = Refined(planted, 40, *parts, misfit=0.9, intrinsics=np.array([1.5, 1.2, 0.1, 0]))

    def refine(self, paths, ranked, priors, *_):
        return [refined] * (len(paths) - 1) + [unrefined(priors[-1])]

    monkeypatch.setattr(PhotoRefiner, "refine", refine)
    monkeypatch.setattr("relposegnn.photos.confidence.recognition", lambda found, _: 0 * found)
    scale = Scale([0.75, 0], [2.0, 0], (2, 2), (0.05, 1.0), 50, (3, 90), 0.45)
    changes = {
        "calibration": write_calibration(tmp_path / "c.json", place.model, **{SOLVED: scale})
    }
    write_camera(tmp_path / "camera.json", 0.8, "planted", Owner("tiny", "tiny"))
    changes |= {"camera": tmp_path / "camera.json", "images": tmp_path, "within": (0.09, 2.0)}
    table = localise(place, folder, tmp_path / "out", **changes)
    assert table["points"].tolist() == [40] * 5 + [0]
    sizes = table[["width", "height"]].to_numpy()
    longer, shorter = sizes.max(axis=1, keepdims=True), sizes.min(axis=1, keepdims=True)
    pixels = 0.8 * np.maximum(longer, shorter * 40 / 32)  # the database's camera
    expected = np.hstack([[1.5, 1.2] * pixels, sizes / 2 + [0.1, 0] * pixels])
    expected[5] = [*pixels[5], *pixels[5], *sizes[5] / 2]
    np.testing.assert_allclose(table[CAMERA[2:]], expected)
    np.testing.assert_allclose(table[POSE[:3]][:5], [[1, 2, 3]] * 5)
    np.testing.assert_allclose(table["sigma_m"], [1.5 * 0.06] * 5 + [0.1])
    np.testing.assert_allclose(table["sigma_deg"], [2.0] * 6)
    np.testing.assert_allclose(table["confidence"], [LEVELS[0]] * 5 + [0])
    assert np.linalg.norm(table[POSE[:3]].to_numpy()[5] - [1, 2, 3]) > 0.01


def test_errors_are_stated_by_whether_focal_lengths_are_given(
    place, folder, tmp_path, monkeypatch, caplog
):
    planted = np.eye(4)
    parts = 0.0012 * np.eye(3), np.radians(0.5) ** 2 / 3 * np.eye(3)
    refined = Refined(planted, 40, *parts, misfit=0.4, intrinsics=np.array([1, 1, 0, 0]))
    monkeypatch.setattr(PhotoRefiner, "refine", lambda _, paths, *__: [refined] * len(paths))
    scale = Scale([0.75, 0], [2.0, 0], (2, 2), (0.05, 1.0), 50, (3, 90), 0.45)
    scales = {SOLVED: scale, REFINED: scale._replace(metres=[0.25, 0])}
    file = write_calibration(tmp_path / "c.json", place.model, **scales)
    write_camera(tmp_path / "camera.json", 0.8, "planted", Owner("tiny", "tiny"))
    changes = {"calibration": file, "camera": tmp_path / "camera.json", "images": tmp_path}
    with Localiser(replace(place, **changes), CPU) as loaded:
        free, given = (loaded.localise(folder / "test 1.PNG", None, f).table for f in (None, 0.8))
    np.testing.assert_allclose(free["sigma_m"], 0.75 * 0.06)
    np.testing.assert_allclose(given["sigma_m"], 0.25 * 0.06)
    assert "no scale" not in caplog.text
    regressed = scale._replace(metres=[0.1, 0, 0, 0], degrees=[3.0, 0, 0, 0], usual=100)
    write_calibration(file, place.model, **{REFINED: scale, ALL_EDGES: regressed})
    with Localiser(replace(place, **changes), CPU) as loaded:
        old = loaded.localise(folder / "test 1.PNG").table
    assert "no error scale for photos whose focal length is solved for" in caplog.text
    assert (old["sigma_m"] > free["sigma_m"]).all()
    assert (old["confidence"] > 0).all()


def test_errors_grow_with_the_way_to_what_the_network_was_trained_on(place, folder, tmp_path):
    """Database frames that were held out are none of it."""
    with Frames(place.frames) as frames:
        database = frames.poses("train")[:, :3, 3]
    scale, trained = SURE._replace(farther=(5.0, 0.0)), 3
    stated = []
    for held_out in ((), np.delete(np.arange(len(database)), trained)):
        file = write_calibration(tmp_path / "c.json", place.model, held_out, **{ALL_EDGES: scale})
        table = localise(place, folder, tmp_path / "out", calibration=file)
        ways = np.linalg.norm(table[POSE[:3]].to_numpy()[:, None] - database, axis=2)
        way = ways[:, trained] if len(held_out) else ways.min(axis=1)
        expected = 0.1 * (1 + 5 * np.sqrt(way / scale.extent[0]))
        np.testing.assert_allclose(table["sigma_m"], expected, rtol=1e-4)
        stated.append(table["sigma_m"])
    assert (stated[1] > stated[0]).any()


def test_where_nothing_is_calibrated_no_photo_is_accepted(place, folder, tmp_path):
    told = json.loads(place.calibration.read_text())
    (tmp_path / "none.json").write_text(json.dumps({**told, "scales": {}}))
    changes = {"calibration": tmp_path / "none.json", "minimum_confidence": 0.01}
    table = localise(place, folder, tmp_path / "out", **changes)
    assert table[["sigma_m", "sigma_deg"]].isna().all(axis=None)
    assert (table["confidence"] == 0).all()
    assert not table["accepted"].any()
    assert np.isfinite(table[POSE]).all(axis=None)


def test_photo_without_a_finite_pose_is_not_accepted(place, folder, tmp_path, monkeypatch):
    nothing = lambda _, edges, rotations: torch.full((len(edges), 6), torch.nan)  # noqa: E731
    monkeypatch.setattr(RelPoseGNN, "regress", nothing)
    table = localise(place, folder, tmp_path / "out")
    assert table["tx"].isna().all()
    assert not table["accepted"].any()
    assert (table["confidence"] == 0).all()
