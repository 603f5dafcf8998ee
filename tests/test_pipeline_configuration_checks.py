"""Keys that contradict one another; see test_configuration for the schema."""

import shutil
from pathlib import Path

import pytest
from configurations import (
    CONFIG,
    DEFAULT,
    nested,
    problems,
    shipped,
    validated,
)

from relposegnn.estimates.predictions import ALONE
from relposegnn.pipeline.configuration import merged, validate_configuration
from relposegnn.pipeline.experiments import AVERAGE
from relposegnn.tables.ablations import CHANGE
from relposegnn.tables.literature import stack_methods


@pytest.fixture
def scenes_dir(tmp_path: Path) -> Path:
    """Return a folder that holds two scenes."""
    for scene in ("attic", "cellar"):
        (tmp_path / "scenes" / scene).mkdir(parents=True)
    return tmp_path / "scenes"


def test_addresses_by_scene_have_one_for_each():
    addresses = {"study": "https://here/a.zip"}
    (line,) = problems({"source": "download", "archive_url": addresses})
    assert line.startswith("archive_url.workshop: is missing")
    addresses["workshop"] = "https://here/b.zip"
    assert validated({"source": "download", "archive_url": addresses})["archive_url"] == addresses


def test_variants_are_returned_with_their_whole_sections():
    calm, flat = {"training": {"learning_rate": "1e-5"}}, {"model": {"iterations": 1}}
    changes = {"calm": calm, "flat": flat}
    config = validated({"variants": changes})
    calm, flat = config["variants"]["calm"], config["variants"]["flat"]
    assert calm["training"] == {**config["training"], "learning_rate": 1e-5}
    assert (calm["model"], calm["graphs"]) == (config["model"], config["graphs"])
    assert flat["model"] == {**config["model"], "iterations": 1}
    assert config["model"]["iterations"] == 0  # the variant leaves the base as it is


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"joint": {"model": {"knn": 2}}}, "variants.joint: is the name of a run or folder"),
        (
            {"only-study": {"model": {"knn": 2}}},
            "variants.only-study: is the name of a run or folder",
        ),
        ({"general": {"model": {"knn": 2}}}, "variants.general: is the name of a run or folder"),
        ({"left_out": {"model": {"knn": 2}}}, "variants.left_out: is the name of a run or folder"),
        ({"a": {"model": {"knm": 2}}}, "variants.a: model.knm: is unknown, did you mean model.knn"),
        ({"a": {"graphs": {"stride": 0}}}, "variants.a: graphs.stride: got 0, expected"),
        ({"a": {"model": {"knn": 9}}}, "variants.a: model.knn: got 9, expected at most as many"),
        ({"a": {"retrieval": {"seed": 1}}}, 'variants.a: got "retrieval", expected one of graphs,'),
        ({"a": {}}, "variants.a: got {}"),
        ({"a": {"model": {"knn": 0}}}, "variants.a: changes nothing"),
        ({"a": {"model": {"backbone": "resnet18"}}}, "variants.a: changes nothing that is used"),
        ({"a": {"model": {"attention": False}}}, "variants.a: changes nothing that is used"),
        ({"a": {"training": {"single_scene_epochs": 2}}}, "variants.a: changes nothing that is"),
        ({"a": {"graphs": {"source": "sampled"}}}, "variants.a.graphs.source: cannot be changed"),
        (
            {"published": {"model": {"knn": 2}}},
            "variants.published: is the name of a run or folder",
        ),
        ({"authors": {"model": {"knn": 2}}}, "variants.authors: is the name of a run or folder"),
        ({"My_Own": {"model": {"knn": 2}}}, 'variants: got "My_Own", expected text (name of a'),
    ],
)
def test_wrong_variants_are_refused_by_name(variants, message):
    (line,) = problems({"variants": variants})
    assert line.startswith(message)


def test_addresses_of_one_network_a_scene_name_it():
    (line,) = problems({"authors": {"models": {"single_scene": "https://here/all.pth"}}})
    assert line.startswith("authors.models.single_scene: got ")
    (line,) = problems({"authors": {"profile": {"knn": 9}}})
    assert line.startswith("authors.profile.knn: got 9, expected at most")


