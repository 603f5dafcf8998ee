# The settings, and what the rules ask about them. Lists of files are in targets.smk.
import os
import re
import subprocess
import sys
from pathlib import Path

# Not workflow.basedir: another workflow may use this one as a module.
PROJECT = Path(str(workflow.current_basedir)).parent
SCRIPTS = PROJECT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from relposegnn.configuration import refuse_duplicate_keys, validate_configuration
from relposegnn.digest import Library
from relposegnn.experiments import PUBLISHED, experiments, published_runs, trained_runs
from relposegnn.runtime import InputError

# Not the directive configfile: a module with settings of its own would be without the default ones.
workflow.configfiles.append(PROJECT / "config" / "config.yaml")  # for the report
try:
    for path in workflow.configfiles:
        refuse_duplicate_keys(path)
    config = validate_configuration(config, PROJECT)
except InputError as error:
    raise WorkflowError(str(error)) from None

DATASET = config["dataset"]
SCENES = config["scenes"]

VARIANTS = config["variants"]
RUNS = trained_runs(
    SCENES,
    config["training"]["seeds"],
    {variant: own["training"]["seeds"] for variant, own in VARIANTS.items()},
)
PUBLISHED_RUNS = published_runs(SCENES)
EXPERIMENTS = experiments(SCENES)

LIBRARY = Library(SCRIPTS)

AUTHORS = config["authors"]
AUTHORS_GRAPHS = config["graphs"]["source"] == "authors"  # to be tested on, at least
AUTHORS_TRAINING_GRAPHS = AUTHORS_GRAPHS and "train" in AUTHORS["graphs"]["splits"]

REFINEMENT = config["localization"]["refinement"] == "matches"


def any_of(names):
    """Return a pattern that matches these names and nothing else."""
    return "|".join(map(re.escape, names)) or "$."


wildcard_constraints:
    dataset=re.escape(DATASET),
    scene=any_of(SCENES),
    split="train|test",
    run=any_of([*RUNS, *PUBLISHED_RUNS]),
    experiment=any_of(EXPERIMENTS),
    variant=any_of(VARIANTS),
    weights=any_of(config["weights"]),


def code(script):
    """Return the digest of a script and of all library code that it runs."""
    return LIBRARY.digest(f"{script}.py")


def snakemakes_own_environment(wildcards):
    """Return no environment, for downloads: a change in one would delete them and fetch them anew.

    Beside what this file imports they need requests, which Snakemake itself does.
    """
    return None


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


def repeated(run):
    """Return the run whose settings a run has: itself, or that of the first seed."""
    return RUNS[run].repeats if run in RUNS else run


def section(name, run):
    """Return a section of the configuration as a run has it: a variant has sections of its own."""
    return VARIANTS.get(repeated(run), config)[name]


# Where files come from.


def address(key, url, **names):
    """Return a configured address with names in their places; ``key`` is where it stands."""
    if url is None:
        raise WorkflowError(
            f"{key}: is not given, expected the address of a file that is asked for"
        )
    for name, value in names.items():
        url = url.replace(f"{{{name}}}", value)
    return url


def archive_address(wildcards):
    """Return the address of a scene's archive."""
    url, scene = config["archive_url"], wildcards.scene
    if isinstance(url, dict):
        return url[scene]
    return address("archive_url", url, scene=scene)


def authors_model_address(wildcards):
    """Return the address of one of the authors' networks."""
    kind, scene = PUBLISHED_RUNS[wildcards.run]
    return address(f"authors.models.{kind}", AUTHORS["models"][kind], scene=scene)


def authors_graphs_address(wildcards):
    """Return the address of an archive of the authors' graphs."""
    names = {"scene": wildcards.scene, "split": wildcards.split}
    return address("authors.graphs.url", AUTHORS["graphs"]["url"], **names)


def authors_predictions_address(wildcards):
    """Return the address of the authors' estimates of a scene."""
    url = AUTHORS["predictions"].get(wildcards.scene)
    return address(f"authors.predictions.{wildcards.scene}", url)


# What the rules take in. Where something may not be needed, it is a list of one file or none. What
# is the user's own is "local": a module's prefix is for what the workflow makes.


def scene_folder(scene):
    """Return the folder of a scene: the user's own, or the one that is extracted."""
    if config["scenes_dir"]:
        return local(f"{config['scenes_dir']}/{scene}")
    return f"resources/{DATASET}/scenes/{scene}"


def backbone_weights(wildcards):
    """Return the ImageNet weights that training starts from."""
    model = section("model", wildcards.run)
    wanted = model["pretrained"] and model["edges"] == "pooled"
    return [f"resources/weights/{model['backbone']}.pth"] if wanted else []


