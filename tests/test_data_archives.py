"""Archives: every nesting extracts to the same scene; damage is named and leaves nothing."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from relposegnn.data import archives
from relposegnn.data.archives import extract_scene
from relposegnn.layouts.reading import read_scene
from relposegnn.runtime import InputError

SPLITS = {"TrainSplit.txt": b"sequence1\r\nsequence3\r\n", "TestSplit.txt": b"sequence2\r\n"}


def sequence_files(sequence: int) -> dict[str, bytes]:
    """Return the files of a sequence of four frames by name."""
    rng = np.random.default_rng(sequence)
    files = {"Thumbs.db": b"thumbs"}
    for frame in range(4):
        image = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(image, "PNG")
        files[f"frame-{frame:06d}.color.png"] = image.getvalue()
        rows = np.eye(4)
        rows[0, 3] = sequence + frame / 10
        text = "\n".join("\t".join(map(str, row)) for row in rows)
        files[f"frame-{frame:06d}.pose.txt"] = text.encode()
    return files


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive of ``files``."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


def scene_archive(
    path: Path,
    leading: str = "attic/",
    inner: str = "{name}/",
    nested: bool = True,
    compression: int = zipfile.ZIP_DEFLATED,
) -> Path:
    """Write a scene's archive in one of the nestings that occur."""
    files = {leading + name: text for name, text in SPLITS.items()}
    for sequence in (1, 2, 3):
        name = f"seq-{sequence:02d}"
        content = sequence_files(sequence)
        if nested:
            content = {inner.format(name=name) + k: v for k, v in content.items()}
            files[f"{leading}{name}.zip"] = zipped(content)
        else:
            files |= {f"{leading}{name}/{k}": v for k, v in content.items()}
    path.write_bytes(zipped(files, compression))
    return path


def assert_extracted(folder: Path) -> None:
    """Check that the folder holds the scene, all of it and nothing else."""
    expected = dict(SPLITS)
    for sequence in (1, 2, 3):
        files = sequence_files(sequence).items()
        expected |= {f"seq-{sequence:02d}/{name}": content for name, content in files}
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert found.keys() == expected.keys()
    assert all(found[name].read_bytes() == content for name, content in expected.items())
    scene = read_scene(folder)
    assert (len(scene.train), len(scene.test)) == (8, 4)


def assert_fails(archive: Path, message: str) -> None:
    """Check the error, and that nothing but the archive is there after it."""
    with pytest.raises(InputError, match=message) as caught:
        extract_scene(archive, archive.parent / "scenes/attic", "attic", workers=2)
    assert str(archive) in str(caught.value)
    left = sorted(path.name for path in archive.parent.rglob("*") if path != archive)
    assert left in ([], ["scenes"])


