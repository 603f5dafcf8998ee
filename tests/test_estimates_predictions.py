"""Predictions are read whole, or refused in words."""

from pathlib import Path

import numpy as np
import pytest
from conftest import OWNED

from relposegnn.estimates.predictions import (
    AFFINE,
    ALL_EDGES,
    FIRST_EDGE,
    MOST_SIMILAR,
    REFERENCE,
    copied_image,
    predictions_owner,
    read_predictions,
)
from relposegnn.files.owners import Owner
from relposegnn.runtime import InputError


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Return poses of four queries, by the first edge and by all edges."""
    generator = np.random.default_rng(0)
    pairs = {prefix: generator.normal(size=(4, 7)) for prefix in ("targ", "abs", "robust")}
    centres = {f"{prefix}_t": pair[:, :3] for prefix, pair in pairs.items()}
    quaternions = {f"{prefix}_q": pair[:, 3:] for prefix, pair in pairs.items()}
    names = np.array([f"seq-03/frame-{i:06d}" for i in range(4)])
    return {"rel_path": names, **centres, **quaternions}


@pytest.fixture
def refined(arrays) -> dict[str, np.ndarray]:
    """Return the same with refined poses."""
    poses = {f"refined_{part}": arrays[f"robust_{part}"] for part in "tq"}
    return {**arrays, **poses, "refined_points": np.full(4, 20)}


def saved(arrays: dict[str, np.ndarray], folder: Path) -> Path:
    """Return the file of predictions."""
    np.savez(folder / "predictions.npz", **arrays)
    return folder / "predictions.npz"


@pytest.mark.parametrize(
    ("estimators", "expected"),
    [
        ([REFERENCE, FIRST_EDGE, MOST_SIMILAR], MOST_SIMILAR),
        ([FIRST_EDGE, REFERENCE, AFFINE], REFERENCE),
        ([FIRST_EDGE, AFFINE], None),
    ],
)
def test_the_copied_image_is_the_most_similar_where_it_is_known(estimators, expected):
    assert copied_image(estimators) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"abs_q": None}, "lacks abs_q"),
        ({"robust_t": None}, "lacks robust_t"),
        ({"targ_t": np.zeros((3, 3))}, r"targ_q has shape \(4, 4\), expected \(3, 4\)"),
        ({"targ_t": np.full((4, 3), np.nan)}, "query 0 are .* expected finite numbers"),
    ],
)
def test_bad_predictions_are_refused(arrays, tmp_path, change, message):
    arrays = {k: v for k, v in (arrays | change).items() if v is not None}
    with pytest.raises(InputError, match=message):
        read_predictions(saved(arrays, tmp_path), (FIRST_EDGE, ALL_EDGES))


@pytest.mark.parametrize("content", [b"", b"nothing", b"PK\x03\x04 cut short"])
def test_file_that_is_no_npz_is_refused(tmp_path, content):
    (tmp_path / "predictions.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"predictions\.npz: cannot be read"):
        read_predictions(tmp_path / "predictions.npz")


@pytest.mark.parametrize(
    ("told", "message"),
    [({"scene": "hall"}, "is of the scene 'hall', expected 'room' as in frames.h5; give the r"),
     ({"dataset": "e"}, "is of the dataset 'e', expected 'd' as in frames.h5; give the right"),
     ({"scene": np.array(["room"] * 4)}, "is of the scene '.*, expected 'room'"),
     (None, "does not name its dataset, expected 'd' as in frames.h5; .*, or make it again")],
)  # fmt: skip
def test_predictions_of_another_scene_are_refused(arrays, tmp_path, told, message):
    path = saved(arrays | (OWNED | told if told else {}), tmp_path)
    with pytest.raises(InputError, match=rf"predictions\.npz: {message}"):
        read_predictions(path, owner=Owner("d", "room", "frames.h5"))
    assert read_predictions(path).keys() == arrays.keys()


def test_predictions_tell_whose_they_are(arrays, tmp_path):
    path = saved(arrays | OWNED, tmp_path)
    owner = predictions_owner(path)
    assert owner == Owner("d", "room", path, "m")
    assert read_predictions(path, owner=owner).keys() == arrays.keys()
    with pytest.raises(InputError, match="does not name its data set, scene and model"):
        predictions_owner(saved(arrays, tmp_path))


def test_refined_poses_need_the_points_that_they_come_from(refined, tmp_path):
    del refined["refined_points"]
    with pytest.raises(InputError, match="lacks refined_points"):
        read_predictions(saved(refined, tmp_path))


def test_deviations_of_refined_poses_are_read_and_checked(refined, tmp_path):
    refined |= {"refined_deviation_m": np.arange(4.0), "refined_deviation_deg": np.arange(3.0)}
    with pytest.raises(InputError, match=r"refined_deviation_deg has shape \(3,\), expected \(4"):
        read_predictions(saved(refined, tmp_path))
    refined["refined_deviation_deg"] = np.arange(4.0)
    found = read_predictions(saved(refined, tmp_path))
    np.testing.assert_array_equal(found["refined_deviation_m"], np.arange(4))
