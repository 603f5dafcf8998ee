"""Targets beside the default one: variants, videos, new photos, other layouts of scenes."""

import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from prepared_python import prepared_output
from project import REPOSITORY, TINY, Project

from relposegnn.layouts.reading import read_scene
from relposegnn.poses import canonical_quaternion, quaternion_from_matrix

pytestmark = pytest.mark.slow

VARIANT = """
variants: {random-pairs: {graphs: {selection: random, neighbours: 2}, model: {iterations: 0}}}
"""
MATCH_FIELDS = (
    "variants: {match-fields: {model: {edges: match_field, encoder: sift, iterations: 0}}}\n"
)


def test_variants_are_runs_of_their_own_beside_the_joint_one(edited):
    edited.settings.write_text(edited.settings.read_text() + VARIANT)
    planned = edited.planned("--quiet", "rules", "--", "table_ablations")
    assert planned["train_model"] == 1
    assert planned["sample_variant_graphs"] == planned["measure_context"] == 2
    assert planned["sample_variant_left_out"] == 2
    assert not {"sample_graphs", "sample_left_out"} & planned.keys()
    edited.run("--", "table_ablations")
    results = edited.folder / "results" / "synthetic"
    table = pd.read_csv(results / "tables" / "ablations.csv")
    assert {*table["variant"]} == {"joint", "random-pairs"}
    text = " ".join((results / "tables" / "ablations.md").read_text().split())
    assert "graphs.neighbours 2, graphs.selection random, model.iterations 0" in text
    assert "no messages" in text  # of the variant; of the joint run errors with foreign neighbours
    own = table[(table["scene"] == "average") & (table["variant"] == "joint")]
    own = own.set_index("estimator")["median_translation_m"]
    assert own["own neighbours"] == pytest.approx(own["first edge"])
    assert {"alone", "foreign neighbours"} <= set(own.index)
    with (
        h5py.File(results / "graphs" / "study.h5") as joint,
        h5py.File(results / "graphs" / "random-pairs" / "study.h5") as random,
    ):
        assert (joint["test/neighbours"][:, :2] != random["test/neighbours"][:]).any()
    sampled = results / "graphs" / "left_out"
    with (
        h5py.File(sampled / "study.h5") as joint,
        h5py.File(sampled / "random-pairs" / "study.h5") as random,
    ):
        np.testing.assert_array_equal(joint["left_out/query"], random["left_out/query"])
        found = (file["left_out/neighbours"].shape[1] for file in (joint, random))
        assert tuple(found) == (3, 2)  # as the test graphs of each
    assert edited.planned("--", "table_ablations") == {}


def test_a_table_of_ablations_asks_for_variants(finished):
    text = finished.run("--dry-run", "--", "table_ablations", expect=1)
    assert "variants: is empty" in text


def test_videos_and_exchange_are_of_every_evaluation(edited):
    edited.run("--", "videos", "exchange")
    runs = edited.folder / "results/synthetic/runs/joint/exchange"
    for scene in ("study", "workshop"):
        estimates = (runs / scene / "hloc/estimate.txt").read_text().splitlines()
        assert {len(line.split()) for line in estimates} == {8}
    made = edited.folder / "results" / "synthetic" / "videos" / "joint"
    for scene in ("study", "workshop"):
        assert (made / f"{scene}.mp4").read_bytes()[4:8] == b"ftyp"
        assert (made / f"{scene}.gif").read_bytes().startswith(b"GIF89a")


def test_shorter_descriptors_are_made_by_a_projection(edited):
    arguments = ("--config", "retrieval={dimensions: 5}", "--", "neighbours")
    planned = edited.planned(*arguments)
    assert planned.pop("neighbours") == 1
    assert planned == dict.fromkeys(("fit_projection", "describe_frames", "rank_neighbours"), 2)
    edited.run(*arguments)
    with h5py.File(edited.folder / "results/synthetic/descriptors/study.h5") as file:
        assert file["test/descriptor"].shape[1] == 5
    assert edited.planned(*arguments) == {}


@pytest.fixture
def photos(finished, tmp_path) -> Path:
    """Return a folder with two test images of the study."""
    folder = tmp_path / "photos"
    folder.mkdir()
    scene = read_scene(finished.folder / "resources/synthetic/scenes/study")
    for frame in scene.test[:2]:
        shutil.copy(frame.image, folder / f"{frame.image.stem}.png")
    return folder


