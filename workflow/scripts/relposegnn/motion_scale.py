"""How long motions are in a place that a network was not trained on.

Two images do not tell how far away things are, and so not how far the camera has moved: a network
takes motions to be as long as those that look alike where it was trained. In another place the
known poses of the database tell, by three factors along the axes of cameras.
"""

import logging
from pathlib import Path

import numpy as np
import torch

from .checkpoints import load_model
from .frames import Frames
from .graphs import LEFT_OUT, read_graphs
from .localization import relate_to_neighbours
from .motion_files import write_motion_scale
from .relative_poses import RELATIVE, relative_pose
from .scene_files import SceneFiles
from .scene_images import SceneImages

logger = logging.getLogger(__name__)

NEAR = 0.05  # metres, added to the length of a motion before it weighs: short ones weigh much alike
LEAST, MOST = 0.2, 5.0  # of a factor


def measure_motion_scale(
    model_file: str | Path,
    scene: SceneFiles,
    scale_file: str | Path,
    both_directions: bool,
    device: torch.device,
) -> None:
    """Write the factors that a network's motions lack in a scene, as JSON.

    Args:
        model_file: of the network.
        scene: its files; the graphs are of left-out database frames, see ``left_out``.
        scale_file: to write.
        both_directions: see ``LocalizationSettings``.
        device: to compute on.

    Raises:
        InputError: the files do not fit the model or each other.
    """
    model = load_model(model_file).to(device, memory_format=torch.channels_last)
    scale = np.ones(3)
    if model.settings.pose == RELATIVE:
        query, neighbours = read_graphs(scene.graphs, LEFT_OUT)
        with Frames(scene.frames, scene.camera) as frames:
            images = SceneImages(model, frames, scene.features)
            seen = images.of_frames("train", query)
            relative, source = relate_to_neighbours(images, seen, neighbours, both_directions)
            poses = frames.poses("train")
        sources = poses[np.take_along_axis(neighbours, source - 1, axis=1)]
        truth = relative_pose(RELATIVE, sources, poses[query][:, None])
        scale = fit_motion_scale(relative[..., :3].reshape(-1, 3), truth[..., :3].reshape(-1, 3))
        logger.info("motions are %.2f, %.2f and %.2f times as long as regressed", *scale)
        if np.isin(scale, (LEAST, MOST)).any():
            logger.warning(
                "%s: a factor is at its bound, %g or %g: this network tells little of motions here",
                *(scene.frames, LEAST, MOST),
            )
    write_motion_scale(scale_file, scale)


def fit_motion_scale(regressed: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the factors (3,) that bring regressed motions (N, 3) nearest to the true ones (N, 3).

    Least squares along each axis, each motion with the weight 1 / (``NEAR`` + its length)^2.
    Regressed motions that are not finite do not count; without any, the factors are 1.
    """
    used = np.isfinite(regressed).all(axis=1)
    regressed, truth = regressed[used], truth[used]
    weight = 1 / (NEAR + np.linalg.norm(truth, axis=1, keepdims=True)) ** 2
    square = (weight * regressed**2).sum(axis=0)
    product = (weight * regressed * truth).sum(axis=0)
    factors = np.divide(product, square, out=np.ones(3), where=square > 0)
    return np.clip(factors, LEAST, MOST)
