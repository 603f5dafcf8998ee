# What the authors published: where it is, and where it lies once downloaded. Functions alone.


def published_model_address(run):
    """Return the address of one of the authors' networks, or None where it is not known."""
    kind, scene = PUBLISHED_RUNS[run]
    url = config["published_models"][kind]
    return url and url.format(scene=scene)


def published_checkpoint(wildcards):
    """Return the downloaded file of one of the authors' networks."""
    url = published_model_address(wildcards.run)
    if url is None:
        kind, _ = PUBLISHED_RUNS[wildcards.run]
        raise WorkflowError(
            f"published_models.{kind}: is null, expected the address of a trained network, "
            f"since run {wildcards.run} is asked for"
        )
    return f"resources/weights/{file_name(url)}"


def published_graphs_address(scene, split):
    """Return the address of an archive of the authors' graphs, or None where it is not known."""
    url = config["published_graphs"]["url"]
    return url and url.format(scene=scene, split=split)


def published_graphs_archives(wildcards):
    """Return the downloaded archives of the authors' graphs of a scene, one a split."""
    splits = config["published_graphs"]["splits"]
    urls = [published_graphs_address(wildcards.scene, split) for split in splits]
    return [f"resources/published/{file_name(url)}" for url in urls]


def published_estimates(wildcards):
    """Return the downloaded file of the authors' estimates of a scene."""
    url = config["published_predictions"]["urls"].get(wildcards.scene)
    if url is None:
        raise WorkflowError(
            f"published_predictions.urls.{wildcards.scene}: is missing, expected the address of the "
            "authors' estimates of this scene"
        )
    return f"resources/published/{file_name(url)}"


def published_addresses():
    """Return the addresses of the authors' graphs and estimates by file."""
    urls = [
        *[
            published_graphs_address(s, split)
            for s in SCENES
            for split in ("train", "test")
        ],
        *config["published_predictions"]["urls"].values(),
    ]
    return {file_name(url): url for url in urls if url}
