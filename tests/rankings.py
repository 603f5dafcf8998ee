"""Rankings, and names of database images to choose neighbours from."""

import numpy as np

from relposegnn.retrieval.neighbour_choice import SamplingSettings
from relposegnn.retrieval.rankings import Ranking, create_ranking

PAPER = SamplingSettings(neighbours=7, selection="strided", stride=5, drop_probability=0.5, seed=0)

# Two sequences whose frames lie between each other: a has images 0 2 4 6 8, b has 1 3 5 7.
INTERLEAVED = [f"{'ab'[i % 2]}/{i // 2}" for i in range(9)]


def random_rankings(seed, queries, length):
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(length) for _ in range(queries)])


def write_ranking(file, split: str, ranking: Ranking) -> None:
    """Write the ranking of a split's frames."""
    written = create_ranking(file, split, ranking.index.shape)
    written.index[...], written.similarity[...] = ranking
