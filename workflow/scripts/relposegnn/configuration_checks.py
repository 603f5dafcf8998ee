"""What a schema cannot say of the configuration: keys that contradict one another."""

import difflib
import json
from collections.abc import Iterator
from pathlib import Path

from .downloads import file_name
from .experiments import PUBLISHED, trained_runs

PUBLISHED_CLUSTERS = 64  # of the trained NetVLAD


def contradictions(config: dict) -> Iterator[str]:
    """Yield one line for each contradiction in a configuration that its schema accepts."""
    yield from _source_problems(config)
    yield from _published_graphs_problems(config)
    yield from _published_models_problems(config)
    yield from _method_problems(config)
    yield from _weights_problems(config)


def variant_name_problems(config: dict) -> Iterator[str]:
    """Yield the variants that cannot be, whatever they change."""
    taken = trained_runs(config["scenes"])
    for name, changes in config["variants"].items():
        if name in taken or name.startswith(PUBLISHED):
            yield f"variants.{name}: is the name of another run, expected one of its own"
        if "source" in changes.get("graphs", {}):
            yield f"variants.{name}.graphs.source: cannot be changed, expected other keys"
        if "graphs" in changes and config["graphs"]["source"] == "published":
            yield (
                f"variants.{name}.graphs: cannot be changed, since graphs.source is published: "
                "those graphs are not sampled here"
            )


def _source_problems(config: dict) -> Iterator[str]:
    """Yield what keeps the scenes from being found."""
    if config["scenes_dir"]:
        folder = Path(config["scenes_dir"])
        if not folder.is_dir():
            yield f"scenes_dir: got {folder}, expected a folder that exists"
            return
        known = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
        yield from _unknown_scenes(config["scenes"], known, f"folders in {folder}")
    elif config["source"] == "rendered":
        known = list(config["rendering"]["rooms"])
        yield from _unknown_scenes(config["scenes"], known, "rendering.rooms")
    elif config["source"] == "download":
        yield from _address_problems(config["archive_url"], config["scenes"])


def _address_problems(address: str | dict | None, scenes: list[str]) -> Iterator[str]:
    if isinstance(address, dict):
        for scene in scenes:
            if scene not in address:
                yield f"archive_url.{scene}: is missing, expected the address of its archive"
    elif "{scene}" not in (address or ""):
        yield (
            f"archive_url: got {json.dumps(address)}, expected an address with "
            "{scene} in place of the scene's name, since source is download; or set scenes_dir "
            "to a folder that holds the scenes"
        )


def _published_graphs_problems(config: dict) -> Iterator[str]:
    """Yield what keeps the authors' graphs from being imported."""
    published = config["graphs"]["source"] == "published"
    address = config["published_graphs"]["url"]
    if published and not all(part in (address or "") for part in ("{scene}", "{split}")):
        yield (
            f"published_graphs.url: got {json.dumps(address)}, expected an address with {{scene}} "
            "and {split} in place of names, since graphs.source is published"
        )


def _unknown_scenes(scenes: list[str], known: list[str], where: str) -> Iterator[str]:
    for scene in scenes:
        if scene not in known:
            close = difflib.get_close_matches(scene, known, n=1)
            guess = f", did you mean {close[0]}?" if close else "."
            yield f"scenes: unknown scene {scene}{guess} {where}: {', '.join(known) or 'none'}"


def _published_models_problems(config: dict) -> Iterator[str]:
    """Yield what keeps the authors' networks from being used as they are meant."""
    models, neighbours = config["published_models"], config["graphs"]["neighbours"]
    for kind in ("leave_one_out", "single_scene"):
        if models[kind] and "{scene}" not in models[kind]:
            yield (
                f"published_models.{kind}: got {json.dumps(models[kind])}, expected null or an "
                "address with {scene} in place of the scene's name"
            )
    if models["profile"]["knn"] > neighbours:
        yield (
            f"published_models.profile.knn: got {models['profile']['knn']}, expected at most as "
            f"many as graphs.neighbours, {neighbours}"
        )


def _method_problems(config: dict) -> Iterator[str]:
    """Yield settings that contradict one another."""
    graphs, retrieval, model = config["graphs"], config["retrieval"], config["model"]
    if "leave_one_out" in config["experiments"] and len(config["scenes"]) < 2:
        yield "experiments: leave_one_out needs at least 2 scenes, got 1"
    if retrieval["candidates"] < graphs["neighbours"]:
        yield (
            f"retrieval.candidates: got {retrieval['candidates']}, expected at least as many as "
            f"graphs.neighbours, {graphs['neighbours']}"
        )
    if model["knn"] > graphs["neighbours"]:
        yield (
            f"model.knn: got {model['knn']}, expected at most as many as "
            f"graphs.neighbours, {graphs['neighbours']}"
        )
    published = config["evaluation"]["published"]
    if published and not Path(published).is_file():
        yield f"evaluation.published: got {published}, expected a CSV file that exists"
    photos = config["photos"]["folder"]
    if photos and not Path(photos).is_dir():
        yield f"photos.folder: got {photos}, expected a folder that exists"


def _weights_problems(config: dict) -> Iterator[str]:
    """Yield what keeps trained weights from being found, or from fitting."""
    retrieval, model, needed = config["retrieval"], config["model"], {}
    if model["pretrained"] and model["backbone"] == "resnet10":
        yield "model.pretrained: got true, but there is no resnet10 trained on ImageNet"
    elif model["pretrained"]:
        needed[model["backbone"]] = "model.pretrained is true"
    if retrieval["descriptor"] == "netvlad" and retrieval["netvlad_weights"] != "none":
        name = {"published": "netvlad", "imagenet": "vgg16"}[retrieval["netvlad_weights"]]
        needed[name] = f"retrieval.netvlad_weights is {retrieval['netvlad_weights']}"
        if name == "netvlad" and retrieval["clusters"] != PUBLISHED_CLUSTERS:
            yield (
                f"retrieval.clusters: got {retrieval['clusters']}, expected {PUBLISHED_CLUSTERS}, "
                "those of the published NetVLAD"
            )
    for name, reason in needed.items():
        if name not in config["weights"]:
            yield f"weights.{name}: is missing, expected its address, since {reason}"
    first_names: dict[str, str] = {}
    for name, url in config["weights"].items():
        file = file_name(url)
        if first_names.setdefault(file, name) != name:
            yield (
                f"weights.{name}: its file is called {file}, as that of "
                f"weights.{first_names[file]}; expected names of their own"
            )
