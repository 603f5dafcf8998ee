"""Benchmarks of the stages from image files to graphs: pack, read, describe, rank, sample."""

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import torch
from inputs import write_images, write_scene
from measuring import Figure, by_turns, forget_peak_memory, held_memory, peak_memory, rates

from relposegnn.data.frames import Frames
from relposegnn.data.images import read_image, read_images
from relposegnn.data.packing import Packing, pack_frames
from relposegnn.files.storage import create_hdf5
from relposegnn.retrieval.descriptors import DescriptorSettings, describe_frames
from relposegnn.retrieval.graph_sampling import sample_graphs
from relposegnn.retrieval.neighbour_choice import SamplingSettings
from relposegnn.retrieval.netvlad import NetVLAD, encoder_input, run_in_batches
from relposegnn.retrieval.ranking import rank_neighbours
from relposegnn.retrieval.rankings import create_ranking
from relposegnn.retrieval.vlad import local_features, vlad
from relposegnn.retrieval.vocabulary import save_vocabulary
from relposegnn.runtime import select_device
from relposegnn.threads import single_matrix_threads

CORES = len(os.sched_getaffinity(0))
SIZE = (341, 256)


def pack(folder: Path, quick: bool, repeats: int) -> Iterator[Figure]:
    """Packing frames, compared with decoding and resizing; the file's size, with raw pixels."""
    count = 12 if quick else 300
    paths = write_images(folder / "scene", count)
    outputs = [folder / f"{repetition}.h5" for repetition in range(repeats + 1)]
    unwritten = iter(outputs)  # new files, because the workflow replaces none either

    def ours() -> None:
        pack_frames(folder / "scene", next(unwritten), "d", "s", Packing(256), CORES)

    def decode() -> None:
        for _ in read_images(paths, SIZE, CORES):
            pass

    seconds = by_turns(repeats, ours, decode)
    yield Figure(
        *("pack frames", "images/s", rates(count, seconds[0]), rates(count, seconds[1])),
        *("decoding and resizing alone, all cores", 0.9),
    )
    raw = count * SIZE[0] * SIZE[1] * 3
    yield Figure(
        "frames file", "bytes", [outputs[0].stat().st_size], [raw], "raw pixels", most=1.02
    )


def read_batch(folder: Path, quick: bool, repeats: int) -> Iterator[Figure]:
    """A random training batch of frames on one core, compared with copying as many bytes."""
    frames_file, _ = write_scene(folder, 64 if quick else 1000, 8, SIZE)
    rng, plain = np.random.default_rng(0), np.ones((64, SIZE[1], SIZE[0], 3), np.uint8)
    with Frames(frames_file) as frames:
        frames.images("train", np.arange(frames.count("train")))  # into the page cache

        def ours() -> None:
            frames.images("train", rng.integers(0, frames.count("train"), 64))

        seconds = by_turns(20 * repeats, ours, plain.copy)
    milliseconds = [[1000 * each for each in taken] for taken in seconds]
    yield Figure(
        *("frames file", "ms a batch of 64", *milliseconds, "a plain copy of as much"), most=4
    )


def describe_vlad(folder: Path, quick: bool, repeats: int) -> Iterator[Figure]:
    """VLAD of a scene from files to a file, compared with the computation on the same cores."""
    count = 30 if quick else 200
    paths = write_images(folder / "scene", count)
    pack_frames(folder / "scene", folder / "frames.h5", "d", "s", Packing(32), CORES)
    centroids = np.random.default_rng(0).standard_normal((64, 128)).astype(np.float32)
    save_vocabulary(folder / "words.npz", "vlad", {"centroids": centroids}, {"clusters": 64})
    settings = DescriptorSettings("vlad", 320, 240, 1.0)
    files = folder / "frames.h5", folder / "scene", folder / "descriptors.h5"

    def ours() -> None:
        describe_frames(*files, settings, folder / "words.npz", workers=CORES)

    def work(path: Path) -> np.ndarray:
        return vlad(local_features(read_image(path, settings.size)), centroids)

    def bare() -> None:
        with single_matrix_threads(), ThreadPoolExecutor(CORES) as pool:
            list(pool.map(work, paths))

    seconds = by_turns(repeats, ours, bare)
    pair = rates(count, seconds[0]), rates(count, seconds[1])
    yield Figure("describe, VLAD", "images/s", *pair, "decoding, SIFT, assignment alone", 0.9)


