"""Settings of a network: the published ones, and those that are refused."""

from dataclasses import replace

import pytest
from configurations import shipped, validated

from relposegnn.network.model_settings import ModelSettings
from relposegnn.runtime import InputError


def test_the_published_shape_is_that_of_the_configuration():
    shape = validated(shipped("7scenes.yaml"))["model"]
    assert shape.pop("pretrained")
    assert ModelSettings.published() == ModelSettings(**shape)
    assert ModelSettings.published(knn=4) == replace(ModelSettings.published(), knn=4)


@pytest.mark.parametrize("deviation", [[1, 1], [1, 1, 0], [1, 1, float("nan")]])
def test_a_deviation_that_is_none_is_refused(deviation):
    with pytest.raises(InputError, match=r"translation_deviation is .* three positive numbers"):
        ModelSettings.published(translation_deviation=deviation)
