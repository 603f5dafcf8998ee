"""One table of a place: errors, time and disk space of each way to localise its queries.

    python benchmarks/comparison.py results/7scenes-small redkitchen path/to/redkitchen

The pipeline's rows come from the results of its steps: scores, and each step's seconds and files,
which are divided between database and queries by their shares of the images. A step's seconds
include its start. If the images are given, the last row is measured now: a model that COLMAP
triangulates from the database, see ``triangulated_model``, with the pipeline's focal length and
ranking of similar images. The images, which both ways need, do not count as disk space. "Within
68 %" and "within 95 %" are the shares of queries whose errors, in metres / in degrees, are within
the errors stated for 68 % and for 95 %.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import inputs  # noqa: F401  # puts the library on the path
import numpy as np
import pandas as pd
from triangulated_model import TriangulatedModel

from relposegnn.data.camera_files import read_camera
from relposegnn.data.frames import Frames
from relposegnn.estimates.predictions import AFFINE, ALL_EDGES, FIRST_EDGE, MOST_SIMILAR, REFINED
from relposegnn.pipeline.experiments import GENERAL
from relposegnn.poses import pose_distances
from relposegnn.retrieval.rankings import read_ranking
from relposegnn.scores.metrics import KEPT, ROTATION, TRANSLATION, WITHIN, read_scores, summarise

RECALL = [(0.05, 5.0), (0.10, 5.0)]
FIGURES = ["median_translation_m", "median_rotation_deg", "recall_5cm_5deg", "recall_10cm_5deg"]
COLUMNS = ["median, m / degrees", "5 cm 5°", "10 cm 5°", "failed", "not refined"]
COLUMNS += ["within 68 %", "within 95 %", "ms a query", "set-up", "disk"]
PUBLISHED = "published network and protocol"
SHOWN = {FIRST_EDGE: "first edge, the published protocol", ALL_EDGES: "all edges, regressed"}
MODEL = "triangulated model, by COLMAP"

# Steps of each way, which includes those of the way before it, by what they work on: all images
# alike, the database once, or each query. No run has all of them.
IMAGES, ONCE, EACH = "images", "once", "each"
RETRIEVAL = {
    "pack_frames": IMAGES,
    "fit_vocabulary": ONCE,
    "fit_projection": ONCE,
    "describe_frames": IMAGES,
    "rank_neighbours": IMAGES,
}
REGRESSION = {
    "sample_graphs": IMAGES,
    "sample_variant_graphs": IMAGES,
    "encode_frames": IMAGES,
    "train_model": ONCE,
    "adapt_model": ONCE,
    "sample_left_out": ONCE,
    "predict_left_out": ONCE,
    "predict_poses": EACH,
}
REFINEMENT = {
    "measure_camera": ONCE,
    "refine_left_out": ONCE,
    "calibrate_errors": ONCE,
    "refine_poses": EACH,
}
WAYS = {
    MOST_SIMILAR: RETRIEVAL,
    AFFINE: RETRIEVAL,
    FIRST_EDGE: RETRIEVAL | REGRESSION,
    ALL_EDGES: RETRIEVAL | REGRESSION,
    REFINED: RETRIEVAL | REGRESSION | REFINEMENT,
}
# What a way stores of the database beside its images: kinds of files; most also store the model.
KEPT_FILES = {MOST_SIMILAR: ["descriptors"], AFFINE: ["descriptors"]}
KEPT_OF_RUNS = ["descriptors", "features/{encoder}", "frames"]


class Cost(NamedTuple):
    """The cost of a way.

    Attributes:
        query_s: seconds per query.
        setup_s: seconds for the database, including training.
        bytes: disk space.
    """

    query_s: float
    setup_s: float
    bytes: float


class Place:
    """A scene in a folder of results."""

    def __init__(self, results: Path, scene: str) -> None:
        self.results, self.scene = results, scene
        with Frames(results / f"frames/{scene}.h5") as frames:
            self.dataset, self.path = frames.dataset, frames.path
            self.counts = frames.count("train"), frames.count("test")
            self.sources = {split: frames.sources(split) for split in ("train", "test")}
            self.poses = {split: frames.poses(split) for split in ("train", "test")}
            self.names = frames.names("test")

    def cost(self, way: str, run: str, encoder: str | None) -> Cost:
        """Return the cost of a way with a run, whose features are those of an encoder."""
        database = self.counts[0] / sum(self.counts)
        seconds = {IMAGES: 0.0, ONCE: 0.0, EACH: 0.0}
        for step, kind in WAYS[way].items():
            seconds[kind] += self._seconds(step, run, encoder)
        queries = seconds[EACH] + (1 - database) * seconds[IMAGES]
        setup = seconds[ONCE] + database * seconds[IMAGES]
        kept = KEPT_FILES.get(way, KEPT_OF_RUNS)
        kept = [folder.format(encoder=encoder) for folder in kept if encoder or "{" not in folder]
        paths = [self.results / folder / f"{self.scene}.h5" for folder in kept]
        size = database * sum(path.stat().st_size for path in paths)
        if way not in KEPT_FILES:
            size += (self.results / f"runs/{run}/model.pt").stat().st_size
        return Cost(queries / self.counts[1], setup, size)

    def mean_cost(self, way: str, runs: Sequence[str], encoder: str | None) -> Cost:
        """Return the mean cost of a way over runs that differ in their seed."""
        return Cost(*np.mean([self.cost(way, run, encoder) for run in runs], axis=0).tolist())

    def _seconds(self, step: str, run: str, encoder: str | None) -> float:
        """Return the seconds of a step, 0 if this run does not have it."""
        names = [f"{step}/{self.scene}", f"{step}/{run}/{self.scene}", f"{step}/{run}"]
        if step == "encode_frames":
            names = [f"{step}/{encoder}/{self.scene}", f"{step}_for_{encoder}/{self.scene}"]
        paths = [self.results / f"benchmarks/{name}.tsv" for name in names]
        return sum(pd.read_csv(path, sep="\t")["s"].mean() for path in paths if path.exists())


def measure_model(place: Place, images: Path) -> tuple[pd.DataFrame, Cost]:
    """Return the queries' errors with a triangulated model, in the form of scores, and its cost."""
    focal_length = read_camera(place.results / f"cameras/{place.scene}.json", place)
    similar = {
        split: read_ranking(place.results / f"neighbours/{place.scene}.h5", split).index
        for split in ("train", "test")
    }
    paths = {split: [images / source for source in place.sources[split]] for split in similar}
    with tempfile.TemporaryDirectory() as name:
        started = time.perf_counter()
        model = TriangulatedModel(
            Path(name), paths["train"], place.poses["train"], focal_length, similar["train"]
        )
        setup_s = time.perf_counter() - started
        size = sum(file.stat().st_size for file in Path(name).iterdir() if file.is_file())
        started = time.perf_counter()
        poses = model.localise(paths["test"], similar["test"])
        query_s = (time.perf_counter() - started) / len(poses)
    found = np.isfinite(poses).all(axis=(1, 2))
    metres, degrees = np.full((2, len(poses)), np.inf)
    metres[found], degrees[found] = pose_distances(poses[found], place.poses["test"][found])
    errors = {"query": place.names, "estimator": MODEL, TRANSLATION: metres, ROTATION: degrees}
    return pd.DataFrame(errors), Cost(query_s, setup_s, size)


