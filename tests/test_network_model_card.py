"""Tests of the card beside a trained model."""

import pytest

from relposegnn.network.model_card import Origin, write_model_card
from relposegnn.runtime import InputError

HEADING = "epoch,validation_loss,validation_translation_loss,validation_rotation_loss\n"
MODEL = {"edges": "match_field", "positions": "image", "width": 16}
TRAINING = {"epochs": 2, "seed": 7}


@pytest.fixture
def write(tmp_path, tiny_scene):
    """Return a function that writes a card, given the history and changes; it returns the text."""

    def written(history: str, source: str = "rendered", **model) -> str:
        (tmp_path / "training.csv").write_text(history)
        settings = {"model": MODEL | model, "training": TRAINING}
        origin = Origin("synthetic", "joint", source)
        files = {"garage": tiny_scene.frames}
        write_model_card(tmp_path / "card.md", origin, files, tmp_path / "training.csv", settings)
        return (tmp_path / "card.md").read_text()

    return written


def test_card_tells_data_settings_and_the_last_epochs_validation(write):
    text = write(f"{HEADING}0,9,0.5,0.5\n1,8,0.125,0.25\n")
    assert text.startswith("# Model card: synthetic, joint\n")
    assert "| garage | 12 | 40 x 32 |" in text
    assert "| `training.seed` | 7 |" in text
    assert "after 2 epochs: translation 0.125, rotation 0.25." in text
    assert "rooms that this project generated" in text
    assert "Photos need the field of view of the database's" in text


def test_card_says_where_nothing_was_held_out_and_whose_images_they_are(write):
    text = write(f"{HEADING}0,,,\n", source="folder", positions="rays")
    assert "No frames of the database were held out" in text
    assert "terms of the images that they were trained on" in text
    assert "Cameras may differ" in text
    assert "set as `general.models`" in text


def test_a_network_that_sees_no_rays_is_not_for_other_places(write):
    for changes in ({}, {"edges": "pooled", "positions": "rays"}):
        text = write(f"{HEADING}0,,,\n", **changes)
        assert "Other places: it is not meant for them" in text
        assert "general.models" not in text


def test_a_history_of_another_kind_is_refused(write):
    with pytest.raises(InputError, match=r"training\.csv: holds 1 rows of epoch, loss"):
        write("epoch,loss\n0,1\n")
