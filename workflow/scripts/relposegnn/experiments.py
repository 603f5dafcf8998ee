"""Runs and experiments: what they are called, and what they come to for given scenes.

A run is one model. An experiment is a table: which run each scene is tested with. The authors' own
networks have runs and experiments too, beside those of the networks that are trained here.
"""

from collections.abc import Iterable, Sequence

PUBLISHED = "published"  # prefix of the runs and experiments of the authors' own networks
EXPERIMENTS = {
    "joint": "one model trained on all scenes",
    "leave_one_out": "per scene, one model trained on the other scenes",
    "single_scene": "per scene, one model trained on it alone",
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


def trained_runs(scenes: Sequence[str], variants: Iterable[str] = ()) -> dict[str, list[str]]:
    """Return the scenes that each run is trained on, by the run's name.

    ``variants`` are named changes to the joint run: trained on all scenes too.
    """
    runs = {"joint": list(scenes), **{f"only-{scene}": [scene] for scene in scenes}}
    if len(scenes) > 1:
        for scene in scenes:
            runs[f"without-{scene}"] = [other for other in scenes if other != scene]
    return runs | {variant: list(scenes) for variant in variants}


def published_runs(scenes: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return (kind, scene) of the authors' networks, by the run's name.

    The kinds are the trained experiments; the joint network has no scene.
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
        run = TESTED_RUNS[kind] if experiment == kind else f"{PUBLISHED}-{TESTED_RUNS[kind]}"
        tested[experiment] = {scene: run.format(scene=scene) for scene in scenes}
    return tested


def trained_experiment(experiment: str) -> str:
    """Return the experiment whose way of training made the models of one: itself where ours."""
    return "joint" if experiment == PUBLISHED else experiment.removeprefix(f"{PUBLISHED}_")
