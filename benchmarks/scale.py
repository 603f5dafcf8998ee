"""How time and memory grow with the data: an index of a large database, and the data stages.

    python benchmarks/scale.py                # all, some minutes
    python benchmarks/scale.py index          # or: stages
    python benchmarks/scale.py index --sizes 1e4 1e5 1e6

Each row of the tables is measured in a process of its own, because memory is the process's peak
above its start. Seconds are CPU seconds of all threads, which other work on the machine affects
little, and least with ``OMP_NUM_THREADS=1``. Descriptors are generated: 256 numbers, a hundred
images around each of many places. ``growth`` is the exponent of the growth of time with size since
the row before: 1 is linear.

Writes ``results/benchmarks/scale-{index,stages}.{csv,md}``.
"""

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import faiss
import h5py
import numpy as np
import pandas as pd
from inputs import write_images, write_scene
from measuring import forget_peak_memory, held_memory, machine, peak_memory

from relposegnn.data.packing import Packing, pack_frames
from relposegnn.files.storage import create_hdf5
from relposegnn.retrieval.approximate import ApproximateRanker
from relposegnn.retrieval.descriptors import DescriptorSettings, describe_frames
from relposegnn.retrieval.exact import rank
from relposegnn.retrieval.graph_sampling import sample_graphs
from relposegnn.retrieval.neighbour_choice import SamplingSettings
from relposegnn.retrieval.ranking import rank_neighbours
from relposegnn.retrieval.rankings import create_ranking
from relposegnn.retrieval.vocabulary import save_vocabulary

CORES = len(os.sched_getaffinity(0))
WIDTH, IMAGES_OF_PLACE, QUERIES, BLOCK = 256, 100, 1000, 10_000
SIZES = {"index": (10_000, 100_000, 1_000_000), "stages": (100, 200, 400)}
ROWS = 100  # frames that are ranked and sampled for each image that is packed and described


class Cost:
    """CPU seconds, and the peak of memory above the start, in MB, since this was made."""

    def __init__(self) -> None:
        self._held, self._started = held_memory(), time.process_time()
        forget_peak_memory()

    @property
    def seconds(self) -> float:
        """Return the CPU seconds until now."""
        return time.process_time() - self._started

    @property
    def megabytes(self) -> float:
        """Return the peak of memory until now."""
        return (peak_memory() - self._held) / 1e6


