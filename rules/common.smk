# The settings, and the parameters of rules that follow from them. Input files of rules are in
# inputs.smk, lists of files in targets.smk, captions in captions.smk.
import os
import re
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from textwrap import shorten

SCRIPTS = PROJECT / "workflow" / "scripts"
sys.path.insert(0, str(SCRIPTS))

from relposegnn.layouts.files import lists_queries
from relposegnn.locks import WORKFLOW_VARIABLE, keep_locks_of_others
from relposegnn.pipeline.configuration import (
    used_model_settings,
    validate_configuration,
)
from relposegnn.pipeline.configuration_files import check_file
from relposegnn.pipeline.digest import Library
from relposegnn.pipeline.experiments import (
    GENERAL,
    PUBLISHED,
    SCENE_NAME,
    UNSEEN,
    experiments,
    general_runs,
    published_runs,
    trained_runs,
)
from relposegnn.runtime import InputError, check_writable
from relposegnn.threads import keep_freed_memory, leave_cores_to_others

leave_cores_to_others()  # jobs inherit it
keep_freed_memory()  # and this
with suppress(ImportError, AttributeError):  # other versions do not need it
    from snakemake.persistence.file import FilePersistence

    keep_locks_of_others(FilePersistence)

if re.search("[{}]", str(PROJECT)):
    raise WorkflowError(
        f"{PROJECT}: has braces in its name, which Snakemake takes for wildcards; rename the folder"
    )
# Snakemake passes the path of its Python to bash unquoted. Quoted, it may contain spaces.
if not sys.executable.startswith("'"):  # only once: modules include this file too
    sys.executable = shlex.quote(sys.executable)

# Jobs inherit this variable, and end when this process ends.
os.environ[WORKFLOW_VARIABLE] = str(os.getpid())

# Not with the directive configfile: a module with its own settings would not get the defaults.
workflow.configfiles.append(PROJECT / "config" / "config.yaml")  # for the report
try:
    check_writable(Path.cwd())  # Snakemake itself would end in a traceback
    for path in workflow.configfiles:
        check_file(path)
    config = validate_configuration(config, PROJECT, USERS_FOLDER)
except InputError as error:
    raise WorkflowError(str(error)) from None

# Snakemake silently reduces what a job requests to the limit for all jobs together.
most_gpus = workflow.global_resources.get("gpu").value  # 0 and None: no limit
for rule_name, resources in workflow.resource_settings.overwrite_resources.items():
    asked = resources["gpu"].raw if "gpu" in resources else 0
    if most_gpus and int(asked) > most_gpus:
        raise WorkflowError(
            f"--set-resources {rule_name}:gpu={asked}: all jobs together may have {most_gpus}, "
            f"expected at least {asked}: raise it too, with --resources gpu={asked}"
        )

DATASET = config["dataset"]
SCENES = config["scenes"]

VARIANTS = config["variants"]
RUNS = trained_runs(
    SCENES,
    config["training"]["seeds"],
    {variant: own["training"]["seeds"] for variant, own in VARIANTS.items()},
)
GENERAL_RUNS = general_runs(config["general"]["models"])
PUBLISHED_RUNS = published_runs(SCENES)
ALL_RUNS = [*RUNS, *GENERAL_RUNS, *PUBLISHED_RUNS]
EXPERIMENTS = experiments(SCENES)

LIBRARY = Library(SCRIPTS)

AUTHORS = config["authors"]
AUTHORS_GRAPHS = config["graphs"]["source"] == "authors"  # at least for testing
AUTHORS_TRAINING_GRAPHS = AUTHORS_GRAPHS and "train" in AUTHORS["graphs"]["splits"]

REFINEMENT = config["localization"]["refinement"] == "matches"


# Snakemake copies a wildcard's pattern into every path that has it, and matches every file against
# these patterns: one that lists a thousand scenes makes each scene a thousand times as slow.


def any_of(names):
    """Return a pattern that matches exactly these names; only for few names, see ``runs_of``."""
    return "|".join(map(re.escape, names)) or "$."


def runs_of(*kinds):
    """Return a pattern for names of runs of the given kinds: "trained", "general", "published"."""
    of_scenes = f"joint|only-{SCENE_NAME}|without-{SCENE_NAME}"
    patterns = {
        "trained": f"(?:{of_scenes}|{any_of(VARIANTS)})(?:-seed[0-9]+)?",
        "general": any_of(GENERAL_RUNS),
        "published": f"{PUBLISHED}-(?:{of_scenes})",
    }
    return "|".join(patterns[kind] for kind in kinds)


def known(kind, name, names):
    """Return ``name``; raise an error if only its pattern fits, and it is not one of ``names``."""
    if name not in names:
        raise WorkflowError(
            f"{name}: not a {kind} of this configuration, expected one of "
            f"{shorten(', '.join(names), 200)}"
        )
    return name


def trained(run):
    """Return the run of this name, which has to be trained here."""
    return RUNS[known("run", run, RUNS)]


ENCODERS = {own["model"]["encoder"] for own in [config, *VARIANTS.values()]}


wildcard_constraints:
    dataset=re.escape(DATASET),
    scene=SCENE_NAME,
    split="train|test",
    run=runs_of("trained", "general", "published"),
    experiment=any_of(EXPERIMENTS),
    variant=any_of(VARIANTS),
    weights=any_of(config["weights"]),


