"""Predictions whose errors are planted, and what is stated of them; for tests."""

import numpy as np
from conftest import OWNED
from scipy.spatial.transform import Rotation

from relposegnn.estimates.predictions import MATCHED, PREFIXES, REFINED, SOLVED, TRUTH, pose_arrays
from relposegnn.poses import quaternion_from_matrix
from relposegnn.scores.calibration import (
    DECADES,
    USUAL_RATIO,
    read_calibration,
    stated_errors,
)
from relposegnn.scores.error_scales import LeftOutPredictions, calibrate_errors
from relposegnn.scores.metrics import pose_errors

SHAPE = DECADES / np.log(USUAL_RATIO)  # of the Weibull distribution that has the usual ratio


def turned_and_shifted(rng, poses, metres, degrees):
    """Return centres (N, 3) and rotations this far from others, in any direction."""
    direction = rng.standard_normal((2, len(metres), 3))
    direction /= np.linalg.norm(direction, axis=2, keepdims=True)
    turn = Rotation.from_rotvec(np.radians(degrees)[:, None] * direction[1])
    return poses[0] + metres[:, None] * direction[0], poses[1] * turn


def quaternions(rotations):
    return quaternion_from_matrix(rotations.as_matrix())


# Of a constant, the spread, the motion, and how much the most similar image differs.
PLANTED = {"metres": [0.01, 0.5, 0.2, 0.05], "degrees": [0.3, 1.0, 0.1, 2.0]}


def predictions(count=3000, seed=0, refined=False, factor=1.0, farther=0.0, way=0.1):
    """Return predictions whose errors are what is told of them, times factors and draws.

    Regressed ones are farther off by the root of ways in metres, some ``way`` long. Of refined
    poses, the first third stay as regressed; those of others are nearer, and half as far off as
    where focal lengths are solved for.
    """
    rng = np.random.default_rng(seed)
    spread, motion = rng.lognormal(np.log([[0.1], [0.3]]), 0.8, (2, count))
    apart = np.random.default_rng([seed, 2]).uniform(0, 1.2, count) ** 3
    told = np.stack([np.ones(count), spread, motion, apart], axis=1)
    told = {"metres": told, "degrees": told * [1, 20, 40, 1]}
    distance = rng.lognormal(0, 0.5, count)
    ways = np.random.default_rng([seed, 1]).lognormal(np.log(way), 0.5, count)
    grown = factor * distance * (1 + farther * np.sqrt(ways))
    sizes = [grown * (told[unit] @ PLANTED[unit]) for unit in PLANTED]
    truth = 100 * np.random.default_rng(9).random((count, 3)), Rotation.random(count, rng=9)
    arrays = {"targ_t": truth[0], "targ_q": quaternions(truth[1])}
    arrays["rel_path"] = np.array([f"seq-01/{number}" for number in range(count)])
    draws = rng.weibull(SHAPE, (2, count))
    pose = turned_and_shifted(rng, truth, sizes[0] * draws[0], sizes[1] * draws[1])
    first = turned_and_shifted(rng, pose, motion, 40 * motion)
    for prefix, (centres, rotations) in (("abs", pose), ("robust", pose), ("reference", first)):
        arrays |= {f"{prefix}_t": centres.copy(), f"{prefix}_q": quaternions(rotations)}
    arrays |= {"spread_m": spread, "spread_deg": 20 * spread, "similarity": 1 - apart / 2}
    arrays |= {"abs_distance": distance, "robust_distance": distance}
    arrays |= {"abs_nearest": ways, "robust_nearest": ways}
    if refined:
        deviation = rng.lognormal(np.log(0.005), 0.8, count)
        stays = np.arange(count) < count // 3
        told = np.where(stays, 3**0.5 * spread, deviation)
        for estimator, times in ((REFINED, 2), (SOLVED, 4)):
            sizes = factor * times * rng.weibull(1.2, (2, count)) * deviation
            near = turned_and_shifted(rng, truth, sizes[0], 30 * sizes[1])
            names, prefix = MATCHED[estimator], PREFIXES[estimator]
            arrays |= zip(names.deviations, (told, 20 * told), strict=True)
            arrays[names.points] = np.where(stays, 0, 50)
            arrays[names.misfit] = np.where(stays, np.nan, 0.5)
            arrays |= dict.fromkeys(names.least, np.zeros(count))
            for part, own in (("t", near[0]), ("q", quaternions(near[1]))):
                arrays[f"{prefix}_{part}"] = np.where(stays[:, None], arrays[f"robust_{part}"], own)
    return arrays


def calibrate(folder, arrays, known=False, fellows=(), near=False):
    """Return the calibration by predictions of left-out frames, some of which may be known.

    Fellows are predictions of other scenes, and which of their frames are known. Those that are
    ``near`` are so in all scenes.
    """
    left_out = []
    for number, (own, seen) in enumerate([(arrays, known), *fellows]):
        np.savez(folder / f"predictions-{number}.npz", **own | OWNED)
        which = (np.broadcast_to(each, len(own["targ_t"])) for each in (seen, near))
        left_out.append(LeftOutPredictions(folder / f"predictions-{number}.npz", *which))
    calibrate_errors(left_out[0], folder / "calibration.json", left_out[1:])
    return read_calibration(folder / "calibration.json")


def covered(arrays, estimator, calibration):
    """Return which errors in metres, degrees are within the stated ones (levels, 2, N)."""
    stated = np.stack(stated_errors(arrays, estimator, calibration), axis=1)
    poses, truths = (pose_arrays(arrays, prefix) for prefix in (PREFIXES[estimator], TRUTH))
    return np.stack(pose_errors(poses, truths)) <= stated


def joined(*parts):
    """Return the predictions of several sets of frames as one."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def uncorrected(calibration):
    """Return a calibration without its corrections."""
    return {name: scale._replace(corrections=[[], []]) for name, scale in calibration.items()}