def describe_netvlad(folder: Path, quick: bool, repeats: int) -> Iterator[Figure]:
    """NetVLAD of image files, compared with the bare network on batches in memory."""
    count = 8 if quick else 32
    paths, size = write_images(folder / "scene", count), (256, 192)
    device = select_device()
    torch.manual_seed(0)
    model = NetVLAD().eval().to(device)
    batch = encoder_input(np.stack(list(read_images(paths[:8], size, CORES))), device)

    def ours() -> None:
        for _ in run_in_batches(model, read_images(paths, size, CORES), device):
            pass

    @torch.inference_mode()
    def bare() -> None:
        for _ in range(0, count, len(batch)):
            model(batch).cpu()

    seconds = by_turns(repeats, ours, bare)
    pair = rates(count, seconds[0]), rates(count, seconds[1])
    yield Figure("describe, NetVLAD", "images/s", *pair, "the bare network", 0.9)


def rank(folder: Path, quick: bool, repeats: int) -> Iterator[Figure]:
    """Exact ranking, compared with ``faiss.knn`` on arrays in memory; its peak memory."""
    database, queries, width = (500, 100, 2048) if quick else (4000, 1000, 32768)
    rng = np.random.default_rng(0)
    file, output = folder / "descriptors.h5", folder / "neighbours.h5"
    rows = {}
    with create_hdf5(file, "descriptors", {}) as out:
        for split, count in (("train", database), ("test", queries)):
            rows[split] = rng.standard_normal((count, width), dtype=np.float32)
            rows[split] /= np.linalg.norm(rows[split], axis=1, keepdims=True)
            out[f"{split}/descriptor"] = rows[split]
    rows["both"] = np.concatenate([rows["train"], rows.pop("test")])

    def ours() -> None:
        rank_neighbours(file, output, 200)

    def product() -> None:
        faiss.knn(rows["both"], rows["train"], 201, metric=faiss.METRIC_INNER_PRODUCT)

    seconds = by_turns(max(1, repeats // 2), ours, product)
    total = database + queries
    pair = ([1000 * each / total for each in taken] for taken in seconds)
    yield Figure("rank", "ms a query", *pair, "faiss.knn on arrays in memory", most=1.3)
    rows.clear()
    held = held_memory()
    forget_peak_memory()
    ours()
    allowed = database * width * 4 + 0.3e9
    used = peak_memory() - held
    yield Figure("rank", "bytes above start", [used], [allowed], "database + 0.3 GB", most=1)


def sample(folder: Path, quick: bool, repeats: int) -> Iterator[Figure]:
    """Microseconds per sampled query, compared with 20."""
    count = 500 if quick else 10_000
    frames_file, _ = write_scene(folder, count, count, (4, 4))
    rng, neighbours = np.random.default_rng(0), folder / "neighbours.h5"
    with create_hdf5(neighbours, "neighbours", {}) as out:
        for split in ("train", "test"):
            index = rng.integers(0, count - 1, (count, 200))
            ranking = create_ranking(out, split, index.shape)
            ranking.index[...], ranking.similarity[...] = index, 1
    sampling = SamplingSettings(7, "strided", 5, 0.5, 0)

    def ours() -> None:
        both = {"train": sampling, "test": sampling}
        sample_graphs(neighbours, frames_file, folder / "sampled.h5", both, 0.5, None)

    (seconds,) = by_turns(repeats, ours)
    micro = [1e6 * each / (2 * count) for each in seconds]
    yield Figure("sample", "us a query", micro, [20] * len(micro), "20", most=1)


def temporary(function, quick: bool, repeats: int) -> Iterator[Figure]:
    """Yield the figures of a stage, which runs in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        yield from function(Path(name), quick, repeats)