def tabulate(scores: Sequence[pd.DataFrame], costs: dict[str, Cost]) -> str:
    """Return a Markdown table of the scores of each seed and of the costs by estimator."""
    seeds = pd.concat([summarise(own, RECALL) for own in scores]).groupby("estimator", sort=False)
    means, spreads = seeds.mean(), seeds.std(ddof=1)
    several = len(scores) > 1
    lines = [
        f"| | {' | '.join(COLUMNS)} |",
        f"|{'---|' * (len(COLUMNS) + 1)}",
    ]
    for name, cost in costs.items():
        row, spread = means.loc[name], spreads.loc[name]
        both = [
            f"{row[column]:.{digits}f}"
            + (f" ± {spread[column]:.{digits}f}" if several and spread[column] > 1e-9 else "")
            for column, digits in zip(FIGURES[:2], (4, 2), strict=True)
        ]
        kept = f"{row[KEPT]:.3g}" if name == REFINED else ""
        recall = " | ".join(f"{100 * row[column]:.1f} %" for column in FIGURES[2:])
        within = [_format_within(row[columns]) for columns in (WITHIN[:2], WITHIN[2:])]
        lines.append(
            f"| {SHOWN.get(name, name)} | {' / '.join(both)} | {recall} | {row['failed']:.3g} | "
            f"{kept} | {' | '.join(within)} | {1000 * cost.query_s:.0f} | {cost.setup_s:.0f} s | "
            f"{cost.bytes / 1e6:.0f} MB |"
        )
    return "\n".join(lines)


def _format_within(shares: pd.Series) -> str:
    """Return how often stated errors in metres and degrees held, in percent; "" if none is."""
    return "" if shares.isna().any() else " / ".join(f"{100 * share:.0f}" for share in shares)


def main() -> None:
    """Print one table, or one for each group of queries."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder results/{dataset}, with scores of runs")
    parser.add_argument("scene", help="its name")
    parser.add_argument("images", type=Path, nargs="?", help="scene's folder, for COLMAP's row")
    parser.add_argument("--runs", nargs="+", default=["joint"], help="one for each seed")
    parser.add_argument("--encoder", help="folder of their features; by itself that of the run")
    parser.add_argument("--published", nargs="+", help="pooled runs, one for each seed")
    parser.add_argument("--groups", type=Path, help="CSV file of query and kind: a table each")
    arguments = parser.parse_args()
    place = Place(arguments.results, arguments.scene)
    trained_elsewhere = arguments.runs[0].startswith(GENERAL)
    encoder = arguments.encoder or (GENERAL if trained_elsewhere else "efficientnet_lite0")

    def scores_of(run: str) -> pd.DataFrame:
        return read_scores(place.results / f"runs/{run}/scores/{place.scene}.csv", place.scene)

    scores = [scores_of(run) for run in arguments.runs]
    ways = [way for way in WAYS if way in set(scores[0]["estimator"])]
    costs = {way: place.mean_cost(way, arguments.runs, encoder) for way in ways}
    if arguments.published:
        published = [scores_of(run) for run in arguments.published]
        published = [own[own["estimator"] == FIRST_EDGE] for own in published]
        published = [own.assign(estimator=PUBLISHED) for own in published]
        scores = [pd.concat(pair) for pair in zip(scores, published, strict=True)]
        costs[PUBLISHED] = place.mean_cost(FIRST_EDGE, arguments.published, None)
    if arguments.images:
        modelled, costs[MODEL] = measure_model(place, arguments.images)
        scores = [pd.concat([own, modelled]) for own in scores]
    groups = {"": set(place.names)}
    if arguments.groups:
        kinds = pd.read_csv(arguments.groups)
        groups = {str(kind): set(own["query"]) for kind, own in kinds.groupby("kind", sort=False)}
    print(f"{place.scene}: {place.counts[0]} database images, {len(arguments.runs)} seeds")
    for kind, queries in groups.items():
        print(f"\n{kind or 'all'}: {len(queries)} queries\n")
        print(tabulate([own[own["query"].isin(queries)] for own in scores], costs))


if __name__ == "__main__":
    main()
