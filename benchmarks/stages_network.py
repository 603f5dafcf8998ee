"""Benchmarks of training, prediction and localising, and of the start of a step's process."""

import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from inputs import write_images, write_scene
from measuring import Figure, by_turns, rates
from prediction import predict_graph_by_graph
from torch.optim import Adam

from relposegnn.data.camera_files import write_camera
from relposegnn.data.packing import Packing, pack_frames
from relposegnn.data.scene_files import SceneFiles
from relposegnn.encoding.feature_maps import FeatureMaps, encode_frames
from relposegnn.estimates.aggregation import MEDIAN, LocalizationSettings
from relposegnn.estimates.localization import localize_queries
from relposegnn.files.owners import Owner
from relposegnn.files.weights import fingerprint
from relposegnn.learning.datasets import batches, read_training_graphs, shuffled_batches
from relposegnn.learning.learner import Learner
from relposegnn.learning.training import train_epoch
from relposegnn.learning.training_settings import TrainingSettings
from relposegnn.network.checkpoints import save_model
from relposegnn.network.edges import complete_edges
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.networks import build_network
from relposegnn.network.published_network import RelPoseGNN
from relposegnn.photos.files import read_photo
from relposegnn.photos.localiser import Localiser
from relposegnn.photos.map_files import export_map, opened_place
from relposegnn.photos.place import Place
from relposegnn.retrieval.descriptors import (
    DescriptorSettings,
    VocabularySettings,
    describe_frames,
    fit_vocabulary,
)
from relposegnn.retrieval.neighbour_choice import SamplingSettings
from relposegnn.runtime import select_device, torch_generator
from relposegnn.scores.calibration import write_calibration
from relposegnn.threads import leave_cores_to_others, single_matrix_threads

SIZE = (341, 256)
CORES = len(os.sched_getaffinity(0))
PLAIN = LocalizationSettings(both_directions=False, aggregation=MEDIAN)
TRAINING = TrainingSettings(
    epochs=1, batch_size=8, learning_rate=1e-4, schedule="cosine", decay_epochs=None,
    decay_factor=None, weight_decay=0.0, initial_s_t=0.0, initial_s_q=-3.0, shuffle_once=False,
    drop_last_batch=True, mixed_precision=True, seed=0,
)  # fmt: skip


def train(folder: Path, quick: bool, repeats: int) -> Iterator[Figure]:
    """Epochs from files, compared with the same steps on a batch that stays on the device."""
    device = select_device()
    gpu = device.type == "cuda"
    count = 400 if gpu and not quick else 16
    scene = SceneFiles(*write_scene(folder, count, 8, SIZE))
    shape = ModelSettings.published(width=256 if quick else 2048)
    graphs, _ = read_training_graphs({"scene": scene}, shape.pose)
    torch.manual_seed(0)
    learner = Learner(build_network(shape, None), TRAINING, device)
    optimizer = Adam(learner.parameters(), fused=True)
    steps = count // TRAINING.batch_size
    held = next(iter(batches(graphs, TRAINING.batch_size, device))).to(device)

    def ours() -> None:
        loader = shuffled_batches(graphs, TRAINING, device, 0)
        train_epoch(learner, optimizer, loader, TRAINING, 0)

    def bare() -> None:
        learner.train()
        generator = torch_generator(0, "edge dropout")
        for _ in range(steps):
            loss = learner(held.clone(), generator)
            optimizer.zero_grad(set_to_none=True)
            loss.total.backward()
            optimizer.step()
        if gpu:
            torch.cuda.synchronize()

    seconds = by_turns(repeats, ours, bare)
    graphs_done = steps * TRAINING.batch_size
    pair = (rates(graphs_done, taken) for taken in seconds)
    yield Figure("train", "graphs/s", *pair, "a batch on the device", 0.9 if gpu else 0.95)


def predict(folder: Path, quick: bool, repeats: int) -> Iterator[Figure]:
    """Localising a scene, compared with passing the eight images of every graph."""
    device = select_device()
    queries, database = (8, 4) if quick else (200, 50)
    torch.manual_seed(0)
    shape = ModelSettings.published(width=256 if quick else 2048)
    plain = RelPoseGNN(shape).eval().to(device)
    model = RelPoseGNN(shape).eval().to(device, memory_format=torch.channels_last)
    neighbours = 3 if quick else 7
    files = write_scene(folder, database, queries, SIZE, neighbours)

    def ours() -> None:
        localize_queries(model, SceneFiles(*files), PLAIN)

    def bare() -> None:
        predict_graph_by_graph(plain, *files)

    gpu = device.type == "cuda"
    seconds = by_turns(repeats if gpu else 1, ours, bare, warm_up=gpu)
    pair = (rates(queries, taken) for taken in seconds)
    yield Figure("predict", "queries/s", *pair, "the eight images of every graph", 5)


def localise(folder: Path, quick: bool, repeats: int) -> Iterator[Figure]:
    """Photos in a loaded place, one at a time, compared with only describing and encoding them.

    Also with refinement by matches, after the database's key points have been found.
    """
    count, photos = (40, 2) if quick else (300, 8)
    paths = write_images(folder / "scene", count)
    place = _prepare_place(folder, folder / "scene", select_device())
    device = select_device(threads=CORES)  # as the command does
    for label, changes, most in (
        ("regressed", {}, 1.6),
        ("refined", {"images": folder / "scene"}, None),
    ):
        with Localiser(replace(place, **changes), device, CORES) as loaded:

            def ours(loaded: Localiser = loaded) -> None:
                for path in paths[:photos]:
                    loaded.localise([path])

            def bare(loaded: Localiser = loaded) -> None:
                with single_matrix_threads():  # several threads take longer
                    for path in paths[:photos]:
                        photo = read_photo(path, (320, 240), loaded._images.size, SIZE, 1.0)
                        loaded._retrieval.describe([photo])
                        loaded._images.encode(photo.seen[None], np.array([0.914]))

            seconds = by_turns(3 * repeats, ours, bare)
        pair = ([1000 * each / photos for each in taken] for taken in seconds)
        against = "reading, describing and encoding it"
        yield Figure("localise", f"ms a photo, {label}", *pair, against, most=most)
    place = replace(place, images=folder / "scene")
    yield from _measure_map(place, folder / "s.map", device, repeats)


