# Functions that list the files of targets and tables. The settings are in common.smk.

TABLE_FORMS = ("csv", "md", "tex", "html")
PHOTO_OUTPUTS = ("poses.csv", "poses.txt", "images.txt", "photos.png")


def scenes_with_queries():
    """Return the scenes that have queries, or may have them because they do not exist yet."""
    if config["frames"]["held_out"]:
        return SCENES
    return [scene for scene in SCENES if lists_queries(Path(scene_folder(scene)))]


WITH_QUERIES = scenes_with_queries()
NO_QUERIES = not WITH_QUERIES
# The scenes in tables. If no scene has queries: all, and asking for a table raises an error.
SCORED = WITH_QUERIES or SCENES
if without := [scene for scene in SCENES if scene not in WITH_QUERIES]:
    logger.info(
        f"{shorten(', '.join(without), 60)}: no queries are listed, so nothing can be scored "
        "there; the default target trains networks and makes what photos are localised with"
    )


def scene_folders(wildcards):
    """Return the folders of all scenes."""
    return [scene_folder(scene) for scene in SCENES]


def graphs_files():
    """Return the graphs of all scenes, and those of variants that have their own."""
    runs = ["joint", *VARIANTS]
    return list(dict.fromkeys(graphs_file(run, s) for run in runs for s in SCENES))


def repeats():
    """Return the runs with further seeds, by the run that they repeat."""
    found = {}
    for run in ALL_RUNS:
        if repeated(run) != run:
            found.setdefault(repeated(run), []).append(run)
    return found


REPEATS = repeats()


def with_seeds(evaluations):
    """Return (run, scene) of evaluations, each followed by the same run with further seeds."""
    return [
        (again, scene)
        for run, scene in evaluations
        for again in [run, *REPEATS.get(run, [])]
    ]


def without_seeds(evaluations):
    """Return (run, scene) of evaluations, each run replaced by that of the first seed."""
    return [(repeated(run), scene) for run, scene in evaluations]


def runs_by_scene(experiment):
    """Return the run of an experiment by scene, for scored scenes, in the order of the scenes."""
    return {s: run for s, run in EXPERIMENTS[experiment].items() if s in SCORED}


def experiment_evaluations(experiment):
    """Return (run, scene) of an experiment's table, in the order of the scenes."""
    return with_seeds((run, scene) for scene, run in runs_by_scene(experiment).items())


def ablation_evaluations(scenes=SCORED):
    """Return (run, scene) of the table of ablations: joint, its variants, maybe the authors'."""
    theirs = (
        EXPERIMENTS[PUBLISHED].values() if PUBLISHED in config["experiments"] else []
    )
    runs = dict.fromkeys(["joint", *VARIANTS, *theirs])
    return [(run, scene) for run in runs for scene in scenes]


def requested_evaluations():
    """Return (run, scene) of the configured experiments and variants, each once, first seed."""
    pairs = [
        (run, scene)
        for experiment in config["experiments"]
        for scene, run in EXPERIMENTS[experiment].items()
    ]
    return list(
        dict.fromkeys([*pairs, *(ablation_evaluations(SCENES) if VARIANTS else [])])
    )


def requested_runs():
    """Return the runs of the configured experiments and variants, each once, first seed."""
    return list(dict.fromkeys(run for run, _ in requested_evaluations()))


def evaluation_files(pattern, seeds=False, scenes=SCORED):
    """Return the file of each requested evaluation, from a pattern with {run} and {scene}.

    For the first seed, or for all ``seeds``. A file that several evaluations share is listed once.
    """
    pairs = [(run, scene) for run, scene in requested_evaluations() if scene in scenes]
    pairs = with_seeds(pairs) if seeds else pairs
    files = [pattern.format(run=run, scene=scene) for run, scene in pairs]
    return list(dict.fromkeys(files))


def table_of(name, forms=TABLE_FORMS):
    """Return the files of a table, one for each form."""
    return [f"results/{DATASET}/tables/{name}.{form}" for form in forms]


def table_files(*forms):
    """Return all tables of the configured experiments and variants, in these forms or in all."""
    retrieval = [] if AUTHORS_GRAPHS else ["retrieval"]
    ablations = ["ablations"] if VARIANTS else []
    names = [*config["experiments"], *ablations, *retrieval]
    return [path for name in names for path in table_of(name, forms or TABLE_FORMS)]


def figure_files():
    """Return every figure of the configured experiments and variants."""
    folder = f"results/{DATASET}/figures"
    galleries = [] if AUTHORS_GRAPHS else SCORED
    matches = f"{folder}/matches/{{run}}/{{scene}}.png"
    return [
        *evaluation_files(f"{folder}/trajectories/{{run}}/{{scene}}.png"),
        *(evaluation_files(matches) if REFINEMENT else []),
        *[f"{folder}/errors/{experiment}.png" for experiment in config["experiments"]],
        *[f"{folder}/training/{run}.png" for run in requested_runs() if run in RUNS],
        *[f"{folder}/retrieval/{scene}.png" for scene in galleries],
    ]


def model_files():
    """Return the model of each requested run, for all seeds, and ``place_files``."""
    runs = f"results/{DATASET}/runs"
    return [
        *evaluation_files(f"{runs}/{{run}}/model.pt", seeds=True, scenes=SCENES),
        *place_files(),
    ]


def place_files():
    """Return the files that photos are localised with in each scene, for the first seed."""
    places = f"results/{DATASET}/runs/{{run}}/places/{{scene}}.json"
    return evaluation_files(places, scenes=SCENES)


