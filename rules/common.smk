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
from relposegnn.digest import library_digest
from relposegnn.runtime import InputError

try:
    for path in workflow.configfiles:
        refuse_duplicate_keys(path)
    config = validate_configuration(config, PROJECT / "config/config.schema.yaml")
except InputError as error:
    raise WorkflowError(str(error)) from None

DATASET = config["dataset"]
SCENES = config["scenes"]

# A run is one model: its name, and the scenes it is trained on.
JOINT = {"joint": SCENES}
LEAVE_ONE_OUT = {
    f"without-{scene}": [other for other in SCENES if other != scene]
    for scene in SCENES
}
SINGLE_SCENE = {f"only-{scene}": [scene] for scene in SCENES}
RUNS = JOINT | SINGLE_SCENE | (LEAVE_ONE_OUT if len(SCENES) > 1 else {})

# An experiment is a table: which run each scene is tested with.
EXPERIMENTS = {
    "joint": {scene: "joint" for scene in SCENES},
    "leave_one_out": {scene: f"without-{scene}" for scene in SCENES},
    "single_scene": {scene: f"only-{scene}" for scene in SCENES},
}


wildcard_constraints:
    dataset=re.escape(DATASET),
    scene="|".join(map(re.escape, SCENES)),
    run="|".join(map(re.escape, RUNS)),
    experiment="|".join(EXPERIMENTS),
    file="[^/]+",


def code(script):
    """Return the digest of a script and of all library code that it runs."""
    return library_digest(SCRIPTS / f"{script}.py")


def scene_folder(scene):
    """Return the folder of a scene: the user's own, or the one that is extracted."""
    return f"{config['scenes_dir'] or f'resources/{DATASET}/scenes'}/{scene}"


def weights_file(name):
    """Return where downloaded weights lie: they are shared by all datasets."""
    return f"resources/weights/{Path(config['weights'][name]['url']).name}"


def weights_source(wildcards):
    """Return address and checksum of a file of downloaded weights."""
    by_file = {
        Path(source["url"]).name: source for source in config["weights"].values()
    }
    return by_file[wildcards.file]


def backbone_weights(wildcards):
    """Return the ImageNet weights that training starts from, as a list of inputs."""
    model = config["model"]
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


def model_settings():
    """Return the shape of the network; where its weights start from is an input of training."""
    return {key: value for key, value in config["model"].items() if key != "pretrained"}


def training_settings(wildcards):
    """Return the training protocol of a run."""
    settings = dict(config["training"])
    single_scene_epochs = settings.pop("single_scene_epochs")
    if wildcards.run in SINGLE_SCENE and single_scene_epochs:
        settings["epochs"] = single_scene_epochs
    if settings["schedule"] != "step":
        del settings["decay_epochs"], settings["decay_factor"]
    return settings


def run_files(kind):
    """Return an input function: the ``kind`` file of every scene that a run is trained on."""
    return lambda wildcards: [
        f"results/{wildcards.dataset}/{kind}/{scene}.h5"
        for scene in RUNS[wildcards.run]
    ]


def experiment_scores(wildcards):
    """Return the scores that an experiment's table is made of, in the order of the scenes."""
    return [
        f"results/{wildcards.dataset}/runs/{run}/scores/{scene}.csv"
        for scene, run in EXPERIMENTS[wildcards.experiment].items()
    ]


def published_results(wildcards):
    """Return the file of published results, as a list of inputs."""
    published = config["evaluation"]["published"]
    return [published] if published else []


def table_remarks(wildcards):
    """Return what a table's caption says of the models behind it."""
    model, training = config["model"], config["training"]
    epochs = training["epochs"]
    if wildcards.experiment == "single_scene":
        epochs = training["single_scene_epochs"] or epochs
    return (
        f"Models: {model['backbone']}, features of {model['width']}, images whose shorter side has "
        f"{config['frames']['shorter_side']} pixels, {epochs} epochs; neighbours by "
        f"{config['retrieval']['descriptor']}, stride {config['graphs']['stride']}."
    )


def requested_runs():
    """Return the runs of the configured experiments, each once."""
    return list(dict.fromkeys(run for run, _ in requested_evaluations()))


def requested_evaluations():
    """Return (run, scene) of the configured experiments."""
    return [
        (run, scene)
        for experiment in config["experiments"]
        for scene, run in EXPERIMENTS[experiment].items()
    ]


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
    """Return every table of the configured experiments."""
    return [
        path
        for name in [*config["experiments"], "retrieval"]
        for path in table_of(name)
    ]


def figure_files():
    """Return every figure of the configured experiments."""
    folder = f"results/{DATASET}/figures"
    return [
        *[
            f"{folder}/trajectories/{run}/{scene}.png"
            for run, scene in requested_evaluations()
        ],
        *[f"{folder}/errors/{experiment}.png" for experiment in config["experiments"]],
        *[f"{folder}/training/{run}.png" for run in requested_runs()],
        *[f"{folder}/retrieval/{scene}.png" for scene in SCENES],
    ]
