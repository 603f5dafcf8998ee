"""Runs and experiments: their names, and which of them there are for given scenes.

A run is one model. An experiment is a table: the run that each scene is tested with, for each seed.
Besides the networks that are trained here, the authors' networks have runs and experiments too, and
so does the general network, for places that it was not trained on.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

SCENE_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"  # as in config.schema.yaml
AVERAGE = "average"  # in the place of a scene's name in tables
COLUMNS = (AVERAGE, "method", "change", "alone")  # of tables that also have a column per scene
PUBLISHED = "published"  # prefix of the runs and experiments of the authors' own networks
GENERAL, UNSEEN = "general", "unseen"  # run and experiment of the general network
EXPERIMENTS = {
    "joint": "one model trained on all scenes",
    "leave_one_out": "per scene, one model trained on the other scenes",
    "single_scene": "per scene, one model trained on it alone",
    UNSEEN: "one model that was trained on none of the scenes, but on other places",
    "published": "the authors' joint model, run by this code",
    "published_leave_one_out": (
        "per scene, the authors' model trained on the other scenes, run by this code"
    ),
    "published_single_scene": (
        "per scene, the authors' model trained on it alone, run by this code"
    ),
}
# The run that a scene is tested with, in each experiment whose networks are trained here.
TESTED_RUNS = {
    "joint": "joint",
    "leave_one_out": "without-{scene}",
    "single_scene": "only-{scene}",
}


class Run(NamedTuple):
    """A model that is trained here: its scenes and its seed.

    ``repeats`` names the run of the first seed, which has the same settings; it may be this run.
    """

    scenes: list[str]
    repeats: str
    seed: int


def trained_runs(
    scenes: Sequence[str], seeds: Sequence[int], variants: Mapping[str, Sequence[int]] | None = None
) -> dict[str, Run]:
    """Return the runs by name. Names of further seeds have a suffix, so that adding them is safe.

    Args:
        scenes: all of them.
        seeds: of every run.
        variants: named changes to the joint run, trained on all scenes too, and their seeds.
    """
    trained_on = {"joint": list(scenes), **{f"only-{scene}": [scene] for scene in scenes}}
    if len(scenes) > 1:
        for scene in scenes:
            trained_on[f"without-{scene}"] = [other for other in scenes if other != scene]
    variants = variants or {}
    trained_on |= {variant: list(scenes) for variant in variants}
    return {
        run if seed == own_seeds[0] else f"{run}-seed{seed}": Run(own, run, seed)
        for run, own in trained_on.items()
        for own_seeds in [variants.get(run, seeds)]
        for seed in own_seeds
    }


def general_runs(models: Sequence[str]) -> dict[str, str]:
    """Return the files of general networks, one per seed, by the run's name."""
    names = [GENERAL, *(f"{GENERAL}-seed{seed}" for seed in range(1, len(models)))]
    return dict(zip(names, models, strict=False))


def published_runs(scenes: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return (kind, scene) of the authors' networks, by the run's name.

    The kinds are the keys of ``TESTED_RUNS``; the joint network has an empty scene.
    """
    return {
        f"{PUBLISHED}-{run.format(scene=scene)}": (kind, "" if kind == "joint" else scene)
        for kind, run in TESTED_RUNS.items()
        for scene in scenes
    }


def experiments(scenes: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the run that each scene is tested with, by experiment and scene."""
    tested = {}
    for experiment in EXPERIMENTS:
        kind = trained_experiment(experiment)
        run = GENERAL if experiment == UNSEEN else TESTED_RUNS[kind]
        if experiment != kind:
            run = f"{PUBLISHED}-{run}"
        tested[experiment] = {scene: run.format(scene=scene) for scene in scenes}
    return tested


def trained_experiment(experiment: str) -> str:
    """Return the experiment that trains models as in this one: itself unless the authors' did."""
    return "joint" if experiment == PUBLISHED else experiment.removeprefix(f"{PUBLISHED}_")
