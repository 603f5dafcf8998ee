"""Checks of the configuration that a schema cannot express: keys that contradict one another."""

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from .experiments import COLUMNS, GENERAL, PUBLISHED, experiments, published_runs, trained_runs

AUTHORS_CLUSTERS = 64  # of their trained NetVLAD
LIKENESS = 0.75  # least similarity, 0 to 1, of a misspelt name to the one that was meant
# Names of downloaded files, also those of scenes that are not in the configuration.
DOWNLOADED = re.compile(r"[^/]+(?:\.zip|\.npz|-(?:train|test)\.tar)|published-[^/]+\.pth")
NUMBERS = {"vlad": 128, "netvlad": 512}  # per cluster of a descriptor


def contradictions(config: dict) -> Iterator[str]:
    """Yield one line for each contradiction in a configuration that its schema accepts."""
    yield from _source_problems(config)
    yield from _name_problems(config)
    yield from _rendering_problems(config)
    yield from _experiment_problems(config)
    yield from _authors_problems(config)
    yield from _method_problems(config)
    yield from _path_problems(config)
    yield from _variant_problems(config)


def _source_problems(config: dict) -> Iterator[str]:
    """Yield why scenes cannot be found."""
    if config["scenes_dir"]:
        folder = Path(config["scenes_dir"])
        if not folder.is_dir():
            yield f"scenes_dir: got {folder}{_kind(folder)}, expected a folder that exists"
            return
        known = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
        yield from _unknown_scenes(config["scenes"], known, f"folders in {folder}")
    elif config["source"] == "rendered":
        known = list(config["rendering"]["rooms"])
        yield from _unknown_scenes(config["scenes"], known, "rendering.rooms")
    elif isinstance(config["archive_url"], dict):
        for scene in config["scenes"]:
            if scene not in config["archive_url"]:
                yield f"archive_url.{scene}: is missing, expected the address of its archive"
    else:
        reason = "since source is download; or set scenes_dir to a folder that holds the scenes"
        yield from _lacking_places("archive_url", config["archive_url"], ["scene"], reason)


def _name_problems(config: dict) -> Iterator[str]:
    """Yield keys that are misspelt names of scenes or files, since they would have no effect.

    Names of other scenes are allowed: one may run only some scenes of a configuration.
    """
    scenes, frames, authors = config["scenes"], config["frames"], config["authors"]
    by_scene = {
        "frames.statistics": frames["statistics"],
        "frames.focal_lengths": frames["focal_lengths"],
        "authors.predictions": authors["predictions"],
        "archive_url": config["archive_url"],
    }
    for place, section in by_scene.items():
        if isinstance(section, dict):
            yield from _misspelt(place, section, scenes)
    weights = [*config["weights"], *published_runs(scenes)]
    files = [f"{name}.pth" for name in weights]
    for scene in scenes:
        files += [f"{scene}{end}" for end in (".zip", ".npz", "-train.tar", "-test.tar")]
    yield from _misspelt("checksums", config["checksums"], files)
    for name in config["checksums"]:
        if name not in files and not DOWNLOADED.fullmatch(str(name)):
            yield (
                f"checksums: {json.dumps(name)} is not a downloaded file, expected a name "
                "such as chess.zip, netvlad.pth, published-joint.pth, chess-test.tar or chess.npz"
            )
    for name in (name for name in COLUMNS if name in scenes):
        yield f"scenes: {name} is the name of another column of tables, expected another name"
    alike = {scene.casefold(): scene for scene in scenes}
    for scene in scenes:
        if alike[scene.casefold()] != scene:
            yield (
                f"scenes: {scene} and {alike[scene.casefold()]} differ only in case, expected "
                "names that differ on every disk"
            )


def _misspelt(place: str, given: dict, known: list[str]) -> Iterator[str]:
    """Yield the unknown names that resemble a known one that is not given, with equal numbers."""
    lacking = {name.casefold(): name for name in known if name not in given}
    for name in given:
        if name in known:
            continue
        text = str(name).casefold()  # YAML may have numbers as keys
        numbers = re.findall(r"\d+", text)
        near = difflib.get_close_matches(text, lacking, n=3, cutoff=LIKENESS)
        meant = [lacking[each] for each in near if re.findall(r"\d+", each) == numbers]
        if meant:
            yield (
                f"{place}: nothing is called {json.dumps(name)}, did you mean {meant[0]!r}? "
                "Correct the name, or remove it"
            )


def _rendering_problems(config: dict) -> Iterator[str]:
    """Yield the rooms that have a setting of their own but do not exist."""
    rooms = config["rendering"]["rooms"]
    for name in config["rendering"]["varied_by_room"]:
        if name not in rooms:
            known = ", ".join(rooms) or "none"
            yield f"rendering.varied_by_room.{name}: is not a room, expected one of {known}"


def _unknown_scenes(scenes: list[str], known: list[str], where: str) -> Iterator[str]:
    for scene in scenes:
        if scene not in known:
            close = difflib.get_close_matches(scene, known, n=1)
            guess = f", did you mean {close[0]}?" if close else "."
            yield f"scenes: unknown scene {scene}{guess} {where}: {', '.join(known) or 'none'}"


def _lacking_places(key: str, url: str | None, names: list[str], reason: str) -> Iterator[str]:
    """Yield an address that lacks a placeholder such as {scene}, so is the same for all files."""
    places = [f"{{{name}}}" for name in names]
    if not all(place in (url or "") for place in places):
        yield (
            f"{key}: got {json.dumps(url)}, expected an address with {' and '.join(places)} in the "
            f"place of names, {reason}"
        )


