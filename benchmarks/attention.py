"""Channel attention of the messages without a stored matrix, compared with storing it."""

import argparse
import resource
import subprocess
import sys
import time

import inputs  # noqa: F401  puts the library on the path
import torch

from relposegnn.network.message_passing import ChannelAttention

EDGES, WIDTH, PASSES = 448, 2048, 3  # a batch of 8 graphs as published


class StoredMatrix(ChannelAttention):
    """The same layer, storing the attention matrices of all edges."""

    def forward(self, messages_EC: torch.Tensor) -> torch.Tensor:
        """Return messages (E, C) with attention added."""
        scores = self.phi(messages_EC)[:, :, None] * self.theta(messages_EC)[:, None, :]
        attended = scores.softmax(dim=-1) @ self.g(messages_EC)[:, :, None]
        return messages_EC + self.W(attended[:, :, 0])


LAYERS = {"stored": StoredMatrix, "fused": ChannelAttention}


def measure(layer_name: str) -> None:
    """Train ``PASSES`` steps; print seconds a pass and the growth of peak memory in MiB."""
    torch.manual_seed(0)
    layer = LAYERS[layer_name](WIDTH)
    messages = torch.randn(EDGES, WIDTH, requires_grad=True)
    layer(messages[:2]).sum().backward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    for _ in range(PASSES):
        layer(messages).sum().backward()
    seconds = (time.perf_counter() - started) / PASSES
    print(seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def compare() -> None:
    """Measure each layer in a process of its own; print both and their ratios."""
    figures = {}
    for name in LAYERS:
        done = subprocess.run(
            [sys.executable, __file__, name], capture_output=True, text=True, check=True
        )
        figures[name] = [float(value) for value in done.stdout.split()]
        print(f"{name:8} {figures[name][0]:8.3f} s a pass {figures[name][1]:8.0f} MiB")
    (slow, large), (fast, small) = figures["stored"], figures["fused"]
    print(f"ratio    {slow / fast:8.2f}          {large / max(small, 1):8.2f}")


def main() -> None:
    """Compare both layers, or measure one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layer", nargs="?", choices=LAYERS, help="one alone, in this process")
    layer = parser.parse_args().layer
    measure(layer) if layer else compare()


if __name__ == "__main__":
    main()
