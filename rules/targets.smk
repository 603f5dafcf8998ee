# What the targets ask for: functions that list files. See common.smk for the settings behind them.

PHOTO_OUTPUTS = ("poses.csv", "poses.txt", "images.txt", "photos.png")


def scene_folders(wildcards):
    """Return the folders of all scenes."""
    return [scene_folder(scene) for scene in SCENES]


def requested_runs():
    """Return the runs of the configured experiments and variants, each once."""
    return list(dict.fromkeys(run for run, _ in requested_evaluations()))


def requested_evaluations():
    """Return (run, scene) of the configured experiments and variants, each once."""
    pairs = [
        (run, scene)
        for experiment in config["experiments"]
        for scene, run in EXPERIMENTS[experiment].items()
    ]
    return list(dict.fromkeys([*pairs, *(ablation_evaluations() if VARIANTS else [])]))


def place_files():
    """Return the places that photos can be localised in: every scene, by every requested run."""
    return [
        f"results/{DATASET}/runs/{run}/places/{scene}.json"
        for run in requested_runs()
        for scene in SCENES
    ]


def graphs_files():
    """Return the graphs of all scenes, and those that variants have of their own."""
    runs = ["joint", *VARIANTS]
    return list(dict.fromkeys(graphs_file(run, s) for run in runs for s in SCENES))


def ablation_evaluations():
    """Return (run, scene) of the table of ablations: the joint run, then its variants."""
    return [(run, scene) for run in ["joint", *VARIANTS] for scene in SCENES]


def evaluation_files(kind, suffix):
    """Return one file per requested evaluation: predictions or scores."""
    return [
        f"results/{DATASET}/runs/{run}/{kind}/{scene}.{suffix}"
        for run, scene in requested_evaluations()
    ]


def table_of(name):
    """Return the three forms of a table."""
    return [f"results/{DATASET}/tables/{name}.{form}" for form in ("csv", "md", "tex")]


def table_files():
    """Return every table of the configured experiments and variants."""
    retrieval = [] if PUBLISHED_GRAPHS else ["retrieval"]
    ablations = ["ablations"] if VARIANTS else []
    return [
        path
        for name in [*config["experiments"], *ablations, *retrieval]
        for path in table_of(name)
    ]


def figure_files():
    """Return every figure of the configured experiments and variants."""
    folder = f"results/{DATASET}/figures"
    galleries = [] if PUBLISHED_GRAPHS else SCENES
    return [
        *[
            f"{folder}/trajectories/{run}/{scene}.png"
            for run, scene in requested_evaluations()
        ],
        *[f"{folder}/errors/{experiment}.png" for experiment in config["experiments"]],
        *[f"{folder}/training/{run}.png" for run in requested_runs() if run in RUNS],
        *[f"{folder}/retrieval/{scene}.png" for scene in galleries],
    ]


def video_files():
    """Return the films of the configured experiments and variants."""
    return [
        f"results/{DATASET}/videos/{run}/{scene}.{form}"
        for run, scene in requested_evaluations()
        for form in ("mp4", "gif")
    ]


def prediction_table(experiment):
    """Return the comparison of an experiment's estimates with the authors', in its three forms."""
    return table_of(f"predictions_{experiment}")


def photo_files(wildcards):
    """Return what is made of the new photos."""
    photos = config["photos"]
    scene = photos["scene"] or (SCENES[0] if len(SCENES) == 1 else None)
    runs = [*RUNS, *PUBLISHED_RUNS]
    if not photos["folder"]:
        raise WorkflowError("photos.folder: is null, expected a folder of photos")
    if scene not in SCENES:
        raise WorkflowError(
            f"photos.scene: got {scene or 'null'}, expected one of {', '.join(SCENES)}"
        )
    if photos["run"] not in runs:
        raise WorkflowError(
            f"photos.run: got {photos['run']}, expected one of {', '.join(runs)}"
        )
    folder = f"results/{DATASET}/photos/{photos['run']}/{scene}"
    return [f"{folder}/{name}" for name in PHOTO_OUTPUTS]
