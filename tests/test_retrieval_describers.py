import numpy as np
import pytest

from relposegnn.retrieval.describers import BATCH, image_batches, load_describer
from relposegnn.retrieval.vlad import local_features, vlad
from relposegnn.retrieval.vocabulary import save_vocabulary
from relposegnn.runtime import InputError


def test_batches_hold_every_image_once():
    images = [np.full((2, 3, 3), index, np.uint8) for index in range(BATCH + 3)]
    batches = list(image_batches(iter(images)))
    assert [len(batch) for batch in batches] == [BATCH, 3]
    np.testing.assert_array_equal(np.concatenate(batches)[:, 0, 0, 0], np.arange(BATCH + 3))


def test_describer_of_a_vocabulary(tmp_path):
    random = np.random.default_rng(0)
    centroids = random.random((4, 128), np.float32) / 10
    save_vocabulary(tmp_path / "v.npz", "vlad", {"centroids": centroids}, {"clusters": 4})
    describer = load_describer("vlad", tmp_path / "v.npz", workers=2)
    images = random.integers(0, 256, (5, 40, 60, 3), np.uint8)
    expected = [vlad(local_features(image), centroids) for image in images]
    np.testing.assert_allclose(list(describer.rows(iter(images))), expected, atol=1e-6)
    assert describer.made_by == {"vocabulary": {"clusters": 4}}
    with pytest.raises(InputError, match="holds vlad, expected a vocabulary of netvlad"):
        load_describer("netvlad", tmp_path / "v.npz", device="cpu")