def netvlad_weights(name):
    """Return the file of weights where NetVLAD starts from it.

    ``name`` is "netvlad", which needs no vocabulary, or "vgg16", which one is fitted with.
    """
    retrieval = config["retrieval"]
    chosen = {"authors": "netvlad", "imagenet": "vgg16"}.get(
        retrieval["netvlad_weights"]
    )
    wanted = retrieval["descriptor"] == "netvlad" and chosen == name
    return [f"resources/weights/{name}.pth"] if wanted else []


def vocabulary(wildcards):
    """Return the vocabulary of a scene where it is fitted from data."""
    if netvlad_weights("netvlad"):
        return []
    return [f"results/{DATASET}/vocabularies/{wildcards.scene}.npz"]


def graphs_file(run, scene, authors=AUTHORS_GRAPHS):
    """Return the graphs of a run in a scene: the authors', the dataset's, or a variant's own."""
    folder = f"results/{DATASET}/graphs"
    if authors:
        return f"{folder}/authors/{scene}.h5"
    own = section("graphs", run) != config["graphs"]
    return f"{folder}/{f'{repeated(run)}/' if own else ''}{scene}.h5"


def run_graphs(wildcards):
    """Return the graphs that a run is tested on in a scene."""
    return graphs_file(wildcards.run, wildcards.scene)


def retrieval_files(wildcards):
    """Return neighbours and descriptors of a scene, where graphs are sampled from them."""
    kinds = [] if AUTHORS_GRAPHS else ["neighbours", "descriptors"]
    return [f"results/{DATASET}/{kind}/{wildcards.scene}.h5" for kind in kinds]


def final_predictions(wildcards):
    """Return the estimates of a run in a scene: refined ones where the settings say so."""
    kind = "refined" if REFINEMENT else "predictions"
    return f"results/{DATASET}/runs/{wildcards.run}/{kind}/{wildcards.scene}.npz"


def training_graphs(wildcards):
    """Return the graphs of the scenes that a run is trained on."""
    return [
        graphs_file(wildcards.run, scene, AUTHORS_TRAINING_GRAPHS)
        for scene in RUNS[wildcards.run].scenes
    ]


def features_file(run, scene):
    """Return the features that a run sees of a scene, where its edges are match fields."""
    model = section("model", run)
    if run in PUBLISHED_RUNS or model["edges"] != "match_field":
        return []
    return [f"results/{DATASET}/features/{model['encoder']}/{scene}.h5"]


def run_features(wildcards):
    """Return the features of a scene that a run is tested with."""
    return features_file(wildcards.run, wildcards.scene)


def training_features(wildcards):
    """Return the features of the scenes that a run is trained on."""
    run = wildcards.run
    return [path for scene in RUNS[run].scenes for path in features_file(run, scene)]


def training_frames(wildcards):
    """Return the frames of the scenes that a run is trained on."""
    scenes = RUNS[wildcards.run].scenes
    return [f"results/{DATASET}/frames/{scene}.h5" for scene in scenes]


def literature(wildcards):
    """Return the file of the literature's results."""
    file = config["evaluation"]["literature"]
    return [local(file)] if file else []


# What the rules are told.


def rendering_settings(wildcards):
    """Return how the room of a scene is rendered."""
    settings = {
        key: value for key, value in config["rendering"].items() if key != "rooms"
    }
    return {**settings, "seed": config["rendering"]["rooms"].get(wildcards.scene)}


def packing_settings(wildcards):
    """Return how the frames of a scene are packed."""
    by_scene = ("statistics", "focal_lengths")
    known = {name: config["frames"][name].get(wildcards.scene) for name in by_scene}
    return {**config["frames"], **known}


def describing_settings(*more):
    """Return the settings that a descriptor depends on, beside its vocabulary or weights."""
    names = ("descriptor", "width", "height", "crop", *more)
    return {name: config["retrieval"][name] for name in names}


def describing_gpus():
    """Return how many GPUs a job takes that computes descriptors."""
    return int(config["retrieval"]["descriptor"] == "netvlad")


def sampling_settings(graphs, split):
    """Return how the graphs of a split are sampled, from a section ``graphs``."""
    own = graphs["test"] if split == "test" else None
    names = ("neighbours", "selection", "stride", "drop_probability", "seed")
    return {name: graphs[name] for name in names} | (own or {})


def model_settings(wildcards):
    """Return the shape of the network; where its weights start from is an input of training."""
    model = section("model", wildcards.run)
    return {key: value for key, value in model.items() if key != "pretrained"}


