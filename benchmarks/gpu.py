"""Every figure of a GPU in one call of a few minutes: training, a query, projections, faiss.

    python benchmarks/gpu.py            # the published size
    python benchmarks/gpu.py --quick    # a toy size, on a CPU too: to see that it runs

Prints one table and writes it as ``results/benchmarks/gpu.md``. Absolute figures, beside what the
paper names for its own machine: 0.8 days of training and 25.7 ms a query.
"""

import argparse
import itertools
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import faiss
import numpy as np
import torch
from inputs import write_scene
from measuring import machine
from stages_network import SIZE, TRAINING
from torch.optim import Adam

from relposegnn.data.scene_files import SceneFiles
from relposegnn.learning.datasets import batches, read_training_graphs, shuffled_batches
from relposegnn.learning.learner import Learner
from relposegnn.learning.training_settings import TrainingSettings
from relposegnn.network.edges import complete_edges
from relposegnn.network.model_settings import ModelSettings
from relposegnn.network.networks import build_network
from relposegnn.network.published_network import RelPoseGNN
from relposegnn.runtime import select_device

FRAMES = {
    "chess": 4000, "fire": 2000, "heads": 1000, "office": 6000, "pumpkin": 4000,
    "redkitchen": 7000, "stairs": 2000,
}  # fmt: skip
# Graphs that a training passes in all, by experiment: 40 epochs, 100 of single scenes.
PASSED = {
    "joint, 1 model": 40 * sum(FRAMES.values()),
    "leave one out, 7 models": 40 * sum(sum(FRAMES.values()) - own for own in FRAMES.values()),
    "single scene, 7 models": 100 * sum(FRAMES.values()),
}
Row = tuple[str, str, str]


class Sizes(NamedTuple):
    """What is measured: images (width, height), graphs of a scene and of a batch, repetitions."""

    image: tuple[int, int]
    features: int
    graphs: int
    batch: int
    repeats: int


PAPER, TOY = Sizes(SIZE, 2048, 800, 8, 20), Sizes((85, 64), 64, 8, 2, 2)


@contextmanager
def precision(matmul: str) -> Iterator[None]:
    """Let products of matrices and convolutions use TensorFloat-32 ("high"), or not ("highest")."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = matmul == "high"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def seconds_of(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Return the median seconds of some work, that of the device included, after two warm-ups."""
    taken = []
    for repeat in range(repeats + 2):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if repeat > 1:
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)


class Training:
    """Steps of a training on the graphs of a scene, of one precision and layout after another."""

    def __init__(
        self, scene: SceneFiles, shape: ModelSettings, device: torch.device, sizes: Sizes
    ) -> None:
        """Read a batch, and bring it to the device."""
        self.shape, self.device, self.sizes = shape, device, sizes
        self.graphs, _ = read_training_graphs({"scene": scene}, shape.pose)
        self.held = next(iter(batches(self.graphs, sizes.batch, device))).to(device)

    def measure(self, kind: str, layout: str) -> Iterator[Row]:
        """Yield graphs a second, of steps on the device, and as the pipeline does it from files."""
        torch.manual_seed(0)
        half = kind == "bfloat16"
        settings = replace(TRAINING, batch_size=self.sizes.batch, mixed_precision=half)
        learner = Learner(build_network(self.shape, None), settings, self.device)
        if layout == "channels last":
            learner.to(memory_format=torch.channels_last)
        learner.train()
        optimizer = Adam(learner.parameters(), fused=True)

        def step(batch) -> None:
            loss = learner(batch, None)
            optimizer.zero_grad(set_to_none=True)
            loss.total.backward()
            optimizer.step()

        with precision("highest" if kind == "float32" else "high"):
            taken = seconds_of(lambda: step(self.held.clone()), self.device, self.sizes.repeats)
            rate = self.sizes.batch / taken
            yield "training step", f"{kind}, images {layout}", f"{rate:.1f} graphs/s"
            if half and layout == "as they come":
                yield from self._measure_pipeline(step, settings)

    def _measure_pipeline(
        self, step: Callable[[object], None], settings: TrainingSettings
    ) -> Iterator[Row]:
        """Yield graphs a second of an epoch from files, and days of the paper's trainings."""
        loader = shuffled_batches(self.graphs, settings, self.device, 0)
        started = time.perf_counter()
        for batch in loader:
            step(batch)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        rate = len(loader) * settings.batch_size / (time.perf_counter() - started)
        yield "training", "bfloat16, from files, as the pipeline", f"{rate:.1f} graphs/s"
        for name, count in PASSED.items() if self.sizes is PAPER else ():
            days = count / rate / 86400
            yield "projected", f"{name}, {count / 1e6:.2f} million graphs", f"{days:.2f} days"
        yield "published", "training", "0.8 days"


