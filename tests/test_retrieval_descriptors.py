import shutil

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

from relposegnn.data.frames import Frames
from relposegnn.data.packing import Packing, pack_frames
from relposegnn.files.storage import open_hdf5, read_settings
from relposegnn.poses import pose_from_quaternion
from relposegnn.retrieval.describers import load_describer
from relposegnn.retrieval.descriptors import (
    DescriptorSettings,
    ProjectionSettings,
    VocabularySettings,
    describe_frames,
    fit_projection,
    fit_vocabulary,
)
from relposegnn.retrieval.netvlad import NetVLAD, encoder_input, randomise_vgg16
from relposegnn.retrieval.projection import Projection, principal_components
from relposegnn.retrieval.quality import retrieval_quality
from relposegnn.retrieval.ranking import rank_neighbours
from relposegnn.retrieval.rankings import read_ranking
from relposegnn.retrieval.vlad import local_features, vlad
from relposegnn.retrieval.vocabulary import load_vocabulary, save_vocabulary
from relposegnn.runtime import InputError

SIZE = (64, 48)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Return the folder of a small scene: random textures, the last test image is blank."""
    folder = tmp_path_factory.mktemp("scene")
    (folder / "TrainSplit.txt").write_text("sequence1\n")
    (folder / "TestSplit.txt").write_text("sequence2\n")
    random = np.random.default_rng(0)
    for sequence, count in (("seq-01", 6), ("seq-02", 3)):
        (folder / sequence).mkdir()
        for index in range(count):
            coarse = random.integers(0, 256, (12, 16, 3), np.uint8)
            if (sequence, index) == ("seq-02", 2):
                coarse[:] = 120
            name = folder / sequence / f"frame-{index:06d}"
            Image.fromarray(np.kron(coarse, np.ones((8, 8, 1), np.uint8))).save(f"{name}.color.png")
            pose = pose_from_quaternion([index, 0, 0], [1, 0, 0, 0])
            np.savetxt(f"{name}.pose.txt", pose)
    return folder


@pytest.fixture(scope="module")
def frames_file(scene, tmp_path_factory):
    path = tmp_path_factory.mktemp("frames") / "frames.h5"
    pack_frames(scene, path, "made", "up", Packing(16))
    return path


@pytest.fixture(scope="module", params=["vlad", pytest.param("netvlad", marks=pytest.mark.slow)])
def described(request, scene, frames_file, tmp_path_factory):
    """Return (descriptor, vocabulary file, descriptors file)."""
    folder = tmp_path_factory.mktemp("described")
    vocabulary, output = folder / "vocabulary.npz", folder / "descriptors.h5"
    fitting = VocabularySettings(request.param, *SIZE, crop=1, clusters=4, seed=0)
    describing = DescriptorSettings(request.param, *SIZE, crop=1)
    fit_vocabulary(frames_file, scene, vocabulary, fitting, device="cpu")
    describe_frames(frames_file, scene, output, describing, vocabulary, device="cpu")
    return request.param, vocabulary, output


def read(path):
    with open_hdf5(path, "descriptors") as file:
        return {split: file[f"{split}/descriptor"][:] for split in ("train", "test")}


def test_one_unit_row_a_frame(described):
    descriptor, _, output = described
    found = read(output)
    dimension = 4 * (128 if descriptor == "vlad" else 512)
    assert found["train"].shape == (6, dimension)
    assert found["test"].shape == (3, dimension)
    for rows in found.values():
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_rows_are_those_of_their_images_in_full_size(described, scene, frames_file):
    descriptor, vocabulary, output = described
    found = read(output)["train"][4]
    with Image.open(scene / "seq-01/frame-000004.color.png") as file:
        image = np.array(file.resize(SIZE, Image.Resampling.BILINEAR))
    arrays, _ = load_vocabulary(vocabulary, descriptor)
    if descriptor == "vlad":
        expected = vlad(local_features(image), arrays["centroids"])
    else:
        model = NetVLAD(4)
        model.load_state_dict({key: torch.from_numpy(value) for key, value in arrays.items()})
        with torch.inference_mode():
            expected = model(encoder_input(image[None], torch.device("cpu")))[0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_settings_tell_what_made_the_descriptors(described):
    descriptor, _, output = described
    with h5py.File(output) as file:
        settings = read_settings(file)
    made_by = settings.pop("vocabulary")
    assert settings == {"descriptor": descriptor, "width": 64, "height": 48, "crop": 1}
    assert made_by["clusters"] == 4
    assert made_by.get("vgg16") == (None if descriptor == "vlad" else "random")


def test_repetition_with_more_threads_gives_the_same_files(described, scene, frames_file, tmp_path):
    descriptor, vocabulary, output = described
    again, rows = tmp_path / "v.npz", tmp_path / "d.h5"
    arguments = {"device": "cpu", "workers": 3}
    fitting = VocabularySettings(descriptor, *SIZE, crop=1, clusters=4, seed=0)
    fit_vocabulary(frames_file, scene, again, fitting, **arguments)
    expected, found = (load_vocabulary(path, descriptor)[0] for path in (vocabulary, again))
    for key in expected:
        np.testing.assert_allclose(found[key], expected[key], rtol=1e-3, atol=1e-5)
    describing = DescriptorSettings(descriptor, *SIZE, crop=1)
    describe_frames(frames_file, scene, rows, describing, again, **arguments)
    for split in ("train", "test"):  # torch sums in another order with more threads
        np.testing.assert_allclose(read(rows)[split], read(output)[split], atol=1e-5)


@pytest.fixture
def checkpoint(tmp_path):
    """Return a checkpoint in the published layout, of random weights."""
    model = NetVLAD()
    randomise_vgg16(model, seed=0)
    torch.nn.init.orthogonal_(model.pool.centroids)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "netvlad.tar")
    return tmp_path / "netvlad.tar"


def test_checkpoint_in_place_of_a_vocabulary(scene, frames_file, checkpoint, tmp_path):
    output = tmp_path / "d.h5"
    describing = DescriptorSettings("netvlad", *SIZE, crop=1)
    describe_frames(frames_file, scene, output, describing, checkpoint, device="cpu")
    assert read(output)["train"].shape == (6, 32768)
    with h5py.File(output) as file:
        assert read_settings(file)["checkpoint"] == "netvlad.tar"


def shorter(frames_file, scene, describer, descriptor, folder, dimensions=3):
    """Fit a projection and return its file, and that of the descriptors made with it."""
    projected, output = folder / "projected.npz", folder / "short.h5"
    settings = ProjectionSettings(descriptor, *SIZE, 1, dimensions, whitening=True, seed=0)
    fit_projection(frames_file, scene, projected, describer, settings, device="cpu")
    describing = DescriptorSettings(descriptor, *SIZE, crop=1)
    describe_frames(frames_file, scene, output, describing, projected, device="cpu")
    return projected, output


def test_projected_descriptors_are_projections_of_the_whole_ones(
    described, scene, frames_file, tmp_path, caplog
):
    descriptor, vocabulary, output = described
    projected, short = shorter(frames_file, scene, vocabulary, descriptor, tmp_path)
    assert "3 whitened components of 6 images are partly noise, expected at least 8" in caplog.text
    whole, found = read(output), read(short)
    expected = principal_components(whole["train"].copy(), 3, True, "here")
    for split, count in (("train", 6), ("test", 3)):
        assert found[split].shape == (count, 3)
        made = np.stack(list(expected.rows(whole[split])))
        np.testing.assert_allclose(found[split] @ found[split].T, made @ made.T, atol=1e-2)
    arrays, fitted = load_vocabulary(projected, descriptor)
    stored = Projection(arrays["mean"], arrays["components"])
    assert fitted.pop("projection") == {
        **{"width": 64, "height": 48, "crop": 1, "seed": 0, "images": 6},
        **{"dimensions": 3, "whitening": True, "digest": stored.digest},
    }
    assert fitted == load_vocabulary(vocabulary, descriptor)[1]
    with h5py.File(short) as file:
        assert read_settings(file)["vocabulary"]["projection"]["digest"] == stored.digest
    again = load_describer(descriptor, projected, device="cpu").made_by
    assert again["vocabulary"]["projection"]["digest"] == stored.digest


@pytest.mark.slow
def test_projection_of_a_checkpoints_descriptors(scene, frames_file, checkpoint, tmp_path):
    projected, short = shorter(frames_file, scene, checkpoint, "netvlad", tmp_path, 4)
    assert read(short)["train"].shape == (6, 4)
    recorded = load_describer("netvlad", projected, device="cpu").made_by["vocabulary"]
    assert recorded["checkpoint"] == "netvlad.tar"
    assert recorded["projection"]["dimensions"] == 4


def test_as_many_dimensions_as_training_images(described, scene, frames_file, tmp_path):
    descriptor, vocabulary, _ = described
    with pytest.raises(InputError, match=r"frames\.h5: got 6 .*, expected at most 5"):
        shorter(frames_file, scene, vocabulary, descriptor, tmp_path, 6)
    assert not list(tmp_path.iterdir())


def test_a_vocabulary_of_another_scene_is_refused(described, scene, frames_file, tmp_path):
    descriptor, vocabulary, output = described
    with h5py.File(output) as file:
        assert (file.attrs["dataset"], file.attrs["scene"]) == ("made", "up")
    other, describing = tmp_path / "frames.h5", DescriptorSettings(descriptor, *SIZE, crop=1)
    shutil.copy(frames_file, other)
    with h5py.File(other, "a") as file:
        file.attrs["scene"] = "down"
    with pytest.raises(InputError, match=r"vocabulary\.npz: was fitted .*'up', expected .*'down'"):
        describe_frames(other, scene, tmp_path / "d.h5", describing, vocabulary, device="cpu")
    assert not (tmp_path / "d.h5").exists()


def test_vlad_takes_no_checkpoint(scene, frames_file, tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "netvlad.tar")
    describing = DescriptorSettings("vlad", *SIZE, crop=1)
    with pytest.raises(InputError, match=r"netvlad\.tar: .*vocabulary"):
        describe_frames(frames_file, scene, tmp_path / "d.h5", describing, tmp_path / "netvlad.tar")
    assert not (tmp_path / "d.h5").exists()


def test_a_descriptor_without_code_is_not_taken_for_another(scene, frames_file, tmp_path):
    """Of a name that stands in the lists of all alone, nothing is made under it."""
    fitting = VocabularySettings("colours", *SIZE, crop=1, clusters=4, seed=0)
    with pytest.raises(InputError, match=r"descriptor is 'colours', expected vlad or netvlad"):
        fit_vocabulary(frames_file, scene, tmp_path / "v.npz", fitting, device="cpu")
    assert not (tmp_path / "v.npz").exists()
    save_vocabulary(tmp_path / "v.npz", "colours", {}, {})
    with pytest.raises(InputError, match=r"descriptor is 'colours', expected vlad or netvlad"):
        load_describer("colours", tmp_path / "v.npz", device="cpu")


def test_missing_image_leaves_no_file(scene, frames_file, tmp_path):
    with pytest.raises(InputError, match=r"frame-00000\d\.color\.png: no such file"):
        fitting = VocabularySettings("vlad", *SIZE, crop=1, clusters=4, seed=0)
        fit_vocabulary(frames_file, tmp_path, tmp_path / "v.npz", fitting)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def kitchen(shared, tmp_path):
    """Return a folder with the first 10 of the 30 sequences of real frames."""
    folder = tmp_path / "redkitchen"
    folder.mkdir()
    for sequence in range(1, 11):
        name = f"seq-{sequence:02d}"
        (folder / name).symlink_to(shared / "data/7scenes/redkitchen" / name)
    for split, first in (("Train", 1), ("Test", 2)):
        lines = [f"sequence{sequence}\n" for sequence in range(first, 11, 2)]
        (folder / f"{split}Split.txt").write_text("".join(lines))
    return folder


@pytest.mark.slow
def test_real_frames_retrieve_near_frames(kitchen, tmp_path):
    files = [tmp_path / name for name in ("frames.h5", "v.npz", "d.h5", "n.h5")]
    pack_frames(kitchen, files[0], "7scenes", "redkitchen", Packing(24))
    fitting = VocabularySettings("vlad", 160, 120, crop=1, clusters=32, seed=0)
    fit_vocabulary(files[0], kitchen, files[1], fitting)
    describing = DescriptorSettings("vlad", 160, 120, crop=1)
    describe_frames(files[0], kitchen, files[2], describing, files[1])
    rank_neighbours(files[2], files[3], 50)
    index = read_ranking(files[3], "test").index
    with Frames(files[0]) as frames:
        poses, database = frames.poses("test"), frames.poses("train")
    random = np.random.default_rng(0).integers(len(database), size=len(poses))
    median = retrieval_quality(poses, database, index[:, 0], random).median()
    random_m, random_deg = median["reference_distance_m"], median["reference_angle_deg"]
    assert median["top1_distance_m"] < min(0.2 * random_m, 1.5 * median["oracle_distance_m"])
    assert median["top1_angle_deg"] < 0.3 * random_deg
    tenth = retrieval_quality(poses, database, index[:, 9], random).median()
    assert median["top1_distance_m"] < tenth["top1_distance_m"] < 0.5 * random_m
