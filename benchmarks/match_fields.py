"""Match fields of image pairs in both directions, compared with two plain softmaxes per pair."""

import argparse

import inputs  # noqa: F401  puts the library on the path
import torch
from measuring import by_turns

from relposegnn.network.match_fields import (
    TEMPERATURE,
    MatchFieldEdge,
    Views,
    cell_positions,
    describe_cells,
    match_fields,
)

IMAGES, PAIRS, FINE, COARSE, WIDTH = 32, 56, 40, 112, 256  # 4 graphs of 8 images, half the pairs


def plain_fields(first: torch.Tensor, second: torch.Tensor, positions: torch.Tensor) -> None:
    """Compute the channels of both directions in the plainest way."""
    similarity = first.mT @ second
    there = (TEMPERATURE * similarity).softmax(dim=2)
    back = (TEMPERATURE * similarity).softmax(dim=1)
    mutual = there * back
    squares = positions.square().sum(dim=1, keepdim=True)
    for weights, cosine, both in (
        (there, similarity, mutual),
        (back.mT, similarity.mT, mutual.mT),
    ):
        expected, spread = weights @ positions, weights @ squares
        torch.cat([expected, spread - expected.square().sum(dim=2, keepdim=True)], dim=2)
        torch.stack([cosine.amax(dim=2), weights.amax(dim=2), both.sum(dim=2)], dim=1)


def main() -> None:
    """Print milliseconds a pair on one thread; methods take turns, and the best round counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", type=int, nargs=2, default=(16, 22), help="cells, h w")
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    height, width = arguments.grid
    views = Views(
        torch.randn(IMAGES, FINE, height, width),
        torch.randn(IMAGES, COARSE, height // 2, width // 2),
        torch.ones(IMAGES, 2),
    )
    _, descriptors = describe_cells(views.fine, views.coarse)
    positions = cell_positions(height, width)
    pairs = torch.combinations(torch.arange(IMAGES))
    first, second = pairs[torch.randperm(len(pairs))[:PAIRS]].T
    compared = descriptors[first], descriptors[second]
    edges = torch.stack([torch.cat([first, second]), torch.cat([second, first])])
    layer = MatchFieldEdge(FINE + COARSE, (height, width), WIDTH, rotation_from_field=False)
    methods = {
        "plain fields": lambda: plain_fields(*compared, positions),
        "fields": lambda: match_fields(*compared, positions, positions),
        "cells": lambda: layer.look(views),
        "training step": lambda: layer(layer.look(views), edges)[0].sum().backward(),
    }
    seconds = by_turns(arguments.rounds, *methods.values())
    best = {name: min(taken) / PAIRS * 1e3 for name, taken in zip(methods, seconds, strict=True)}
    for name, taken in best.items():
        print(f"{name:14} {taken:7.2f} ms a pair, {taken / best['plain fields']:5.2f} of plain")


if __name__ == "__main__":
    main()