def measure_training(
    scene: SceneFiles, shape: ModelSettings, device: torch.device, sizes: Sizes
) -> Iterator[Row]:
    """Yield graphs a second, by precision and layout; one that fails leaves the others."""
    training = Training(scene, shape, device, sizes)
    for kind in itertools.product(
        ("float32", "TF32", "bfloat16"), ("as they come", "channels last")
    ):
        yield from or_failure(f"training step, {', '.join(kind)}", training.measure(*kind))


@torch.inference_mode()
def measure_query(shape: ModelSettings, device: torch.device, sizes: Sizes) -> Iterator[Row]:
    """Yield milliseconds a query, whose database is encoded, and how far bfloat16 is off."""
    torch.manual_seed(0)
    model = RelPoseGNN(shape).eval().to(device, memory_format=torch.channels_last)
    image = torch.randn(1, 3, *sizes.image[::-1], device=device)
    image = image.to(memory_format=torch.channels_last)
    times = 5 * sizes.repeats
    known = model.encode(torch.randn(7, 3, *sizes.image[::-1], device=device))
    edges = torch.from_numpy(complete_edges(8)).to(device)
    nodes = torch.zeros(8, dtype=torch.long, device=device)
    first = torch.arange(8, device=device) == 0

    def query() -> torch.Tensor:
        features = torch.cat([model.encode(image), known])
        return model.relate_at(features, edges, nodes, first)[1].float().cpu()

    with precision("highest"):
        exact = query()
        yield "a query", "float32", f"{1000 * seconds_of(query, device, times):.2f} ms"
    with precision("high"):
        rough = query()
        yield "a query", "TF32", f"{1000 * seconds_of(query, device, times):.2f} ms"
    with torch.autocast(device.type, torch.bfloat16):
        half = query()
        yield "a query", "bfloat16", f"{1000 * seconds_of(query, device, times):.2f} ms"
    for name, found in (("TF32", rough), ("bfloat16", half)):
        off = ((found - exact).abs().max() / exact.abs().max()).item()
        yield "a query", f"{name} off float32, of the largest number", f"{100 * off:.3f} %"
    yield "published", "a query", "25.7 ms"


def measure_faiss(quick: bool) -> Iterator[Row]:
    """Yield milliseconds a query of an exact search, on the CPU and on a GPU that faiss sees."""
    database, queries, width = (500, 100, 256) if quick else (4000, 1000, 32768)
    rows = np.random.default_rng(0).standard_normal((database + queries, width), dtype=np.float32)
    index = faiss.IndexFlatIP(width)
    index.add(rows[:database])
    indices = {"the CPU": index}
    if hasattr(faiss, "get_num_gpus") and faiss.get_num_gpus():
        resources = faiss.StandardGpuResources()
        indices["the GPU"] = faiss.index_cpu_to_gpu(resources, 0, index)
    else:
        yield "faiss", "the GPU", "sees none: install envs/requirements-gpu.txt"
    for name, each in indices.items():
        each.search(rows[:8], 201)
        started = time.perf_counter()
        each.search(rows[database:], 201)
        taken = (time.perf_counter() - started) / queries
        yield "faiss", f"{database} x {width}, {name}", f"{1000 * taken:.3f} ms a query"


def or_failure(stage: str, rows: Iterator[Row]) -> Iterator[Row]:
    """Yield rows of a stage, and one of its failure: stages after it are measured all the same."""
    failure = None
    try:
        yield from rows
    except Exception as error:
        traceback.print_exc()
        reason = next(iter(str(error).splitlines()), "").replace("|", "/")
        failure = f"{type(error).__name__}: {reason}"
    if failure:  # by now nothing holds the memory of what failed
        yield stage, "failed", failure


def main() -> None:
    """Measure, print and write the table, anew with each row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="toy sizes")
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/gpu.md"))
    arguments = parser.parse_args()
    device, sizes = select_device(), TOY if arguments.quick else PAPER
    if device.type != "cuda" and not arguments.quick:
        parser.error(
            f"torch sees no GPU it may use, it would compute on {device}; expected one: look at "
            "nvidia-smi and RELPOSEGNN_DEVICE, or see by --quick that this runs"
        )
    shape = ModelSettings.published(width=sizes.features)
    lines = [machine(), "", "| stage | how | figure |", "|---|---|---|"]
    print("\n".join(lines))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        scene = SceneFiles(*write_scene(Path(folder), sizes.graphs, 8, sizes.image))
        stages = {
            "a query": measure_query(shape, device, sizes),
            "training": measure_training(scene, shape, device, sizes),
            "faiss": measure_faiss(arguments.quick),
        }
        for row in itertools.chain.from_iterable(or_failure(*each) for each in stages.items()):
            lines.append(f"| {' | '.join(row)} |")
            print(lines[-1], flush=True)
            arguments.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