@pytest.mark.parametrize("leading", ["attic/", "", "7scenes/attic/", "Attic\\"])
@pytest.mark.parametrize("inner", ["{name}/", "", "attic/{name}/", "{name}\\"])
def test_nestings(tmp_path, leading, inner):
    archive = scene_archive(tmp_path / "attic.zip", leading, inner)
    extract_scene(archive, tmp_path / "scenes/attic", "attic")
    assert_extracted(tmp_path / "scenes/attic")
    assert [path.name for path in (tmp_path / "scenes").iterdir()] == ["attic"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("workers", [1, 3])
def test_threads_and_compressions(tmp_path, compression, workers):
    archive = scene_archive(tmp_path / "attic.zip", compression=compression)
    extract_scene(archive, tmp_path / "attic", "attic", workers)
    assert_extracted(tmp_path / "attic")


def test_sequences_as_folders(tmp_path):
    archive = scene_archive(tmp_path / "attic.zip", nested=False)
    extract_scene(archive, tmp_path / "attic", "attic")
    assert_extracted(tmp_path / "attic")


def test_replaces_an_older_extraction(tmp_path):
    (tmp_path / "attic/seq-09").mkdir(parents=True)
    extract_scene(scene_archive(tmp_path / "attic.zip"), tmp_path / "attic", "attic")
    assert_extracted(tmp_path / "attic")


def test_picks_the_scene_among_several(tmp_path):
    files = {f"cellar/{name}": b"sequence9" for name in SPLITS}
    with zipfile.ZipFile(scene_archive(tmp_path / "all.zip"), "a") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    extract_scene(tmp_path / "all.zip", tmp_path / "attic", "attic")
    assert_extracted(tmp_path / "attic")
    with pytest.raises(InputError, match=r"holds 2 scenes \(attic, cellar\), .*named garage"):
        extract_scene(tmp_path / "all.zip", tmp_path / "garage", "garage")


def test_backward_steps_are_not_needed(tmp_path, monkeypatch):
    """A sequence's entries are read front to back, whatever the order of its directory."""
    offsets = []
    copy_entry = archives._copy_entry

    def recording(zipped_file, entry, target, label):
        if "seq-01.zip/" in label:
            offsets.append(entry.header_offset)
        copy_entry(zipped_file, entry, target, label)

    monkeypatch.setattr(archives, "_copy_entry", recording)
    monkeypatch.setattr(
        zipfile.ZipFile, "infolist", lambda self: list(reversed(self.filelist)), raising=True
    )
    extract_scene(scene_archive(tmp_path / "attic.zip"), tmp_path / "attic", "attic")
    assert len(offsets) == 9
    assert offsets == sorted(offsets)


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/evil.txt", "a/../../evil", "C:\\evil.txt"])
@pytest.mark.parametrize("nested", [False, True])
def test_entries_that_leave_the_folder(tmp_path, name, nested):
    files = {f"attic/{split}": text for split, text in SPLITS.items()}
    if nested:
        files["attic/seq-01.zip"] = zipped({name: b"evil"})
    else:
        files[name] = b"evil"
    archive = tmp_path / "attic.zip"
    archive.write_bytes(zipped(files))
    assert_fails(archive, "entry '.*evil.*' would be written outside")


def test_a_colon_is_no_drive(tmp_path):
    archive = scene_archive(tmp_path / "attic.zip")
    notes = ("attic/12:00.txt", "attic/at C:/noon.txt")
    with zipfile.ZipFile(archive, "a") as file:
        for name in notes:
            file.writestr(name, name)
    extract_scene(archive, tmp_path / "scenes/attic", "attic")
    for name in notes:
        assert (tmp_path / "scenes" / name).read_text() == name


@pytest.mark.parametrize("content", [b"", b"<html>moved</html>", b"PK\x03\x04 and no directory"])
def test_not_a_zip(tmp_path, content):
    (tmp_path / "attic.zip").write_bytes(content)
    assert_fails(tmp_path / "attic.zip", r"attic\.zip: is damaged \(.*expected a complete archive")


def test_truncated_archive(tmp_path):
    archive = scene_archive(tmp_path / "attic.zip")
    archive.write_bytes(archive.read_bytes()[:-100])
    assert_fails(archive, "is damaged")


def test_damaged_frame(tmp_path):
    """A flipped byte within a frame is caught by the checksum of that frame."""
    content = bytearray(zipped({f"seq-01/{k}": v for k, v in sequence_files(1).items()}, 0))
    content[content.index(sequence_files(1)["frame-000002.color.png"]) + 900] ^= 1
    files = {f"attic/{name}": text for name, text in SPLITS.items()}
    archive = tmp_path / "attic.zip"
    archive.write_bytes(zipped({**files, "attic/seq-01.zip": bytes(content)}))
    assert_fails(archive, r"entry attic/seq-01.zip/seq-01/frame-000002\.color\.png: is damaged")


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damaged_sequence(tmp_path, compression):
    """Bytes flipped in the outer archive, within one sequence, are caught and named."""
    archive = scene_archive(tmp_path / "attic.zip", compression=compression)
    with zipfile.ZipFile(archive) as file:
        entry = file.getinfo("attic/seq-02.zip")
    content = bytearray(archive.read_bytes())
    middle = entry.header_offset + entry.compress_size // 2
    content[middle : middle + 64] = bytes(64)
    archive.write_bytes(content)
    assert_fails(archive, r"entry attic/seq-02\.zip.*: is damaged")


def test_truncated_sequence(tmp_path):
    inner = zipped({f"seq-01/{k}": v for k, v in sequence_files(1).items()})
    files = {f"attic/{name}": text for name, text in SPLITS.items()}
    archive = tmp_path / "attic.zip"
    archive.write_bytes(zipped({**files, "attic/seq-01.zip": inner[: len(inner) // 2]}))
    assert_fails(archive, r"entry attic/seq-01\.zip: is damaged \(File is not a zip file\)")


@pytest.mark.parametrize("field", ["encrypted", "compression"])
def test_unreadable_entry(tmp_path, field):
    """A password, or a compression that Python has not, is said to be that."""
    archive = scene_archive(tmp_path / "attic.zip", nested=False)
    content = bytearray(archive.read_bytes())
    start = content.rindex(b"PK\x01\x02", 0, content.rindex(b"attic/seq-02/frame-000001.color"))
    with zipfile.ZipFile(archive) as file:
        local = file.getinfo("attic/seq-02/frame-000001.color.png").header_offset
    if field == "encrypted":
        content[start + 8] |= 1
        content[local + 6] |= 1
    else:
        content[start + 10] = content[local + 8] = 9  # Deflate64
    archive.write_bytes(content)
    assert_fails(archive, r"frame-000001\.color\.png: cannot be read .*set scenes_dir")


def test_full_disk(tmp_path, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives.shutil, "copyfileobj", no_space)
    archive = scene_archive(tmp_path / "attic.zip")
    with pytest.raises(InputError, match=r"scenes/attic: cannot be written \(No space left"):
        extract_scene(archive, tmp_path / "scenes/attic", "attic", workers=2)
    assert list((tmp_path / "scenes").iterdir()) == []


def test_an_entry_that_is_file_and_folder(tmp_path):
    files = {f"attic/{name}": text for name, text in SPLITS.items()}
    archive = tmp_path / "attic.zip"
    archive.write_bytes(zipped({**files, "attic/notes": "file", "attic/notes/one.txt": "folder"}))
    assert_fails(archive, r"entry attic/notes.*: is damaged")


@pytest.mark.slow
def test_random_damage_is_told_as_such_or_does_no_harm(tmp_path):
    """Whatever bytes are flipped: an error for the user, or a complete scene."""
    archive = scene_archive(tmp_path / "attic.zip")
    good = archive.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(150):
        content = np.frombuffer(good, dtype=np.uint8).copy()
        content[rng.integers(len(good), size=3)] ^= rng.integers(1, 256, 3, dtype=np.uint8)
        archive.write_bytes(content.tobytes())
        folder = tmp_path / f"scene-{trial}"
        try:
            archives.extract_scene(archive, folder, "attic")
        except InputError:
            refused += 1
            assert not folder.exists()
        else:
            assert (folder / "TrainSplit.txt").exists()
    assert refused > 75


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("attic/notes.txt", "attic/notes.txt"),
        ("attic/notes.txt", "attic/Notes.TXT"),
        ("attic/caf\u00e9.txt", "attic/cafe\u0301.txt"),
        ("attic\\notes.txt", "attic/notes.txt"),
        ("attic/seq-01/frame-000000.color.png", "attic/seq-01.zip"),
        ("attic/Seq-01.zip", "attic/seq-01.zip"),
        ("attic/SEQ-01/frame-000000.color.png", "attic/seq-01.zip"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries_that_would_land_in_one_place(tmp_path, first, second):
    """Merged, one of them would be lost."""
    archive = tmp_path / "attic.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for name, text in SPLITS.items():
            file.writestr(f"attic/{name}", text)
        for name in (first, second):
            file.writestr(name, zipped(sequence_files(1)))
    assert_fails(archive, "entries .* and .* would both become .*, expected one")


def test_entries_of_a_sequence_that_would_land_in_one_place(tmp_path):
    """With the folder inside and without it."""
    files = sequence_files(1)
    files |= {f"seq-01/{name}": b"another" for name in ("frame-000001.pose.txt", "more.txt")}
    outer = {f"attic/{name}": text for name, text in SPLITS.items()}
    archive = tmp_path / "attic.zip"
    archive.write_bytes(zipped({**outer, "attic/seq-01.zip": zipped(files)}))
    assert_fails(archive, r"attic/seq-01\.zip: entries .*become frame-000001\.pose\.txt")
