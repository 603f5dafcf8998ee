"""Edges into queries and back: averaged where both are, and failing alone."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from test_network_match_field_network import SETTINGS

from relposegnn.estimates import candidate_poses
from relposegnn.estimates.aggregation import MEDIAN, aggregate
from relposegnn.network.relative_poses import (
    KINDS,
    RELATIVE,
    from_other_direction,
    relative_pose,
    scene_from_world,
)
from relposegnn.poses import quaternion_from_matrix, rotation_error_deg


class PlantedNetwork:
    """In place of a network: true relative poses, those back a centimetre and a degree off."""

    def __init__(self, poses, knn):
        self.poses, self.knn, self.settings = poses, knn, SETTINGS

    def relate_at(self, features, edge_index, graph, queries, both):
        wanted = queries[edge_index[1]] | (queries[edge_index[0]] & both)
        if self.knn:  # the query is nobody's nearest: edges into it alone
            wanted &= queries[edge_index[1]]
        source, target = edge_index[:, wanted]
        relative = relative_pose(RELATIVE, self.poses[source], self.poses[target])
        out = ~queries[target].numpy()
        back = from_other_direction(RELATIVE, relative[out])
        back[:, 0] += 0.01
        back[:, 5] += np.radians(1) / 2
        relative[out] = from_other_direction(RELATIVE, back)
        return edge_index[:, wanted], torch.from_numpy(relative), 2.0 + source


def planted_images(model, poses):
    """Return in place of a scene's images what ``estimate_candidates`` asks of it."""
    return SimpleNamespace(
        model=model,
        frames=SimpleNamespace(poses=lambda split: poses[1:]),
        scene_from_world=scene_from_world(model.settings.pose, poses[1:]),
        graphs=lambda queries, neighbours: (torch.arange(4), np.arange(4)[None]),
    )


@pytest.mark.parametrize(
    ("both", "knn", "share"), [(False, False, 0.0), (True, False, 0.5), (True, True, 0.0)]
)
def test_both_directions_are_averaged_where_both_are(both, knn, share):
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, :3, :3] = Rotation.from_rotvec(rng.uniform(-0.3, 0.3, (4, 3))).as_matrix()
    poses[:, :3, 3] = rng.standard_normal((4, 3))
    images = planted_images(PlantedNetwork(poses, knn), poses)
    candidates = candidate_poses.estimate_candidates(images, None, np.arange(3)[None], both)
    assert candidates.distance.tolist() == [[3, 4, 5]]  # of the edges into the query, by source
    error = np.linalg.norm(candidates.translation[0] - poses[0, :3, 3], axis=1)
    np.testing.assert_allclose(error, share * 0.01, atol=1e-9)
    motion = np.linalg.norm(candidates.translation[0] - poses[1:, :3, 3], axis=1)
    np.testing.assert_allclose(candidates.motion[0], motion, atol=1e-9)
    truth = quaternion_from_matrix(poses[0, :3, :3])
    np.testing.assert_allclose(
        rotation_error_deg(candidates.quaternion[0], truth), share, atol=0.02
    )


@pytest.mark.parametrize("pose", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_edge_that_is_not_finite_fails_alone(pose, value):
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, 0, 3] = [0, 1, 2, 3]
    regressed = (
        torch.tensor([[1, 2, 3], [0, 0, 0]]),
        torch.tensor([[0.0] * 6, [0.0, 0, 0, 0, value, 0], [0.0] * 6]),
        torch.ones(3),
    )
    settings = replace(SETTINGS, pose=pose)
    model = SimpleNamespace(settings=settings, relate_at=lambda *graphs: regressed)
    images = planted_images(model, poses)
    candidates = candidate_poses.estimate_candidates(images, None, np.arange(3)[None], True)
    assert np.isnan(candidates.translation[0]).all(axis=1).tolist() == [False, True, False]
    assert np.isnan(candidates.quaternion[0]).all(axis=1).tolist() == [False, True, False]
    translation, _ = aggregate(candidates, MEDIAN)
    assert np.isnan(translation).all()