def write_descriptors(path: Path, count: int, queries: int) -> None:
    """Write a file of generated descriptors (count, 256), in blocks to save memory."""
    rng = np.random.default_rng(0)
    places = rng.standard_normal((max(1, count // IMAGES_OF_PLACE), WIDTH), dtype=np.float32)
    turned = rng.standard_normal((16, WIDTH), dtype=np.float32)  # what differs within a place
    with create_hdf5(path, "descriptors", {}) as file:
        for split, rows in (("train", count), ("test", queries)):
            made = file.create_dataset(f"{split}/descriptor", (rows, WIDTH), np.float32)
            for start in range(0, rows, BLOCK):
                part = slice(start, min(rows, start + BLOCK))
                size = part.stop - start
                block = places[rng.integers(0, len(places), size)]
                block += 0.25 * rng.standard_normal((size, 16), dtype=np.float32) @ turned
                made[part] = block / np.linalg.norm(block, axis=1, keepdims=True)


def factories(count: int) -> list[str]:
    """Return indices for a database of this size: about 4 sqrt(size) lists."""
    lists = 2 ** round(math.log2(4 * math.sqrt(count)))
    return ["Flat", f"IVF{lists},Flat", f"IVF{lists},PQ32"]


def index_row(factory: str, path: Path) -> dict[str, object]:
    """Return the costs of building and searching an index, and its recall of the best 10."""
    with h5py.File(path) as file:
        database, queries = file["train/descriptor"], file["test/descriptor"][:]
        exact = rank(database, queries, 10).index
        building = Cost()
        ranker = None if factory == "Flat" else ApproximateRanker(database, factory, 10, 0)
        built = building.seconds
        found = (ranker.rank(queries, 10) if ranker else rank(database, queries, 10)).index
        searched, megabytes = building.seconds - built, building.megabytes
    held = len(faiss.serialize_index(ranker.index)) / 1e6 if ranker else 0
    shares = [np.isin(*pair).mean() for pair in zip(exact, found, strict=True)]
    return {
        **{"index": factory, "index MB": held, "s to build": built},
        **{"ms a query": 1000 * searched / len(queries), "peak MB": megabytes},
        "recall@10": float(np.mean(shares)),
    }


def index_rows(sizes: list[int], folder: Path) -> Iterator[dict[str, object]]:
    """Yield a row for each size and index."""
    for size in sizes:
        path = folder / "descriptors.h5"
        writing = Cost()
        write_descriptors(path, size, QUERIES)
        row = {"images": size, "file MB": path.stat().st_size / 1e6}
        print(f"{size} written in {writing.seconds:.0f} s, {writing.megabytes:.0f} MB", flush=True)
        for factory in factories(size):
            yield row | alone(index_row, factory, path)


def pack(size: int, folder: Path) -> Cost:
    """Pack frames of 640 x 480."""
    write_images(folder / "scene", size)
    cost = Cost()
    pack_frames(folder / "scene", folder / "packed.h5", "d", "s", Packing(256), CORES)
    return cost


def describe(size: int, folder: Path) -> Cost:
    """Describe images of 640 x 480 by VLAD."""
    write_images(folder / "scene", size)
    pack_frames(folder / "scene", folder / "frames.h5", "d", "s", Packing(32), CORES)
    centroids = np.random.default_rng(0).standard_normal((64, 128)).astype(np.float32)
    save_vocabulary(folder / "words.npz", "vlad", {"centroids": centroids}, {"clusters": 64})
    files = folder / "frames.h5", folder / "scene", folder / "descriptors.h5"
    describing = DescriptorSettings("vlad", 320, 240, 1.0)
    cost = Cost()
    describe_frames(*files, describing, folder / "words.npz", workers=CORES)
    return cost


def rank_all(size: int, folder: Path) -> Cost:
    """Rank the database for each of its own images, exactly."""
    write_descriptors(folder / "descriptors.h5", size, 1)
    cost = Cost()
    rank_neighbours(folder / "descriptors.h5", folder / "neighbours.h5", 200)
    return cost


def sample(size: int, folder: Path) -> Cost:
    """Sample the graphs of so many frames."""
    frames_file, _ = write_scene(folder, size, 1, (4, 4))
    rng, neighbours = np.random.default_rng(0), folder / "neighbours.h5"
    with create_hdf5(neighbours, "neighbours", {}) as out:
        for split, count in (("train", size), ("test", 1)):
            index = rng.integers(0, size - 1, (count, 200))
            ranking = create_ranking(out, split, index.shape)
            ranking.index[...], ranking.similarity[...] = index, 1
    both = dict.fromkeys(("train", "test"), SamplingSettings(7, "strided", 5, 0.5, 0))
    cost = Cost()
    sample_graphs(neighbours, frames_file, folder / "sampled.h5", both, 0.5, None)
    return cost


def stage_row(stage: Callable[[int, Path], Cost], size: int) -> dict[str, object]:
    """Return the cost of a stage."""
    with tempfile.TemporaryDirectory() as folder:
        cost = stage(size, Path(folder))
        seconds = cost.seconds
    row = {"stage": stage.__name__, "images": size, "s": seconds}
    return row | {"ms an image": 1000 * seconds / size, "peak MB": cost.megabytes}


def stage_rows(sizes: list[int]) -> Iterator[dict[str, object]]:
    """Yield a row for each stage and size, with the exponent of the growth of time."""
    for stage, factor in ((pack, 1), (describe, 1), (rank_all, ROWS), (sample, ROWS)):
        before = None
        for size in sizes:
            row = alone(stage_row, stage, factor * size)
            if before:
                row["growth"] = math.log(row["s"] / before["s"], row["images"] / before["images"])
            before = row
            yield row


def alone(function: Callable[..., dict], *arguments: object) -> dict[str, object]:
    """Return a row that is measured in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def write(rows: Iterator[dict[str, object]], folder: Path, name: str) -> None:
    """Write a table again after each row; print it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    known = []
    for row in rows:
        known.append(row)
        table = pd.DataFrame(known)
        table.assign(machine=machine()).to_csv(folder / f"scale-{name}.csv", index=False)
        text = table.astype(object).fillna("").to_markdown(index=False, floatfmt=".3g", intfmt=",")
        (folder / f"scale-{name}.md").write_text(f"{machine()}\n\n{text}\n")
        print(row, flush=True)
    print(f"\n{text}")


def main() -> None:
    """Measure, write and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", choices=[*SIZES, []], help="default: both")
    parser.add_argument("--sizes", nargs="+", type=float, help="ascending, of one table")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks"))
    arguments = parser.parse_args()
    for name in arguments.tables or SIZES:
        sizes = [int(size) for size in arguments.sizes or SIZES[name]]
        with tempfile.TemporaryDirectory() as folder:
            rows = index_rows(sizes, Path(folder)) if name == "index" else stage_rows(sizes)
            write(rows, arguments.output, name)


if __name__ == "__main__":
    main()
