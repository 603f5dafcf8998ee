# What the authors published: where it is, and where it lies once downloaded. Functions alone.


def published_model(run):
    """Return {address, checksum, shape} of one of the authors' networks; no address: not known."""
    kind, scene = PUBLISHED_RUNS[run]
    models = config["published_models"]
    url = models[kind] and models[kind].format(scene=scene)
    sha256 = models["sha256"].get(Path(url).name) if url else None
    return {"url": url, "sha256": sha256, "kind": kind}


def published_checkpoint(wildcards):
    """Return the downloaded file of one of the authors' networks."""
    model = published_model(wildcards.run)
    if model["url"] is None:
        raise WorkflowError(
            f"published_models.{model['kind']}: is null, expected the address of a trained network, "
            f"since run {wildcards.run} is asked for"
        )
    return f"resources/weights/{Path(model['url']).name}"


def published_graphs_archives(wildcards):
    """Return the downloaded archives of the authors' graphs of a scene, one a split."""
    return [
        f"resources/{wildcards.dataset}/published_graphs/{wildcards.scene}_{split}.tar"
        for split in config["published_graphs"]["splits"]
    ]


def published_graphs_source(wildcards):
    """Return address and checksum of an archive of the authors' graphs."""
    graphs = config["published_graphs"]
    url = graphs["url"].format(scene=wildcards.scene, split=wildcards.split)
    return {"url": url, "sha256": graphs["sha256"].get(Path(url).name)}


def published_predictions_source(wildcards):
    """Return address and checksum of the authors' estimates of a scene."""
    predictions = config["published_predictions"]
    url = predictions["urls"].get(wildcards.scene)
    if url is None:
        raise WorkflowError(
            f"published_predictions.urls.{wildcards.scene}: is missing, expected the address of the "
            "authors' estimates of this scene"
        )
    return {"url": url, "sha256": predictions["sha256"].get(Path(url).name)}