def _experiment_problems(config: dict) -> Iterator[str]:
    """Yield the experiments that are unknown or impossible."""
    known = experiments(config["scenes"])
    for i, name in enumerate(config["experiments"]):
        if name not in known:
            yield f"experiments[{i}]: got {json.dumps(name)}, expected one of {', '.join(known)}"
    if "leave_one_out" in config["experiments"] and len(config["scenes"]) < 2:
        yield "experiments: leave_one_out needs at least 2 scenes, got 1"


def _authors_problems(config: dict) -> Iterator[str]:
    """Yield settings with which the authors' files cannot be used."""
    authors, retrieval = config["authors"], config["retrieval"]
    for kind in ("leave_one_out", "single_scene"):
        if url := authors["models"][kind]:
            reason = "one for each network, or null"
            yield from _lacking_places(f"authors.models.{kind}", url, ["scene"], reason)
    if config["graphs"]["source"] == "authors":
        url, reason = authors["graphs"]["url"], "since graphs.source is authors"
        yield from _lacking_places("authors.graphs.url", url, ["scene", "split"], reason)
    theirs = (retrieval["descriptor"], retrieval["netvlad_weights"]) == ("netvlad", "authors")
    if theirs and retrieval["clusters"] != AUTHORS_CLUSTERS:
        yield (
            f"retrieval.clusters: got {retrieval['clusters']}, expected {AUTHORS_CLUSTERS}, as in "
            "the authors' NetVLAD"
        )
    whole = NUMBERS[retrieval["descriptor"]] * retrieval["clusters"]
    if (retrieval["dimensions"] or 0) > whole:
        yield (
            f"retrieval.dimensions: got {retrieval['dimensions']}, expected at most {whole}, the "
            "length of a whole descriptor"
        )


def _method_problems(config: dict) -> Iterator[str]:
    """Yield settings of the method that contradict one another."""
    model, neighbours = config["model"], config["graphs"]["neighbours"]
    candidates = config["retrieval"]["candidates"]
    if candidates < neighbours:
        yield (
            f"retrieval.candidates: got {candidates}, expected at least as many as "
            f"graphs.neighbours, {neighbours}"
        )
    if config["frames"]["held_out"] and config["graphs"]["source"] == "authors":
        yield (
            "frames.held_out: splits the scenes anew, but graphs.source is authors, whose graphs "
            "are of the published split; expected null"
        )
    if config["frames"]["held_out"] and config["evaluation"]["literature"]:
        yield (
            "frames.held_out: splits the scenes anew, but evaluation.literature has results of the "
            "published split; expected null for one of them"
        )
    if config["frames"]["colour_jitter"] and model["edges"] == "match_field":
        yield (
            "frames.colour_jitter: changes the images that pooled edges see, but model.edges is "
            "match_field, whose encoder reads the originals; expected null"
        )
    missing = {"share", "stretch"} - set(config["graphs"]["validation"] or ("share", "stretch"))
    for name in sorted(missing):
        yield f"graphs.validation.{name}: is missing, expected both share and stretch, or null"
    for place, shape in (("model", model), ("authors.profile", config["authors"]["profile"])):
        if shape["knn"] > neighbours:
            yield (
                f"{place}.knn: got {shape['knn']}, expected at most as many as "
                f"graphs.neighbours, {neighbours}"
            )
    if model["pretrained"] and model["backbone"] == "resnet10":
        yield (
            "model.pretrained: got true, expected false, since there is no resnet10 trained on "
            "ImageNet"
        )


def _path_problems(config: dict) -> Iterator[str]:
    """Yield paths that do not exist, or that Snakemake would take for patterns."""
    literature, photos = config["evaluation"]["literature"], config["photos"]["folder"]
    models = {f"general.models[{i}]": path for i, path in enumerate(config["general"]["models"])}
    paths = {"scenes_dir": config["scenes_dir"], "photos.folder": photos} | models
    for key, path in (paths | {"evaluation.literature": literature}).items():
        if re.search("[{}]", path or ""):
            yield (
                f"{key}: got {path}, expected a path without braces, which Snakemake takes for "
                "wildcards; rename the file or folder"
            )
    if literature and not Path(literature).is_file():
        kind = _kind(Path(literature))
        yield f"evaluation.literature: got {literature}{kind}, expected a CSV file that exists"
    if photos and not Path(photos).is_dir():
        yield f"photos.folder: got {photos}{_kind(Path(photos))}, expected a folder that exists"


def _kind(path: Path) -> str:
    """Return what is at a path, for a message about a wrong kind."""
    return ", a file" if path.is_file() else ", a folder" if path.is_dir() else ""


def _variant_problems(config: dict) -> Iterator[str]:
    """Yield variants, and scenes, whose name or changed sections are not allowed."""
    folders = {"authors", "left_out"}  # of graphs
    taken = {*trained_runs(config["scenes"], [0]), GENERAL} | folders
    for name in [*config["scenes"], *config["variants"]]:
        if re.search(r"-seed\d+\Z", name):
            yield f"{name}: ends like the runs of further seeds, expected another name"
    for name, changes in config["variants"].items():
        if name in taken or name.startswith(PUBLISHED):
            yield f"variants.{name}: is the name of a run or folder, expected another name"
        if "source" in changes.get("graphs", {}):
            yield f"variants.{name}.graphs.source: cannot be changed, expected other keys"
        if "graphs" in changes and config["graphs"]["source"] == "authors":
            yield (
                f"variants.{name}.graphs: cannot be changed, since graphs.source is authors: "
                "those graphs are not sampled here"
            )
