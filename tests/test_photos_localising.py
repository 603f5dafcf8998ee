"""Photos in a tiny place get the poses of queries, whatever their names, order and company."""

import shutil
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from described_place import CPU, SAMPLING, localise
from PIL import ExifTags, Image
from test_photos_place import write_calibration

from relposegnn.data.camera_files import write_camera
from relposegnn.data.frames import Frames
from relposegnn.data.scene_files import SceneFiles
from relposegnn.encoding.feature_maps import FeatureMaps, encode_frames
from relposegnn.estimates.localization import predict_poses
from relposegnn.files.owners import Owner
from relposegnn.files.storage import create_hdf5
from relposegnn.network.checkpoints import save_model
from relposegnn.network.match_field_network import MatchFieldGNN
from relposegnn.network.model_settings import ModelSettings
from relposegnn.photos import localiser
from relposegnn.photos.localiser import Localiser
from relposegnn.photos.localising import localise_photos
from relposegnn.photos.retrieval import neighbours_of_photos
from relposegnn.photos.table import POSE
from relposegnn.retrieval.exact import Ranker
from relposegnn.retrieval.graphs import write_split
from relposegnn.retrieval.ranking import rank_neighbours
from relposegnn.retrieval.rankings import read_ranking
from relposegnn.runtime import InputError
from relposegnn.scores.metrics import STATED

pytestmark = pytest.mark.slow
ODD_NAME = "{scene} $HOME $^_$ it's; (1) & 100%s.png"


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


def test_no_photo_is_more_similar_to_an_image_than_a_copy_of_it(place):
    with h5py.File(place.descriptors) as file, Localiser(place, CPU) as opened:
        rows = file["train/descriptor"][:] * np.float32(1 + 1e-6)
        ranked, similarity = opened._retrieval.rank(rows)
    np.testing.assert_array_equal(ranked[:, 0], np.arange(len(rows)))
    assert (similarity == 1).all()


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
    found = localise(place, folder, tmp_path / "out", minimum_confidence=0.6)
    files = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert set(files) == {"poses.csv", "poses.txt", "images.txt", "photos.png"}
    table = pd.read_csv(files["poses.csv"])
    assert list(table["image"]) == sorted(table["image"])
    np.testing.assert_allclose(table["confidence"], planted)
    assert list(table["accepted"]) == [False, True, False, True, False, True]
    assert "true" in files["poses.csv"].read_text()
    in_full = pd.read_csv(files["poses.csv"], dtype=str)[POSE].astype(float)
    pd.testing.assert_frame_equal(in_full, found[POSE], check_exact=True)
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


def test_no_photos_are_a_table_of_no_rows_and_wrong_requests_are_told(place, folder):
    with Localiser(place, CPU) as loaded:
        one, none = loaded.localise(folder / "test 1.PNG"), loaded.localise([])
        pixels = np.asarray(Image.open(folder / "test 1.PNG").convert("RGB"))
        for given in (pixels, [pixels], pixels[None]):
            found = loaded.localise(given, ["test 1.PNG"]).table
            pd.testing.assert_frame_equal(found, one.table)
        with pytest.raises(InputError, match=r"an array .* of float32, expected .* uint8, RGB"):
            loaded.localise(pixels.astype(np.float32))
        for wrong in (585.0, -1, 0, float("nan"), "0.9", np.array([0.9])):
            with pytest.raises(InputError, match="to 10 longer sides of the photo; divide pixels"):
                loaded.localise(folder / "test 1.PNG", focal_length=wrong)
        with pytest.raises(InputError, match="got 1 names for 2 photos, expected one for each"):
            loaded.localise([folder / "test 1.PNG"] * 2, ["a"])
    pd.testing.assert_frame_equal(none.table, one.table[:0].astype({"similarity": float}))
    assert none.covariances.shape == (0, 3, 3)


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
