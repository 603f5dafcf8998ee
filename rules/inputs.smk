# Input files of the rules. Optional ones are lists of one file or none. The user's own files are
# marked "local": the prefix of a module is only for files that the workflow makes.
import hashlib

from relposegnn.files.folders import files_below
from relposegnn.pipeline.records import SNAKEMAKES_MARK


def scene_folder(scene):
    """Return the folder of a scene: the user's own, or the extracted one."""
    known("scene", scene, SCENES)
    if config["scenes_dir"]:
        return local(f"{config['scenes_dir']}/{scene}")
    return f"resources/{DATASET}/scenes/{scene}"


for name in SCENES if config["scenes_dir"] else []:
    if (mark := Path(scene_folder(name), SNAKEMAKES_MARK)).exists():
        logger.warning(
            f"{mark}: its date counts in place of the folder's, so no change of the scene is "
            "noticed; delete it"
        )


def images_of(wildcards):
    """Return the folder of a scene, for rules that read images as well as the frames file.

    Only the frames file depends on the folder's date. It records what identifies the images: as
    long as it stays the same, these rules do not rerun.
    """
    return ancient(scene_folder(wildcards.scene))


def backbone_weights(wildcards):
    """Return the ImageNet weights that training starts from."""
    model = section("model", wildcards.run)
    wanted = model["pretrained"] and model["edges"] == "pooled"
    return [f"resources/weights/{model['backbone']}.pth"] if wanted else []


def netvlad_weights(name):
    """Return the file of weights if NetVLAD starts from it.

    ``name`` is "netvlad", which needs no vocabulary, or "vgg16", with which one is fitted.
    """
    retrieval = config["retrieval"]
    chosen = {"authors": "netvlad", "imagenet": "vgg16"}.get(
        retrieval["netvlad_weights"]
    )
    wanted = retrieval["descriptor"] == "netvlad" and chosen == name
    return [f"resources/weights/{name}.pth"] if wanted else []


def whole_describer(wildcards):
    """Return the file that a scene's unprojected descriptors need: weights, or a vocabulary."""
    vocabulary = f"results/{DATASET}/vocabularies/{wildcards.scene}.npz"
    return netvlad_weights("netvlad") or [vocabulary]


def describer(wildcards):
    """Return the file that a scene's descriptors need."""
    if config["retrieval"]["dimensions"] is None:
        return whole_describer(wildcards)
    return [f"results/{DATASET}/projections/{wildcards.scene}.npz"]


def graphs_file(run, scene, authors=AUTHORS_GRAPHS):
    """Return the graphs of a run in a scene: the authors', the dataset's, or a variant's own."""
    folder = f"results/{DATASET}/graphs"
    if authors:
        return f"{folder}/authors/{scene}.h5"
    return f"{folder}/{own_graphs_folder(run)}{scene}.h5"


def own_graphs_folder(run):
    """Return the folder, with a slash, of the graphs of a variant with its own; else nothing."""
    return f"{repeated(run)}/" if section("graphs", run) != config["graphs"] else ""


def run_graphs(wildcards):
    """Return the graphs that a run is tested on in a scene."""
    return graphs_file(wildcards.run, wildcards.scene)


def retrieval_files(wildcards):
    """Return neighbours and descriptors of a scene if graphs are sampled from them."""
    kinds = [] if AUTHORS_GRAPHS else ["neighbours", "descriptors"]
    return [f"results/{DATASET}/{kind}/{wildcards.scene}.h5" for kind in kinds]


def final_predictions(wildcards):
    """Return the estimates of a run in a scene: refined ones if the settings say so."""
    kind = "refined" if REFINEMENT else "predictions"
    return f"results/{DATASET}/runs/{wildcards.run}/{kind}/{wildcards.scene}.npz"


def left_out_file(run, scene):
    """Return the graphs of a scene's left-out frames, sampled as a run's test graphs are."""
    return f"results/{DATASET}/graphs/left_out/{own_graphs_folder(run)}{scene}.h5"


def left_out_graphs(wildcards):
    """Return the graphs of left-out frames that tell a run's errors in a scene."""
    return left_out_file(wildcards.run, wildcards.scene)


def left_out_predictions(wildcards):
    """Return the estimates of a run for left-out database frames of a scene."""
    kind = "left_out/refined" if REFINEMENT else "left_out"
    return f"results/{DATASET}/runs/{wildcards.run}/{kind}/{wildcards.scene}.npz"


def known_graphs(wildcards):
    """Return the graphs that a run was trained on in a scene; they tell which frames it has seen.

    For the authors' networks, return the graphs of left-out frames: nothing was held out.
    """
    run, scene = wildcards.run, wildcards.scene
    if run in PUBLISHED_RUNS:
        kind, other = PUBLISHED_RUNS[run]
        seen = kind == "joint" or (kind == "single_scene") == (scene == other)
        return [left_out_file(run, scene)] if seen else []
    seen = run in RUNS and scene in RUNS[run].scenes
    return [graphs_file(run, scene, AUTHORS_TRAINING_GRAPHS)] if seen else []


# All others of seven scenes. Without a limit, the plan would grow with the square of their number.
MOST_FELLOWS = 6