def default_files():
    """Return what is made if no target is named; the provenance covers the same files.

    If no scene has queries, there is nothing to score: only models.
    """
    if NO_QUERIES:
        return model_files()
    cards = [
        f"results/{DATASET}/runs/{run}/model.md"
        for run in requested_runs()
        if run in RUNS
    ]
    return [*table_files(), *figure_files(), *place_files(), *cards]


def scores_of(evaluations):
    """Return the scores of evaluations, (run, scene)."""
    folder = f"results/{DATASET}/runs"
    return [f"{folder}/{run}/scores/{scene}.csv" for run, scene in evaluations]


def experiment_scores(wildcards):
    """Return the scores that an experiment's table is made from, in the order of the scenes."""
    if wildcards.experiment == "leave_one_out" and len(SCENES) < 2:
        raise WorkflowError("experiments: leave_one_out needs at least 2 scenes, got 1")
    return scores_of(experiment_evaluations(wildcards.experiment))


def first_seed_scores(wildcards):
    """Return the scores of an experiment for the first seed, in the order of the scenes."""
    runs = runs_by_scene(wildcards.experiment)
    return scores_of((run, scene) for scene, run in runs.items())


def report_places():
    """Return (scene, run) of the places of the report: those of the first experiment."""
    return list(runs_by_scene(config["experiments"][0]).items())


def report_files(pattern):
    """Return the file of each place of the report, from a pattern with {run} and {scene}."""
    return [
        pattern.format(dataset=DATASET, run=run, scene=scene)
        for scene, run in report_places()
    ]


def report_scenes(wildcards):
    """Return the folders that the report takes images from."""
    return [ancient(scene_folder(scene)) for scene, _ in report_places()]


def report_graphs(wildcards):
    """Return the graphs of the places of the report."""
    return [graphs_file(run, scene) for scene, run in report_places()]


def report_predictions(wildcards):
    """Return the estimates that the report shows."""
    kind = "refined" if REFINEMENT else "predictions"
    return report_files(f"results/{DATASET}/runs/{{run}}/{kind}/{{scene}}.npz")


def report_histories():
    """Return the training histories of the configured experiments and variants."""
    runs = [run for run in requested_runs() if run in RUNS]
    return [f"results/{DATASET}/runs/{run}/training.csv" for run in runs]


def finished_films(wildcards):
    """Return the existing films of the report's places: the report does not have any made."""
    films = report_files("results/{dataset}/videos/{run}/{scene}.mp4")
    return [path for path in films if Path(path).exists()]


def experiment_comparisons(wildcards):
    """Return the comparisons with the authors' estimates of an experiment's scenes."""
    return [
        f"results/{DATASET}/runs/{run}/comparison/{scene}.csv"
        for scene, run in runs_by_scene(wildcards.experiment).items()
    ]


def ablation_files(run, scene):
    """Return the files behind a run's row of the table of ablations in a scene.

    Scores, and, if messages are passed, the effect of the other images of a graph.
    """
    theirs = run in PUBLISHED_RUNS
    shape = AUTHORS["profile"] if theirs else section("model", run)
    kinds = ["scores", "context"] if shape["iterations"] else ["scores"]
    return [f"results/{DATASET}/runs/{run}/{kind}/{scene}.csv" for kind in kinds]


def ablation_rows():
    """Return (run without its seed, scene, number of files) of the table of ablations."""
    evaluations = with_seeds(ablation_evaluations())
    return [
        (repeated(r), scene, len(ablation_files(r, scene))) for r, scene in evaluations
    ]


def ablation_scores(wildcards):
    """Return the scores that the table of ablations is made from."""
    if not VARIANTS:
        raise WorkflowError(
            "variants: is empty, expected at least one, such as those of config/ablations.yaml"
        )
    evaluations = with_seeds(ablation_evaluations())
    return [path for run, scene in evaluations for path in ablation_files(run, scene)]


def validation_evaluations():
    """Return (run, scene) of the table of validation: the joint run, its variants, all seeds."""
    return with_seeds((run, scene) for run in ["joint", *VARIANTS] for scene in SCENES)


def validation_rows():
    """Return (run, scene, number of files) of the table of validation."""
    return [(repeated(run), scene, 1) for run, scene in validation_evaluations()]


def validation_scores(wildcards):
    """Return the scores of validation queries that their table is made from."""
    held_out = [own["graphs"]["validation"] for own in (config, *VARIANTS.values())]
    if AUTHORS_TRAINING_GRAPHS or not all(held_out):
        raise WorkflowError(
            "graphs.validation: no frames are held out, expected a share and a stretch, and graphs "
            "that are sampled here; set it for all variants"
        )
    folder = f"results/{DATASET}/runs"
    pairs = validation_evaluations()
    return [f"{folder}/{run}/validation/{scene}.csv" for run, scene in pairs]


def photo_files(wildcards):
    """Return the results for the new photos."""
    photos = config["photos"]
    scene = photos["scene"] or (SCENES[0] if len(SCENES) == 1 else None)
    if scene not in SCENES:
        raise WorkflowError(
            f"photos.scene: got {scene or 'null'}, expected one of {', '.join(SCENES)}"
        )
    if photos["run"] not in ALL_RUNS:
        raise WorkflowError(
            f"photos.run: got {photos['run']}, expected one of {', '.join(ALL_RUNS)}"
        )
    folder = f"results/{DATASET}/photos/{photos['run']}/{scene}"
    return [f"{folder}/{name}" for name in PHOTO_OUTPUTS]
