"""Tests of relposegnn.configuration and of the configurations that the project ships."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from relposegnn.configuration import refuse_duplicate_keys, validate_configuration
from relposegnn.runtime import InputError

PROJECT = Path(__file__).parents[1]
CONFIG = PROJECT / "config"
SCHEMA = CONFIG / "config.schema.yaml"
DEFAULT = yaml.safe_load((CONFIG / "config.yaml").read_text())
SHIPPED = sorted(path.name for path in CONFIG.glob("*.yaml") if path != SCHEMA)
# Additions to another configuration, which stands before them on the command line.
ADDITIONS = {"ablations.yaml": "config.yaml", "published_graphs.yaml": "7scenes.yaml"}


def merged(base: dict, changes: dict) -> dict:
    """Return ``base`` with ``changes`` merged in deeply, as Snakemake does."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if nested else value
    return result


def nested(place: str, value: object) -> dict:
    """Return e.g. ``{"graphs": {"stride": 3}}`` for ``graphs.stride``."""
    for key in reversed(place.split(".")):
        value = {key: value}
    return value


def shipped(name: str) -> dict:
    """Return what a file of the project's configurations holds."""
    return yaml.safe_load((CONFIG / name).read_text())


def validated(changes: dict) -> dict:
    return validate_configuration(merged(DEFAULT, changes), SCHEMA)


def problems(changes: dict) -> list[str]:
    """Return the lines of the error that ``changes`` cause, without its heading."""
    with pytest.raises(InputError) as caught:
        validated(changes)
    return str(caught.value).splitlines()[1:]


@pytest.fixture
def scenes_dir(tmp_path: Path) -> Path:
    """Return a folder that holds two scenes."""
    for scene in ("attic", "cellar"):
        (tmp_path / "scenes" / scene).mkdir(parents=True)
    return tmp_path / "scenes"


def test_default_configuration_is_returned_unchanged():
    given = copy.deepcopy(DEFAULT)
    assert validate_configuration(given, SCHEMA) == DEFAULT
    assert given == DEFAULT


def test_schema_defaults_are_those_of_the_default_configuration():
    least = {"dataset": DEFAULT["dataset"], "scenes": DEFAULT["scenes"]}
    assert validate_configuration(least, SCHEMA) == DEFAULT
    assert least.keys() == {"dataset", "scenes"}


def test_every_key_is_described_with_a_range():
    schema = yaml.safe_load(SCHEMA.read_text())

    def leaves(part):
        for key, value in part.get("properties", {}).items():
            yield from leaves(value) if "properties" in value else [(key, value)]

    for key, leaf in leaves(schema):
        leaf = {**schema["$defs"].get(leaf.get("$ref", "").removeprefix("#/$defs/"), {}), **leaf}
        assert leaf["description"], key
        if leaf["type"] in ("integer", "number"):
            assert {"minimum", "exclusiveMinimum"} & leaf.keys(), key
            assert {"maximum", "exclusiveMaximum"} & leaf.keys(), key


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_configuration_is_valid(name, tmp_path):
    refuse_duplicate_keys(CONFIG / name)
    base = merged(DEFAULT, shipped(ADDITIONS.get(name, "config.yaml")))
    config = merged(base, shipped(name))
    if config["source"] == "download" and not config["archive_url"]:  # asks for scenes_dir
        (tmp_path / config["scenes"][0]).mkdir()
        config["scenes_dir"] = str(tmp_path)
    assert validate_configuration(config, SCHEMA)["dataset"] == config["dataset"]


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
    }
    assert config["model"] == {
        "backbone": "resnet34",
        "pretrained": True,
        "width": 2048,
        "iterations": 3,
        "attention": True,
        "knn": 0,
        "dropout": 0.5,
        "edge_dropout": 0.5,
        "translation_deviation": [1.0, 1.0, 1.0],
    }
    assert {"backbone", "width", "iterations", "knn", "translation_deviation"} == {
        key
        for key, value in config["published_models"]["profile"].items()
        if value == config["model"][key]
    }
    training = config["training"]
    assert (training["epochs"], training["single_scene_epochs"]) == (40, 100)
    assert training["batch_size"] == 8
    assert (training["learning_rate"], training["weight_decay"]) == (5e-5, 5e-4)
    assert (training["decay_epochs"], training["decay_factor"]) == (20, 0.1)
    assert training["schedule"] == "step"
    assert (training["initial_s_t"], training["initial_s_q"]) == (0, -3)


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
    assert (config["model"]["iterations"], config["model"]["knn"]) == (2, 4)
    assert config["model"]["translation_deviation"] == [12.6376063, 5.3801193, 19.3833127]
    training = config["training"]
    assert (training["epochs"], training["decay_epochs"]) == (150, 50)
    assert training["learning_rate"] == 1e-4
    assert {*config["frames"]["statistics"]} == {*config["scenes"]}