def code(script):
    """Return the digest of a script and of all library code that it runs."""
    return LIBRARY.digest(f"{script}.py")


def snakemakes_own_environment(wildcards):
    """Return no environment, for downloads: a change in one would delete and download them again.

    Apart from what this file imports, downloads need requests, which Snakemake itself needs too.
    """
    return None


def retrieval_environment():
    """Return the conda environment for retrieval: with faiss for the GPU if there is a GPU.

    The first Snakemake process decides, unless RELPOSEGNN_FAISS is set to "-gpu" or to nothing.
    Jobs inherit this variable, so the nodes of a cluster do not decide again.
    """
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True)
        found = "-gpu" if answer.returncode == 0 else ""
    except FileNotFoundError:
        found = ""
    kind = os.environ.setdefault("RELPOSEGNN_FAISS", found)
    return f"../envs/retrieval{kind}.yaml"


def repeated(run):
    """Return the run whose settings a run uses: the run of the first seed, or itself."""
    if run in GENERAL_RUNS:
        return GENERAL
    return RUNS[run].repeats if run in RUNS else run


def section(name, run):
    """Return a section of the configuration for a run; a variant has its own sections."""
    return VARIANTS.get(repeated(run), config)[name]


# Where files come from.


def address(key, url, **names):
    """Return a configured address with its placeholders filled in; ``key`` is its setting."""
    if url is None:
        raise WorkflowError(f"{key}: is not given, expected the address of a file")
    for name, value in names.items():
        url = url.replace(f"{{{name}}}", value)
    return url


def archive_address(wildcards):
    """Return the address of a scene's archive."""
    url, scene = config["archive_url"], known("scene", wildcards.scene, SCENES)
    if isinstance(url, dict):
        return url[scene]
    return address("archive_url", url, scene=scene)


def authors_model_address(wildcards):
    """Return the address of one of the authors' networks."""
    kind, scene = PUBLISHED_RUNS[known("run", wildcards.run, PUBLISHED_RUNS)]
    return address(f"authors.models.{kind}", AUTHORS["models"][kind], scene=scene)


def authors_graphs_address(wildcards):
    """Return the address of an archive of the authors' graphs."""
    names = {"scene": wildcards.scene, "split": wildcards.split}
    return address("authors.graphs.url", AUTHORS["graphs"]["url"], **names)


def authors_predictions_address(wildcards):
    """Return the address of the authors' estimates of a scene."""
    url = AUTHORS["predictions"].get(wildcards.scene)
    return address(f"authors.predictions.{wildcards.scene}", url)


# The parameters of rules.


def rendering_settings(wildcards):
    """Return how the room of a scene is rendered."""
    settings, scene = dict(config["rendering"]), known("scene", wildcards.scene, SCENES)
    settings["seed"] = settings.pop("rooms").get(scene)
    settings["varied"] = settings.pop("varied_by_room").get(scene, settings["varied"])
    return settings


def packing_settings(wildcards):
    """Return how the frames of a scene are packed."""
    frames, scene = config["frames"], wildcards.scene
    by_scene = ("statistics", "focal_lengths")
    return {**frames, **{name: frames[name].get(scene) for name in by_scene}}


def describing_settings(*more):
    """Return the settings that a descriptor depends on, apart from its vocabulary or weights."""
    names = ("descriptor", "width", "height", "crop", *more)
    return {name: config["retrieval"][name] for name in names}


def describing_gpus():
    """Return how many GPUs a job that computes descriptors uses."""
    return int(config["retrieval"]["descriptor"] == "netvlad")


def sampling_settings(graphs, split):
    """Return how the graphs of a split are sampled, from a section ``graphs``."""
    names = ("neighbours", "selection", "stride", "drop_probability", "seed")
    return {name: graphs[name] for name in names} | (graphs.get(split) or {})


def splits_sampling(graphs):
    """Return how the graphs of both splits are sampled, by split."""
    # One param for both: Snakemake does not notice two params whose values are swapped.
    return {split: sampling_settings(graphs, split) for split in ("train", "test")}


def model_settings(wildcards):
    """Return the shape of the network; its initial weights are an input of training."""
    model = used_model_settings(section("model", wildcards.run))
    return {key: value for key, value in model.items() if key != "pretrained"}


def authors_network():
    """Return the shape of the authors' networks; the mean of poses cancels in relative poses."""
    profile = AUTHORS["profile"].items()
    return {key: value for key, value in profile if key != "translation_mean"}


def authors_poses():
    """Return the kind of poses in the authors' graphs, and how they are standardised."""
    names = ("pose", "translation_mean", "translation_deviation")
    return {name: AUTHORS["profile"][name] for name in names}


def training_settings(wildcards):
    """Return the training protocol of a run."""
    run = wildcards.run
    settings = {**section("training", run), "seed": trained(run).seed}
    # Sorted: Snakemake takes params in another order for changed ones.
    settings = dict(sorted(settings.items()))
    settings.pop("seeds")
    single_scene_epochs = settings.pop("single_scene_epochs")
    if repeated(run) in EXPERIMENTS["single_scene"].values() and single_scene_epochs:
        settings["epochs"] = single_scene_epochs
    if settings["schedule"] != "step":
        settings["decay_epochs"] = settings["decay_factor"] = None
    return settings


def localization_settings():
    """Return how poses are computed from what networks regress, before any refinement."""
    names = ("both_directions", "aggregation")
    return {name: config["localization"][name] for name in names}
