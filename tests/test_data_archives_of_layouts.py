"""Archives of every layout extract to the scene that was zipped, without its videos."""

import zipfile
from pathlib import Path

import pytest
from planted_scenes import WRITERS, planted_poses, write_cambridge, write_tables

from relposegnn.data.archives import extract_scene
from relposegnn.layouts.reading import read_scene
from relposegnn.runtime import InputError


def zip_folder(folder: Path, archive: Path, leading: str) -> Path:
    """Zip what is in a folder, below ``leading``."""
    with zipfile.ZipFile(archive, "a") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, leading + path.relative_to(folder).as_posix())
    return archive


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("leading", ["", "college/", "data/College/"])
@pytest.mark.parametrize("layout", WRITERS)
def test_every_layout(tmp_path, layout, leading):
    original = WRITERS[layout](tmp_path / "original")
    archive = zip_folder(original, tmp_path / "college.zip", leading)
    extract_scene(archive, tmp_path / "scenes/college", "college")
    assert contents(tmp_path / "scenes/college") == contents(original)
    before, after = read_scene(original), read_scene(tmp_path / "scenes/college")
    assert [f.name for f in after.train + after.test] == [
        f.name for f in before.train + before.test
    ]
    assert len(after.train) + len(after.test) == len(planted_poses())


def test_videos_stay_in_the_archive(tmp_path):
    original = write_cambridge(tmp_path / "original")
    expected = contents(original) | {"reconstruction.nvm": b"NVM_V3"}
    (original / "reconstruction.nvm").write_bytes(b"NVM_V3")
    (original / "videos").mkdir()
    for name in ("videos/seq1.mp4", "videos/seq2.MOV"):
        (original / name).write_bytes(b"film")
    archive = zip_folder(original, tmp_path / "college.zip", "KingsCollege/")
    extract_scene(archive, tmp_path / "college", "KingsCollege", workers=2)
    assert contents(tmp_path / "college") == expected


def test_scene_is_picked_by_name_among_several(tmp_path):
    archive = tmp_path / "all.zip"
    college = write_cambridge(tmp_path / "college")
    zip_folder(college, archive, "all/college/")
    garage = write_tables(tmp_path / "garage", "csv")
    zip_folder(garage, archive, "all/garage/")
    extract_scene(archive, tmp_path / "scenes/garage", "garage")
    assert contents(tmp_path / "scenes/garage") == contents(garage)
    with pytest.raises(InputError, match=r"holds 2 scenes \(all/college, all/garage\), expected"):
        extract_scene(archive, tmp_path / "scenes/cellar", "cellar")


def test_archive_of_no_layout(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/1.jpg").write_bytes(b"photo")
    archive = zip_folder(tmp_path / "photos", tmp_path / "photos.zip", "photos/")
    with pytest.raises(InputError, match=r"photos\.zip: holds 0 scenes \(none\)") as caught:
        extract_scene(archive, tmp_path / "scenes/photos", "photos")
    for text in ("7-Scenes (TrainSplit.txt, T", "Cambridge Landmarks (dataset_train.txt, d"):
        assert text in str(caught.value)
    assert not (tmp_path / "scenes/photos").exists()
