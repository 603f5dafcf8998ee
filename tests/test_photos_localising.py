import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import write_tiny_scene
from PIL import ExifTags, Image
from test_photos_place import write_calibration

from relposegnn.aggregation import MEDIAN, LocalizationSettings
from relposegnn.calibration import LEVELS, Scale, StatedErrors, probability_within
from relposegnn.camera_files import write_camera
from relposegnn.checkpoints import save_model
from relposegnn.feature_maps import FeatureMaps, encode_frames
from relposegnn.frames import Frames
from relposegnn.graphs import write_split
from relposegnn.localization import predict_poses
from relposegnn.match_field_network import MatchFieldGNN
from relposegnn.matching.refinement import Refined
from relposegnn.metrics import STATED
from relposegnn.model_settings import ModelSettings
from relposegnn.neighbour_choice import SamplingSettings
from relposegnn.owners import Owner
from relposegnn.photos import localiser
from relposegnn.photos.confidence import recognition, similarity_scale
from relposegnn.photos.localiser import POSE, Localiser, neighbours_of_photos
from relposegnn.photos.localising import localise_photos
from relposegnn.photos.place import Place
from relposegnn.photos.refining import PhotoRefiner
from relposegnn.poses import quaternion_from_matrix, rotation_error_deg
from relposegnn.predictions import ALL_EDGES, REFINED
from relposegnn.published_network import RelPoseGNN
from relposegnn.retrieval.descriptors import (
    DescriptorSettings,
    VocabularySettings,
    describe_frames,
    fit_vocabulary,
)
from relposegnn.retrieval.exact import Ranker
from relposegnn.retrieval.ranking import rank_neighbours
from relposegnn.retrieval.rankings import read_ranking
from relposegnn.runtime import InputError
from relposegnn.scene_files import SceneFiles
from relposegnn.storage import create_hdf5

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
ODD_NAME = "{scene} $HOME $^_$ it's; (1) & 100%s.png"
SAMPLING = SamplingSettings(
    neighbours=3, selection="strided", stride=2, drop_probability=0.3, seed=0
)
FITTING = VocabularySettings("vlad", 80, 64, crop=1, clusters=4, seed=0)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a described scene and a model with random weights."""
    folder = tmp_path_factory.mktemp("place")
    frames_file, scene = write_tiny_scene(folder, "tiny").frames, folder / "scene"
    with h5py.File(frames_file, "a") as file:  # the tiny scene's images, as files
        for split in ("train", "test"):
            sources = [f"{name}.png" for name in file[f"{split}/name"].asstr()]
            for source, image in zip(sources, file[f"{split}/images"], strict=True):
                (scene / source).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(scene / source)
            file[f"{split}/source"][:] = sources
    vocabulary, descriptors = folder / "vocabulary.npz", folder / "descriptors.h5"
    fit_vocabulary(frames_file, scene, vocabulary, FITTING)
    describe_frames(
        frames_file, scene, descriptors, DescriptorSettings("vlad", 80, 64, crop=1), vocabulary
    )
    torch.manual_seed(0)
    model = RelPoseGNN(ModelSettings.published(backbone="resnet10", width=16, iterations=1))
    save_model(folder / "model.pt", model, 0, ["tiny"])
    return Place(
        *(folder / "model.pt", frames_file, None, descriptors, vocabulary),
        write_calibration(folder / "calibration.json", folder / "model.pt"),
        SAMPLING,
        candidates=200,
        minimum_confidence=0,
        within=(0.25, 10.0),
        localization=LocalizationSettings(False, MEDIAN),
    )


@pytest.fixture
def folder(place, tmp_path):
    """Return a folder with copies of the test images and, in another one, a portrait."""
    with Frames(place.frames) as frames:
        images = frames.images("test", range(5))
    (tmp_path / "photos/Walk").mkdir(parents=True)
    for index, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / f"photos/test {index}.PNG")
    Image.fromarray(images[0]).resize((90, 160)).save(tmp_path / "photos/Walk/portrait.jpg")
    return tmp_path / "photos"


def localise(place, folder, output, workers=1, **changes):
    return localise_photos(replace(place, **changes), folder, output, CPU, workers)


def test_copies_of_queries_get_the_poses_of_the_prediction(place, folder, tmp_path):
    first = replace(SAMPLING, stride=1, drop_probability=0)
    table = localise(place, folder, tmp_path / "out", sampling=first).set_index("image")
    ranking, graphs, predictions = (tmp_path / name for name in ("n.h5", "g.h5", "p.npz"))
    rank_neighbours(place.descriptors, ranking, 3)
    ranked, similarity = read_ranking(ranking, "test")
    with create_hdf5(graphs, "graphs", {}) as output:
        write_split(output, "test", np.arange(5), ranked)
    predict_poses(
        place.model, SceneFiles(place.frames, graphs), predictions, place.localization, CPU
    )
    expected, copies = np.load(predictions), table.loc[[f"test {i}.PNG" for i in range(5)]]
    np.testing.assert_allclose(copies[POSE[:3]], expected["robust_t"], atol=1e-5)
    np.testing.assert_allclose(copies[POSE[3:]], expected["robust_q"], atol=1e-5)
    np.testing.assert_allclose(copies["similarity"], similarity[:, 0], atol=1e-5)


def test_photos_stored_as_the_database_is_are_found_as_its_images_are(place, folder, tmp_path):
    """A phone held upright gives both the same tag: neither is turned."""
    untagged = localise(place, folder, tmp_path / "untagged").set_index("image")
    frames = shutil.copy(place.frames, tmp_path / "frames.h5")
    with h5py.File(frames, "a") as file:
        file.attrs["orientation"] = 6
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for path in folder.glob("*.PNG"):
        with Image.open(path) as image:
            image.load()
        image.save(path, exif=exif)
    tagged = localise(place, folder, tmp_path / "tagged", frames=frames).set_index("image")
    names, columns = [f"test {i}.PNG" for i in range(5)], [*POSE, "similarity"]
    np.testing.assert_allclose(tagged.loc[names, columns], untagged.loc[names, columns], atol=1e-6)


def test_a_photo_may_have_any_name(place, folder, tmp_path):
    """Nobody takes it for a pattern, a command or a formula; the drawing tells it as it is."""
    nearest = replace(SAMPLING, stride=1, drop_probability=0)  # no draw by its name
    expected = localise(place, folder / "test 0.PNG", tmp_path / "plain", sampling=nearest)
    (folder / "test 0.PNG").rename(folder / ODD_NAME)
    table = localise(place, folder / ODD_NAME, tmp_path / "{x}", sampling=nearest)
    assert table["image"].tolist() == [ODD_NAME]
    assert table["tx"].tolist() == expected["tx"].tolist()
    assert (tmp_path / "{x}/photos.png").exists()


def test_a_photo_does_not_depend_on_the_others(place, folder, tmp_path, monkeypatch):
    together = localise(place, folder, tmp_path / "all").set_index("image")
    alone = tmp_path / "alone"
    (alone / "Walk").mkdir(parents=True)
    for name in ("test 3.PNG", "Walk/portrait.jpg"):
        shutil.copy(folder / name, alone / name)
    monkeypatch.setattr(localiser, "PHOTOS_AT_ONCE", 1)
    found = localise(place, alone, tmp_path / "two", workers=3).set_index("image")
    numbers = [*POSE, "confidence", "sigma_m", "sigma_deg", "similarity", "spread_m"]
    np.testing.assert_allclose(found[numbers], together.loc[found.index, numbers], atol=1e-4)
    assert (found["nearest"] == together.loc[found.index, "nearest"]).all()


def test_neighbours_follow_the_seed_and_the_name(place):
    ranked = np.tile(np.arange(12), (2, 1))
    with Frames(place.frames) as frames:
        chosen = [
            neighbours_of_photos(names, ranked, frames, replace(SAMPLING, seed=seed))
            for names, seed in ((["a", "b"], 0), (["b", "a"], 0), (["a", "b"], 1))
        ]
        others = {
            kind: neighbours_of_photos(["a"], ranked[:1], frames, replace(SAMPLING, selection=kind))
            for kind in ("random", "sequential")
        }
        with pytest.raises(InputError, match="'best', expected strided, random or sequential"):
            neighbours_of_photos(["a"], ranked[:1], frames, replace(SAMPLING, selection="best"))
    np.testing.assert_array_equal(chosen[0], chosen[1][::-1])
    assert (chosen[0][0] != chosen[0][1]).any()
    assert (chosen[0] != chosen[2]).any()
    assert len(set(others["random"][0])) == 3
    np.testing.assert_array_equal(others["sequential"], [[0, 1, 2]])


def test_outputs_tell_the_same(place, folder, tmp_path, monkeypatch):
    planted = np.array([0.1, 0.9, 0.3, 0.6, 0.2, 0.8])
    monkeypatch.setattr(localiser, "confidence", lambda *_: planted.copy())
    localise(place, folder, tmp_path / "out", minimum_confidence=0.6)
    files = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert set(files) == {"poses.csv", "poses.txt", "images.txt", "photos.png"}
    table = pd.read_csv(files["poses.csv"])
    assert list(table["image"]) == sorted(table["image"])
    np.testing.assert_allclose(table["confidence"], planted)
    assert list(table["accepted"]) == [False, True, False, True, False, True]
    assert "true" in files["poses.csv"].read_text()
    accepted = table[table["accepted"]]
    tum = np.loadtxt(files["poses.txt"])
    np.testing.assert_allclose(tum[:, 1:4], accepted[POSE[:3]], atol=1e-6)
    lines = files["images.txt"].read_text().splitlines()
    lines = [line for line in lines if line and line[0] != "#"]
    assert [line.split(" ", 9)[9] for line in lines] == list(accepted["image"])
    with Image.open(files["photos.png"]) as picture:
        assert min(picture.size) > 500


def test_one_photo_is_localised_as_it_is_among_others(place, folder, tmp_path):
    together = localise(place, folder, tmp_path / "all").set_index("image")
    alone = localise(place, folder / "test 3.PNG", tmp_path / "alone").set_index("image")
    assert list(alone.index) == ["test 3.PNG"]
    expected = together.loc[alone.index, POSE]
    np.testing.assert_allclose(alone[POSE], expected, atol=1e-5)
    assert (tmp_path / "alone/photos.png").is_file()
    beside = localise(place, folder / "test 3.PNG", folder)  # where outputs of a folder may not be
    np.testing.assert_allclose(beside[POSE], expected, atol=1e-5)


def test_errors_are_stated_as_the_place_is_calibrated(place, folder, tmp_path):
    """By a constant, the spread of the edges, and the motion from the first neighbour."""
    scale = Scale([0.1, 2.0, 0.5], [1.0, 0.5, 0.25], (2, 2), (0.1, 1.0), 50)
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
    sigma = (
        0.1 + 2 * table["spread_m"] + 0.5 * metres,
        1 + 0.5 * table["spread_deg"] + 0.25 * degrees,
    )
    np.testing.assert_allclose(table[["sigma_m", "sigma_deg"]], np.stack(sigma, 1), rtol=1e-5)
    with h5py.File(place.descriptors) as descriptors:
        known = recognition(table["similarity"], similarity_scale(descriptors["train/descriptor"]))
    stated = StatedErrors(*(np.outer([1, 2], each) for each in sigma))
    np.testing.assert_allclose(table[STATED[2:]], 2 * table[STATED[:2]], rtol=1e-5)
    expected = known * probability_within(stated, (1.0, 40.0))
    np.testing.assert_allclose(table["confidence"], expected, rtol=1e-5)
    assert 0 < table["confidence"].min() < table["confidence"].max() < 1
    written = pd.read_csv(tmp_path / "out/poses.csv")
    np.testing.assert_allclose(written["sigma_m"], table["sigma_m"], rtol=1e-6)


def test_photos_that_matches_do_not_refine_have_the_error_of_regressed_ones(
    place, folder, tmp_path
):
    """The images are noise: nothing matches."""
    scale = Scale([1e-3, 0], [0.1, 0], (2, 2), (1e-3, 0.1), 50, 0.5)
    changes = {
        "calibration": write_calibration(tmp_path / "c.json", place.model, **{REFINED: scale})
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
    refined = Refined(planted, 40, *parts, misfit=0.9)

    def refine(self, paths, ranked, priors, *_):
        return [refined] * (len(paths) - 1) + [priors[-1].unrefined()]

    monkeypatch.setattr(PhotoRefiner, "refine", refine)
    monkeypatch.setattr("relposegnn.photos.confidence.recognition", lambda found, _: 0 * found)
    scale = Scale([0.75, 0], [2.0, 0], (2, 2), (0.05, 1.0), 50, misfit=0.45)
    changes = {
        "calibration": write_calibration(tmp_path / "c.json", place.model, **{REFINED: scale})
    }
    changes |= {"images": tmp_path, "within": (0.09, 2.0)}
    table = localise(place, folder, tmp_path / "out", **changes)
    assert table["points"].tolist() == [40] * 5 + [0]
    np.testing.assert_allclose(table[POSE[:3]][:5], [[1, 2, 3]] * 5)
    np.testing.assert_allclose(table["sigma_m"], [1.5 * 0.06] * 5 + [0.1])
    np.testing.assert_allclose(table["sigma_deg"], [2.0] * 6)
    np.testing.assert_allclose(table["confidence"], [LEVELS[0]] * 5 + [0])
    assert np.linalg.norm(table[POSE[:3]].to_numpy()[5] - [1, 2, 3]) > 0.01


def test_where_nothing_is_calibrated_no_photo_is_accepted(place, folder, tmp_path):
    told = json.loads(place.calibration.read_text())
    (tmp_path / "none.json").write_text(json.dumps({**told, "scales": {}}))
    changes = {"calibration": tmp_path / "none.json", "minimum_confidence": 0.01}
    table = localise(place, folder, tmp_path / "out", **changes)
    assert table[["sigma_m", "sigma_deg"]].isna().all(axis=None)
    assert (table["confidence"] == 0).all()
    assert not table["accepted"].any()
    assert np.isfinite(table[POSE]).all(axis=None)


def test_a_loaded_place_localises_photos_as_often_as_one_likes(place, folder, tmp_path):
    """One at a time and together, with the database in memory and without."""
    expected = localise(place, folder, tmp_path / "out").set_index("image")
    numbers = [*POSE, *STATED, "confidence", "similarity"]
    with Localiser(place, CPU) as loaded:
        for name in ("test 3.PNG", "test 1.PNG", "test 3.PNG"):
            found = loaded.localise([folder / name]).table
            assert found["image"].tolist() == [name]
            np.testing.assert_allclose(found[numbers], expected.loc[[name], numbers], atol=1e-5)
        together = loaded.localise([folder / name for name in expected.index], expected.index)
        np.testing.assert_allclose(together.table[numbers], expected[numbers], atol=1e-5)
        assert together.covariances.shape == (6, 3, 3)
        own = loaded._retrieval
        own._ranker = Ranker(own._descriptors["train/descriptor"], most_bytes=0)
        streamed = loaded.localise([folder / "test 3.PNG"]).table
        np.testing.assert_allclose(
            streamed[numbers], expected.loc[["test 3.PNG"], numbers], atol=1e-5
        )


def test_photos_that_cannot_be_read_get_a_row_without_a_pose(place, folder, tmp_path, caplog):
    expected = localise(place, folder, tmp_path / "whole")
    (folder / "broken.jpg").write_bytes((folder / "Walk/portrait.jpg").read_bytes()[:500])
    (folder / "Walk/page.png").write_text("<html>")
    table = localise(place, folder, tmp_path / "out", workers=2)
    for name in ("broken.jpg", "Walk/page.png"):
        assert f"{name}: cannot be read as an image" in caplog.text
    bad = table["image"].isin(["broken.jpg", "Walk/page.png"])
    assert bad.sum() == 2
    pd.testing.assert_frame_equal(table[~bad].reset_index(drop=True), expected)
    assert table.loc[bad, [*POSE, "sigma_m", "similarity"]].isna().all(axis=None)
    assert (table.loc[bad, ["confidence", "points"]] == 0).all(axis=None)
    assert not table.loc[bad, "accepted"].any()
    written = pd.read_csv(tmp_path / "out/poses.csv")
    assert written["image"].tolist() == table["image"].tolist()
    assert "broken" not in (tmp_path / "out/poses.txt").read_text()


def test_photos_none_of_which_can_be_read_leave_nothing(place, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.jpg").write_bytes(b"GIF89a")
    message = (
        r"bad: none of 1 photos can be read, expected one at least; the first: .*a\.jpg: cannot"
    )
    with pytest.raises(InputError, match=message):
        localise(place, tmp_path / "bad", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_aspects_are_told_once(place, folder, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        localise(place, folder, tmp_path / "out")
    told = [record for record in caplog.messages if "another aspect" in record]
    assert len(told) == 1
    assert "1 of 6" in told[0]


def test_photo_without_a_finite_pose_is_not_accepted(place, folder, tmp_path, monkeypatch):
    nothing = lambda _, edges, rotations: torch.full((len(edges), 6), torch.nan)  # noqa: E731
    monkeypatch.setattr(RelPoseGNN, "regress", nothing)
    table = localise(place, folder, tmp_path / "out")
    assert table["tx"].isna().all()
    assert not table["accepted"].any()
    assert (table["confidence"] == 0).all()


def test_a_calibration_of_another_network_is_refused(place, folder, tmp_path):
    other = torch.load(place.model, weights_only=True)
    other["model_state_dict"]["fc_xyz_R.bias"] += 1
    torch.save(other, tmp_path / "other.pt")
    message = r"calibration\.json: is of the model '.*', expected '.*' as in .*other\.pt; give the"
    with pytest.raises(InputError, match=message):
        localise(place, folder, tmp_path / "out", model=tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"minimum_confidence": 1.5}, "minimum confidence is 1.5, expected 0 to 1"),
        ({"candidates": 2}, r"tiny-frames\.h5: 2 database images to choose from .* = 3"),
        ({"describer": Path("gone.npz")}, r"gone\.npz: cannot be read as a vocabulary"),
        ({"calibration": Path("gone.json")}, r"gone\.json: cannot be read as a calibration"),
        ({"model": Path("gone.pt")}, r"gone\.pt: no such file, expected a checkpoint"),
    ],
)
def test_wrong_requests(place, folder, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        localise(place, folder, tmp_path / "out", **changes)


def test_outputs_among_the_photos_are_refused(place, folder):
    with pytest.raises(InputError, match="lies among the photos"):
        localise(place, folder, folder / "out")


def test_another_vocabulary_or_scene_is_refused(place, folder, tmp_path):
    other = tmp_path / "other.npz"
    fit_vocabulary(place.frames, place.frames.parent / "scene", other, replace(FITTING, clusters=5))
    with pytest.raises(InputError, match=r"other\.npz: is .*give the same file"):
        localise(place, folder, tmp_path / "out", describer=other)
    with h5py.File(place.descriptors) as file:
        settings, rows = file.attrs["settings"], file["train/descriptor"][:5]
    with create_hdf5(tmp_path / "five.h5", "descriptors", json.loads(settings)) as file:
        file["train/descriptor"] = rows
    with pytest.raises(InputError, match=r"five\.h5: describes 5 .*expected the 12 of"):
        localise(place, folder, tmp_path / "out", descriptors=tmp_path / "five.h5")


def test_photos_of_any_camera_by_a_network_that_sees_rays(place, folder, tmp_path):
    """Without a word about their camera, it is the database's."""
    frames, features = tmp_path / "frames.h5", tmp_path / "features.h5"
    shutil.copy(place.frames, frames)
    with h5py.File(frames, "a") as file:
        file["train/focal_length"] = [0.8] * 11 + [0.4]
    encode_frames(frames, place.frames.parent / "scene", features, "sift", (48, 32))
    torch.manual_seed(0)
    shape = {"edges": "match_field", "encoder": "sift", "iterations": 0, "width": 16}
    with FeatureMaps(features) as maps:
        settings = ModelSettings.published(**shape, pose="relative", positions="rays")
        model = MatchFieldGNN(settings, maps.channels, maps.grid)
    save_model(tmp_path / "rays.pt", model, 0, ["tiny"])
    calibration = write_calibration(tmp_path / "rays.json", tmp_path / "rays.pt")
    rays = replace(place, model=tmp_path / "rays.pt", calibration=calibration)
    rays = replace(rays, frames=frames, features=features)
    usual, same, other = (
        localise_photos(rays, folder, tmp_path / "out", CPU, focal_length=value)
        for value in (None, 0.8, 0.4)
    )
    landscape = usual["image"] != "Walk/portrait.jpg"  # 0.8 of another side
    poses = [table.loc[landscape, POSE].to_numpy() for table in (usual, same, other)]
    np.testing.assert_array_equal(poses[0], poses[1])
    assert np.abs(poses[0] - poses[2]).max() > 1e-3
    with h5py.File(frames, "a") as file:  # where the frames do not tell it, the place's camera does
        file["train/focal_length"][:] = np.nan
    write_camera(tmp_path / "camera.json", 0.8, "planted", Owner("tiny", "tiny"))
    with pytest.raises(InputError, match="the focal length of 12 of 12 train frames is unknown"):
        localise(rays, folder, tmp_path / "out")
    told, own = (
        localise_photos(each, folder, tmp_path / "out", CPU, focal_length=value)
        for each, value in (
            (replace(rays, camera=tmp_path / "camera.json"), None),
            (replace(rays, camera=tmp_path / "camera.json"), 0.8),
        )
    )
    np.testing.assert_array_equal(told.loc[landscape, POSE], own.loc[landscape, POSE])