def authors_network():
    """Return the shape of the authors' networks; their poses' mean cancels in relative ones."""
    profile = AUTHORS["profile"].items()
    return {key: value for key, value in profile if key != "translation_mean"}


def authors_poses():
    """Return what the poses in the authors' graphs are, and how they are standardised."""
    names = ("pose", "translation_mean", "translation_deviation")
    return {name: AUTHORS["profile"][name] for name in names}


def training_settings(wildcards):
    """Return the training protocol of a run."""
    # Sorted: to Snakemake, params in another order are others.
    run = wildcards.run
    settings = dict(
        sorted({**section("training", run), "seed": RUNS[run].seed}.items())
    )
    settings.pop("seeds")
    single_scene_epochs = settings.pop("single_scene_epochs")
    if repeated(run) in EXPERIMENTS["single_scene"].values() and single_scene_epochs:
        settings["epochs"] = single_scene_epochs
    if settings["schedule"] != "step":
        settings["decay_epochs"] = settings["decay_factor"] = None
    return settings


def literature_dataset():
    """Return the name of the dataset in the file of the literature's results."""
    return config["evaluation"]["literature_dataset"] or DATASET


def localization_settings():
    """Return how poses follow from what networks regress, before they may be refined."""
    settings = config["localization"].items()
    return {key: value for key, value in settings if key != "refinement"}


# What captions say of the settings.


def sampling_remark(split):
    """Return in words which database images the graphs of a split take."""
    sampling = sampling_settings(config["graphs"], split)
    mix = config["graphs"]["train_mix"] if split == "train" else 0
    stride, dropped = sampling["stride"], sampling["drop_probability"]
    nearest = (stride, dropped) == (1, 0) or mix == 1
    strided = f"stride {stride} with drop probability {dropped:g}"
    mixed = f"{strided} ({mix:g} of the graphs: the nearest)" if mix else strided
    choice = {
        "strided": "the nearest" if nearest else mixed,
        "random": "drawn at random",
        "sequential": "the best-ranked and those recorded after it",
    }[sampling["selection"]]
    descriptor = config["retrieval"]["descriptor"]
    return f"graphs of {sampling['neighbours']} neighbours by {descriptor}, {choice}"


def graphs_remark(trained_here):
    """Return what a caption says of the graphs that models are trained on, and tested on."""
    theirs = "the authors' graphs"
    tested = theirs if AUTHORS_GRAPHS else sampling_remark("test")
    trained = theirs if AUTHORS_TRAINING_GRAPHS else sampling_remark("train")
    if not trained_here:
        return f"tested on {tested}"
    if trained == tested:
        return f"trained and tested on {tested}"
    return f"trained on {trained}; tested on {tested}"


def errors_remark(pose):
    """Return what a caption says of errors that are not those that the authors measured."""
    if pose != "world_to_camera":
        return ""
    return (
        " Translation errors are of camera centres c; the authors' are of t = -R c, of which a centre "
        "alone is no function."
    )


def table_remarks(wildcards):
    """Return what a table's caption says of the models behind it."""
    trained_here = not wildcards.experiment.startswith(PUBLISHED)
    shape = config["model"] if trained_here else AUTHORS["profile"]
    epochs = config["training"]["epochs"]
    if wildcards.experiment == "single_scene":
        epochs = config["training"]["single_scene_epochs"] or epochs
    origin = (
        f"{epochs} epochs" if trained_here else "the authors' weights, run by this code"
    )
    directions = ""
    if config["localization"]["both_directions"]:
        directions = "; both directions of an edge averaged"
    seen = f"{shape['backbone']}, pooled"
    if shape.get("edges") == "match_field":
        rays = ", in rays" if shape["positions"] == "rays" else ""
        seen = f"match fields of {shape['encoder']}{rays}"
    return (
        f"Models: {seen}, features of {shape['width']}, {shape['iterations']} rounds of "
        f"messages, poses of edges: {shape['pose']}, images whose shorter side has "
        f"{config['frames']['shorter_side']} pixels, {origin}; "
        f"{graphs_remark(trained_here)}{directions}.{errors_remark(shape['pose'])}"
    )


def variant_texts():
    """Return in words what each variant changes, and whose the authors' run is."""
    theirs = {}
    if PUBLISHED in config["experiments"]:
        theirs = dict.fromkeys(
            EXPERIMENTS[PUBLISHED].values(), "the authors' own network"
        )
    return theirs | {
        variant: ", ".join(
            f"{name}.{key} {value}"
            for name, own in sections.items()
            for key, value in own.items()
            if value != config[name][key]
        )
        for variant, sections in VARIANTS.items()
    }
