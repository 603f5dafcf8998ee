"""Watched folders: photos come when they are whole, and each trouble is told once."""

import os
import shutil

import pytest
from PIL import Image
from test_photos_sources import grey

from relposegnn.photos.sources import PATIENCE, watched_photos
from relposegnn.runtime import InputError


def test_a_watched_folder_waits_for_files_that_are_half_written(tmp_path):
    """One grows while it is looked at, one is never whole; what is no photo is passed over."""
    Image.fromarray(grey(3)).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "notes.txt").write_text("none")
    looks = 0

    def sleep(_):
        nonlocal looks
        looks += 1
        if looks == 2:
            (tmp_path / "growing.png").write_bytes(content[:50])
            (tmp_path / "never.png").write_bytes(content[:50])
        if looks == 6:
            (tmp_path / "growing.png").write_bytes(content)
        if looks == 60:
            raise KeyboardInterrupt

    arrived = {}
    with pytest.raises(KeyboardInterrupt):
        for item in watched_photos(tmp_path, sleep, pause=1.0):
            assert item.name not in arrived
            arrived[item.name] = looks, item.photo
    assert arrived["whole.png"] == (1, tmp_path / "whole.png")
    assert arrived["growing.png"][0] == 7
    assert arrived["never.png"][0] >= 2 + PATIENCE
    assert "never.png: cannot be read as an image" in str(arrived["never.png"][1])
    assert "archive" not in str(arrived["never.png"][1])
    assert len(arrived) == 3
    with pytest.raises(InputError, match="no such folder"):
        next(watched_photos(tmp_path / "nowhere"))


def test_a_watch_outlives_what_goes_and_tells_each_trouble_once(tmp_path, monkeypatch, caplog):
    """A sub-folder goes between two looks of one walk, links lead nowhere, a photo is replaced."""
    folder, walk, looks = tmp_path / "inbox", os.walk, 0
    (folder / "gone").mkdir(parents=True)
    (folder / "nowhere.png").symlink_to("none.png")
    (folder / "round").symlink_to(".")
    Image.fromarray(grey(3)).save(folder / "a.png")

    def walk_late(top, onerror):
        for place, folders, files in walk(top, onerror=onerror):
            yield place, folders, files
            shutil.rmtree(folder / "gone", ignore_errors=True)

    def sleep(_):
        nonlocal looks
        looks += 1
        if looks == 4:
            Image.fromarray(grey(200)).resize((9, 9)).save(folder / "a.png")
        if looks == 8:
            shutil.rmtree(folder)

    monkeypatch.setattr(os, "walk", walk_late)
    caplog.set_level("INFO")
    watching = watched_photos(folder, sleep, pause=1.0)
    assert next(watching).name == "a.png"
    with pytest.raises(InputError, match="inbox: no such folder, expected a folder that photos"):
        next(watching)
    assert sorted(record.getMessage().partition(": ")[2] for record in caplog.records) == [
        "is a link to nothing, and left out",
        "leads to a folder that was already searched",
        "was overwritten, and is not localised again; give each new photo a new name",
    ]


def test_a_photo_that_is_removed_after_its_turn_was_not_overwritten(tmp_path, caplog):
    """It is removed between the search of the folder and its own turn in it."""
    Image.fromarray(grey(3)).save(tmp_path / "z.png")
    arrived = []

    def sleep(_):
        if arrived == ["z.png"] and not (tmp_path / "a.png").exists():
            Image.fromarray(grey(9)).save(tmp_path / "a.png")
        if len(arrived) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        for item in watched_photos(tmp_path, sleep):
            arrived.append(item.name)
            if item.name == "a.png":
                (tmp_path / "z.png").unlink()
    assert not caplog.records