def test_new_photos_are_localised(edited, photos):
    arguments = ("--config", f"photos={{folder: {photos}, scene: study}}", "--", "photos")
    assert edited.planned(*arguments) == {"localise_photos": 1, "photos": 1}
    edited.run(*arguments)
    made = edited.folder / "results/synthetic/photos/joint/study"
    table = pd.read_csv(made / "poses.csv")
    assert len(table) == 2
    assert table["confidence"].between(0, 1).all()
    assert np.isfinite(table[["tx", "ty", "tz"]].to_numpy()).all()
    assert {path.name for path in made.iterdir()} == {
        *("poses.csv", "poses.txt", "images.txt", "photos.png")
    }
    assert edited.planned(*arguments) == {}
    run = "results/synthetic/runs/joint"
    with (edited.folder / run / "model.pt").open("ab") as model:
        model.write(b"trained anew")
    edited.run("--", f"{run}/places/study.json")  # it reads as before
    assert edited.planned(*arguments) == {"localise_photos": 1, "photos": 1}
    edited.run("--touch", *arguments)
    assert edited.planned(*arguments) == {}
    shutil.copy(photos / table["image"][0], photos / table["image"][1])
    assert edited.planned(*arguments) == {"localise_photos": 1, "photos": 1}


def test_a_photo_whose_name_is_no_text_does_not_keep_the_others(edited, photos):
    """Snakemake writes the names of inputs down, and cannot write this one."""
    shutil.copy(next(photos.iterdir()), photos / os.fsdecode(b"caf\xe9.png"))
    edited.run("--config", f"photos={{folder: {photos}, scene: study}}", "--", "photos")
    table = pd.read_csv(edited.folder / "results/synthetic/photos/joint/study/poses.csv")
    assert table["image"].iloc[0] == r"caf\udce9.png"
    assert np.isfinite(table["tx"]).tolist() == [False, True, True]


def test_match_fields_go_all_the_way_to_new_photos(edited, photos):
    """A photo of a test frame, encoded anew, gets the pose that the frame's stored maps give."""
    edited.settings.write_text(edited.settings.read_text() + MATCH_FIELDS)
    predictions = "results/synthetic/runs/match-fields/predictions/study.npz"
    planned = edited.planned("--", predictions)
    assert planned == {"encode_frames": 2, "train_model": 1, "predict_poses": 1}
    edited.run("--", predictions)
    chosen = f"photos={{folder: {photos}, scene: study, run: match-fields}}"
    edited.run("--config", chosen, "localization={refinement: none}", "--", "photos")
    made = edited.folder / "results/synthetic/photos/match-fields/study"
    table = pd.read_csv(made / "poses.csv")
    with np.load(edited.folder / predictions) as arrays:
        frames = [name.rpartition("/")[2] for name in arrays["rel_path"]]
        centres = arrays["robust_t"]
    rows = [frames.index(image.partition(".")[0]) for image in table["image"]]
    # Stored maps are of float16, and photos of a scene's camera are resized as its frames are.
    np.testing.assert_allclose(table[["tx", "ty", "tz"]], centres[rows], atol=0.02)
    own = localise(edited.folder, photos, "--run", "match-fields")
    pd.testing.assert_frame_equal(own, table, rtol=1e-4, atol=1e-4)


def localise(folder: Path, photos: Path, *options: str) -> pd.DataFrame:
    """Return the table that the command writes, run in a project's folder."""
    command = [str(REPOSITORY / "localise"), str(photos), "--scene", "study"]
    command += ["--device", "cpu", "--workers", "2", "--output", "localised", *options]
    prepared_output(command, folder)
    return pd.read_csv(folder / "localised/poses.csv")


@pytest.mark.parametrize("source", ["sampled", "authors"])
def test_the_command_does_what_the_target_does(edited, photos, source):
    """Neither asks for rankings or graphs, whosever they are."""
    results = edited.folder / "results/synthetic"
    shutil.rmtree(results / "neighbours")
    shutil.rmtree(results / "graphs")
    settings = (f"photos={{folder: {photos}, scene: study, minimum_confidence: 0.1}}",)
    settings += (f"graphs={{source: {source}}}",)
    planned = edited.planned("--config", *settings, "--", "photos")
    assert planned == {"describe_place": 1, "localise_photos": 1, "photos": 1}
    edited.run("--config", *settings, "--", "photos")
    expected = pd.read_csv(results / "photos/joint/study/poses.csv")
    found = localise(edited.folder, photos)
    spread = ["spread_m", "spread_deg", "similarity"]
    np.testing.assert_allclose(found[spread], expected[spread], atol=1e-6)
    # Refined poses have rounding larger, where few points leave a focal length open, as here.
    pd.testing.assert_frame_equal(found, expected, atol=5e-3)