def fellows(wildcards):
    """Return three files for each of some other scenes, if a run was trained on this one and them.

    The files are its estimates for left-out frames, the graphs of these frames, and the graphs of
    the training: errors on frames held out for validation, see ``error_scales``. The scenes are the
    next ones in the list.
    """
    run, scene = wildcards.run, wildcards.scene
    scenes = (
        RUNS[run].scenes if run in RUNS and section("graphs", run)["validation"] else []
    )
    if scene not in scenes:
        return []
    own = scenes.index(scene)
    return [
        path
        for other in [*scenes[own + 1 :], *scenes[:own]][:MOST_FELLOWS]
        for path in (
            f"results/{DATASET}/runs/{run}/left_out/{other}.npz",
            left_out_file(run, other),
            graphs_file(run, other, AUTHORS_TRAINING_GRAPHS),
        )
    ]


def calibration(wildcards):
    """Return the file by which a run's errors in a scene are stated, if they are."""
    if AUTHORS_GRAPHS:  # nothing is ranked here
        return []
    return [
        f"results/{DATASET}/runs/{wildcards.run}/calibration/{wildcards.scene}.json"
    ]


def training_graphs(wildcards):
    """Return the graphs of the scenes that a run is trained on."""
    return [
        graphs_file(wildcards.run, scene, AUTHORS_TRAINING_GRAPHS)
        for scene in trained(wildcards.run).scenes
    ]


def features_file(run, scene):
    """Return the features of a scene that a run needs, if its edges are match fields."""
    if run in GENERAL_RUNS:
        return [f"results/{DATASET}/features/general/{scene}.h5"]
    model = section("model", run)
    if run in PUBLISHED_RUNS or model["edges"] != "match_field":
        return []
    return [f"results/{DATASET}/features/{model['encoder']}/{scene}.h5"]


def run_features(wildcards):
    """Return the features of a scene that a run is tested on."""
    return features_file(wildcards.run, wildcards.scene)


def training_features(wildcards):
    """Return the features of the scenes that a run is trained on."""
    run = wildcards.run
    return [path for scene in trained(run).scenes for path in features_file(run, scene)]


def camera_file(run, scene):
    """Return the camera of a scene if a run sees positions as rays."""
    rays = run in GENERAL_RUNS or (
        run in RUNS
        and used_model_settings(section("model", run)).get("positions") == "rays"
    )
    return [f"results/{DATASET}/cameras/{scene}.json"] if rays else []


def run_camera(wildcards):
    """Return the camera of a scene that a run is tested on, if it needs it."""
    return camera_file(wildcards.run, wildcards.scene)


def model_in_scene(wildcards):
    """Return the model of a run in a scene: a general network is adapted to the scene."""
    run, folder = wildcards.run, f"results/{DATASET}/runs/{wildcards.run}"
    adapted = f"{folder}/adapted/{wildcards.scene}.pt"
    return adapted if run in GENERAL_RUNS else f"{folder}/model.pt"


def place_camera(wildcards):
    """Return the camera of a scene if new photos need it, for rays or for refinement."""
    camera = [f"results/{DATASET}/cameras/{wildcards.scene}.json"]
    return camera if REFINEMENT else run_camera(wildcards)


def training_cameras(wildcards):
    """Return the cameras of the scenes that a run is trained on."""
    run = wildcards.run
    return [path for scene in trained(run).scenes for path in camera_file(run, scene)]


def general_model(wildcards):
    """Return the file of a general network."""
    path = Path(GENERAL_RUNS[wildcards.run])
    if not path.exists():
        raise WorkflowError(
            f"{path}: no such file, expected a general network; train one with "
            '"make general-model", or name one in general.models'
        )
    return [local(str(path))]


def training_frames(wildcards):
    """Return the frames of the scenes that a run is trained on."""
    scenes = trained(wildcards.run).scenes
    return [f"results/{DATASET}/frames/{scene}.h5" for scene in scenes]


def literature(wildcards):
    """Return the file with the literature's results."""
    file = config["evaluation"]["literature"]
    return [local(file)] if file else []


def content_of(folder):
    """Return the digest of a folder's files, for files that are not code."""
    files = sorted(path for path in (SCRIPTS / folder).iterdir() if path.is_file())
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[
        :16
    ]


def photos_in_folder(wildcards):
    """Return the files in the folder of new photos: a change to any of them reruns the job.

    Names that are not UTF-8 are left out, because Snakemake cannot write them; the step reports them.
    """
    folder = config["photos"]["folder"]
    if not folder:
        raise WorkflowError("photos.folder: is null, expected a folder of photos")
    files = sorted(files_below(Path(folder)))
    for path in files:
        if re.search("[{}]", str(path)):
            raise WorkflowError(
                f"{path}: has braces in its name, which Snakemake takes for wildcards; rename it, "
                "or use the command ./localise, which takes any name"
            )
    return [
        local(str(path))
        for path in files
        if not re.search("[\ud800-\udfff]", str(path))
    ]


def of_queries(files):
    """Return an input function for files made from queries; it raises if there are no queries."""

    def listed(wildcards):
        """Return the files."""
        if NO_QUERIES:
            raise WorkflowError(
                f"{', '.join(SCENES)}: no queries are listed, so nothing can be predicted, scored, "
                "tabulated or shown there; list some (docs/own-places.md), or make only the "
                "targets models and photos"
            )
        return files

    return listed
