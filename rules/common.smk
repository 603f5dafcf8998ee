# The configuration, and what the rules ask about it. All Python functions of the workflow are here.
import os
import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(workflow.basedir)
SCRIPTS = PROJECT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from relposegnn.configuration import refuse_duplicate_keys, validate_configuration
from relposegnn.digest import Library
from relposegnn.downloads import file_name
from relposegnn.experiments import PUBLISHED, experiments, published_runs, trained_runs
from relposegnn.runtime import InputError

try:
    for path in workflow.configfiles:
        refuse_duplicate_keys(path)
    config = validate_configuration(config, PROJECT / "config/config.schema.yaml")
except InputError as error:
    raise WorkflowError(str(error)) from None

DATASET = config["dataset"]
SCENES = config["scenes"]

VARIANTS = config["variants"]
RUNS = trained_runs(SCENES, VARIANTS)
PUBLISHED_RUNS = published_runs(SCENES)
EXPERIMENTS = experiments(SCENES)

LIBRARY = Library(SCRIPTS)
PUBLISHED_GRAPHS = config["graphs"]["source"] == "published"


def any_of(names):
    """Return a pattern that matches these names and nothing else."""
    return "|".join(map(re.escape, names))


wildcard_constraints:
    dataset=re.escape(DATASET),
    scene=any_of(SCENES),
    run=any_of([*RUNS, *PUBLISHED_RUNS]),
    experiment=any_of(EXPERIMENTS),
    variant=any_of(VARIANTS) or "$.",  # without variants: nothing
    file="[^/]+",


def code(script):
    """Return the digest of a script and of all library code that it runs."""
    return LIBRARY.digest(f"{script}.py")


def scene_folder(scene):
    """Return the folder of a scene: the user's own, or the one that is extracted."""
    return f"{config['scenes_dir'] or f'resources/{DATASET}/scenes'}/{scene}"


def section(name, run):
    """Return a section of the configuration as a run has it: a variant has sections of its own."""
    return VARIANTS.get(run, config)[name]


def archive_url(wildcards):
    """Return the address of a scene's archive."""
    address = config["archive_url"]
    if isinstance(address, dict):
        return address[wildcards.scene]
    return (address or "").format(scene=wildcards.scene)


def weights_file(name):
    """Return where downloaded weights lie: they are shared by all datasets."""
    return f"resources/weights/{file_name(config['weights'][name])}"


def weights_addresses():
    """Return the addresses of all trained weights, the authors' networks included, by file."""
    urls = [*config["weights"].values(), *map(published_model_address, PUBLISHED_RUNS)]
    return {file_name(url): url for url in urls if url}


def backbone_weights(wildcards):
    """Return the ImageNet weights that training starts from, as a list of inputs."""
    model = section("model", wildcards.run)
    return [weights_file(model["backbone"])] if model["pretrained"] else []


def netvlad_weights(name):
    """Return a file of weights where NetVLAD starts from it, as a list of inputs.

    ``name`` is "netvlad", which needs no vocabulary, or "vgg16", which one is fitted with.
    """
    retrieval = config["retrieval"]
    source = {"netvlad": "published", "vgg16": "imagenet"}[name]
    wanted = (
        retrieval["descriptor"] == "netvlad" and retrieval["netvlad_weights"] == source
    )
    return [weights_file(name)] if wanted else []


def vocabulary(wildcards):
    """Return the vocabulary of a scene where it is fitted from data, as a list of inputs."""
    if netvlad_weights("netvlad"):
        return []
    return [f"results/{wildcards.dataset}/vocabularies/{wildcards.scene}.npz"]


def describing_settings(*more):
    """Return the settings that a descriptor depends on, beside its vocabulary or weights."""
    names = ("descriptor", "width", "height", *more)
    return {name: config["retrieval"][name] for name in names}


def packing_settings(wildcards):
    """Return how the frames of a scene are packed."""
    frames = config["frames"]
    statistics = frames["statistics"].get(wildcards.scene)
    return {"shorter_side": frames["shorter_side"], "statistics": statistics}


def describing_gpus():
    """Return how many GPUs a job takes that computes descriptors."""
    return int(config["retrieval"]["descriptor"] == "netvlad")


