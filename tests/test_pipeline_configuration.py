"""The schema: ranges, unknown and missing keys, text that is a value; duplicate keys."""

import copy
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from configurations import (
    CONFIG,
    DEFAULT,
    PROJECT,
    SCHEMA,
    nested,
    problems,
    validated,
)

from relposegnn.pipeline.configuration import validate_configuration
from relposegnn.runtime import InputError


def test_changes_are_merged_over_the_default_configuration():
    assert validated({}) == DEFAULT
    given = {"graphs": {"stride": 3}, "scenes": ["study"]}
    changes = copy.deepcopy(given)
    config = validated(changes)
    assert config == {**DEFAULT, **given, "graphs": {**DEFAULT["graphs"], "stride": 3}}
    assert changes == given


def test_null_takes_the_place_of_a_section_and_a_section_that_of_null():
    null, own = {"graphs": {"test": None}}, {"stride": 2, "drop_probability": 0.1}
    assert validated(null)["graphs"] == {**DEFAULT["graphs"], "test": None}
    changes = {"variants": {"as-trained": null}}
    assert validated(changes)["variants"]["as-trained"]["graphs"]["test"] is None
    changes = {**null, "variants": {"own": {"graphs": {"test": own}}}}
    assert validated(changes)["variants"]["own"]["graphs"]["test"] == own
    half = {**null, "variants": {"half": {"graphs": {"test": {"stride": 2}}}}}
    (line,) = problems(half)
    assert line.startswith("variants.half: graphs.test.drop_probability: is missing, expected")


def test_schema_gives_no_values():
    def keywords(part):
        if isinstance(part, dict):
            yield from part
            for value in part.values():
                yield from keywords(value)

    assert not {"default", "required"} & set(keywords(yaml.safe_load(SCHEMA.read_text())))


def test_every_key_is_described_with_a_range():
    schema = yaml.safe_load(SCHEMA.read_text())

    def leaves(part):
        for key, value in part.get("properties", {}).items():
            yield from leaves(value) if "properties" in value else [(key, value)]

    for key, leaf in leaves(schema):
        assert leaf["description"], key
        if leaf["type"] in ("integer", "number"):
            assert {"minimum", "exclusiveMinimum"} & leaf.keys(), key
            assert {"maximum", "exclusiveMaximum"} & leaf.keys(), key


@pytest.mark.parametrize(
    ("place", "guess"),
    [
        ("grahps", "graphs"),
        ("graphs.strid", "graphs.stride"),
        ("graphs.test.strid", "graphs.test.stride"),
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
    (line,) = problems({"videos": {"colour": "lab"}})
    assert line == "videos.colour: is unknown. Allowed here: queries, frames_per_second"


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
        (
            "graphs.train_mix",
            1.5,
            "got 1.5, expected a number, at least 0, at most 1 (share of the",
        ),
        ("graphs.test", "strided", 'got "strided", expected a section with keys or null'),
        ("graphs.test.stride", 0, "got 0, expected an integer, at least 1"),
        ("training.learning_rate", 0, "expected a number, above 0, at most 1 (Adam's initial"),
        ("training.learning_rate", float("nan"), "got NaN, expected a number"),
        ("training.initial_s_t", float("-inf"), "got -Infinity, expected a number"),
        ("model.pretrained", 1, "got 1, expected true or false"),
        ("model.width", 100, "got 100, expected an integer, at least 8, at most 16384, a multiple"),
        ("evaluation.literature", 3, "got 3, expected text or null"),
        ("rendering.varied", ["light", "light"], 'got ["light", "light"], expected a list'),
        ("general.models", [], "got [], expected a list, at least 1 long (files of trained"),
        ("localization.left_out", 3, "got 3, expected an integer, at least 10"),
        ("photos.within", [0.2], "got [0.2], expected a list, at least 2 long"),
        ("checksums.zip", "abc", "expected text (SHA-256 as 64"),
        ("model.encoder", "ResNet18", "expected text (frozen encoder, by name: a-z, digits"),
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
    (line,) = problems({"rendering": {"varied": ["light", "sound"]}})
    assert line.startswith('rendering.varied[1]: got "sound", expected one of styles, cameras, ')
    assert problems({"general": {"size": [176, 120]}})[0].startswith("general.size[1]: got 120, ")
    assert problems({"photos": {"within": [0, 5]}})[0].startswith("photos.within[0]: got 0, ")
    assert problems({"evaluation": {"recall": [[0.1]]}})[0].startswith("evaluation.recall[0]: ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("scenes: [study, workshop]", "scenes: is missing, expected a list"),
        ("  stride: 5", "graphs.stride: is missing, expected an integer, at least 1"),
        ("    knn: 0", "authors.profile.knn: is missing, expected an integer, at least 0"),
    ],
)
def test_key_that_the_default_file_has_lost_is_named(tmp_path, line, message):
    shutil.copytree(CONFIG, tmp_path / "config")
    default = tmp_path / "config" / "config.yaml"
    assert f"\n{line}\n" in default.read_text()
    default.write_text(default.read_text().replace(f"\n{line}\n", "\n"))
    with pytest.raises(InputError, match=f"\n{re.escape(message)}"):
        validate_configuration({}, tmp_path)


def test_key_missing_in_an_entry_is_named():
    (line,) = problems({"frames": {"statistics": {"study": {"mean": [0.5, 0.5, 0.5]}}}})
    assert line.startswith("frames.statistics.study.variance: is missing, expected a list")


def test_all_problems_are_told_at_once():
    lines = problems({"sede": 1, "graphs": {"stride": -1}, "model": {"dropout": 2}})
    assert [line.split(":")[0] for line in lines] == ["sede", "graphs.stride", "model.dropout"]


@pytest.mark.parametrize(
    ("place", "text", "value"),
    [
        ("graphs.stride", "3", 3),
        ("graphs.train_mix", "0", 0),
        ("graphs.test", "null", None),
        ("graphs.test", {"stride": "2"}, {"stride": 2, "drop_probability": 0.0}),
        ("training.learning_rate", "1e-4", 1e-4),
        ("training.learning_rate", ".5", 0.5),
        ("training.initial_s_q", "-2", -2),
        ("training.mixed_precision", "true", True),
        ("training.mixed_precision", "False", False),
        ("scenes_dir", "null", None),
        ("training.single_scene_epochs", "null", None),
        ("training.single_scene_epochs", "9", 9),
        ("evaluation.literature", "~", None),
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


def test_import_stays_light():
    code = (
        "import sys, relposegnn.pipeline.configuration, relposegnn.pipeline.digest; "
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


def test_variants_may_have_fewer_neighbours_than_the_authors_network_needs():
    """It is not run on the graphs of variants."""
    changes = {
        "variants": {"few": {"graphs": {"neighbours": 3}}},
        "authors": {"profile": {"knn": 4}},
    }
    assert validated(changes)["variants"]["few"]["graphs"]["neighbours"] == 3