def test_after_the_models_photos_can_be_localised(edited, photos):
    """A place without queries has nothing to tabulate."""
    shutil.rmtree(edited.folder / "results/synthetic/runs")
    each = ("predict_left_out", "refine_left_out", "calibrate_errors")
    planned = dict.fromkeys((*each, "describe_place"), 2)
    assert edited.planned("--", "models") == {"train_model": 1, **planned, "models": 1}
    edited.run("--", "models")
    shutil.rmtree(edited.folder / "results/synthetic/graphs")
    assert len(localise(edited.folder, photos)) == 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("photos={scene: study}", "photos.folder: is null, expected a folder of photos"),
        ("photos={folder: config}", "photos.scene: got null, expected one of study, workshop"),
        ("photos={folder: config, scene: study, run: jont}", "photos.run: got jont, expected one"),
    ],
)
def test_photos_ask_for_what_is_missing(finished, setting, message):
    text = finished.run("--dry-run", "--config", setting, "--", "photos", expect=1)
    assert message in text


def test_an_output_of_photos_asks_for_a_folder(finished):
    target = "results/synthetic/photos/joint/study/poses.csv"
    text = finished.run("--dry-run", "--", target, expect=1)
    assert "WorkflowError:\n    photos.folder: is null, expected a folder of photos\n" in text


def write_cambridge(source: Path, target: Path) -> None:
    """Write a scene in the layout of Cambridge Landmarks: world-to-camera rotations."""
    scene = read_scene(source)
    for split in ("train", "test"):
        lines = ["Visual Landmark Dataset V1", "ImageFile, Camera Position [X Y Z W P Q R]", ""]
        for frame in scene.frames(split):
            image = target / f"{frame.name.replace('/', '_')}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.open(frame.image).save(image)
            w, x, y, z = canonical_quaternion(quaternion_from_matrix(frame.world_from_cam[:3, :3]))
            numbers = [*frame.world_from_cam[:3, 3], w, -x, -y, -z]  # the inverse rotation
            lines.append(" ".join([image.name, *(f"{number:.9f}" for number in numbers)]))
        (target / f"dataset_{split}.txt").write_text("\n".join(lines) + "\n")


def test_a_scene_in_cambridge_layout_goes_all_the_way(finished, tmp_path):
    write_cambridge(
        finished.folder / "resources/synthetic/scenes/study", tmp_path / "scenes" / "Court"
    )
    settings = TINY.replace("iterations: 1", "iterations: 1, translation_deviation: [2, 0.5, 4]")
    settings = settings.replace("{study: ", "{Court: {train: 0.9, test: null}, study: ")
    settings += (
        f"dataset: outdoors\nscenes: [Court]\nscenes_dir: {tmp_path / 'scenes'}\n"
        "evaluation: {recall: [[0.25, 2.0]]}\n"
    )
    settings = settings.replace(
        "shorter_side: 32",
        "shorter_side: 32\n  statistics: {Court: {mean: [0.5, 0.5, 0.5], "
        "variance: [0.0625, 0.0625, 0.0625]}}",
    )
    folder = tmp_path / "project"
    folder.mkdir()
    project = Project(folder, settings)
    project.run("--", "table_joint")
    results = folder / "results" / "outdoors"
    with (
        h5py.File(results / "frames/Court.h5") as outdoors,
        h5py.File(finished.folder / "results/synthetic/frames/study.h5") as indoors,
    ):
        assert outdoors.attrs["variance"].tolist() == [0.0625] * 3
        for split in ("train", "test"):
            np.testing.assert_allclose(
                outdoors[f"{split}/world_from_cam"][:],
                indoors[f"{split}/world_from_cam"][:],
                atol=1e-5,
            )
    table = pd.read_csv(results / "tables" / "joint.csv")
    assert "recall_25cm_2deg" in table
    assert (table["median_translation_m"] < 50).all()