@pytest.mark.parametrize(
    ("place", "guess"),
    [
        ("grahps", "graphs"),
        ("graphs.strid", "graphs.stride"),
        ("training.learning-rate", "training.learning_rate"),
        ("stride", "graphs.stride"),
        ("model.epochs", "training.epochs"),
        ("weights.netvlat", "weights.netvlad"),
        ("checksum", "checksums"),
    ],
)
def test_unknown_key_is_refused_with_a_guess(place, guess):
    (line,) = problems(nested(place, 1))
    assert line.startswith(f"{place}: is unknown, did you mean {guess}? Allowed here: ")


def test_unknown_key_like_no_other_lists_what_is_allowed():
    (line,) = problems({"frames": {"colour_space": "lab"}})
    assert line == "frames.colour_space: is unknown. Allowed here: shorter_side, statistics"


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("dataset", 7, "got 7, expected text"),
        ("dataset", "../other", 'got "../other", expected text'),
        ("scenes", "study", 'got "study", expected a list'),
        ("scenes", [], "got [], expected a list, at least 1 long"),
        ("scenes", ["study", "study"], 'got ["study", "study"], expected a list'),
        ("source", "downlaod", "expected one of rendered, download"),
        ("graphs", None, "got null, expected a section with keys"),
        ("graphs", "stride", 'got "stride", expected a section with keys'),
        ("graphs.stride", 0, "got 0, expected an integer, at least 1"),
        ("graphs.stride", 2.0, "got 2.0, expected an integer"),
        ("graphs.stride", True, "got true, expected an integer"),
        ("graphs.stride", None, "got null, expected an integer"),
        ("graphs.drop_probability", 1, "expected a number, at least 0, below 1"),
        ("training.learning_rate", 0, "expected a number, above 0, at most 1 (Adam's step"),
        ("training.learning_rate", float("nan"), "got NaN, expected a number"),
        ("training.initial_s_t", float("-inf"), "got -Infinity, expected a number"),
        ("model.pretrained", 1, "got 1, expected true or false"),
        ("model.width", 100, "got 100, expected an integer, at least 8, at most 16384, a multiple"),
        ("evaluation.published", 3, "got 3, expected text or null"),
        ("checksums.zip", "abc", "expected text (SHA-256 as 64"),
        ("weights.netvlad", None, "got null, expected text, not empty (address"),
    ],
)
def test_wrong_type_or_range_is_refused(place, value, expected):
    (line,) = problems(nested(place, value))
    assert line.startswith(f"{place}: got ")
    assert expected in line


def test_wrong_item_of_a_list_is_named_by_its_place():
    assert problems({"scenes": ["study", "a/b"]})[0].startswith('scenes[1]: got "a/b", ')
    assert problems({"evaluation": {"recall": [[0.1, 5], [0.2, -1]]}})[0].startswith(
        "evaluation.recall[1][1]: got -1, expected a number, above 0 (metres, degrees)"
    )
    assert problems({"evaluation": {"recall": [[0.1]]}})[0].startswith("evaluation.recall[0]: ")


def test_missing_key_without_a_default_is_named():
    config = {key: value for key, value in DEFAULT.items() if key != "scenes"}
    with pytest.raises(InputError, match="scenes: is missing, expected a list"):
        validate_configuration(config, SCHEMA)


def test_all_problems_are_told_at_once():
    lines = problems({"sede": 1, "graphs": {"stride": -1}, "model": {"dropout": 2}})
    assert [line.split(":")[0] for line in lines] == ["sede", "graphs.stride", "model.dropout"]


@pytest.mark.parametrize(
    ("place", "text", "value"),
    [
        ("graphs.stride", "3", 3),
        ("training.learning_rate", "1e-4", 1e-4),
        ("training.learning_rate", ".5", 0.5),
        ("training.initial_s_q", "-2", -2),
        ("training.mixed_precision", "true", True),
        ("training.mixed_precision", "False", False),
        ("scenes_dir", "null", None),
        ("training.single_scene_epochs", "null", None),
        ("training.single_scene_epochs", "9", 9),
        ("evaluation.published", "~", None),
        ("evaluation.recall", [["0.1", "5"]], [[0.1, 5]]),
        ("rendering.rooms", {"study": "4"}, {"study": 4, "workshop": 23}),
        ("retrieval.netvlad_weights", "none", "none"),
    ],
)
def test_text_that_is_exactly_a_value_is_converted(place, text, value):
    result = validated(nested(place, text))
    for key in place.split("."):
        result = result[key]
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("graphs.stride", "3.0"),
        ("graphs.stride", "three"),
        ("graphs.stride", "3 "),
        ("graphs.stride", ""),
        ("training.learning_rate", "1e-4 or so"),
        ("training.learning_rate", "nan"),
        ("training.learning_rate", "null"),
        ("model.pretrained", "yes"),
        ("model.pretrained", "1"),
    ],
)
def test_text_that_is_not_exactly_a_value_is_refused(place, text):
    (line,) = problems(nested(place, text))
    assert line.startswith(f'{place}: got "{text.strip()}')


