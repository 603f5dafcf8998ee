"""Photos that cannot be read, and requests and files that do not fit, are told in words."""

import json
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from described_place import CPU, FITTING, localise
from PIL import Image

from relposegnn.files.storage import create_hdf5
from relposegnn.photos import localising
from relposegnn.photos.localiser import Localiser
from relposegnn.photos.localising import localise_photos
from relposegnn.photos.sources import Item
from relposegnn.photos.streaming import localise_stream
from relposegnn.photos.table import POSE
from relposegnn.retrieval.descriptors import fit_vocabulary
from relposegnn.runtime import InputError

pytestmark = pytest.mark.slow


def test_photos_that_cannot_be_read_get_a_row_without_a_pose(place, folder, tmp_path, caplog):
    expected = localise(place, folder, tmp_path / "whole")
    (folder / "broken.jpg").write_bytes((folder / "Walk/portrait.jpg").read_bytes()[:500])
    (folder / "Walk/page.png").write_text("<html>")
    table = localise(place, folder, tmp_path / "out", workers=2)
    for name in ("broken.jpg", "Walk/page.png"):
        assert f"{name}: cannot be read as an image" in caplog.text
    assert "archive" not in caplog.text  # that a scene came from
    bad = table["image"].isin(["broken.jpg", "Walk/page.png"])
    assert bad.sum() == 2
    pd.testing.assert_frame_equal(table[~bad].reset_index(drop=True), expected)
    assert table.loc[bad, [*POSE, "sigma_m", "similarity"]].isna().all(axis=None)
    assert (table.loc[bad, ["confidence", "points"]] == 0).all(axis=None)
    assert not table.loc[bad, "accepted"].any()
    written = pd.read_csv(tmp_path / "out/poses.csv")
    assert written["image"].tolist() == table["image"].tolist()
    assert "broken" not in (tmp_path / "out/poses.txt").read_text()


def test_a_photo_whose_name_is_no_text_does_not_keep_the_others(place, folder, tmp_path, caplog):
    expected = localise(place, folder, tmp_path / "whole")
    for name in (b"caf\xe9.png", b"Walk/\xff\xfe.PNG"):
        shutil.copy(folder / "test 1.PNG", folder / os.fsdecode(name))
    table = localise(place, folder, tmp_path / "out")
    bad = table["image"].isin([r"caf\udce9.png", r"Walk/\udcff\udcfe.PNG"])
    assert bad.sum() == 2
    assert r"names of 1 photos are not text, expected UTF-8: 'caf\udce9.png'; rename" in caplog.text
    pd.testing.assert_frame_equal(table[~bad].reset_index(drop=True), expected)
    assert table.loc[bad, [*POSE, "similarity"]].isna().all(axis=None)
    written = pd.read_csv(tmp_path / "out/poses.csv")
    assert written["image"].tolist() == table["image"].tolist()
    with pytest.raises(InputError, match=r"none of 1 photos can be read.*are not text"):
        localise(place, folder / os.fsdecode(b"caf\xe9.png"), tmp_path / "alone")