def test_rooms_with_a_variety_of_their_own_are_rooms():
    own = {"study": ["light"], "stduy": []}
    (line,) = problems({"rendering": {"varied_by_room": own}})
    assert line.startswith(
        "rendering.varied_by_room.stduy: is not a room, expected one of study, wor"
    )


def test_photos_lie_in_a_folder_that_exists():
    (line,) = problems({"photos": {"folder": "nowhere"}})
    assert line.startswith("photos.folder: got ")


def test_the_authors_graphs_cannot_be_varied():
    changes = merged(shipped("7scenes.yaml"), {"graphs": {"source": "authors"}})
    (line,) = problems(merged(changes, {"variants": {"dense": {"graphs": {"stride": 1}}}}))
    assert line.startswith("variants.dense.graphs: cannot be changed")


def test_the_authors_graphs_need_an_address_with_places_for_names():
    base = merged(shipped("7scenes.yaml"), {"graphs": {"source": "authors"}})
    (line,) = problems(merged(base, nested("authors.graphs.url", "https://here/{scene}.tar")))
    assert line.startswith("authors.graphs.url: got ")


@pytest.mark.parametrize(
    "changes", [{"graphs": {"source": "authors"}, "evaluation": {"literature": None}}, {}]
)
def test_another_split_than_the_published_stands_beside_nothing_published(changes):
    (line,) = problems(merged(shipped("7scenes.yaml"), {"frames": {"held_out": 60}, **changes}))
    assert line.startswith("frames.held_out: splits the scenes anew, but")


def test_colours_change_for_pooled_edges_alone():
    jitter = {"frames": {"colour_jitter": [0.5, 0.5, 0.5, 0.2]}}
    (line,) = problems(jitter)
    assert line.startswith("frames.colour_jitter: changes the images that pooled edges see")
    validated(jitter | {"model": {"edges": "pooled"}})


def test_validation_has_a_share_and_a_stretch():
    (line,) = problems({"graphs": {"validation": {"share": 0.1, "stretch": None}}})
    assert line.startswith("graphs.validation.stretch: ")


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
    shutil.copytree(CONFIG, tmp_path / "project/config")
    changes = {
        "scenes": ["attic"],
        "scenes_dir": "../scenes",
        "evaluation": {"literature": "config/literature.csv"},
        "general": {"models": ["mine/general.pt", str(tmp_path / "absolute.pt")]},
    }
    for folder in (tmp_path / "project", tmp_path):
        monkeypatch.chdir(folder)
        config = validate_configuration(changes, tmp_path / "project")
        assert Path(config["scenes_dir"]).resolve() == scenes_dir
        assert Path(config["evaluation"]["literature"]).is_file()
        assert not Path(config["scenes_dir"]).is_absolute()
        assert config["general"]["models"] == ["mine/general.pt", str(tmp_path / "absolute.pt")]


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


def test_pretrained_encoders_have_an_address():
    encoders = {"resnet18", "resnet34", "resnet50"}
    assert encoders < DEFAULT["weights"].keys()
    (line,) = problems({"model": {"backbone": "resnet10", "pretrained": True}})
    assert line.startswith("model.pretrained: got true, expected false")


@pytest.mark.parametrize("name", ["jont", "published-joint", "table_joint"])
def test_unknown_experiment_is_refused(name):
    (line,) = problems({"experiments": ["joint", name]})
    assert line.startswith(f'experiments[1]: got "{name}", expected one of joint, leave_one_out, ')


def test_results_of_the_literature_must_exist():
    (line,) = problems({"evaluation": {"literature": "config/none.csv"}})
    assert line.startswith("evaluation.literature: got ")


def test_the_authors_netvlad_has_its_number_of_clusters():
    retrieval = {"descriptor": "netvlad", "netvlad_weights": "authors", "clusters": 32}
    assert problems({"retrieval": retrieval})[0].startswith("retrieval.clusters: got 32")
    assert validated({"retrieval": {**retrieval, "netvlad_weights": "none"}})


