"""Keys that contradict one another; see test_configuration for the schema."""

import pytest
from test_configuration import merged, nested, problems, shipped, validated


def test_addresses_by_scene_have_one_for_each():
    addresses = {"study": "https://here/a.zip"}
    (line,) = problems({"source": "download", "archive_url": addresses})
    assert line.startswith("archive_url.workshop: is missing")
    addresses["workshop"] = "https://here/b.zip"
    assert validated({"source": "download", "archive_url": addresses})["archive_url"] == addresses


def test_variants_are_returned_with_their_whole_sections():
    calm, flat = {"training": {"learning_rate": "1e-5"}}, {"model": {"iterations": 0}}
    changes = {"calm": calm, "flat": flat}
    config = validated({"variants": changes})
    calm, flat = config["variants"]["calm"], config["variants"]["flat"]
    assert calm["training"] == {**config["training"], "learning_rate": 1e-5}
    assert (calm["model"], calm["graphs"]) == (config["model"], config["graphs"])
    assert flat["model"] == {**config["model"], "iterations": 0}
    assert config["model"]["iterations"] == 3


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ({"joint": {"model": {"knn": 2}}}, "variants.joint: is the name of another run"),
        ({"only-study": {"model": {"knn": 2}}}, "variants.only-study: is the name of another run"),
        ({"a": {"model": {"knm": 2}}}, "variants.a: model.knm: is unknown, did you mean model.knn"),
        ({"a": {"graphs": {"stride": 0}}}, "variants.a: graphs.stride: got 0, expected"),
        ({"a": {"model": {"knn": 9}}}, "variants.a: model.knn: got 9, expected at most as many"),
        ({"a": {"retrieval": {"seed": 1}}}, "variants.a.retrieval: is unknown"),
        ({"a": {}}, "variants.a: got {}"),
        ({"a": {"model": {"knn": 0}}}, "variants.a: changes nothing"),
        ({"a": {"graphs": {"source": "sampled"}}}, "variants.a.graphs.source: cannot be changed"),
        ({"published": {"model": {"knn": 2}}}, "variants.published: is the name of another run"),
        ({"My_Own": {"model": {"knn": 2}}}, 'variants: got "My_Own", expected text (name of a'),
    ],
)
def test_wrong_variants_are_refused_by_name(variants, message):
    (line,) = problems({"variants": variants})
    assert line.startswith(message)


def test_addresses_of_one_network_a_scene_name_it():
    (line,) = problems({"published_models": {"single_scene": "https://here/all.pth"}})
    assert line.startswith("published_models.single_scene: got ")
    (line,) = problems({"published_models": {"profile": {"knn": 9}}})
    assert line.startswith("published_models.profile.knn: got 9, expected at most")


def test_photos_lie_in_a_folder_that_exists():
    (line,) = problems({"photos": {"folder": "nowhere"}})
    assert line.startswith("photos.folder: got ")


def test_published_graphs_cannot_be_varied():
    changes = merged(shipped("7scenes.yaml"), {"graphs": {"source": "published"}})
    (line,) = problems(merged(changes, {"variants": {"dense": {"graphs": {"stride": 1}}}}))
    assert line.startswith("variants.dense.graphs: cannot be changed")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("graphs.source", "sampled", "graphs.source: got sampled, expected published"),
        ("frames.statistics", {}, "frames.statistics.chess: is missing"),
        ("published_graphs.url", "https://here/{scene}.tar", "published_graphs.url: got "),
    ],
)
def test_frames_from_published_graphs_need_all_that_replaces_the_dataset(place, value, message):
    base = merged(shipped("7scenes.yaml"), shipped("published_graphs.yaml"))
    base["scenes"] = ["chess"]
    assert validated(base)["source"] == "published_graphs"
    base = merged(base, nested(place, value))
    if place == "frames.statistics":
        base["frames"]["statistics"] = {}
    (line,) = problems(base)
    assert line.startswith(message)