def retrieval_environment():
    """Return the conda environment with faiss for the GPU where a GPU answers.

    The first Snakemake process decides, or whoever sets RELPOSEGNN_FAISS to "-gpu" or to nothing: its
    jobs inherit the variable, so that a cluster's nodes do not decide anew.
    """
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True)
        found = "-gpu" if answer.returncode == 0 else ""
    except FileNotFoundError:
        found = ""
    kind = os.environ.setdefault("RELPOSEGNN_FAISS", found)
    return f"../envs/retrieval{kind}.yaml"


def sampling_settings(graphs):
    """Return how graphs are sampled, from a section ``graphs``."""
    return {key: value for key, value in graphs.items() if key != "source"}


def model_settings(wildcards):
    """Return the shape of the network; where its weights start from is an input of training."""
    model = section("model", wildcards.run)
    return {key: value for key, value in model.items() if key != "pretrained"}


def training_settings(wildcards):
    """Return the training protocol of a run."""
    # Sorted: to Snakemake, params in another order are others.
    settings = dict(sorted(section("training", wildcards.run).items()))
    single_scene_epochs = settings.pop("single_scene_epochs")
    if wildcards.run in EXPERIMENTS["single_scene"].values() and single_scene_epochs:
        settings["epochs"] = single_scene_epochs
    if settings["schedule"] != "step":
        settings["decay_epochs"] = settings["decay_factor"] = None
    return settings


def frames_file(scene):
    """Return the frames of a scene."""
    return f"results/{DATASET}/frames/{scene}.h5"


def graphs_file(run, scene):
    """Return the graphs that a run is tested on in a scene, and trained on where it may be.

    Those of the dataset, a variant's own where it has any, or the authors'.
    """
    folder = f"results/{DATASET}/graphs"
    if PUBLISHED_GRAPHS:
        return f"{folder}/published/{scene}.h5"
    own = section("graphs", run) != config["graphs"]
    return f"{folder}/{f'{run}/' if own else ''}{scene}.h5"


def training_frames(wildcards):
    """Return the frames of the scenes that a run is trained on."""
    return [frames_file(scene) for scene in RUNS[wildcards.run]]


def training_graphs(wildcards):
    """Return the graphs of the scenes that a run is trained on: the authors' where imported."""
    if PUBLISHED_GRAPHS and "train" not in config["published_graphs"]["splits"]:
        return [
            f"results/{wildcards.dataset}/graphs/{scene}.h5"
            for scene in RUNS[wildcards.run]
        ]
    return [graphs_file(wildcards.run, scene) for scene in RUNS[wildcards.run]]


def run_graphs(wildcards):
    """Return the graphs that a run is tested on in a scene."""
    return graphs_file(wildcards.run, wildcards.scene)


def experiment_scores(wildcards):
    """Return the scores that an experiment's table is made of, in the order of the scenes."""
    if wildcards.experiment == "leave_one_out" and len(SCENES) < 2:
        raise WorkflowError("experiment leave_one_out needs at least 2 scenes, got 1")
    return [
        f"results/{wildcards.dataset}/runs/{run}/scores/{scene}.csv"
        for scene, run in EXPERIMENTS[wildcards.experiment].items()
    ]


def photos_in_folder(wildcards):
    """Return the files in the folder of new photos: a change in any of them counts."""
    return [
        str(path)
        for path in sorted(Path(config["photos"]["folder"]).rglob("*"))
        if path.is_file()
    ]


def ablation_scores(wildcards):
    """Return the scores that the table of ablations is made of."""
    if not VARIANTS:
        raise WorkflowError(
            "variants: is empty, expected some, such as those of config/ablations.yaml"
        )
    return [
        f"results/{wildcards.dataset}/runs/{run}/scores/{scene}.csv"
        for run, scene in ablation_evaluations()
    ]


def experiment_comparisons(wildcards):
    """Return the comparisons with the authors' estimates of an experiment's scenes."""
    return [
        f"results/{wildcards.dataset}/runs/{run}/comparison/{scene}.csv"
        for scene, run in EXPERIMENTS[wildcards.experiment].items()
    ]


def published_results(wildcards):
    """Return the file of published results, as a list of inputs."""
    published = config["evaluation"]["published"]
    return [published] if published else []


def published_dataset():
    """Return the name of the dataset in the file of published results."""
    return config["evaluation"]["published_dataset"] or DATASET
