"""Runs and experiments, expanded from the names of the scenes.

A run is one model. An experiment is a table: which run each scene is tested with.
"""

from collections.abc import Iterable, Sequence

PUBLISHED = "published"  # prefix of the runs and experiments of the authors' own networks


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
        f"{PUBLISHED}-joint": ("joint", ""),
        **{f"{PUBLISHED}-without-{scene}": ("leave_one_out", scene) for scene in scenes},
        **{f"{PUBLISHED}-only-{scene}": ("single_scene", scene) for scene in scenes},
    }


def experiments(scenes: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the run that each scene is tested with, by experiment and scene."""
    trained = {
        "joint": {scene: "joint" for scene in scenes},
        "leave_one_out": {scene: f"without-{scene}" for scene in scenes},
        "single_scene": {scene: f"only-{scene}" for scene in scenes},
    }
    names = {kind: f"{PUBLISHED}_{kind}".removesuffix("_joint") for kind in trained}
    return trained | {
        names[kind]: {scene: f"{PUBLISHED}-{run}" for scene, run in runs.items()}
        for kind, runs in trained.items()
    }
