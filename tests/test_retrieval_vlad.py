import numpy as np
import pytest

from relposegnn.data.images import read_image
from relposegnn.retrieval.vlad import GRID_STEP, local_features, vlad
from relposegnn.retrieval.vocabulary import fit_centroids, load_vocabulary, save_vocabulary
from relposegnn.runtime import InputError


def texture(seed: int, height: int = 96, width: int = 128) -> np.ndarray:
    """Return an image with smooth random blobs."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return np.kron(coarse, np.ones((8, 8, 1), np.uint8))


def test_features_are_unit_root_sift_on_a_grid():
    features = local_features(texture(0))
    assert len(features) == (96 // GRID_STEP + 1) * (128 // GRID_STEP + 1)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
    assert features.min() >= 0  # square roots of histogram entries
    assert features.dtype == np.float32


def test_features_ignore_brightness_and_contrast():
    image = texture(1)
    darker = (image // 4 + 20).astype(np.uint8)
    cosine = np.sum(local_features(image) * local_features(darker), axis=1)
    assert np.median(cosine) > 0.99


@pytest.mark.parametrize("value", [0, 1, 127, 255])
def test_blank_image_has_no_features(value):
    assert local_features(np.full((96, 128, 3), value, np.uint8)).shape == (0, 128)


def test_half_blank_image_keeps_the_features_of_the_other_half():
    image = np.full((96, 256, 3), 90, np.uint8)
    image[:, :128] = texture(2)
    assert 0.5 * 10 * 26 <= len(local_features(image)) < 0.8 * 10 * 26


def test_image_smaller_than_the_grid_step():
    assert local_features(texture(3, 8, 8)[:5, :5]).shape[1] == 128


def test_vlad_of_planted_residuals():
    centroids = np.array([[0, 0], [10, 0], [0, 10]], np.float32)
    # Word 0: residuals (1, 0) and (1, 2) -> (2, 2); word 1: none; word 2: (0, -3).
    features = np.array([[1, 0], [1, 2], [0, 7]], np.float32)
    half = np.sqrt(0.5)
    expected = np.array([half, half, 0, 0, 0, -1]) / np.sqrt(2)
    np.testing.assert_allclose(vlad(features, centroids), expected, atol=1e-6)


def test_vlad_does_not_depend_on_the_order_of_features():
    random = np.random.default_rng(0)
    features = random.random((200, 16), np.float32)
    centroids = random.random((8, 16), np.float32)
    expected = vlad(features, centroids)
    np.testing.assert_allclose(vlad(random.permutation(features), centroids), expected, atol=1e-5)


def test_intra_normalisation_gives_every_word_the_same_weight():
    centroids = np.array([[0, 0], [10, 0]], np.float32)
    burst = np.concatenate([np.tile([[0, 1]], (99, 1)), [[10, 1]]]).astype(np.float32)
    blocks = vlad(burst, centroids).reshape(2, 2)
    np.testing.assert_allclose(np.linalg.norm(blocks, axis=1), np.sqrt(0.5), atol=1e-6)


@pytest.mark.parametrize("case", ["no features", "features on the words"])
def test_without_residuals_the_descriptor_is_still_a_unit_vector(case):
    centroids = np.random.default_rng(0).random((4, 128), np.float32)
    features = centroids[:0] if case == "no features" else centroids.copy()
    descriptor = vlad(features, centroids)
    np.testing.assert_allclose(descriptor, 1 / np.sqrt(512), rtol=1e-6)
    assert descriptor.dtype == np.float32


def test_blank_images_resemble_each_other_not_the_rest(shared):
    frames = sorted((shared / "data/7scenes/redkitchen").glob("seq-*/*-000000.color.*"))
    kitchen = [local_features(read_image(frame, (320, 240))) for frame in frames[:5]]
    centroids = fit_centroids(np.concatenate(kitchen), 16, seed=0)
    blank = vlad(local_features(np.full((240, 320, 3), 40, np.uint8)), centroids)
    other_blank = vlad(local_features(np.full((240, 320, 3), 200, np.uint8)), centroids)
    assert blank @ other_blank == pytest.approx(1, abs=1e-6)
    assert all(abs(blank @ vlad(features, centroids)) < 0.3 for features in kitchen)


def test_centroids_find_planted_clusters_and_follow_the_seed():
    random = np.random.default_rng(0)
    planted = np.eye(5, 32, dtype=np.float32) * 10
    points = np.repeat(planted, 100, axis=0) + 0.01 * random.standard_normal((500, 32))
    centroids = fit_centroids(points, 5, seed=3)
    order = centroids[:, :5].argmax(axis=1).argsort()
    np.testing.assert_allclose(centroids[order], planted, atol=0.01)
    noise = random.random((2000, 8))
    first = fit_centroids(noise, 10, seed=0)
    np.testing.assert_array_equal(first, fit_centroids(noise, 10, seed=0))
    assert not np.allclose(first, fit_centroids(noise, 10, seed=1))


def test_too_few_features_for_a_vocabulary():
    with pytest.raises(InputError, match="3 local features for 64 clusters"):
        fit_centroids(np.eye(3, 128), 64, seed=0)


def test_vocabulary_file_round_trip(tmp_path):
    path = tmp_path / "folder" / "vocabulary.npz"
    centroids = np.random.default_rng(0).random((4, 128), np.float32)
    save_vocabulary(path, "vlad", {"centroids": centroids}, {"clusters": 4, "seed": 0})
    arrays, settings = load_vocabulary(path, "vlad")
    np.testing.assert_array_equal(arrays.pop("centroids"), centroids)
    assert not arrays
    assert settings == {"clusters": 4, "seed": 0}


def test_vocabulary_of_another_descriptor_or_damaged(tmp_path):
    path = tmp_path / "vocabulary.npz"
    save_vocabulary(path, "vlad", {"centroids": np.zeros((2, 128))}, {})
    with pytest.raises(InputError, match="holds vlad, expected a vocabulary for netvlad"):
        load_vocabulary(path, "netvlad")
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(InputError, match=r"other\.npz: holds no vocabulary"):
        load_vocabulary(tmp_path / "other.npz", "vlad")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"vocabulary\.npz: cannot be read"):
        load_vocabulary(path, "vlad")
    with pytest.raises(InputError, match="cannot be read"):
        load_vocabulary(tmp_path / "absent.npz", "vlad")


GIVEN = {"centroids": np.ones((2, 128), np.float32), "descriptor": "vlad", "settings": "{}"}
GIVEN |= {"version": "1", "mean": np.ones(256, np.float32), "components": np.ones((8, 256))}


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"centroids": np.full((2, 128), np.nan)}, "centroids is empty or has numbers"),
        ({"centroids": np.ones((0, 128))}, "centroids is empty or has numbers"),
        ({"centroids": np.full((2, 128), "a")}, "centroids is empty or has numbers"),
        ({"centroids": np.ones((2, 64))}, "centroids have length 64, expected 128"),
        ({"centroids": np.ones(128)}, "not enough values"),
        ({"components": np.full((8, 256), np.inf)}, "components is empty or has"),
        ({"components": np.ones((256, 8))}, "a projection of lengths 256 and 8, expected 256"),
        ({"mean": np.ones(128)}, "a projection of lengths 128 and 256, expected 256"),
        ({"settings": "{"}, "Expecting property name"),
        ({"settings": "[]"}, "list"),
        *(({name: None}, name) for name in ("settings", "version", "centroids", "mean")),
    ],
)
def test_vocabularies_of_other_contents_are_refused(tmp_path, changed, found):
    np.savez(tmp_path / "words.npz", **GIVEN)
    assert load_vocabulary(tmp_path / "words.npz", "vlad")[1] == {}
    arrays = {name: array for name, array in (GIVEN | changed).items() if array is not None}
    np.savez(tmp_path / "words.npz", **arrays)
    message = rf"words\.npz: cannot be read as a vocabulary \(.*{found}.*expected .*; fit it again"
    with pytest.raises(InputError, match=message):
        load_vocabulary(tmp_path / "words.npz", "vlad")