def test_unknown_rendered_scene_is_refused():
    lines = problems({"scenes": ["study", "worksop", "ballroom"]})
    assert lines == [
        "scenes: unknown scene worksop, did you mean workshop? rendering.rooms: study, workshop",
        "scenes: unknown scene ballroom. rendering.rooms: study, workshop",
    ]


def test_scene_without_a_folder_is_refused(scenes_dir):
    lines = problems({"scenes": ["attic", "celar"], "scenes_dir": str(scenes_dir)})
    assert lines == [
        f"scenes: unknown scene celar, did you mean cellar? folders in {scenes_dir}: attic, cellar"
    ]
    assert validated({"scenes": ["attic"], "scenes_dir": str(scenes_dir)})["scenes"] == ["attic"]


def test_scenes_dir_must_exist(tmp_path):
    (line,) = problems({"scenes_dir": str(tmp_path / "none")})
    assert line == f"scenes_dir: got {tmp_path / 'none'}, expected a folder that exists"


def test_relative_paths_start_at_the_project(tmp_path, scenes_dir, monkeypatch):
    (tmp_path / "project/config").mkdir(parents=True)
    shutil.copy(SCHEMA, tmp_path / "project/config")
    (tmp_path / "project/config/published.csv").touch()
    changes = {
        "scenes": ["attic"],
        "scenes_dir": "../scenes",
        "evaluation": {"published": "config/published.csv"},
    }
    for folder in (tmp_path / "project", tmp_path):
        monkeypatch.chdir(folder)
        config = validate_configuration(
            merged(DEFAULT, changes), tmp_path / "project/config/config.schema.yaml"
        )
        assert Path(config["scenes_dir"]).resolve() == scenes_dir
        assert Path(config["evaluation"]["published"]).is_file()
        assert not Path(config["scenes_dir"]).is_absolute()


@pytest.mark.parametrize("url", [None, "https://example.org/scene.zip"])
def test_download_needs_an_address_with_the_scene(url):
    (line,) = problems({"source": "download", "archive_url": url})
    assert line.startswith("archive_url: got ")
    assert "{scene}" in line
    assert "scenes_dir" in line


def test_leave_one_out_needs_two_scenes():
    changes = {"scenes": ["study"], "experiments": ["joint", "leave_one_out"]}
    (line,) = problems(changes)
    assert line == "experiments: leave_one_out needs at least 2 scenes, got 1"


def test_candidates_and_knn_must_fit_the_graph():
    lines = problems({"retrieval": {"candidates": 6}, "model": {"knn": 8}})
    assert lines == [
        "retrieval.candidates: got 6, expected at least as many as graphs.neighbours, 7",
        "model.knn: got 8, expected at most as many as graphs.neighbours, 7",
    ]


def test_weights_that_are_asked_for_must_have_an_address():
    model = {"backbone": "resnet50", "pretrained": True}
    (line,) = problems({"model": model})
    assert line.startswith("weights.resnet50: is missing, expected its address")
    weights = {"resnet50": "https://example.org/resnet50.pth"}
    assert validated({"model": model, "weights": weights})["model"]["backbone"] == "resnet50"


def test_published_results_must_exist():
    (line,) = problems({"evaluation": {"published": "config/none.csv"}})
    assert line.startswith("evaluation.published: got ")


def test_duplicate_keys_are_refused_with_their_lines(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("graphs:\n  stride: 3\n  seed: 1\n  stride: 4\nseed: 1\ngraphs: {}\n")
    with pytest.raises(InputError) as caught:
        refuse_duplicate_keys(path)
    assert str(caught.value).splitlines() == [
        f"{path}: line 4: graphs.stride stands in line 2 too, keep one of them",
        f"{path}: line 6: graphs stands in line 1 too, keep one of them",
    ]


def test_equal_keys_in_different_sections_are_no_duplicates(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("graphs: {seed: 1}\nmodel: {seed: 1}\nlist: [{seed: 1}, {seed: 2}]\n")
    refuse_duplicate_keys(path)
    path.write_text("")
    refuse_duplicate_keys(path)


def test_file_that_is_no_yaml_is_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("graphs: [1,\n")
    with pytest.raises(InputError, match=r"config\.yaml: is no valid YAML"):
        refuse_duplicate_keys(path)


def test_import_stays_light():
    code = (
        "import sys, relposegnn.configuration, relposegnn.digest; "
        "print(*{'torch', 'pandas', 'scipy', 'h5py', 'cv2'} & sys.modules.keys())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(PROJECT / "workflow/scripts")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == ""


def test_the_published_netvlad_has_its_number_of_clusters():
    retrieval = {"descriptor": "netvlad", "netvlad_weights": "published", "clusters": 32}
    assert problems({"retrieval": retrieval})[0].startswith("retrieval.clusters: got 32")
    assert validated({"retrieval": {**retrieval, "netvlad_weights": "none"}})


def test_weights_do_not_share_a_file_name():
    weights = {"vgg16": "https://example.org/other/resnet18-f37072fd.pth"}
    assert "as that of weights" in problems({"weights": weights})[0]