def _measure_map(place: Place, path: Path, device: torch.device, repeats: int) -> Iterator[Figure]:
    """The size and loading time of a place's map, compared with its files in a results folder."""
    export_map(place, path, CORES)
    images = sum(file.stat().st_size for file in place.images.rglob("*.*"))
    held = place.model, place.frames, place.features, place.descriptors, place.describer
    whole = images + sum(file.stat().st_size for file in held)
    sizes = [path.stat().st_size / 1e6], [whole / 1e6]
    yield Figure("map", "MB", *sizes, "the results' files and the images")

    def from_map() -> None:
        with opened_place(path) as told, Localiser(told, device, CORES):
            pass

    def from_files() -> None:
        with Localiser(place, device, CORES):
            pass

    seconds = by_turns(repeats, from_map, from_files)
    yield Figure("map", "s to load", *seconds, "the results' files, unchecked", most=3)


def _prepare_place(folder: Path, scene: Path, device: torch.device) -> Place:
    """Return a described and encoded place with a network of random weights."""
    files = [folder / f"{kind}.h5" for kind in ("frames", "features", "descriptors")]
    pack_frames(scene, files[0], "d", "s", Packing(48, focal_lengths=(0.914, None)), CORES)
    encode_frames(files[0], scene, files[1], "efficientnet_lite0", workers=CORES)
    settings, words = DescriptorSettings("vlad", 320, 240, 1.0), folder / "words.npz"
    fit_vocabulary(files[0], scene, words, VocabularySettings("vlad", 320, 240, 1.0, 64, 0))
    describe_frames(files[0], scene, files[2], settings, words, workers=CORES)
    with FeatureMaps(files[1]) as maps:
        shape = {"edges": "match_field", "pose": "relative", "iterations": 0, "width": 256}
        network = build_network(
            ModelSettings.published(**shape), {"channels": maps.channels, "grid": maps.grid}
        )
    save_model(folder / "model.pt", network, 0, ["s"])
    owner = Owner("d", "s", model=fingerprint(network))
    write_calibration(folder / "calibration.json", {}, owner)
    write_camera(folder / "camera.json", 0.914, "as rendered", Owner("d", "s"))
    return Place(
        *(folder / "model.pt", files[0], files[1], files[2], words, folder / "calibration.json"),
        *(SamplingSettings(7, "strided", 1, 0.0, 0), 200, 0.5, (0.25, 10.0)),
        localization=LocalizationSettings(both_directions=True, aggregation=MEDIAN),
        camera=folder / "camera.json",
    )


STARTS = ("score_poses", "sample_graphs")


def start(folder: Path, quick: bool, repeats: int) -> Iterator[Figure]:
    """Seconds from the start of a step's process to its first work, compared with 0.5 s."""
    scripts = Path(__file__).parents[1] / "workflow/scripts"
    for step in STARTS:
        code = f"import sys; sys.path.insert(0, {str(scripts)!r}); import {step}"
        (seconds,) = by_turns(
            3 * repeats, partial(subprocess.check_call, [sys.executable, "-c", code])
        )
        yield Figure("start", f"s, {step}", seconds, [0.5] * len(seconds), "0.5 s", most=1)


def _spin(stop: object) -> None:
    while not stop.is_set():
        sum(range(10_000))


def beside(folder: Path, quick: bool, repeats: int) -> Iterator[Figure]:
    """A training step while another process keeps one core busy, compared with one alone.

    Each runs in a process of its own, as in the pipeline, because OpenMP reads its settings once.
    """
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import stages_network;"
    code += f"stages_network.print_step_time({3 if quick else 15})"
    leave_cores_to_others()
    alone, shared = [], []
    for _ in range(repeats):
        for values, busy in ((alone, False), (shared, True)):
            stop = multiprocessing.Event()
            other = multiprocessing.Process(target=_spin, args=(stop,))
            if busy:
                other.start()
            try:
                told = subprocess.check_output([sys.executable, "-c", code], text=True)
            finally:
                stop.set()
            if busy:
                other.join()
            values.append(float(told))
    yield Figure("beside a busy process", "s a training step", shared, alone, "alone", most=2.2)


def print_step_time(steps: int) -> None:
    """Print the median seconds of a training step with match-field edges, as in the demo."""
    shape = ModelSettings.published(
        edges="match_field", pose="relative", iterations=0, width=256, dropout=0.0
    )
    torch.manual_seed(0)
    network = build_network(shape, {"channels": 152, "grid": (16, 22)})
    views = torch.randn(32, 40, 16, 22), torch.randn(32, 112, 8, 11), torch.ones(32, 2)
    one = torch.from_numpy(complete_edges(8))
    edge_index = torch.cat([one + 8 * graph for graph in range(4)], dim=1)
    graph = torch.arange(4).repeat_interleave(8)
    seconds = []
    for _ in range(steps + 2):
        started = time.perf_counter()
        network.relate(network.encode(views), edge_index, graph).relative.sum().backward()
        seconds.append(time.perf_counter() - started)
    print(statistics.median(seconds[2:]))
