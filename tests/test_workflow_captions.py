"""What captions of tables say of the settings, asked of the rules themselves."""

from pathlib import Path

import pytest
from project import REPOSITORY, snakemake_output

pytestmark = pytest.mark.slow

# The rules' own functions; what plans jobs is left out.
ASKING = """
config.update({config})

include: "{rules}/project.smk"
include: "{rules}/common.smk"
include: "{rules}/inputs.smk"
include: "{rules}/captions.smk"

class Wildcards:
    experiment = "{experiment}"

print("REMARK", table_remarks(Wildcards))
print("EXPLAINED", *authors_texts(), "beside", *variant_texts())

rule nothing:
"""
AUTHORS = {"graphs": {"source": "authors"}}
BOTH = {**AUTHORS, "authors": {"graphs": {"splits": ["train", "test"]}}}
PUBLISHED = {"graphs": {"train_mix": 0.0, "test": None}}
GRAPHS = "graphs of 7 neighbours by vlad"
STRIDED = f"{GRAPHS}, stride 5 with drop probability 0.5"
MIXED = f"{STRIDED} (0.5 of the graphs: best-ranked)"
NEAREST = f"{GRAPHS}, best-ranked"


def remark_of(folder: Path, config: dict, experiment: str, kind: str = "REMARK") -> str:
    """Return what the rules remark on the table of an experiment, or the line of another kind."""
    text = ASKING.format(rules=REPOSITORY / "rules", config=config, experiment=experiment)
    (folder / "Snakefile").write_text(text)
    told = snakemake_output(["-n", "nothing"], folder)
    (remark,) = (line for line in told.splitlines() if line.startswith(kind))
    return remark


@pytest.mark.parametrize(
    ("config", "experiment", "expected"),
    [
        ({}, "joint", f"trained on {MIXED}; tested on {NEAREST}."),
        ({}, "published", f"tested on {NEAREST}."),
        ({"graphs": {"test": None}}, "joint", f"trained on {MIXED}; tested on {STRIDED}."),
        ({"graphs": {"train_mix": 1}}, "joint", f"trained and tested on {NEAREST}."),
        (
            {"graphs": {"selection": "random"}},
            "joint",
            f"trained and tested on {GRAPHS}, random.",
        ),
        (PUBLISHED, "joint", f"trained and tested on {STRIDED}."),
        (PUBLISHED, "published", f"tested on {STRIDED}."),
        (AUTHORS, "joint", f"trained on {MIXED}; tested on the authors' graphs."),
        (AUTHORS, "published", "tested on the authors' graphs."),
        (BOTH, "single_scene", "trained and tested on the authors' graphs."),
    ],
)
def test_a_table_says_which_graphs_its_models_saw(tmp_path, config, experiment, expected):
    remark = remark_of(tmp_path, config, experiment)
    weights = "the authors' weights, run by this code" if experiment == "published" else "6 epochs"
    expected = f"{expected.removesuffix('.')}; both directions of each edge averaged."
    assert remark.endswith(f", {weights}; {expected}")
    # Match fields never see the packed images.
    assert ("shorter side" in remark) == ("match fields" not in remark)


def test_the_table_of_the_general_network_says_what_it_is_and_saw(tmp_path):
    remark = remark_of(tmp_path, {}, "unseen")
    assert "match fields of efficientnet_lite0, ray coordinates; trained on none of" in remark
    assert remark.endswith(f"tested on {NEAREST}; both directions of each edge averaged.")


def test_a_table_names_what_differs_from_the_published_protocol(tmp_path):
    config = {"model": {"pose": "world_to_camera"}, "localization": {"both_directions": False}}
    remark = remark_of(tmp_path, config, "joint")
    assert "both directions" not in remark
    assert "Translation errors are of camera centres c; the authors' are of t = -R c" in remark


def test_the_authors_networks_are_explained_apart_from_variants(tmp_path):
    """The table of validation has no rows of them."""
    variants = {"wide": {"model": {"width": 512}}}
    config = {"variants": variants, "experiments": ["joint", "published"]}
    told = remark_of(tmp_path, config, "joint", "EXPLAINED")
    assert told == "EXPLAINED published-joint beside wide"
    told = remark_of(tmp_path, {"variants": variants}, "joint", "EXPLAINED")
    assert told == "EXPLAINED beside wide"
