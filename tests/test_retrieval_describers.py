import numpy as np
import pytest
import torch

from relposegnn.retrieval.describers import load_describer
from relposegnn.retrieval.netvlad import BATCH, encoder_input, run_in_batches
from relposegnn.retrieval.vlad import local_features, vlad
from relposegnn.retrieval.vocabulary import save_vocabulary
from relposegnn.runtime import InputError


def test_batches_hold_every_image_once():
    images = [np.full((2, 3, 3), index, np.uint8) for index in range(BATCH + 3)]
    sizes, cpu = [], torch.device("cpu")

    def network(batch):
        sizes.append(len(batch))
        return batch

    made = list(run_in_batches(network, iter(images), cpu))
    assert sizes == [BATCH, 3]
    np.testing.assert_array_equal(made, encoder_input(np.stack(images), cpu))


def test_describer_of_a_vocabulary(tmp_path):
    random = np.random.default_rng(0)
    centroids = random.random((4, 128), np.float32) / 10
    save_vocabulary(tmp_path / "v.npz", "vlad", {"centroids": centroids}, {"clusters": 4})
    describer = load_describer("vlad", tmp_path / "v.npz", workers=2)
    images = random.integers(0, 256, (5, 40, 60, 3), np.uint8)
    expected = [vlad(local_features(image), centroids) for image in images]
    np.testing.assert_allclose(list(describer.rows(iter(images))), expected, atol=1e-6)
    assert describer.made_by == {"vocabulary": {"clusters": 4}}
    with pytest.raises(InputError, match="holds vlad, expected a vocabulary for netvlad"):
        load_describer("netvlad", tmp_path / "v.npz", device="cpu")
