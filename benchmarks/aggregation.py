"""Mean of the incoming messages: torch-scatter, compared with torch, which the network uses.

Needs torch-scatter, see envs/requirements-scatter.txt. Measures the CPU time of one thread instead
of elapsed time, so that a busy machine affects the ratios little.
"""

import argparse
import functools
import statistics
import time
from collections.abc import Callable

import inputs  # noqa: F401  puts the library on the path
import torch
import torch_geometric.utils
import torch_scatter

from relposegnn.network.edges import complete_edges
from relposegnn.network.message_passing import MessagePassingLayer

NODES = 8  # of a graph, as published
# Number of graphs (a training batch as published; a whole scene): (width of messages, repetitions).
CASES = {8: ((256, 301), (2048, 101)), 500: ((256, 31), (2048, 11))}

Step = Callable[[], object]


def batch_edges(graphs: int) -> torch.Tensor:
    """Return the edges (2, E) of complete graphs, in the order of the network's batches."""
    edges = torch.from_numpy(complete_edges(NODES))
    return torch.cat([edges + NODES * graph for graph in range(graphs)], dim=1)


def methods(target: torch.Tensor, nodes: int) -> dict[str, Callable]:
    """Return ways to average messages (E, C) by their target nodes (E,)."""
    order = target.argsort(stable=True)

    def segment_coo(messages: torch.Tensor) -> torch.Tensor:
        return torch_scatter.segment_coo(
            messages[order], target[order], dim_size=nodes, reduce="mean"
        )

    return {
        "torch": lambda messages: torch_geometric.utils.scatter(
            messages, target, 0, nodes, reduce="mean"
        ),
        "scatter": lambda messages: torch_scatter.scatter(
            messages, target, 0, dim_size=nodes, reduce="mean"
        ),
        "segment_coo": segment_coo,
        "segment_coo, sorted before": lambda messages: torch_scatter.segment_coo(
            messages, target[order], dim_size=nodes, reduce="mean"
        ),
    }


def seconds_in_turns(steps: dict[str, Step], repeats: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each repetition of each step; the steps take turns."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(repeats):
        for name, step in steps.items():
            started = time.process_time()
            step()
            times[name].append(time.process_time() - started)
    return times


def forward(aggregate: Callable, messages: torch.Tensor) -> None:
    """Aggregate without gradients."""
    with torch.no_grad():
        aggregate(messages)


def forward_backward(aggregate: Callable, messages: torch.Tensor, gradient: torch.Tensor) -> None:
    """Aggregate and propagate a gradient (N, C) back to the messages."""
    messages.grad = None
    aggregate(messages).backward(gradient)


def report(title: str, times: dict[str, list[float]]) -> None:
    """Print the median and quartiles of each step, and its speed relative to the first one."""
    baseline = statistics.median(next(iter(times.values())))
    print(title)
    for name, seconds in times.items():
        low, median, high = (1000 * each for each in statistics.quantiles(seconds, n=4))
        ratio = baseline / median * 1000
        print(
            f"  {name:27} {median:9.3f} ms ({low:.3f} to {high:.3f})   {ratio:5.2f} times as fast"
        )


def main() -> None:
    """Measure all cases, and the aggregation's share of a round of message passing."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    torch.set_num_threads(1)
    print(
        f"torch {torch.__version__}, torch-scatter {torch_scatter.__version__}; median (quartiles)"
    )
    for graphs, sizes in CASES.items():
        edges = batch_edges(graphs)
        target, nodes = edges[1], graphs * NODES
        for width, repeats in sizes:
            torch.manual_seed(0)
            messages = torch.randn(len(target), width, requires_grad=True)
            gradient = torch.randn(nodes, width)
            ways = methods(target, nodes)
            title = f"{len(target)} edges of width {width}"
            steps = {name: functools.partial(forward, way, messages) for name, way in ways.items()}
            report(f"{title}, forward", seconds_in_turns(steps, repeats))
            steps = {
                name: functools.partial(forward_backward, way, messages, gradient)
                for name, way in ways.items()
            }
            report(f"{title}, forward and backward", seconds_in_turns(steps, repeats))
    measure_share()


def measure_share(graphs: int = 8, width: int = 2048, repeats: int = 7) -> None:
    """Measure a published round of message passing, and its aggregation alone."""
    edges, nodes = batch_edges(graphs), graphs * NODES
    layer = MessagePassingLayer(width, attention=True)
    features = torch.randn(nodes, width, requires_grad=True)
    messages = torch.randn(edges.shape[1], width, requires_grad=True)

    def round_of_messages() -> None:
        sum(part.sum() for part in layer(features, edges, messages)).backward()

    aggregate = methods(edges[1], nodes)["torch"]
    gradient = torch.randn(nodes, width)
    steps = {
        "round": round_of_messages,
        "aggregation": lambda: forward_backward(aggregate, messages, gradient),
    }
    times = seconds_in_turns(steps, repeats)
    whole, part = (1000 * statistics.median(times[name]) for name in steps)
    print(f"a round of message passing with {edges.shape[1]} edges of width {width}, forward and")
    print(f"backward: {whole:.1f} ms, its aggregation {part:.3f} ms ({part / whole:.2%})")


if __name__ == "__main__":
    main()
