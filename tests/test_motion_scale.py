"""How long motions are in a new place: factors that the database's own poses tell."""

import numpy as np
import pytest
import torch
from test_match_field_network import FIRST, network, write_features

from relposegnn.checkpoints import save_model
from relposegnn.frames import Frames
from relposegnn.graphs import LEFT_OUT, write_split
from relposegnn.localization import localize_queries
from relposegnn.motion_files import read_motion_scale, write_motion_scale
from relposegnn.motion_scale import LEAST, MOST, fit_motion_scale, measure_motion_scale
from relposegnn.runtime import InputError
from relposegnn.scene_files import SceneFiles
from relposegnn.storage import create_hdf5

FACTORS = np.array([0.5, 2.0, 1.3])


@pytest.fixture
def features(tmp_path):
    return write_features(tmp_path / "features.h5")


def test_planted_factors_are_found():
    rng = np.random.default_rng(0)
    regressed = rng.standard_normal((2000, 3)) * [0.3, 0.1, 0.2]
    noisy = regressed * FACTORS + rng.normal(0, 0.01, (2000, 3))
    np.testing.assert_allclose(fit_motion_scale(regressed, noisy), FACTORS, rtol=0.02)
    regressed[::7, 1] = np.nan
    np.testing.assert_allclose(fit_motion_scale(regressed, noisy), FACTORS, rtol=0.02)


def test_a_network_that_says_nothing_of_motions_keeps_them_within_bounds():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((500, 3))
    unrelated, opposite = rng.standard_normal((500, 3)), -truth
    np.testing.assert_array_equal(fit_motion_scale(unrelated, truth), [LEAST] * 3)
    np.testing.assert_array_equal(fit_motion_scale(opposite, truth), [LEAST] * 3)
    np.testing.assert_array_equal(fit_motion_scale(truth / 100, truth), [MOST] * 3)
    np.testing.assert_array_equal(fit_motion_scale(np.full((4, 3), np.nan), truth[:4]), [1, 1, 1])


def test_short_motions_weigh_more_than_long_ones():
    truth = np.array([[0.05, 0, 0], [2.0, 0, 0]])
    factor = fit_motion_scale(truth / [[2.0], [1.0]], truth)[0]
    assert 1.05 < factor < 2  # all the same weight: 1.0002


def test_motions_are_scaled_along_the_axes_of_the_source(tiny_scene, features, tmp_path):
    """Of each edge; rotations stay."""
    write_motion_scale(tmp_path / "motions.json", FACTORS)
    np.testing.assert_array_equal(read_motion_scale(tmp_path / "motions.json"), FACTORS)
    files = SceneFiles(tiny_scene.frames, tiny_scene.graphs, features)
    model = network()
    plain = localize_queries(model, files, FIRST)
    scaled = localize_queries(model, files._replace(motions=tmp_path / "motions.json"), FIRST)
    np.testing.assert_allclose(scaled["abs_q"], plain["abs_q"])
    with Frames(tiny_scene.frames) as frames:
        poses = frames.poses("train")
    for query in range(len(plain["abs_t"])):
        centre = plain["reference_t"][query]
        source = poses[np.linalg.norm(poses[:, :3, 3] - centre, axis=1).argmin(), :3, :3]
        moved, longer = (each["abs_t"][query] - centre for each in (plain, scaled))
        np.testing.assert_allclose(longer @ source, FACTORS * (moved @ source), atol=1e-6)


def test_a_scene_is_measured_on_its_left_out_frames(tiny_scene, features, tmp_path, caplog):
    """Here of one edge each, whose motions the predictions have; bounds are told of."""
    model, cpu = network(), torch.device("cpu")
    save_model(tmp_path / "model.pt", model, 0, ["elsewhere"])
    graphs = tmp_path / "left.h5"
    with create_hdf5(graphs, "graphs", {}) as file:
        write_split(file, LEFT_OUT, np.arange(6), np.array([[7], [8], [9]] * 2))
    files = SceneFiles(tiny_scene.frames, graphs, features)
    measure_motion_scale(tmp_path / "model.pt", files, tmp_path / "scale.json", False, cpu)
    found = localize_queries(model, files, FIRST, LEFT_OUT)
    with Frames(tiny_scene.frames) as frames:
        axes = frames.poses("train")[[7, 8, 9] * 2, :3, :3]
    regressed, truth = (
        np.einsum("nji,nj->ni", axes, found[name] - found["reference_t"])
        for name in ("abs_t", "targ_t")
    )
    expected = fit_motion_scale(regressed, truth)
    np.testing.assert_allclose(read_motion_scale(tmp_path / "scale.json"), expected, rtol=1e-4)
    at_bound = np.isin(expected, (LEAST, MOST)).any()
    assert ("is at its bound" in caplog.text) == at_bound


@pytest.mark.parametrize("text", ["", "[]", '{"factors": [1, 2]}', '{"factors": [1, 0, 1]}'])
def test_a_file_that_is_no_scale_is_refused(tmp_path, text):
    (tmp_path / "scale.json").write_text(text)
    with pytest.raises(InputError, match=r"scale\.json: cannot be read as a scale of motions"):
        read_motion_scale(tmp_path / "scale.json")