STATISTICS = {"mean": [0.5, 0.5, 0.5], "variance": [0.06, 0.06, 0.06]}


@pytest.mark.parametrize(
    ("place", "name", "value", "meant"),
    [
        ("frames.statistics", "Study", STATISTICS, "study"),
        ("frames.statistics", "workshp", STATISTICS, "workshop"),
        ("frames.statistics", "study\n", STATISTICS, "study"),
        ("frames.focal_lengths", "stuyd", {"train": 0.8, "test": None}, "study"),
        ("authors.predictions", "the-workshop", "https://here/a.npz", "workshop"),
        ("checksums", "Study.zip", "0" * 64, "study.zip"),
        ("checksums", "study_zip", "0" * 64, "study.zip"),
        ("checksums", "netvlad.pt", "0" * 64, "netvlad.pth"),
        ("checksums", "publishd-joint.pth", "0" * 64, "published-joint.pth"),
        ("checksums", "study-tset.tar", "0" * 64, "study-test.tar"),
    ],
)
def test_misspelt_names_are_refused(place, name, value, meant):
    """What they tell would be told in vain: a checksum that nothing is compared with."""
    lines = problems(nested(place, {name: value}))
    assert lines[0].startswith(f"{place}: nothing is called ")
    assert f"did you mean '{meant}'? Correct the name" in lines[0]


def test_misspelt_addresses_are_refused():
    addresses = {"study": "https://here/a.zip", "workshops": "https://here/b.zip"}
    lines = problems({"source": "download", "archive_url": addresses})
    assert any(
        "nothing is called \"workshops\", did you mean 'workshop'?" in line for line in lines
    )


def test_names_of_other_scenes_are_no_mistake():
    """One configuration of several scenes serves for one of them, and for one that is like them."""
    names = ["study", "garage", "workshop2", "study2"]
    statistics = dict.fromkeys(names, STATISTICS)
    given = {"frames": {"statistics": statistics}, "checksums": {"garage.zip": "0" * 64}}
    assert validated(given)["frames"]["statistics"] == statistics


@pytest.mark.parametrize("name", ["garage.rar", "garage", "resnet99.pth", "garage-val.tar"])
def test_checksums_of_what_is_never_downloaded_are_refused(name):
    (line,) = problems({"checksums": {name: "0" * 64}})
    assert line.startswith(f'checksums: "{name}" is not a downloaded file, expected a name')


@pytest.mark.parametrize(
    "changes",
    [
        {"dataset": "mine\n"},
        {"scenes": ["study\n"]},
        {"checksums": {"study.zip": "0" * 64 + "\n"}},
        {"model": {"encoder": "sift\n"}},
        {"variants": {"calm\n": {"model": {"knn": 2}}}},
    ],
)
def test_a_line_break_is_no_part_of_a_name(changes):
    assert ": got " in problems(changes)[0]


@pytest.mark.parametrize("name", ["average", "method", CHANGE, ALONE])
def test_a_scene_with_the_name_of_another_column_of_tables(name):
    (line,) = problems({"scenes": [name, "NA"], "rendering": {"rooms": {name: 1, "NA": 2}}})
    assert line.startswith(f"scenes: {name} is the name of another column of tables, expected")
    assert name in stack_methods([{"first": {}}], [CHANGE, ALONE, AVERAGE])[0]


def test_scenes_that_differ_in_capitals_alone():
    rooms = {"study": 1, "Study": 2}
    (line,) = problems({"scenes": ["study", "Study"], "rendering": {"rooms": rooms}})
    assert line.startswith("scenes: study and Study differ only in case")


@pytest.mark.parametrize(("descriptor", "whole"), [("vlad", 256), ("netvlad", 1024)])
def test_a_projection_makes_descriptors_no_longer(descriptor, whole):
    settings = {"descriptor": descriptor, "netvlad_weights": "none", "clusters": 2}
    validated({"retrieval": {**settings, "dimensions": whole}})
    (line,) = problems({"retrieval": {**settings, "dimensions": whole + 1}})
    assert line.startswith(f"retrieval.dimensions: got {whole + 1}, expected at most {whole}")
