"""The configurations that the project ships."""

import json

import pytest
import yaml
from configurations import (
    ADDITIONS,
    CONFIG,
    DEFAULT,
    SCHEMA,
    SHIPPED,
    shipped,
    validated,
)

from generated_rooms.variety import KINDS
from relposegnn.encoding.encoders import encoded_size
from relposegnn.pipeline.configuration import merged
from relposegnn.pipeline.configuration_files import check_file


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_configuration_is_valid(name, tmp_path):
    check_file(CONFIG / name)
    changes = merged(shipped(ADDITIONS.get(name, "config.yaml")), shipped(name))
    if name == "small.yaml":  # asks for scenes_dir
        (tmp_path / "redkitchen").mkdir()
        changes["scenes_dir"] = str(tmp_path)
    assert validated(changes)["dataset"] == changes["dataset"]


def test_shipped_configurations_have_folders_of_their_own():
    datasets = [shipped(name)["dataset"] for name in SHIPPED if name != "ablations.yaml"]
    assert len(set(datasets)) == len(SHIPPED) - 1


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "config.yaml"])
def test_shipped_configuration_holds_only_what_it_changes(name):
    def repeated(changes, base):
        for key, value in changes.items():
            if isinstance(value, dict) and isinstance(base.get(key), dict):
                yield from repeated(value, base[key])
            elif key in base and value == base[key]:
                yield key

    base = merged(DEFAULT, shipped(ADDITIONS.get(name, "config.yaml")))
    assert list(repeated(shipped(name), base)) == []


def test_full_reproduction_has_the_published_settings():
    config = validated(shipped("7scenes.yaml"))
    assert len(config["scenes"]) == 7
    assert config["graphs"] == {
        **{"source": "sampled", "selection": "strided", "seed": 0},
        **{"neighbours": 7, "stride": 5, "drop_probability": 0.5},
        **{"train_mix": 0, "test": None, "validation": None},
    }
    assert config["model"]["edges"] == "pooled"
    of_match_fields = ("edges", "encoder", "positions", "rotation_from_field")
    assert config["model"] == {
        **{key: config["model"][key] for key in of_match_fields},
        "backbone": "resnet34",
        "pretrained": True,
        "width": 2048,
        "iterations": 3,
        "layers": 1,
        "attention": True,
        "knn": 0,
        "dropout": 0.5,
        "edge_dropout": 0.0,
        "initialisation": "kaiming",
        "pose": "world_difference",
        "translation_deviation": [1.0, 1.0, 1.0],
    }
    profile = dict(config["authors"]["profile"])
    assert profile.pop("translation_mean") == [0, 0, 0]
    names = {"backbone", "width", "iterations", "layers", "knn", "pose", "translation_deviation"}
    assert names == profile.keys()
    assert all(value == config["model"][key] for key, value in profile.items())
    assert config["retrieval"]["crop"] == pytest.approx(525 / 585, abs=1e-3)
    training = config["training"]
    assert (training["epochs"], training["single_scene_epochs"]) == (40, 100)
    assert training["batch_size"] == 8
    assert (training["learning_rate"], training["weight_decay"]) == (5e-5, 5e-4)
    assert (training["decay_epochs"], training["decay_factor"]) == (20, 0.1)
    assert training["schedule"] == "step"
    assert (training["initial_s_t"], training["initial_s_q"]) == (0, -3)
    assert training["shuffle_once"]
    assert training["drop_last_batch"]


@pytest.mark.parametrize("name", ["config.yaml", "7scenes.yaml"])
def test_ablations_of_strides_train_and_test_on_the_same_graphs(name):
    variants = validated(merged(shipped(name), shipped("ablations.yaml")))["variants"]
    assert variants["stride-1"]["graphs"]["test"] is None
    far, nearest = variants["stride-10"]["graphs"], variants["nearest-tests"]["graphs"]
    assert (far["stride"], far["train_mix"], far["test"]) == (10, 0, None)
    assert nearest["stride"] > 1
    assert (nearest["train_mix"], nearest["test"]["stride"]) == (0, 1)


def test_published_statistics_are_those_of_the_dataset(reference):
    expected = json.loads((reference / "normalisation.json").read_text())
    found = shipped("7scenes.yaml")["frames"]["statistics"]
    assert found.keys() == expected.keys()
    for scene, values in expected.items():
        for name, channels in values.items():
            assert found[scene][name] == pytest.approx(channels, abs=1e-6)


def test_cambridge_has_the_published_protocol():
    config = validated(shipped("cambridge.yaml"))
    assert len(config["scenes"]) == len(config["archive_url"]) == 5
    assert (config["graphs"]["stride"], config["graphs"]["neighbours"]) == (3, 7)
    assert (config["graphs"]["train_mix"], config["graphs"]["test"]) == (0, None)
    assert (config["model"]["iterations"], config["model"]["knn"]) == (2, 4)
    assert config["model"]["translation_deviation"] == [12.6376063, 5.3801193, 19.3833127]
    assert (config["model"]["edge_dropout"], config["model"]["initialisation"]) == (0, "kaiming")
    assert config["frames"]["colour_jitter"] == [0.5, 0.5, 0.5, 0.2]
    profile = config["authors"]["profile"]
    assert profile["translation_mean"] == [-6.7909009, 8.1958034, 30.1203467]
    assert profile["translation_deviation"] == config["model"]["translation_deviation"]
    training = config["training"]
    assert (training["epochs"], training["decay_epochs"]) == (150, 50)
    assert training["learning_rate"] == 1e-4
    assert {*config["frames"]["statistics"]} == {*config["scenes"]}


def test_the_general_network_is_trained_on_all_kinds_of_variety_as_it_will_be_used():
    """What it is trained with is what the section "general" of other configurations says of it."""
    config = validated(shipped("general.yaml"))
    assert set(config["rendering"]["varied"]) == set(KINDS)
    assert set(config["scenes"]) <= config["rendering"]["rooms"].keys()
    seeds = [config["rendering"]["rooms"][scene] for scene in config["scenes"]]
    assert len({*seeds, *DEFAULT["rendering"]["rooms"].values()}) == len(seeds) + 2
    assert config["model"]["positions"] == "rays"
    assert (config["model"]["edges"], config["model"]["iterations"]) == ("match_field", 0)
    general = DEFAULT["general"]
    assert general["encoder"] == config["model"]["encoder"]
    images = config["rendering"]["width"], config["rendering"]["height"]
    assert tuple(general["size"]) == encoded_size(*images)
    assert general["models"] == [f"results/{config['dataset']}/runs/joint/model.pt"]


def test_unseen_rooms_are_none_that_anything_was_trained_on():
    rooms = [shipped(name)["rendering"]["rooms"] for name in ("unseen_rooms.yaml", "general.yaml")]
    unseen, general = rooms
    assert set(shipped("unseen_rooms.yaml")["scenes"]) == unseen.keys()
    assert not {*unseen.values()} & {*general.values(), *DEFAULT["rendering"]["rooms"].values()}


def test_the_schema_knows_every_kind_of_variety():
    schema = yaml.safe_load(SCHEMA.read_text())
    varied = schema["properties"]["rendering"]["properties"]["varied"]
    assert varied["items"]["enum"] == list(KINDS)