def test_photos_none_of_which_can_be_read_leave_nothing(place, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.jpg").write_bytes(b"GIF89a")
    message = (
        r"bad: none of 1 photos can be read, expected at least one; the first: .*a\.jpg: cannot"
    )
    with pytest.raises(InputError, match=message) as caught:
        localise(place, tmp_path / "bad", tmp_path / "out")
    assert "archive" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_photos_that_go_during_a_run_end_nothing(place, folder, tmp_path, monkeypatch, caplog):
    """Before they are described, and before they are drawn."""
    expected = localise(place, folder, tmp_path / "whole").set_index("image")
    gone = ["test 1.PNG", "test 2.PNG"]
    localise_all, plot = Localiser.localise, localising.plot_photos

    def localise_late(*arguments):
        for name in gone:
            (folder / name).unlink(missing_ok=True)
        return localise_all(*arguments)

    def plot_late(*arguments):
        (folder / "test 4.PNG").unlink()
        plot(*arguments)

    monkeypatch.setattr(Localiser, "localise", localise_late)
    monkeypatch.setattr(localising, "plot_photos", plot_late)
    table = localise(place, folder, tmp_path / "out").set_index("image")
    others = expected.index.drop(gone)
    assert list(table.index) == list(expected.index)
    np.testing.assert_allclose(table.loc[others, POSE], expected.loc[others, POSE], atol=1e-5)
    assert table.loc[gone, [*POSE, "similarity"]].isna().all(axis=None)
    for name in gone:
        assert caplog.text.count(f"{name}: no such file") == 1
    assert "extract" not in caplog.text
    assert (tmp_path / "out/photos.png").exists()


def test_photos_that_all_go_during_a_run_have_rows_without_poses(
    place, folder, tmp_path, monkeypatch
):
    """As of a stick that is pulled out."""
    monkeypatch.setattr(localising, "_readable", lambda _, names, __: names)
    for path in folder.glob("*.PNG"):
        path.write_text("")
    table = localise(place, folder / "*.PNG", tmp_path / "out")
    assert len(table) == 5
    assert table[POSE].isna().all(axis=None)
    assert (tmp_path / "out/photos.png").exists()


def test_a_run_that_is_ended_leaves_what_it_had(place, folder, tmp_path, monkeypatch):
    expected = localise(place, folder, tmp_path / "whole")
    localise_all, asked = Localiser.localise, []

    def localise_some(self, paths, *arguments):
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(paths)
        return localise_all(self, paths, *arguments)

    monkeypatch.setattr(localising, "AT_A_TIME", 2)
    monkeypatch.setattr(Localiser, "localise", localise_some)
    (folder / "a.png").write_text("none")
    with pytest.raises(KeyboardInterrupt):
        localise(place, folder, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/poses.csv")
    assert table["image"].tolist() == [*expected["image"][:1], "a.png", *expected["image"][1:4]]
    np.testing.assert_allclose(table["tx"].dropna(), expected["tx"][:4], atol=1e-5)
    assert (tmp_path / "out/poses.txt").read_text().count(".PNG") == table["accepted"].sum() - 1


def test_each_other_aspect_is_told_once(place, folder, tmp_path, caplog):
    """Of a video too, whose frames come one at a time."""
    with caplog.at_level(logging.WARNING):
        localise(place, folder, tmp_path / "out")
        (told,) = [record for record in caplog.messages if "another aspect" in record]
        assert "1 of 6 photos" in told
        assert "scene's images, which are packed as 40 x 32: they are" in told
        caplog.clear()
        with Localiser(place, CPU) as loaded:
            for size in ((80, 64), (90, 160), (180, 320), (100, 100), (90, 160), (99, 100)):
                loaded.localise(Image.new("RGB", size))
    told = [record for record in caplog.messages if "another aspect" in record]
    assert len(told) == 3


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


@pytest.mark.parametrize("formats", ["tum", ["colmap", "tum"]])
def test_a_format_that_is_none_is_told_before_anything_is_written(place, folder, tmp_path, formats):
    items, out = [Item("a", folder / "test 1.PNG", 0.0)], tmp_path / "out"
    with pytest.raises(InputError, match="formats: got tum, expected some of colmap, hloc, ace"):
        localise_photos(place, folder, out, CPU, formats=formats)
    with Localiser(place, CPU) as loaded, pytest.raises(InputError, match="formats: got tum"):
        next(localise_stream(loaded, items, out, formats=formats))
    assert not out.exists()


def test_outputs_among_the_photos_are_refused(place, folder):
    with pytest.raises(InputError, match="lies among the photos"):
        localise(place, folder, folder / "out")


def test_the_picture_of_results_is_no_photo_and_overwrites_none(place, folder):
    """A pattern finds that of the run before; a photo may have its name."""
    localise(place, folder / "test 0.PNG", folder / "out")
    Image.new("RGB", (40, 32)).save(folder / "photos.png")
    for asked, output in ((folder / "**/*.png", "out"), (folder / "photos.png", ".")):
        with pytest.raises(InputError, match=r"photos\.png: is among the photos, but the picture"):
            localise(place, asked, folder / output)


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
